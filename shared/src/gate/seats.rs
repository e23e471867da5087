//! The seats of a tenant, which are counted while there is a limit.

use domain::id::UserId;
use domain::job::change::JobEdit;
use domain::job::{Progress, State, Task};
use domain::meta::Patch;
use domain::tenant::Seats;
use domain::{Job, Member, Problem, Tenant, TenantEdit};

use super::jobs::{Worker, next};
use super::plan::Plan;
use super::{Asked, Reads};
use crate::table::decode;
use crate::table::key::{Range, TenantKeys};

/// How many members a piece of the count has.
const PIECE: i32 = 100;

/// The things of which there are as many as the limit says.
pub const SEATS: &str = "members who take a seat";

impl Plan<'_> {
    /// Changes the caller's tenant. If there is a limit of seats from now on, a job starts to count them.
    ///
    /// # Errors
    /// [`Problem::LimitReached`]: no number is left for a job.
    pub fn update_tenant(&mut self, edit: &TenantEdit) -> Result<Tenant, Problem> {
        let facts = self.facts;
        let counted_by = match edit.settings.seats {
            Patch::Set(_) if facts.tenant().seats.is_none() => Some(self.number(|numbers| &mut numbers.jobs)?),
            _ => None,
        };
        let tenant = self.update(facts.own_tenant(), &TenantEdit { counted_by, ..edit.clone() });
        if let Some(id) = counted_by {
            self.create(Job::new(id, Task::CountSeats, facts.now()), &JobEdit::default());
        }
        Ok(tenant)
    }
}

/// Counts further members. The job is done if all are counted, or if another count has begun.
///
/// # Errors
/// The table cannot be read or written.
pub(super) async fn piece(worker: &Worker<'_>) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let table = asked.table;
    let tenant: Option<Tenant> = table.get([keys.tenant()]).await?.remove(&keys.tenant()).map(decode).transpose()?;
    let under_way = tenant.and_then(|tenant| Some((tenant.seats?, tenant)));
    let Some((seats, tenant)) = under_way.filter(|(seats, _)| seats.job == job.id && !seats.are_all_counted()) else {
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    };
    // The first reading finds where the piece ends, the second one what is in it once it is claimed.
    let (_, end) = members_behind(asked, keys, seats).await?;
    let claim = seats.claiming(end);
    if !table.set_seats(&tenant, claim, 0).await? {
        return Ok(());
    }
    let (mut members, further_end) = members_behind(asked, keys, seats).await?;
    // There can be one more now.
    let last = end.min(further_end);
    members.retain(|member| member.user <= last);
    let taken = members.iter().filter(|member| member.takes_seat()).count();
    let tenant = Tenant { seats: Some(claim), ..tenant };
    if table.set_seats(&tenant, claim.counting(last), taken).await? {
        let done = job.progress.done + members.len();
        let total = Some(done).filter(|_| last == UserId::LAST);
        let progress = Progress { done, total, ..next(&job.progress, (asked.clock)()) };
        table.set_progress(&keys.job(job.id), State::Running, &progress).await?;
    }
    Ok(())
}

/// The members behind those that are counted, and the last number of a piece of them.
async fn members_behind(asked: &Asked<'_>, keys: TenantKeys, seats: Seats) -> Result<(Vec<Member>, UserId), Problem> {
    let counted = seats.counted.map(|user| keys.member(user));
    let after = counted.as_ref().map(|key| (key, None));
    let (items, more) = asked.table.page(&Range::of(keys.members()), after, PIECE).await?;
    let members = items.into_iter().map(decode).collect::<Result<Vec<Member>, _>>()?;
    let last = members.last().map(|member| member.user).filter(|_| more).unwrap_or(UserId::LAST);
    Ok((members, last))
}
