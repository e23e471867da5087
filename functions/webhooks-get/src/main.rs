use serde_json::json;
use shared::dialect::users::{self, ShownWebhook, USERS, WebhookFailures, Webhooks};
use shared::id::WebhookId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/webhooks`: lists the webhooks of the tenant, without their secrets, in the order in which they were made.
///
/// `webhook:manage` allows it, with `event:read`.
async fn list_webhooks(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let page = users::in_tenant(call, &caller, call.parameters(), |query| Ok(call.page(query)))?;
    app.webhooks(call, &caller, &page, &|webhooks, next_cursor| {
        let data = webhooks.iter().map(|webhook| ShownWebhook::new(webhook)).collect();
        Answer::json(200, &json!(Webhooks { data, next_cursor }))
    })
    .await
}

/// `GET /v1/webhooks/{id}`: shows a webhook, without its secret.
///
/// `webhook:manage` allows it, with `event:read`.
async fn get_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::webhook(WebhookId::from_uuid_in(id, caller.tenant)), &|reading| {
        let shown = ShownWebhook::new(reading.see_webhook(reading.facts().webhook()?)?);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

/// `GET /v1/webhooks/{id}/failures`: lists the changes that could not be delivered to a webhook within 24 hours, the oldest first. They are
/// kept for 30 days.
///
/// `webhook:manage` allows it, with `event:read`. `POST …/replay` delivers them again.
async fn list_failures(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (id, page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let (id, page) = (query.join(call.path_uuid("id")), call.page(query));
        Ok((id?, page))
    })?;
    app.undelivered(call, &caller, WebhookId::from_uuid_in(id, caller.tenant), &page, &|failures, next_cursor| {
        Answer::json(200, &json!(WebhookFailures::new(failures, next_cursor)))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/webhooks" => Box::pin(list_webhooks(app, call)),
        "GET /v1/webhooks/{id}/failures" => Box::pin(list_failures(app, call)),
        _ => Box::pin(get_webhook(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("GET /v1/webhooks").page::<Webhooks>().describe();
    let one = operation("GET /v1/webhooks/{id}");
    one.path("id", "The webhook's UUID.", schema_of::<shared::id::Uuid>()).answer::<ShownWebhook>().describe();
    let failures = operation("GET /v1/webhooks/{id}/failures");
    failures.path("id", "The webhook's UUID.", schema_of::<shared::id::Uuid>()).page::<WebhookFailures>().describe();
}
