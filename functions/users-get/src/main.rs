use serde_json::json;
use shared::dialect::users::{self, PersonalData, USERS, UserPermission, UserPermissions};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/users/{id}`: shows a member of the tenant, or with `me` the caller.
///
/// Needs `member:read`; anybody may see themselves, and a manager of a group its members.
async fn get_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    app.read(call, &caller, Reads::member(user), &|reading| {
        reading.see(reading.facts().member(user)?).map(|view| users::shown(&view))
    })
    .await
}

/// `GET /v1/users/{id}/permissions`: lists the permissions that a member's roles grant or deny, and says which roles.
///
/// A front end asks again and again with `me`: the `etag` tells whether anything has changed.
///
/// Anybody who may see the member may do this.
async fn list_permissions(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (user, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let (user, page) = (query.join(users::user(call, &caller)), call.page(query));
        Ok((user?, page))
    })?;
    app.read(call, &caller, Reads::member(user).unshown(), &|reading| {
        let view = reading.see(reading.facts().member(user)?)?;
        let (origins, next_cursor) = reading.origins(&view, &page)?;
        let data: Vec<_> = origins.iter().map(|origin| UserPermission::new(origin, &view)).collect();
        // The cursor is another text each time.
        let tag = Call::tag_of(&json!([data, next_cursor.is_some()]));
        Ok(call.unless_known(&tag, Answer::json(200, &json!(UserPermissions { data, next_cursor }))))
    })
    .await
}

/// `GET /v1/users/{id}/export`: gives all that the tenant holds on a person, for the person to have.
///
/// The user with the picture, the roles, the groups and the metadata; the invitation; the live sessions with their devices; the API
/// keys that the user has made, without their secrets; the `iss` and `sub` by which issuers know them; their request to join, if
/// there is one. The user can be a removed one. No part is left out: a caller who may not see one gets 403. The events, and
/// what the product has written down, are in `GET /v1/users/{id}/events?scope=person`.
///
/// Anybody may export their own. For others it needs `member:read`, `member:read-sessions`, `key:manage` if the user has made API keys,
/// and `member:invite` if they have asked to join.
async fn export_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    app.personal(call, &caller, user, &|personal| Answer::json(200, &json!(PersonalData::new(personal))).uncached())
        .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/users/{id}/permissions" => Box::pin(list_permissions(app, call)),
        "GET /v1/users/{id}/export" => Box::pin(export_user(app, call)),
        _ => Box::pin(get_user(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, user_or_me, uuid_in_header};
    let operation = |route| {
        Operation::new(&USERS).route(route).path("id", "The user's UUID, or `me` for the caller.", user_or_me()).header(
            "X-Tenant-ID",
            "The tenant's UUID: the credential's.",
            uuid_in_header(),
        )
    };
    operation("GET /v1/users/{id}").answer::<users::User>().describe();
    operation("GET /v1/users/{id}/export").uncached::<PersonalData>().describe();
    operation("GET /v1/users/{id}/permissions").page::<UserPermissions>().tagged("page").describe();
}
