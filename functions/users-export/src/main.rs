use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, NewEventExport, NewExport, ShownJob, USERS};
use shared::domain::Job;
use shared::id::TenantId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// `POST /v1/users/export`: lets a job write down the users that the caller may see, in CSV or as JSON Lines.
///
/// `GET /v1/jobs/{id}/parts/{n}` gives the parts to the caller, for 7 days. Each user is as they were when the job came to them. The
/// columns are those of an import. A cell of CSV that begins like a formula has a `'` before it. The body can be left out.
///
/// Needs `member:read`. The job's record names the caller. A caller has one export under way at a time.
async fn export_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    let format = users::in_tenant(call, &caller, body, NewExport::read)?.format();
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        Ok(accepted(&plan.start_export(&caller, format)?, caller.tenant).into())
    })
    .await
}

/// `POST /v1/events/export`: lets a job write down the record, from the oldest event to the newest, as JSON Lines or in CSV.
///
/// `GET /v1/jobs/{id}/parts/{n}` gives the parts to the caller, for 7 days. The filters are those of `GET /v1/events`. The export ends
/// with the events that are 15 seconds old when it is asked for. A line of JSON is an event with what it takes to check it elsewhere;
/// the last line of a whole record is its newest checkpoint. A line of more than 384 KiB goes on in the next part. A cell of CSV that
/// begins like a formula has a `'` before it. The body can be left out.
///
/// Needs `event:read`. The job's record names the caller and the filters. A caller has one export under way at a time.
async fn export_events(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    let (format, filters) = users::in_tenant(call, &caller, body, NewEventExport::read)?.wanted();
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        Ok(accepted(&plan.start_event_export(&caller, format, &filters)?, caller.tenant).into())
    })
    .await
}

fn accepted(job: &Job, tenant: TenantId) -> Answer {
    let shown = ShownJob::new(job, tenant);
    let location = format!("/v1/jobs/{}", shown.id);
    Answer::json(202, &json!(shown)).with_etag(job.meta.version).with_header("location", location)
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/events/export" => Box::pin(export_events(app, call)),
        _ => Box::pin(export_users(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let users = operation("POST /v1/users/export").optional_body(NewExport::read);
    users.accepted_version::<ShownJob>().one_at_a_time().describe();
    let events = operation("POST /v1/events/export").optional_body(NewEventExport::read);
    events.accepted_version::<ShownJob>().one_at_a_time().describe();
}
