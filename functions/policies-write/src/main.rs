use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, NewPolicy, ShownPolicy, USERS};
use shared::domain::own_policy::PolicyContent;
use shared::domain::{OwnPolicy, OwnPolicyEdit};
use shared::id::PolicyId;
use shared::json::{Faulty, Object};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// The policy that the body has, with its text compiled. No other function parses a text and writes what comes of it.
fn content(body: &mut Object) -> Result<PolicyContent, Faulty> {
    let new = NewPolicy::of(body)?;
    body.join(new.content(policy_text::admit))
}

/// `POST /v1/policies`: makes a policy of the tenant's own. It is in force on the next request.
///
/// Needs the role `owner`. A policy that would keep the caller from changing policies, or from signing in as they have, is refused.
async fn create_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let content = users::in_tenant(call, &caller, body, content)?;
    app.change(call, &caller, Reads::none().and_sign_in(&caller), &conditions, &|plan| {
        let id = plan.number(|numbers| &mut numbers.policies)?;
        let new = OwnPolicy::new(id, content.clone(), plan.facts().now());
        let policy = plan.create(new, &OwnPolicyEdit::Set(content.clone()));
        plan.leaves_policies_open(&policy);
        let shown = ShownPolicy::new(&plan.shown(&policy));
        let place = format!("/v1/policies/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PUT /v1/policies/{id}`: replaces a policy of the tenant's own. What is not given gets its default.
///
/// Needs the role `owner`. A policy that would keep the caller from changing policies, or from signing in as they have, is refused.
async fn replace_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (content, id) = users::in_tenant(call, &caller, body, |body| {
        let (content, id) = (content(body), body.join(call.path_uuid("id")));
        Ok((content?, id?))
    })?;
    let edit = OwnPolicyEdit::Set(content);
    app.change(
        call,
        &caller,
        Reads::policy(PolicyId::from_uuid_in(id, caller.tenant)).and_sign_in(&caller),
        &conditions,
        &|plan| {
            let policy = plan.update(plan.facts().own_policy()?, &edit);
            plan.leaves_policies_open(&policy);
            let shown = plan.shown(&policy);
            Ok(Answer::json(200, &json!(ShownPolicy::new(&shown))).with_etag(shown.version()).into())
        },
    )
    .await
}

/// `DELETE /v1/policies/{id}`: deletes a policy of the tenant's own.
///
/// Needs the role `owner`.
async fn delete_policy(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::policy(PolicyId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        plan.delete(plan.facts().own_policy()?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/policies" => Box::pin(create_policy(app, call)),
        "PUT /v1/policies/{id}" => Box::pin(replace_policy(app, call)),
        _ => Box::pin(delete_policy(app, call)),
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
    let of_policy = |route| operation(route).path("id", "The policy's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/policies").body(NewPolicy::of).limited().named().created::<ShownPolicy>().describe();
    of_policy("PUT /v1/policies/{id}").body(NewPolicy::of).limited().named().answer::<ShownPolicy>().describe();
    of_policy("DELETE /v1/policies/{id}").write().deleted().describe();
}
