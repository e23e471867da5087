use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::role;
use crate::id::{GroupId, LabelId, MembershipId, RoleId, TenantId, UserId};
use crate::time::Time;

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

/// Who did something, as they were called then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub user: UserId,
    pub name: String,
    pub email: String,
}

/// A user in a tenant, with everything that the tenant says of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: MembershipId,
    pub tenant: TenantId,
    pub user: UserId,
    pub email: String,
    pub auth_provider: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profession: Option<LabelId>,
    /// An ISO 639-1 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the member wants times shown as such, not as "3 days ago".
    #[serde(default)]
    pub absolute_time: bool,
    pub roles: BTreeSet<RoleId>,
    pub status: Status,
    // INVARIANT: `manages` and `primary_group` lie within `groups`.
    pub groups: BTreeSet<GroupId>,
    pub manages: BTreeSet<GroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_group: Option<GroupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<Actor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
    /// The version that last changed what the member may do: roles, status, groups, deletion.
    pub authority: u64,
    /// The hash of the event that made this version: the head of the member's audit chain.
    pub head: String,
}

impl Member {
    /// An active member at version 1, with an account of ours and nothing else said of them.
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
            roles: BTreeSet::new(),
            status: Status::Active,
            groups: BTreeSet::new(),
            manages: BTreeSet::new(),
            primary_group: None,
            last_seen: None,
            created_at: now,
            created_by: None,
            updated_at: now,
            updated_by: None,
            deleted_at: None,
            version: 1,
            authority: 1,
            head: String::new(),
        }
    }

    /// First and last name, or the empty string.
    pub fn name(&self) -> String {
        [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The name, or the address where there is none: what lists show and sort by.
    pub fn label(&self) -> String {
        Some(self.name()).filter(|name| !name.is_empty()).unwrap_or_else(|| self.email.clone())
    }

    pub fn is_present(&self) -> bool {
        self.deleted_at.is_none()
    }

    pub fn is_active(&self) -> bool {
        self.is_present() && self.status == Status::Active
    }

    pub fn is_owner(&self) -> bool {
        self.roles.contains(&role::OWNER)
    }

    /// Whether the member counts among the tenant's owners.
    pub fn is_acting_owner(&self) -> bool {
        self.is_active() && self.is_owner()
    }

    /// The highest built-in role that the member holds, read as `user` where there are only custom ones.
    pub fn built_in_role(&self) -> RoleId {
        [role::OWNER, role::ADMIN].into_iter().find(|id| self.roles.contains(id)).unwrap_or(role::USER)
    }

    pub fn as_actor(&self) -> Actor {
        Actor { user: self.user, name: self.label(), email: self.email.clone() }
    }
}
