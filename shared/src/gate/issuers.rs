//! The keys of issuers: one function fetches them into the table, and requests read them there.

use std::collections::BTreeSet;

use domain::id::{Uuid, issuer_uuid};
use domain::{Issuer, Problem, Time};
use serde::{Deserialize, Serialize};

use super::Asked;
use crate::table::key::{self, Key, Range};
use crate::table::{Condition, decode, encode};

/// How long the last good keys of an issuer count that cannot be reached, in seconds: 24 hours.
pub const KEYS_LAST: i64 = 24 * 60 * 60;

/// How often the keys are fetched, in seconds: after 15 minutes at the latest, and after 5 at the soonest.
pub const FETCH_EVERY: [i64; 2] = [5 * 60, 15 * 60];

/// How often an unknown key may have an issuer's keys fetched at once, in seconds.
const FETCH_AGAIN: i64 = 60;

/// How many issuers one run fetches. The others wait for the next one.
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

/// The issuers of items that were written, each once.
pub async fn named(asked: &Asked<'_>, keys: impl IntoIterator<Item = Key>) -> Result<BTreeSet<String>, Problem> {
    let wanted = keys.into_iter().filter(|key| key::issuer_at(key).is_some());
    let mut issuers = BTreeSet::new();
    for (key, item) in asked.table.get(wanted).await? {
        issuers.insert(match key.sk.starts_with("ISSUER#") {
            true => decode::<Issuer>(item)?.iss,
            false => decode::<AskedFor>(item)?.iss,
        });
    }
    Ok(issuers)
}

/// The issuers whose keys are to be fetched by now.
pub async fn due(asked: &Asked<'_>, now: Time) -> Result<BTreeSet<String>, Problem> {
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
    let is_wanted = !trusted.is_empty() || is_first;
    asked.table.put_if(encode(&at, Some(&next).filter(|_| is_wanted), &keys)?, same).await?;
    Ok(keys.failed_since)
}
