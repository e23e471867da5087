use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Transfer, USERS, User};
use shared::domain::MemberEdit;
use shared::domain::member::change::Roles;
use shared::domain::role;
use shared::id::{UserId, Uuid};
use shared::json::{Faulty, Object};
use shared::{Answer, App, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "OwnershipTransfer"))]
struct Body {
    /// The UUID of the new owner: an active member.
    to: Uuid,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { to: body.required("to")? })
    }
}

/// `POST /v1/tenant/transfer-ownership`: makes another member an owner in place of the caller, who becomes an admin. Both
/// happen or neither.
///
/// Needs the role `owner`.
async fn transfer(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let to = UserId::from_uuid(users::in_tenant(call, &caller, body, Body::read)?.to);
    let becomes = |role| MemberEdit { roles: Some(Roles::BuiltIn(role)), ..MemberEdit::default() };
    let (owner, admin) = (becomes(role::OWNER), becomes(role::ADMIN));
    let from = caller.user()?;
    app.change(call, &caller, Reads::member(to).and_member(from), &conditions, &|plan| {
        let facts = plan.facts();
        if to == Some(from) {
            plan.refuse(Problem::NotFound("other user"));
        }
        let new = plan.update(facts.member(to)?, &owner);
        if !new.is_active() {
            plan.refuse(Problem::NotFound("active user"));
        }
        let former = plan.update(facts.member(Some(from))?, &admin);
        let (owner, former_owner) = (plan.view(&new), plan.view(&former));
        let shown = Transfer { owner: User::new(&owner), former_owner: User::new(&former_owner) };
        Ok(Answer::json(200, &json!(shown)).with_etag(owner.version()).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(transfer(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Body::read)
        .answer::<Transfer>()
        .describe();
}
