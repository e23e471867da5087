use serde_json::json;
use shared::dialect::users::{self, Tenant, USERS};
use shared::domain::{Patch, TenantEdit};
use shared::json::Text;
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `DELETE /v1/tenant`: deletes the tenant of the credential. From the next request on nobody can act in it. An owner can
/// restore it for 30 days.
///
/// Needs the role `owner`.
async fn delete_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let Text(confirm) =
        users::in_tenant(call, &caller, call.parameters(), |query| query.required::<Text<63>>("confirm"))?;
    app.change(call, &caller, Reads::of_deleted_tenant(), &conditions, &|plan| {
        plan.facts().tenant().is_live()?;
        if confirm != plan.facts().tenant().slug {
            let differs = Fault::here(Wrong::Differs("the tenant's slug"));
            plan.refuse(vec![differs.within("confirm").within("query")].into());
        }
        let deleted_at = Patch::Set(plan.facts().now());
        let tenant = plan.update(plan.facts().own_tenant(), &TenantEdit { deleted_at, ..TenantEdit::default() });
        let shown = Tenant::new(&tenant);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version).into())
    })
    .await
}

/// `POST /v1/tenant/restore`: restores a deleted tenant with everything in it, within 30 days.
///
/// Needs the role `owner`.
async fn restore_tenant(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    users::in_tenant(call, &caller, call.parts(), |_| Ok(()))?;
    app.change(call, &caller, Reads::of_deleted_tenant(), &conditions, &|plan| {
        if !plan.facts().tenant().is_restorable(plan.facts().now()) {
            plan.refuse(Problem::NotFound("deleted tenant"));
        }
        let edit = TenantEdit { deleted_at: Patch::Clear, ..TenantEdit::default() };
        let tenant = plan.update(plan.facts().own_tenant(), &edit);
        let shown = Tenant::new(&tenant);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/tenant/restore" => Box::pin(restore_tenant(app, call)),
        _ => Box::pin(delete_tenant(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, required_query, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let slug = schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9-]{2,63}$" });
    let delete = operation("DELETE /v1/tenant");
    required_query(delete, "confirm", "The tenant's slug, to confirm.", slug).write().answer::<Tenant>().describe();
    operation("POST /v1/tenant/restore").write().answer::<Tenant>().describe();
}
