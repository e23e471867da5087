use serde_json::json;
use shared::dialect::users::{self, NamedPermission, Permissions, Role, Roles, USERS};
use shared::domain::meta::MAX_EXTERNAL_ID;
use shared::domain::role;
use shared::id::RoleId;
use shared::json::Text;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/roles`: lists the tenant's roles, built-in ones too, in the order of their numbers.
///
/// Any active member may do this.
async fn list_roles(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (external_id, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let external_id = query.optional::<Text<MAX_EXTERNAL_ID>>("external_id").map(|Text(text)| text);
        Ok((external_id, call.page(query)))
    })?;
    app.read(call, &caller, Reads::none(), &|reading| {
        let (roles, next_cursor) = reading.roles(external_id.as_deref(), &page)?;
        let data = roles.into_iter().map(|role| Role::new(role, caller.tenant)).collect();
        Ok(Answer::json(200, &json!(Roles { data, next_cursor })))
    })
    .await
}

/// `GET /v1/roles/{id}`: shows a role of the tenant, or a built-in one.
///
/// Any active member may do this.
async fn get_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    let id = RoleId::from_uuid_in(id, caller.tenant);
    app.read(call, &caller, Reads::none(), &|reading| {
        let shown = Role::new(reading.role(id)?, caller.tenant);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

/// `GET /v1/permissions`: lists the permissions that a role of the tenant grants or denies, in the order of their names.
///
/// Any active member may do this.
async fn list_permissions(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let page = users::in_tenant(call, &caller, call.parameters(), |query| Ok(call.page(query)))?;
    app.read(call, &caller, Reads::none(), &|reading| {
        let (permissions, next_cursor) = reading.permissions(&page)?;
        let named = permissions.into_iter().map(|it| NamedPermission {
            name: &it.name,
            description: it.description.as_deref(),
            is_built_in: role::is_of_product(&it.name),
        });
        Ok(Answer::json(200, &json!(Permissions { data: named.collect(), next_cursor })))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/roles" => Box::pin(list_roles(app, call)),
        "GET /v1/permissions" => Box::pin(list_permissions(app, call)),
        _ => Box::pin(get_role(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    let operation = |route| {
        let tenant = "The tenant's UUID: the credential's.";
        Operation::new(&USERS).route(route).header("X-Tenant-ID", tenant, uuid_in_header())
    };
    operation("GET /v1/roles")
        .query("external_id", "Only the role with this id in another system.", schema_of::<Text<MAX_EXTERNAL_ID>>())
        .page::<Roles>()
        .describe();
    operation("GET /v1/permissions").page::<Permissions>().describe();
    operation("GET /v1/roles/{id}")
        .path("id", "The role's UUID.", schema_of::<shared::id::Uuid>())
        .answer::<Role>()
        .describe();
}
