use serde_json::json;
use shared::dialect::members;
use shared::dialect::membership::{self, MEMBERSHIP, Users};
use shared::json::Digits;
use shared::{Answer, App, Call, Problem};

/// `GET /users-organizations/v1/rs/users`: lists the users in an organization.
///
/// With `extend=actions-info`, `actionsInfo` of each user says what the caller may do with them now.
///
/// Needs `member:read`; the manager of a group may list its members, in the order of their ids.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_and_session(call).await?;
    let (wanted, has_actions_info, page) = call.parameters().all(|query| {
        let wanted = members::wanted(query, |group: Digits| group.id());
        Ok((wanted, membership::has_actions_info(query), call.page(query)))
    })?;
    app.list(call, &caller, &wanted, &page, &|page| Answer::json(200, &json!(Users::new(page, has_actions_info)))).await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&MEMBERSHIP, |app, call| Box::pin(list_users(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    // A number of any size: nobody is in a group that cannot be.
    let number = json_schema!({ "type": "integer" });
    openapi::Operation::new(&MEMBERSHIP)
        .members("Only those in this group: its number.", number)
        .query("extend", "What the answer has beside each user.", openapi::one_of(membership::EXTENSIONS))
        .page::<Users>()
        .describe();
}
