//! The record: what a request asks of it, and the form of an event.

mod filters;
mod lines;

use std::collections::BTreeMap;

use domain::checkpoint::Statement;
use domain::event::{Author, Difference};
use domain::id::{
    DomainId, GroupId, JobId, JoinRequestId, KeyId, LabelId, MembershipId, PolicyId, RoleId, TenantId, UserId,
    WebhookId, parse_uuid,
};
use domain::{
    ApiKey, Checkpoint, ClaimedDomain, Event, Group, Job, JoinRequest, Label, Member, OwnPolicy, Record, Role, Subject,
    Tenant, Time, Webhook,
};
use serde::Serialize;
use serde_json::Value;

use crate::gate::checkpoints::CheckpointPage;
use crate::gate::events::{Ending, EventPage, Outcome, Verified, action_of};

pub use filters::{EVENT_ORDERS, EVENT_SCOPES, NewEventExport, listed, of_member, wanted_events, wanted_subject};
pub use lines::record_line;

/// The number of a record of which a client knows the UUID; `None` if there is no such record. Other ids are the same for both.
fn record_id(kind: &str, id: &str, tenant: TenantId) -> Option<String> {
    let uuid = || parse_uuid(id);
    match kind {
        Tenant::KIND => TenantId::from_uuid(uuid()?).filter(|id| *id == tenant).map(|id| id.to_string()),
        Member::KIND => UserId::from_uuid(uuid()?).map(|id| id.to_string()),
        Role::KIND => RoleId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        Group::KIND => GroupId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        Label::KIND => LabelId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        Job::KIND => JobId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        OwnPolicy::KIND => PolicyId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        ApiKey::KIND => KeyId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        Webhook::KIND => WebhookId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        ClaimedDomain::KIND => DomainId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        JoinRequest::KIND => JoinRequestId::from_uuid_in(uuid()?, tenant).map(|id| id.to_string()),
        _ => Some(id.to_owned()),
    }
}

/// The UUID of a record by its number. Other ids are the same for both.
fn shown_id(kind: &str, id: &str, tenant: TenantId) -> String {
    let number: Option<i64> = id.parse().ok();
    let uuid = number.and_then(|number| match kind {
        Tenant::KIND => TenantId::try_from(number).ok().map(TenantId::uuid),
        Member::KIND => UserId::try_from(number).ok().map(UserId::uuid),
        Role::KIND => RoleId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        Group::KIND => GroupId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        Label::KIND => LabelId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        Job::KIND => JobId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        OwnPolicy::KIND => PolicyId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        ApiKey::KIND => KeyId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        Webhook::KIND => WebhookId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        ClaimedDomain::KIND => DomainId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        JoinRequest::KIND => JoinRequestId::try_from(number).ok().map(|id| id.uuid_in(tenant)),
        "membership" => MembershipId::try_from(number).ok().map(MembershipId::uuid),
        _ => None,
    });
    uuid.map_or_else(|| id.to_owned(), |uuid| uuid.to_string())
}

/// A record, as filters of the record name it: `member:726f6c65-…`.
pub(crate) fn shown_subject(subject: &Subject, tenant: TenantId) -> String {
    format!("{}:{}", subject.kind, shown_id(&subject.kind, &subject.id, tenant))
}

/// A value of an attribute with UUIDs in place of numbers.
fn shown_value(kind: &str, attribute: &str, value: &Value, tenant: TenantId) -> Value {
    let of = match attribute {
        "id" if kind == Member::KIND => "membership",
        "id" => kind,
        "user" | "maker" | "member" => Member::KIND,
        "tenant" => Tenant::KIND,
        "role" | "roles" | "confers" | "successor" | "reassign_to" => Role::KIND,
        "group" | "groups" | "manages" | "primary_group" => Group::KIND,
        "profession" => Label::KIND,
        "job" => Job::KIND,
        "domain" => ClaimedDomain::KIND,
        _ => "",
    };
    match value {
        Value::Number(number) if !of.is_empty() => shown_id(of, &number.to_string(), tenant).into(),
        Value::Array(values) => values.iter().map(|value| shown_value(kind, attribute, value, tenant)).collect(),
        Value::Object(members) => {
            let shown = |(name, value): (&String, &Value)| (name.clone(), shown_value("", name, value, tenant));
            Value::Object(members.iter().map(shown).collect())
        }
        other => other.clone(),
    }
}

/// The record that changed.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventSubject"))]
struct ShownSubject<'a> {
    /// `tenant`, `member`, `role`, `group`, `label`, `job`, `policy`, `issuer`, `key`, `webhook`, `domain`, `join-request` or `session`;
    /// `reading` for a look at the record; `thing` for
    /// what is the product's own.
    kind: &'a str,
    /// Its UUID; of a thing its type and id with a `:` between them. That of an issuer has a number behind a dot: an entry that was deleted and made again has a chain of its own.
    id: String,
}

impl<'a> ShownSubject<'a> {
    fn new(subject: &'a Subject, tenant: TenantId) -> Self {
        Self { kind: &subject.kind, id: shown_id(&subject.kind, &subject.id, tenant) }
    }
}

/// Who made the change.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventActor"))]
struct ShownActor<'a> {
    /// `member`, `key`, `user` (a person who acts in no tenant) or `product`.
    kind: &'static str,
    /// The UUID; null for the product.
    id: Option<String>,
    /// Why the product made it; null for others.
    reason: Option<&'a str>,
    /// The UUID of who acted as the member. Not there if the member acted themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonator_id: Option<String>,
    /// The UUID of the member who had approved the change before. Not there if nobody had.
    #[serde(skip_serializing_if = "Option::is_none")]
    approver_id: Option<String>,
}

impl<'a> ShownActor<'a> {
    fn new(event: &'a Event, tenant: TenantId) -> Self {
        let [impersonator_id, approver_id] =
            [event.impersonator, event.approver].map(|by| by.map(|by| by.uuid().to_string()));
        let (kind, id, reason) = match &event.author {
            Author::Member(user) => ("member", Some(user.uuid().to_string()), None),
            Author::User(user) => ("user", Some(user.uuid().to_string()), None),
            Author::Key(id) => ("key", Some(shown_id(ApiKey::KIND, id, tenant)), None),
            Author::Product(reason) => ("product", None, Some(reason.as_str())),
        };
        Self { kind, id, reason, impersonator_id, approver_id }
    }
}

/// The value of an attribute before and after.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventChange"))]
struct ShownChange {
    /// Null if there was none.
    from: Value,
    /// Null if there is none.
    to: Value,
    /// Whether the values could name a person, and were erased or are not the caller's to see. Then both are null.
    is_erased: bool,
}

/// One change of a record, or what the product itself has written down.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Event"))]
pub struct ShownEvent<'a> {
    /// The SHA-256 of the event. It stays the same, so that doubles can be dropped by it; the next event of the subject names it.
    #[cfg_attr(feature = "openapi", schemars(length(equal = 64)))]
    id: String,
    at: Time,
    subject: ShownSubject<'a>,
    /// The version of the record that the change made: the place of the event among those of its subject.
    version: u64,
    /// `created`, `updated` or `deleted`; of a `thing` what the product says.
    action: &'a str,
    actor: ShownActor<'a>,
    request_id: &'a str,
    /// By the names of the attributes. If a member is invited or gets another secret, `email`, `roles`, `groups`, `language` and
    /// the names are there, changed or not.
    changes: BTreeMap<&'a str, ShownChange>,
    /// The id of the event before, of the same subject. Null for the first.
    previous: Option<&'a str>,
    /// With `sealed=true`: the text of which the id is the SHA-256. It has commitments in place of values that can name a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    /// With `sealed=true`: the salt of the commitments, unless the values were erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    salt: Option<&'a str>,
}

impl<'a> ShownEvent<'a> {
    pub fn new(event: &'a Event, tenant: TenantId, is_sealed: bool) -> Self {
        let (kind, erased) = (&event.subject.kind, event.is_erased());
        let shown = |name: &str, Difference { from, to, personal }: &Difference| match (*personal, erased) {
            (true, true) => ShownChange { from: Value::Null, to: Value::Null, is_erased: true },
            // The commitments are of these very values. A number in them is the product's own, and no id of ours.
            (true, false) => ShownChange { from: from.clone(), to: to.clone(), is_erased: false },
            (false, _) => {
                let [from, to] = [from, to].map(|value| shown_value(kind, name, value, tenant));
                ShownChange { from, to, is_erased: false }
            }
        };
        Self {
            id: event.hash(),
            at: event.at,
            subject: ShownSubject::new(&event.subject, tenant),
            version: event.version,
            action: action_of(event),
            actor: ShownActor::new(event, tenant),
            request_id: &event.request,
            changes: event.changes.iter().map(|(name, change)| (name.as_str(), shown(name, change))).collect(),
            previous: Some(event.previous.as_str()).filter(|hash| !hash.is_empty()),
            sealed: is_sealed.then(|| event.sealed()),
            salt: event.salt.as_deref().filter(|_| is_sealed),
        }
    }
}

/// A page of the record.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventPage"))]
pub struct Events<'a> {
    data: Vec<ShownEvent<'a>>,
    /// Leads to the next page. With `order=asc` there is always one, as long as further events can match.
    next_cursor: Option<&'a str>,
}

impl<'a> Events<'a> {
    pub fn new(page: &'a EventPage, is_sealed: bool) -> Self {
        let tenant = page.tenant.id;
        let data = page.events.iter().map(|event| ShownEvent::new(event, tenant, is_sealed)).collect();
        Self { data, next_cursor: page.next_cursor.as_deref() }
    }
}

/// What the check of a chain has found.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ChainCheck"))]
pub struct ChainCheck<'a> {
    subject: ShownSubject<'a>,
    /// Whether all events that were checked are as they were written.
    is_intact: bool,
    /// How many events hold, from the first one that is left; with those of the pages before.
    checked: usize,
    /// The last version of which the event is removed, because the tenant keeps events for a number of days; null if none is.
    removed_to: Option<u64>,
    /// The first version that is missing, was changed or is not in its place; null if there is none.
    broken_at: Option<u64>,
    /// `record`: with the version that the record has. `deletion`: with the deletion of the record. `open`: the record has expired, as
    /// those of jobs and sessions do, and only a checkpoint would show that the last events are missing. Null if the chain is broken, or if there is more to check.
    ends_with: Option<&'static str>,
    /// The id of the last event that holds.
    head: Option<&'a str>,
    /// Leads to the check of the further events; null if there are none.
    next_cursor: Option<&'a str>,
}

impl<'a> ChainCheck<'a> {
    pub fn new(found: &'a Verified) -> Self {
        let broken = if let Outcome::Broken(broken) = &found.outcome { Some(broken.version) } else { None };
        Self {
            subject: ShownSubject::new(found.subject, found.tenant.id),
            is_intact: broken.is_none(),
            checked: usize::try_from(found.checked.events()).unwrap_or(usize::MAX),
            removed_to: Some(found.checked.removed).filter(|version| *version > 0),
            broken_at: broken,
            ends_with: match found.outcome {
                Outcome::Ended(Ending::Record) => Some("record"),
                Outcome::Ended(Ending::Deletion) => Some("deletion"),
                Outcome::Ended(Ending::Open) => Some("open"),
                Outcome::Further | Outcome::Broken(_) => None,
            },
            head: Some(found.checked.head.as_str()).filter(|head| !head.is_empty()),
            next_cursor: found.next_cursor.as_deref(),
        }
    }
}

/// A checkpoint: what the record was at a time, signed.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Checkpoint"))]
struct ShownCheckpoint<'a> {
    /// Counted from 1 in the tenant.
    number: u64,
    /// It covers all events of times before this one.
    until: Time,
    /// How many these are, from the first one of the tenant.
    #[cfg_attr(feature = "openapi", schemars(with = "usize"))]
    size: u64,
    /// The root of the Merkle tree (RFC 9162, section 2.1) of their ids, in the order of the record.
    root: &'a str,
    /// Which of these are not in the record any more, because the tenant keeps events for a number of days; null if all are.
    removed: Option<ShownRemoved<'a>>,
    /// The same as a JWS (RFC 7515): a key of `/.well-known/jwks.json` has signed it.
    signed: &'a str,
}

/// The oldest events, which are not in the record any more.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "RemovedEvents"))]
struct ShownRemoved<'a> {
    /// All events of times before this one.
    until: Time,
    /// How many these are.
    #[cfg_attr(feature = "openapi", schemars(with = "usize"))]
    size: u64,
    /// The roots of the whole subtrees of their tree, the largest first: with them the tree goes on.
    peaks: &'a [String],
}

/// A page of checkpoints.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "CheckpointPage"))]
pub struct Checkpoints<'a> {
    data: Vec<ShownCheckpoint<'a>>,
    next_cursor: Option<&'a str>,
}

impl<'a> ShownCheckpoint<'a> {
    fn new(Checkpoint { says, signed }: &'a Checkpoint) -> Self {
        let Statement { number, until, size, root, removed, .. } = says;
        let removed = removed.as_ref();
        let removed = removed.map(|it| ShownRemoved { until: it.until, size: it.size, peaks: &it.peaks });
        Self { number: *number, until: *until, size: *size, root, removed, signed }
    }
}

impl<'a> Checkpoints<'a> {
    pub fn new(page: &'a CheckpointPage) -> Self {
        let data = page.checkpoints.iter().map(ShownCheckpoint::new).collect();
        Self { data, next_cursor: page.next_cursor.as_deref() }
    }
}
