use serde_json::json;
use shared::dialect::directory::{self, DIRECTORY, Wrap};
use shared::id::UserId;
use shared::{Answer, App, Call, Problem, Reads};

/// `GET /api/{tenant}/{version}/users/{id}`: shows a user of a tenant.
///
/// Needs the role `admin` or `owner`, and `member:read`, which nobody needs for themselves or for a group that they
/// manage.
async fn get_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    directory::version(call)?;
    let caller = app.bearer(call).await?;
    let id = call.parts().all(|parts| parts.join(call.path_digits("id")))?;
    caller.same_slug(call.path("tenant"))?;
    // No user has a number that is too large for an id: 404.
    let user = UserId::parse(id);
    app.read(call, &caller, Reads::member(user), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        Ok(Answer::json(200, &json!(Wrap::new(&view))).with_etag(view.version()))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&DIRECTORY, |app, call| Box::pin(get_user(app, call)))
}

#[test]
fn description() {
    openapi::Operation::new(&DIRECTORY)
        .directory()
        .path("id", "The user's number.", openapi::int32())
        .answer::<Wrap>()
        .describe();
}
