use serde_json::json;
use shared::dialect::users::{self, Label, Labels, USERS};
use shared::{Answer, App, Call, Problem};

/// `GET /v1/labels`: lists the tenant's labels, in the order of their names. A label is a profession.
///
/// Any active member may do this.
async fn list_labels(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) =
        users::in_tenant(call, &caller, call.parameters(), |query| Ok((users::named(query), call.page(query))))?;
    app.labels(call, &caller, &wanted, &page, &|page| {
        let data = page.things.iter().map(Label::new).collect();
        Answer::json(200, &json!(Labels { data, next_cursor: page.next_cursor.as_deref() }))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(list_labels(app, call)))
}

#[test]
fn description() {
    use shared::domain::meta::MAX_NAME;
    use shared::json::Text;

    use openapi::{Operation, named_order, schema_of, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .query(
            "q",
            "Only those whose name begins with this text, without regard to case and accents.",
            schema_of::<Text<MAX_NAME>>(),
        )
        .query("sort", "The order, descending with a `-`.", named_order())
        .page::<Labels>()
        .describe();
}
