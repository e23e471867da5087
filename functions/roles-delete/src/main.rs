use shared::dialect::users::{self, USERS};
use shared::domain::meta::MAX_NAME;
use shared::id::RoleId;
use shared::json::Text;
use shared::{Answer, App, Call, Problem, Reads};

/// `DELETE /v1/roles/{id}`: deletes a role. Its holders, if there are any, get another one in its place: a job gives it to them.
///
/// Needs `role:delete`, and the rank of the role. With holders: the rank of the other role, too, and every permission that a
/// holder gains.
async fn delete_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let (id, reassign_to) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let reassign_to = query.optional::<Text<MAX_NAME>>("reassign_to").map(|Text(role)| role);
        Ok((query.join(call.path_uuid("id"))?, reassign_to))
    })?;
    let id = RoleId::from_uuid_in(id, caller.tenant);
    app.change(call, &caller, Reads::holders(id), &conditions, &|plan| {
        Ok(users::deletion(plan.delete_role(id, reassign_to.as_deref())?, plan.facts().tenant()))
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
        .query(
            "reassign_to",
            "The role that its holders get in its place: its UUID, number or name. Without it, a role that somebody holds \
             stays.",
            schema_of::<Text<MAX_NAME>>(),
        )
        .write()
        .deleted()
        .accepted::<users::ShownJob>()
        .describe();
}
