use serde_json::json;
use shared::dialect::users::{self, ShownJob, USERS};
use shared::id::JobId;
use shared::{Answer, App, Call, Problem, Reads};

/// `GET /v1/jobs/{id}`: shows how far a job is. It is kept for 30 days after its end.
///
/// Every active member may.
async fn get_job(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.read(call, &caller, Reads::job(JobId::from_uuid_in(id, caller.tenant)), &|reading| {
        Ok(Answer::json(200, &json!(ShownJob::new(reading.job()?, caller.tenant))))
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(get_job(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    Operation::new(&USERS)
        .path("id", "The job's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .found::<ShownJob>()
        .describe();
}
