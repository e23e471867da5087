use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::tenant::{Success, TENANT};
use shared::domain::member::change::{Fields, MemberEdit, Roles};
use shared::id::UserId;
use shared::json::{Faulty, Object, Text};
use shared::{Answer, App, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "TenantUserRoleUpdate", rename_all = "camelCase"))]
struct Body {
    /// A role's UUID, number or name.
    role_id: Text<250>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { role_id: body.required("roleId")? })
    }
}

/// `PATCH /api/v1/tenant/{tenantId}/user/{userId}`: updates the role of a user in a tenant (seed 000).
///
/// The member's roles become exactly the given one.
///
/// Needs `member:assign-role`; anybody may take a lower role themselves.
async fn update_user_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let body = body.all(Body::read)?;
    caller.same_tenant(caller.tenant_spelled(call.path("tenantId")))?;

    let update = MemberEdit {
        roles: Some(Roles::Exactly(vec![body.role_id.0])),
        fields: Fields { roles: "roleId", ..Fields::default() },
        ..MemberEdit::default()
    };
    let user = UserId::parse(call.path("userId"));
    app.change(call, &caller, Reads::member(user), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &update);
        let view = plan.view(&member);
        Ok(Answer::json(200, &json!(Success::new(&view))).with_etag(view.version()).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&TENANT, |app, call| Box::pin(update_user_role(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    openapi::Operation::new(&TENANT)
        .path("tenantId", "The tenant's UUID, number or slug: the credential's.", json_schema!({ "type": "string" }))
        .path("userId", "The user's UUID or number.", json_schema!({ "type": "string" }))
        .body(Body::read)
        .answer::<Success>()
        .describe();
}
