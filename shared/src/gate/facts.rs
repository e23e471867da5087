//! The facts of a decision: one consistent read. What is not in memory takes further ones: the rules, the names of groups and
//! labels, the person with an address.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::event::{Author, Stamp};
use domain::id::{GroupId, LabelId, MembershipId, RoleId, TenantId, UserId};
use domain::policy::Action;
use domain::policy::eval::Entity;
use domain::problem::Denial;
use domain::{Actor, Catalog, Group, Known, Label, Member, Names, Problem, Record, Role, Rules, Tenant, Time, policy};
use uuid::Uuid;

use super::list::Shown;
use super::people::Person;
use super::{Asked, Caller, Idempotency, Reads, Recorded};
use crate::answer::Answer;
use crate::table::fence::Fact;
use crate::table::key::{self, Key, TenantKeys};
use crate::table::stored::Reference;
use crate::table::{Item, Table, decode};

/// The caller as they are now: the decision is for them.
pub struct Principal {
    entity: Entity,
    author: Author,
    actor: Actor,
    fact: Fact,
}

impl Principal {
    fn member(member: &Member, catalog: &Catalog) -> Self {
        Self {
            entity: policy::member(member, catalog),
            author: Author::Member(member.user),
            actor: Actor::from(member),
            fact: Fact::authority(member),
        }
    }

    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The fact that must not change before the decision is carried out.
    pub(super) fn rests_on(&self) -> &Fact {
        &self.fact
    }
}

/// A record that was read. A function learns nothing of it before a decision.
#[derive(Clone, Copy)]
pub struct Unseen<'f, T>(pub(super) &'f T);

/// Every active member of a tenant may know its roles.
impl Unseen<'_, Role> {
    pub fn is_retiring(&self) -> bool {
        self.0.retiring
    }
}

/// A member who may be seen, or who was changed. A dialect renders it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) member: &'a Member,
    pub(crate) catalog: &'a Catalog,
    pub(crate) names: &'a Names,
    /// A data URI, if the dialect shows pictures.
    pub(crate) picture: Option<&'a str>,
}

impl<'a> View<'a> {
    pub fn version(&self) -> u64 {
        self.member.meta.version
    }

    /// The groups of the member and their names, in the order of their numbers.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupId, &'a str)> {
        let View { member, catalog, names, .. } = *self;
        let groups = member.groups.iter().filter(|id| !catalog.is_retiring(**id));
        groups.filter_map(|id| Some((*id, names.groups.get(id)?.as_str())))
    }
}

/// The facts of one try.
pub struct Facts {
    dialect: &'static str,
    now: Time,
    stamp: Stamp,
    tenant: Tenant,
    rules: Arc<Rules>,
    principal: Principal,
    /// Removed ones, too.
    members: HashMap<UserId, Member>,
    pictures: HashMap<UserId, String>,
    names: Names,
    group: Option<Group>,
    label: Option<Label>,
    pub(super) person: Option<Person>,
    pub(super) new_tenant: Option<(TenantId, MembershipId)>,
    /// Whether there is a tenant with the slug that [`Reads::new_tenant`] named.
    pub(super) is_slug_taken: bool,
    /// Whether a member holds the role that [`Reads::holders`] named, or a group confers it.
    is_held: bool,
    /// The number of the thing that [`Reads::lookup`] named.
    found: Option<u32>,
    keys: TenantKeys,
    caller: UserId,
    recorded: Option<Recorded>,
}

impl Facts {
    /// One strongly consistent read of all that the decision needs, and the catalog if its version has moved.
    pub(super) async fn read(
        asked: &Asked<'_>,
        caller: &Caller,
        reads: &Reads,
        idempotency: Option<&Idempotency>,
    ) -> Result<Self, Problem> {
        let keys = caller.keys();
        let (tenant_key, caller_key) = (keys.tenant(), keys.member(caller.user));
        let record_key = idempotency.map(|it| keys.idempotency(caller.user, &it.key));
        let pictures = reads.members.iter().filter(|_| asked.pictures && !reads.unshown);
        let wanted = [&tenant_key, &caller_key].into_iter().chain(&record_key).cloned();
        let wanted = wanted.chain(reads.members.iter().map(|user| keys.member(*user)));
        let address_key = reads.address.as_ref().map(|email| keys.email(email));
        let external_key = reads.external_id.as_ref().map(|(kind, id)| keys.external_id(kind, id));
        let person_key = reads.person.as_ref().map(|email| key::person(email));
        let (group_key, label_key) = (reads.group.map(|id| keys.group(id)), reads.label.map(|id| keys.label(id)));
        let wanted = wanted.chain(address_key.clone()).chain(external_key.clone()).chain(person_key.clone());
        let slug_key = reads.new_tenant.as_ref().map(|slug| key::slug(slug));
        let wanted = wanted.chain(group_key.clone()).chain(label_key.clone()).chain(slug_key.clone());
        let wanted = wanted.chain(pictures.map(|user| keys.picture(*user)));
        let mut found = asked.table.get(wanted.chain(asked.verify_again.map(|_| key::jwks()))).await?;
        if let Some(verify_again) = asked.verify_again {
            verify_again(found.get(&key::jwks()))?;
        }
        let now = (asked.clock)();

        let ended = Problem::Unauthenticated("the session has ended");
        let Some(me): Option<Member> = found.get(&caller_key).cloned().map(decode).transpose()? else {
            return Err(ended);
        };
        if !caller.sessions.iter().all(|session| me.has_session(session, now)) {
            return Err(ended);
        }
        let stranger = || {
            let notices = vec!["Only an active member of the tenant may act in it.".to_owned()];
            Problem::Forbidden(Denial { rule: "active-member".to_owned(), action: "tenant:enter", notices })
        };
        let tenant: Tenant = decode(found.remove(&tenant_key).ok_or_else(stranger)?)?;
        if !reads.of_deleted_tenant {
            tenant.is_live()?;
        }
        let rules = asked.rules.at(asked, &tenant).await?;
        if !me.is_present() {
            return Err(stranger());
        }
        let principal = Principal::member(&me, &rules);
        rules.policies.enter(&principal.entity, tenant.id).map_err(Problem::Forbidden)?;

        let mut take = |key: &Key| -> Option<Item> { found.remove(key) };
        let recorded: Option<Recorded> = record_key.and_then(|key| take(&key)).map(decode).transpose()?;
        let (mut members, mut pictures) = (HashMap::new(), HashMap::new());
        for user in &reads.members {
            let member: Option<Member> = take(&keys.member(*user)).map(decode).transpose()?;
            members.extend(member.map(|member| (*user, member)));
            let picture = take(&keys.picture(*user)).and_then(|mut item| item.remove("data_uri"));
            pictures.extend(picture.and_then(|picture| Some((*user, picture.as_s().ok()?.clone()))));
        }
        let reference = |item: Option<Item>| -> Result<Option<UserId>, Problem> {
            let reference: Option<Reference<_>> = item.map(decode).transpose()?;
            Ok(reference.map(|it| it.number))
        };
        let by_address = reference(address_key.as_ref().and_then(&mut take))?;
        let by_external_id = reference(external_key.as_ref().and_then(&mut take))?;
        let known_person = reference(person_key.as_ref().and_then(&mut take))?;
        let group: Option<Group> = group_key.as_ref().and_then(&mut take).map(decode).transpose()?;
        let label: Option<Label> = label_key.as_ref().and_then(&mut take).map(decode).transpose()?;
        let person = match &reads.person {
            None => None,
            Some(_) => Some(Person::of(asked, keys, known_person, &mut members).await?),
        };
        let new_tenant = reads.new_tenant.as_ref().map(|_| (TenantId::LAST, MembershipId::LAST));
        let is_slug_taken = slug_key.is_some_and(|key| take(&key).is_some());
        let mut named_groups: BTreeSet<GroupId> = reads.named.0.iter().copied().collect();
        let mut named_labels: BTreeSet<LabelId> = reads.named.1.iter().copied().collect();
        if asked.names && !reads.unshown {
            named_groups.extend(members.values().flat_map(|member| &member.groups));
            named_labels.extend(members.values().filter_map(|member| member.profession));
        }
        let names = asked.known_names.at(asked, &tenant, &named_groups, &named_labels).await?;
        let is_held = match reads.holders_of.and_then(|role| rules.role(role)) {
            Some(role) => {
                let mut standings = rules.standings();
                let is_conferred = standings.any(|(_, standing)| standing.confers.contains(&role.id));
                is_conferred || is_held(asked.table, keys, role, &tenant).await?
            }
            None => false,
        };
        Ok(Self {
            dialect: asked.dialect,
            now,
            stamp: Stamp {
                tenant: tenant.id,
                at: now,
                author: principal.author.clone(),
                request: asked.request.to_owned(),
                transaction: Uuid::new_v4().to_string(),
            },
            tenant,
            rules,
            principal,
            members,
            pictures,
            names,
            group,
            label,
            person,
            new_tenant,
            is_slug_taken,
            is_held,
            found: by_address.or(by_external_id).map(UserId::number),
            keys,
            caller: caller.user,
            recorded: recorded.filter(|recorded| recorded.expires_at > now.seconds()),
        })
    }

    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub fn catalog(&self) -> &Catalog {
        &self.rules
    }

    /// When the facts were read.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A member that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn member(&self, user: Option<UserId>) -> Result<Unseen<'_, Member>, Problem> {
        let member = user.and_then(|user| self.members.get(&user)).filter(|member| member.is_present());
        member.map(Unseen).ok_or(Problem::NotFound("user"))
    }

    /// A removed member that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn removed(&self, user: Option<UserId>) -> Result<Unseen<'_, Member>, Problem> {
        let member = user.and_then(|user| self.members.get(&user)).filter(|member| !member.is_present());
        member.map(Unseen).ok_or(Problem::NotFound("removed user"))
    }

    /// The group that [`Reads`] named. A group that is about to be deleted is gone already.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn group(&self) -> Result<Unseen<'_, Group>, Problem> {
        self.group.as_ref().filter(|group| !group.retiring).map(Unseen).ok_or(Problem::NotFound("group"))
    }

    /// The label that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn label(&self) -> Result<Unseen<'_, Label>, Problem> {
        self.label.as_ref().map(Unseen).ok_or(Problem::NotFound("label"))
    }

    /// The tenant as a record.
    pub fn own_tenant(&self) -> Unseen<'_, Tenant> {
        Unseen(&self.tenant)
    }

    /// Who has the address that [`Reads::person`] named.
    pub(super) fn person(&self) -> Option<&Person> {
        self.person.as_ref()
    }

    /// The numbers that [`Facts::take_numbers`] has taken.
    pub(super) fn new_tenant(&self) -> Option<(TenantId, MembershipId)> {
        self.new_tenant
    }

    /// The caller, if [`Reads`] named them.
    pub(super) fn caller(&self) -> Option<&Member> {
        self.members.get(&self.caller)
    }

    /// What an edit can refer to.
    pub(super) fn known(&self) -> Known<'_> {
        Known { tenant: &self.tenant, catalog: &self.rules, names: &self.names }
    }

    /// Reads the names that an answer shows of these members.
    pub(super) async fn read_names(&mut self, asked: &Asked<'_>, members: &[Member]) -> Result<(), Problem> {
        let groups = members.iter().flat_map(|member| &member.groups).copied().collect();
        let labels = members.iter().filter_map(|member| member.profession).collect();
        self.names = asked.known_names.at(asked, &self.tenant, &groups, &labels).await?;
        Ok(())
    }

    /// A role, built in or the tenant's own.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn role(&self, role: Option<RoleId>) -> Result<Unseen<'_, Role>, Problem> {
        role.and_then(|role| self.rules.role(role)).map(Unseen).ok_or(Problem::NotFound("role"))
    }

    /// Whether any member holds the role that [`Reads::holders`] named. If the role was retiring when the facts were
    /// read, then no request can give it to a member any more.
    pub fn is_held(&self) -> bool {
        self.is_held
    }

    pub(super) fn found(&self) -> Option<u32> {
        self.found
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(super) fn view<'a>(&'a self, member: &'a Member) -> View<'a> {
        let picture = self.pictures.get(&member.user).map(String::as_str);
        View { tenant: &self.tenant, member, catalog: &self.rules, names: &self.names, picture }
    }

    /// A group or a label, for the answer.
    pub(super) fn shown<'a, T>(&'a self, thing: &'a T) -> Shown<'a, T> {
        Shown { tenant: &self.tenant, catalog: &self.rules, thing }
    }

    /// A record in the form that policies read.
    pub(super) fn entity(&self, record: &impl Record) -> Entity {
        record.entity(self.tenant.id, &self.rules)
    }

    /// Decides on one action. Gives the notices that come with the permission.
    pub(super) fn allow(&self, action: &Action, resource: &Entity) -> Result<Vec<String>, Denial> {
        self.rules.policies.allow(self.dialect, &self.principal.entity, action, resource)
    }

    /// The key of the answer on record, if the request has an `Idempotency-Key`.
    pub(super) fn record_key(&self, idempotency: &Idempotency) -> Key {
        self.keys.idempotency(self.caller, &idempotency.key)
    }

    /// The first answer to this request, if it was made before.
    pub(super) fn replay(&self, idempotency: Option<&Idempotency>) -> Result<Option<Answer>, Problem> {
        match (idempotency, &self.recorded) {
            (Some(asked), Some(recorded)) => recorded.replay(asked).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether this request was made and answered since the record of answers was read.
    pub(super) async fn is_answered_since(
        &self,
        table: Table<'_>,
        idempotency: Option<&Idempotency>,
    ) -> Result<bool, Problem> {
        let Some(key) = idempotency.map(|asked| self.record_key(asked)) else { return Ok(false) };
        let recorded: Option<Recorded> = table.get([key.clone()]).await?.remove(&key).map(decode).transpose()?;
        Ok(recorded.is_some_and(|recorded| recorded.expires_at > self.now.seconds()))
    }

    /// The facts that other requests rest on and that this request can have changed.
    pub(super) fn facts(&self) -> Vec<Fact> {
        self.members.values().map(Fact::authority).chain([Fact::rules(&self.tenant)]).collect()
    }
}

/// Whether a member holds a role. If it is retiring, the tenant's rules are put in force first: then a request that rests on
/// older rules can no longer commit, so it cannot give the role to a member after this function has looked.
async fn is_held(table: Table<'_>, keys: TenantKeys, role: &Role, tenant: &Tenant) -> Result<bool, Problem> {
    if role.retiring {
        table.raise_fences(&Fact::rules(tenant)).await?;
    }
    table.has_any(&keys.holders(role.id)).await
}
