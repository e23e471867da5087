//! The audit events of a record, chained by hash.

mod personal;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{TenantId, UserId, sha256};
use crate::job::EventFilters;
use crate::member::Member;
use crate::problem::Problem;
use crate::record::{Record, Subject};
use crate::time::Time;

pub use personal::is_personal;

/// The attributes that belong to the record itself: no event lists them as changed. An event names its author by the id alone.
const BOOKKEEPING: [&str; 21] = [
    "created_by",
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

/// What an event of a member who gets a secret lists, changed or not: whoever sends the invitation needs no other event.
const OF_INVITATION: [&str; 6] = ["email", "first_name", "last_name", "language", "roles", "groups"];

/// The value of one attribute before and after; `null` for absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub from: Value,
    pub to: Value,
    /// Whether the values can name a person. In an erased event they are commitments.
    #[serde(default, skip_serializing_if = "is_false")]
    pub personal: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(flag: &bool) -> bool {
    !flag
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Deed {
    Created,
    Updated,
    /// The last event of a chain.
    Deleted,
}

impl Deed {
    pub fn as_str(self) -> &'static str {
        match self {
            Deed::Created => "created",
            Deed::Updated => "updated",
            Deed::Deleted => "deleted",
        }
    }
}

/// One change of a record, kept for good.
///
/// Each event holds the hash of the one before it, and the record holds the hash of the last: a person who removes,
/// edits or reorders events must break a link, and [`chain`](crate::chain) finds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub tenant: TenantId,
    pub subject: Subject,
    /// The version of the record that this event made.
    pub version: u64,
    pub deed: Deed,
    pub at: Time,
    pub author: Author,
    /// Who acted as the author, if the author did not act themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonator: Option<UserId>,
    /// Who had approved the change before, if anybody had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<UserId>,
    /// The id of the request that made the change.
    pub request: String,
    /// The random id of the transaction that made the change. It is the proof for a function whose write got no answer.
    pub transaction: String,
    /// Changed attributes by name, and those that an invitation needs.
    pub changes: BTreeMap<String, Difference>,
    /// The hash of the event before, empty for the first.
    pub previous: String,
    /// Random text, from which the commitments of its personal values follow. It is gone once they are erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

impl Event {
    /// Whether its personal values are gone.
    pub fn is_erased(&self) -> bool {
        self.salt.is_none() && self.changes.values().any(|change| change.personal)
    }

    /// The same event with commitments in place of its personal values, and without its salt.
    #[must_use]
    pub fn erased(&self) -> Self {
        let mut event = self.clone();
        let salt = event.salt.take();
        for (name, change) in &mut event.changes {
            // A map comes back from the table in any order.
            change.from.sort_all_objects();
            change.to.sort_all_objects();
            if let Some(salt) = salt.as_ref().filter(|_| change.personal) {
                change.from = personal::commitment(salt, name, "from", &change.from);
                change.to = personal::commitment(salt, name, "to", &change.to);
            }
        }
        event
    }

    /// The text that [`Event::hash`] is of: the erased event as JSON without spaces. Its members are in the order of the type;
    /// members of values are sorted.
    pub fn sealed(&self) -> String {
        serde_json::to_string(&self.erased()).expect("an event is plain JSON")
    }

    /// SHA-256 of [`Event::sealed`], in hex.
    pub fn hash(&self) -> String {
        sha256(&self.sealed())
    }
}

/// The place, time and author of a change: all events of one transaction share them.
#[derive(Clone, Debug)]
pub struct Stamp {
    pub tenant: TenantId,
    pub at: Time,
    pub author: Author,
    pub impersonator: Option<UserId>,
    pub approver: Option<UserId>,
    pub request: String,
    pub transaction: String,
    /// Random text that is kept nowhere. The salts of the events follow from it.
    pub secret: String,
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
        let (subject, version) = (record.subject(), meta.map_or(1, |meta| meta.version + 1));
        let changes = differences(&subject.kind, &attributes(before)?, &attributes(after)?);
        let has_personal = changes.values().any(|change| change.personal);
        Ok(Event {
            tenant: self.tenant,
            salt: has_personal.then(|| personal::salt(&self.secret, &subject, version)),
            subject,
            version,
            deed,
            at: self.at,
            author: self.author.clone(),
            impersonator: self.impersonator,
            approver: self.approver,
            request: self.request.clone(),
            transaction: self.transaction.clone(),
            changes,
            previous: meta.map(|meta| meta.head.clone()).unwrap_or_default(),
        })
    }
}

/// The kind of the events that tell of a look at the record.
pub const READING: &str = "reading";

impl Stamp {
    /// The event of a look at the record. It is the only one of its chain.
    ///
    /// # Errors
    /// A defect: the filters are no JSON.
    pub fn reading(&self, of: &str, filters: &EventFilters) -> Result<Event, Problem> {
        let filters = serde_json::to_value(filters).map_err(|why| Problem::Internal(why.to_string()))?;
        let told = |value: Value| Difference { from: Value::Null, to: value, personal: false };
        Ok(Event {
            tenant: self.tenant,
            subject: Subject::new(READING, &self.transaction),
            version: 1,
            deed: Deed::Created,
            at: self.at,
            author: self.author.clone(),
            impersonator: self.impersonator,
            approver: self.approver,
            request: self.request.clone(),
            transaction: self.transaction.clone(),
            changes: [("of", of.into()), ("filters", filters)]
                .map(|(name, value)| (name.to_owned(), told(value)))
                .into(),
            previous: String::new(),
            salt: None,
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

fn differences(kind: &str, before: &Map<String, Value>, after: &Map<String, Value>) -> BTreeMap<String, Difference> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let names = names.into_iter().filter(|name| !BOOKKEEPING.contains(&name.as_str()));
    let values = names.map(|name| (name, [before, after].map(|of| of.get(name).unwrap_or(&Value::Null))));
    let is_sent = kind == Member::KIND && is_invited(before, after);
    let is_told = |name: &String| is_sent && OF_INVITATION.contains(&name.as_str());
    let different = values.filter(|(name, [from, to])| from != to || is_told(name));
    let difference = |name: &String, [from, to]: [&Value; 2]| Difference {
        from: from.clone(),
        to: to.clone(),
        personal: is_personal(kind, name),
    };
    different.map(|(name, sides)| (name.clone(), difference(name, sides))).collect()
}

/// Whether the change invites a member, or gives them another secret.
fn is_invited(before: &Map<String, Value>, after: &Map<String, Value>) -> bool {
    let open = after.get("invitation").filter(|invitation| invitation.get("ended_at").is_none());
    open.is_some() && open != before.get("invitation")
}
