//! The record: the events of a tenant, by time or of one subject, and the check of a chain.
//!
//! The index lists the events in the order of their times. A page takes one query, and four at most: a filter that no key serves makes
//! pages short.

mod person;
mod scan;
mod verify;

use std::time::{Duration, Instant};

use domain::event::Author;
use domain::id::{KeyId, UserId};
use domain::job::EventFilters;
use domain::policy::Action;
use domain::{Event, Member, Problem, Record, Subject, Tenant, Thing, Time};

use super::facts::{Facts, Unseen};
use super::list::{Page, opened};
use super::plan::with_notices;
use super::{Asked, Caller, Reads, Who};
use crate::answer::Answer;
use crate::table::key::TenantKeys;
use crate::table::{Table, encode};
use scan::Scan;

pub(super) use verify::can_expire;
pub use verify::{CHECKED_AT_ONCE, Ending, Outcome, Verified, VerifiedFn, verify};

/// How long a change may take from its time until it is committed, in seconds. A request that takes longer begins again.
pub const COMMITTED_WITHIN: u64 = 10;

/// How old an event is, in seconds, when the record shows it in ascending order. By then each earlier one is committed and in the
/// index, so that nobody who follows the record misses one: [`COMMITTED_WITHIN`], and some more for the index and for clocks.
pub const SETTLED_AFTER: i64 = 15;

/// Whose events a client asks for.
#[derive(Clone, Debug, Default)]
pub enum Of {
    #[default]
    All,
    /// Those of all records of a kind.
    Kind(String),
    Subject(Subject),
    /// Those of a member, removed or not, whom the caller may see. `None` for an id that is nobody's.
    Member(Option<UserId>),
    /// Those that tell of such a member as a person, and of what they did.
    Person(Option<UserId>),
}

/// Who made a change; `None` for an id that nothing in the tenant can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Member(Option<UserId>),
    Key(Option<KeyId>),
    Product,
}

impl By {
    /// Whether they are the author of an event, acted as the author, or had approved the change.
    fn is(self, event: &Event) -> bool {
        match (self, &event.author) {
            (By::Member(user), author) => {
                let author = match author {
                    Author::Member(author) | Author::User(author) => Some(*author),
                    Author::Key(_) | Author::Product(_) => None,
                };
                user.is_some() && [author, event.impersonator, event.approver].contains(&user)
            }
            (By::Key(key), Author::Key(author)) => {
                key.is_some_and(|key| key.uuid_in(event.tenant).to_string() == *author)
            }
            (By::Product, Author::Product(_)) => true,
            _ => false,
        }
    }
}

/// Which events a client asks for, and in which order. All filters must match.
#[derive(Clone, Debug, Default)]
pub struct EventList {
    pub of: Of,
    pub by: Option<By>,
    /// What happened: a deed, or an action in the words of the product.
    pub action: Option<String>,
    /// The first time.
    pub from: Option<Time>,
    /// The time before which the events are.
    pub to: Option<Time>,
    /// From the oldest to the newest: whoever follows the record.
    pub ascending: bool,
    /// The filters in the words of the client.
    pub words: EventFilters,
}

impl EventList {
    fn matches(&self, event: &Event) -> bool {
        let is_of = match &self.of {
            Of::Kind(kind) => event.subject.kind == *kind,
            Of::Person(Some(user)) => By::Member(Some(*user)).is(event) || person::is_about(event, *user),
            Of::Person(None) => false,
            Of::All | Of::Subject(_) | Of::Member(_) => true,
        };
        let is_within = self.from.is_none_or(|from| event.at >= from) && self.to.is_none_or(|to| event.at < to);
        is_of
            && is_within
            && self.by.is_none_or(|by| by.is(event))
            && self.action.as_deref().is_none_or(|action| action == action_of(event))
    }

    /// Whether a query reads events that do not match.
    fn has_filter(&self) -> bool {
        // The table orders the events of one subject by their versions, and knows nothing of times.
        let is_by_time = subject_of(&self.of).is_none() || self.from.or(self.to).is_none();
        matches!(self.of, Of::Kind(_) | Of::Person(_)) || self.by.is_some() || self.action.is_some() || !is_by_time
    }
}

/// What happened: the deed, or of a thing of the product what the product says.
pub fn action_of(event: &Event) -> &str {
    let said = event.changes.get("action").filter(|_| event.subject.kind == Thing::KIND);
    said.and_then(|action| action.to.as_str()).unwrap_or(event.deed.as_str())
}

/// One page of the record.
pub struct EventPage<'a> {
    pub tenant: &'a Tenant,
    pub events: Vec<Event>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of the record.
pub type EventPageFn<'p> = dyn Fn(&EventPage) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenant's record.
///
/// In ascending order there is always a next cursor, as long as further events can match: asked again, it leads to those that have
/// happened since.
///
/// # Errors
/// In this order, the first that applies: [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active member),
/// [`Problem::NotFound`] (the member), [`Problem::Forbidden`], [`Problem::Invalid`] (the cursor).
pub async fn list(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &EventList,
    page: &Page,
    answer: &EventPageFn<'_>,
) -> Result<Answer, Problem> {
    let (facts, notices) = enter(asked, caller, "events", wanted).await?;
    let (cursors, start) = opened(&facts, page)?;
    let (mut events, next) = further(asked, (caller.keys(), facts.now()), wanted, start, page.limit).await?;
    if let Of::Person(Some(user)) = wanted.of {
        person::hide_others(&facts, user, &mut events);
    }
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    Ok(with_notices(answer(&EventPage { tenant: facts.tenant(), events, next_cursor }), &notices))
}

/// The facts of a caller who may read the record, and the notices of the policies. Who asks for the events of a member must be allowed
/// to see the member, too. Everybody may read what is on record of themselves. `what` is what they look at: it is on record if the
/// tenant says so.
pub(super) async fn enter(
    asked: &Asked<'_>,
    caller: &Caller,
    what: &str,
    wanted: &EventList,
) -> Result<(Facts, Vec<String>), Problem> {
    let started = Instant::now();
    let user = if let Of::Member(user) | Of::Person(user) = wanted.of { user } else { None };
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::member(user).unshown(), None).await?;
    let mut notices = Vec::new();
    if matches!(wanted.of, Of::Member(_) | Of::Person(_)) {
        let Unseen(member) = facts.members().next().ok_or(Problem::NotFound("user"))?;
        notices.extend(facts.allow(&Action::Read, &facts.entity(member)).map_err(Problem::Forbidden)?);
    }
    if user.is_none_or(|user| !caller.is_oneself(user)) {
        notices.extend(person::may_read_all(&facts).map_err(Problem::Forbidden)?);
    }
    note_look(asked, &facts, started, (what, &wanted.words)).await?;
    Ok((facts, notices))
}

/// Puts a look at the record on record, if the tenant says so: what the caller looks at, and with which filters. The request began at
/// `started`, before it read the facts.
pub(super) async fn note_look(
    asked: &Asked<'_>,
    facts: &Facts,
    started: Instant,
    (what, filters): (&str, &EventFilters),
) -> Result<(), Problem> {
    if !facts.tenant().settings.record_reads {
        return Ok(());
    }
    let event = facts.stamp().reading(what, filters)?;
    let listed = facts.keys.happened(event.at, &event.subject, event.version);
    let item = encode(&facts.keys.event(&event.subject, event.version), Some(&listed), &event)?;
    // Whoever follows the record waits for so long.
    let deadline = asked.deadline.min(started + Duration::from_secs(COMMITTED_WITHIN));
    Table { deadline, ..asked.table }.put(item).await
}

/// The one subject whose events are read, if it is one.
fn subject_of(of: &Of) -> Option<Subject> {
    match of {
        Of::All | Of::Kind(_) | Of::Person(_) => None,
        Of::Subject(subject) => Some(subject.clone()),
        Of::Member(user) => user.map(|user| Subject::new(Member::KIND, user)),
    }
}

/// The next events behind a place, and the place where those behind them begin.
pub(super) async fn further(
    asked: &Asked<'_>,
    (keys, now): (TenantKeys, Time),
    wanted: &EventList,
    start: Option<String>,
    limit: usize,
) -> Result<(Vec<Event>, Option<String>), Problem> {
    let scan = Scan { table: asked.table, keys, now, wanted, limit };
    match subject_of(&wanted.of) {
        Some(subject) => scan.of_subject(&subject, start).await,
        None => scan.of_all(start).await,
    }
}

/// The place of an event in a list.
pub(super) fn place_of(keys: TenantKeys, wanted: &EventList, event: &Event) -> String {
    match subject_of(&wanted.of) {
        Some(subject) => keys.event(&subject, event.version).sk,
        None => keys.happened(event.at, &event.subject, event.version).sk,
    }
}

/// The newest events of a tenant, the last one first.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn newest(
    asked: &Asked<'_>,
    keys: TenantKeys,
    now: Time,
    limit: usize,
) -> Result<Vec<Event>, Problem> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let wanted = EventList::default();
    let scan = Scan { table: asked.table, keys, now, wanted: &wanted, limit };
    Ok(scan.of_all(None).await?.0)
}
