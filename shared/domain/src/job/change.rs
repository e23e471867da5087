//! The edit of a job, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::group::Group;
use crate::id::TenantId;
use crate::job::{Job, KEPT_SECONDS, State, Task};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::role::change::deletion;
use crate::time::Time;

/// The one change of a job that its chain records: it is done.
#[derive(Debug, Default)]
pub struct JobEdit {
    pub done_at: Option<Time>,
}

impl Record for Job {
    type Edit = JobEdit;

    const KIND: &'static str = "job";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &JobEdit, _: &Known) -> Result<(), Problem> {
        if let Some(at) = edit.done_at {
            (self.state, self.expires_at) = (State::Done, Some(at.seconds() + KEPT_SECONDS));
        }
        Ok(())
    }

    /// The action of the job's task: whoever may have it done at once may have it done by a job.
    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        let job = match change {
            Change::Create(job) | Change::Delete(job) | Change::Update { after: job, .. } => job,
        };
        match &job.task {
            Task::DeleteRole { role, reassign_to } => {
                catalog.role(*role).map(|role| deletion(role, Some(*reassign_to), catalog)).into_iter().collect()
            }
            // The group has conferred nothing since it was retired.
            Task::DeleteGroup { .. } => vec![Action::nothing_of_groups()],
            // The change of the settings, which starts the job, was decided with it.
            Task::CountSeats => vec![Action::UpdateTenant { settings: BTreeSet::new() }],
            Task::RemoveTenant => vec![Action::DeleteTenant],
        }
    }

    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        match &self.task {
            Task::DeleteRole { role, .. } => match catalog.role(*role) {
                Some(role) => role.entity(tenant, catalog),
                None => policy::tenant(tenant),
            },
            Task::DeleteGroup { group } => Group::entity_of(*group, tenant),
            Task::CountSeats | Task::RemoveTenant => policy::tenant(tenant),
        }
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
