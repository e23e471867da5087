use shared::call::MAX_BODY;
use shared::dialect::users::{self, Change, GroupMembership, USERS};
use shared::domain::member::change::Groups;
use shared::id::GroupId;
use shared::json::Object;
use shared::{Answer, App, Boxed, Call, Problem};

/// `PUT /v1/users/{id}/groups/{group}`: puts a user into a group. The body can be left out.
///
/// Needs `member:set-groups`, every permission and the rank of the roles that the group confers, and `member:update-profile`;
/// for a manager of the group, `member:read`, too.
async fn join_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    change_groups(app, call, body, Groups::With).await
}

/// `DELETE /v1/users/{id}/groups/{group}`: takes a user out of a group.
///
/// Needs `member:set-groups`; anybody may leave a group.
async fn leave_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    change_groups(app, call, call.parts(), |group, _| Groups::Without(group)).await
}

async fn change_groups(
    app: &App,
    call: &Call,
    body: Object,
    change: fn(Option<GroupId>, Option<bool>) -> Groups,
) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let (user, group, body) = users::in_tenant(call, &caller, body, |parts| {
        let (user, group) = (parts.join(users::user(call, &caller)), parts.join(call.path_uuid("group")));
        Ok((user?, group?, GroupMembership::read(parts)?))
    })?;
    let edit = users::joining(change, GroupId::from_uuid_in(group, caller.tenant), body.is_admin);
    let change = Change::Update(user, Box::new(edit));
    app.change(call, &caller, change.reads(), &conditions, &|plan| Ok(change.plan(plan, false)?.into())).await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PUT /v1/users/{id}/groups/{group}" => Box::pin(join_group(app, call)),
        _ => Box::pin(leave_group(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, user_or_me, uuid_in_header};
    let operation = |route| {
        Operation::new(&USERS)
            .route(route)
            .path("id", "The user's UUID, or `me` for the caller.", user_or_me())
            .path("group", "The group's UUID.", schema_of::<shared::id::Uuid>())
            .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("PUT /v1/users/{id}/groups/{group}")
        .optional_body(GroupMembership::read)
        .limited()
        .answer::<users::User>()
        .describe();
    operation("DELETE /v1/users/{id}/groups/{group}").write().answer::<users::User>().describe();
}
