//! A group of members. It can confer roles on them.

pub mod change;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, JobId, RoleId};
use crate::meta::{Meta, Metadata};
use crate::time::Time;

/// The most groups of a tenant.
pub const MAX_GROUPS: usize = 10_000;

/// The most roles that a group can confer.
pub const MAX_CONFERRED: usize = 50;

/// The most roles that all groups of a tenant can confer together. A function reads all of them after a change.
pub const MAX_CONFERRED_OF_ALL: usize = 5_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: GroupId,
    /// Unique among the groups of the tenant without regard to case.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The roles that each member has as long as they are in the group. `owner` is none of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub confers: BTreeSet<RoleId>,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The group's id in another system; unique among the groups of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether it is about to be deleted: nobody can join it any more.
    #[serde(default)]
    pub retiring: bool,
    /// The job that deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    #[serde(flatten)]
    pub meta: Meta,
}

/// The part of a group that decides: only groups that have such a part are in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub confers: BTreeSet<RoleId>,
    /// Nobody is in the group any more, though members may still name it.
    pub retiring: bool,
}

impl Group {
    /// `None` for a group that decides nothing.
    pub fn standing(&self) -> Option<Standing> {
        let standing = Standing { confers: self.confers.clone(), retiring: self.retiring };
        (standing != Standing::default()).then_some(standing)
    }

    /// A group that is not written yet.
    pub fn new(id: GroupId, name: &str, now: Time) -> Self {
        Self {
            id,
            name: name.to_owned(),
            description: None,
            confers: BTreeSet::new(),
            metadata: Metadata::new(),
            external_id: None,
            retiring: false,
            job: None,
            meta: Meta::new(now),
        }
    }
}
