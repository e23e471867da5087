use shared::call::MAX_BODY;
use shared::dialect::users::{self, Change, USERS, UserCreation};
use shared::{Answer, App, Call, Problem};

/// `POST /v1/users`: adds a user to the tenant. A user who was removed comes back with what the request gives them.
///
/// Needs `member:invite`, and all that it takes to give the roles and the groups; `member:set-status`, unless the user is
/// invited.
async fn create_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let edit = users::in_tenant(call, &caller, body, UserCreation::read)?.edit(caller.tenant);
    let change = Change::Create(Box::new(edit));
    app.change(call, &caller, change.reads(), &conditions, &|plan| Ok(change.plan(plan, false)?.into())).await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(create_user(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    use shared::dialect::users::User;
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(UserCreation::read)
        .created::<User>()
        .describe();
}
