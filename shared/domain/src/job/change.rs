//! The edit of a job, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::group::Group;
use crate::id::{MembershipId, TenantId, UserId};
use crate::job::{Job, KEPT_SECONDS, MAX_LINES, MAX_PARTS, State, Task};
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
    /// The number of a part, and how many lines it has.
    pub part: Option<(u32, usize)>,
    pub starts: bool,
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
        if (edit.part.is_some() || edit.starts) && self.state != State::Open {
            return Err(Problem::NotFound("import that is not started"));
        }
        if let Some((number, lines)) = edit.part {
            self.set_part(number, lines);
            if self.parts().count() > MAX_PARTS as usize {
                return Err(Problem::LimitReached("parts of an import", MAX_PARTS as usize));
            }
            if self.lines() > MAX_LINES {
                return Err(Problem::LimitReached("lines of an import", MAX_LINES));
            }
        }
        if edit.starts {
            if self.lines() == 0 {
                return Err(Problem::NotFound("part of the import"));
            }
            (self.state, self.expires_at, self.progress.total) = (State::Running, None, Some(self.lines()));
        }
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
