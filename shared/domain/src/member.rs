//! A member: a user in a tenant, with everything that the tenant stores about them.

mod apply;
pub mod change;
mod erasure;
pub mod invitation;
mod invited;
pub mod picture;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, JobId, LabelId, MembershipId, RoleId, TenantId, UserId};
use crate::member::invitation::Invitation;
use crate::member::picture::Picture;
use crate::meta::{Actor, Meta, Metadata};
use crate::role;
use crate::time::Time;

/// How many sessions a member may have at once. One more replaces the session that ends first.
pub const MAX_SESSIONS: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "MemberStatus"))]
pub enum Status {
    Invited,
    Active,
    Deactivated,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Invited => "invited",
            Status::Active => "active",
            Status::Deactivated => "deactivated",
        }
    }
}

/// The erasure of a removed member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The job that erases them.
    pub job: JobId,
    /// When nothing was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
}

/// A user in a tenant, with everything that the tenant stores about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: MembershipId,
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
    pub auth_provider: String,
    /// If a full name was written with several spaces before the last name, all but one of them stand at the end of this first
    /// name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profession: Option<LabelId>,
    /// An ISO 639-1 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the member wants to see absolute times, not "3 days ago".
    #[serde(default)]
    pub absolute_time: bool,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The member's id in another system; unique among the members of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Nothing of a removed member: their picture is gone for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    pub roles: BTreeSet<RoleId>,
    pub status: Status,
    /// How the person can come in, or has come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
    /// SHA-256 of the secret that accepts the invitation, in hex; `None` if nobody can accept it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    // INVARIANT: `manages` and `primary_group` lie within `groups`.
    pub groups: BTreeSet<GroupId>,
    pub manages: BTreeSet<GroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_group: Option<GroupId>,
    /// The live sessions by their ids, and when each ends, in seconds since the epoch. They are in this item because a batch read
    /// is no snapshot: facts that are checked together must come from one item. A change that ends a session raises `authority`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sessions: BTreeMap<String, i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// A removed member keeps roles and groups, so that they can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// Nobody restores a member who is, or was, erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erasure: Option<Erasure>,
    /// The version that last changed the member's rights: roles, status, groups, deletion.
    pub authority: u64,
    /// How many fences stand around the authority.
    #[serde(default)]
    pub fences: u32,
    #[serde(flatten)]
    pub meta: Meta,
}

impl Member {
    /// An active member who is not written yet, with an account of ours and nothing else.
    pub fn new(id: MembershipId, tenant: TenantId, user: UserId, email: &str, now: Time) -> Self {
        Self {
            id,
            tenant,
            user,
            email: email.to_owned(),
            auth_provider: "local".to_owned(),
            first_name: None,
            last_name: None,
            profession: None,
            language: None,
            absolute_time: false,
            metadata: Metadata::new(),
            external_id: None,
            picture: None,
            roles: BTreeSet::new(),
            status: Status::Active,
            invitation: None,
            secret: None,
            groups: BTreeSet::new(),
            manages: BTreeSet::new(),
            primary_group: None,
            sessions: BTreeMap::new(),
            last_seen: None,
            deleted_at: None,
            erasure: None,
            authority: 0,
            fences: 0,
            meta: Meta::new(now),
        }
    }

    /// First and last name as they were written, or the empty string.
    pub fn name(&self) -> String {
        let names: Vec<&str> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        names.join(" ").trim_end().to_owned()
    }

    /// The name, or the address if there is no name. Lists show it and sort by it.
    pub fn label(&self) -> String {
        Some(self.name()).filter(|name| !name.is_empty()).unwrap_or_else(|| self.email.clone())
    }

    /// Whether the session has neither ended nor expired.
    pub fn has_session(&self, id: &str, now: Time) -> bool {
        self.sessions.get(id).is_some_and(|ends| *ends > now.seconds())
    }

    /// Adds a session that lasts until `ends`, in seconds since the epoch. Removes expired sessions and, past [`MAX_SESSIONS`],
    /// those of the other sessions that would end first.
    pub fn start_session(&mut self, id: String, ends: i64, now: Time) {
        self.sessions.insert(id.clone(), ends);
        self.sessions.retain(|_, ends| *ends > now.seconds());
        while self.sessions.len() > MAX_SESSIONS {
            let others = self.sessions.iter().filter(|(other, _)| **other != id);
            let first = others.min_by_key(|(_, ends)| **ends).map(|(id, _)| id.clone());
            first.map(|id| self.sessions.remove(&id));
        }
    }

    pub fn is_present(&self) -> bool {
        self.deleted_at.is_none()
    }

    pub fn is_active(&self) -> bool {
        self.is_present() && self.status == Status::Active
    }

    /// Whether the member takes one of the tenant's seats: an invited one does, a deactivated one does not.
    pub fn takes_seat(&self) -> bool {
        self.is_present() && self.status != Status::Deactivated
    }

    pub fn is_owner(&self) -> bool {
        self.roles.contains(&role::OWNER)
    }

    /// Whether the member counts among the tenant's owners.
    pub fn is_acting_owner(&self) -> bool {
        self.is_active() && self.is_owner()
    }

    /// The highest built-in role that the member holds, or `user` if they hold only roles of the tenant's own.
    pub fn built_in_role(&self) -> RoleId {
        [role::OWNER, role::ADMIN].into_iter().find(|id| self.roles.contains(id)).unwrap_or(role::USER)
    }
}

impl From<&Member> for Actor {
    fn from(member: &Member) -> Self {
        Self { user: member.user, name: member.label(), email: member.email.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_keeps_the_sessions_that_end_last() {
        let now = Time::from_millis(1_000_000);
        let (id, tenant, user) = (MembershipId::new(1), TenantId::new(1), UserId::new(1));
        let mut member = Member::new(id, tenant, user, "ann@acme.example", now);
        member.start_session("expired".to_owned(), 1_000, now);
        assert_eq!(member.sessions, BTreeMap::new());
        for ends in 0..60 {
            member.start_session(format!("s{ends}"), 1_001 + ends, now);
        }
        assert_eq!(member.sessions.len(), MAX_SESSIONS);
        assert!(!member.has_session("s9", now) && member.has_session("s10", now) && member.has_session("s59", now));
        assert!(!member.has_session("s10", Time::from_millis(1_011_000)), "it ends at that second");
        member.start_session("short".to_owned(), 1_002, now);
        assert!(member.has_session("short", now) && !member.has_session("s10", now), "whoever signs in is signed in");
    }
}
