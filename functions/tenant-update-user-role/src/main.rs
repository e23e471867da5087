use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call};
use shared::dialect::tenant::Success;
use shared::id::UserId;
use shared::json::{Faults, Required, Text};
use shared::members::{Fields, Roles, Target, Update, View};
use shared::{Dialect, Problem};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TenantUserRoleUpdate"))]
struct Body {
    /// A role's UUID, number or name.
    role_id: Required<Text<250>>,
}

/// `PATCH /api/v1/tenant/{tenantId}/user/{userId}`: updates the role of a user in a tenant (seed 000).
///
/// The member's roles become exactly the given one.
///
/// Needs `member:assign-role`; anybody may take a lower role themselves.
async fn update_user_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, write) = call.write::<Body>()?;
    let mut faults = Faults::default();
    let role = faults.required("roleId", body.role_id);
    faults.check()?;
    caller.same_tenant(caller.tenant_spelled(call.path("tenantId")))?;

    let update = Update {
        roles: Some(Roles::Exactly(role.into_iter().map(|role| role.0).collect())),
        fields: Fields { roles: "roleId", ..Fields::default() },
        ..Update::default()
    };
    let target = Target::User(UserId::parse(call.path("userId")));
    app.update_member(call, &caller, target, &update, &write, render).await
}

fn render(view: &View) -> Value {
    json!(Success::new(view))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Tenant, |app, call| Box::pin(update_user_role(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    shared::openapi::Operation::new(Dialect::Tenant)
        .path("tenantId", "The tenant's UUID, number or slug: the credential's.", json_schema!({ "type": "string" }))
        .path("userId", "The user's UUID or number.", json_schema!({ "type": "string" }))
        .body::<Body>()
        .answer::<Success>()
        .describe();
}
