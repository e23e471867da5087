//! The lines of imports and exports that have the person.

use domain::id::JobId;
use domain::job::{Lines, State, Task};
use domain::{Job, Problem, Time};

use super::{Done, Eraser, lost};
use crate::gate::events::SETTLED_AFTER;
use crate::gate::imports::{Part, Results};
use crate::table::key::{self, Key, Range};
use crate::table::{decode, encode, key_of};

/// How many times a piece reads further lines, each time at most a MB of them.
const READS: usize = 20;

/// Checks that no worker goes on with an export or import: its results could get the person. An import that is not started can stay:
/// the erasure takes its lines with the person out.
///
/// # Errors
/// [`Problem::Unavailable`]: it is under way, and the erasure goes on later.
pub(super) fn ended(job: &Job) -> Result<(), Problem> {
    match job.state {
        State::Done | State::Open => Ok(()),
        _ => Err(Problem::Unavailable("an export or import that can have the person is under way".to_owned())),
    }
}

impl Eraser<'_> {
    /// The parts of an import, and the results of a job, behind the sort key `after`. A part of an export that has the person goes
    /// whole. Returns the sort key of the last one, if there are more.
    pub(super) async fn lines(&self, job: JobId, after: Option<&str>) -> Result<Option<String>, Problem> {
        let range = Range::of(self.worker.keys.beside_job(job));
        let mut after = after.map(str::to_owned);
        for _ in 0..READS {
            let (items, more) = self.page(&range, after.as_deref()).await?;
            for item in items {
                let key = key_of(&item)?;
                match key.sk.split_once('#') {
                    Some(("PART", _)) => self.part(&key, decode(item)?).await?,
                    Some(("RESULTS", _)) => self.results(&key, decode(item)?).await?,
                    // Its events.
                    _ => {}
                }
                after = Some(key.sk);
            }
            if !more {
                return Ok(None);
            }
        }
        Ok(after)
    }

    /// The lines of the job behind `before` that are left.
    pub(super) async fn further_lines(
        &self,
        before: Option<String>,
        Lines { job, after }: Lines,
    ) -> Result<Done, Problem> {
        let (_, id) = key::job_at(&Range::of(self.worker.keys.all()).at(&job)).ok_or_else(lost)?;
        let last = self.lines(id, Some(&after)).await?;
        Ok(Done::with_lines(0, before, job, last))
    }

    async fn part(&self, key: &Key, part: Part) -> Result<(), Problem> {
        let without = (self.without)(part.format, &part.text, &|text| self.person.has_address(text));
        let Some(text) = without else { return Ok(()) };
        match self.worker.asked.table.replace_text(key, &part.text, &text).await? {
            true => Ok(()),
            // The client was told that the new text is there. The piece comes to it when it runs again.
            false => Err(Problem::Unavailable("a part of an import was replaced meanwhile".to_owned())),
        }
    }

    async fn results(&self, key: &Key, mut results: Results) -> Result<(), Problem> {
        if self.person.is_in(&results.text) {
            return self.worker.asked.table.clear(std::slice::from_ref(key)).await;
        }
        let is_theirs = |text: &Option<String>| text.as_ref().is_some_and(|text| self.person.is_in(text));
        let theirs = results.lines.iter_mut().filter(|line| is_theirs(&line.id) || is_theirs(&line.message));
        let mut is_any = false;
        for line in theirs {
            (line.id, line.message, is_any) = (None, None, true);
        }
        if is_any { self.put(encode(key, None, &results)?).await } else { Ok(()) }
    }

    /// The exports of the record that began before `since`, while the events still had the person.
    pub(super) async fn exports(&self, after: Option<&str>, since: Option<Time>) -> Result<Done, Problem> {
        let keys = self.worker.keys;
        let (items, more) = self.page(&Range::of(keys.jobs()), after).await?;
        let (mut done, mut last) = (0, after.map(str::to_owned));
        for item in items {
            let job: Job = decode(item)?;
            done += 1;
            let sk = keys.job(job.id).sk;
            let before = last.replace(sk.clone());
            // The index lags behind the events for a while.
            let is_later = since.is_some_and(|since| job.meta.created_at.seconds() > since.seconds() + SETTLED_AFTER);
            if matches!(job.task, Task::ExportEvents { .. }) && !is_later {
                ended(&job)?;
                let lines = self.lines(job.id, None).await?;
                // They can be many: enough for a piece.
                return Ok(Done::with_lines(done, before, sk, lines));
            }
        }
        Ok(Done::new(done, last.filter(|_| more)))
    }
}
