use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call, MAX_BODY};
use shared::dialect::organization::Assignment;
use shared::id::{TenantId, UserId, Uuid};
use shared::json::{Faulty, Object, Text};
use shared::members::{Fields, Roles, Target, Update, View};
use shared::problem::{Fault, Wrong};
use shared::{Dialect, Problem};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserOrganizationRoleAssignment"))]
struct Body {
    /// A user's UUID or number.
    user_id: Text<250>,
    /// The same as in the path.
    #[expect(dead_code, reason = "`read` compares it with the path")]
    organization_id: Uuid,
    /// A role's UUID.
    role_id: Uuid,
}

impl Body {
    /// `tenant` is the tenant of the path, `None` if the path has the slug of another tenant or of none.
    fn read(body: &mut Object, tenant: Option<TenantId>) -> Result<Self, Faulty> {
        let user_id = body.required("user_id");
        let organization_id = body.required("organization_id");
        let role_id = body.required("role_id");
        // Without a tenant the answer is 403, whatever the body says.
        let differs = |organization: &Uuid| tenant.is_some() && TenantId::from_uuid(*organization) != tenant;
        if organization_id.as_ref().is_ok_and(differs) {
            body.refuse(Fault::here(Wrong::Differs("`organization_id` of the path")).within("organization_id"));
        }
        Ok(Self { user_id: user_id?, organization_id: organization_id?, role_id: role_id? })
    }
}

/// `PUT /api/v1/organizations/{organization_id}/users/roles`: assigns a role to a user in an organization (seed 004).
///
/// The member's roles become exactly the given one.
///
/// Needs `member:assign-role`; anybody may take a lower role themselves.
async fn assign_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let tenant = caller.tenant_spelled(call.path("organization_id"));
    let (body, write) = (call.body(MAX_BODY)?, call.conditions()?);
    let body = body.all(|body| Body::read(body, tenant))?;
    caller.same_tenant(tenant)?;

    let update = Update {
        roles: Some(Roles::Exactly(vec![body.role_id.to_string()])),
        fields: Fields { roles: "role_id", ..Fields::default() },
        ..Update::default()
    };
    let target = Target::User(UserId::parse(&body.user_id.0));
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
        .body(|body| Body::read(body, None))
        .answer::<Assignment>()
        .describe();
}
