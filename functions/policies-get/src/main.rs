use serde_json::json;
use shared::dialect::users::{self, Policies, ShownPolicy, USERS};
use shared::id::PolicyId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/policies`: lists the policies of the tenant's own, in the order of their names.
///
/// Needs `policy:read`.
async fn list_policies(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) =
        users::in_tenant(call, &caller, call.parameters(), |query| Ok((users::named(query), call.page(query))))?;
    app.policies(call, &caller, &wanted, &page, &|page| {
        let data = page.things.iter().map(ShownPolicy::new).collect();
        Answer::json(200, &json!(Policies { data, next_cursor: page.next_cursor.as_deref() }))
    })
    .await
}

/// `GET /v1/policies/{id}`: shows a policy of the tenant's own.
///
/// Needs `policy:read`.
async fn get_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::policy(PolicyId::from_uuid_in(id, caller.tenant)), &|reading| {
        let policy = reading.own_policy()?;
        Ok(Answer::json(200, &json!(ShownPolicy::new(&policy))).with_etag(policy.version()))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/policies/{id}" => Box::pin(get_policy(app, call)),
        _ => Box::pin(list_policies(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, named_order, schema_of, uuid_in_header};
    use shared::domain::meta::MAX_NAME;
    use shared::json::Text;
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("GET /v1/policies")
        .query(
            "q",
            "Only those whose name begins with this text, without regard to case and accents.",
            schema_of::<Text<MAX_NAME>>(),
        )
        .query("sort", "The order, descending with a `-`.", named_order())
        .page::<Policies>()
        .describe();
    let one = operation("GET /v1/policies/{id}");
    one.path("id", "The policy's UUID.", schema_of::<shared::id::Uuid>()).answer::<ShownPolicy>().describe();
}
