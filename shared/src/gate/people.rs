//! The changes that begin or end something for a person: joining a tenant, coming back to it, founding one.

use std::collections::HashMap;

use domain::event::{Author, Stamp};
use domain::id::{Id, Kind, MembershipId, UserId};
use domain::member::change::{Groups, InGroup, Presence, Roles};
use domain::{Change, Member, MemberEdit, Problem, Record, Tenant, TenantEdit, User, policy, role};
use uuid::Uuid;

use super::Asked;
use super::facts::{Facts, Unseen};
use super::plan::Plan;
use crate::table::decode;
use crate::table::key::TenantKeys;
use crate::table::stored::Stored;

/// The person with an address.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    pub user: UserId,
    /// Whether nobody has the address in any tenant: `user` is then a number that nobody has.
    pub is_new: bool,
    /// The number of their membership, if they get one.
    pub membership: MembershipId,
}

impl Person {
    /// Reads the item of a known person in the tenant.
    pub async fn of(
        asked: &Asked<'_>,
        keys: TenantKeys,
        known: Option<UserId>,
        members: &mut HashMap<UserId, Member>,
    ) -> Result<Self, Problem> {
        if let Some(user) = known {
            let key = keys.member(user);
            let member: Option<Member> = asked.table.get([key.clone()]).await?.remove(&key).map(decode).transpose()?;
            members.extend(member.map(|member| (user, member)));
        }
        Ok(Self { user: known.unwrap_or(UserId::LAST), is_new: known.is_none(), membership: MembershipId::LAST })
    }
}

impl Facts {
    /// Takes numbers for a new person, membership or tenant, once the change is allowed: no refused request takes any. Until then
    /// the last possible numbers stand for them. Returns whether there were any to take.
    pub(super) async fn take_numbers(&mut self, asked: &Asked<'_>) -> Result<bool, Problem> {
        let numbers = asked.numbers;
        if let Some(person) = &mut self.person {
            if person.is_new {
                person.user = numbers.reserve(asked.table, Kind::User).await?;
            }
            person.membership = numbers.reserve(asked.table, Kind::Membership).await?;
        }
        if let Some((tenant, membership)) = &mut self.new_tenant {
            *tenant = numbers.reserve(asked.table, Kind::Tenant).await?;
            *membership = numbers.reserve(asked.table, Kind::Membership).await?;
        }
        Ok(self.person.is_some() || self.new_tenant.is_some())
    }
}

impl<'f> Plan<'f> {
    /// Makes a member of the person with the address of the edit. The person is one user in all tenants, and can have been a member
    /// of this one before.
    ///
    /// # Errors
    /// A defect: [`Reads::person`](super::Reads::person) names nobody.
    pub fn add_member(&mut self, edit: &MemberEdit) -> Result<Member, Problem> {
        let (Some(person), Some(email)) = (self.facts.person().copied(), &edit.email) else {
            return Err(Problem::Internal("a new member without an address".to_owned()));
        };
        let now = self.facts.now();
        if let Ok(removed) = self.facts.removed(Some(person.user)) {
            let edit = MemberEdit { presence: Some(Presence::Added), ..edit.clone() };
            return Ok(self.update(removed, &edit));
        }
        if self.facts.member(Some(person.user)).is_ok() {
            self.refuse(Problem::Exists("member who was added with this address"));
        }
        if person.is_new {
            self.person = Some(User::new(person.user, email, now));
        }
        let new = Member::new(person.membership, self.facts.tenant().id, person.user, email, now);
        Ok(self.create(new, edit))
    }

    /// Makes a tenant, of which the caller is the owner.
    ///
    /// # Errors
    /// A defect: [`Reads::new_tenant`](super::Reads::new_tenant) was not asked for.
    pub fn found(&mut self, slug: &str, edit: &TenantEdit) -> Result<Tenant, Problem> {
        let (Some((id, membership)), Some(caller)) = (self.facts.new_tenant(), self.facts.caller()) else {
            return Err(Problem::Internal("a new tenant without a number or an owner".to_owned()));
        };
        if self.facts.is_slug_taken {
            self.refuse(Problem::Exists("tenant with this slug"));
        }
        let now = self.facts.now();
        let mut tenant = Tenant::new(id, slug, "", &Uuid::new_v4().to_string(), now);
        if let Err(why) = tenant.apply(edit, &self.facts.known()) {
            self.refuse(why);
        }
        let actions = Tenant::actions(Change::Create(&tenant), self.facts.catalog());
        self.decide_on(Tenant::KIND, &actions, &policy::tenant(self.facts.tenant().id));
        let mut owner = Member {
            first_name: caller.first_name.clone(),
            last_name: caller.last_name.clone(),
            language: caller.language.clone(),
            roles: [role::OWNER].into(),
            ..Member::new(membership, id, caller.user, &caller.email, now)
        };
        // The chains of the new tenant begin with a person who acts in no tenant.
        let stamp = Stamp { tenant: id, author: Author::User(caller.user), ..self.facts.stamp().clone() };
        let actor = self.facts.principal().actor();
        self.first.get_or_insert((Tenant::KIND, None));
        self.written.extend(Tenant::stamped(&stamp, actor, None, Some(&mut tenant))?);
        self.written.extend(Member::stamped(&stamp, actor, None, Some(&mut owner))?);
        Ok(tenant)
    }

    /// Makes a removed person a member again, with those of their former roles and groups that the caller may give now. If there is
    /// no such role, they get the role of new members.
    pub fn restore(&mut self, removed: Unseen<'f, Member>) -> Member {
        let Unseen(before) = removed;
        let (facts, catalog) = (self.facts, self.facts.catalog());
        let may_get = |edit: &MemberEdit| {
            let mut after = before.clone();
            let is_sound = after.apply(edit, &facts.known()).is_ok();
            let actions = Member::actions(Change::Update { before, after: &after, edit }, catalog);
            is_sound && actions.iter().all(|action| facts.allow(action, &facts.entity(before)).is_ok())
        };
        let as_was = |roles: Roles, groups: Vec<InGroup>| MemberEdit {
            roles: Some(roles),
            groups: Some(Groups::Flagged(groups)),
            // Whether the caller may set the status is decided with the whole.
            status: Some(before.status),
            presence: Some(Presence::Restored),
            ..MemberEdit::default()
        };
        let roles = catalog.roles(&before.roles).map(|role| role.name.clone());
        let roles: Vec<String> =
            roles.filter(|role| may_get(&as_was(Roles::Exactly(vec![role.clone()]), Vec::new()))).collect();
        let roles = || if roles.is_empty() { Roles::Default } else { Roles::Exactly(roles.clone()) };
        let group = |id: &Id<_>| InGroup {
            group: i64::from(*id).into(),
            manages: Some(before.manages.contains(id)),
            is_primary: Some(before.primary_group == Some(*id)),
        };
        let groups = before.groups.iter().filter(|id| may_get(&as_was(roles(), vec![group(id)])));
        let edit = as_was(roles(), groups.map(group).collect());
        self.update(removed, &edit)
    }
}
