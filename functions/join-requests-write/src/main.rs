use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, JoinApproval, ShownJoinRequest, USERS};
use shared::id::JoinRequestId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `POST /v1/join-requests/{id}/approve`: makes a user of somebody who asks to join; a refused person, too. They are active, and are
/// signed in when they come again. The request is gone. The body can be left out.
///
/// Needs `member:invite`, `member:set-status`, and all that it takes to give the roles and the groups.
async fn approve(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    let conditions = call.conditions()?;
    let (approval, id) = users::in_tenant(call, &caller, body, |body| {
        let (approval, id) = (JoinApproval::read(body), body.join(call.path_uuid("id")));
        Ok((approval?, JoinRequestId::from_uuid_in(id?, caller.tenant)))
    })?;
    let edit = approval.edit(caller.tenant);
    app.approve(call, &caller, (id, &edit), &conditions, &users::made).await
}

/// `POST /v1/join-requests/{id}/refuse`: refuses somebody who asks to join. They cannot ask again; whoever may let them in still can.
///
/// Needs `member:invite`.
async fn refuse(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(
        call,
        &caller,
        Reads::join_request(JoinRequestId::from_uuid_in(id, caller.tenant)),
        &conditions,
        &|plan| {
            let request = plan.refuse_to_join()?;
            let shown = ShownJoinRequest::new(&request);
            Ok(Answer::json(200, &json!(shown)).with_etag(shown.version).into())
        },
    )
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/join-requests/{id}/approve" => Box::pin(approve(app, call)),
        _ => Box::pin(refuse(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use shared::dialect::users::User;
    let of_one = |route| {
        let operation = Operation::new(&USERS).route(route);
        let operation = operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header());
        operation.path("id", "The request's UUID.", schema_of::<shared::id::Uuid>())
    };
    of_one("POST /v1/join-requests/{id}/approve").optional_body(JoinApproval::read).created::<User>().describe();
    of_one("POST /v1/join-requests/{id}/refuse").write().answer::<ShownJoinRequest>().describe();
}
