use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::directory::{self, DIRECTORY, Invite, InvitesCreation, WrappedInvites};
use shared::domain::member::invitation::LASTS;
use shared::{Answer, App, Boxed, Call, Invitees, Problem, View};

/// `POST /api/{tenant}/{version}/user_invites/create_v2`: invites people, each with the same role and groups.
///
/// The answer has an invitation for each address that got one, with the secret that accepts it, which is shown once; how many addresses
/// found no seat; and why others got none. No mail is sent. An invitation is good for 7 days.
///
/// Needs the role `admin` or `owner`, `member:invite`, and all that it takes to give the role and the groups.
async fn invite_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    directory::version(call)?;
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (emails, edit) = body.all(InvitesCreation::read)?.wanted();
    caller.same_slug(call.path("tenant"))?;
    let invitees = Invitees { emails: &emails, edit, lasts: LASTS };
    let shown = |view: &View, secret: &str| json!(Invite::new(view, secret));
    let lines = app.invite(call, &caller, &invitees, &conditions, &shown).await?;
    Ok(Answer::json(200, &json!(WrappedInvites::new(&emails, lines))).uncached())
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    Box::pin(invite_users(app, call))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&DIRECTORY, answer)
}

#[test]
fn description() {
    let operation = openapi::Operation::new(&DIRECTORY).directory().body(InvitesCreation::read).limited();
    operation.outcomes::<WrappedInvites>().once().describe();
}
