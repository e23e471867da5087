use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, USERS, User, UserFields};
use shared::domain::member::change::Roles;
use shared::domain::{MemberEdit, Status};
use shared::id::TenantId;
use shared::json::{Address, Faulty, Object};
use shared::{Answer, App, Call, Problem, Reads};

/// A user to add. Without `status` they are invited; without `roles` they get the role of new members.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserCreation"))]
struct Body {
    /// The address of the person; unique in the tenant without regard to case. Who has it in another tenant is the same user.
    email: Address,
    #[cfg_attr(test, schemars(flatten))]
    fields: UserFields,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (email, fields) = (body.required("email"), UserFields::read(body));
        Ok(Self { email: email?, fields })
    }

    fn edit(self, tenant: TenantId) -> MemberEdit {
        let edit = self.fields.edit(tenant);
        MemberEdit {
            email: Some(self.email.0),
            roles: edit.roles.or(Some(Roles::Default)),
            status: edit.status.or(Some(Status::Invited)),
            ..edit
        }
    }
}

/// `POST /v1/users`: adds a user to the tenant. A user who was removed comes back with what the request gives them.
///
/// Needs `member:invite`, and all that it takes to give the roles and the groups; `member:set-status`, unless the user is
/// invited.
async fn create_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let edit = users::in_tenant(call, &caller, body, Body::read)?.edit(caller.tenant);
    let email = edit.email.clone().unwrap_or_default();
    app.change(call, &caller, Reads::person(&email).naming(&edit), &conditions, &|plan| {
        let member = plan.add_member(&edit)?;
        let view = plan.view(&member);
        let place = format!("/v1/users/{}", member.user.uuid());
        Ok(Answer::json(201, &json!(User::new(&view))).with_etag(view.version()).with_header("location", place).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(create_user(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Body::read)
        .created::<User>()
        .describe();
}
