//! The deletion of what members can have: a role, a group.
//!
//! It has two halves. The first retires the thing, so that no request can give it to a member any more. The second deletes it at
//! once if no member has it, or else starts a job that takes it from each.

use domain::id::{JobId, RoleId};
use domain::job::Task;
use domain::job::change::JobEdit;
use domain::problem::Reference;
use domain::{GroupEdit, Job, Problem, Role, RoleEdit, group, role};

use super::caller::impersonated;
use super::facts::Unseen;
use super::plan::Plan;

/// How far a deletion is.
pub enum Deletion {
    /// This is the first half.
    Half,
    Done,
    /// The job goes on with it.
    Continues(Box<Job>),
}

impl Plan<'_> {
    /// Deletes the role that [`Reads::holders`](super::Reads::holders) named. Its holders, if there are any, get the role
    /// `reassign_to` in its place, which is spelled as a UUID, a number or a name.
    ///
    /// # Errors
    /// [`Problem::NotFound`]; [`Problem::Forbidden`]: somebody acts as the member.
    pub fn delete_role(&mut self, id: Option<RoleId>, reassign_to: Option<&str>) -> Result<Deletion, Problem> {
        use role::change::Retirement::{Begins, Continues, Ends};
        self.may_outlast_the_session()?;
        let (facts, catalog) = (self.facts, self.facts.catalog());
        let unseen = facts.role(id)?;
        let Unseen(role) = unseen;
        // No group confers the role of owners, so none can get it in the place of this one.
        let is_conferred = facts.rules().standings().any(|(_, standing)| standing.confers.contains(&role.id));
        let may_follow =
            |other: &&Role| other.id != role.id && !other.retiring && !(other.id == role::OWNER && is_conferred);
        let successor = reassign_to.map(|spelling| {
            let found = catalog.role_spelled(spelling, facts.tenant().id);
            found.filter(may_follow).map(|found| found.id).ok_or(spelling)
        });
        let successor = match successor.transpose() {
            Ok(successor) => successor,
            Err(spelling) => {
                let (place, values) = (vec!["query".into(), "reassign_to".into()], vec![spelling.to_owned()]);
                self.refuse(Problem::InvalidReference { kind: Reference::Role, place, values });
                None
            }
        };
        if let (Some(_), Ok(Unseen(job))) = (role.job, facts.job()) {
            if successor.is_some() && successor != role.successor {
                self.refuse(Problem::InUse("role"));
            }
            self.update(unseen, &RoleEdit::from(Begins(role.successor)));
            return Ok(Deletion::Continues(Box::new(job.clone())));
        }
        // The holders of another role are about to get this one.
        if catalog.all_roles().any(|other| other.successor == Some(role.id)) {
            self.refuse(Problem::InUse("role"));
        }
        match (role.retiring, facts.is_held(), successor) {
            (true, false, _) => {}
            (false, true, None) => self.refuse(Problem::InUse("role")),
            (true, true, None) => {
                self.update(unseen, &RoleEdit::from(Ends));
                return Ok(Deletion::Half);
            }
            (true, true, Some(reassign_to)) if role.successor == successor => {
                let id = self.number(|numbers| &mut numbers.jobs)?;
                self.update(unseen, &RoleEdit::from(Continues(id)));
                return Ok(self.start(id, Task::DeleteRole { role: role.id, reassign_to }));
            }
            _ => {
                self.update(unseen, &RoleEdit::from(Begins(successor)));
                return Ok(Deletion::Half);
            }
        }
        self.delete(unseen);
        Ok(Deletion::Done)
    }

    /// Deletes the group that [`Reads::members_of`](super::Reads::members_of) named. Its members leave it.
    ///
    /// # Errors
    /// [`Problem::NotFound`]; [`Problem::Forbidden`]: somebody acts as the member.
    pub fn delete_group(&mut self) -> Result<Deletion, Problem> {
        use group::change::Retirement::{Begins, Continues};
        self.may_outlast_the_session()?;
        let unseen = self.facts.any_group()?;
        let Unseen(group) = unseen;
        let job = group.job.and_then(|_| self.facts.job().ok());
        if let Some(Unseen(job)) = job {
            self.update(unseen, &GroupEdit::from(Begins));
            return Ok(Deletion::Continues(Box::new(job.clone())));
        }
        if !group.retiring {
            self.update(unseen, &GroupEdit::from(Begins));
            return Ok(Deletion::Half);
        }
        if self.facts.is_held() {
            let id = self.number(|numbers| &mut numbers.jobs)?;
            self.update(unseen, &GroupEdit::from(Continues(id)));
            return Ok(self.start(id, Task::DeleteGroup { group: group.id }));
        }
        self.delete(unseen);
        Ok(Deletion::Done)
    }

    /// A job goes on after the session of somebody who acts as a member, and its events would not name them.
    fn may_outlast_the_session(&self) -> Result<(), Problem> {
        if self.facts.stamp().impersonator.is_none() { Ok(()) } else { Err(impersonated()) }
    }

    pub(super) fn start(&mut self, id: JobId, task: Task) -> Deletion {
        Deletion::Continues(Box::new(self.create(Job::new(id, task, self.facts.now()), &JobEdit::default())))
    }
}
