//! The edits of a member, and the actions of an edit.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::id::{GroupId, LabelId, RoleId, TenantId};
use crate::member::{Member, Status};
use crate::meta::{Meta, Patch};
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::{Problem, Reference};
use crate::record::{Change, Record, Tally};
use crate::role;
use crate::text;

/// The most roles and groups that one change of a member can add and remove. A transaction has 100 items. The other seven are for
/// the member, the caller, the tenant, the event, the idempotency record, and two in reserve.
pub const MAX_EDGES: usize = 93;

/// The most roles that a member can be given, by number or one by one.
pub const MAX_ROLES: usize = 50;

/// The wanted changes of a member. Parts that it does not mention stay.
#[derive(Debug, Default)]
pub struct MemberEdit {
    pub first_name: Patch<String>,
    pub last_name: Patch<String>,
    /// The number of a label.
    pub profession: Patch<i64>,
    pub roles: Option<Roles>,
    pub status: Option<Status>,
    pub groups: Option<Groups>,
    /// The dialect's names of the fields that can refer to something, for its errors.
    pub fields: Fields,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    pub roles: &'static str,
    pub groups: &'static str,
    pub profession: &'static str,
}

#[derive(Debug)]
pub enum Roles {
    /// Exactly these roles, each by its UUID, number or name.
    Exactly(Vec<String>),
    /// This role beside those held. `None` is an id that cannot exist.
    With(Option<RoleId>),
    /// The roles held without this one.
    Without(Option<RoleId>),
    /// This built-in role in place of the one held. The tenant's own roles stay.
    BuiltIn(RoleId),
    /// `true`: a plain member becomes `admin`. `false`: an `admin` or `owner` becomes `user`.
    Manager(bool),
}

/// Groups by their numbers.
#[derive(Debug)]
pub enum Groups {
    /// Exactly these groups. A member who manages a group that stays goes on managing it.
    Exactly(Vec<i64>),
    /// Only the given parts change. The member always reads the primary group and the managed ones.
    Parts { primary: Patch<i64>, read: Option<Vec<i64>>, manage: Option<Vec<i64>> },
}

impl MemberEdit {
    /// Splits a full name at its last space. The part before it is the first name, with any further spaces at its end; the part
    /// after it is the last name. Each part has something visible; otherwise all of it is the first name.
    pub fn set_name(&mut self, name: &str) {
        let split = name.rsplit_once(' ').filter(|(first, last)| !text::is_blank(first) && !text::is_blank(last));
        let (first, last) = split.map_or((name, None), |(first, last)| (first, Some(last)));
        self.first_name = Patch::Set(first.to_owned());
        self.last_name = last.map_or(Patch::Clear, |last| Patch::Set(last.to_owned()));
    }
}

impl Record for Member {
    type Edit = MemberEdit;

    const KIND: &'static str = "member";

    fn id(&self) -> String {
        self.user.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &MemberEdit, catalog: &Catalog) -> Result<(), Problem> {
        let mut refused = Ok(());
        let mut refuse = |why: Problem| {
            if refused.is_ok() {
                refused = Err(why);
            }
        };
        let unknown = |kind, field: &'static str, values: Vec<String>| Problem::InvalidReference {
            kind,
            place: vec!["body".into(), field.into()],
            values,
        };
        let before = (self.roles.clone(), self.groups.clone());
        edit.first_name.apply(&mut self.first_name);
        edit.last_name.apply(&mut self.last_name);
        match &edit.roles {
            None => {}
            Some(Roles::Exactly(spellings)) => {
                let (mut roles, mut bad) = (BTreeSet::new(), Vec::new());
                for spelling in spellings {
                    let role = catalog.role_spelled(spelling, self.tenant);
                    let role = role.filter(|role| !role.retiring || self.roles.contains(&role.id));
                    if !role.is_some_and(|role| roles.insert(role.id)) {
                        bad.push(spelling.clone());
                    }
                }
                if spellings.is_empty() || !bad.is_empty() {
                    refuse(unknown(Reference::Role, edit.fields.roles, bad));
                }
                self.roles = roles;
            }
            Some(Roles::With(role)) => {
                let role = role.and_then(|id| catalog.role(id));
                match role.filter(|role| !role.retiring || self.roles.contains(&role.id)) {
                    Some(role) if self.roles.insert(role.id) && self.roles.len() > MAX_ROLES => {
                        refuse(Problem::LimitReached("roles of a member", MAX_ROLES));
                    }
                    Some(_) => {}
                    None => refuse(Problem::NotFound("role")),
                }
            }
            Some(Roles::Without(role)) => match role.filter(|id| catalog.role(*id).is_some()) {
                Some(role) => {
                    self.roles.remove(&role);
                    if self.roles.is_empty() {
                        refuse(unknown(Reference::Role, edit.fields.roles, Vec::new()));
                    }
                }
                None => refuse(Problem::NotFound("role")),
            },
            Some(Roles::BuiltIn(role)) => self.set_built_in(*role),
            Some(Roles::Manager(true)) if self.built_in_role() == role::OWNER => {}
            Some(Roles::Manager(true)) => self.set_built_in(role::ADMIN),
            Some(Roles::Manager(false)) => self.set_built_in(role::USER),
        }
        self.status = edit.status.unwrap_or(self.status);

        let label = |number: &i64| LabelId::try_from(*number).ok().filter(|id| catalog.label(*id).is_some());
        match &edit.profession {
            Patch::Keep => {}
            Patch::Clear => self.profession = None,
            Patch::Set(number) => match label(number) {
                Some(id) => self.profession = Some(id),
                None => refuse(unknown(Reference::Label, edit.fields.profession, vec![number.to_string()])),
            },
        }

        let mut unknown_groups = Vec::new();
        let mut known = |numbers: &[i64]| -> BTreeSet<GroupId> {
            let group = |number: &i64| GroupId::try_from(*number).ok().filter(|id| catalog.group(*id).is_some());
            unknown_groups.extend(numbers.iter().filter(|number| group(number).is_none()).map(ToString::to_string));
            numbers.iter().filter_map(group).collect()
        };
        match &edit.groups {
            None => {}
            Some(Groups::Exactly(numbers)) => {
                self.groups = known(numbers);
                self.manages = &self.manages & &self.groups;
                self.primary_group = self.primary_group.filter(|group| self.groups.contains(group));
            }
            Some(Groups::Parts { primary, read, manage }) => {
                if let Some(manage) = manage {
                    self.manages = known(manage);
                }
                if let Some(read) = read {
                    self.groups = known(read);
                }
                match primary {
                    Patch::Keep => {}
                    Patch::Clear => self.primary_group = None,
                    Patch::Set(number) => self.primary_group = known(&[*number]).first().copied(),
                }
                self.groups.extend(self.manages.iter().chain(&self.primary_group));
            }
        }
        if !unknown_groups.is_empty() {
            refuse(unknown(Reference::Group, edit.fields.groups, unknown_groups));
        }
        let edges = before.0.symmetric_difference(&self.roles).count();
        if edges + before.1.symmetric_difference(&self.groups).count() > MAX_EDGES {
            refuse(Problem::TooManyChanges(MAX_EDGES));
        }
        refused
    }

    /// The action of reading the member, and one action for each part that the edit mentions, changed or not. So a caller learns
    /// nothing about parts that they may not change.
    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        let Change::Update { before, after, edit } = change else { return Vec::new() };
        let mut actions = vec![Action::Read];
        if !(edit.first_name.is_keep() && edit.last_name.is_keep() && edit.profession.is_keep()) {
            actions.push(Action::UpdateProfile);
        }
        if edit.roles.is_some() {
            let names = |roles: BTreeSet<RoleId>| -> BTreeSet<&'a str> {
                roles.iter().filter_map(|id| catalog.role(*id)).map(|role| role.name.as_str()).collect()
            };
            actions.push(Action::AssignRole {
                adds: names(&after.roles - &before.roles),
                removes: names(&before.roles - &after.roles),
                rank: catalog.rank(&after.roles),
                gains: catalog.gains(before, after),
            });
        }
        if edit.status.is_some() {
            actions.push(Action::SetStatus(after.status));
        }
        if edit.groups.is_some() {
            actions.push(Action::SetGroups {
                joins: &after.groups - &before.groups,
                leaves: &before.groups - &after.groups,
                manages: &after.manages - &before.manages,
            });
        }
        actions
    }

    fn entity(&self, _: TenantId, catalog: &Catalog) -> Entity {
        policy::member(self, catalog)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let owners = |member: Option<&Member>| i64::from(member.is_some_and(Member::is_acting_owner));
        Tally { owners: owners(after) - owners(before), rules: false }
    }

    /// If the change is of the member's rights, their authority gets the new version, too.
    fn settle(&mut self, before: Option<&Self>) {
        let authority =
            |it: &Member| (it.roles.clone(), it.status, it.groups.clone(), it.manages.clone(), it.deleted_at);
        if before.is_none_or(|before| authority(before) != authority(self)) {
            self.authority = self.meta.version;
        }
    }
}

impl Member {
    /// Replaces the built-in role. If the member already counts as having it, nothing changes.
    fn set_built_in(&mut self, role: RoleId) {
        if self.built_in_role() != role {
            self.roles.retain(|held| !role::BUILT_IN.contains(held));
            self.roles.insert(role);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Entry;
    use crate::id::{MembershipId, UserId};
    use crate::role::Role;
    use crate::time::Time;

    fn edited(member: &Member, catalog: &Catalog, roles: Roles) -> (Result<(), Problem>, BTreeSet<RoleId>) {
        let mut after = member.clone();
        let edit = MemberEdit { roles: Some(roles), ..MemberEdit::default() };
        (after.apply(&edit, catalog), after.roles)
    }

    #[test]
    fn one_role_is_given_and_taken() {
        let now = Time::from_millis(0);
        let role = |number: u32| Role::new(RoleId::new(number), &format!("role {number}"), now);
        let retiring = Role { retiring: true, ..role(99) };
        let catalog = Catalog::new(1, (10..80).map(role).chain([retiring]).map(Entry::Role));
        let id = |number: u32| Some(RoleId::new(number));
        let (member, tenant, user) = (MembershipId::new(1), TenantId::new(1), UserId::new(1));
        let mut member = Member::new(member, tenant, user, "ann@acme.example", now);
        member.roles = [role::USER].into();

        let (given, roles) = edited(&member, &catalog, Roles::With(id(10)));
        assert!(given.is_ok() && roles == [role::USER, RoleId::new(10)].into());
        let (again, roles) = edited(&member, &catalog, Roles::With(Some(role::USER)));
        assert!(again.is_ok() && roles == member.roles);
        let (not_held, roles) = edited(&member, &catalog, Roles::Without(id(10)));
        assert!(not_held.is_ok() && roles == member.roles);
        for unknown in [None, id(98)] {
            assert!(matches!(edited(&member, &catalog, Roles::With(unknown)).0, Err(Problem::NotFound("role"))));
            assert!(matches!(edited(&member, &catalog, Roles::Without(unknown)).0, Err(Problem::NotFound("role"))));
        }
        assert!(matches!(edited(&member, &catalog, Roles::With(id(99))).0, Err(Problem::NotFound("role"))));
        let (last, _) = edited(&member, &catalog, Roles::Without(Some(role::USER)));
        assert!(
            matches!(last, Err(Problem::InvalidReference { kind: Reference::Role, values, .. }) if values.is_empty())
        );

        member.roles = (10..10 + MAX_ROLES as u32).map(RoleId::new).collect();
        let (full, _) = edited(&member, &catalog, Roles::With(id(70)));
        assert!(matches!(full, Err(Problem::LimitReached(_, MAX_ROLES))));
        assert!(edited(&member, &catalog, Roles::With(id(10))).0.is_ok());
        assert!(edited(&member, &catalog, Roles::Without(id(10))).0.is_ok());
    }
}
