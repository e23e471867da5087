use shared::dialect::users::{self, USERS};
use shared::domain::MemberEdit;
use shared::domain::member::change::Ending;
use shared::id::{UserId, Uuid};
use shared::{Answer, App, Call, Problem, Reads};

/// `DELETE /v1/sessions/{id}`: ends a session of the caller, or of another member. From the next request on, its tokens are refused.
///
/// Everybody may end their own. `member:end-sessions` allows to end those of others who do not outrank the caller.
async fn end_session(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (id, user) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let user = query.optional::<Uuid>("user");
        let id = match call.path("id") {
            "current" => Ok(None),
            _ => query.join(call.path_uuid("id").map(Some)),
        };
        Ok((id?, user))
    })?;
    let user = user.map_or(caller.member(), UserId::from_uuid);
    let id = id.map_or_else(|| caller.session().to_owned(), |id| id.to_string());
    let is_current = user.is_some() && user == caller.member() && id == caller.session();
    let answer = end(app, call, user, Ending::One(id)).await?;
    Ok(if is_current { app.without_cookie(call, answer) } else { answer })
}

/// `DELETE /v1/users/{id}/sessions`: ends all sessions of a member; `me` for the caller, who ends the one of this request, too.
///
/// Everybody may end their own. `member:end-sessions` allows to end those of others who do not outrank the caller.
async fn end_sessions(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    end(app, call, user, Ending::All).await
}

async fn end(app: &App, call: &Call, user: Option<UserId>, ends: Ending) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let edit = MemberEdit { ends: Some(ends), ..MemberEdit::default() };
    app.change(call, &caller, Reads::member(user).unshown(), &call.conditions()?, &|plan| {
        plan.update(plan.facts().member(user)?, &edit);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| match call.route.as_str() {
        "DELETE /v1/sessions/{id}" => Box::pin(end_session(app, call)),
        _ => Box::pin(end_sessions(app, call)),
    })
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, user_or_me, uuid_in_header};
    let new = |route| {
        Operation::new(&USERS).route(route).header(
            "X-Tenant-ID",
            "The tenant's UUID: the credential's.",
            uuid_in_header(),
        )
    };
    new("DELETE /v1/sessions/{id}")
        .path("id", "The session's id; `current` for the one of this request.", openapi::uuid_or("current"))
        .query("user", "The member; the caller, if nobody is named.", schema_of::<Uuid>())
        .write()
        .ended()
        .describe();
    new("DELETE /v1/users/{id}/sessions")
        .path("id", "The member's UUID; `me` for the caller.", user_or_me())
        .write()
        .ended()
        .describe();
}
