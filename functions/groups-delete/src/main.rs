use shared::dialect::users::{self, USERS};
use shared::id::GroupId;
use shared::{Answer, App, Call, Problem, Reads};

/// `DELETE /v1/groups/{id}`: deletes a group. It is gone at once; if it has members, a job takes them out of it.
///
/// Needs `group:manage`, and every permission that a member of the group gains by it.
async fn delete_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    let id = GroupId::from_uuid_in(id, caller.tenant);
    app.change(call, &caller, Reads::members_of(id), &conditions, &|plan| {
        Ok(users::deletion(plan.delete_group()?, plan.facts().tenant()))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(delete_group(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    Operation::new(&USERS)
        .path("id", "The group's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .write()
        .deleted()
        .accepted::<users::ShownJob>()
        .describe();
}
