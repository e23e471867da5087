use std::collections::BTreeSet;

use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::organization::{MAX_USERS, Membership, Named, ORGANIZATION, Projects, UserName};
use shared::domain::member::change::{Fields, Roles};
use shared::domain::policy::Action;
use shared::domain::{Member, MemberEdit, Patch, Status};
use shared::id::Uuid;
use shared::json::{Faulty, Object, Wire};
use shared::problem::Fault;
use shared::{Answer, App, Call, Plan, Problem, Reads};

/// A user to add.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "OrganizationMemberCreate"))]
struct Body {
    #[cfg_attr(test, schemars(flatten))]
    user: UserName,
    /// A role's UUID. Without one, the user gets the role of new members.
    role_id: Patch<Uuid>,
    /// There are no projects here.
    #[cfg_attr(test, schemars(with = "Option<()>"))]
    #[expect(dead_code, reason = "reading it refuses every value")]
    project_ids: Patch<Projects>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (role_id, project_ids) = (body.clearable("role_id"), body.clearable("project_ids"));
        Ok(Self { user: UserName::read(body), role_id, project_ids })
    }
}

/// A user to add, and what they get.
struct NewUser {
    user: Named,
    role: Option<Uuid>,
}

impl Wire for NewUser {
    fn read(value: serde_json::Value) -> Result<Self, Vec<Fault>> {
        let Body { user, role_id, .. } = Object::read(value)?.all(Body::read)?;
        Ok(Self { user: user.named(), role: role_id.set() })
    }
}

impl NewUser {
    fn edit(&self, index: usize) -> MemberEdit {
        MemberEdit {
            email: self.user.address().map(str::to_owned),
            roles: Some(self.role.map_or(Roles::Default, |role| Roles::Exactly(vec![role.to_string()]))),
            status: Some(Status::Invited),
            fields: Fields { index: Some(index), roles: "role_id", ..Fields::default() },
            ..MemberEdit::default()
        }
    }
}

/// Plans to add all of them. If one cannot be added, the plan is refused, with what is wrong with each.
fn add(plan: &mut Plan, users: &[NewUser]) -> Result<Vec<Member>, Problem> {
    let facts = plan.facts();
    let fault = |(index, new): (usize, &NewUser)| match &new.user {
        Named::Address(email) if facts.has_joined(email) => {
            Some(new.user.fault(index, "the address of somebody who is no member"))
        }
        Named::Id(user) if facts.removed(*user).is_err() => {
            Some(new.user.fault(index, "the id of a user who was a member and was removed"))
        }
        _ => None,
    };
    let mut faults: Vec<Fault> = users.iter().enumerate().filter_map(fault).collect();
    plan.refuse_for(&faults);
    let (mut added, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, new) in users.iter().enumerate() {
        let member = match &new.user {
            Named::Address(_) => plan.add_member(&new.edit(index))?,
            Named::Id(user) => match facts.removed(*user) {
                Ok(removed) => plan.add_again(removed, &new.edit(index)),
                Err(_) => {
                    plan.with_nobody(&[Action::Invite(facts.catalog().inviters)]);
                    continue;
                }
            },
        };
        let is_first = [seen.insert(member.user.to_string()), seen.insert(member.email.to_lowercase())];
        if is_first != [true; 2] {
            faults.push(new.user.fault(index, "a user who is listed only once"));
        }
        added.push(member);
    }
    plan.refuse_for(&faults);
    Ok(added)
}

/// `PUT /api/v1/organizations/{organization_id}/users`: adds users to an organization, all of them or none.
///
/// A user is invited, with one role. `email` adds a person, `user_id` adds a removed user again.
///
/// Needs `member:invite`, and all that it takes to give the roles.
async fn add_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let (users, conditions) = (call.list::<NewUser>(MAX_BODY, MAX_USERS)?, call.conditions()?);
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    let addresses = users.iter().filter_map(|new| new.user.address().map(str::to_owned)).collect();
    let reads = Reads::persons(addresses).and_members(users.iter().filter_map(|new| new.user.id()));
    app.change(call, &caller, reads, &conditions, &|plan| {
        let added = add(plan, &users)?;
        let shown: Vec<_> = added.iter().map(|member| Membership::new(&plan.view(member))).collect();
        Ok(Answer::json(200, &json!(shown)).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&ORGANIZATION, |app, call| Box::pin(add_users(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, organization_in_path};
    organization_in_path(Operation::new(&ORGANIZATION))
        .list_body(Body::read, MAX_USERS)
        .limited()
        .named()
        .several::<Membership>()
        .describe();
}
