//! The edit of a role, and the actions of a change.

use crate::catalog::Catalog;
use crate::id::TenantId;
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::format::{Uid, Value};
use crate::policy::{Action, record, string, strings};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::role::{MAX_PERMISSIONS_OF_ALL, MAX_ROLES, Role};

/// The wanted change of a role.
#[derive(Debug)]
pub enum RoleEdit {
    /// `true`: nobody can be given the role any more. `false`: takes that back.
    Retire(bool),
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
        if self.is_built_in() { 1 } else { self.meta.version.saturating_sub(u64::from(self.retiring)) }
    }

    fn apply(&mut self, edit: &RoleEdit, _: &Catalog) -> Result<(), Problem> {
        let RoleEdit::Retire(retiring) = edit;
        self.retiring = *retiring;
        Ok(())
    }

    fn fits(&self, catalog: &Catalog) -> Result<(), Problem> {
        if catalog.own_roles() >= MAX_ROLES {
            return Err(Problem::LimitReached("roles of its own in a tenant", MAX_ROLES));
        }
        let own = catalog.all_roles().filter(|role| !role.is_built_in());
        if own.chain([self]).map(|role| role.permissions.len()).sum::<usize>() > MAX_PERMISSIONS_OF_ALL {
            return Err(Problem::LimitReached("permissions in all roles of a tenant", MAX_PERMISSIONS_OF_ALL));
        }
        let name = self.name.to_lowercase();
        match catalog.all_roles().any(|role| role.name.to_lowercase() == name) {
            true => Err(Problem::Exists("role")),
            false => Ok(()),
        }
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        match change {
            Change::Create(_) => vec![Action::CreateRole],
            // To retire a role is the first half of its deletion.
            Change::Update { edit: RoleEdit::Retire(_), .. } | Change::Delete(_) => vec![Action::DeleteRole],
        }
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        let attributes = [
            ("name", string(&self.name)),
            ("builtIn", Value::Bool(self.is_built_in())),
            ("rank", Value::Long(i64::from(self.rank))),
            ("grants", strings(self.names(true))),
            ("denies", strings(self.names(false))),
        ];
        let ancestors = [Uid::new("Tenant", tenant)].into();
        Entity { uid: Uid::new("Role", self.id), attributes: record(attributes), ancestors }
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        Tally { owners: 0, rules: before != after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Entry;
    use crate::id::RoleId;
    use crate::role::{MAX_PERMISSIONS, Permission};
    use crate::time::Time;

    #[test]
    fn a_role_fits_among_the_others_of_its_tenant() {
        let role = |number, name: &str| Role::new(RoleId::new(number), name, Time::from_millis(0));
        let catalog = Catalog::new(1, [Entry::Role(role(4, "Straße"))]);
        assert!(role(5, "clerk").fits(&catalog).is_ok());
        for name in ["Straße", "straße", "STRAßE", "Owner", "ADMIN"] {
            assert!(matches!(role(5, name).fits(&catalog), Err(Problem::Exists("role"))), "{name}");
        }
        let many = (0..MAX_ROLES as u32).map(|it| Entry::Role(role(10 + it, &format!("role {it}"))));
        assert!(matches!(role(5, "clerk").fits(&Catalog::new(1, many)), Err(Problem::LimitReached(_, MAX_ROLES))));

        let with = |number, name: &str, permissions| {
            let permission = Permission { name: "a:b".to_owned(), description: None, access: true };
            Role { permissions: vec![permission; permissions], ..role(number, name) }
        };
        let wide = (0..24).map(|it| Entry::Role(with(10 + it, &format!("role {it}"), MAX_PERMISSIONS)));
        let nearly = Catalog::new(1, wide.chain([Entry::Role(with(50, "role 50", MAX_PERMISSIONS - 1))]));
        assert!(with(5, "clerk", 1).fits(&nearly).is_ok());
        let refused = with(5, "clerk", 2).fits(&nearly);
        assert!(matches!(refused, Err(Problem::LimitReached(_, MAX_PERMISSIONS_OF_ALL))));
    }
}
