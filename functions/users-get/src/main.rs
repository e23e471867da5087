use serde_json::json;
use shared::dialect::users::{self, USERS, User};
use shared::id::UserId;
use shared::problem::Fault;
use shared::{Answer, App, Call, Problem, Reads};

/// The user of the path; `None` for the UUID of anything else.
fn user(call: &Call, me: UserId) -> Result<Option<UserId>, Fault> {
    match call.path("id") {
        "me" => Ok(Some(me)),
        _ => call.path_uuid("id").map(UserId::from_uuid),
    }
}

/// `GET /v1/users/{id}`: shows a member of the tenant, or with `me` the caller.
///
/// Needs `member:read`; anybody may see themselves, and a manager of a group its members.
async fn get_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, user(call, caller.user))?;
    app.read(call, &caller, Reads::member(user), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        Ok(Answer::json(200, &json!(User::new(&view))).with_etag(view.version()))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(get_user(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use schemars::json_schema;
    let user = json_schema!({ "anyOf": [schema_of::<shared::id::Uuid>(), { "type": "string", "enum": ["me"] }] });
    Operation::new(&USERS)
        .path("id", "The user's UUID, or `me` for the caller.", user)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .answer::<User>()
        .describe();
}
