use std::collections::BTreeSet;

use shared::call::MAX_BODY;
use shared::dialect::organization::{MAX_USERS, NO_PROJECTS, Named, ORGANIZATION, Projects, UserName};
use shared::domain::Patch;
use shared::domain::policy::Action;
use shared::id::UserId;
use shared::json::{Faulty, Object, Wire};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Plan, Problem, Reads};

/// A user to remove.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "OrganizationMemberDelete"))]
struct Body {
    #[cfg_attr(test, schemars(flatten))]
    user: UserName,
    /// There are no projects here.
    #[cfg_attr(test, schemars(with = "Option<()>"))]
    #[expect(dead_code, reason = "reading it refuses every value")]
    project_id_list: Patch<Projects>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { user: UserName::read(body), project_id_list: body.clearable("project_id_list") })
    }
}

impl Wire for Body {
    fn read(value: serde_json::Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(Self::read)
    }
}

/// Plans to remove all of them. If one is no member, the plan is refused, with what is wrong with each.
fn remove(plan: &mut Plan, users: &[Named]) {
    let (mut seen, mut faults) = (BTreeSet::new(), Vec::new());
    for (index, user) in users.iter().enumerate() {
        let found = match user {
            Named::Address(email) => plan.facts().member_at(email),
            Named::Id(id) => plan.facts().member(*id),
        };
        if let Ok(member) = found {
            if !seen.insert(plan.remove_member(member).user) {
                faults.push(user.fault(index, "a user who is listed only once"));
            }
        } else {
            plan.with_nobody(&[Action::Read, Action::Remove]);
            faults.push(user.fault(index, "a user who is a member"));
        }
    }
    plan.refuse_for(&faults);
}

/// `PUT /api/v1/organizations/{organization_id}/users/remove`: removes users from an organization, all of them or none.
///
/// Needs `member:remove`; anybody may remove themselves. The last owner stays.
async fn remove_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let (users, conditions) = (call.list::<Body>(MAX_BODY, MAX_USERS)?, call.conditions()?);
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    let users: Vec<Named> = users.into_iter().map(|body| body.user.named()).collect();
    let addresses = users.iter().filter_map(|user| user.address().map(str::to_owned)).collect();
    let reads = Reads::addresses(addresses).and_members(users.iter().filter_map(Named::id));
    app.change(call, &caller, reads, &conditions, &|plan| {
        remove(plan, &users);
        Ok(Answer::empty(204).into())
    })
    .await
}

/// `DELETE /api/v1/organizations/{organization_id}/users/{user_id}`: removes a user from an organization.
///
/// From the next request on they have no rights, no session and no place in a list. Their address is free.
///
/// Needs `member:remove`; anybody may remove themselves. The last owner stays.
async fn remove_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    if !call.says_nothing() {
        return Err(vec![Fault::here(Wrong::Syntax(NO_PROJECTS)).within("body")].into());
    }
    let conditions = call.conditions()?;
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    let user = UserId::parse(call.path("user_id"));
    app.change(call, &caller, Reads::member(user), &conditions, &|plan| {
        plan.remove_member(plan.facts().member(user)?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PUT /api/v1/organizations/{organization_id}/users/remove" => Box::pin(remove_users(app, call)),
        _ => Box::pin(remove_user(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&ORGANIZATION, answer)
}

#[test]
fn description() {
    use openapi::{Operation, organization_in_path};
    use schemars::json_schema;
    let operation = |route| organization_in_path(Operation::new(&ORGANIZATION).route(route));
    operation("PUT /api/v1/organizations/{organization_id}/users/remove")
        .list_body(Body::read, MAX_USERS)
        .limited()
        .deleted()
        .describe();
    operation("DELETE /api/v1/organizations/{organization_id}/users/{user_id}")
        .path("user_id", "The user's UUID or number.", json_schema!({ "type": "string" }))
        .write()
        .deleted()
        .describe();
}
