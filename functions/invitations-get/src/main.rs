use serde_json::json;
use shared::dialect::users::{self, Invitations, ShownInvitation, USERS};
use shared::id::UserId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/invitations`: lists those who are or were invited, without their secrets.
///
/// Without `status` they come in the order in which the people were first added somewhere. `pending` ones come in the order in which they
/// expire, the others from the last one that expired or ended.
///
/// Needs `member:read`.
async fn list_invitations(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (state, page) =
        users::in_tenant(call, &caller, call.parameters(), |query| Ok((users::state(query), call.page(query))))?;
    app.invitations(call, &caller, state, &page, &|page| Answer::json(200, &json!(Invitations::new(page)))).await
}

/// `GET /v1/invitations/{id}`: shows an invitation, without its secret.
///
/// Needs `member:read`; nothing for one's own, or for a manager of the user's group.
async fn get_invitation(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    let user = UserId::from_uuid(id);
    app.read(call, &caller, Reads::member(user).pictures(false), &|reading| {
        let facts = reading.facts();
        let shown = ShownInvitation::new(&reading.see(facts.invitation(user)?)?, facts.now());
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/invitations" => Box::pin(list_invitations(app, call)),
        _ => Box::pin(get_invitation(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, one_of, schema_of, uuid_in_header};
    use shared::domain::member::invitation::State;
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let (list, states) = (operation("GET /v1/invitations"), State::ALL.map(State::as_str).join(", "));
    list.query("status", "Only those in this state.", one_of(&states)).page::<Invitations>().describe();
    let one = operation("GET /v1/invitations/{id}");
    one.path("id", "The invited user's UUID.", schema_of::<shared::id::Uuid>()).answer::<ShownInvitation>().describe();
}
