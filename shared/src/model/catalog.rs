use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Member;
use crate::id::{GroupId, LabelId, PermissionId, PolicyId, RoleId};
use crate::policy::Policies;
use crate::time::Time;

/// One named permission of a role: granted, or explicitly denied, which wins over every grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    pub id: PermissionId,
    /// `resource:action`.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub access: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    pub id: RoleId,
    /// Unique in the tenant, and neither a number nor a UUID.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// 1 to 3; who is below may neither grant the role nor touch who holds it. A tenant's own roles have 1 or 2.
    pub rank: u8,
    pub permissions: Vec<Permission>,
    /// `None` for built-in roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: GroupId,
    pub name: String,
}

/// A profession.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub id: LabelId,
    pub name: String,
}

/// Cedar text of the tenant, `forbid` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub id: PolicyId,
    pub text: String,
    /// What functions read of it: `policy::check_text` makes it when the text is written.
    #[serde(default)]
    pub compiled: String,
}

/// One item of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    Role(Role),
    Group(Group),
    Label(Label),
    Policy(Policy),
}

/// The built-in roles, the same in every tenant.
pub mod role {
    use super::{Permission, Role};
    use crate::id::{PermissionId, RoleId};

    pub const OWNER: RoleId = RoleId::new(1);
    pub const ADMIN: RoleId = RoleId::new(2);
    pub const USER: RoleId = RoleId::new(3);

    pub const BUILT_IN: [RoleId; 3] = [OWNER, ADMIN, USER];

    /// Every permission there is: what an owner holds.
    pub const EVERYTHING: &str = "*";

    /// What the names of all permissions over members begin with.
    pub const OVER_MEMBERS: &str = "member:";

    /// What a group's manager may do to its members, unless a role denies it.
    pub const OF_GROUP_MANAGERS: [&str; 2] = ["member:read", "member:update-profile"];

    /// The product's own permissions, each with the ranks that hold it and what it is for.
    const PERMISSIONS: [(PermissionId, &str, u8, &str); 7] = [
        (PermissionId::new(1), EVERYTHING, 3, "Everything, whatever it is called"),
        (PermissionId::new(2), "member:read", 1, "See the members of the tenant"),
        (PermissionId::new(3), "member:update-profile", 2, "Change names and profession of a member"),
        (PermissionId::new(4), "member:assign-role", 2, "Change the roles of a member"),
        (PermissionId::new(5), "member:set-status", 2, "Activate and deactivate a member"),
        (PermissionId::new(6), "member:set-groups", 2, "Change the groups of a member"),
        (PermissionId::new(10), "member:invite", 2, "Invite members, and end an invitation"),
    ];

    pub(super) fn built_in() -> impl Iterator<Item = Role> {
        [(OWNER, "owner", 3), (ADMIN, "admin", 2), (USER, "user", 1)].into_iter().map(|(id, name, rank)| Role {
            id,
            name: name.to_owned(),
            description: None,
            rank,
            permissions: PERMISSIONS
                .iter()
                .filter(|(_, _, from, _)| *from <= rank)
                .map(|(id, name, _, description)| Permission {
                    id: *id,
                    name: (*name).to_owned(),
                    description: Some((*description).to_owned()),
                    access: true,
                })
                .collect(),
            created_at: None,
            updated_at: None,
        })
    }
}

/// All roles, groups, labels and policies of a tenant, at one catalog version.
#[derive(Debug)]
pub struct Catalog {
    pub version: u64,
    pub policies: Policies,
    roles: BTreeMap<RoleId, Role>,
    groups: BTreeMap<GroupId, Group>,
    labels: BTreeMap<LabelId, Label>,
}

impl Catalog {
    /// The catalog that a tenant's own entries make together with what is built in.
    pub fn new(version: u64, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut roles: BTreeMap<_, _> = role::built_in().map(|role| (role.id, role)).collect();
        let (mut groups, mut labels, mut policies) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Role(role) => drop(roles.insert(role.id, role)),
                Entry::Group(group) => drop(groups.insert(group.id, group)),
                Entry::Label(label) => drop(labels.insert(label.id, label)),
                Entry::Policy(policy) => policies.push(policy),
            }
        }
        Self { version, policies: Policies::new(&policies), roles, groups, labels }
    }

    pub fn role(&self, id: RoleId) -> Option<&Role> {
        self.roles.get(&id)
    }

    pub fn role_named(&self, name: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.name == name)
    }

    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    pub fn label(&self, id: LabelId) -> Option<&Label> {
        self.labels.get(&id)
    }

    /// The roles of a member; an id that the catalog no longer has gives nothing.
    pub fn roles<'a>(&'a self, held: &'a BTreeSet<RoleId>) -> impl Iterator<Item = &'a Role> {
        held.iter().filter_map(|id| self.roles.get(id))
    }

    /// The highest rank among the roles held, 0 without any.
    pub fn rank(&self, held: &BTreeSet<RoleId>) -> u8 {
        self.roles(held).map(|role| role.rank).max().unwrap_or(0)
    }

    /// What the roles held allow: all that one of them grants and none denies.
    ///
    /// [`role::EVERYTHING`] stands for every name in the catalog, so that the result holds names that can be compared.
    pub fn permissions(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        &self.named(held, true) - &self.denied(held)
    }

    /// What one of the roles held denies.
    pub fn denied(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        self.named(held, false)
    }

    /// The names of the permissions that a member gains by the change of `before` into `after`. A right that a member has
    /// gained is one over other members, so these count, too:
    ///
    /// - a permission that is no longer denied, whether a role grants it or not: a manager of a group may hold it by the group;
    /// - where the rank rises, each permission over members, and what comes with a managed group: it reaches more of them.
    pub fn gains(&self, before: &Member, after: &Member) -> BTreeSet<&str> {
        let (held, denied) = (self.permissions(&after.roles), self.denied(&after.roles));
        let mut gains = &held - &self.permissions(&before.roles);
        gains.extend(&self.denied(&before.roles) - &denied);
        if self.rank(&after.roles) > self.rank(&before.roles) {
            gains.extend(held.iter().filter(|name| name.starts_with(role::OVER_MEMBERS)));
            let managed = role::OF_GROUP_MANAGERS.into_iter().filter(|name| !denied.contains(name));
            gains.extend(managed.filter(|_| !after.manages.is_empty()));
        }
        gains
    }

    fn named<'a>(&'a self, held: &BTreeSet<RoleId>, access: bool) -> BTreeSet<&'a str> {
        let name = |permission: &'a Permission| permission.name.as_str();
        let permissions = held.iter().filter_map(|id| self.roles.get(id)).flat_map(|role| &role.permissions);
        let names: BTreeSet<_> = permissions.filter(|permission| permission.access == access).map(name).collect();
        match names.contains(role::EVERYTHING) {
            true => self.roles.values().flat_map(|role| &role.permissions).map(name).collect(),
            false => names,
        }
    }
}
