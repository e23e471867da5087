//! The check of a chain of events: versions without a gap, hashes that fit, and the end of the chain.

use domain::chain::{Broken, Checked};
use domain::id::{
    DomainId, GroupId, JobId, JoinRequestId, KeyId, LabelId, PolicyId, RoleId, UserId, WebhookId, parse_uuid,
};
use domain::{
    ApiKey, ClaimedDomain, Event, Group, Issuer, Job, JoinRequest, Label, Member, OwnPolicy, Problem, Record, Role,
    Subject, Tenant, Thing, Webhook,
};
use serde::Deserialize;

use super::{EventList, enter, subject_of};
use crate::answer::Answer;
use crate::gate::list::{Page, lost, opened};
use crate::gate::plan::with_notices;
use crate::gate::{Asked, Caller, retention};
use crate::table::decode;
use crate::table::key::{Key, Range, TenantKeys};

/// How many events one request checks at most.
pub const CHECKED_AT_ONCE: i32 = 1_000;

/// How a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With the version that the record has.
    Record,
    /// With the deletion of the record.
    Deletion,
    /// The record has expired. Only a checkpoint would show a lost end.
    Open,
}

/// What the check of a chain has found.
pub struct Verified<'a> {
    pub subject: &'a Subject,
    pub tenant: &'a Tenant,
    /// How far the chain holds.
    pub checked: Checked,
    pub outcome: Outcome,
    pub next_cursor: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chain holds as far as it was checked, and there is more to check.
    Further,
    /// It holds to its end.
    Ended(Ending),
    Broken(Broken),
}

/// Makes the answer from what was found.
pub type VerifiedFn<'p> = dyn Fn(&Verified) -> Answer + Send + Sync + 'p;

/// The part of a record's item in which its chain ends.
#[derive(Deserialize)]
struct Head {
    version: u64,
    head: String,
    /// Of an issuer: which of several entries with the same `iss` it is.
    #[serde(default)]
    number: Option<u32>,
}

/// Checks the chain of one subject, up to [`CHECKED_AT_ONCE`] events behind the cursor.
///
/// # Errors
/// As those of [`list`](super::list); [`Problem::NotFound`]: there is no such record, and there was none.
pub async fn verify(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &EventList,
    page: &Page,
    answer: &VerifiedFn<'_>,
) -> Result<Answer, Problem> {
    let (facts, notices) = enter(asked, caller, "chain", wanted).await?;
    let (cursors, start) = opened(&facts, page)?;
    let subject = subject_of(&wanted.of).ok_or(Problem::NotFound("record"))?;
    let (keys, tenant) = (caller.keys(), facts.tenant());
    let mut checked = match &start {
        Some(place) => serde_json::from_str(place).map_err(|_| lost())?,
        None => Checked::default(),
    };
    let outcome = loop {
        let found = check(asked, keys, &subject, &mut checked).await;
        let is_whole = !matches!(found, Ok(Outcome::Broken(_)) | Err(Problem::NotFound(_)));
        if is_whole {
            break found?;
        }
        // What retention has removed is not missing.
        match retention::start_of(asked, keys, &subject).await? {
            Some(start) if start.version > checked.version => checked = start,
            _ => break found?,
        }
    };
    let place = serde_json::to_string(&checked).map_err(|_| lost())?;
    let next_cursor = matches!(outcome, Outcome::Further).then(|| cursors.seal(&place)).transpose()?;
    Ok(with_notices(answer(&Verified { subject: &subject, tenant, checked, outcome, next_cursor }), &notices))
}

/// Checks further events, and the end of the chain behind them.
async fn check(
    asked: &Asked<'_>,
    keys: TenantKeys,
    subject: &Subject,
    checked: &mut Checked,
) -> Result<Outcome, Problem> {
    loop {
        let before = checked.version;
        let (broken, more) = check_further(asked, keys, subject, checked).await?;
        if let Some(broken) = broken {
            return Ok(Outcome::Broken(broken));
        }
        if more {
            return Ok(Outcome::Further);
        }
        // The record is read behind its events, so it knows all of them. If it knows one more, that was written meanwhile.
        let head = head_of(asked, keys, subject).await?;
        return match head {
            None if checked.version == 0 => Err(Problem::NotFound("record")),
            None if checked.is_ended => Ok(Outcome::Ended(Ending::Deletion)),
            None if can_expire(keys, subject) => Ok(Outcome::Ended(Ending::Open)),
            None => Ok(Outcome::Broken(Broken { version: checked.version + 1 })),
            Some(head) if head.version > checked.version && checked.version > before => continue,
            Some(head) => Ok(match checked.ends_with(head.version, &head.head) {
                Ok(()) => Outcome::Ended(Ending::Record),
                Err(broken) => Outcome::Broken(broken),
            }),
        };
    }
}

/// Checks the events behind those that are checked. Returns where the chain is broken, and whether there is more to check.
async fn check_further(
    asked: &Asked<'_>,
    keys: TenantKeys,
    subject: &Subject,
    checked: &mut Checked,
) -> Result<(Option<Broken>, bool), Problem> {
    let range = Range::of(keys.events_of(subject));
    let after = Some(keys.event(subject, checked.version)).filter(|_| checked.version > 0);
    let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), CHECKED_AT_ONCE).await?;
    for item in items {
        // What is no event any more breaks the chain, too.
        let broken = Broken { version: checked.version + 1 };
        let next = decode::<Event>(item).map_err(|_| broken).and_then(|event| checked.next(keys.0, subject, &event));
        if let Err(broken) = next {
            return Ok((Some(broken), false));
        }
    }
    Ok((None, more))
}

/// The end of a chain as its record has it, if the record is there.
async fn head_of(asked: &Asked<'_>, keys: TenantKeys, subject: &Subject) -> Result<Option<Head>, Problem> {
    let Some((key, number)) = record_of(keys, subject) else { return Ok(None) };
    let head: Option<Head> = asked.table.read(&key).await?;
    Ok(head.filter(|head| number.is_none() || head.number.unwrap_or_default() == number.unwrap_or_default()))
}

/// Whether the record of a chain goes without a deletion.
pub(in crate::gate) fn can_expire(keys: TenantKeys, subject: &Subject) -> bool {
    subject.kind == Job::KIND || record_of(keys, subject).is_none()
}

/// The item of the record that a chain is of; of an issuer also which entry. `None` for a kind whose records expire.
fn record_of(keys: TenantKeys, subject: &Subject) -> Option<(Key, Option<u32>)> {
    let number: Option<u32> = subject.id.parse().ok();
    let id = number.map(i64::from);
    let key = match subject.kind.as_str() {
        Tenant::KIND => Some(keys.tenant()),
        Member::KIND => id.and_then(|id| UserId::try_from(id).ok()).map(|id| keys.member(id)),
        Role::KIND => id.and_then(|id| RoleId::try_from(id).ok()).map(|id| keys.role(id)),
        Group::KIND => id.and_then(|id| GroupId::try_from(id).ok()).map(|id| keys.group(id)),
        Label::KIND => id.and_then(|id| LabelId::try_from(id).ok()).map(|id| keys.label(id)),
        Job::KIND => id.and_then(|id| JobId::try_from(id).ok()).map(|id| keys.job(id)),
        Thing::KIND => Some(keys.thing(&subject.id)),
        OwnPolicy::KIND => id.and_then(|id| PolicyId::try_from(id).ok()).map(|id| keys.own_policy(id)),
        ApiKey::KIND => id.and_then(|id| KeyId::try_from(id).ok()).map(|id| keys.api_key(id)),
        ClaimedDomain::KIND => id.and_then(|id| DomainId::try_from(id).ok()).map(|id| keys.domain(id)),
        Webhook::KIND => id.and_then(|id| WebhookId::try_from(id).ok()).map(|id| keys.webhook(id)),
        JoinRequest::KIND => id.and_then(|id| JoinRequestId::try_from(id).ok()).map(|id| keys.join_request(id)),
        Issuer::KIND => {
            let (uuid, number) = subject.id.split_once('.')?;
            return Some((keys.issuer(parse_uuid(uuid)?), Some(number.parse().ok()?)));
        }
        _ => None,
    };
    key.map(|key| (key, None))
}
