use serde_json::json;
use shared::dialect::users::{self, Sessions, USERS};
use shared::id::{UserId, Uuid};
use shared::{Answer, App, Call, Problem};

/// `GET /v1/sessions`: lists the sessions of the caller, or of another member.
///
/// Everybody may see their own. `member:read-sessions` allows to see those of others who do not outrank the caller.
async fn list_sessions(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parameters(), |query| Ok(query.optional::<Uuid>("user")))?;
    let user = user.map_or(caller.member(), UserId::from_uuid);
    app.sessions(call, &caller, user, &|sessions| Answer::json(200, &json!(Sessions::new(sessions)))).await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(list_sessions(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .query("user", "The member; the caller, if nobody is named.", schema_of::<Uuid>())
        .found::<Sessions>()
        .describe();
}
