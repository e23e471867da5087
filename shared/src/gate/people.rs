//! The changes that begin or end something for a person: joining a tenant, leaving it, coming back to it, founding one.

use std::collections::HashMap;

use domain::event::{Author, Stamp};
use domain::id::{Id, Kind, MembershipId, UserId};
use domain::member::change::{Groups, InGroup, Presence, Roles};
use domain::policy::Action;
use domain::problem::Denial;
use domain::{Change, Member, MemberEdit, Problem, Record, Tenant, TenantEdit, User, policy, role};
use uuid::Uuid;

use super::facts::{Facts, Unseen};
use super::invitations::Accepts;
use super::plan::Plan;
use super::{Asked, Reads};
use crate::table::key::{self, Key, TenantKeys};
use crate::table::stored::{Reference, Stored};
use crate::table::{Item, decode};

/// The person with an address.
#[derive(Clone, Debug)]
struct Person {
    email: String,
    user: UserId,
    /// Whether nobody has the address in any tenant: `user` is then a number that nobody has.
    is_new: bool,
    /// The number of their membership, if they get one.
    membership: MembershipId,
}

impl Person {
    /// `place` tells apart the numbers that stand for those of new persons.
    fn new(email: &str, known: Option<UserId>, place: u32) -> Self {
        Self {
            email: email.to_owned(),
            user: known.unwrap_or(UserId::new(UserId::LAST.number() - place)),
            is_new: known.is_none(),
            membership: MembershipId::new(MembershipId::LAST.number() - place),
        }
    }
}

/// The people whom a request names by their addresses.
pub struct People {
    persons: Vec<Person>,
    /// Who has an address in the tenant.
    addressed: HashMap<Key, UserId>,
}

impl People {
    /// The keys of the items that lead to the people.
    pub fn keys(keys: TenantKeys, reads: &Reads) -> impl Iterator<Item = Key> {
        let persons = reads.persons.iter().map(|email| key::person(email));
        persons.chain(reads.addresses.iter().map(move |email| keys.email(email)))
    }

    /// The people to whom these items lead. Reads what they are in the tenant, all of them in one round trip.
    pub async fn of(
        asked: &Asked<'_>,
        keys: TenantKeys,
        reads: &Reads,
        found: &HashMap<Key, Item>,
        members: &mut HashMap<UserId, Member>,
    ) -> Result<Self, Problem> {
        let leads_to = |key: &Key| -> Result<Option<UserId>, Problem> {
            let reference: Option<Reference<_>> = found.get(key).cloned().map(decode).transpose()?;
            Ok(reference.map(|it| it.number))
        };
        let mut people = Self { persons: Vec::new(), addressed: HashMap::new() };
        for (place, email) in (0..).zip(&reads.persons) {
            people.persons.push(Person::new(email, leads_to(&key::person(email))?, place));
        }
        for key in reads.addresses.iter().map(|email| keys.email(email)) {
            let user = leads_to(&key)?;
            people.addressed.extend(user.map(|user| (key, user)));
        }
        let known = people.persons.iter().filter(|person| !person.is_new).map(|person| person.user);
        let wanted: Vec<Key> = known.chain(people.addressed.values().copied()).map(|user| keys.member(user)).collect();
        if !wanted.is_empty() {
            for item in asked.table.get(wanted).await?.into_values() {
                let member: Member = decode(item)?;
                members.insert(member.user, member);
            }
        }
        Ok(people)
    }
}

impl Facts {
    /// Whether the person with an address that [`Reads::person`] named is a member.
    pub fn has_joined(&self, email: &str) -> bool {
        self.person(email).is_some()
    }

    /// The member who is the person with an address that [`Reads::person`] named.
    pub(super) fn person(&self, email: &str) -> Option<UserId> {
        let persons = self.people.persons.iter().filter(|person| person.email == email);
        persons.map(|person| person.user).find(|user| self.member(Some(*user)).is_ok())
    }

    /// The number that the person with an address that [`Reads::person`] named has, or gets.
    pub(super) fn number_of(&self, email: &str) -> Option<UserId> {
        let mut persons = self.people.persons.iter();
        persons.find(|person| person.email == email).map(|person| person.user)
    }

    /// The member with an address that [`Reads::addresses`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn member_at(&self, email: &str) -> Result<Unseen<'_, Member>, Problem> {
        let key = self.keys.email(email);
        let found = self.member(self.people.addressed.get(&key).copied())?;
        // The item of the address is no condition of a change, but the member is.
        if self.keys.email(&found.0.email) == key { Ok(found) } else { Err(Problem::NotFound("user")) }
    }

    /// Takes numbers for new persons, memberships or a tenant, once the change is allowed: no refused request takes any. Until
    /// then the last possible numbers stand for them.
    pub(super) async fn take_numbers(&mut self, asked: &Asked<'_>) -> Result<(), Problem> {
        let (numbers, persons) = (asked.numbers, &mut self.people.persons);
        let new = persons.iter().filter(|person| person.is_new).count();
        let mut users = numbers.reserve(asked.table, Kind::User, new).await?.into_iter();
        let memberships = numbers.reserve(asked.table, Kind::Membership, persons.len()).await?;
        for (person, membership) in persons.iter_mut().zip(memberships) {
            person.membership = membership;
            if person.is_new {
                person.user = users.next().unwrap_or(person.user);
            }
        }
        if let Some((tenant, membership)) = &mut self.new_tenant {
            *tenant = numbers.reserve_one(asked.table, Kind::Tenant).await?;
            *membership = numbers.reserve_one(asked.table, Kind::Membership).await?;
        }
        Ok(())
    }

    /// Whether the request is about new persons, memberships or a tenant.
    pub(super) fn wants_numbers(&self) -> bool {
        !self.people.persons.is_empty() || self.new_tenant.is_some()
    }
}

impl<'f> Plan<'f> {
    /// Makes a member of the person with the address of the edit. The person is one user in all tenants, and can have been a member
    /// of this one before.
    ///
    /// # Errors
    /// A defect: [`Reads::person`](super::Reads::person) does not name the person.
    pub fn add_member(&mut self, edit: &MemberEdit) -> Result<Member, Problem> {
        let (facts, now) = (self.facts, self.facts.now());
        let person = facts.people.persons.iter().find(|person| edit.email.as_ref() == Some(&person.email));
        let person = person.ok_or_else(|| Problem::Internal("a new member without an address".to_owned()))?;
        if let Ok(removed) = facts.removed(Some(person.user)) {
            return Ok(self.add_again(removed, edit));
        }
        if facts.member(Some(person.user)).is_ok() {
            self.refuse(Problem::Exists("member who was added with this address"));
        }
        if person.is_new {
            self.persons.push(User::new(person.user, &person.email, now));
        }
        let new = Member::new(person.membership, facts.tenant().id, person.user, &person.email, now);
        Ok(self.create(new, edit))
    }

    /// Makes a removed person a member again, with what the edit gives them and nothing that they had.
    pub fn add_again(&mut self, removed: Unseen<'f, Member>, edit: &MemberEdit) -> Member {
        self.update(removed, &MemberEdit { presence: Some(Presence::Added), ..edit.clone() })
    }

    /// Decides as if somebody without any role were concerned: a caller who may do this with nobody does not learn who is a
    /// member.
    pub fn with_nobody(&mut self, actions: &[Action]) {
        let facts = self.facts;
        let nobody = Member::new(MembershipId::LAST, facts.tenant().id, UserId::LAST, "", facts.now());
        self.decide_on(Member::KIND, actions, &facts.entity(&nobody));
    }

    /// Removes a member. They keep their number, and can be restored.
    pub fn remove_member(&mut self, member: Unseen<'f, Member>) -> Member {
        let presence = Some(Presence::Removed(self.facts.now()));
        self.update(member, &MemberEdit { presence, ..MemberEdit::default() })
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
        let session = self.facts.things.session.as_ref();
        if session.is_some_and(|session| !session.of_deployment) {
            let notice = "Sign in at an identity provider that all tenants trust: the new tenant trusts no other.";
            self.refuse(Problem::Forbidden(Denial::plain("founder-issuer", "tenant:create", notice)));
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
        // Whoever signed in here is known there.
        let sign_in = session.map(|session| &session.sign_in);
        self.accepts = sign_in.map(|by| Accepts::new((&by.issuer, &by.subject), owner));
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
