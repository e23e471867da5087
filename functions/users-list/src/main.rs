use serde_json::json;
use shared::dialect::users::{self, ListedUser, STATUSES, USERS, UserStatus, Users};
use shared::domain::meta::MAX_EXTERNAL_ID;
use shared::id::{GroupId, TenantId, Uuid};
use shared::json::{MAX_ADDRESS, Object, Text};
use shared::list::Sort;
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Call, MemberList, Problem};

const SORTS: &str = "name, -name, email, -email, id, -id";

/// Reads the filters and the order. Members of a role or group come by id, if the client asks for no order: those have an index.
fn wanted(query: &mut Object, tenant: TenantId) -> MemberList {
    let mut text = |name| query.optional::<Text<250>>(name).map(|Text(text)| text);
    let (role, status, sort, beginning) = (text("role"), text("status"), text("sort"), text("q"));
    let email = query.optional::<Text<MAX_ADDRESS>>("email").map(|Text(text)| text);
    let external_id = query.optional::<Text<MAX_EXTERNAL_ID>>("external_id").map(|Text(text)| text);
    let group = query.optional::<Uuid>("group").map(|group| GroupId::from_uuid_in(group, tenant));
    let by_default = if role.is_some() || group.is_some() { "id" } else { "name" };
    let asked = sort.as_deref().unwrap_or(by_default);
    let sort = match asked.strip_prefix('-').unwrap_or(asked) {
        "name" => Some(Sort::Name),
        "email" => Some(Sort::Email),
        "id" => Some(Sort::Id),
        _ => None,
    };
    if sort.is_none() {
        query.refuse(Fault::here(Wrong::NotOneOf(SORTS)).within("sort"));
    }
    let status = status.and_then(|text| {
        let status = UserStatus::named(&text);
        if status.is_none() {
            query.refuse(Fault::here(Wrong::NotOneOf(STATUSES)).within("status"));
        }
        status.map(|status| status.0)
    });
    let (sort, descending) = (sort.unwrap_or(Sort::Name), asked.starts_with('-'));
    MemberList { sort, descending, role, group, status, email, external_id, beginning }
}

/// `GET /v1/users`: lists the tenant's members.
///
/// Needs `member:read`; the manager of a group may list its members, in the order of their ids.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        Ok((wanted(query, caller.tenant), call.page(query)))
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
    use schemars::json_schema;
    let one_of = |names: &str| json_schema!({ "type": "string", "enum": names.split(", ").collect::<Vec<_>>() });
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .query("role", "Only those who hold this role: its UUID, number or name.", schema_of::<Text<250>>())
        .query("group", "Only those in this group: its UUID.", schema_of::<Uuid>())
        .query("status", "Only those with this status.", one_of(STATUSES))
        .query("email", "Only the member with this address, without regard to case.", schema_of::<Text<MAX_ADDRESS>>())
        .query("external_id", "Only the member with this id in another system.", schema_of::<Text<MAX_EXTERNAL_ID>>())
        .query(
            "q",
            "Only those whose name or address begins with this text, without regard to case; in names without regard to \
             accents, too. By name, those whose name matches come first; by address, those whose address matches.",
            schema_of::<Text<250>>(),
        )
        .query(
            "sort",
            "The order, descending with a `-`. `name` if it is not given, but `id` with `role` or `group`. Names come from an \
             index, which can lag behind a change by some milliseconds; so do the matches of `q` in them.",
            one_of(SORTS),
        )
        .page::<Users>()
        .describe();
}
