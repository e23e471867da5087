//! The edit of a job, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::group::Group;
use crate::id::{MembershipId, TenantId, UserId};
use crate::job::{Job, KEPT_SECONDS, LINES_KEPT_SECONDS, State, Task};
use crate::member::Member;
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::role::change::deletion;
use crate::time::Time;

/// The changes of a job that its chain records: an import gets a part and begins; the job is done.
#[derive(Debug, Default)]
pub struct JobEdit {
    /// The number of a part, how many lines it has, and when it came.
    pub part: Option<(u32, usize, Time)>,
    pub starts_at: Option<Time>,
    /// The address of the client that begins the job, if it is an API key.
    pub address: Option<String>,
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
        if let Some(at) = edit.part.map(|(_, _, at)| at).or(edit.starts_at) {
            self.is_open(at)?;
        }
        if let Some((number, lines, at)) = edit.part {
            self.set_part(number, lines)?;
            self.expires_at = self.expires_at.max(Some(at.seconds() + LINES_KEPT_SECONDS));
        }
        if edit.starts_at.is_some() {
            if self.lines() == 0 {
                return Err(Problem::NotFound("part of the import"));
            }
            (self.state, self.expires_at, self.progress.total) = (State::Running, None, Some(self.lines()));
        }
        if edit.address.is_some() {
            self.progress.address.clone_from(&edit.address);
        }
        if let Some(at) = edit.done_at {
            (self.state, self.expires_at) = (State::Done, Some(at.seconds() + KEPT_SECONDS));
            self.progress.address = None;
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
            // The change of the settings, for which the job is, was decided with it.
            Task::CountSeats | Task::RemoveEvents { .. } => vec![Action::UpdateTenant { settings: BTreeSet::new() }],
            Task::RemoveTenant => vec![Action::DeleteTenant],
            // Each line is decided by itself, and each user, too.
            Task::ImportUsers { .. } => vec![Action::Invite(catalog.inviters)],
            Task::ExportUsers { .. } => vec![Action::List(None)],
            // It changes what the record tells. The removal is decided with the member.
            Task::EraseMember { .. } => vec![Action::ReadEvents],
            Task::ExportEvents { .. } => vec![Action::ReadEvents],
        }
    }

    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        match &self.task {
            Task::DeleteRole { role, .. } => match catalog.role(*role) {
                Some(role) => role.entity(tenant, catalog),
                None => policy::tenant(tenant),
            },
            Task::DeleteGroup { group } => Group::entity_of(*group, tenant),
            Task::CountSeats
            | Task::RemoveTenant
            | Task::ExportUsers { .. }
            | Task::EraseMember { .. }
            | Task::ExportEvents { .. }
            | Task::RemoveEvents { .. } => policy::tenant(tenant),
            Task::ImportUsers { .. } => {
                let (id, user, at) = (MembershipId::LAST, UserId::LAST, self.meta.created_at);
                policy::member(&Member { deleted_at: Some(at), ..Member::new(id, tenant, user, "", at) }, catalog)
            }
        }
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
