//! What imports and exports have beside other jobs: lines, parts, and who has started them.

use serde::{Deserialize, Serialize};

use crate::id::{KeyId, UserId};
use crate::time::Time;

/// How many lines a piece of an import has.
pub const LINES: usize = 200;

/// The most lines of an import, and the most parts.
pub const MAX_LINES: usize = 100_000;
pub const MAX_PARTS: u32 = 1_000;

/// How long an import can be added to and started: a day.
pub const OPEN_HOURS: usize = 24;
pub const OPEN_SECONDS: i64 = 24 * 60 * 60;

/// How long the lines of an import, and what became of them, are kept: 7 days.
pub const LINES_KEPT_SECONDS: i64 = 7 * 24 * 60 * 60;

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "LineFormat"))]
pub enum Format {
    Csv,
    /// JSON Lines: an object a line.
    Jsonl,
}

/// Which events an export of the record has. All filters must match. They are in the words of the client, so that the job's own event
/// says what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Time>,
}

impl EventFilters {
    /// Whether all events before a time match, so that a checkpoint of that time shows whether one is missing.
    pub fn are_whole(&self) -> bool {
        *self == Self { to: self.to, ..Self::default() }
    }
}

/// What becomes of a line whose address is that of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum OnExisting {
    Skip,
    Update,
    Fail,
}

/// The caller in whose name a job goes on: a member, or an API key with the member who made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Starter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

impl Starter {
    /// Whether it is the same caller.
    pub fn is(&self, other: &Self) -> bool {
        match (self.key, other.key) {
            (None, None) => self.member == other.member,
            (one, other) => one == other,
        }
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "LineOutcome"))]
pub enum Outcome {
    Created,
    Updated,
    /// The user is a member already.
    Skipped,
    #[default]
    Failed,
}

/// A line of an import, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ImportedLine"))]
pub struct Line {
    /// The number of the part.
    pub part: u32,
    /// The number of the line in the part, from 1. The line of names of a CSV part does not count.
    pub line: usize,
    pub outcome: Outcome,
    /// The user who was added or changed. A dry run names nobody.
    pub id: Option<String>,
    /// Why it failed, as of the single call.
    pub code: Option<String>,
    pub message: Option<String>,
}

/// How many lines came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "LineOutcomes"))]
pub struct Outcomes {
    pub created: usize,
    pub updated: usize,
    pub skipped: usize,
    pub failed: usize,
}

impl Outcomes {
    pub fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Created => &mut self.created,
            Outcome::Updated => &mut self.updated,
            Outcome::Skipped => &mut self.skipped,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }
}
