//! Exports: the users of a tenant or the events of its record, written down by a job for the caller who has asked for them.
//!
//! Each piece is read with what the caller may see at that moment. It is kept in one item, which only that caller can read.

pub mod events;

use domain::job::change::JobEdit;
use domain::job::{Format, Progress, State, Task};
use domain::policy::{self, Action};
use domain::{Job, Member, Problem};

use super::facts::{Facts, View};
use super::imports::{KEPT_SECONDS, Results, keep, not_yours};
use super::jobs::{Worker, next};
use super::plan::{Plan, Reading};
use super::{Asked, Caller, Reads, Who};
use crate::answer::Answer;
use crate::table::decode;
use crate::table::key::Range;

/// How many members a piece of an export reads at most.
const READ: i32 = 500;

/// The most bytes of a piece: an item of the table has room for it.
const MOST: usize = 256 * 1024;

/// Writes a user as a line. Without a user it writes what stands before the first one.
pub type WriteLine = fn(Format, Option<&View>) -> String;

impl Plan<'_> {
    /// Lets a job begin with an export.
    ///
    /// # Errors
    /// [`Problem::LimitReached`]: no number is left for a job. [`Problem::Forbidden`]: the caller acts as another member.
    pub fn start_export(&mut self, caller: &Caller, format: Format) -> Result<Job, Problem> {
        let id = self.number(|numbers| &mut numbers.jobs)?;
        let task = Task::ExportUsers { by: caller.starter()?, format };
        let begins = JobEdit { address: caller.address(), ..JobEdit::default() };
        Ok(self.create(Job::new(id, task, self.facts.now()), &begins))
    }
}

/// Writes down the next users. The job is done after the last one.
///
/// # Errors
/// The table cannot be read or written, or the caller may not list members any more.
pub(super) async fn piece(worker: &Worker<'_>, write: WriteLine) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let Task::ExportUsers { by, format } = &job.task else { return Ok(()) };
    let after = job.progress.piece.last().map(|user| keys.member(*user));
    let after = after.as_ref().map(|key| (key, None));
    let (items, _) = asked.table.page(&Range::of(keys.members()), after, READ).await?;
    let members = items.into_iter().map(decode).collect::<Result<Vec<Member>, _>>()?;
    let Some(last) = members.last().map(|member| member.user) else {
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    };
    let caller = Caller::of_starter(by, job.progress.address.as_deref(), keys.0);
    let own = Asked { dialect: "users", ..*asked };
    let Some(mut facts) = still_allowed(worker, &own, &caller, &Action::List(None)).await? else { return Ok(()) };
    facts.read_names(&own, &members).await?;
    let (mut text, mut last, mut written) = (write(*format, None), last, 0);
    for member in &members {
        let may_see = || facts.allow(&Action::Read, &facts.entity(member)).is_ok();
        if member.is_present() && may_see() {
            let line = write(*format, Some(&facts.view(member)));
            // A line alone always has room.
            if text.len() + line.len() > MOST && written > 0 {
                break;
            }
            text += &line;
            written += 1;
        }
        last = member.user;
    }
    let done = job.progress.done + written;
    let progress = Progress { done, piece: vec![last], ..job.progress.clone() };
    let results = Results { lines: Vec::new(), text, expires_at: (asked.clock)().seconds() + KEPT_SECONDS };
    keep(worker, progress, &[results]).await
}

/// The facts of the caller, if they may still read what the job exports. If not, the job ends.
async fn still_allowed(
    worker: &Worker<'_>,
    own: &Asked<'_>,
    caller: &Caller,
    action: &Action<'_>,
) -> Result<Option<Facts>, Problem> {
    let facts = Facts::read(own, &Who::Caller(caller), &Reads::none().unshown(), None).await;
    let tenant = policy::tenant(worker.keys.0);
    let allowed = facts.and_then(|facts| facts.allow(action, &tenant).map_err(Problem::Forbidden).map(|_| facts));
    match allowed {
        Ok(facts) => Ok(Some(facts)),
        Err(why @ (Problem::Forbidden(_) | Problem::Unauthenticated(_))) => give_up(worker, &why).await.map(|()| None),
        Err(why) => Err(why),
    }
}

/// Ends the export of a caller who may not read that any more, and says why.
async fn give_up(worker: &Worker<'_>, why: &Problem) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let progress = Progress { error: Some(why.to_string()), ..next(&job.progress, (asked.clock)()) };
    match asked.table.set_progress(&keys.job(job.id), State::Running, &progress).await? {
        true => worker.end(Reads::job(Some(job.id)), &|_| {}).await,
        false => Ok(()),
    }
}

/// Answers with a part of the results of a job, for the caller who has begun it.
///
/// # Errors
/// As those of [`read`](super::read); [`Problem::NotFound`]: there is no such part.
pub async fn part(
    asked: &Asked<'_>,
    caller: &Caller,
    reads: &Reads,
    number: usize,
    answer: &PartFn<'_>,
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), reads, None).await?;
    let mut reading = Reading::new(&facts);
    let job = reading.job()?;
    let by = match &job.task {
        Task::ImportUsers { by, .. } | Task::ExportUsers { by, .. } | Task::ExportEvents { by, .. } => by,
        _ => return Err(Problem::NotFound("part of the job")),
    };
    if !by.is(&caller.starter()?) {
        return Err(not_yours());
    }
    // What the caller may do now counts, and not what they could do when the job began.
    let action = match job.task {
        Task::ExportUsers { .. } => Some(Action::List(None)),
        Task::ExportEvents { .. } => Some(Action::ReadEvents),
        _ => None,
    };
    if let Some(action) = action {
        let notices = facts.allow(&action, &policy::tenant(facts.tenant().id));
        reading.notices.extend(notices.map_err(Problem::Forbidden)?);
    }
    let results: Option<Results> = asked.table.read(&facts.keys.results(job.id, number)).await?;
    let results =
        results.filter(|results| results.expires_at > facts.now().seconds() && number <= job.progress.results);
    let results = results.ok_or(Problem::NotFound("part of the job"))?;
    Ok(reading.answer(answer(&job.task, &PartOfJob { lines: &results.lines, text: &results.text })))
}

/// A part of the results of a job.
pub struct PartOfJob<'a> {
    /// Of an import: what became of the lines of a piece.
    pub lines: &'a [domain::job::Line],
    /// Of an export: its lines, in its format.
    pub text: &'a str,
}

/// Makes the answer from a part of the results of a job.
pub type PartFn<'p> = dyn Fn(&Task, &PartOfJob) -> Answer + Send + Sync + 'p;
