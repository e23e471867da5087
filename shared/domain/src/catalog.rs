//! The catalog of a tenant: its roles, groups, labels and policies.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, LabelId, PolicyId, RoleId, TenantId};
use crate::member::Member;
use crate::role::{self, Permission, Role};

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
    /// The compiled form, which functions read. `policy::check_text` makes it when the text is written.
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

/// All roles, groups, labels and policies of a tenant, at one catalog version.
#[derive(Debug)]
pub struct Catalog {
    pub version: u64,
    roles: BTreeMap<RoleId, Role>,
    groups: BTreeMap<GroupId, Group>,
    labels: BTreeMap<LabelId, Label>,
}

/// Where a permission of a member comes from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    pub permission: &'a Permission,
    pub granted_by: Vec<&'a Role>,
    pub denied_by: Vec<&'a Role>,
}

impl Origin<'_> {
    /// Whether the member holds the permission: a denial wins over every grant.
    pub fn is_effective(&self) -> bool {
        !self.granted_by.is_empty() && self.denied_by.is_empty()
    }
}

impl Catalog {
    /// The catalog of a tenant's own entries and the built-in roles.
    pub fn new(version: u64, entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut roles: BTreeMap<_, _> = Role::built_in().map(|role| (role.id, role)).collect();
        let (mut groups, mut labels) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            match entry {
                Entry::Role(role) => drop(roles.insert(role.id, role)),
                Entry::Group(group) => drop(groups.insert(group.id, group)),
                Entry::Label(label) => drop(labels.insert(label.id, label)),
                // `policy::Rules` has the policies.
                Entry::Policy(_) => {}
            }
        }
        Self { version, roles, groups, labels }
    }

    pub fn role(&self, id: RoleId) -> Option<&Role> {
        self.roles.get(&id)
    }

    pub fn role_named(&self, name: &str) -> Option<&Role> {
        self.roles.values().find(|role| role.name == name)
    }

    /// A role by UUID, number or name, in this order.
    pub fn role_spelled(&self, spelling: &str, tenant: TenantId) -> Option<&Role> {
        let by_id = RoleId::parse_in(spelling, tenant).and_then(|id| self.role(id));
        by_id.or_else(|| self.role_named(spelling))
    }

    /// All roles, built-in ones too.
    pub fn all_roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// All permissions that a role grants or denies, in the order of their names. Each is there once, with the description of
    /// the first role that describes it.
    pub fn all_permissions(&self) -> Vec<&Permission> {
        let mut named: BTreeMap<&str, &Permission> = BTreeMap::new();
        for permission in self.roles.values().flat_map(|role| &role.permissions) {
            let known = named.entry(&permission.name).or_insert(permission);
            if known.description.is_none() {
                *known = permission;
            }
        }
        named.into_values().collect()
    }

    /// Where the permissions of these roles come from: each that a role grants or denies, in the order of their names.
    /// [`Catalog::permissions`] has those that are [effective](Origin::is_effective).
    pub fn origins<'a>(&'a self, held: &'a BTreeSet<RoleId>) -> Vec<Origin<'a>> {
        let roles: Vec<_> = self.roles(held).map(|role| (role, role.names(true), role.names(false))).collect();
        let origin = |permission: &'a Permission| {
            let named =
                |names: &BTreeSet<&str>| names.contains(role::EVERYTHING) || names.contains(permission.name.as_str());
            let granted_by = roles.iter().filter(|(_, granted, _)| named(granted)).map(|(role, ..)| *role).collect();
            let denied_by = roles.iter().filter(|(.., denied)| named(denied)).map(|(role, ..)| *role).collect();
            Origin { permission, granted_by, denied_by }
        };
        let all = self.all_permissions().into_iter().map(origin);
        all.filter(|origin| !origin.granted_by.is_empty() || !origin.denied_by.is_empty()).collect()
    }

    /// How many roles are the tenant's own.
    pub fn own_roles(&self) -> usize {
        self.roles.len() - role::BUILT_IN.len()
    }

    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    pub fn label(&self, id: LabelId) -> Option<&Label> {
        self.labels.get(&id)
    }

    /// The roles of a member. An id that is not in the catalog gives none.
    pub fn roles<'a>(&'a self, held: &'a BTreeSet<RoleId>) -> impl Iterator<Item = &'a Role> {
        held.iter().filter_map(|id| self.roles.get(id))
    }

    /// The highest rank among the roles held, 0 without any.
    pub fn rank(&self, held: &BTreeSet<RoleId>) -> u8 {
        self.roles(held).map(|role| role.rank).max().unwrap_or(0)
    }

    /// The permissions of these roles together: each one that a role grants and no role denies.
    ///
    /// [`role::EVERYTHING`] stands for every name in the catalog, so that the result holds names that can be compared.
    pub fn permissions(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        &self.named(held, true) - &self.denied(held)
    }

    /// The permissions that one of these roles denies.
    pub fn denied(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        self.named(held, false)
    }

    /// The names of the permissions that a member gains by the change of `before` into `after`. Two further kinds count as gained:
    ///
    /// - a permission that is no longer denied, even if no role grants it: a manager of a group may hold it by the group;
    /// - if the rank rises, each permission over members, and the rights of a group's manager: they reach more members then.
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
