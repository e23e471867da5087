//! A job: work on many records. Its request is answered at once, and a function of the product does the work in pieces.

pub mod change;
mod erasure;
mod lines;
mod parts;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, JobId, RoleId, UserId};
use crate::meta::Meta;
use crate::time::Time;

pub use erasure::{Lines, Place, Stage};
pub use lines::{
    EventFilters, Format, LINES, LINES_KEPT_SECONDS, Line, MAX_LINES, MAX_PARTS, OPEN_HOURS, OPEN_SECONDS, OnExisting,
    Outcome, Outcomes, Starter,
};

/// How many members a piece of a job has.
pub const PIECE: usize = 100;

/// How long a job that is done is kept: 30 days.
pub const KEPT_SECONDS: i64 = 30 * 24 * 60 * 60;

/// The work of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Gives each holder of a role another role in its place, and then deletes it. No request can give the role to anybody.
    DeleteRole { role: RoleId, reassign_to: RoleId },
    /// Takes each member out of a group, and then deletes it. The group confers nothing any more, and nobody can join it.
    DeleteGroup { group: GroupId },
    /// Counts the members who take a seat.
    CountSeats,
    /// Removes everything of a tenant that was deleted and that nobody has restored in time, the record too.
    RemoveTenant,
    /// Adds users, or changes those who are members already, in the name of the caller who has made the import.
    ImportUsers { by: Starter, on_existing: OnExisting, dry_run: bool },
    /// Writes down the users whom the caller may see.
    ExportUsers { by: Starter, format: Format },
    /// Erases what names a removed member.
    EraseMember { user: UserId },
    /// Writes down the events of the record that match.
    ExportEvents { by: Starter, format: Format, filters: EventFilters },
    /// Removes the events before a time, which the tenant keeps no longer.
    RemoveEvents { until: Time },
}

impl Task {
    /// Who has begun it, if it is an export: a text that is another one for each caller.
    pub fn exporter(&self) -> Option<String> {
        let (Task::ExportUsers { by, .. } | Task::ExportEvents { by, .. }) = self else { return None };
        by.key.map(|key| format!("key {key}")).or(by.member.map(|member| format!("member {member}")))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JobState"))]
pub enum State {
    /// An import that was not started yet: its lines are added.
    Open,
    Running,
    /// A piece has failed. The sweep lets the job run again.
    Waiting,
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub id: JobId,
    pub task: Task,
    pub state: State,
    pub progress: Progress,
    /// The parts of an import by their numbers: how many lines each has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, usize>,
    /// Seconds since the epoch; the table's TTL attribute. Set while an import is not started, and once the job is done. An import is
    /// not gone before its parts: who erases a person finds the parts by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(flatten)]
    pub meta: Meta,
}

/// How far a job is. Workers change it; no event lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Raised by one with every change. Of two workers that do the same piece, one can write the next.
    pub turn: u64,
    /// How many members are done or counted; of an export of the record or of a removal from it, how many events;
    /// of a tenant that is removed, or a member who is erased, how many items.
    pub done: usize,
    /// How many there were at the beginning. `None` until the job has counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<usize>,
    /// The members of the piece under way. A worker that takes over does these again, so that each counts once.
    #[serde(default)]
    pub piece: Vec<UserId>,
    /// Behind which event an export of the record goes on: a sort key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<String>,
    /// What became of the lines of an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
    /// How many parts of results there are.
    #[serde(default)]
    pub results: usize,
    /// How far an erasure is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The address of the client, if an API key has begun the job: the key must be allowed to call from there. It goes with the end of
    /// the job, and no event has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub at: Time,
    /// Why the last piece failed, in words for the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Job {
    /// A job that is not written yet.
    pub fn new(id: JobId, task: Task, now: Time) -> Self {
        let progress = Progress {
            turn: 0,
            done: 0,
            total: None,
            piece: Vec::new(),
            last_event: None,
            outcomes: None,
            results: 0,
            place: None,
            address: None,
            at: now,
            error: None,
        };
        let (state, expires_at) = match task {
            Task::ImportUsers { .. } => (State::Open, Some(now.seconds() + OPEN_SECONDS)),
            _ => (State::Running, None),
        };
        Self { id, task, state, progress, parts: BTreeMap::new(), expires_at, meta: Meta::new(now) }
    }
}
