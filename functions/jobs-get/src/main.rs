use serde_json::json;
use shared::dialect::users::{self, ImportedLines, ShownJob, USERS};
use shared::domain::job::{Format, Task};
use shared::id::JobId;
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// The most parts that the results of a job can have.
const MAX_NUMBER: i64 = 1_000_000;

/// `GET /v1/jobs/{id}`: shows how far a job is. It is kept for 30 days after its end.
///
/// Any active member may do this.
async fn get_job(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::job(JobId::from_uuid_in(id, caller.tenant)), &|reading| {
        Ok(Answer::json(200, &json!(ShownJob::new(reading.job()?, caller.tenant))))
    })
    .await
}

/// `GET /v1/jobs/{id}/parts/{n}`: gives a part of the results of an import or of an export. They are kept for 7 days.
///
/// The job's `parts` says how many there are, also while it goes on. A part of an import tells of 200 lines what became of them. A part
/// of an export has users or events, in the format of the export; each part of CSV begins with the names of the columns.
///
/// Only the caller who began the job may get it. For an export, they must still be allowed to list members or read the record.
async fn get_part(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (id, number) = users::in_tenant(call, &caller, call.parts(), |parts| {
        let number = parts.join(call.path_integer("n", 1, MAX_NUMBER));
        Ok((parts.join(call.path_uuid("id"))?, number?))
    })?;
    let reads = Reads::job(JobId::from_uuid_in(id, caller.tenant)).unshown();
    let number = usize::try_from(number).unwrap_or_default();
    app.part(call, &caller, reads, number, &|task, part| {
        let text = |media_type| Answer::new(200, media_type, part.text.into()).uncached();
        match task {
            Task::ExportUsers { format, .. } | Task::ExportEvents { format, .. } => text(match format {
                Format::Csv => "text/csv; charset=utf-8",
                Format::Jsonl => "application/x-ndjson",
            }),
            _ => Answer::json(200, &json!(ImportedLines { data: part.lines })).uncached(),
        }
        .with_header("x-content-type-options", "nosniff")
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "GET /v1/jobs/{id}/parts/{n}" => Box::pin(get_part(app, call)),
        _ => Box::pin(get_job(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    use schemars::json_schema;
    let operation = |route| {
        Operation::new(&USERS).route(route).path("id", "The job's UUID.", schema_of::<shared::id::Uuid>()).header(
            "X-Tenant-ID",
            "The tenant's UUID: the credential's.",
            uuid_in_header(),
        )
    };
    operation("GET /v1/jobs/{id}").found::<ShownJob>().describe();
    let number = json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_NUMBER });
    operation("GET /v1/jobs/{id}/parts/{n}")
        .path("n", "The number of the part.", number)
        .part_of_job::<ImportedLines>()
        .describe();
}
