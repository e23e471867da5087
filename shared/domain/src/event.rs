//! The audit events of a record, chained by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::id::{TenantId, UserId, hex};
use crate::problem::Problem;
use crate::record::{Record, Subject};
use crate::time::Time;

/// The attributes that belong to the record itself: no event lists them as changed.
const BOOKKEEPING: [&str; 20] = [
    "refresh",
    "secret",
    "secrets",
    "used_at",
    "version",
    "authority",
    "fences",
    "head",
    "updated_at",
    "updated_by",
    "owners",
    "seats",
    "seats_taken",
    "catalog_version",
    "names_version",
    "numbers",
    "counts",
    "cursor_secret",
    "progress",
    "expires_at",
];

/// The value of one attribute before and after; `null` for absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub from: Value,
    pub to: Value,
}

/// The author of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "lowercase")]
pub enum Author {
    Member(UserId),
    /// A signed-in user who acts in no tenant.
    User(UserId),
    /// An API key of the tenant, by its id.
    Key(String),
    /// The product itself, in a scheduled or stream function, or when a table is filled; with the reason.
    Product(String),
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    Created,
    Updated,
    /// The last event of a chain.
    Deleted,
}

/// One change of a record, kept for good.
///
/// Each event holds the hash of the one before it, and the record holds the hash of the last: a person who removes,
/// edits or reorders events must break a link, and [`verify_chain`] finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub tenant: TenantId,
    pub subject: Subject,
    /// The version of the record that this event made.
    pub version: u64,
    pub deed: Deed,
    pub at: Time,
    pub author: Author,
    /// The id of the request that made the change.
    pub request: String,
    /// The random id of the transaction that made the change. It is the proof for a function whose write got no answer.
    pub transaction: String,
    /// Changed attributes by name.
    pub changes: BTreeMap<String, Difference>,
    /// The hash of the event before, empty for the first.
    pub previous: String,
}

impl Event {
    /// SHA-256, in hex, of the event as JSON without spaces. Its members are in the order of this type; members of values are
    /// sorted.
    pub fn hash(&self) -> String {
        let mut event = self.clone();
        for change in event.changes.values_mut() {
            // A map comes back from the table in any order.
            change.from.sort_all_objects();
            change.to.sort_all_objects();
        }
        let bytes = serde_json::to_vec(&event).expect("an event is plain JSON");
        hex(&Sha256::digest(bytes))
    }
}

/// The place, time and author of a change: all events of one transaction share them.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub tenant: TenantId,
    pub at: Time,
    pub author: Author,
    pub request: String,
    pub transaction: String,
}

impl Stamp {
    /// The event of a change. At least one of `before` and `after` is given.
    ///
    /// # Errors
    /// The record is no JSON object: a defect.
    pub fn event<R: Record>(&self, before: Option<&R>, after: Option<&R>) -> Result<Event, Problem> {
        let (record, deed) = match (before, after) {
            (None, Some(new)) => (new, Deed::Created),
            (Some(old), Some(_)) => (old, Deed::Updated),
            (Some(old), None) => (old, Deed::Deleted),
            (None, None) => return Err(Problem::Internal("an event of no record".to_owned())),
        };
        let meta = before.map(Record::meta);
        Ok(Event {
            tenant: self.tenant,
            subject: record.subject(),
            version: meta.map_or(1, |meta| meta.version + 1),
            deed,
            at: self.at,
            author: self.author.clone(),
            request: self.request.clone(),
            transaction: self.transaction.clone(),
            changes: differences(&attributes(before)?, &attributes(after)?),
            previous: meta.map(|meta| meta.head.clone()).unwrap_or_default(),
        })
    }
}

fn attributes<R: Serialize>(record: Option<&R>) -> Result<Map<String, Value>, Problem> {
    match record.map(serde_json::to_value) {
        None => Ok(Map::new()),
        Some(Ok(Value::Object(attributes))) => Ok(attributes),
        Some(_) => Err(Problem::Internal("a record is no JSON object".to_owned())),
    }
}

fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> BTreeMap<String, Difference> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let names = names.into_iter().filter(|name| !BOOKKEEPING.contains(&name.as_str()));
    let values = names.map(|name| (name, [before, after].map(|of| of.get(name).unwrap_or(&Value::Null))));
    let different = values.filter(|(_, [from, to])| from != to);
    different.map(|(name, [from, to])| (name.clone(), Difference { from: from.clone(), to: to.clone() })).collect()
}

/// The first version at which a chain is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub version: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the audit chain is broken at version {}", self.version)
    }
}

impl std::error::Error for Broken {}

/// Checks all events of a record, oldest first: versions from 1 without a gap, each linked to the one before, the last to the
/// record.
///
/// # Errors
/// The first version at which the chain is broken.
pub fn verify_chain<R: Record>(tenant: TenantId, record: &R, events: &[Event]) -> Result<(), Broken> {
    let head = verify_links(tenant, &record.subject(), None, events)?;
    let meta = record.meta();
    match events.len() as u64 == meta.version && head == meta.head {
        true => Ok(()),
        false => Err(Broken { version: meta.version }),
    }
}

/// Checks all events of a record that was deleted, oldest first: the last event is the deletion.
///
/// # Errors
/// The first version at which that does not hold.
pub fn verify_ended_chain(tenant: TenantId, subject: &Subject, events: &[Event]) -> Result<(), Broken> {
    let last = events.len().max(1) as u64;
    let head = verify_links(tenant, subject, Some(last), events)?;
    if head.is_empty() { Err(Broken { version: last }) } else { Ok(()) }
}

/// The hash of the last event, if the events are in order: a creation first, and a deletion only at `ends`.
fn verify_links(tenant: TenantId, subject: &Subject, ends: Option<u64>, events: &[Event]) -> Result<String, Broken> {
    let mut head = String::new();
    for (version, event) in (1..).zip(events) {
        let deed = match version {
            version if Some(version) == ends => Deed::Deleted,
            1 => Deed::Created,
            _ => Deed::Updated,
        };
        let own = (event.tenant, &event.subject, event.version, event.deed) == (tenant, subject, version, deed);
        if !own || event.previous != head {
            return Err(Broken { version });
        }
        head = event.hash();
    }
    Ok(head)
}
