//! Sessions: who signs in to which tenant, the beginning of a session, and its refresh token.

use domain::id::{TenantId, UserId, issuer_uuid};
use domain::member::MAX_SESSIONS;
use domain::member::change::Ending;
use domain::policy::Action;
use domain::problem::Grant;
use domain::session::{Impersonator, Unchanging};
use domain::{Issuer, Member, MemberEdit, Meta, Problem, Record, Session, SignIn, role};
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Unseen};
use super::issuers::{IssuerKeys, KEYS_LAST};
use super::{Asked, Caller, Plan, Reads, Who};
use crate::table::fence::Fact;
use crate::table::key::{self, Key, Range, TenantKeys};
use crate::table::stored::{Identity, Reference};
use crate::table::{Committed, Condition, Item, Malformed, Transaction, decode, encode};

/// How long the same token of an issuer, or the refresh token before the last, is answered again, in seconds: an answer can get lost.
pub const GRACE: i64 = 30;

/// The tenant that a person wants to sign in to.
#[derive(Clone, Debug)]
pub enum Target {
    Tenant(TenantId),
    Slug(String),
    /// The one in which the issuer knows them.
    Only,
}

/// Everything that says whether a token of an issuer gives a session.
pub struct Trust {
    /// `None` if there is no such tenant. Nobody learns that without a good token.
    tenant: Option<TenantId>,
    /// The tenant's own entry for the issuer, or the deployment's.
    pub issuer: Issuer,
    /// The issuer's keys, a JWK Set.
    pub keys: Option<String>,
    /// The member as whom the issuer's `sub` has signed in before.
    pub known: Option<UserId>,
    /// The keys that verify our tokens.
    pub ours: Option<Item>,
}

impl Trust {
    /// # Errors
    /// [`Problem::Grant`]: there is no such tenant. The answer is that to somebody who is no member.
    pub fn tenant(&self) -> Result<TenantId, Problem> {
        self.tenant.ok_or(Problem::Grant(Grant::Denied, "no such tenant"))
    }
}

/// Finds out whom a token concerns: one read, and a second one if the tenant is not named by its id.
///
/// # Errors
/// [`Problem::Grant`]: no tenant is named and there is not only one, or nobody trusts the issuer there. Without a good token, nobody
/// learns which issuers a tenant trusts: the answer is that to a bad one.
pub async fn trust(asked: &Asked<'_>, target: &Target, iss: &str, sub: &str) -> Result<Trust, Problem> {
    let id = issuer_uuid(iss);
    let (of_deployment, keys) = (key::issuer_of_deployment(id), key::issuer_keys(id));
    let of_tenant = |tenant: TenantId| {
        let keys = TenantKeys(tenant);
        [keys.issuer(id), keys.identity(iss, sub)]
    };
    let slug = if let Target::Slug(slug) = target { Some(key::slug(slug)) } else { None };
    let mut tenant = if let Target::Tenant(tenant) = target { Some(*tenant) } else { None };
    let wanted = [of_deployment.clone(), keys.clone(), key::jwks()].into_iter().chain(slug.clone());
    let mut found = asked.table.get(wanted.chain(tenant.into_iter().flat_map(of_tenant))).await?;
    if tenant.is_none() {
        tenant = match &slug {
            Some(slug) => found.remove(slug).map(decode::<Reference<_>>).transpose()?.map(|it| it.number),
            None => only_tenant(asked, iss, sub).await?,
        };
        found.extend(asked.table.get(tenant.into_iter().flat_map(of_tenant)).await?);
    }
    if tenant.is_none() && matches!(target, Target::Only) {
        return Err(Problem::Grant(Grant::InvalidTarget, "known in no tenant, or not in one only"));
    }
    let [own, identity] = tenant.map(of_tenant).map_or([None, None], |keys| keys.map(Some));
    let issuer = own.and_then(|own| found.remove(&own)).or_else(|| found.remove(&of_deployment));
    let issuer: Issuer =
        issuer.map(decode).transpose()?.ok_or(Problem::Grant(Grant::InvalidToken, "an issuer nobody trusts there"))?;
    let keys: Option<IssuerKeys> = found.remove(&keys).map(decode).transpose()?;
    let now = (asked.clock)().seconds();
    let fresh = keys.filter(|keys| keys.fetched_at + KEYS_LAST >= now);
    let known: Option<Reference<_>> = identity.and_then(|it| found.remove(&it)).map(decode).transpose()?;
    Ok(Trust {
        tenant,
        issuer,
        keys: fresh.and_then(|keys| keys.document),
        known: known.map(|it| it.number),
        ours: found.remove(&key::jwks()),
    })
}

/// The tenant in which an issuer knows somebody, if it is only one.
async fn only_tenant(asked: &Asked<'_>, iss: &str, sub: &str) -> Result<Option<TenantId>, Problem> {
    let range = Range { in_index: true, ..Range::of(key::identities(iss, sub)) };
    let (items, _) = asked.table.page(&range, None, 2).await?;
    let tenant = |item: &Item| item.get("GSI1SK").and_then(|it| it.as_s().ok()).and_then(|sk| TenantKeys::of_edge(sk));
    Ok(if let [one] = &items[..] { tenant(one).map(|keys| keys.0) } else { None })
}

/// The member with an address in a tenant.
pub async fn member_at(asked: &Asked<'_>, tenant: TenantId, email: &str) -> Result<Option<UserId>, Problem> {
    let found: Option<Reference<_>> = asked.table.read(&TenantKeys(tenant).email(email)).await?;
    Ok(found.map(|it| it.number))
}

/// A token of an issuer that has given a session: it gives no second one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchanged {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: String,
    /// In seconds since the epoch.
    pub at: i64,
    /// When the token expires; the table's TTL attribute.
    pub expires_at: i64,
}

/// The kind of thing of which another has the name, if somebody exchanges a token twice.
pub const EXCHANGED: &str = "session with this token";

/// The use of a token, if it was used before.
pub async fn exchanged(asked: &Asked<'_>, hash: &str) -> Result<Option<Exchanged>, Problem> {
    asked.table.read(&key::exchanged(hash)).await
}

impl Facts {
    /// Whether the caller may have a session. In a deleted tenant only an owner may, who can restore it.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub(crate) fn may_sign_in(&self) -> Result<(), Problem> {
        let is_owner = |caller: &Member| self.catalog().roles_of(caller).contains(&role::OWNER);
        match self.caller().is_some_and(is_owner) {
            true => self.tenant().is_live_or_restorable(self.now()),
            false => self.tenant().is_live(),
        }
    }
}

/// A session that begins, with the items that go with it.
pub struct Begins {
    before: Member,
    after: Member,
    /// The token that it was given for, by its hash, if that gives no second session.
    exchanged: Option<(String, Exchanged)>,
    /// Whether the issuer's `sub` belongs to the member from now on.
    identity: Option<(String, String)>,
}

impl<'f> Plan<'f> {
    /// Begins a session of the caller. It lives until `ends` in seconds since the epoch. `exchanged` is the token that it was given for,
    /// `is_first` says whether its issuer's `sub` was unknown in the tenant, and `address` is the one by which the member was found then.
    ///
    /// # Errors
    /// [`Problem::Grant`]: they have signed in as somebody else meanwhile, or the address is no longer theirs. A defect: the request did
    /// not read the caller.
    pub fn begin_session(
        &mut self,
        session: &Session,
        ends: i64,
        exchanged: Option<(String, Exchanged)>,
        is_first: bool,
        address: Option<&str>,
    ) -> Result<(), Problem> {
        let caller = self.facts().caller().ok_or_else(|| Problem::Internal("a session of nobody".to_owned()))?;
        let keys = TenantKeys(caller.tenant);
        if address.is_some_and(|address| keys.email(address) != keys.email(&caller.email)) {
            return Err(Problem::Grant(Grant::Denied, "an address that is another member's now"));
        }
        let mut after = caller.clone();
        after.start_session(session.id.clone(), ends, self.facts().now());
        after.last_seen = Some(self.facts().now());
        // Another sign-in of theirs can have been quicker.
        let known = self.facts().things.identity;
        if known.is_some_and(|known| known != session.user) {
            return Err(Problem::Grant(Grant::Denied, "the `sub` of somebody else"));
        }
        let sign_in = &session.sign_in;
        let identity = (is_first && known.is_none()).then(|| (sign_in.issuer.clone(), sign_in.subject.clone()));
        if self.facts().is_exchanged {
            self.refuse(Problem::Exists(EXCHANGED));
        }
        self.create(session.clone(), &Unchanging);
        self.begins = Some(Begins { before: caller.clone(), after, exchanged, identity });
        Ok(())
    }
}

/// Why somebody acts as another member, and how.
pub struct Acts<'a> {
    /// The id of the session.
    pub id: String,
    pub reason: &'a str,
    /// For how long.
    pub seconds: u32,
    /// Who proves that they may: the issuer of our tokens.
    pub issuer: &'a str,
    pub device: Option<String>,
}

/// The client of such a session.
const IMPERSONATION: &str = "impersonation";

impl<'f> Plan<'f> {
    /// Begins a session of a member in which the caller acts as them. Nothing prolongs it, and it has no refresh token.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: the caller is an API key.
    pub fn impersonate(
        &mut self,
        member: Unseen<'f, Member>,
        caller: &Caller,
        acts: &Acts<'_>,
    ) -> Result<Session, Problem> {
        let (Unseen(before), facts, by) = (member, self.facts(), caller.user()?);
        let (now, since) = (facts.now(), caller.since());
        let actions = [Action::Read, Action::Impersonate { allowed: facts.catalog().impersonation }];
        self.decide_on(Session::KIND, &actions, &facts.entity(before));
        let ends = now.seconds() + i64::from(acts.seconds);
        let oldest = facts.tenant().settings.session_seconds.map(|most| since + i64::from(most));
        let ends = oldest.map_or(ends, |oldest| ends.min(oldest));
        let subject = by.uuid().to_string();
        let mut session = Session {
            id: acts.id.clone(),
            user: before.user,
            sign_in: SignIn { issuer: acts.issuer.to_owned(), subject, auth_time: None, acr: None, amr: Vec::new() },
            of_deployment: false,
            since: None,
            client: IMPERSONATION.to_owned(),
            device: acts.device.clone(),
            refresh: None,
            impersonator: Some(Impersonator { member: by, session: caller.session().to_owned(), since }),
            reason: Some(acts.reason.to_owned()),
            expires_at: ends,
            meta: Meta::new(now),
        };
        let mut after = before.clone();
        after.start_session(session.id.clone(), ends, now);
        // It pushes out none of the member's own.
        let live = |id: &&String| before.has_session(id, now);
        if before.sessions.keys().filter(live).count() >= MAX_SESSIONS {
            self.refuse(Problem::LimitReached("sessions of a member", MAX_SESSIONS));
        }
        self.first.get_or_insert((Session::KIND, None));
        self.keep(None, Some(&mut session));
        self.begins = Some(Begins { before: before.clone(), after, exchanged: None, identity: None });
        Ok(session)
    }
}

impl Begins {
    /// The key of the member.
    pub(super) fn member(&self) -> Key {
        TenantKeys(self.before.tenant).member(self.before.user)
    }

    pub(super) fn write(&self, transaction: &mut Transaction<'_>) -> Result<(), Problem> {
        transaction.sessions(&self.before, &self.after)?;
        if let Some((hash, exchanged)) = &self.exchanged {
            transaction.take_name(encode(&key::exchanged(hash), None, exchanged)?, EXCHANGED)?;
        }
        self.identity.iter().try_for_each(|identity| link(transaction, identity, &self.before))
    }
}

/// From now on an issuer's `sub` signs in as a member. If it signs in as anybody already, that is a condition that does not hold.
pub(super) fn link(
    transaction: &mut Transaction<'_>,
    (iss, sub): &(String, String),
    member: &Member,
) -> Result<(), Problem> {
    let key = TenantKeys(member.tenant).identity(iss, sub);
    transaction.put(identity(&key, iss, sub, member)?, Some(Condition::new("attribute_not_exists(PK)")))?;
    transaction.put(held_identity(iss, sub, member)?, None)
}

/// The item that says as whom an issuer's `sub` signs in to a tenant.
pub(super) fn identity(key: &Key, iss: &str, sub: &str, member: &Member) -> Result<Item, Malformed> {
    let listed = TenantKeys(member.tenant).identity_listed(iss, sub);
    let to = Reference { number: member.user };
    encode(key, Some(&listed), &to)
}

/// The item beside it, to which the member leads.
pub(super) fn held_identity(iss: &str, sub: &str, member: &Member) -> Result<Item, Malformed> {
    Identity { number: member.user, issuer: iss.to_owned(), subject: sub.to_owned() }.item(member.tenant)
}

/// The most identities of a member that are read. They have one at each issuer, mostly.
const MAX_IDENTITIES: i32 = 1_000;

/// As whom issuers know a member of a tenant.
pub(super) async fn identities(asked: &Asked<'_>, keys: TenantKeys, user: UserId) -> Result<Vec<Identity>, Problem> {
    let (items, _) = asked.table.page(&Range::of(keys.identities_of(user)), None, MAX_IDENTITIES).await?;
    Ok(items.into_iter().map(decode).collect::<Result<_, _>>()?)
}

/// Lets a session that lives go on until `ends`, in seconds since the epoch. Returns false if the member's sessions have changed
/// meanwhile.
///
/// # Errors
/// The table cannot be written.
pub async fn prolong(asked: &Asked<'_>, member: &Member, session: &str, ends: i64) -> Result<bool, Problem> {
    let mut after = member.clone();
    let now = (asked.clock)();
    after.start_session(session.to_owned(), ends, now);
    after.last_seen = Some(now);
    let mut transaction = Transaction::new(asked.table);
    transaction.sessions(member, &after)?;
    Ok(asked.table.write(transaction).await? == Committed::Yes)
}

/// A session that lives, and when it ends, in seconds since the epoch.
pub struct Live {
    pub session: Session,
    pub ends: i64,
    /// Whether it is the session of the request.
    pub is_current: bool,
}

/// The sessions of a member that live, the latest first.
///
/// # Errors
/// As [`read`](super::read).
pub async fn list(asked: &Asked<'_>, caller: &Caller, user: Option<UserId>) -> Result<Vec<Live>, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::member(user).unshown(), None).await?;
    let Unseen(member) = facts.member(user)?;
    facts.allow(&Action::ReadSessions, &facts.entity(member)).map_err(Problem::Forbidden)?;
    of_member(asked, caller, &facts, member).await
}

/// The live sessions of a member, the latest first.
pub(super) async fn of_member(
    asked: &Asked<'_>,
    caller: &Caller,
    facts: &Facts,
    member: &Member,
) -> Result<Vec<Live>, Problem> {
    let keys = TenantKeys(caller.tenant);
    let lives = member.sessions.iter().filter(|(id, _)| member.has_session(id, facts.now()));
    let items = asked.table.get(lives.map(|(id, _)| keys.session(member.user, id))).await?;
    let mut sessions = Vec::new();
    for item in items.into_values() {
        let session: Session = decode(item)?;
        let ends = member.sessions.get(&session.id).copied().unwrap_or_default();
        let is_current = caller.session() == session.id;
        sessions.push(Live { session, ends, is_current });
    }
    sessions.sort_by_key(|live| std::cmp::Reverse((live.session.meta.created_at, live.session.id.clone())));
    Ok(sessions)
}

/// Ends a session without a caller, and says why, and who has acted as the member in it.
///
/// # Errors
/// The table cannot be read or written.
pub async fn end(
    asked: &Asked<'_>,
    (tenant, user): (TenantId, UserId),
    session: &str,
    why: &str,
    impersonator: Option<UserId>,
) -> Result<(), Problem> {
    let who = match impersonator {
        Some(by) => Who::Impersonator(tenant, by, why.to_owned()),
        None => Who::Product(tenant, why.to_owned()),
    };
    let edit = MemberEdit { ends: Some(Ending::One(session.to_owned())), ..MemberEdit::default() };
    let plan = |plan: &mut Plan| {
        match plan.facts().member(Some(user)).ok() {
            Some(member) if member.0.sessions.contains_key(session) => drop(plan.update(member, &edit)),
            // It has ended meanwhile. The process that ended it may have died before that was in force.
            Some(Unseen(member)) => plan.changed.push(Fact::authority(member)),
            None => {}
        }
        Ok(())
    };
    super::change_unanswered(asked, &who, &Reads::member(Some(user)).unshown(), &plan).await
}
