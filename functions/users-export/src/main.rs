use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, NewExport, ShownJob, USERS};
use shared::{Answer, App, Call, Problem, Reads};

/// `POST /v1/users/export`: lets a job write down the users that the caller may see, in CSV or as JSON Lines.
///
/// `GET /v1/jobs/{id}/parts/{n}` gives the parts to the caller, for 7 days. Each user is as they were when the job came to them. The
/// columns are those of an import. A cell of CSV that begins like a formula has a `'` before it. The body can be left out.
///
/// Needs `member:read`. The job's record names the caller.
async fn export_users(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let body = if call.has_body() { call.body(MAX_BODY)? } else { call.parts() };
    let format = users::in_tenant(call, &caller, body, NewExport::read)?.format();
    app.change(call, &caller, Reads::none().unshown(), &conditions, &|plan| {
        let job = plan.start_export(&caller, format)?;
        let shown = ShownJob::new(&job, caller.tenant);
        let location = format!("/v1/jobs/{}", shown.id);
        Ok(Answer::json(202, &json!(shown)).with_etag(job.meta.version).with_header("location", location).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(export_users(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .optional_body(NewExport::read)
        .accepted_version::<ShownJob>()
        .describe();
}
