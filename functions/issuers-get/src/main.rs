use serde_json::json;
use shared::dialect::users::{self, IssuerWithKeys, Issuers, USERS};
use shared::{Answer, App, Boxed, Call, Problem};

/// `GET /v1/issuers`: lists the identity providers that the tenant trusts. Each signs people in to the tenant.
///
/// Needs the role `owner`.
async fn list_issuers(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    users::in_tenant(call, &caller, call.parameters(), |_| Ok(()))?;
    app.issuers(call, &caller, &|trusted| Answer::json(200, &json!(Issuers::new(trusted)))).await
}

/// `GET /v1/issuers/{id}`: shows an identity provider of the tenant's own, and the keys that were fetched from it.
///
/// Needs the role `owner`.
async fn get_issuer(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    app.issuer(call, &caller, id, &|issuer, keys| {
        let shown = IssuerWithKeys::new(issuer, keys);
        Answer::json(200, &json!(shown)).with_etag(shown.version())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/issuers" => Box::pin(list_issuers(app, call)),
        _ => Box::pin(get_issuer(app, call)),
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
    operation("GET /v1/issuers").found::<Issuers>().describe();
    let one = operation("GET /v1/issuers/{id}");
    one.path("id", "The issuer's UUID.", schema_of::<shared::id::Uuid>()).answer::<IssuerWithKeys>().describe();
}
