use serde_json::json;
use shared::dialect::membership::{self, Found, MEMBERSHIP};
use shared::{Answer, App, Call, Problem, Reads};

/// `GET /users-organizations/v1/rs/users/{userId}`: shows a user in an organization.
///
/// With `extend=actions-info`, `actionsInfo` says what the caller may do with the user now.
///
/// Needs `member:read`; anybody may see themselves, and a manager of a group its members.
async fn get_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_and_session(call).await?;
    let (user, has_actions_info) = call.parameters().all(|query| {
        let (user, has) = (query.join(membership::user(call, &caller)), membership::has_actions_info(query));
        Ok((user?, has))
    })?;
    app.read(call, &caller, Reads::member(user), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        let found = Found::new(reading.facts(), &view, has_actions_info);
        Ok(Answer::json(200, &json!(found)).with_etag(view.version()))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&MEMBERSHIP, |app, call| Box::pin(get_user(app, call)))
}

#[test]
fn description() {
    openapi::Operation::new(&MEMBERSHIP)
        .path("userId", "The user's number, or `me` for the caller.", openapi::number_or_me())
        .query("extend", "What the answer has beside the user.", openapi::one_of(membership::EXTENSIONS))
        .answer::<Found>()
        .describe();
}
