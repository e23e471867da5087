use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call};
use shared::dialect::organization::Assignment;
use shared::id::{TenantId, UserId, Uuid};
use shared::json::{Faults, Required, Text};
use shared::members::{Fields, Roles, Target, Update, View};
use shared::problem::Wrong;
use shared::{Dialect, Problem};

#[derive(Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserOrganizationRoleAssignment"))]
struct Body {
    /// A user's UUID or number.
    user_id: Required<Text<250>>,
    /// The same as in the path.
    organization_id: Required<Uuid>,
    /// A role's UUID.
    role_id: Required<Uuid>,
}

/// `PUT /api/v1/organizations/{organization_id}/users/roles`: assigns a role to a user in an organization (seed 004).
///
/// The member's roles become exactly the given one.
///
/// Needs `member:assign-role`; anybody may take a lower role themselves.
async fn assign_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let (body, write) = call.write::<Body>()?;
    let mut faults = Faults::default();
    let user = faults.required("user_id", body.user_id);
    let organization = faults.required("organization_id", body.organization_id);
    let role = faults.required("role_id", body.role_id);
    let tenant = caller.tenant_spelled(call.path("organization_id"));
    // A slug that is not the caller's is another tenant's, or nobody's: that is the answer, whatever the body says.
    if tenant.is_some() && organization.is_some_and(|organization| TenantId::from_uuid(organization) != tenant) {
        faults.add(["body", "organization_id"], Wrong::Differs("`organization_id` of the path"));
    }
    faults.check()?;
    caller.same_tenant(tenant)?;

    let update = Update {
        roles: Some(Roles::Exactly(role.into_iter().map(|role| role.to_string()).collect())),
        fields: Fields { roles: "role_id", ..Fields::default() },
        ..Update::default()
    };
    let target = Target::User(user.and_then(|user| UserId::parse(&user.0)));
    app.update_member(call, &caller, target, &update, &write, render).await
}

fn render(view: &View) -> Value {
    json!(Assignment::new(view))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Organization, |app, call| Box::pin(assign_role(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    shared::openapi::Operation::new(Dialect::Organization)
        .path(
            "organization_id",
            "The organization's UUID, number or slug: the credential's.",
            json_schema!({ "type": "string" }),
        )
        .body::<Body>()
        .answer::<Assignment>()
        .describe();
}
