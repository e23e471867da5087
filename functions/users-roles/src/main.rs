use shared::dialect::users::{self, Change, USERS};
use shared::domain::member::change::Roles;
use shared::id::RoleId;
use shared::{Answer, App, Boxed, Call, Problem};

/// `PUT /v1/users/{id}/roles/{role}`: gives a member one role more. A role that they have stays.
///
/// Needs `member:assign-role`, at least the rank of the role, and every permission that the member gains by it.
async fn give_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    change_roles(app, call, Roles::With).await
}

/// `DELETE /v1/users/{id}/roles/{role}`: takes one role from a member. The last role stays.
///
/// Needs `member:assign-role`; anybody may give up a role of their own.
async fn take_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    change_roles(app, call, Roles::Without).await
}

async fn change_roles(app: &App, call: &Call, change: fn(Option<RoleId>) -> Roles) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let (user, role) = users::in_tenant(call, &caller, call.parts(), |parts| {
        let (user, role) = (parts.join(users::user(call, &caller)), parts.join(call.path_uuid("role")));
        Ok((user?, role?))
    })?;
    let edit = users::roles(change, RoleId::from_uuid_in(role, caller.tenant));
    let change = Change::Update(user, Box::new(edit));
    app.change(call, &caller, change.reads(), &conditions, &|plan| Ok(change.plan(plan, false)?.into())).await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PUT /v1/users/{id}/roles/{role}" => Box::pin(give_role(app, call)),
        _ => Box::pin(take_role(app, call)),
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
            .path("role", "The role's UUID.", schema_of::<shared::id::Uuid>())
            .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
            .write()
    };
    operation("PUT /v1/users/{id}/roles/{role}").limited().answer::<users::User>().describe();
    operation("DELETE /v1/users/{id}/roles/{role}").answer::<users::User>().describe();
}
