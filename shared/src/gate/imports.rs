//! Imports: many users at once, by a job that goes on in the name of the caller who has started it.
//!
//! A caller makes the import, adds its lines in parts, and starts it. The job makes each line's change in a transaction of its own, as
//! if the caller asked for it then: with what the caller may do at that moment. An answer on record goes with each change, so a worker
//! that takes over, or that works beside another one, makes no change twice and gives the same account of it. What became of the lines
//! of a piece is one item, written together with the job's turn: of two workers that do the same piece, one writes it.

use std::collections::HashMap;

use domain::id::{JobId, TenantId, UserId};
use domain::job::change::JobEdit;
use domain::job::{Format, LINES, LINES_KEPT_SECONDS, Line, OnExisting, Outcome, Progress, Task};
use domain::member::change::Roles;
use domain::policy::Action;
use domain::problem::Denial;
use domain::{Job, Member, MemberEdit, Problem, Status};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Unseen};
use super::jobs::{Worker, next};
use super::plan::Plan;
use super::{Asked, Caller, Conditions, Idempotency, Reads, Who};
use crate::answer::Answer;
use crate::table::encode;

/// How many lines are under way at once.
const LANES: usize = 16;

/// How long what became of the lines of a job is kept, as long as its lines.
pub(super) const KEPT_SECONDS: i64 = LINES_KEPT_SECONDS;

/// Reads the lines of a part: the edit of each user, with an address, or what is wrong with the line.
pub type ReadLines = fn(Format, &str, TenantId) -> Vec<Result<MemberEdit, Problem>>;

/// A part of an import.
#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    pub format: Format,
    pub text: String,
    /// Seconds since the epoch; the table's TTL attribute.
    pub expires_at: i64,
}

/// What became of the lines of a piece, or the lines of a piece of an export.
#[derive(Serialize, Deserialize)]
pub(super) struct Results {
    #[serde(default)]
    pub lines: Vec<Line>,
    #[serde(default)]
    pub text: String,
    pub expires_at: i64,
}

/// The import, for its starter only: its lines are added and begun in their name.
fn of_caller<'f>(plan: &Plan<'f>, caller: &Caller) -> Result<Unseen<'f, Job>, Problem> {
    let unseen = plan.facts().job()?;
    let Task::ImportUsers { by, .. } = &unseen.0.task else { return Err(Problem::NotFound("import")) };
    if by.is(&caller.starter()?) { Ok(unseen) } else { Err(not_yours()) }
}

pub(super) fn not_yours() -> Problem {
    Problem::Forbidden(Denial::plain("own-job", "member:invite", "Only the caller who began the job may do that."))
}

impl Plan<'_> {
    /// Makes an import without lines.
    ///
    /// # Errors
    /// [`Problem::LimitReached`]: no number is left for a job. [`Problem::Forbidden`]: the caller acts as another member.
    pub fn make_import(&mut self, caller: &Caller, on_existing: OnExisting, dry_run: bool) -> Result<Job, Problem> {
        let id = self.number(|numbers| &mut numbers.jobs)?;
        let task = Task::ImportUsers { by: caller.starter()?, on_existing, dry_run };
        Ok(self.create(Job::new(id, task, self.facts.now()), &JobEdit::default()))
    }

    /// Adds a part to an import, or puts it in the place of the part with the same number.
    ///
    /// # Errors
    /// [`Problem::NotFound`]; [`Problem::Forbidden`]: another caller has made it; [`Problem::LimitReached`]: it was made too long
    /// ago, or is too large.
    pub fn add_part(
        &mut self,
        caller: &Caller,
        number: u32,
        lines: usize,
        (format, text): (Format, &str),
    ) -> Result<Job, Problem> {
        let unseen = of_caller(self, caller)?;
        let now = self.facts.now();
        let job = self.update(unseen, &JobEdit { part: Some((number, lines, now)), ..JobEdit::default() });
        let expires_at = now.seconds() + LINES_KEPT_SECONDS;
        let part = Part { format, text: text.to_owned(), expires_at };
        self.items.push(encode(&self.facts.keys.part(job.id, number), None, &part)?);
        Ok(job)
    }

    /// Lets a job begin with an import.
    ///
    /// # Errors
    /// As those of [`Plan::add_part`].
    pub fn start_import(&mut self, caller: &Caller) -> Result<Job, Problem> {
        let unseen = of_caller(self, caller)?;
        let (starts_at, address) = (Some(self.facts.now()), caller.address());
        Ok(self.update(unseen, &JobEdit { starts_at, address, ..JobEdit::default() }))
    }
}

/// Makes the changes of the next lines. The job is done after the last one.
///
/// # Errors
/// The table cannot be read or written, or a change has to wait.
pub(super) async fn piece(worker: &Worker<'_>, read: ReadLines) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let Task::ImportUsers { by, on_existing, dry_run } = &job.task else { return Ok(()) };
    let done = job.progress.done;
    let Some((number, skip)) = job.place(done) else {
        asked.table.clear(&job.parts().map(|(part, _)| keys.part(job.id, part)).collect::<Vec<_>>()).await?;
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    };
    let part: Option<Part> = asked.table.read(&keys.part(job.id, number)).await?;
    let part = part.ok_or_else(|| Problem::Unavailable("a part of an import is gone".to_owned()))?;
    let edits = read(part.format, &part.text, keys.0);
    let edits: Vec<_> = edits.iter().skip(skip).take(LINES).collect();
    if edits.is_empty() {
        // Else the job would come to the same place again and again.
        return Err(Problem::Unavailable(format!("part {number} of an import has fewer lines than were counted")));
    }
    let caller = Caller::of_starter(by, job.progress.address.as_deref(), keys.0);
    let request = format!("job {}", job.id);
    let importer = Importer {
        asked: &Asked { request: &request, dialect: "users", ..*asked },
        caller: &caller,
        job: job.id,
        on_existing: *on_existing,
        is_dry: *dry_run,
    };
    let lane = async |places: &Vec<usize>| {
        let mut lines = Vec::new();
        for place in places {
            let line = Line { part: number, line: skip + place + 1, ..Line::default() };
            lines.push((*place, importer.line(line, done + place, edits[*place]).await?));
        }
        Ok::<_, Problem>(lines)
    };
    let lanes = lanes(&edits);
    let lines = join_all(lanes.iter().map(lane)).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut lines = lines.concat();
    lines.sort_by_key(|(place, _)| *place);
    let lines: Vec<Line> = lines.into_iter().map(|(_, line)| line).collect();
    let mut outcomes = job.progress.outcomes.unwrap_or_default();
    lines.iter().for_each(|line| outcomes.count(line.outcome));
    let progress = Progress { done: done + lines.len(), outcomes: Some(outcomes), ..job.progress.clone() };
    let results = Results { lines, text: String::new(), expires_at: (asked.clock)().seconds() + KEPT_SECONDS };
    keep(worker, progress, &[results]).await
}

/// Keeps the results of a piece, a part each, and writes down the next piece.
pub(super) async fn keep(worker: &Worker<'_>, progress: Progress, parts: &[Results]) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let numbered = (job.progress.results + 1..).zip(parts);
    let items = numbered.map(|(number, part)| encode(&keys.results(job.id, number), None, part));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    let results = job.progress.results + parts.len();
    let progress = Progress { results, ..next(&progress, (asked.clock)()) };
    asked.table.set_results(&keys.job(job.id), &progress, items).await.map(drop)
}

/// The places of lines in lanes. Lines with the same address are in the same lane, in their order.
fn lanes(edits: &[&Result<MemberEdit, Problem>]) -> Vec<Vec<usize>> {
    let mut lanes = vec![Vec::new(); LANES];
    let mut of_address = HashMap::new();
    for (place, edit) in edits.iter().enumerate() {
        let address = edit.as_ref().ok().and_then(|edit| edit.email.as_ref()).map(|email| email.to_lowercase());
        let next = place % LANES;
        let lane: usize = address.map_or(next, |address| *of_address.entry(address).or_insert(next));
        lanes[lane].push(place);
    }
    lanes
}

struct Importer<'a> {
    asked: &'a Asked<'a>,
    caller: &'a Caller,
    job: JobId,
    on_existing: OnExisting,
    is_dry: bool,
}

/// What the refusal of a member with the address says.
const EXISTS: &str = "member with this address";

impl Importer<'_> {
    /// What becomes of a line. `place` is its place in the whole import.
    ///
    /// # Errors
    /// The change has to wait: it is nobody's fault.
    async fn line(&self, line: Line, place: usize, edit: &Result<MemberEdit, Problem>) -> Result<Line, Problem> {
        let made = match edit {
            Ok(edit) => self.change(place, edit).await,
            Err(why) => return Ok(failed(line, why)),
        };
        match made {
            Ok(answer) => {
                let outcome = if answer.status == 201 { Outcome::Created } else { Outcome::Updated };
                let location = answer.headers.into_iter().find(|(name, _)| name == "location");
                let id = location.and_then(|(_, place)| place.rsplit_once('/').map(|(_, id)| id.to_owned()));
                Ok(Line { outcome, id: id.filter(|_| !self.is_dry), ..line })
            }
            Err(Problem::Exists(EXISTS)) if self.on_existing == OnExisting::Skip => {
                Ok(Line { outcome: Outcome::Skipped, ..line })
            }
            Err(why) if why.retry_after().is_some() || matches!(why, Problem::Internal(_)) => Err(why),
            Err(why) => Ok(failed(line, &why)),
        }
    }

    async fn change(&self, place: usize, edit: &MemberEdit) -> Result<Answer, Problem> {
        let email = edit.email.clone().unwrap_or_default();
        let new = MemberEdit {
            roles: edit.roles.clone().or(Some(Roles::Default)),
            status: edit.status.or(Some(Status::Invited)),
            ..edit.clone()
        };
        let old = MemberEdit { email: None, ..edit.clone() };
        let reads = Reads::person(&email).and_address(&email).naming(edit).unshown();
        let plan = |plan: &mut Plan| {
            let facts = plan.facts();
            let location = |member: &Member| format!("/v1/users/{}", member.user.uuid());
            let (status, member) = match existing(facts, &email) {
                None => (201, plan.add_member(&new)?),
                Some(member) if self.on_existing == OnExisting::Update => (200, plan.update(member, &old)),
                Some(_) => {
                    plan.with_nobody(&[Action::Invite(facts.catalog().inviters)]);
                    plan.refuse(Problem::Exists(EXISTS));
                    return Ok(Answer::empty(200).into());
                }
            };
            Ok(Answer::empty(status).with_header("location", location(&member)).into())
        };
        let who = Who::Caller(self.caller);
        if self.is_dry {
            return super::judge(self.asked, &who, &reads, &plan).await;
        }
        let fingerprint = self.job.to_string();
        // As long as the job can wait, because its lines are made once.
        let idempotency =
            Some(Idempotency { key: format!("import {} {place}", self.job), fingerprint, kept: KEPT_SECONDS });
        super::change(self.asked, &who, &reads, &Conditions { if_match: None, idempotency }, &plan).await
    }
}

fn existing<'f>(facts: &'f Facts, email: &str) -> Option<Unseen<'f, Member>> {
    let by_person = |user: UserId| facts.member(Some(user)).ok();
    facts.member_at(email).ok().or_else(|| facts.person(email).and_then(by_person))
}

fn failed(line: Line, why: &Problem) -> Line {
    let mut message = why.to_string();
    message.truncate(message.floor_char_boundary(MAX_MESSAGE));
    Line { outcome: Outcome::Failed, code: Some(why.code().to_owned()), message: Some(message), ..line }
}

/// The most bytes of a message: the item of a piece has room for it.
const MAX_MESSAGE: usize = 500;
