//! The filters of the record: of a list, and of an export.

use domain::id::{KeyId, TenantId, UserId, parse_uuid};
use domain::job::{EventFilters, Format};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::{Subject, Time};
use serde_json::Value;

use super::record_id;
use crate::gate::events::{By, EventList, Of};
use crate::http::json::{Faulty, Object, Text, Wire};

/// The orders of the record.
pub const EVENT_ORDERS: &str = "desc, asc";

/// What a request asks of a user's events: those of the member alone, or those of the person in the whole record.
pub const EVENT_SCOPES: &str = "member, person";

const SUBJECT: &str = "a kind such as `member`, or a kind and an id with a `:` between them";
const ACTOR: &str = "`member:` or `key:` and a UUID, or `product`";

/// A kind of records, or one record.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(with = "Text<MAX_NAME>"))]
struct OfSubject(String);

impl Wire for OfSubject {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Text(text) = Text::<MAX_NAME>::read(value)?;
        let is_one = subject_parts(&text).is_some();
        if is_one { Ok(Self(text)) } else { Err(vec![Fault::here(Wrong::Syntax(SUBJECT))]) }
    }
}

/// Who made a change.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(with = "Text<MAX_NAME>"))]
struct Actor(String);

impl Wire for Actor {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Text(text) = Text::<MAX_NAME>::read(value)?;
        let is_one = match text.split_once(':') {
            Some(("member" | "key", id)) => parse_uuid(id).is_some(),
            Some(_) => false,
            None => text == "product",
        };
        if is_one { Ok(Self(text)) } else { Err(vec![Fault::here(Wrong::Syntax(ACTOR))]) }
    }
}

/// The filters and the order of the record, and whether the answer has what it takes to check a chain elsewhere.
///
/// # Errors
/// The parameters have faults.
pub fn wanted_events(
    query: &mut Object,
    member: Option<Option<UserId>>,
    tenant: TenantId,
) -> Result<(EventList, bool), Faulty> {
    let subject = if member.is_none() { query.optional("subject").map(|OfSubject(text)| text) } else { None };
    let filters = EventFilters { subject, ..further_filters(query) };
    let ascending = match text(query, "order").as_deref() {
        None | Some("desc") => Ok(false),
        Some("asc") => Ok(true),
        Some(_) => Err(Wrong::NotOneOf(EVENT_ORDERS)),
    };
    let ascending = refuse(query, "order", ascending);
    let sealed = match text(query, "sealed").as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Wrong::NotOneOf("true, false")),
    };
    let sealed = refuse(query, "sealed", sealed);
    let list = match member {
        Some(user) => of_member_or_person(query, user, filters, tenant),
        None => listed(&filters, tenant),
    };
    Ok((EventList { ascending, ..list }, sealed))
}

/// The events of a member that match, also to check their chain.
pub fn of_member(user: Option<UserId>, filters: EventFilters, tenant: TenantId) -> EventList {
    let subject = user.map(|user| format!("member:{}", user.uuid()));
    EventList { of: Of::Member(user), ..listed(&EventFilters { subject, ..filters }, tenant) }
}

/// The same, or all that the record tells of the person.
fn of_member_or_person(query: &mut Object, user: Option<UserId>, filters: EventFilters, tenant: TenantId) -> EventList {
    let is_whole = match text(query, "scope").as_deref() {
        None | Some("member") => Ok(false),
        Some("person") => Ok(true),
        Some(_) => Err(Wrong::NotOneOf(EVENT_SCOPES)),
    };
    if !refuse(query, "scope", is_whole) {
        return of_member(user, filters, tenant);
    }
    let subject = user.map(|user| format!("person:{}", user.uuid()));
    EventList { of: Of::Person(user), ..listed(&EventFilters { subject, ..filters }, tenant) }
}

fn further_filters(object: &mut Object) -> EventFilters {
    EventFilters {
        subject: None,
        actor: object.optional("actor").map(|Actor(text)| text),
        action: text(object, "action"),
        from: object.optional("from"),
        to: object.optional("to"),
    }
}

/// What filters mean in a tenant.
pub fn listed(filters: &EventFilters, tenant: TenantId) -> EventList {
    let EventFilters { subject, actor, action, from, to } = filters.clone();
    EventList {
        of: subject.and_then(|subject| read_subject(&subject, tenant)).unwrap_or(Of::All),
        by: actor.and_then(|actor| read_actor(&actor, tenant)),
        action,
        from,
        to,
        ascending: false,
        words: filters.clone(),
    }
}

/// The subject of a chain, which the request must name.
///
/// # Errors
/// It is missing, or is none.
pub fn wanted_subject(query: &mut Object, tenant: TenantId) -> Result<EventList, Faulty> {
    let Text(subject) = query.required::<Text<MAX_NAME>>("subject")?;
    let wanted = listed(&EventFilters { subject: Some(subject), ..EventFilters::default() }, tenant);
    let wanted = Some(wanted).filter(|wanted| matches!(wanted.of, Of::Subject(_)));
    let fault =
        || Fault::here(Wrong::Syntax("a kind and an id with a `:` between them")).within("subject").within("query");
    query.join(wanted.ok_or_else(fault))
}

fn text(query: &mut Object, name: &'static str) -> Option<String> {
    query.optional::<Text<MAX_NAME>>(name).map(|Text(text)| text)
}

fn refuse(query: &mut Object, name: &'static str, value: Result<bool, Wrong>) -> bool {
    value.unwrap_or_else(|wrong| {
        query.refuse(Fault::here(wrong).within(name));
        false
    })
}

fn read_actor(text: &str, tenant: TenantId) -> Option<By> {
    match text.split_once(':') {
        None => Some(By::Product).filter(|_| text == "product"),
        Some(("member", id)) => Some(By::Member(UserId::from_uuid(parse_uuid(id)?))),
        Some(("key", id)) => Some(By::Key(KeyId::from_uuid_in(parse_uuid(id)?, tenant))),
        Some(_) => None,
    }
}

/// A kind of records, and the id of one if it is there.
fn subject_parts(text: &str) -> Option<(&str, Option<&str>)> {
    let (kind, id) = text.split_once(':').map_or((text, None), |(kind, id)| (kind, Some(id)));
    let is_kind = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    Some((kind, id)).filter(|_| is_kind && id.is_none_or(|id| !id.is_empty() && !id.contains('#')))
}

fn read_subject(text: &str, tenant: TenantId) -> Option<Of> {
    Some(match subject_parts(text)? {
        (kind, None) => Of::Kind(kind.to_owned()),
        // A UUID of another tenant is no id of a record here, and neither is a text that keys of the table cannot have.
        (kind, Some(id)) => Of::Subject(Subject::new(kind, record_id(kind, id, tenant).unwrap_or_default())),
    })
}

/// The wish for an export of the record.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventExport"))]
pub struct NewEventExport {
    /// `jsonl` if you do not say. Only that has what it takes to check the events elsewhere.
    format: Option<Format>,
    /// Only those of this subject, or of all of a kind: a kind, or a kind and an id with a `:` between them.
    subject: Option<OfSubject>,
    /// Only those of this author: `member:` or `key:` and a UUID, or `product`.
    actor: Option<Actor>,
    /// Only those in which that happened: `created`, `updated`, `deleted`, or in your words.
    action: Option<Text<MAX_NAME>>,
    /// Only those of this time and later.
    from: Option<Time>,
    /// Only those before this time.
    to: Option<Time>,
}

impl NewEventExport {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self {
            format: body.optional("format"),
            subject: body.optional("subject"),
            actor: body.optional("actor"),
            action: body.optional("action"),
            from: body.optional("from"),
            to: body.optional("to"),
        })
    }

    /// The format and the filters.
    pub fn wanted(self) -> (Format, EventFilters) {
        let filters = EventFilters {
            subject: self.subject.map(|it| it.0),
            actor: self.actor.map(|it| it.0),
            action: self.action.map(|it| it.0),
            from: self.from,
            to: self.to,
        };
        (self.format.unwrap_or(Format::Jsonl), filters)
    }
}
