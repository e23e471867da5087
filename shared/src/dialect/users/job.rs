//! Answers about jobs.

use domain::id::TenantId;
use domain::job::{Outcomes, State, Task};
use domain::{Tenant, Time};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::answer::Answer;
use crate::gate::{Deletion, Step};

/// Work on many members, which goes on after its request was answered.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Job"))]
pub struct ShownJob<'a> {
    pub id: Uuid,
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = KINDS)))]
    pub kind: &'static str,
    /// What is being deleted, who is being erased, or the tenant.
    pub subject: Uuid,
    /// The role that the holders get in place of that one. Null for anything else.
    pub reassign_to: Option<Uuid>,
    /// A job that waits has failed; it runs again within 15 minutes. An open import is not started.
    pub state: State,
    /// How many members, lines, events or items are done or counted.
    pub done: usize,
    /// How many there were at the beginning. Null until the job has counted them.
    pub total: Option<usize>,
    /// Of an import: how many lines came to what.
    pub outcomes: Option<Outcomes>,
    /// How many parts of results there are: `GET /v1/jobs/{id}/parts/{n}`.
    pub parts: usize,
    /// Why the job waits, or has ended before its time.
    pub error: Option<&'a str>,
    pub created_at: Time,
    pub updated_at: Time,
}

#[cfg(feature = "openapi")]
const KINDS: [&str; 9] = [
    "delete_role",
    "delete_group",
    "count_seats",
    "remove_tenant",
    "import_users",
    "export_users",
    "erase_member",
    "export_events",
    "remove_events",
];

impl<'a> ShownJob<'a> {
    pub fn new(job: &'a domain::Job, tenant: TenantId) -> Self {
        let (kind, subject, reassign_to) = match job.task {
            Task::DeleteRole { role, reassign_to } => ("delete_role", role.uuid_in(tenant), Some(reassign_to)),
            Task::DeleteGroup { group } => ("delete_group", group.uuid_in(tenant), None),
            Task::CountSeats => ("count_seats", tenant.uuid(), None),
            Task::RemoveTenant => ("remove_tenant", tenant.uuid(), None),
            Task::ImportUsers { .. } => ("import_users", tenant.uuid(), None),
            Task::ExportUsers { .. } => ("export_users", tenant.uuid(), None),
            Task::EraseMember { user } => ("erase_member", user.uuid(), None),
            Task::ExportEvents { .. } => ("export_events", tenant.uuid(), None),
            Task::RemoveEvents { .. } => ("remove_events", tenant.uuid(), None),
        };
        let progress = &job.progress;
        Self {
            id: job.id.uuid_in(tenant),
            kind,
            subject,
            reassign_to: reassign_to.map(|role| role.uuid_in(tenant)),
            state: job.state,
            done: progress.done,
            total: progress.total,
            outcomes: progress.outcomes,
            parts: progress.results,
            error: progress.error.as_deref(),
            created_at: job.meta.created_at,
            updated_at: progress.at.max(job.meta.updated_at),
        }
    }
}

/// The next step of a deletion: 204 if it is done, 202 with the job if one goes on with it.
pub fn deletion(deletion: Deletion, tenant: &Tenant) -> Step {
    match deletion {
        Deletion::Half => Step::Half,
        Deletion::Done => Answer::empty(204).into(),
        Deletion::Continues(job) => {
            let shown = ShownJob::new(&job, tenant.id);
            let location = format!("/v1/jobs/{}", shown.id);
            Answer::json(202, &json!(shown)).with_header("location", location).into()
        }
    }
}
