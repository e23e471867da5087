//! The issuers that a tenant trusts, and their keys: one function fetches them into the table, and requests read them there.

use std::collections::BTreeSet;

use domain::id::{Id, Kind, Uuid, issuer_uuid};
use domain::policy::Action;
use domain::{Issuer, IssuerEdit, Problem, Time};
use futures_util::future::try_join;
use serde::{Deserialize, Serialize};

use super::facts::{Facts, Unseen};
use super::{Asked, Caller, Plan, Reads, Who};
use crate::table::key::{self, Key, Range, TenantKeys};
use crate::table::{Condition, Item, decode, encode};

/// How long the last good keys of an issuer count that cannot be reached, in seconds: 24 hours.
pub const KEYS_LAST: i64 = 24 * 60 * 60;

/// How often the keys are fetched, in seconds: after 15 minutes at the latest, and after 5 at the soonest.
pub const FETCH_EVERY: [i64; 2] = [5 * 60, 15 * 60];

/// How often an unknown key may have an issuer's keys fetched at once, in seconds.
const FETCH_AGAIN: i64 = 60;

/// How many issuers one run fetches, and how many of the deployment a list shows. The others wait for the next run.
const AT_ONCE: i32 = 100;

/// The keys of an issuer, as they were fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerKeys {
    pub iss: String,
    /// A JWK Set (RFC 7517), as the issuer publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// When they were fetched, in seconds since the epoch.
    #[serde(default)]
    pub fetched_at: i64,
    /// Since when the attempts have failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<i64>,
}

/// The issuers that a tenant trusts.
pub struct Trusted {
    pub own: Vec<Issuer>,
    /// Those of the deployment that the tenant has no entry of its own for.
    pub of_deployment: Vec<Issuer>,
}

/// The issuers that the caller's tenant trusts, for who may manage them.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn list(asked: &Asked<'_>, caller: &Caller) -> Result<Trusted, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown(), None).await?;
    facts.may_see_issuers()?;
    let (own, all) = (Range::of(TenantKeys(caller.tenant).issuers()), Range::of(key::issuers_of_deployment()));
    let own = asked.table.page(&own, None, AT_ONCE);
    let ((own, _), (all, _)) = try_join(own, asked.table.page(&all, None, AT_ONCE)).await?;
    let read = |items: Vec<Item>| items.into_iter().map(decode).collect::<Result<Vec<Issuer>, _>>();
    let (own, mut of_deployment) = (read(own)?, read(all)?);
    of_deployment.retain(|issuer| own.iter().all(|it| it.iss != issuer.iss));
    Ok(Trusted { own, of_deployment })
}

/// An issuer that the caller's tenant has an entry for, with its keys, for who may manage it.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn show(asked: &Asked<'_>, caller: &Caller, id: Uuid) -> Result<(Issuer, Option<IssuerKeys>), Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::issuer(id).unshown(), None).await?;
    let Unseen(issuer) = facts.issuer()?;
    facts.may_see_issuers()?;
    Ok((issuer.clone(), known(asked, &issuer.iss).await?))
}

impl Plan<'_> {
    /// Lets the tenant trust a new issuer.
    ///
    /// # Errors
    /// The tenant has given all numbers.
    pub fn trust(&mut self, issuer: &Issuer) -> Result<Issuer, Problem> {
        if self.facts().issuer().is_ok() {
            self.refuse(Problem::Exists("issuer with this `iss`"));
        }
        let number: Id<{ Kind::Issuer as u8 }> = self.number(|numbers| &mut numbers.issuers)?;
        Ok(self.create(Issuer { number: number.number(), ..issuer.clone() }, &IssuerEdit::default()))
    }
}

impl Facts {
    /// Whoever may manage the tenant's issuers may see them, those of the deployment too.
    fn may_see_issuers(&self) -> Result<(), Problem> {
        let manage = Action::ManageIssuers { of_deployment: false };
        self.allow(&manage, &self.entity(self.tenant())).map(drop).map_err(Problem::Forbidden)
    }
}

/// What a request for the keys leaves.
#[derive(Deserialize)]
struct AskedFor {
    iss: String,
}

/// Has the keys of an issuer fetched at once, if nobody has asked for that within the last minute. The table's stream tells the
/// function that fetches.
pub async fn ask_for_keys(asked: &Asked<'_>, iss: &str) -> Result<(), Problem> {
    let now = (asked.clock)().seconds();
    let condition = Condition::new("attribute_not_exists(asked_at) OR asked_at < :before");
    let condition = condition.with(":before", now - FETCH_AGAIN)?.with(":now", now)?.with(":iss", iss)?;
    let condition = condition.with(":end", now + KEYS_LAST)?;
    let what = "asked_at = :now, iss = :iss, expires_at = :end";
    asked.table.set(&key::asked_for_keys(issuer_uuid(iss)), what, condition).await.map(drop)
}

/// The issuers of items that were written, each once. If the keys of an issuer are fetched anyway, another tenant that trusts it, or a
/// change of its entry, is no reason to fetch them again.
pub async fn named(asked: &Asked<'_>, keys: impl IntoIterator<Item = Key>) -> Result<Vec<String>, Problem> {
    let wanted = keys.into_iter().filter(|key| key::issuer_at(key).is_some());
    let (mut written, mut issuers) = (BTreeSet::new(), BTreeSet::new());
    for (key, item) in asked.table.get(wanted).await? {
        match key.sk.starts_with("ISSUER#") {
            true => written.insert(decode::<Issuer>(item)?.iss),
            false => issuers.insert(decode::<AskedFor>(item)?.iss),
        };
    }
    let place = |iss: &String| key::issuer_keys(issuer_uuid(iss));
    let known = asked.table.get(written.iter().map(place)).await?;
    let is_fetched = |iss: &String| known.get(&place(iss)).is_some_and(|item| item.contains_key("GSI1PK"));
    issuers.extend(written.into_iter().filter(|iss| !is_fetched(iss)));
    Ok(issuers.into_iter().collect())
}

/// The issuers whose keys are to be fetched by now, the one that has waited longest first.
pub async fn due(asked: &Asked<'_>, now: Time) -> Result<Vec<String>, Problem> {
    let range = Range { in_index: true, ..Range::of(key::fetches()) };
    let (items, _) = asked.table.page(&range, None, AT_ONCE).await?;
    let is_due = |item: &crate::table::Item| {
        let at = item.get("GSI1SK").and_then(|it| it.as_s().ok());
        at.is_some_and(|at| at.split('#').next().is_some_and(|at| *at <= *now.to_string()))
    };
    let keys = items.into_iter().filter(is_due).map(decode::<IssuerKeys>);
    Ok(keys.map(|keys| keys.map(|keys| keys.iss)).collect::<Result<_, _>>()?)
}

/// The keys of an issuer that were fetched before.
pub async fn known(asked: &Asked<'_>, iss: &str) -> Result<Option<IssuerKeys>, Problem> {
    asked.table.read(&key::issuer_keys(issuer_uuid(iss))).await
}

/// Keeps what an attempt to fetch the keys has brought: the keys and for how many seconds they are good, or why it failed. Nobody
/// fetches the keys of an issuer any more that no tenant trusts.
///
/// Returns since when the attempts have failed, in seconds since the epoch.
pub async fn keep(
    asked: &Asked<'_>,
    iss: &str,
    before: Option<IssuerKeys>,
    fetched: Option<(String, i64)>,
) -> Result<Option<i64>, Problem> {
    let id: Uuid = issuer_uuid(iss);
    let (at, now) = (key::issuer_keys(id), (asked.clock)());
    let trusting = Range { in_index: true, ..Range::of(key::trusting_of(id)) };
    let (trusted, _) = asked.table.page(&trusting, None, 1).await?;
    // Another run can have been quicker, with newer keys.
    let (is_first, same) = match &before {
        None => (true, Condition::new("attribute_not_exists(PK)")),
        Some(before) => (false, Condition::new("fetched_at = :before").with(":before", before.fetched_at)?),
    };
    let before =
        before.unwrap_or_else(|| IssuerKeys { iss: iss.to_owned(), document: None, fetched_at: 0, failed_since: None });
    let [soonest, latest] = FETCH_EVERY;
    let (keys, again) = match fetched {
        Some((document, good_for)) => (
            IssuerKeys { document: Some(document), fetched_at: now.seconds(), failed_since: None, ..before },
            good_for.clamp(soonest, latest),
        ),
        None => {
            let since = before.failed_since.unwrap_or(now.seconds());
            (IssuerKeys { failed_since: Some(since), ..before }, soonest)
        }
    };
    let next = key::fetch_at(id, Time::from_millis(now.millis() + again * 1_000));
    // The index lags behind a new issuer by some milliseconds: its keys are fetched for the first time.
    // An issuer of the deployment outlives the tenant to whose record it belongs.
    let is_wanted =
        is_first || !trusted.is_empty() || !asked.table.get([key::issuer_of_deployment(id)]).await?.is_empty();
    asked.table.put_if(encode(&at, Some(&next).filter(|_| is_wanted), &keys)?, same).await?;
    Ok(keys.failed_since)
}
