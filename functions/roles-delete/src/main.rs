use shared::dialect::users::{self, USERS};
use shared::domain::RoleEdit;
use shared::id::RoleId;
use shared::{Answer, App, Call, Problem, Reads, Step};

/// `DELETE /v1/roles/{id}`: deletes a role that nobody holds.
///
/// Needs `role:delete`, and the rank of the role.
// In two halves. The first retires the role, so that no request can give it to a member any more. The second deletes it, or takes
// the retirement back if a request was quicker.
async fn delete_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    let id = RoleId::from_uuid_in(id, caller.tenant);
    app.change(call, &caller, Reads::holders(id), &conditions, &|plan| {
        let (role, is_held) = (plan.facts().role(id)?, plan.facts().is_held());
        match (is_held, role.is_retiring()) {
            (false, false) | (true, true) => {
                plan.update(role, &RoleEdit::retire(!is_held));
                return Ok(Step::Half);
            }
            (true, false) => plan.refuse(Problem::InUse("role")),
            (false, true) => {}
        }
        plan.delete(role);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(delete_role(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    Operation::new(&USERS)
        .path("id", "The role's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .write()
        .deleted()
        .describe();
}
