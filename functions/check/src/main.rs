use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Check, ShownDecision, USERS};
use shared::{Answer, App, Call, Problem, Reads};

/// `POST /v1/check`: says whether a member may do something now, by their roles, the policies and the tenant's own rules.
///
/// Everybody may ask about themselves, an API key too. `decision:check` allows to ask about others.
async fn check(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (question, is_explained) = users::in_tenant(call, &caller, call.body(MAX_BODY)?, |body| {
        let check = Check::read(body)?;
        let is_explained = check.is_explained();
        Ok((body.join(check.question(&caller))?, is_explained))
    })?;
    app.read(call, &caller, Reads::questions([&question]), &|reading| {
        let decision = reading.decide(&question)?;
        Ok(Answer::json(200, &json!(ShownDecision::new(&decision, is_explained))).uncached())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(check(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .question::<_, ShownDecision>(Check::read)
        .describe();
}
