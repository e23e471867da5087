use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{
    self, ShownWebhook, USERS, WebhookCreation, WebhookRotation, WebhookUpdate, WebhookWithSecret,
};
use shared::domain::Webhook;
use shared::gate::Unseen;
use shared::id::WebhookId;
use shared::webhook::Secret;
use shared::{Answer, App, Boxed, Call, Plan, Problem, Reads};

/// `POST /v1/webhooks`: makes a webhook. The answer shows its secret, once.
///
/// `webhook:manage` allows it, with `event:read`. From then on each change of a record that passes the filters is delivered: a POST to
/// the URL with a CloudEvent, signed as Standard Webhooks says.
async fn create_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let new = users::in_tenant(call, &caller, body, WebhookCreation::read)?.fields();
    let (secret, is_laptop) = (Secret::new()?, app.has_local_webhooks()?);
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        let webhook = plan.make_webhook(&new, &secret, is_laptop)?;
        let shown = WebhookWithSecret { webhook: ShownWebhook::new(&webhook), secret: secret.text() };
        let id = shown.webhook.id.to_string();
        let answer = Answer::json(201, &json!(shown)).uncached().with_etag(shown.webhook.version);
        Ok(answer.with_header("location", format!("/v1/webhooks/{id}")).secret(id).into())
    })
    .await
}

/// `PATCH /v1/webhooks/{id}`: changes a webhook, disables it, or enables it again.
///
/// `webhook:manage` allows it, with `event:read`.
async fn update_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (update, id) = users::in_tenant(call, &caller, body, |body| {
        let (update, id) = (WebhookUpdate::read(body), body.join(call.path_uuid("id")));
        Ok((update?.fields(), id?))
    })?;
    let is_laptop = app.has_local_webhooks()?;
    app.change(call, &caller, Reads::webhook(WebhookId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let webhook = plan.set_webhook(plan.facts().webhook()?, &update, is_laptop);
        let shown = ShownWebhook::new(&webhook);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version).into())
    })
    .await
}

/// `POST /v1/webhooks/{id}/rotate`: gives a webhook another secret. The answer shows it, once. For a while the secret before signs, too.
///
/// `webhook:manage` allows it, with `event:read`.
async fn rotate_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (overlap, id) = users::in_tenant(call, &caller, body, |body| {
        let (rotation, id) = (WebhookRotation::read(body), body.join(call.path_uuid("id")));
        Ok((rotation?.overlap(), id?))
    })?;
    let secret = Secret::new()?;
    app.change(call, &caller, Reads::webhook(WebhookId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let webhook = plan.rotate_webhook(plan.facts().webhook()?, &secret, overlap)?;
        let shown = WebhookWithSecret { webhook: ShownWebhook::new(&webhook), secret: secret.text() };
        let answer = Answer::json(200, &json!(shown)).uncached().with_etag(shown.webhook.version);
        Ok(answer.secret(shown.webhook.id.to_string()).into())
    })
    .await
}

/// `POST /v1/webhooks/{id}/test`: delivers a test, also to a webhook that is not enabled. It is tried once; if it fails, it is among
/// the failures.
///
/// `webhook:manage` allows it, with `event:read`. The test is a CloudEvent of the type `rolecall.test`, about this request.
async fn test_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    ask_for(app, call, &|plan, webhook| plan.test_webhook(webhook)).await
}

/// `POST /v1/webhooks/{id}/replay`: delivers again the first 1,000 changes that could not be delivered, also to a webhook that is not
/// enabled. The others stay among the failures: ask again for them.
///
/// `webhook:manage` allows it, with `event:read`. `GET …/failures` lists them.
async fn replay_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    ask_for(app, call, &|plan, webhook| plan.replay_webhook(webhook)).await
}

/// What somebody asks for is a change of the webhook: its event has it delivered.
async fn ask_for(
    app: &App,
    call: &Call,
    ask: &(dyn for<'f> Fn(&mut Plan<'f>, Unseen<'f, Webhook>) -> Webhook + Send + Sync),
) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::webhook(WebhookId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let webhook = plan.facts().webhook()?;
        let webhook = ask(plan, webhook);
        Ok(Answer::json(202, &json!(ShownWebhook::new(&webhook))).into())
    })
    .await
}

/// `DELETE /v1/webhooks/{id}`: deletes a webhook. It gets no delivery more.
///
/// `webhook:manage` allows it, with `event:read`.
async fn delete_webhook(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::webhook(WebhookId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        plan.delete(plan.facts().webhook()?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/webhooks" => Box::pin(create_webhook(app, call)),
        "PATCH /v1/webhooks/{id}" => Box::pin(update_webhook(app, call)),
        "POST /v1/webhooks/{id}/rotate" => Box::pin(rotate_webhook(app, call)),
        "POST /v1/webhooks/{id}/test" => Box::pin(test_webhook(app, call)),
        "POST /v1/webhooks/{id}/replay" => Box::pin(replay_webhook(app, call)),
        _ => Box::pin(delete_webhook(app, call)),
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
    let of_webhook = |route| operation(route).path("id", "The webhook's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/webhooks").body(WebhookCreation::read).created::<WebhookWithSecret>().once().describe();
    of_webhook("PATCH /v1/webhooks/{id}").body(WebhookUpdate::read).answer::<ShownWebhook>().describe();
    let rotation = of_webhook("POST /v1/webhooks/{id}/rotate").body(WebhookRotation::read);
    rotation.answer::<WebhookWithSecret>().once().describe();
    for route in ["POST /v1/webhooks/{id}/test", "POST /v1/webhooks/{id}/replay"] {
        of_webhook(route).write().sent::<ShownWebhook>().describe();
    }
    of_webhook("DELETE /v1/webhooks/{id}").write().deleted().describe();
}
