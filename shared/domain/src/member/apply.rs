//! How roles and groups of a member change.

use std::collections::BTreeSet;

use super::Member;
use super::change::{Groups, InGroup, MAX_GROUPS, MAX_ROLES, Roles};
use crate::catalog::Known;
use crate::id::{GroupId, RoleId, SpelledGroup};
use crate::meta::Patch;
use crate::problem::Problem;
use crate::role;

impl Member {
    /// # Errors
    /// The roles that do not exist, and what else is wrong with them.
    pub(super) fn apply_roles(
        &mut self,
        roles: &Roles,
        known: &Known,
        unknown: impl Fn(Vec<String>) -> Problem,
    ) -> Result<(), Problem> {
        let catalog = known.catalog;
        match roles {
            Roles::Exactly(spellings) => {
                let (roles, bad) = catalog
                    .roles_spelled(spellings, self.tenant, |role| !role.retiring || self.roles.contains(&role.id));
                self.roles = roles;
                if spellings.is_empty() || !bad.is_empty() {
                    return Err(unknown(bad));
                }
            }
            Roles::Default => self.roles = [catalog.default_role()].into(),
            Roles::With(role) => {
                let role = role.and_then(|id| catalog.role(id));
                match role.filter(|role| !role.retiring || self.roles.contains(&role.id)) {
                    Some(role) => drop(self.roles.insert(role.id)),
                    None => return Err(Problem::NotFound("role")),
                }
            }
            Roles::Without(role) => match role.filter(|id| catalog.role(*id).is_some()) {
                Some(role) => {
                    self.roles.remove(&role);
                    if self.roles.is_empty() {
                        return Err(unknown(Vec::new()));
                    }
                }
                None => return Err(Problem::NotFound("role")),
            },
            Roles::Instead(old, new) => {
                if self.roles.remove(old) {
                    self.roles.insert(*new);
                }
            }
            Roles::BuiltIn(role) => self.set_built_in(*role),
            Roles::Manager(true) if self.built_in_role() == role::OWNER => {}
            Roles::Manager(true) => self.set_built_in(role::ADMIN),
            Roles::Manager(false) => self.set_built_in(role::USER),
        }
        match self.roles.len() > MAX_ROLES {
            true => Err(Problem::LimitReached("roles of a member", MAX_ROLES)),
            false => Ok(()),
        }
    }

    /// # Errors
    /// The groups that do not exist, and what else is wrong with them.
    pub(super) fn apply_groups(
        &mut self,
        groups: &Groups,
        known: &Known,
        unknown: impl Fn(Vec<String>) -> Problem,
    ) -> Result<(), Problem> {
        if groups.count() > MAX_GROUPS {
            return Err(Problem::LimitReached("groups of a member", MAX_GROUPS));
        }
        let mut bad = Vec::new();
        let exists = |id: &GroupId| known.names.groups.contains_key(id) && !known.catalog.is_retiring(*id);
        let mut ids = |spelled: &[&SpelledGroup]| -> BTreeSet<GroupId> {
            let known = |it: &SpelledGroup| it.id.filter(exists);
            bad.extend(spelled.iter().filter(|it| known(it).is_none()).map(|it| it.text.clone()));
            spelled.iter().filter_map(|it| known(it)).collect()
        };
        match groups {
            Groups::Exactly(groups) => {
                self.groups = ids(&groups.iter().collect::<Vec<_>>());
            }
            Groups::Flagged(groups) => {
                self.groups = ids(&groups.iter().map(|it| &it.group).collect::<Vec<_>>());
                for InGroup { group, manages, is_primary } in groups {
                    let Some(id) = group.id else { continue };
                    set(&mut self.manages, id, *manages);
                    match is_primary {
                        Some(true) => self.primary_group = Some(id),
                        Some(false) => self.primary_group = self.primary_group.filter(|primary| *primary != id),
                        None => {}
                    }
                }
            }
            Groups::Parts { primary, read, manage } => {
                if let Some(manage) = manage {
                    self.manages = ids(&manage.iter().collect::<Vec<_>>());
                }
                if let Some(read) = read {
                    self.groups = ids(&read.iter().collect::<Vec<_>>());
                }
                match primary {
                    Patch::Keep => {}
                    Patch::Clear => self.primary_group = None,
                    Patch::Set(group) => self.primary_group = ids(&[group]).first().copied(),
                }
                self.groups.extend(self.manages.iter().chain(&self.primary_group));
            }
            Groups::With(group, manages) => {
                let group = group.filter(exists).ok_or(Problem::NotFound("group"))?;
                self.groups.insert(group);
                set(&mut self.manages, group, *manages);
            }
            Groups::Without(group) => {
                let group = group.filter(exists).ok_or(Problem::NotFound("group"))?;
                self.groups.remove(&group);
            }
            Groups::WithoutDeleted(group) => drop(self.groups.remove(group)),
        }
        self.manages = &self.manages & &self.groups;
        self.primary_group = self.primary_group.filter(|group| self.groups.contains(group));
        if !bad.is_empty() {
            return Err(unknown(bad));
        }
        match self.groups.len() > MAX_GROUPS {
            true => Err(Problem::LimitReached("groups of a member", MAX_GROUPS)),
            false => Ok(()),
        }
    }

    /// Replaces the built-in role. If the member already counts as having it, nothing changes.
    fn set_built_in(&mut self, role: RoleId) {
        if self.built_in_role() != role {
            self.roles.retain(|held| !role::BUILT_IN.contains(held));
            self.roles.insert(role);
        }
    }
}

fn set<T: Ord>(all: &mut BTreeSet<T>, one: T, is_in: Option<bool>) {
    match is_in {
        Some(true) => drop(all.insert(one)),
        Some(false) => drop(all.remove(&one)),
        None => {}
    }
}
