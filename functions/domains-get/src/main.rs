use serde_json::json;
use shared::dialect::users::{self, Claimed, ClaimedDomains, JoinRequests, ShownJoinRequest, USERS};
use shared::domain::JoinRequest;
use shared::id::{DomainId, JoinRequestId};
use shared::list::NamedPage;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `GET /v1/domains`: lists the domains that the tenant claims.
///
/// Needs the role `owner`.
async fn list_domains(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    users::in_tenant(call, &caller, call.parameters(), |_| Ok(()))?;
    app.domains(call, &caller, &|domains| Answer::json(200, &json!(ClaimedDomains::new(domains)))).await
}

/// `GET /v1/domains/{id}`: shows a domain that the tenant claims, and whether its DNS record was found.
///
/// Needs the role `owner`.
async fn get_domain(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::domain(DomainId::from_uuid_in(id, caller.tenant)), &|reading| {
        let shown = reading.see_domain(reading.facts().domain()?)?;
        let shown = Claimed::new(&shown);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

/// `GET /v1/join-requests`: lists those who ask to join, and those who were refused, in the order of their addresses.
///
/// Needs `member:invite`.
async fn list_join_requests(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let ((state, wanted), page) = users::in_tenant(call, &caller, call.parameters(), |query| {
        Ok((users::wanted_join_requests(query), call.page(query)))
    })?;
    let shown = |page: &NamedPage<JoinRequest>| Answer::json(200, &json!(JoinRequests::new(page)));
    app.join_requests(call, &caller, (state, &wanted), &page, &shown).await
}

/// `GET /v1/join-requests/{id}`: shows somebody who asks to join.
///
/// Needs `member:invite`.
async fn get_join_request(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parameters(), |query| query.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::join_request(JoinRequestId::from_uuid_in(id, caller.tenant)), &|reading| {
        let shown = ShownJoinRequest::new(reading.see_join_request()?);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version))
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/domains" => Box::pin(list_domains(app, call)),
        "GET /v1/domains/{id}" => Box::pin(get_domain(app, call)),
        "GET /v1/join-requests" => Box::pin(list_join_requests(app, call)),
        _ => Box::pin(get_join_request(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, one_of, schema_of, uuid_in_header};
    use shared::domain::join_request::State;
    use shared::domain::meta::MAX_NAME;
    use shared::json::Text;
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    operation("GET /v1/domains").found::<ClaimedDomains>().describe();
    let one = operation("GET /v1/domains/{id}");
    one.path("id", "The claim's UUID.", schema_of::<shared::id::Uuid>()).answer::<Claimed>().describe();
    let (list, states) = (operation("GET /v1/join-requests"), State::ALL.map(State::as_str).join(", "));
    list.query("status", "Only those in this state.", one_of(&states))
        .query(
            "q",
            "Only those whose address begins with this text, without regard to case.",
            schema_of::<Text<MAX_NAME>>(),
        )
        .page::<JoinRequests>()
        .describe();
    let one = operation("GET /v1/join-requests/{id}");
    one.path("id", "The request's UUID.", schema_of::<shared::id::Uuid>()).answer::<ShownJoinRequest>().describe();
}
