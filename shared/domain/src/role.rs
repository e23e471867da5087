//! A role: the permissions and the rank of its holders.

pub mod change;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{JobId, RoleId, parse_uuid};
use crate::meta::{Meta, Metadata};
use crate::time::Time;

pub const OWNER: RoleId = RoleId::new(1);
pub const ADMIN: RoleId = RoleId::new(2);
pub const USER: RoleId = RoleId::new(3);

/// The built-in roles, the same in every tenant.
pub const BUILT_IN: [RoleId; 3] = [OWNER, ADMIN, USER];

/// Every permission. Only `owner` holds it among the built-in roles.
pub const EVERYTHING: &str = "*";

/// The beginning of the names of all permissions over members.
pub const OVER_MEMBERS: &str = "member:";

/// The permissions of a group's manager over its members, unless a role denies them.
pub const OF_GROUP_MANAGERS: [&str; 2] = ["member:read", "member:update-profile"];

/// The most roles that a tenant can have of its own.
pub const MAX_ROLES: usize = 500;

/// The most permissions that a role can grant and deny.
pub const MAX_PERMISSIONS: usize = 200;

/// The most permissions that all roles of a tenant can grant and deny together. A function reads all of them after a change.
pub const MAX_PERMISSIONS_OF_ALL: usize = 5_000;

/// The most bytes of names, descriptions and metadata that all roles of a tenant can have together. A function reads these, too.
pub const MAX_TEXT_OF_ALL: usize = 4 * 1024 * 1024;

/// The product's own permissions, each with the lowest rank that holds it and its description.
const PERMISSIONS: [(&str, u8, &str); 27] = [
    (EVERYTHING, 3, "Everything, whatever it is called"),
    ("member:read", 1, "See the members of the tenant"),
    ("member:update-profile", 2, "Change names and profession of a member"),
    ("member:assign-role", 2, "Change the roles of a member"),
    ("member:set-status", 2, "Activate and deactivate a member"),
    ("member:set-groups", 2, "Change the groups of a member"),
    ("member:set-identity", 2, "Change the address and the external id of a member"),
    ("member:set-metadata", 2, "Change the metadata of a member"),
    ("member:invite", 2, "Add, invite and restore members, and end an invitation"),
    ("member:remove", 2, "Remove members"),
    ("member:read-sessions", 2, "See the sessions of a member"),
    ("member:end-sessions", 2, "End the sessions of a member"),
    ("member:impersonate", 2, "Act as a member for a while, if the tenant allows it"),
    ("role:create", 2, "Define roles"),
    ("role:update", 2, "Change roles"),
    ("role:delete", 2, "Delete roles"),
    ("group:manage", 2, "Define, change and delete groups"),
    ("label:manage", 2, "Define, change and delete labels"),
    ("tenant:update", 2, "Change the name, the metadata and the settings of the tenant"),
    ("policy:read", 2, "See the tenant's own policies"),
    ("decision:check", 2, "Ask what other members may do"),
    ("session:introspect", 2, "Ask whether a token of the tenant is good"),
    ("event:read", 2, "Read the tenant's record"),
    ("event:write", 2, "Add events of the product's own to the tenant's record"),
    ("key:create", 2, "Make API keys, and rotate one's own"),
    ("key:manage", 2, "See, rotate and end the API keys of others"),
    ("webhook:manage", 2, "Define, change, test and delete webhooks"),
];

/// One named permission of a role: granted, or explicitly denied, which wins over every grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// `resource:action`.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub access: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub id: RoleId,
    /// Unique in the tenant without regard to case, and neither a number nor a UUID.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// 1 to 3. A member of a lower rank can neither give the role nor change its holders. A tenant's own roles have rank 1 or 2.
    pub rank: u8,
    pub permissions: Vec<Permission>,
    /// Whether new members get it, if the request names no role. Without such a role they get `user`.
    #[serde(default)]
    pub default: bool,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The role's id in another system; unique among the roles of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whether it is about to be deleted: nobody can be given the role any more.
    #[serde(default)]
    pub retiring: bool,
    /// The role that its holders get when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<RoleId>,
    /// The job that deletes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// A built-in role has version 0 and no times.
    #[serde(flatten)]
    pub meta: Meta,
}

/// Whether a text can be the name of a role: it is no number and no UUID, because these name roles, too.
pub fn is_name(text: &str) -> bool {
    !text.bytes().all(|byte| byte.is_ascii_digit()) && parse_uuid(text).is_none()
}

/// Whether a text can be the name of a permission: parts of ASCII letters, digits and `._/-`, at least two, with a `:` between
/// them; or [`EVERYTHING`].
pub fn is_permission(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'_' | b'/' | b'-'))
    };
    text == EVERYTHING || text.contains(':') && text.split(':').all(is_part)
}

/// Whether a permission is one of the product's own.
pub fn is_of_product(permission: &str) -> bool {
    PERMISSIONS.iter().any(|(name, ..)| *name == permission)
}

impl Role {
    /// A role that is not written yet.
    pub fn new(id: RoleId, name: &str, now: Time) -> Self {
        let name = name.to_owned();
        Self {
            id,
            name,
            description: None,
            rank: 1,
            permissions: Vec::new(),
            default: false,
            metadata: Metadata::new(),
            external_id: None,
            retiring: false,
            successor: None,
            job: None,
            meta: Meta::new(now),
        }
    }

    pub fn is_built_in(&self) -> bool {
        BUILT_IN.contains(&self.id)
    }

    /// The times of its creation and its last change; `None` for a built-in role.
    pub fn times(&self) -> Option<(Time, Time)> {
        (!self.is_built_in()).then_some((self.meta.created_at, self.meta.updated_at))
    }

    /// The names of the permissions that it grants, or those that it denies.
    pub fn names(&self, access: bool) -> BTreeSet<&str> {
        let permissions = self.permissions.iter().filter(|permission| permission.access == access);
        permissions.map(|permission| permission.name.as_str()).collect()
    }

    pub(crate) fn built_in() -> impl Iterator<Item = Role> {
        [(OWNER, "owner", 3), (ADMIN, "admin", 2), (USER, "user", 1)].into_iter().map(|(id, name, rank)| {
            let held = PERMISSIONS.iter().filter(|(_, least, _)| *least <= rank);
            let permissions = held.map(|(name, _, description)| Permission {
                name: (*name).to_owned(),
                description: Some((*description).to_owned()),
                access: true,
            });
            Role { rank, permissions: permissions.collect(), ..Role::new(id, name, Time::from_millis(0)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_and_permissions() {
        for name in ["clerk", "7 eleven", "7a", "owner"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["7", "007", "726f6c65-6361-8004-8000-000000000001", "726F6C65-6361-8004-8000-000000000001"] {
            assert!(!is_name(name), "{name}");
        }
        for name in ["*", "a:b", "billing:invoice:read", "a.b/c-d_e:F9"] {
            assert!(is_permission(name), "{name}");
        }
        for name in ["", "a", ":", "a:", ":b", "a::b", "billing:*", "**", "a b:c", "é:a", "a:b "] {
            assert!(!is_permission(name), "{name}");
        }
    }
}
