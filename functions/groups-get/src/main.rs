use serde_json::json;
use shared::dialect::users::{self, Groups, ShownGroup, USERS};
use shared::domain::meta::MAX_EXTERNAL_ID;
use shared::id::GroupId;
use shared::json::Text;
use shared::{Answer, App, Boxed, Call, NamedList, Problem, Reads};

/// `GET /v1/groups`: lists the tenant's groups, in the order of their names.
///
/// Any active member may do this.
async fn list_groups(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let external_id = query.optional::<Text<MAX_EXTERNAL_ID>>("external_id").map(|Text(text)| text);
        Ok((NamedList { external_id, ..users::named(query) }, call.page(query)))
    })?;
    app.groups(call, &caller, &wanted, &page, &|page| {
        let data = page.things.iter().map(ShownGroup::new).collect();
        Answer::json(200, &json!(Groups { data, next_cursor: page.next_cursor.as_deref() }))
    })
    .await
}

/// `GET /v1/groups/{id}`: shows a group.
///
/// Any active member may do this.
async fn get_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::group(GroupId::from_uuid_in(id, caller.tenant)), &|reading| {
        let group = reading.group()?;
        Ok(Answer::json(200, &json!(ShownGroup::new(&group))).with_etag(group.version()))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/groups/{id}" => Box::pin(get_group(app, call)),
        _ => Box::pin(list_groups(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use shared::domain::meta::MAX_NAME;

    use openapi::{Operation, named_order, schema_of, uuid_in_header};
    let tenant = "The tenant's UUID: the credential's.";
    Operation::new(&USERS)
        .route("GET /v1/groups")
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .query("external_id", "Only the group with this id in another system.", schema_of::<Text<MAX_EXTERNAL_ID>>())
        .query(
            "q",
            "Only those whose name begins with this text, without regard to case and accents.",
            schema_of::<Text<MAX_NAME>>(),
        )
        .query("sort", "The order, descending with a `-`.", named_order())
        .page::<Groups>()
        .describe();
    Operation::new(&USERS)
        .route("GET /v1/groups/{id}")
        .path("id", "The group's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .answer::<ShownGroup>()
        .describe();
}
