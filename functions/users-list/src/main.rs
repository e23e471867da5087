use serde_json::json;
use shared::dialect::members;
use shared::dialect::users::{self, ListedUser, USERS, Users};
use shared::domain::meta::MAX_EXTERNAL_ID;
use shared::id::GroupId;
use shared::json::Text;
use shared::{Answer, App, Call, MemberList, Problem};

/// `GET /v1/users`: lists the tenant's members.
///
/// Needs `member:read`; the manager of a group may list its members, in the order of their ids.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let wanted = members::wanted(query, |group| GroupId::from_uuid_in(group, caller.tenant));
        let external_id = query.optional::<Text<MAX_EXTERNAL_ID>>("external_id").map(|Text(text)| text);
        Ok((MemberList { external_id, ..wanted }, call.page(query)))
    })?;
    app.list(call, &caller, &wanted, &page, &|page| {
        let data = page.members.iter().map(ListedUser::new).collect();
        Answer::json(200, &json!(Users { data, next_cursor: page.next_cursor.as_deref() }))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(list_users(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use shared::id::Uuid;
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .members("Only those in this group: its UUID.", schema_of::<Uuid>())
        .query("external_id", "Only the member with this id in another system.", schema_of::<Text<MAX_EXTERNAL_ID>>())
        .page::<Users>()
        .describe();
}
