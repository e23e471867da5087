use serde_json::json;
use shared::dialect::organization::{self, Assignment, ORGANIZATION, Role};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /api/v1/organizations/{organization_id}/roles`: lists the roles of an organization, built-in ones too, in the order of
/// their numbers.
///
/// Any active member may do this.
async fn list_roles(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let page = call.parameters().all(|query| Ok(organization::page(call, query)))?;
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    app.read(call, &caller, Reads::none(), &|reading| {
        let (roles, next_cursor) = reading.roles(None, &page)?;
        let roles: Vec<_> = roles.into_iter().map(|role| Role::new(role, caller.tenant)).collect();
        Ok(organization::listed(&json!(roles), &page, next_cursor.as_deref()))
    })
    .await
}

/// `GET /api/v1/organizations/{organization_id}/users/roles`: shows the role of the caller in an organization.
///
/// Of several roles it is the first in the list of the organization's roles.
///
/// Any active member may do this.
async fn get_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    let user = caller.user()?;
    app.read(call, &caller, Reads::member(Some(user)), &|reading| {
        let view = reading.see(reading.facts().member(Some(user))?)?;
        Ok(organization::shown(&json!(Assignment::new(&view))).with_etag(view.version()))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /api/v1/organizations/{organization_id}/roles" => Box::pin(list_roles(app, call)),
        _ => Box::pin(get_role(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&ORGANIZATION, answer)
}

#[test]
fn description() {
    use openapi::{Operation, organization_in_path};
    let operation = |route| organization_in_path(Operation::new(&ORGANIZATION).route(route));
    operation("GET /api/v1/organizations/{organization_id}/roles").linked_page::<Role>().describe();
    operation("GET /api/v1/organizations/{organization_id}/users/roles")
        .answer::<Assignment>()
        .with_header("x-content-type-options")
        .describe();
}
