use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Claimed, DomainClaim, DomainPatch, USERS};
use shared::id::DomainId;
use shared::{Answer, App, Boxed, Call, Problem, Reads, api_key};

/// `POST /v1/domains`: claims a domain. The answer has the DNS record that proves the claim: it is looked for within a minute, and for
/// 7 days. Once one tenant has verified a domain, no other one can.
///
/// Needs the role `owner`.
async fn claim_domain(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let new = users::in_tenant(call, &caller, body, DomainClaim::read)?.claim(api_key::secret()?);
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        let domain = plan.claim(&new, &caller)?;
        let shown = Claimed::new(&plan.shown_domain(&domain));
        let place = format!("/v1/domains/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PATCH /v1/domains/{id}`: changes how people with an address there join. You stand for it from now on: they join only as long as you
/// could make them members like that.
///
/// Needs the role `owner`.
async fn update_domain(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (patch, id) = users::in_tenant(call, &caller, body, |body| {
        let (patch, id) = (DomainPatch::read(body), body.join(call.path_uuid("id")));
        Ok((patch?, DomainId::from_uuid_in(id?, caller.tenant)))
    })?;
    let edit = patch.edit(&caller);
    app.change(call, &caller, Reads::domain(id), &conditions, &|plan| {
        let domain = plan.update(plan.facts().domain()?, &edit);
        Ok(shown(&Claimed::new(&plan.shown_domain(&domain))).into())
    })
    .await
}

/// `POST /v1/domains/{id}/verify`: verifies a domain whose DNS record was found. If it was not, it is looked for again, within a minute
/// and for 7 more days: `verified_at` of the answer is null then, and `failure` says what was found last.
///
/// Needs the role `owner`. It is 409 if another tenant was quicker.
async fn verify_domain(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::domain(DomainId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let domain = plan.verify_domain()?;
        Ok(shown(&Claimed::new(&plan.shown_domain(&domain))).into())
    })
    .await
}

fn shown(domain: &Claimed) -> Answer {
    Answer::json(200, &json!(domain)).with_etag(domain.version)
}

/// `DELETE /v1/domains/{id}`: gives up a domain. Nobody joins by it any more, and another tenant can claim it. Members who have joined
/// stay.
///
/// Needs the role `owner`.
async fn release_domain(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::domain(DomainId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        plan.delete(plan.facts().domain()?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/domains" => Box::pin(claim_domain(app, call)),
        "PATCH /v1/domains/{id}" => Box::pin(update_domain(app, call)),
        "POST /v1/domains/{id}/verify" => Box::pin(verify_domain(app, call)),
        _ => Box::pin(release_domain(app, call)),
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
    let of_one = |route| operation(route).path("id", "The claim's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/domains").body(DomainClaim::read).created::<Claimed>().describe();
    of_one("PATCH /v1/domains/{id}").body(DomainPatch::read).answer::<Claimed>().describe();
    of_one("POST /v1/domains/{id}/verify").write().answer::<Claimed>().describe();
    of_one("DELETE /v1/domains/{id}").write().deleted().describe();
}
