use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, CedarText, ShownTrial, USERS};
use shared::json::{Count, Faulty, Object};
use shared::{Answer, App, Boxed, Call, Problem};

/// How many changes of the past a draft is tried on.
const MAX_EVENTS: usize = 100;

/// A policy that is not in force.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "PolicyDraft"))]
struct Draft {
    /// Statements in Cedar that forbid, at most 10,240 bytes.
    text: CedarText,
}

impl Draft {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { text: body.required("text")? })
    }
}

/// `POST /v1/policies/dry-run`: says what a policy would refuse the members of the tenant, if it were in force now, and which of the last
/// changes it would have refused. Nothing is written, but for an event that tells of the look at the record, if the tenant has
/// `record_reads`.
///
/// Needs the role `owner`. A change is judged as its request was: whether its author, and whoever had to be allowed beside them (who acted
/// as them, had approved it or made the API key), could act in the tenant at all, and then each thing that it did. They and changed
/// records count as they are now; a change is not judged if one of them is gone, or if the product made it.
async fn try_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (page, events) = users::in_tenant(call, &caller, call.parameters(), |query| {
        let page = call.page(query);
        let past = query.optional("events").map(|Count::<MAX_EVENTS>(events)| events);
        // Further pages of members tell the same of the past.
        let unless_later = if page.cursor.is_none() { MAX_EVENTS } else { 0 };
        Ok((page, past.unwrap_or(unless_later)))
    })?;
    let (_, compiled) = users::in_tenant(call, &caller, call.body(MAX_BODY)?, |body| {
        let draft = Draft::read(body)?;
        body.join(draft.text.compiled(policy_text::admit))
    })?;
    app.try_policy(call, &caller, (&compiled, events), &page, &|trial| {
        Answer::json(200, &json!(ShownTrial::new(trial))).uncached()
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    Box::pin(try_policy(app, call))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    let schema =
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_EVENTS, "default": MAX_EVENTS });
    Operation::new(&USERS)
        .route("POST /v1/policies/dry-run")
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .query("events", "On how many of the last changes the policy is tried.", schema)
        .question::<_, ShownTrial>(Draft::read)
        .pages()
        .describe();
}
