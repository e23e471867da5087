use shared::dialect::users::{self, USERS};
use shared::{Answer, App, Call, Problem, Reads};

/// `GET /v1/users/{id}/picture`: gives the picture of a user, or with `me` of the caller, as an image.
///
/// It has an `etag` of its own, for `If-None-Match`. No page can make a document of it.
///
/// Anybody who may see the member may do this.
async fn get_picture(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    app.read(call, &caller, Reads::member(user).unshown().pictures(true), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        let (about, content) = view.picture().ok_or(Problem::NotFound("picture"))?;
        let answer = Answer::new(200, &about.media_type, content.into());
        Ok(call
            .unless_known(&about.sha256, answer)
            .with_header("content-security-policy", "default-src 'none'; sandbox")
            .with_header("x-content-type-options", "nosniff"))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(get_picture(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, user_or_me, uuid_in_header};
    Operation::new(&USERS)
        .path("id", "The user's UUID, or `me` for the caller.", user_or_me())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .image()
        .describe();
}
