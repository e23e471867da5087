//! Retention: the events that a tenant keeps no longer go, from the oldest one on.
//!
//! First a signed checkpoint says which events these are, and has the roots of their tree, with which the tree of all events goes on.
//! Only then a job removes them. The start of a chain keeps the version and the hash of the last event that is removed from it, so that
//! the chain is checked from there.

use std::collections::BTreeMap;

use domain::chain::Checked;
use domain::event::Deed;
use domain::job::change::JobEdit;
use domain::job::{Progress, State, Task};
use domain::{Event, Job, Problem, Record, Subject, Time};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::events::can_expire;
use super::jobs::{Worker, next};
use super::{Asked, Reads, Who};
use crate::table::key::{Key, Range, TenantKeys};
use crate::table::{Condition, decode, encode};

/// How many events a piece removes.
const PIECE: i32 = 200;

/// How long the start of the chain of a job is kept, in seconds: a job is gone long before.
const START_OF_JOB: i64 = 400 * 24 * 60 * 60;

/// What is kept of the events of a chain that are removed.
#[derive(Serialize, Deserialize)]
struct Start {
    /// The version and the hash of the last one.
    version: u64,
    hash: String,
    /// Seconds since the epoch; the table's TTL attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// Lets a job begin to remove the events before a time.
///
/// # Errors
/// The table cannot be read or written, or no number is left for a job.
pub(super) async fn start(asked: &Asked<'_>, keys: TenantKeys, until: Time) -> Result<(), Problem> {
    let who = Who::Product(keys.0, "retention".to_owned());
    let plan = |plan: &mut super::Plan| {
        let id = plan.number(|numbers| &mut numbers.jobs)?;
        plan.create(Job::new(id, Task::RemoveEvents { until }, plan.facts().now()), &JobEdit::default());
        Ok(())
    };
    super::change_unanswered(asked, &who, &Reads::none().unshown(), &plan).await
}

/// Removes the next events. A worker that takes over removes what is left of them.
///
/// # Errors
/// The table cannot be read or written.
pub(super) async fn piece(worker: &Worker<'_>) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let Task::RemoveEvents { until } = job.task else { return Ok(()) };
    let within = Some((Time::from_millis(0).to_string(), until.to_string()));
    let range = Range { in_index: true, within, ..Range::of(keys.record()) };
    let (items, _) = asked.table.page(&range, None, PIECE).await?;
    let events = items.into_iter().map(decode).collect::<Result<Vec<Event>, _>>()?;
    if events.is_empty() {
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    }
    let mut last: BTreeMap<(&str, &str), &Event> = BTreeMap::new();
    for event in &events {
        let known = last.entry((&event.subject.kind, &event.subject.id)).or_insert(event);
        if event.version > known.version {
            *known = event;
        }
    }
    // The start of a chain is moved before its events go.
    let (ended, going_on): (Vec<_>, Vec<_>) = last.values().partition(|event| event.deed == Deed::Deleted);
    let moved = going_on.into_iter().map(|event| keep_start(asked, keys, event));
    join_all(moved).await.into_iter().collect::<Result<(), _>>()?;
    let mut gone: Vec<Key> = events.iter().map(|event| keys.event(&event.subject, event.version)).collect();
    gone.extend(ended.into_iter().map(|event| keys.start(&event.subject)));
    asked.table.clear(&gone).await?;
    let done = job.progress.done + events.len();
    let progress = Progress { done, ..next(&job.progress, (asked.clock)()) };
    asked.table.set_progress(&keys.job(job.id), State::Running, &progress).await.map(drop)
}

/// Keeps what it takes to check the events behind this one.
async fn keep_start(asked: &Asked<'_>, keys: TenantKeys, event: &Event) -> Result<(), Problem> {
    let is_of_job = event.subject.kind == Job::KIND;
    // A record that expires without a trace has expired long ago, and has one event only.
    if can_expire(keys, &event.subject) && !is_of_job {
        return Ok(());
    }
    let expires_at = is_of_job.then(|| (asked.clock)().seconds() + START_OF_JOB);
    let start = Start { version: event.version, hash: event.hash(), expires_at };
    let further = Condition::new("attribute_not_exists(PK) OR version < :version").with(":version", start.version)?;
    asked.table.put_if(encode(&keys.start(&event.subject), None, &start)?, further).await.map(drop)
}

/// Where the check of a chain begins if its first events are removed.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn start_of(
    asked: &Asked<'_>,
    keys: TenantKeys,
    subject: &Subject,
) -> Result<Option<Checked>, Problem> {
    let start: Option<Start> = asked.table.read(&keys.start(subject)).await?;
    Ok(start.map(|start| Checked::after(start.version, &start.hash)))
}
