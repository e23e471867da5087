use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::organization::{Assignment, ORGANIZATION};
use shared::domain::member::change::{Fields, MemberEdit, Roles};
use shared::id::{TenantId, UserId, Uuid};
use shared::json::{Faulty, Object, Text};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Call, Problem, Reads};

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
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let body = body.all(|body| Body::read(body, tenant))?;
    caller.same_tenant(tenant)?;

    let update = MemberEdit {
        roles: Some(Roles::Exactly(vec![body.role_id.to_string()])),
        fields: Fields { roles: "role_id", ..Fields::default() },
        ..MemberEdit::default()
    };
    let user = UserId::parse(&body.user_id.0);
    app.change(call, &caller, Reads::member(user), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &update);
        let view = plan.view(&member);
        Ok(Answer::json(200, &json!(Assignment::new(&view))).with_etag(view.version()).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&ORGANIZATION, |app, call| Box::pin(assign_role(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, organization_in_path};
    organization_in_path(Operation::new(&ORGANIZATION))
        .body(|body| Body::read(body, None))
        .answer::<Assignment>()
        .describe();
}
