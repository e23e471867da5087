//! The catalog of a tenant: everything that decides. These are its roles and policies, and the roles that groups confer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::group::Standing;
use crate::id::{GroupId, LabelId, PolicyId, RoleId, TenantId};
use crate::member::Member;
use crate::role::{self, Permission, Role};
use crate::tenant::{Inviters, Tenant};

/// The part of a tenant's policy that decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub id: PolicyId,
    /// The compiled form of the text, which functions read. The package `policy-text` makes it when the text is written.
    #[serde(default)]
    pub compiled: String,
}

/// One item of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entry {
    Role(Box<Role>),
    /// The part of a group that decides.
    Group {
        id: GroupId,
        standing: Standing,
    },
    Policy(Policy),
}

/// Everything that decides in a tenant, at one catalog version. The tenant's policies are in [`Rules`](crate::Rules).
#[derive(Debug)]
pub struct Catalog {
    pub version: u64,
    /// The tenant's setting of who may invite.
    pub inviters: Inviters,
    /// The tenant's setting of whether members may act as others.
    pub impersonation: bool,
    roles: BTreeMap<RoleId, Role>,
    groups: BTreeMap<GroupId, Standing>,
    /// How long the compiled form of each policy is, in bytes.
    policies: BTreeMap<PolicyId, usize>,
}

/// The names of groups and labels of a tenant. They are no part of the catalog, because a tenant can have thousands of them: a
/// request has only those that it names or shows.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub groups: BTreeMap<GroupId, String>,
    pub labels: BTreeMap<LabelId, String>,
}

/// What an edit can refer to.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub tenant: &'a Tenant,
    pub catalog: &'a Catalog,
    pub names: &'a Names,
}

/// Where a permission of a member comes from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The name of the permission.
    pub permission: &'a str,
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
        let (mut groups, mut policies) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            match entry {
                Entry::Role(role) => drop(roles.insert(role.id, *role)),
                Entry::Group { id, standing } => drop(groups.insert(id, standing)),
                // `policy::Rules` has the policies themselves.
                Entry::Policy(policy) => drop(policies.insert(policy.id, policy.compiled.len())),
            }
        }
        Self { version, inviters: Inviters::default(), impersonation: false, roles, groups, policies }
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

    /// The roles with these spellings; and the spellings of no role, of one that may not be, or of one that is there already.
    pub fn roles_spelled(
        &self,
        spellings: &[String],
        tenant: TenantId,
        may_be: impl Fn(&Role) -> bool,
    ) -> (BTreeSet<RoleId>, Vec<String>) {
        let (mut roles, mut bad) = (BTreeSet::new(), Vec::new());
        for spelling in spellings {
            let role = self.role_spelled(spelling, tenant).filter(|role| may_be(role));
            if !role.is_some_and(|role| roles.insert(role.id)) {
                bad.push(spelling.clone());
            }
        }
        (roles, bad)
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
    pub fn origins<'a>(&'a self, held: &BTreeSet<RoleId>) -> Vec<Origin<'a>> {
        let roles: Vec<_> = self.naming(held).collect();
        let all = self.all_permissions().into_iter().map(|permission| origin(&roles, held, &permission.name));
        all.filter(|origin| !origin.granted_by.is_empty() || !origin.denied_by.is_empty()).collect()
    }

    /// Where a permission of these roles comes from. No role needs to name it: `*` grants it, too.
    pub fn origin<'a>(&'a self, held: &BTreeSet<RoleId>, permission: &'a str) -> Origin<'a> {
        origin(&self.naming(held).collect::<Vec<_>>(), held, permission)
    }

    /// These roles, with the names that each grants and denies.
    fn naming<'a>(&'a self, held: &BTreeSet<RoleId>) -> impl Iterator<Item = Naming<'a>> {
        self.roles(held).map(|role| (role, role.names(true), role.names(false)))
    }

    /// How many roles are the tenant's own.
    pub fn own_roles(&self) -> usize {
        self.roles.len() - role::BUILT_IN.len()
    }

    /// How many bytes the policies in force have together in their compiled form, without this one.
    pub fn compiled_bytes(&self, without: PolicyId) -> usize {
        self.policies.iter().filter(|(id, _)| **id != without).map(|(_, bytes)| bytes).sum()
    }

    /// How many bytes the texts of the tenant's own roles and of its policies in force have together.
    pub fn bytes(&self) -> usize {
        let own = self.roles.values().filter(|role| !role.is_built_in());
        own.map(Role::text).sum::<usize>() + self.policies.values().sum::<usize>()
    }

    /// The role of a new member, if the request names none.
    pub fn default_role(&self) -> RoleId {
        self.roles.values().find(|role| role.default && !role.retiring).map_or(role::USER, |role| role.id)
    }

    /// The groups that decide something.
    pub fn standings(&self) -> impl Iterator<Item = (&GroupId, &Standing)> {
        self.groups.iter()
    }

    /// Whether the group is about to be deleted. Nobody is in it any more, though members may still name it.
    pub fn is_retiring(&self, group: GroupId) -> bool {
        self.groups.get(&group).is_some_and(|standing| standing.retiring)
    }

    /// The roles that a member has: their own, and those that their groups confer. A removed member has none.
    pub fn roles_of(&self, member: &Member) -> BTreeSet<RoleId> {
        if !member.is_present() {
            return BTreeSet::new();
        }
        let standings = member.groups.iter().filter_map(|id| self.groups.get(id)).filter(|it| !it.retiring);
        standings.flat_map(|standing| &standing.confers).chain(&member.roles).copied().collect()
    }

    /// The roles with these ids. An id that is not in the catalog gives none.
    pub fn roles<'a, 'h>(&'a self, held: &'h BTreeSet<RoleId>) -> impl Iterator<Item = &'a Role> + use<'a, 'h> {
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
    ///
    /// To an owner, no role denies a permission of the product's own: else a tenant could lose the last person who can mend it.
    pub fn denied(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        let mut denied = self.named(held, false);
        if held.contains(&role::OWNER) {
            denied.retain(|name| !role::is_of_product(name));
        }
        denied
    }

    /// The names of the permissions that a member gains by the change of `before` into `after`. Two further kinds count as gained:
    ///
    /// - a permission that is no longer denied, even if no role grants it: a manager of a group may hold it by the group;
    /// - if the rank rises, each permission over members, and the rights of a group's manager: they reach more members then.
    pub fn gains(&self, before: &Member, after: &Member) -> BTreeSet<&str> {
        let (had, has) = (self.roles_of(before), self.roles_of(after));
        let (held, denied) = (self.permissions(&has), self.denied(&has));
        let mut gains = &held - &self.permissions(&had);
        gains.extend(&self.denied(&had) - &denied);
        if self.rank(&has) > self.rank(&had) {
            gains.extend(held.iter().filter(|name| name.starts_with(role::OVER_MEMBERS)));
            let managed = role::OF_GROUP_MANAGERS.into_iter().filter(|name| !denied.contains(name));
            gains.extend(managed.filter(|_| !after.manages.is_empty()));
        }
        gains
    }

    /// The names of these roles.
    pub fn role_names(&self, ids: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        self.roles(ids).map(|role| role.name.as_str()).collect()
    }

    /// The names of the permissions that the roles `after` deny and the roles `before` do not.
    pub fn new_denials(&self, before: &BTreeSet<RoleId>, after: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        &self.named(after, false) - &self.named(before, false)
    }

    /// The names of the permissions that somebody can gain if they have the roles `after` instead of `before`, whatever roles they
    /// have beside them.
    pub fn gains_of_holders(&self, before: &BTreeSet<RoleId>, after: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        let mut gains = &self.named(after, true) - &self.named(before, true);
        gains.extend(&self.named(before, false) - &self.named(after, false));
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

/// A role with the names of the permissions that it grants, and of those that it denies.
type Naming<'a> = (&'a Role, BTreeSet<&'a str>, BTreeSet<&'a str>);

fn origin<'a>(roles: &[Naming<'a>], held: &BTreeSet<RoleId>, permission: &'a str) -> Origin<'a> {
    let named = |names: &BTreeSet<&str>| names.contains(role::EVERYTHING) || names.contains(permission);
    let granted_by = roles.iter().filter(|(_, granted, _)| named(granted)).map(|(role, ..)| *role).collect();
    let is_owners_own = held.contains(&role::OWNER) && role::is_of_product(permission);
    let denied_by = roles.iter().filter(|(.., denied)| named(denied) && !is_owners_own);
    Origin { permission, granted_by, denied_by: denied_by.map(|(role, ..)| *role).collect() }
}
