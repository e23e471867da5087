use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, NewImport, SentPart, ShownJob, USERS};
use shared::domain::job::MAX_PARTS;
use shared::id::JobId;
use shared::{Answer, App, Boxed, Call, Caller, Problem, Reads};

/// `POST /v1/users/import`: makes an import. Its lines come in parts, and nothing is done before it is started.
///
/// `PUT /v1/users/import/{id}/parts/{n}` adds a part, and `POST /v1/users/import/{id}/start` starts the import, within a day. The body
/// can be left out.
///
/// Needs `member:invite`.
async fn make_import(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    let new = users::in_tenant(call, &caller, body, NewImport::read)?;
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        let job = plan.make_import(&caller, new.on_existing(), new.is_dry())?;
        let shown = ShownJob::new(&job, caller.tenant);
        let location = format!("/v1/jobs/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(job.meta.version).with_header("location", location).into())
    })
    .await
}

/// `PUT /v1/users/import/{id}/parts/{n}`: adds a part to an import, or puts it in the place of the one with that number.
///
/// A part has up to 2,000 lines and 256 KiB, an import up to 100,000 lines. A CSV part begins with a line of the columns' names:
/// `email`, `name`, `first_name`, `last_name`, `roles`, `status`, `groups`, `label`, `language`, `external_id`, `metadata`,
/// `metadata.KEY`. Roles and groups in a cell have a `;` between them, and an empty cell gives nothing. A line of JSON is the body of
/// `POST /v1/users`. The job tells the faults of a line.
///
/// Only the caller who made the import may do this. Needs `member:invite`.
async fn add_part(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (part, conditions) = (SentPart::of(call)?, call.conditions()?);
    let (id, number) = users::in_tenant(call, &caller, call.parts(), |parts| {
        let number = parts.join(call.path_integer("n", 1, MAX_PARTS.into()));
        Ok((parts.join(call.path_uuid("id"))?, number?))
    })?;
    let number = u32::try_from(number).unwrap_or(MAX_PARTS);
    let reads = Reads::job(JobId::from_uuid_in(id, caller.tenant)).unshown();
    app.change(call, &caller, reads, &conditions, &|plan| {
        let job = plan.add_part(&caller, number, part.lines, (part.format, part.text))?;
        Ok(shown(&job, &caller, 200).into())
    })
    .await
}

/// `POST /v1/users/import/{id}/start`: starts an import. A job makes the change of each line, and `GET /v1/jobs/{id}` shows how far it
/// is.
///
/// Each line is decided by what the caller may do at that moment, and leaves the event that the single call leaves. A line that is
/// refused stops no other. `GET /v1/jobs/{id}/parts/{n}` tells what became of each line.
///
/// Only the caller who made the import may do this. Needs `member:invite`, and for each line the same as the single call.
async fn start_import(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    let reads = Reads::job(JobId::from_uuid_in(id, caller.tenant)).unshown();
    app.change(call, &caller, reads, &conditions, &|plan| {
        let job = plan.start_import(&caller)?;
        Ok(shown(&job, &caller, 202).into())
    })
    .await
}

fn shown(job: &shared::domain::Job, caller: &Caller, status: u16) -> Answer {
    let shown = ShownJob::new(job, caller.tenant);
    let location = format!("/v1/jobs/{}", shown.id);
    let answer = Answer::json(status, &json!(shown)).with_etag(job.meta.version);
    if status == 202 { answer.with_header("location", location) } else { answer }
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PUT /v1/users/import/{id}/parts/{n}" => Box::pin(add_part(app, call)),
        "POST /v1/users/import/{id}/start" => Box::pin(start_import(app, call)),
        _ => Box::pin(make_import(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use schemars::json_schema;
    use shared::dialect::users::MAX_PART;
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let of_import = |route| operation(route).path("id", "The import's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/users/import").optional_body(NewImport::read).created::<ShownJob>().describe();
    of_import("PUT /v1/users/import/{id}/parts/{n}")
        .path("n", "The number of the part.", json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_PARTS }))
        .lines_body(MAX_PART)
        .limited()
        .answer::<ShownJob>()
        .describe();
    of_import("POST /v1/users/import/{id}/start").write().accepted_version::<ShownJob>().describe();
}
