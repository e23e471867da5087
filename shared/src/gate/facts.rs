//! The facts of a decision: one consistent read. What is not in memory takes further ones: the rules, the names of groups and
//! labels, the person with an address.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::event::Stamp;
use domain::id::{GroupId, LabelId, MembershipId, RoleId, TenantId, UserId};
use domain::policy::eval::Entity;
use domain::policy::{Action, Around};
use domain::problem::Denial;
use domain::{Catalog, Known, Member, Names, Problem, Record, Role, Rules, Tenant, Time};
use uuid::Uuid;

use super::api_keys::note_use;
use super::approvals::Approval;
use super::list::Shown;
use super::people::People;
use super::principal::{Acting, Principal, Who, stranger};
use super::things::Things;
use super::{Asked, Caller, Idempotency, Reads, Recorded};
use crate::answer::Answer;
use crate::table::fence::Fact;
use crate::table::key::{self, Key, TenantKeys};
use crate::table::stored::Reference;
use crate::table::{Item, Table, decode};

/// A record that was read. A function learns nothing of it before a decision.
#[derive(Clone, Copy)]
pub struct Unseen<'f, T>(pub(super) &'f T);

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
    pub(super) things: Things,
    pub(super) people: People,
    pub(super) approval: Option<Approval>,
    pub(super) new_tenant: Option<(TenantId, MembershipId)>,
    /// Whether there is a tenant with the slug that [`Reads::new_tenant`] named.
    pub(super) is_slug_taken: bool,
    /// Whether the token that [`Reads::once`] named has given a session.
    pub(super) is_exchanged: bool,
    /// Whether a member holds the role that [`Reads::holders`] named, or a group confers it.
    is_held: bool,
    /// The number of the thing that [`Reads::lookup`] named.
    found: Option<u32>,
    pub(super) keys: TenantKeys,
    caller: Option<UserId>,
    /// The caller among all callers of the tenant.
    caller_name: Option<String>,
    recorded: Option<Recorded>,
    /// Further answers on record.
    pub(super) repeated: Vec<Recorded>,
}

impl Facts {
    /// One strongly consistent read of all that the decision needs, and the catalog if its version has moved.
    pub(super) async fn read(
        asked: &Asked<'_>,
        who: &Who<'_>,
        reads: &Reads,
        idempotency: Option<&Idempotency>,
    ) -> Result<Self, Problem> {
        let (keys, tenant_key) = (who.keys(), who.keys().tenant());
        let caller_name = who.caller().map(Caller::name);
        let record_key =
            idempotency.and_then(|it| caller_name.as_ref().map(|caller| keys.idempotency(caller, &it.key)));
        let are_shown = reads.pictures.unwrap_or(asked.pictures && !reads.unshown);
        let pictures = reads.members.iter().filter(|_| are_shown);
        let key_of = |name: &String| caller_name.as_ref().map(|caller| keys.idempotency(caller, name));
        let repeated_keys: Vec<Key> = reads.repeated.iter().filter_map(key_of).collect();
        let wanted = [&tenant_key].into_iter().chain(&record_key).cloned();
        let wanted = wanted.chain(who.items());
        let wanted = wanted.chain(reads.members.iter().map(|user| keys.member(*user)));
        let address_key = reads.address.as_ref().map(|email| keys.email(email));
        let external_key = reads.external_id.as_ref().map(|(kind, id)| keys.external_id(kind, id));
        let wanted = wanted.chain(address_key.clone()).chain(external_key.clone()).chain(People::keys(keys, reads));
        let wanted = wanted.chain(repeated_keys.iter().cloned());
        let slug_key = reads.new_tenant.as_ref().map(|slug| key::slug(slug));
        let once_key = reads.once.as_ref().map(|hash| key::exchanged(hash));
        let wanted = wanted.chain(Things::keys(keys, reads)).chain(slug_key.clone()).chain(once_key.clone());
        let wanted = wanted.chain(Approval::key(who));
        let wanted = wanted.chain(pictures.map(|user| keys.picture(*user)));
        let mut found = asked.table.get(wanted.chain(asked.verify_again.map(|_| key::jwks()))).await?;
        if let Some(verify_again) = asked.verify_again {
            verify_again(found.get(&key::jwks()))?;
        }
        let now = (asked.clock)();

        let acting = who.acting(&found, now)?;
        let tenant: Tenant = decode(found.remove(&tenant_key).ok_or_else(stranger)?)?;
        let is_too_old = |caller: &Caller| caller.proofs.iter().any(|it| tenant.is_session_too_old(it.issued, now));
        let is_of_member = matches!(acting, Acting::Member(..) | Acting::Approved(..));
        if is_of_member && who.caller().is_some_and(is_too_old) {
            return Err(Problem::Unauthenticated("the session is older than the tenant allows"));
        }
        let approval = Approval::of(who, &mut found, &tenant, now)?;
        if !reads.of_deleted_tenant {
            tenant.is_live()?;
        }
        let rules = asked.rules.at(asked, &tenant).await?;
        let principal = Principal::new(&acting, &rules, tenant.id, Around { dialect: asked.dialect, now })?;
        if let Acting::Key(key, _) = &acting {
            note_use(asked, key, now).await?;
        }

        let mut take = |key: &Key| -> Option<Item> { found.remove(key) };
        let recorded: Option<Recorded> = record_key.and_then(|key| take(&key)).map(decode).transpose()?;
        let repeated = repeated_keys.iter().filter_map(&mut take).map(decode);
        let repeated: Vec<Recorded> = repeated.collect::<Result<_, _>>()?;
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
        let new_tenant = reads.new_tenant.as_ref().map(|_| (TenantId::LAST, MembershipId::LAST));
        let [is_slug_taken, is_exchanged] = [slug_key, once_key].map(|key| key.is_some_and(|key| take(&key).is_some()));
        let mut things = Things::of(keys, reads, &mut found)?;
        let people = People::of(asked, keys, reads, &found, &mut members).await?;
        let mut named_groups: BTreeSet<GroupId> = reads.named.0.iter().copied().collect();
        let mut named_labels: BTreeSet<LabelId> = reads.named.1.iter().copied().collect();
        if asked.names && !reads.unshown {
            named_groups.extend(members.values().flat_map(|member| &member.groups));
            named_labels.extend(members.values().filter_map(|member| member.profession));
        }
        let names = asked.known_names.at(asked, &tenant, &named_groups, &named_labels).await?;
        let role = reads.holders_of.and_then(|role| rules.role(role));
        let used_group = things.group.as_ref().filter(|_| reads.is_group_used);
        let is_held = match (role, used_group) {
            (Some(role), _) => {
                let mut standings = rules.standings();
                let is_conferred = standings.any(|(_, standing)| standing.confers.contains(&role.id));
                is_conferred || has_edges(asked.table, &keys.holders(role.id), role.retiring, &tenant).await?
            }
            (None, Some(group)) => has_edges(asked.table, &keys.members_of(group.id), group.retiring, &tenant).await?,
            (None, None) => false,
        };
        let erasure = reads.members.first().filter(|_| reads.erases).and_then(|user| members.get(user)?.erasure);
        let deletion = role.and_then(|role| role.job).or(used_group.and_then(|group| group.job));
        let deletion = deletion.or(erasure.map(|erasure| erasure.job));
        if let Some(key) = deletion.map(|id| keys.job(id)) {
            things.job = asked.table.read(&key).await?;
        }
        Ok(Self {
            dialect: asked.dialect,
            now,
            stamp: Stamp {
                tenant: tenant.id,
                at: now,
                author: principal.author.clone(),
                impersonator: principal.impersonator,
                approver: principal.approver,
                request: asked.request.to_owned(),
                transaction: Uuid::new_v4().to_string(),
                secret: Uuid::new_v4().to_string(),
            },
            tenant,
            rules,
            principal,
            members,
            pictures,
            names,
            things,
            people,
            approval,
            new_tenant,
            is_slug_taken,
            is_exchanged,
            is_held,
            found: by_address.or(by_external_id).map(UserId::number),
            keys,
            caller: who.caller().and_then(Caller::member),
            caller_name,
            recorded: recorded.filter(|recorded| recorded.expires_at > now.seconds()),
            repeated: repeated.into_iter().filter(|it| it.expires_at > now.seconds()).collect(),
        })
    }

    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub fn catalog(&self) -> &Catalog {
        &self.rules
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is around each decision of the request.
    pub(super) fn around(&self) -> Around<'static> {
        Around { dialect: self.dialect, now: self.now }
    }

    /// Somebody who is no member of the tenant.
    pub(super) fn nobody(&self) -> Member {
        Member {
            deleted_at: Some(self.now),
            ..Member::new(MembershipId::LAST, self.tenant.id, UserId::LAST, "", self.now)
        }
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

    /// All members that [`Reads`] named, removed ones too.
    pub(super) fn members(&self) -> impl Iterator<Item = Unseen<'_, Member>> {
        self.members.values().map(Unseen)
    }

    /// The tenant as a record.
    pub fn own_tenant(&self) -> Unseen<'_, Tenant> {
        Unseen(&self.tenant)
    }

    /// The numbers that [`Facts::take_numbers`] has taken.
    pub(super) fn new_tenant(&self) -> Option<(TenantId, MembershipId)> {
        self.new_tenant
    }

    /// The member who calls; `None` for an API key and for the product.
    pub(super) fn caller_id(&self) -> Option<UserId> {
        self.caller
    }

    /// The caller, if [`Reads`] named them.
    pub(super) fn caller(&self) -> Option<&Member> {
        self.caller.and_then(|caller| self.members.get(&caller))
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

    /// Whether any member has the role or is in the group that [`Reads`] named. If that was retiring when the facts were read, then
    /// no request can give it to a member any more.
    pub(super) fn is_held(&self) -> bool {
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
        self.principal.each(|entity| self.rules.policies.allow(self.around(), entity, action, resource))
    }

    /// The key of the answer on record, if the request has an `Idempotency-Key`.
    pub(super) fn record_key(&self, idempotency: &Idempotency) -> Option<Key> {
        self.caller_name.as_ref().map(|caller| self.keys.idempotency(caller, &idempotency.key))
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
        let Some(key) = idempotency.and_then(|asked| self.record_key(asked)) else { return Ok(false) };
        let recorded: Option<Recorded> = table.read(&key).await?;
        Ok(recorded.is_some_and(|recorded| recorded.expires_at > self.now.seconds()))
    }

    /// The facts that other requests rest on and that this request can have changed.
    pub(super) fn facts(&self) -> Vec<Fact> {
        self.members.values().map(Fact::authority).chain([Fact::rules(&self.tenant)]).collect()
    }
}

/// Whether edges lead to members. If the role or group that they come from is retiring, the tenant's rules are put in force first:
/// then a request that rests on older rules can no longer commit, so it cannot add an edge after this function has looked.
async fn has_edges(table: Table<'_>, edges: &Key, is_retiring: bool, tenant: &Tenant) -> Result<bool, Problem> {
    if is_retiring {
        table.raise_fences(&Fact::rules(tenant)).await?;
    }
    table.has_any(edges).await
}
