use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, IssuerUpdate, NewIssuer, ShownIssuer, USERS};
use shared::domain::IssuerEdit;
use shared::json::{Visible, Wire};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Caller, Problem, Reads};

/// `POST /v1/issuers`: lets the tenant trust an identity provider. Its keys are fetched within seconds.
///
/// Only an owner may: the issuer says who somebody is.
async fn create_issuer(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let issuer = users::in_tenant(call, &caller, body, NewIssuer::of)?.record();
    app.change(call, &caller, Reads::issuer(issuer.uuid()), &conditions, &|plan| {
        let issuer = plan.trust(&issuer)?;
        let shown = ShownIssuer::new(&issuer);
        let place = format!("/v1/issuers/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PATCH /v1/issuers/{id}`: changes what the tenant takes from an identity provider.
///
/// Needs the role `owner`. Sessions that have begun go on.
async fn update_issuer(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let body = call.body(MAX_BODY)?;
    let (edit, id) = users::in_tenant(call, &caller, body, |body| {
        let (update, id) = (IssuerUpdate::read(body), body.join(call.path_uuid("id")));
        Ok((update?.edit(), id?))
    })?;
    update(app, call, &caller, id, &edit, &|issuer| Answer::json(200, &json!(issuer)).with_etag(issuer.version)).await
}

/// `DELETE /v1/issuers/{id}/keys/{kid}`: refuses a key of an identity provider from now on, even if the provider still publishes it.
///
/// Needs the role `owner`. `PATCH` with `refused_keys` takes it back.
async fn refuse_key(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (id, kid) = users::in_tenant(call, &caller, call.parts(), |parts| {
        let (id, kid) = (parts.join(call.path_uuid("id")), parts.join(kid(call)));
        Ok((id?, kid?))
    })?;
    let edit = IssuerEdit { refuse_key: Some(kid), ..IssuerEdit::default() };
    update(app, call, &caller, id, &edit, &|_| Answer::empty(204)).await
}

/// The `kid` in the path.
fn kid(call: &Call) -> Result<String, Fault> {
    let wrong = Wrong::Syntax("1 to 250 visible ASCII characters");
    let kid = Visible::read(call.path("kid").into()).map(|Visible(kid)| kid);
    kid.map_err(|_| Fault::here(wrong).within("kid").within("path"))
}

async fn update(
    app: &App,
    call: &Call,
    caller: &Caller,
    id: shared::id::Uuid,
    edit: &IssuerEdit,
    answer: &(dyn Fn(&ShownIssuer) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let conditions = call.conditions()?;
    app.change(call, caller, Reads::issuer(id), &conditions, &|plan| {
        let issuer = plan.update(plan.facts().issuer()?, edit);
        Ok(answer(&ShownIssuer::new(&issuer)).into())
    })
    .await
}

/// `DELETE /v1/issuers/{id}`: ends the trust in an identity provider. It signs nobody in any more, and its sessions get no new tokens.
/// Their access tokens last for 10 minutes more at most, their session tokens for 12 hours.
///
/// Needs the role `owner`.
async fn delete_issuer(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::issuer(id), &conditions, &|plan| {
        plan.delete(plan.facts().issuer()?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/issuers" => Box::pin(create_issuer(app, call)),
        "PATCH /v1/issuers/{id}" => Box::pin(update_issuer(app, call)),
        "DELETE /v1/issuers/{id}/keys/{kid}" => Box::pin(refuse_key(app, call)),
        _ => Box::pin(delete_issuer(app, call)),
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
    let of_issuer = |route| operation(route).path("id", "The issuer's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/issuers").body(NewIssuer::of).created::<ShownIssuer>().describe();
    of_issuer("PATCH /v1/issuers/{id}").body(IssuerUpdate::read).answer::<ShownIssuer>().describe();
    let key = of_issuer("DELETE /v1/issuers/{id}/keys/{kid}");
    key.path("kid", "The `kid` of the key.", schema_of::<Visible>()).write().deleted().describe();
    of_issuer("DELETE /v1/issuers/{id}").write().deleted().describe();
}
