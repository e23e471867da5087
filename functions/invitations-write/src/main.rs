use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, InvitationsCreation, InvitationsMade, Invitee, InviteeWithSecret, NewLink, USERS};
use shared::id::UserId;
use shared::{Answer, App, Boxed, Call, Invitees, NewSecret, Problem, Reads};

/// `POST /v1/invitations`: invites people, each with the same roles and groups. The answer says for each address what became of it, and
/// shows the secret that accepts the invitation, once. No mail is sent: send each person a link that has their secret.
///
/// An address of somebody who is a member, or who is invited already, is refused: `resend` gives another secret. A request that is
/// repeated with the same `Idempotency-Key` goes on with the addresses that were not done.
///
/// Needs `member:invite`, and all that it takes to give the roles and the groups. Whoever sends an invitation stands for it: it must be
/// theirs to give when it is accepted, too.
async fn invite(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let wanted = users::in_tenant(call, &caller, body, InvitationsCreation::read)?;
    let (emails, edit, lasts) = wanted.wanted(caller.tenant);
    let invitees = Invitees { emails: &emails, edit, lasts };
    let now = (app.clock)();
    let shown = |view: &shared::View, secret: &str| json!(Invitee::new(view, now, secret));
    let lines = app.invite(call, &caller, &invitees, &conditions, &shown).await?;
    Ok(Answer::json(200, &json!(InvitationsMade::new(&emails, lines))).uncached())
}

/// `POST /v1/invitations/{id}/resend`: gives an invited user another secret, and you stand for the invitation from now on. The secret
/// before is good no more. It also serves a user who was added as invited in another way.
///
/// Needs `member:invite`, and all that it takes to give the roles and the groups that the user has.
async fn resend(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (link, id) = users::in_tenant(call, &caller, body, |body| {
        let (link, id) = (NewLink::read(body), body.join(call.path_uuid("id")));
        Ok((link?, id?))
    })?;
    let (user, secret) = (UserId::from_uuid(id), NewSecret::new(Some(caller.inviter()), link.lasts())?);
    app.change(call, &caller, Reads::member(user).pictures(false), &conditions, &|plan| {
        let (member, text) = plan.invite_again(user, &secret)?;
        let shown = InviteeWithSecret::new(&plan.view(&member), plan.facts(), &text);
        let answer = Answer::json(200, &json!(shown)).uncached().with_etag(shown.invitation.version);
        Ok(answer.secret(shown.invitation.id.to_string()).into())
    })
    .await
}

/// `DELETE /v1/invitations/{id}`: takes back an invitation. The user is no member any more, and their seat is free.
///
/// Needs `member:remove`.
async fn revoke(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    let user = UserId::from_uuid(id);
    app.change(call, &caller, Reads::member(user).unshown(), &conditions, &|plan| {
        plan.revoke_invitation(user)?;
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/invitations" => Box::pin(invite(app, call)),
        "POST /v1/invitations/{id}/resend" => Box::pin(resend(app, call)),
        _ => Box::pin(revoke(app, call)),
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
    let of_one = |route| operation(route).path("id", "The invited user's UUID.", schema_of::<shared::id::Uuid>());
    let invite = operation("POST /v1/invitations").body(InvitationsCreation::read).limited();
    invite.outcomes::<InvitationsMade>().once().describe();
    of_one("POST /v1/invitations/{id}/resend").body(NewLink::read).answer::<InviteeWithSecret>().once().describe();
    of_one("DELETE /v1/invitations/{id}").write().deleted().describe();
}
