use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, ApiKeyCreation, ApiKeyRotation, KeyWithSecret, ListedKey, USERS};
use shared::domain::ApiKeyEdit;
use shared::id::KeyId;
use shared::{Answer, App, Boxed, Call, Caller, Problem, Reads, api_key};

/// `POST /v1/api-keys`: makes an API key. The answer shows its secret, once.
///
/// `key:create` allows it. The key gets roles of its own, and nobody gives it a permission that they do not hold. At each later
/// call, you must be allowed to do the same.
async fn create_api_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let new = users::in_tenant(call, &caller, body, ApiKeyCreation::read)?.key();
    let (secret, environment) = (api_key::secret()?, app.key_environment()?);
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        let (key, secret) = plan.make_key(&new, &secret, &environment)?;
        let shown = KeyWithSecret { key: ListedKey::new(&plan.shown_key(&key)), secret: &secret };
        let id = shown.key.id.to_string();
        let answer = Answer::json(201, &json!(shown)).uncached().with_etag(shown.key.version);
        Ok(answer.with_header("location", format!("/v1/api-keys/{id}")).secret(id).into())
    })
    .await
}

/// `POST /v1/api-keys/{id}/rotate`: gives an API key another secret. The answer shows it, once. The secret before is good for a while.
///
/// The maker of the key needs `key:create`. For keys of others you need `key:manage`, and every permission that the key has.
async fn rotate_api_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (rotation, id) = users::in_tenant(call, &caller, body, |body| {
        let (rotation, id) = (ApiKeyRotation::read(body), body.join(call.path_uuid("id")));
        Ok((rotation?, id?))
    })?;
    let (secret, environment, seconds) = (api_key::secret()?, app.key_environment()?, rotation.seconds());
    app.change(call, &caller, Reads::api_key(KeyId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let (key, secret) = plan.rotate_key(plan.facts().api_key()?, seconds, &secret, &environment);
        let shown = KeyWithSecret { key: ListedKey::new(&plan.shown_key(&key)), secret: &secret };
        let answer = Answer::json(200, &json!(shown)).uncached().with_etag(shown.key.version);
        Ok(answer.secret(shown.key.id.to_string()).into())
    })
    .await
}

/// `POST /v1/api-keys/{id}/take-over`: makes an API key the tenant's own. From then on it may do what its roles allow, whatever becomes of
/// the member who made it.
///
/// Needs the role `owner`.
async fn take_over_api_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    edit(app, call, &caller, &ApiKeyEdit::TakeOver, &|key| Answer::json(200, &json!(key)).with_etag(key.version)).await
}

/// `DELETE /v1/api-keys/{id}`: ends an API key. It is refused from the next request on.
///
/// Everybody may end a key that they have made. `key:manage` allows to end those of others, too.
async fn end_api_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    edit(app, call, &caller, &ApiKeyEdit::End, &|_| Answer::empty(204)).await
}

async fn edit(
    app: &App,
    call: &Call,
    caller: &Caller,
    edit: &ApiKeyEdit,
    answer: &(dyn Fn(&ListedKey) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, caller, Reads::api_key(KeyId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let key = plan.update(plan.facts().api_key()?, edit);
        Ok(answer(&ListedKey::new(&plan.shown_key(&key))).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/api-keys" => Box::pin(create_api_key(app, call)),
        "POST /v1/api-keys/{id}/rotate" => Box::pin(rotate_api_key(app, call)),
        "POST /v1/api-keys/{id}/take-over" => Box::pin(take_over_api_key(app, call)),
        _ => Box::pin(end_api_key(app, call)),
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
    let of_key = |route| operation(route).path("id", "The key's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/api-keys").body(ApiKeyCreation::read).created::<KeyWithSecret>().once().describe();
    of_key("POST /v1/api-keys/{id}/rotate").body(ApiKeyRotation::read).answer::<KeyWithSecret>().once().describe();
    of_key("POST /v1/api-keys/{id}/take-over").write().answer::<ListedKey>().describe();
    of_key("DELETE /v1/api-keys/{id}").write().deleted().describe();
}
