//! The facts of a decision: one consistent read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::event::{Author, Stamp};
use domain::id::{RoleId, TenantId, UserId};
use domain::policy::Action;
use domain::policy::eval::Entity;
use domain::problem::Denial;
use domain::{Actor, Catalog, Member, Problem, Record, Role, Rules, Tenant, Time, policy};
use serde_json::json;
use uuid::Uuid;

use super::{Asked, Caller, Idempotency, Recorded};
use crate::answer::Answer;
use crate::lock;
use crate::log::{self, Level};
use crate::table::fence::Fact;
use crate::table::key::{self, Key, TenantKeys};
use crate::table::stored::Reference;
use crate::table::{Item, Table, decode};

/// A function keeps the rules of at most so many tenants. With one more it drops all of them, and reads each again when needed.
const MAX_KNOWN: usize = 256;

/// The facts that a request needs beside the tenant, its caller and the answer on record.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    members: Vec<UserId>,
    holders_of: Option<RoleId>,
    address: Option<String>,
    without_pictures: bool,
}

impl Reads {
    pub fn none() -> Self {
        Self::default()
    }

    /// A member; `None` for an id that cannot be anybody's.
    pub fn member(user: Option<UserId>) -> Self {
        Self { members: user.into_iter().collect(), ..Self::default() }
    }

    /// The same without pictures, for an answer that shows none. A picture costs up to 64 read units.
    pub fn without_pictures(self) -> Self {
        Self { without_pictures: true, ..self }
    }

    /// Whose address it is.
    pub(super) fn address(email: Option<String>) -> Self {
        Self { address: email, ..Self::default() }
    }

    /// Whether any member holds a role. `None` for an id that cannot be a role's.
    pub fn holders(role: Option<RoleId>) -> Self {
        Self { holders_of: role, ..Self::default() }
    }
}

/// The tenants' rules that a warm function keeps.
#[derive(Default)]
pub struct KnownRules(Mutex<HashMap<TenantId, Arc<Rules>>>);

impl KnownRules {
    /// The rules of a tenant at its catalog's current version, from memory if the known version is the same.
    async fn at(&self, asked: &Asked<'_>, tenant: &Tenant) -> Result<Arc<Rules>, Problem> {
        let known = lock(&self.0).get(&tenant.id).cloned();
        if let Some(rules) = known.filter(|rules| rules.version == tenant.catalog_version) {
            return Ok(rules);
        }
        let rules = Arc::new(asked.table.catalog(TenantKeys(tenant.id), tenant.catalog_version).await?);
        for (policy, why) in rules.policies.broken() {
            log::line(
                Level::Error,
                "a tenant's policy cannot be used; nothing is allowed there until it is mended",
                &|| json!({ "request_id": asked.request, "tenant": tenant.id.number(), "policy": policy, "cause": why }),
            );
        }
        let mut known = lock(&self.0);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(tenant.id, rules.clone());
        Ok(rules)
    }
}

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
    /// A data URI, if the dialect shows pictures.
    pub(crate) picture: Option<&'a str>,
}

impl View<'_> {
    pub fn version(&self) -> u64 {
        self.member.meta.version
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
    members: HashMap<UserId, Member>,
    pictures: HashMap<UserId, String>,
    /// Whether a member holds the role that [`Reads::holders`] named.
    is_held: bool,
    /// The member whose address [`Reads::address`] named.
    addressed: Option<UserId>,
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
        let pictures = reads.members.iter().filter(|_| asked.pictures && !reads.without_pictures);
        let wanted = [&tenant_key, &caller_key].into_iter().chain(&record_key).cloned();
        let wanted = wanted.chain(reads.members.iter().map(|user| keys.member(*user)));
        let address_key = reads.address.as_ref().map(|email| keys.email(email));
        let wanted = wanted.chain(address_key.clone());
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
            members.extend(member.filter(Member::is_present).map(|member| (*user, member)));
            let picture = take(&keys.picture(*user)).and_then(|mut item| item.remove("data_uri"));
            pictures.extend(picture.and_then(|picture| Some((*user, picture.as_s().ok()?.clone()))));
        }
        let address: Option<Reference<_>> = address_key.and_then(|key| take(&key)).map(decode).transpose()?;
        let is_held = match reads.holders_of.and_then(|role| rules.role(role)) {
            Some(role) => is_held(asked.table, keys, role, &tenant).await?,
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
            is_held,
            addressed: address.map(|address| address.number),
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
        user.and_then(|user| self.members.get(&user)).map(Unseen).ok_or(Problem::NotFound("user"))
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

    pub(super) fn addressed(&self) -> Option<UserId> {
        self.addressed
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(super) fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    pub(super) fn view<'a>(&'a self, member: &'a Member) -> View<'a> {
        let picture = self.pictures.get(&member.user).map(String::as_str);
        View { tenant: &self.tenant, member, catalog: &self.rules, picture }
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
