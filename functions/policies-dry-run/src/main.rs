use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, CedarText, ShownTrial, USERS};
use shared::json::{Faulty, Object};
use shared::{Answer, App, Boxed, Call, Problem};

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

/// `POST /v1/policies/dry-run`: says what a policy would refuse the members of the tenant, if it were in force now. Nothing is written.
///
/// Only an owner may.
async fn try_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let page = users::in_tenant(call, &caller, call.parameters(), |query| Ok(call.page(query)))?;
    let (_, compiled) = users::in_tenant(call, &caller, call.body(MAX_BODY)?, |body| {
        let draft = Draft::read(body)?;
        body.join(draft.text.compiled(policy_text::admit))
    })?;
    app.try_policy(call, &caller, &compiled, &page, &|trial| {
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
    Operation::new(&USERS)
        .route("POST /v1/policies/dry-run")
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .question::<_, ShownTrial>(Draft::read)
        .pages()
        .describe();
}
