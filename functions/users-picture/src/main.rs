use shared::dialect::users::{self, DataUri, MAX_PICTURE_BODY, USERS};
use shared::gate::{Conditions, NewPicture};
use shared::id::UserId;
use shared::json::{Faulty, Object};
use shared::{Answer, App, Boxed, Call, Caller, Problem, Reads};

/// A picture.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserPicture"))]
struct Body {
    /// A data URI of a PNG, JPEG, WebP or GIF image, in base64. The content tells the type.
    picture: DataUri,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { picture: body.required("picture")? })
    }
}

/// The picture of the body, and the user.
fn wanted(call: &Call, caller: &Caller) -> Result<(NewPicture, Option<UserId>), Problem> {
    if call.is_json() {
        return users::in_tenant(call, caller, call.body(MAX_PICTURE_BODY)?, |body| {
            let (read, user) = (Body::read(body), body.join(users::user(call, caller)));
            Ok((read?.picture.0, user?))
        });
    }
    let picture = users::image(call)?;
    let user = users::in_tenant(call, caller, call.parts(), |parts| parts.join(users::user(call, caller)))?;
    Ok((picture, user))
}

/// `PUT /v1/users/{id}/picture`: gives a user a picture, or with `me` the caller.
///
/// The body is a PNG, JPEG, WebP or GIF image, or JSON with a data URI of one. Its first bytes tell its type.
///
/// Needs `member:update-profile`; anybody may change their own picture.
async fn put_picture(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let (picture, user) = wanted(call, &caller)?;
    change(app, call, &caller, user, Some(&picture), &conditions).await
}

/// `DELETE /v1/users/{id}/picture`: takes the picture of a user, or with `me` of the caller.
///
/// Needs `member:update-profile`; anybody may change their own picture.
async fn delete_picture(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    change(app, call, &caller, user, None, &conditions).await
}

async fn change(
    app: &App,
    call: &Call,
    caller: &Caller,
    user: Option<UserId>,
    picture: Option<&NewPicture>,
    conditions: &Conditions,
) -> Result<Answer, Problem> {
    // The answer shows the new picture, not the one that is stored.
    app.change(call, caller, Reads::member(user).pictures(false), conditions, &|plan| {
        let member = plan.set_picture(plan.facts().member(user)?, picture)?;
        Ok(users::shown(&plan.view(&member)).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PUT /v1/users/{id}/picture" => Box::pin(put_picture(app, call)),
        _ => Box::pin(delete_picture(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, user_or_me, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        let operation = operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header());
        operation.path("id", "The user's UUID, or `me` for the caller.", user_or_me())
    };
    operation("PUT /v1/users/{id}/picture").body(Body::read).or_image().answer::<users::User>().describe();
    operation("DELETE /v1/users/{id}/picture").write().answer::<users::User>().describe();
}
