//! The edit of a role, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::id::{JobId, RoleId, TenantId};
use crate::meta::{Meta, MetadataEdit, Patch, merge};
use crate::policy::eval::Entity;
use crate::policy::format::{Uid, Value};
use crate::policy::{Action, long, of_tenant, record, string, strings};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::role::{EVERYTHING, MAX_PERMISSIONS_OF_ALL, MAX_ROLES, MAX_TEXT_OF_ALL, Permission, Role};

/// The wanted changes of a role. Parts that it does not mention stay.
#[derive(Debug, Default)]
pub struct RoleEdit {
    pub name: Option<String>,
    pub description: Patch<String>,
    pub rank: Option<u8>,
    pub permissions: Option<Vec<Permission>>,
    pub default: Option<bool>,
    pub metadata: MetadataEdit,
    pub external_id: Patch<String>,
    pub retirement: Option<Retirement>,
}

/// The first half of a role's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// Nobody can be given the role any more. Its holders are to get the successor.
    Begins(Option<RoleId>),
    /// This job goes on with the deletion.
    Continues(JobId),
    /// The role stays.
    Ends,
}

impl From<Retirement> for RoleEdit {
    fn from(retirement: Retirement) -> Self {
        Self { retirement: Some(retirement), ..Self::default() }
    }
}

impl Record for Role {
    type Edit = RoleEdit;

    const KIND: &'static str = "role";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// No answer has shown the role as retiring. A deletion that died half way can be repeated as it was. A built-in role never
    /// changes.
    fn shown_version(&self) -> u64 {
        let unseen = u64::from(self.retiring) + u64::from(self.job.is_some());
        if self.is_built_in() { 1 } else { self.meta.version.saturating_sub(unseen) }
    }

    fn apply(&mut self, edit: &RoleEdit, _: &Known) -> Result<(), Problem> {
        if let Some(name) = &edit.name {
            self.name.clone_from(name);
        }
        edit.description.apply(&mut self.description);
        self.rank = edit.rank.unwrap_or(self.rank);
        if let Some(permissions) = &edit.permissions {
            self.permissions.clone_from(permissions);
        }
        self.default = edit.default.unwrap_or(self.default);
        edit.external_id.apply(&mut self.external_id);
        match edit.retirement {
            None => {}
            Some(Retirement::Begins(successor)) => (self.retiring, self.successor) = (true, successor),
            Some(Retirement::Continues(job)) => self.job = Some(job),
            Some(Retirement::Ends) => (self.retiring, self.successor) = (false, None),
        }
        merge(&mut self.metadata, &edit.metadata)
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        let catalog = known.catalog;
        if self.meta.version == 0 && catalog.own_roles() >= MAX_ROLES {
            return Err(Problem::LimitReached("roles of its own in a tenant", MAX_ROLES));
        }
        let others = || catalog.all_roles().filter(|role| role.id != self.id);
        let own = || others().filter(|role| !role.is_built_in()).chain([self]);
        if own().map(|role| role.permissions.len()).sum::<usize>() > MAX_PERMISSIONS_OF_ALL {
            return Err(Problem::LimitReached("permissions in all roles of a tenant", MAX_PERMISSIONS_OF_ALL));
        }
        if own().map(Role::text).sum::<usize>() > MAX_TEXT_OF_ALL {
            return Err(Problem::LimitReached("bytes of text in all roles of a tenant", MAX_TEXT_OF_ALL));
        }
        let name = self.name.to_lowercase();
        match others().any(|role| role.name.to_lowercase() == name) {
            true => Err(Problem::Exists("role")),
            false => Ok(()),
        }
    }

    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        match change {
            Change::Create(_) => vec![Action::CreateRole],
            Change::Update { after: role, edit: RoleEdit { retirement: Some(_), .. }, .. } | Change::Delete(role) => {
                vec![deletion(role, role.successor, catalog)]
            }
            Change::Update { before, after, .. } => vec![Action::UpdateRole {
                gains: gains(before, after),
                denials: added(before.names(false), after.names(false)),
                rank: after.rank,
                renames: before.name != after.name,
            }],
        }
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        let attributes = [
            ("name", string(&self.name)),
            ("builtIn", Value::Bool(self.is_built_in())),
            ("rank", long(self.rank)),
            ("grants", strings(self.names(true))),
            ("denies", strings(self.names(false))),
        ];
        of_tenant(tenant, Uid::new("Role", self.id), record(attributes))
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        Tally { rules: before != after, ..Tally::default() }
    }
}

impl Role {
    /// The bytes of everything that its authors wrote.
    pub(crate) fn text(&self) -> usize {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_permissions = self.permissions.iter().map(|it| it.name.len() + length(&it.description));
        let of_metadata = self.metadata.iter().map(|(key, value)| key.len() + value.len());
        self.name.len() + length(&self.description) + of_permissions.chain(of_metadata).sum::<usize>()
    }
}

/// The action of deleting a role: its holders get the successor in its place. Without a successor no member holds it.
pub(crate) fn deletion<'a>(role: &Role, successor: Option<RoleId>, catalog: &'a Catalog) -> Action<'a> {
    let before = BTreeSet::from([role.id]);
    let after: BTreeSet<RoleId> = successor.into_iter().collect();
    Action::DeleteRole {
        adds: catalog.role_names(&after),
        removes: if successor.is_some() { catalog.role_names(&before) } else { BTreeSet::new() },
        // Also if no member holds it: API keys can, and what it denies them comes back.
        gains: catalog.gains_of_holders(&before, &after),
        denials: catalog.new_denials(&before, &after),
        rank: successor.map_or(role.rank, |_| catalog.rank(&after)),
    }
}

/// The names of the permissions that a holder of the role can gain: those that it grants now and did not before, and those that
/// it no longer denies. If it becomes the role of new members, these gain all that it grants.
fn gains<'a>(before: &'a Role, after: &'a Role) -> BTreeSet<&'a str> {
    let granted = if after.default && !before.default { BTreeSet::new() } else { before.names(true) };
    &added(granted, after.names(true)) | &added(after.names(false), before.names(false))
}

/// The names that come to others. Everything has all names already.
fn added<'a>(before: BTreeSet<&'a str>, after: BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    if before.contains(EVERYTHING) { BTreeSet::new() } else { &after - &before }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Entry, Names};
    use crate::role::MAX_PERMISSIONS;
    use crate::tenant::Tenant;
    use crate::time::Time;

    #[test]
    fn a_role_fits_among_the_others_of_its_tenant() {
        let role = |number, name: &str| Role::new(RoleId::new(number), name, Time::from_millis(0));
        let tenant = Tenant::new(TenantId::new(1), "acme", "Acme", "", Time::from_millis(0));
        let names = Names::default();
        let fits = |role: &Role, catalog: &Catalog| role.fits(&Known { tenant: &tenant, catalog, names: &names });
        let catalog = Catalog::new(1, [Entry::Role(Box::new(role(4, "Straße")))]);
        assert!(fits(&role(5, "clerk"), &catalog).is_ok());
        for name in ["Straße", "straße", "STRAßE", "Owner", "ADMIN"] {
            assert!(matches!(fits(&role(5, name), &catalog), Err(Problem::Exists("role"))), "{name}");
            let renamed = Role { meta: Meta { version: 1, ..role(4, name).meta }, ..role(4, name) };
            assert_eq!(fits(&renamed, &catalog).is_ok(), name.to_lowercase() == "straße", "{name}");
        }
        let many = (0..MAX_ROLES as u32).map(|it| Entry::Role(Box::new(role(10 + it, &format!("role {it}")))));
        assert!(matches!(fits(&role(5, "clerk"), &Catalog::new(1, many)), Err(Problem::LimitReached(_, MAX_ROLES))));

        let with = |number, name: &str, permissions| {
            let permission = Permission { name: "a:b".to_owned(), description: None, access: true };
            Role { permissions: vec![permission; permissions], ..role(number, name) }
        };
        let wide = (0..24).map(|it| Entry::Role(Box::new(with(10 + it, &format!("role {it}"), MAX_PERMISSIONS))));
        let nearly = Catalog::new(1, wide.chain([Entry::Role(Box::new(with(50, "role 50", MAX_PERMISSIONS - 1)))]));
        assert!(fits(&with(5, "clerk", 1), &nearly).is_ok());
        let refused = fits(&with(5, "clerk", 2), &nearly);
        assert!(matches!(refused, Err(Problem::LimitReached(_, MAX_PERMISSIONS_OF_ALL))));

        let long = |number| {
            let metadata = (0..50).map(|key| (format!("key {key}"), "😀".repeat(500))).collect();
            Role { metadata, ..role(number, &format!("role {number}")) }
        };
        let fitting = MAX_TEXT_OF_ALL / long(10).text();
        let nearly = Catalog::new(1, (1..fitting as u32).map(|it| Entry::Role(Box::new(long(10 + it)))));
        assert!(fits(&long(10), &nearly).is_ok());
        let full = Catalog::new(1, (0..fitting as u32).map(|it| Entry::Role(Box::new(long(10 + it)))));
        assert!(matches!(fits(&long(5), &full), Err(Problem::LimitReached(_, MAX_TEXT_OF_ALL))));
    }

    #[test]
    fn new_members_gain_what_their_role_grants() {
        let permission = |name: &str, access| Permission { name: name.to_owned(), description: None, access };
        let plain = Role {
            permissions: vec![permission("a:b", true), permission("c:d", false)],
            ..Role::new(RoleId::new(4), "plain", Time::from_millis(0))
        };
        let default = Role { default: true, ..plain.clone() };
        assert_eq!(gains(&plain, &default), ["a:b"].into());
        assert!(gains(&default, &plain).is_empty() && gains(&default, &default).is_empty());
        let wider = Role { permissions: vec![permission("e:f", true)], ..default.clone() };
        assert_eq!(gains(&plain, &wider), ["c:d", "e:f"].into());
        assert_eq!(gains(&default, &wider), ["c:d", "e:f"].into());
    }
}
