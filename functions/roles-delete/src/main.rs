use shared::dialect::users::{self, USERS};
use shared::domain::RoleEdit;
use shared::id::RoleId;
use shared::{Answer, App, Call, Problem, Reads, Step};

/// `DELETE /v1/roles/{id}`: deletes a role that nobody holds.
///
/// Needs `role:delete`, and the rank of the role.
async fn delete_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let (id, tenant) = call.all(|parts| {
        let (id, tenant) = (parts.join(call.path_uuid("id")), parts.join(users::tenant(call)));
        Ok((RoleId::from_uuid_in(id?, caller.tenant), tenant?))
    })?;
    caller.same_tenant(tenant)?;
    app.change(call, &caller, Reads::holders(id), &conditions, &|plan| {
        let (role, is_held) = (plan.facts().role(id)?, plan.facts().is_held());
        match (is_held, role.is_retiring()) {
            // The first half: from now on nobody can be given the role. Or, if somebody was just before, it stays.
            (false, false) | (true, true) => {
                plan.update(role, &RoleEdit::Retire(!is_held));
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
