use serde_json::json;
use shared::dialect::users::{self, MyTenant, MyTenants, Tenant, USERS};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/tenant`: shows the tenant of the credential.
///
/// Any active member may do this.
async fn get_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    users::in_tenant(call, &caller, call.parts(), |_| Ok(()))?;
    app.read(call, &caller, Reads::none(), &|reading| {
        let tenant = Tenant::new(reading.tenant());
        Ok(Answer::json(200, &json!(tenant)).with_etag(tenant.version))
    })
    .await
}

/// `GET /v1/tenants`: lists the tenants in which the caller is a member, with the roles that they have there.
///
/// Beside the credential's tenant, it lists those that the person has signed in to before by the same account of the same identity
/// provider. A page can have fewer than `limit`, or none, and still a next one.
///
/// Any active member may do this.
async fn list_tenants(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let page = users::in_tenant(call, &caller, call.parameters(), |query| Ok(call.page(query)))?;
    app.tenants(call, &caller, &page, &|page| {
        let data = page.tenants.iter().map(MyTenant::new).collect();
        Answer::json(200, &json!(MyTenants { data, next_cursor: page.next_cursor.as_deref() }))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/tenants" => Box::pin(list_tenants(app, call)),
        _ => Box::pin(get_tenant(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("GET /v1/tenant").answer::<Tenant>().describe();
    operation("GET /v1/tenants").page::<MyTenants>().describe();
}
