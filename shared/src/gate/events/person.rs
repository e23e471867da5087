//! The events that tell of one person, wherever they are in the record.

use domain::event::Author;
use domain::id::UserId;
use domain::policy::{self, Action};
use domain::problem::Denial;
use domain::{ApiKey, Event, Member, Record, Session, Thing};

use crate::gate::facts::Facts;

/// Whether the caller may read the whole record.
pub(super) fn may_read_all(facts: &Facts) -> Result<Vec<String>, Denial> {
    facts.allow(&Action::ReadEvents, &policy::tenant(facts.tenant().id))
}

/// Whether an event tells of a person: of their member, their sessions and API keys, or what they did in the product.
pub(super) fn is_about(event: &Event, user: UserId) -> bool {
    let names = |attribute: &str| {
        let sides = event.changes.get(attribute).map(|change| [&change.from, &change.to]);
        sides.is_some_and(|sides| sides.iter().any(|side| side.as_u64() == Some(user.number().into())))
    };
    match event.subject.kind.as_str() {
        Member::KIND => event.subject.id == user.to_string(),
        Session::KIND => names("user"),
        ApiKey::KIND => names("maker"),
        // Without a name, it is whoever has told of it.
        Thing::KIND if event.changes.contains_key("member") => names("member"),
        Thing::KIND => event.author == Author::Member(user),
        _ => false,
    }
}

/// A caller who may not read the whole record sees what they did to others, and nothing that names the others.
pub(super) fn hide_others(facts: &Facts, user: UserId, events: &mut [Event]) {
    if may_read_all(facts).is_err() {
        for event in events.iter_mut().filter(|event| !is_about(event, user)) {
            *event = event.erased();
        }
    }
}
