use serde_json::json;
use shared::dialect::directory::{self, DIRECTORY, Users};
use shared::{Answer, App, Call, Problem};

/// `GET /api/{tenant}/{version}/users`: lists the users of a tenant.
///
/// A user of a list has no `profile_pic`.
///
/// Needs the role `admin` or `owner`, and `member:read`. Without that permission, a manager of a group may list its
/// members, in the order of ids.
async fn list_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    directory::version(call)?;
    let caller = app.bearer(call).await?;
    let parameters = call.parameters_with_several("filters");
    let (wanted, page) = parameters.all(|query| Ok((directory::wanted(query), call.page(query))))?;
    caller.same_slug(call.path("tenant"))?;
    app.list(call, &caller, &wanted, &page, &|page| Answer::json(200, &json!(Users::new(page)))).await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&DIRECTORY, |app, call| Box::pin(list_users(app, call)))
}

#[test]
fn description() {
    use directory::{KEYS, MAX_FILTER, ORDERS};
    use openapi::{BEGINNING, LAGGING, one_of, schema_of};
    use schemars::json_schema;
    use shared::json::Text;
    let filters = json_schema!({ "type": "array", "items": schema_of::<Text<MAX_FILTER>>() });
    let keys =
        "`full_name` is the same as `name`. `name` if it is not given, but `id` with a filter by `role` or `group`.";
    openapi::Operation::new(&DIRECTORY)
        .directory()
        .query(
            "filters",
            "`field:operator:value`, and several values with a `|` between them, of which one must match. Each filter \
             must match; no field may be there twice. `role` and `status` take the numbers or the names of the enums, \
             `group` the numbers of groups, `email` one address. The operators `eq` and `in` are the same.",
            filters,
        )
        .query("search", BEGINNING, schema_of::<Text<250>>())
        .query("sort_by_key", &format!("{keys} {LAGGING}"), one_of(KEYS))
        .query("sort_order", "`asc` if it is not given.", one_of(ORDERS))
        .page::<Users>()
        .describe();
}
