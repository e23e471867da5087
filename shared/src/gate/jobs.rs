//! The work of jobs.
//!
//! A job goes through the members to whom edges of a role or group lead. It writes down the next members as its piece, changes
//! them, and then writes down the piece behind. So a worker that takes over, after a kill at any point, does the same members
//! again: those that are changed already stay as they are. Two workers may do the same piece at once; one of them writes the next.
//! Nobody can get the role or join the group meanwhile, so there is an end.

use std::collections::HashMap;
use std::time::Instant;

use domain::id::{GroupId, JobId, RoleId, TenantId, UserId};
use domain::job::change::JobEdit;
use domain::job::{PIECE, Progress, State, Task};
use domain::member::change::{Groups, Roles};
use domain::{GroupEdit, Job, Member, MemberEdit, Problem, Time, group};
use futures_util::future::join_all;

use super::exports::{self, WriteLine};
use super::facts::Unseen;
use super::imports::{self, ReadLines};
use super::{Asked, Reads, Who, WithoutLines, erasure, removal, retention, seats};
use crate::table::decode;
use crate::table::key::{self, Key, Range, TenantKeys};

/// How many members one transaction changes: of 100 items, each member takes four.
const TOGETHER: usize = 20;

/// How long a job may show no progress before the sweep lets it run again, in seconds. It is longer than a worker may run.
pub const STALLED_SECONDS: i64 = 5 * 60;

/// How the lines of imports and exports are read and written, and how some are left out.
pub struct Lines {
    pub read: ReadLines,
    pub user: WriteLine,
    pub without: WithoutLines,
    pub record: exports::events::Lines,
}

/// Works on a job until it is done, or until `until` has passed at the end of a piece.
///
/// # Errors
/// A piece has failed, and the job waits.
pub async fn work(
    asked: &Asked<'_>,
    (tenant, id): (TenantId, JobId),
    lines: &Lines,
    until: Instant,
) -> Result<(), Problem> {
    loop {
        let key = TenantKeys(tenant).job(id);
        let job: Option<Job> = asked.table.read(&key).await?;
        let Some(job) = job.filter(|job| job.state == State::Running) else { return Ok(()) };
        let worker = Worker { asked, keys: TenantKeys(tenant), job: &job };
        let done = match &job.task {
            Task::DeleteRole { role, reassign_to } => worker.piece(Lost::Role(*role, *reassign_to)).await,
            Task::DeleteGroup { group } => worker.piece(Lost::Group(*group)).await,
            Task::CountSeats => seats::piece(&worker).await,
            Task::RemoveTenant => removal::piece(asked, TenantKeys(tenant), &job).await,
            Task::ImportUsers { .. } => imports::piece(&worker, lines.read).await,
            Task::ExportUsers { .. } => exports::piece(&worker, lines.user).await,
            Task::EraseMember { user } => erasure::piece(&worker, *user, lines.without).await,
            Task::ExportEvents { .. } => exports::events::piece(&worker, &lines.record).await,
            Task::RemoveEvents { .. } => retention::piece(&worker).await,
        };
        if let Err(why) = done {
            // The piece can have written its turn before it failed. A later turn is another worker's.
            let found: Option<Job> = asked.table.read(&key).await?;
            let own = found.filter(|found| found.progress.turn <= job.progress.turn + 1);
            let job = own.unwrap_or(job);
            let progress = Progress { error: Some(why.to_string()), ..next(&job.progress, (asked.clock)()) };
            asked.table.set_progress(&key, State::Waiting, &progress).await?;
            return Err(why);
        }
        if Instant::now() >= until {
            return Ok(());
        }
    }
}

/// Lets each job run again that waits, or that has shown no progress for a while before `now`. Then starts the removals of tenants that are due.
///
/// # Errors
/// The table cannot be read or written.
pub async fn sweep(asked: &Asked<'_>, now: Time) -> Result<(), Problem> {
    let range = Range { in_index: true, ..Range::of(key::unfinished_jobs()) };
    let mut after: Option<(Key, Key)> = None;
    loop {
        let start = after.as_ref().map(|(key, listed)| (key, Some(listed)));
        let (items, more) = asked.table.page(&range, start, 100).await?;
        for item in items {
            let at = |name: &str| item.get(name).and_then(|it| it.as_s().ok()).cloned().unwrap_or_default();
            let key = Key { pk: at("PK"), sk: at("SK") };
            after = Some((key.clone(), Key { pk: at("GSI1PK"), sk: at("GSI1SK") }));
            let job: Job = decode(item)?;
            let is_stalled = job.progress.at.seconds() + STALLED_SECONDS < now.seconds();
            if job.state == State::Waiting || is_stalled {
                let progress = Progress { turn: job.progress.turn + 1, at: (asked.clock)(), ..job.progress };
                asked.table.set_progress(&key, State::Running, &progress).await?;
            }
        }
        if !more {
            return removal::start_all(asked, now).await;
        }
    }
}

/// The progress at the next turn, as far as nothing else changes.
pub(super) fn next(progress: &Progress, now: Time) -> Progress {
    Progress { turn: progress.turn + 1, at: now, error: None, ..progress.clone() }
}

/// What members lose by a job.
#[derive(Clone, Copy)]
enum Lost {
    /// A role, in whose place they get the second one.
    Role(RoleId, RoleId),
    Group(GroupId),
}

impl Lost {
    /// Whether a member has it.
    fn is_of(self, member: &Member) -> bool {
        match self {
            // A removed member keeps the number of the role; nobody gets it back.
            Lost::Role(role, _) => member.is_present() && member.roles.contains(&role),
            Lost::Group(group) => member.groups.contains(&group),
        }
    }

    /// The edges to the members who are not done.
    fn edges(self, keys: TenantKeys) -> Key {
        match self {
            Lost::Role(role, _) => keys.holders(role),
            Lost::Group(group) => keys.members_of(group),
        }
    }

    fn edge(self, keys: TenantKeys, user: UserId) -> Key {
        match self {
            Lost::Role(role, _) => keys.holder(role, user),
            Lost::Group(group) => keys.in_group(group, user),
        }
    }
}

/// A worker with its job.
pub(super) struct Worker<'a> {
    pub asked: &'a Asked<'a>,
    pub keys: TenantKeys,
    pub job: &'a Job,
}

impl Worker<'_> {
    /// Does the piece that the job names, and writes down the next one. Without a next one it finishes the job.
    async fn piece(&self, lost: Lost) -> Result<(), Problem> {
        let piece = &self.job.progress.piece;
        join_all(piece.chunks(TOGETHER).map(|users| self.change(lost, users)))
            .await
            .into_iter()
            .collect::<Result<(), _>>()?;
        // Edges that lead to somebody without the role, or outside of the group.
        let left = match piece.is_empty() {
            true => HashMap::new(),
            false => self.asked.table.get(piece.iter().map(|user| lost.edge(self.keys, *user))).await?,
        };
        self.asked.table.clear(&left.into_keys().collect::<Vec<_>>()).await?;
        let total = match self.job.progress.total {
            Some(total) => total,
            None => self.asked.table.count(&lost.edges(self.keys)).await?,
        };
        let most = i32::try_from(PIECE).unwrap_or(i32::MAX);
        let (edges, _) = self.asked.table.page(&Range::of(lost.edges(self.keys)), None, most).await?;
        let number = |sk: &String| TenantKeys::number_of(sk);
        let users = edges.iter().filter_map(|edge| edge.get("SK")?.as_s().ok().and_then(number));
        let done = self.job.progress.done + piece.len();
        let next = next(&self.job.progress, (self.asked.clock)());
        let next = Progress { done, total: Some(total), piece: users.collect(), ..next };
        let is_last = next.piece.is_empty();
        let job = self.keys.job(self.job.id);
        if self.asked.table.set_progress(&job, State::Running, &next).await? && is_last {
            self.finish(lost).await?;
        }
        Ok(())
    }

    /// A change that the product makes for the job. It is made although the tenant was deleted meanwhile: it can be restored.
    pub async fn as_product(
        &self,
        reads: Reads,
        plan: &(dyn Fn(&mut super::Plan) -> Result<(), Problem> + Send + Sync),
    ) -> Result<(), Problem> {
        let who = Who::Product(self.keys.0, format!("job {}", self.job.id));
        let reads = Reads { of_deleted_tenant: true, ..reads };
        super::change_unanswered(self.asked, &who, &reads, plan).await
    }

    /// Changes these members in one transaction.
    async fn change(&self, lost: Lost, users: &[UserId]) -> Result<(), Problem> {
        let edit = match lost {
            Lost::Role(old, new) => MemberEdit { roles: Some(Roles::Instead(old, new)), ..MemberEdit::default() },
            Lost::Group(group) => MemberEdit { groups: Some(Groups::WithoutDeleted(group)), ..MemberEdit::default() },
        };
        self.as_product(Reads::members(users), &|plan| {
            let facts = plan.facts();
            for member in facts.members().filter(|Unseen(member)| lost.is_of(member)) {
                plan.update(member, &edit);
            }
            Ok(())
        })
        .await
    }

    /// Deletes the role or group, now that no member has it. The job is done in the same transaction.
    async fn finish(&self, lost: Lost) -> Result<(), Problem> {
        match lost {
            Lost::Role(role, new) => {
                for group in self.conferring(role).await? {
                    self.as_product(Reads::group(Some(group)), &|plan| {
                        let edit = GroupEdit::from(group::change::Retirement::OfRole(role, new));
                        plan.update(plan.facts().any_group()?, &edit);
                        Ok(())
                    })
                    .await?;
                }
                self.end(Reads::job(Some(self.job.id)), &|plan| {
                    if let Ok(role) = plan.facts().role(Some(role)) {
                        plan.delete(role);
                    }
                })
                .await
            }
            Lost::Group(group) => {
                let reads = Reads { job: Some(self.job.id), ..Reads::group(Some(group)) };
                self.end(reads, &|plan| {
                    if let Ok(group) = plan.facts().any_group() {
                        plan.delete(group);
                    }
                })
                .await
            }
        }
    }

    /// The job is done. `delete` is what its last transaction does beside saying so.
    pub async fn end(&self, reads: Reads, delete: &(dyn Fn(&mut super::Plan) + Send + Sync)) -> Result<(), Problem> {
        self.as_product(reads, &|plan| {
            let facts = plan.facts();
            let unseen = facts.job()?;
            // Another worker can have been quicker.
            if unseen.0.state != State::Done {
                delete(plan);
                plan.update(unseen, &JobEdit { done_at: Some(facts.now()), ..JobEdit::default() });
            }
            Ok(())
        })
        .await
    }

    /// The groups that confer a role.
    async fn conferring(&self, role: RoleId) -> Result<Vec<GroupId>, Problem> {
        let rules = self.asked.table.catalog(self.keys, 0).await?;
        let standings = rules.standings().filter(|(_, standing)| standing.confers.contains(&role));
        Ok(standings.map(|(group, _)| *group).collect())
    }
}
