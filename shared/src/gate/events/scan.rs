//! Reads the events of one page.

use domain::{Event, Problem, Subject, Time};

use super::{EventList, SETTLED_AFTER};
use crate::gate::list::{lost, sort_key};
use crate::table::key::{Range, TenantKeys};
use crate::table::{Table, decode};

/// How many queries a page takes at most.
const QUERIES: usize = 4;

/// How many events one query reads at least, if a filter may leave out some.
const AT_ONCE: usize = 100;

/// How far ahead of ours another clock can be, in milliseconds: events of a time to come are shown, too.
const AHEAD: i64 = 24 * 60 * 60 * 1_000;

/// The place before the first event.
const FIRST: &str = "0";

/// The events of a page, and the place where the next one begins.
type Found = (Vec<Event>, Option<String>);

/// The search for the events of one page. A place is the sort key of the last event that was read.
pub(super) struct Scan<'a> {
    pub table: Table<'a>,
    pub keys: TenantKeys,
    pub now: Time,
    pub wanted: &'a EventList,
    pub limit: usize,
}

/// What one query has read.
struct Read {
    /// The last event that was looked at.
    last: Option<(String, Time)>,
    /// Whether there may be more.
    more: bool,
}

impl Scan<'_> {
    /// The events of one subject, from the table itself: nothing lags behind.
    pub async fn of_subject(&self, subject: &Subject, start: Option<String>) -> Result<Found, Problem> {
        let range = Range { descending: !self.wanted.ascending, ..Range::of(self.keys.events_of(subject)) };
        self.page(&range, start).await
    }

    /// The events of all subjects, from the index.
    pub async fn of_all(&self, start: Option<String>) -> Result<Found, Problem> {
        let EventList { ascending, from, to, .. } = *self.wanted;
        let latest = Time::from_millis(self.now.millis() + if ascending { -SETTLED_AFTER * 1_000 } else { AHEAD });
        let (begin, end) = (from.unwrap_or(Time::from_millis(0)), to.unwrap_or(latest).min(latest));
        if end <= begin {
            let place = start.unwrap_or_else(|| FIRST.to_owned());
            return Ok((Vec::new(), Some(place).filter(|_| ascending && self.can_come())));
        }
        // The sort keys go on behind the time: those of the last moment are outside.
        let within = Some((begin.to_string(), end.to_string()));
        let range = Range { in_index: true, descending: !ascending, within, ..Range::of(self.keys.record()) };
        self.page(&range, start).await
    }

    async fn page(&self, range: &Range, start: Option<String>) -> Result<Found, Problem> {
        let EventList { ascending, from, to, .. } = *self.wanted;
        let (mut found, mut place) = (Vec::new(), start);
        for _ in 0..QUERIES {
            let read = self.read(range, place.as_deref().filter(|place| *place != FIRST), &mut found).await?;
            let is_past = read.last.as_ref().is_some_and(|(_, at)| match ascending {
                true => to.is_some_and(|to| *at >= to),
                false => from.is_some_and(|from| *at < from),
            });
            place = read.last.map(|(sk, _)| sk).or(place);
            if is_past || !read.more {
                let place = place.unwrap_or_else(|| FIRST.to_owned());
                return Ok((found, Some(place).filter(|_| ascending && !is_past && self.can_come())));
            }
            if found.len() == self.limit {
                break;
            }
        }
        Ok((found, place))
    }

    /// Reads further events behind a place.
    async fn read(&self, range: &Range, place: Option<&str>, found: &mut Vec<Event>) -> Result<Read, Problem> {
        let at = place.map(|sk| range.at(sk));
        let event =
            place.map(|sk| self.keys.event_listed(sk).ok_or_else(lost)).filter(|_| range.in_index).transpose()?;
        let after = match (&event, &at) {
            (Some(event), Some(listed)) => Some((event, Some(listed))),
            (None, Some(event)) => Some((event, None)),
            (_, None) => None,
        };
        // One more than wanted: that one tells whether there is a next page.
        let most = (self.limit - found.len() + 1).max(if self.wanted.has_filter() { AT_ONCE } else { 1 });
        let (items, more) = self.table.page(range, after, i32::try_from(most).unwrap_or(i32::MAX)).await?;
        let name = if range.in_index { "GSI1SK" } else { "SK" };
        let mut last = None;
        for item in items {
            if found.len() == self.limit {
                return Ok(Read { last, more: true });
            }
            let place = sort_key(&item, name)?;
            let event: Event = decode(item)?;
            last = Some((place, event.at));
            found.extend(Some(event).filter(|event| self.wanted.matches(event)));
        }
        Ok(Read { last, more })
    }

    /// Whether events can still come that match.
    fn can_come(&self) -> bool {
        self.wanted.to.is_none_or(|to| to.millis() > self.now.millis() - SETTLED_AFTER * 1_000)
    }
}
