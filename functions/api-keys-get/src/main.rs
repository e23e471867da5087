use serde_json::json;
use shared::dialect::users::{self, ApiKeys, ListedKey, USERS};
use shared::id::KeyId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/api-keys`: lists the API keys of the tenant, without their secrets.
///
/// Everybody sees the keys that they have made. `key:manage` allows to see those of others, too.
async fn list_api_keys(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    users::in_tenant(call, &caller, call.parameters(), |_| Ok(()))?;
    app.api_keys(call, &caller, &|keys| Answer::json(200, &json!(ApiKeys::new(keys)))).await
}

/// `GET /v1/api-keys/{id}`: shows an API key, without its secret.
///
/// Everybody may see a key that they have made. `key:manage` allows to see those of others, too.
async fn get_api_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::api_key(KeyId::from_uuid_in(id, caller.tenant)), &|reading| {
        let shown = reading.see_key(reading.facts().api_key()?)?;
        let shown = ListedKey::new(&shown);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/api-keys" => Box::pin(list_api_keys(app, call)),
        _ => Box::pin(get_api_key(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("GET /v1/api-keys").found::<ApiKeys>().describe();
    let one = operation("GET /v1/api-keys/{id}");
    one.path("id", "The key's UUID.", schema_of::<shared::id::Uuid>()).answer::<ListedKey>().describe();
}
