use serde_json::json;
use shared::dialect::users::{self, ChainCheck, Checkpoints, Events, USERS, user};
use shared::domain::job::EventFilters;
use shared::{Answer, App, Boxed, Call, Problem};

/// `GET /v1/events`: lists what happened in the tenant, the newest first.
///
/// Needs `event:read`. With `order=asc` it is a feed: keep the last `next_cursor`, and ask again. An event is in the feed once it is 15
/// seconds old, so that none is missed.
async fn list_events(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let ((wanted, is_sealed), page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        Ok((users::wanted_events(query, None, caller.tenant)?, call.page(query)))
    })?;
    app.events(call, &caller, &wanted, &page, &|page| Answer::json(200, &json!(Events::new(page, is_sealed)))).await
}

/// `GET /v1/users/{id}/events`: lists what happened to a member, the newest first.
///
/// With `scope=person` it lists all that the record tells of the person: what happened to the member, their sessions and API keys, what
/// they changed, and what your product has written down of them. Such a page can be short or empty, and `next_cursor` leads on.
///
/// Needs `event:read`, and to be allowed to see the member. A member who was removed is found, too. For `me` it needs nothing; without
/// `event:read`, the caller then sees no values that name others in what they changed.
async fn list_user_events(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let ((wanted, is_sealed), page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let member = query.join(user(call, &caller));
        Ok((users::wanted_events(query, Some(member?), caller.tenant)?, call.page(query)))
    })?;
    app.events(call, &caller, &wanted, &page, &|page| Answer::json(200, &json!(Events::new(page, is_sealed)))).await
}

/// `GET /v1/events/verify`: checks that the events of one subject are as they were written.
///
/// Needs `event:read`. One request checks 1,000 events at most, from the first one; `next_cursor` leads to the others.
async fn verify_events(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        Ok((users::wanted_subject(query, caller.tenant)?, call.page(query)))
    })?;
    app.verified(call, &caller, &wanted, &page, &|found| Answer::json(200, &json!(ChainCheck::new(found)))).await
}

/// `GET /v1/users/{id}/events/verify`: checks that the events of a member are as they were written.
///
/// Needs `event:read`, and to be allowed to see the member; nothing for `me`. One request checks 1,000 events at most, from the first
/// one; `next_cursor` leads to the others.
async fn verify_user_events(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (wanted, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let member = query.join(user(call, &caller))?;
        Ok((users::of_member(member, EventFilters::default(), caller.tenant), call.page(query)))
    })?;
    app.verified(call, &caller, &wanted, &page, &|found| Answer::json(200, &json!(ChainCheck::new(found)))).await
}

/// `GET /v1/events/checkpoints`: lists the signed checkpoints of the record, the newest first.
///
/// Needs `event:read`. There is one for each day on which something happened, some time after its end (UTC). Each covers all events from
/// the first one of the tenant, so the newest is enough to check the whole record.
async fn list_checkpoints(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let page = users::in_tenant(call, &caller, call.parameters(), |query| Ok(call.page(query)))?;
    app.checkpoints(call, &caller, &page, &|page| Answer::json(200, &json!(Checkpoints::new(page)))).await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/events" => Box::pin(list_events(app, call)),
        "GET /v1/users/{id}/events" => Box::pin(list_user_events(app, call)),
        "GET /v1/events/checkpoints" => Box::pin(list_checkpoints(app, call)),
        "GET /v1/events/verify" => Box::pin(verify_events(app, call)),
        _ => Box::pin(verify_user_events(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, one_of, required_query, schema_of, user_or_me, uuid_in_header};
    use shared::dialect::users::{EVENT_ORDERS, EVENT_SCOPES};
    use shared::domain::Time;
    use shared::domain::meta::MAX_NAME;
    use shared::json::Text;
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let subject = "A kind and an id with a `:` between them, such as `member:` and a UUID.";
    let filtered = |operation: Operation| {
        operation
            .query("from", "Only those of this time and later.", schema_of::<Time>())
            .query("to", "Only those before this time.", schema_of::<Time>())
            .query(
                "actor",
                "Only those of this author: `member:` or `key:` and a UUID, or `product`.",
                schema_of::<Text<MAX_NAME>>(),
            )
            .query(
                "action",
                "Only those in which that happened: `created`, `updated`, `deleted`, or in your words.",
                schema_of::<Text<MAX_NAME>>(),
            )
            .query(
                "order",
                "`desc`, the default, begins with the newest, and `asc` with the oldest.",
                one_of(EVENT_ORDERS),
            )
            .query("sealed", "Whether each event has what it takes to check it elsewhere.", one_of("true, false"))
            .page::<Events>()
    };
    let all = operation("GET /v1/events");
    let some = format!("Only those of this subject, or of all of a kind. {subject}");
    filtered(all.query("subject", &some, schema_of::<Text<MAX_NAME>>())).describe();
    let id = "The user's UUID, or `me` for the caller.";
    let of_user = operation("GET /v1/users/{id}/events").path("id", id, user_or_me());
    let scope = "`member`, the default, for the events of the member, and `person` for all that tell of the person.";
    filtered(of_user.query("scope", scope, one_of(EVENT_SCOPES))).describe();
    operation("GET /v1/events/checkpoints").page::<Checkpoints>().describe();
    let further = "The `next_cursor` of the answer before.";
    let checked = |operation: Operation| {
        operation.query("cursor", further, schema_of::<Text<{ shared::call::MAX_CURSOR }>>()).found::<ChainCheck>()
    };
    let one = operation("GET /v1/events/verify");
    checked(required_query(one, "subject", subject, schema_of::<Text<MAX_NAME>>())).describe();
    checked(operation("GET /v1/users/{id}/events/verify").path("id", id, user_or_me())).describe();
}
