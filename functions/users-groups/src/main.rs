use shared::call::MAX_BODY;
use shared::dialect::users::{self, USERS};
use shared::domain::MemberEdit;
use shared::domain::member::change::{Fields, Groups};
use shared::id::GroupId;
use shared::json::{Faulty, Object};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// How the user is in the group.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "GroupMembership"))]
struct Body {
    /// Whether the user manages the group. It stays if it is not given.
    is_admin: Option<bool>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { is_admin: body.optional("is_admin") })
    }
}

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
        Ok((user?, group?, Body::read(parts)?))
    })?;
    let edit = MemberEdit {
        groups: Some(change(GroupId::from_uuid_in(group, caller.tenant), body.is_admin)),
        fields: Fields { groups: "group", ..Fields::default() },
        ..MemberEdit::default()
    };
    app.change(call, &caller, Reads::member(user).naming(&edit), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &edit);
        Ok(users::shown(&plan.view(&member)).into())
    })
    .await
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
        .optional_body(Body::read)
        .limited()
        .answer::<users::User>()
        .describe();
    operation("DELETE /v1/users/{id}/groups/{group}").write().answer::<users::User>().describe();
}
