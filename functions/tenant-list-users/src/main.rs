use serde_json::json;
use shared::dialect::members;
use shared::dialect::tenant::{TENANT, Users};
use shared::id::GroupId;
use shared::json::Text;
use shared::{Answer, App, Call, Problem};

/// `GET /api/v1/tenant/{tenantId}/user`: lists the users of a tenant with their roles.
///
/// Needs `member:read`; the manager of a group may list its members, in the order of their ids.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = call.parameters().all(|query| {
        let wanted = members::wanted(query, |group: Text<250>| GroupId::parse_in(&group.0, caller.tenant));
        Ok((wanted, call.page(query)))
    })?;
    caller.same_tenant(caller.tenant_spelled(call.path("tenantId")))?;
    app.list(call, &caller, &wanted, &page, &|page| Answer::json(200, &json!(Users::new(page)))).await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&TENANT, |app, call| Box::pin(list_users(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    openapi::Operation::new(&TENANT)
        .path("tenantId", "The tenant's UUID, number or slug: the credential's.", json_schema!({ "type": "string" }))
        .members("Only those in this group: its UUID or number.", openapi::schema_of::<Text<250>>())
        .page::<Users>()
        .describe();
}
