//! The sessions of tokens that somebody shows, and their refresh tokens.

use domain::id::{TenantId, UserId, issuer_uuid};
use domain::policy::question::Thing;
use domain::policy::{self, Action};
use domain::problem::Grant;
use domain::session::{Impersonator, Refresh};
use domain::{ApiKey, Member, Problem, Session, Tenant};
use futures_util::future::join;

use super::facts::{Facts, Unseen};
use super::{Asked, Caller, Reading, Reads, Who};
use crate::table::key::{self, TenantKeys};
use crate::table::{Condition, Item, decode};

/// A session whose refresh token was shown, and its member's tenant.
pub struct Refreshed {
    pub session: Session,
    pub facts: Facts,
    /// The keys that verify our tokens.
    pub ours: Option<Item>,
}

/// The session, if it lives, its member may act, and the tenant still trusts the issuer who proved them.
///
/// # Errors
/// [`Problem::Grant`]
pub async fn of_refresh(
    asked: &Asked<'_>,
    (tenant, user): (TenantId, UserId),
    session: &str,
) -> Result<Refreshed, Problem> {
    let now = (asked.clock)().seconds();
    let caller = Caller::of_session(user, tenant, session.to_owned(), now);
    let (who, key) = (Who::Caller(&caller), TenantKeys(tenant).session(user, session));
    let reads = Reads::member(Some(user)).unshown().also_if_deleted();
    let refuse = |cause| Problem::Grant(Grant::InvalidRefresh, cause);
    let mut found = asked.table.get([key.clone(), key::jwks()]).await?;
    let session: Option<Session> = found.remove(&key).map(decode).transpose()?;
    let session = session.filter(|session| session.expires_at > now).ok_or(refuse("the session has ended"))?;
    let id = issuer_uuid(&session.sign_in.issuer);
    let trusted = asked.table.get([TenantKeys(tenant).issuer(id), key::issuer_of_deployment(id)]);
    let (facts, trusted) = join(Facts::read(asked, &who, &reads, None), trusted).await;
    let facts = facts.and_then(|facts| facts.may_sign_in().map(|()| facts)).map_err(|why| match why {
        Problem::Unauthenticated(cause) => refuse(cause),
        Problem::Forbidden(_) => refuse("the member may not act in the tenant"),
        other => other,
    })?;
    if trusted?.is_empty() {
        return Err(refuse("nobody trusts the issuer any more"));
    }
    Ok(Refreshed { session, facts, ours: found.remove(&key::jwks()) })
}

/// How the member of a session signed in, if the session lives.
///
/// # Errors
/// [`Problem::Grant`]
pub async fn of_session(
    asked: &Asked<'_>,
    (tenant, user): (TenantId, UserId),
    session: &str,
) -> Result<(Session, Member), Problem> {
    let now = (asked.clock)();
    let keys = TenantKeys(tenant);
    let [member_key, session_key, tenant_key] = [keys.member(user), keys.session(user, session), keys.tenant()];
    let wanted = [member_key.clone(), session_key.clone(), tenant_key.clone()];
    let mut found = asked.table.get(wanted).await?;
    let member: Option<Member> = found.remove(&member_key).map(decode).transpose()?;
    let member = member.filter(|member| member.is_active() && member.has_session(session, now));
    let session: Option<Session> = found.remove(&session_key).map(decode).transpose()?;
    let tenant: Option<Tenant> = found.remove(&tenant_key).map(decode).transpose()?;
    let is_too_old = |session: &Session| tenant.as_ref().is_none_or(|it| it.is_session_too_old(session.began(), now));
    // Whoever acts as the member has the one session, until its end.
    let session = session.filter(|session| !is_too_old(session) && session.impersonator.is_none());
    let ended = Problem::Grant(Grant::InvalidToken, "the session has ended");
    session.zip(member).ok_or(ended)
}

/// The facts of an API key that was shown, the key, and the keys that verify our tokens.
///
/// # Errors
/// [`Problem::Grant`]: the key is not good, or its maker may not act in the tenant.
pub async fn of_key(asked: &Asked<'_>, caller: &Caller) -> Result<(Facts, ApiKey, Option<Item>), Problem> {
    let refuse = |cause| Problem::Grant(Grant::InvalidClient, cause);
    let reads = Reads::api_key(caller.api_key().map(|key| key.id));
    let who = Who::Caller(caller);
    let (facts, ours) = join(Facts::read(asked, &who, &reads, None), asked.table.get([key::jwks()])).await;
    let facts = facts.map_err(|why| match why {
        Problem::Unauthenticated(cause) => refuse(cause),
        Problem::Forbidden(_) => refuse("the maker of the key may not act in the tenant"),
        other => other,
    })?;
    let Unseen(api_key) = facts.api_key()?;
    let api_key = api_key.clone();
    Ok((facts, api_key, ours?.remove(&key::jwks())))
}

/// Replaces the refresh token of a session, if nobody has done so meanwhile. Returns whether it did.
pub async fn replace_refresh(
    asked: &Asked<'_>,
    tenant: TenantId,
    session: &Session,
    next: &Refresh,
) -> Result<bool, Problem> {
    let key = TenantKeys(tenant).session(session.user, &session.id);
    let condition = Condition::new("refresh = :refresh").with(":refresh", &session.refresh)?.with(":next", next)?;
    asked.table.set(&key, "refresh = :next", condition).await
}

/// Whether a refresh token is the last one of a session, or the one before; by the token's hash.
///
/// # Errors
/// The table cannot be read.
pub async fn has_refresh(
    asked: &Asked<'_>,
    (tenant, user): (TenantId, UserId),
    session: &str,
    hash: &str,
) -> Result<bool, Problem> {
    let session: Option<Session> = asked.table.read(&TenantKeys(tenant).session(user, session)).await?;
    let refresh = session.and_then(|session| session.refresh);
    Ok(refresh.is_some_and(|it| it.hash == hash || it.previous.as_deref() == Some(hash)))
}

impl<'f> Reading<'f> {
    /// The session that [`Reads`] named, if it lives and the caller may ask.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub(crate) fn live_session(&mut self) -> Result<Option<&'f Session>, Problem> {
        let (facts, now) = (self.facts, self.facts.now());
        let tenant = facts.tenant();
        self.notices.extend(facts.allow(&Action::Introspect, &policy::tenant(tenant.id)).map_err(Problem::Forbidden)?);
        let has = |user, session: &str| {
            let Unseen(member) = facts.member(Some(user)).ok()?;
            (member.is_active() && member.has_session(session, now)).then_some(member)
        };
        let may_act_as = |by: &Impersonator, member| {
            let Some(by) = has(by.member, &by.session) else { return false };
            let who = (&facts.entity(by), tenant.id);
            facts.rules().may(facts.around(), who, "impersonate", Thing::Member(member)).is_ok()
        };
        let lives = |session: &&Session| {
            let is_good = |member| session.impersonator.as_ref().is_none_or(|by| may_act_as(by, member));
            let is_too_old = tenant.is_session_too_old(session.began(), now);
            has(session.user, &session.id).is_some_and(is_good) && session.expires_at > now.seconds() && !is_too_old
        };
        Ok(facts.things.session.as_ref().filter(lives))
    }

    /// The API key that [`Reads`] named, if it is good; with the hash of its text, if that was shown.
    pub(crate) fn live_key(&self, hash: Option<&str>) -> Option<&'f ApiKey> {
        let (facts, now) = (self.facts, self.facts.now());
        let Unseen(key) = facts.api_key().ok()?;
        let acts = |maker| facts.member(Some(maker)).is_ok_and(|Unseen(member)| member.is_active());
        let is_live = key.valid_until > now.seconds() && key.maker.is_none_or(acts);
        let is_shown = hash.is_none_or(|hash| key.has_secret(hash, now));
        (is_live && is_shown).then_some(key)
    }
}
