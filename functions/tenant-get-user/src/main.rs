use serde_json::json;
use shared::dialect::tenant::{Success, TENANT};
use shared::id::UserId;
use shared::{Answer, App, Call, Problem, Reads};

/// `GET /api/v1/tenant/{tenantId}/user/{userId}`: shows the role of a user in a tenant.
///
/// Needs `member:read`; anybody may see themselves, and a manager of a group its members.
async fn get_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    caller.same_tenant(caller.tenant_spelled(call.path("tenantId")))?;
    let user = UserId::parse(call.path("userId"));
    app.read(call, &caller, Reads::member(user), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        Ok(Answer::json(200, &json!(Success::new(&view))).with_etag(view.version()))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&TENANT, |app, call| Box::pin(get_user(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    openapi::Operation::new(&TENANT)
        .path("tenantId", "The tenant's UUID, number or slug: the credential's.", json_schema!({ "type": "string" }))
        .path("userId", "The user's UUID or number.", json_schema!({ "type": "string" }))
        .answer::<Success>()
        .describe();
}
