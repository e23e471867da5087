//! The lines of imports and exports that have the person.

use domain::job::{State, Task};
use domain::{Job, Problem};

use super::{Done, Eraser, PIECE};
use crate::gate::imports::{Part, Results};
use crate::gate::jobs::Worker;
use crate::table::key::{Key, Range};
use crate::table::{decode, encode, key_of};

pub(super) fn is_export(task: &Task) -> bool {
    matches!(task, Task::ExportUsers { .. } | Task::ExportEvents { .. })
}

/// That an export has ended: until then it can get the person.
///
/// # Errors
/// [`Problem::Unavailable`]: it is under way, and the job goes on later.
fn ended(export: &Job) -> Result<(), Problem> {
    match export.state {
        State::Done => Ok(()),
        _ => Err(Problem::Unavailable("an export is under way that can have the person".to_owned())),
    }
}

impl Eraser<'_> {
    /// The parts of an import, and the results of a job. A part of an export that has the person goes whole.
    pub(super) async fn lines(&self, job: &Job) -> Result<(), Problem> {
        let Worker { asked, keys, job: own } = *self.worker;
        if is_export(&job.task) && job.meta.created_at <= own.meta.created_at {
            ended(job)?;
        }
        for prefix in [keys.part(job.id, 0), keys.results(job.id, 0)] {
            let (kind, _) = prefix.sk.split_once('#').unwrap_or_default();
            let range = Range::of(Key { sk: format!("{kind}#"), ..prefix.clone() });
            let mut after: Option<Key> = None;
            loop {
                let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), PIECE).await?;
                for item in items {
                    let key = key_of(&item)?;
                    match kind {
                        "PART" => self.part(&key, decode(item)?).await?,
                        _ => self.results(&key, decode(item)?).await?,
                    }
                    after = Some(key);
                }
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn part(&self, key: &Key, part: Part) -> Result<(), Problem> {
        match (self.without)(part.format, &part.text, &|text| self.person.has_address(text)) {
            Some(text) => self.put(encode(key, None, &Part { text, ..part })?).await,
            None => Ok(()),
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

    /// The exports of the record. One that began while the events still had the person can have them.
    pub(super) async fn exports(&self, after: Option<&str>) -> Result<Done, Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let range = Range::of(keys.jobs());
        let after = after.map(|sk| range.at(sk));
        let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), PIECE).await?;
        let (mut done, mut last) = (0, None);
        for item in items {
            let job: Job = decode(item)?;
            (done, last) = (done + 1, Some(keys.job(job.id).sk));
            if matches!(job.task, Task::ExportEvents { .. }) {
                ended(&job)?;
                self.lines(&job).await?;
                // They can be many: enough for a piece.
                return Ok((done, last));
            }
        }
        Ok((done, last.filter(|_| more)))
    }
}
