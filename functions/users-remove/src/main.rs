use shared::dialect::users::{self, Change, USERS};
use shared::{Answer, App, Boxed, Call, Caller, Problem, Reads};

/// `DELETE /v1/users/{id}`: removes a user from the tenant, or with `me` the caller.
///
/// From the next request on they have no rights, no session and no place in a list. Their address is free. They can be
/// restored.
///
/// With `erase=true` a job erases the data that name them, in the record too, and nobody can restore them. That can be done with a
/// user who was removed before.
///
/// Needs `member:remove`; anybody may remove themselves. To erase needs `event:read`, too, and nobody erases themselves. The last
/// owner stays.
async fn remove_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (user, erases) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let erases = users::flag(query, "erase");
        Ok((query.join(users::user(call, &caller))?, erases))
    })?;
    if !erases {
        return change(app, call, &caller, Change::Remove(user)).await;
    }
    app.change(call, &caller, Reads::erased(user), &call.conditions()?, &|plan| {
        Ok(users::deletion(plan.erase_member(&caller, user)?, plan.facts().tenant()))
    })
    .await
}

/// `POST /v1/tenant/leave`: removes the caller from the tenant.
///
/// Everybody may but the last owner.
async fn leave_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    users::in_tenant(call, &caller, call.parts(), |_| Ok(()))?;
    change(app, call, &caller, Change::Remove(Some(caller.user()?))).await
}

async fn change(app: &App, call: &Call, caller: &Caller, change: Change) -> Result<Answer, Problem> {
    let conditions = call.conditions()?;
    app.change(call, caller, change.reads(), &conditions, &|plan| Ok(change.plan(plan, false)?.into())).await
}

/// `POST /v1/users/{id}/restore`: makes a removed user a member again.
///
/// They get those of their former roles and groups that the caller may give now, and their former status; without any such
/// role, the role of new members.
///
/// Needs `member:invite`, and `member:set-status` unless the user was invited.
async fn restore_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let user = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(users::user(call, &caller)))?;
    change(app, call, &caller, Change::Restore(user)).await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/users/{id}/restore" => Box::pin(restore_user(app, call)),
        "POST /v1/tenant/leave" => Box::pin(leave_tenant(app, call)),
        _ => Box::pin(remove_user(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, one_of, user_or_me, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let of_user = |route| operation(route).path("id", "The user's UUID, or `me` for the caller.", user_or_me()).write();
    of_user("DELETE /v1/users/{id}")
        .query("erase", "Whether the data that name the user are erased, too.", one_of("true, false"))
        .deleted()
        .accepted::<users::ShownJob>()
        .describe();
    of_user("POST /v1/users/{id}/restore").answer::<users::User>().describe();
    operation("POST /v1/tenant/leave").write().deleted().describe();
}
