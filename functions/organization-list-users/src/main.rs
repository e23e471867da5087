use serde_json::json;
use shared::dialect::organization::{self, Membership, ORGANIZATION};
use shared::list::Sort;
use shared::{Answer, App, Call, MemberList, Problem};

/// `GET /api/v1/organizations/{organization_id}/users`: lists the users of an organization, in the order of their ids.
///
/// Needs `member:read`.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_or_cookie(call).await?;
    let page = call.parameters().all(|query| Ok(organization::page(call, query)))?;
    caller.same_tenant(caller.tenant_spelled(call.path("organization_id")))?;
    let wanted = MemberList { sort: Sort::Id, ..MemberList::default() };
    app.list(call, &caller, &wanted, &page, &|found| {
        let users: Vec<_> = found.members.iter().map(Membership::new).collect();
        organization::listed(&json!(users), &page, found.next_cursor.as_deref())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&ORGANIZATION, |app, call| Box::pin(list_users(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, organization_in_path};
    organization_in_path(Operation::new(&ORGANIZATION)).linked_page::<Membership>().describe();
}
