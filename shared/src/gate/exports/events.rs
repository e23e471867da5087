//! Exports of the record, from the oldest event to the newest.
//!
//! An export ends with what was old enough for the record when it was asked for, so each worker writes the same parts.

use domain::id::TenantId;
use domain::job::change::JobEdit;
use domain::job::{EventFilters, Format, Progress, State, Task};
use domain::policy::Action;
use domain::{Checkpoint, Event, Job, Problem, Time};

use super::{MOST, READ, still_allowed};
use crate::gate::events::{EventList, SETTLED_AFTER, further, place_of};
use crate::gate::imports::{KEPT_SECONDS, Results, keep};
use crate::gate::jobs::{Worker, next};
use crate::gate::plan::Plan;
use crate::gate::{Asked, Caller, Reads};
use crate::table::decode;
use crate::table::key::Range;

/// How many checkpoints are read to find one that covers no event behind the export. There is one a day, and one with each key.
const CHECKPOINTS: i32 = 50;

/// The most bytes of a part. A line that is longer goes on in the next part.
const LARGEST: usize = 384 * 1024;

/// What a line of an export says.
pub enum RecordLine<'a> {
    /// What stands before the first event.
    Names,
    Event(&'a Event),
    /// It shows whether an event before its time is missing.
    Checkpoint(&'a Checkpoint),
}

/// How the lines of an export of the record are written, and what its filters mean.
pub struct Lines {
    pub wanted: fn(&EventFilters, TenantId) -> EventList,
    pub write: fn(Format, TenantId, &RecordLine) -> String,
}

impl Plan<'_> {
    /// Lets a job begin with an export of the record.
    ///
    /// # Errors
    /// [`Problem::LimitReached`]: no number is left for a job.
    pub fn start_event_export(
        &mut self,
        caller: &Caller,
        format: Format,
        filters: &EventFilters,
    ) -> Result<Job, Problem> {
        let id = self.number(|numbers| &mut numbers.jobs)?;
        let now = self.facts.now();
        let settled = Time::from_millis(now.millis() - SETTLED_AFTER * 1_000);
        let to = Some(filters.to.map_or(settled, |to| to.min(settled)));
        let filters = EventFilters { to, ..filters.clone() };
        let task = Task::ExportEvents { by: caller.starter()?, format, filters };
        Ok(self.create(Job::new(id, task, now), &JobEdit { address: caller.address(), ..JobEdit::default() }))
    }
}

/// Writes down the next events. The job is done after the last one.
///
/// # Errors
/// The table cannot be read or written.
pub(in crate::gate) async fn piece(worker: &Worker<'_>, lines: &Lines) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let Task::ExportEvents { by, format, filters } = &job.task else { return Ok(()) };
    // The total is known once all of them are written down.
    if job.progress.total.is_some() {
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    }
    let own = Asked { dialect: "users", ..*asked };
    let caller = Caller::of_starter(by, job.progress.address.as_deref(), keys.0);
    let Some(facts) = still_allowed(worker, &own, &caller, &Action::ReadEvents).await? else { return Ok(()) };
    let wanted = EventList { ascending: true, ..(lines.wanted)(filters, keys.0) };
    // Another clock can have been ahead of this one.
    let now = facts.now().max(job.meta.created_at);
    let limit = usize::try_from(READ).unwrap_or_default();
    let (events, mut place) = further(&own, (keys, now), &wanted, job.progress.last_event.clone(), limit).await?;
    let write = |line: &RecordLine| (lines.write)(*format, keys.0, line);
    let (mut text, mut written) = (write(&RecordLine::Names), 0);
    for event in &events {
        let line = write(&RecordLine::Event(event));
        // A line alone is a piece, however long it is.
        if text.len() + line.len() > MOST && written > 0 {
            place = Some(place_of(keys, &wanted, &events[written - 1]));
            break;
        }
        text += &line;
        written += 1;
    }
    let is_last = place.is_none();
    let done = job.progress.done + written;
    let total = is_last.then_some(done);
    let progress = Progress { done, total, last_event: place, ..job.progress.clone() };
    let checkpoint = if is_last && filters.are_whole() { covering(worker, filters).await? } else { None };
    text.extend(checkpoint.as_ref().map(|checkpoint| write(&RecordLine::Checkpoint(checkpoint))));
    // A filter can leave out all that was read. An export has one part at least.
    if written == 0 && checkpoint.is_none() && !(is_last && job.progress.results == 0) {
        let progress = next(&progress, (asked.clock)());
        return asked.table.set_progress(&keys.job(job.id), State::Running, &progress).await.map(drop);
    }
    let expires_at = (asked.clock)().seconds() + KEPT_SECONDS;
    let parts = in_parts(text).into_iter().map(|text| Results { lines: Vec::new(), text, expires_at });
    keep(worker, progress, &parts.collect::<Vec<_>>()).await
}

/// The text of a piece in parts: one, unless a line is longer than an item of the table has room for.
fn in_parts(mut text: String) -> Vec<String> {
    let mut parts = Vec::new();
    while text.len() > LARGEST {
        let rest = text.split_off(text.floor_char_boundary(LARGEST));
        parts.push(std::mem::replace(&mut text, rest));
    }
    parts.push(text);
    parts
}

/// The newest checkpoint that covers nothing behind the end of the export, and after which nothing more was removed.
async fn covering(worker: &Worker<'_>, filters: &EventFilters) -> Result<Option<Checkpoint>, Problem> {
    let range = Range { descending: true, ..Range::of(worker.keys.checkpoints()) };
    let (items, _) = worker.asked.table.page(&range, None, CHECKPOINTS).await?;
    let checkpoints = items.into_iter().map(decode).collect::<Result<Vec<Checkpoint>, _>>()?;
    let removed = checkpoints.first().and_then(|newest| newest.says.removed.clone());
    let covers = |it: &Checkpoint| Some(it.says.until) <= filters.to && it.says.removed == removed;
    Ok(checkpoints.into_iter().find(covers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_in_the_next_part() {
        for (text, parts) in [
            (String::new(), 1),
            ("x".repeat(LARGEST), 1),
            ("x".repeat(LARGEST + 1), 2),
            ("x".to_owned() + &"漢".repeat(LARGEST), 4),
        ] {
            let found = in_parts(text.clone());
            assert_eq!((found.len(), found.concat()), (parts, text));
            assert!(found.iter().all(|part| part.len() <= LARGEST));
        }
    }
}
