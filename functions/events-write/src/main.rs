use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, EventCreation, ShownEvent, USERS};
use shared::{Answer, App, Call, Problem, Reads};

/// `POST /v1/events`: writes down what happened to a thing of your product.
///
/// Needs `event:write`. The event is in the same record as those of members and roles. All events of a thing form a chain.
async fn create_event(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (name, happening) = users::in_tenant(call, &caller, body, EventCreation::read)?.happening();
    app.change(call, &caller, Reads::thing(&name), &conditions, &|plan| {
        let event = plan.note(&name, &happening)?;
        let shown = ShownEvent::new(&event, caller.tenant, false);
        let place = format!("/v1/events?subject=thing:{name}");
        Ok(Answer::json(201, &json!(shown)).with_etag(event.version).with_header("location", place).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(create_event(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(EventCreation::read)
        .created::<ShownEvent>()
        .describe();
}
