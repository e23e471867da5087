//! How far the erasure of a member is.

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// What an erasure goes through, in this order. The names and addresses of the person stay in their own record to the end: a worker
/// that takes over needs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The records of the tenant: who made them, the API keys of the person, the lines of imports and exports.
    #[default]
    Records,
    /// As whom an issuer knows them.
    Identities,
    /// The answers on record.
    Answers,
    /// The events of the tenant.
    Events,
    /// The exports of the record that began before that.
    Exports,
    /// What is theirs alone, their own record at last.
    Own,
}

impl Stage {
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Stage::Records => Stage::Identities,
            Stage::Identities => Stage::Answers,
            Stage::Answers => Stage::Events,
            Stage::Events => Stage::Exports,
            Stage::Exports | Stage::Own => Stage::Own,
        }
    }
}

/// The place of an erasure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub stage: Stage,
    /// The sort key of the last item of the stage that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Of the item behind it, if that is a job whose lines are done in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,
    /// When the stage began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// How far the lines of a job are done: its sort key, and that of the last part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    pub job: String,
    pub after: String,
}
