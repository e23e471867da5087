//! What imports and exports have beside other jobs: lines, parts, and who has started them.

use serde::{Deserialize, Serialize};

use super::Job;
use crate::id::{KeyId, UserId};

/// How many lines a piece of an import has.
pub const LINES: usize = 200;

/// The most lines of an import, and the most parts.
pub const MAX_LINES: usize = 100_000;
pub const MAX_PARTS: u32 = 1_000;

/// How long an import can be added to before it is started: a day.
pub const OPEN_SECONDS: i64 = 24 * 60 * 60;

/// The form of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "LineFormat"))]
pub enum Format {
    Csv,
    /// JSON Lines: an object a line.
    Jsonl,
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
    /// The client's address, from which the key must be allowed to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl Starter {
    /// Whether it is the same caller, from wherever.
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

impl Job {
    /// The parts of an import and their lines, in the order of their numbers.
    pub fn parts(&self) -> impl Iterator<Item = (u32, usize)> {
        self.parts.iter().filter_map(|(number, lines)| Some((number.parse().ok()?, *lines)))
    }

    /// The part in which a line of the whole import is, and the line's place there.
    pub fn place(&self, line: usize) -> Option<(u32, usize)> {
        let mut before = 0;
        for (part, lines) in self.parts() {
            if line < before + lines {
                return Some((part, line - before));
            }
            before += lines;
        }
        None
    }

    /// How many lines an import has.
    pub fn lines(&self) -> usize {
        self.parts().map(|(_, lines)| lines).sum()
    }

    /// Numbers are padded so that they sort.
    pub(super) fn set_part(&mut self, number: u32, lines: usize) {
        self.parts.insert(format!("{number:04}"), lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;
    use crate::id::JobId;
    use crate::job::Task;

    #[test]
    fn a_line_of_the_whole_is_found_in_its_part() {
        let by = Starter { member: Some(UserId::new(1)), key: None, address: None };
        let task = Task::ImportUsers { by, on_existing: OnExisting::Fail, dry_run: false };
        let mut job = Job::new(JobId::new(1), task, Time::from_millis(0));
        assert_eq!((job.lines(), job.place(0)), (0, None));
        for (number, lines) in [(10, 2), (2, 3), (7, 1), (2, 4)] {
            job.set_part(number, lines);
        }
        assert_eq!(job.lines(), 7);
        let places: Vec<_> = (0..8).map(|line| job.place(line)).collect();
        let wanted = [(2, 0), (2, 1), (2, 2), (2, 3), (7, 0), (10, 0), (10, 1)];
        assert_eq!(places, wanted.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
    }
}
