//! The audit chain of a member: [`verify_chain`] finds every edit of the events on record.

#[path = "chain/erasure.rs"]
mod erasure;

use std::collections::{BTreeMap, BTreeSet};

use domain::chain::{Checked, verify_ended_chain};
use domain::event::Deed;
use domain::id::{MembershipId, TenantId, UserId};
use domain::{Author, Broken, Difference, Event, Member, Meta, Record, Subject, Time, role};
use serde_json::{Value, json};

fn event(version: u64, changes: &[(&str, Value, Value)]) -> Event {
    let change = |(name, from, to): &(&str, Value, Value)| {
        let personal = domain::event::is_personal("member", name);
        ((*name).to_owned(), Difference { from: from.clone(), to: to.clone(), personal })
    };
    Event {
        tenant: TenantId::new(1),
        subject: Subject::new("member", 42),
        version,
        deed: if version == 1 { Deed::Created } else { Deed::Updated },
        at: Time::from_millis(1_705_308_300_000 + version as i64),
        author: Author::Member(UserId::new(7)),
        impersonator: (version == 2).then(|| UserId::new(8)),
        approver: (version == 3).then(|| UserId::new(9)),
        request: format!("request-{version}"),
        transaction: format!("transaction-{version}"),
        changes: changes.iter().map(change).collect(),
        previous: String::new(),
        salt: Some(format!("salt-{version}")),
    }
}

/// Links events as a write does, and the member that the last one made.
fn linked(mut events: Vec<Event>) -> (Member, Vec<Event>) {
    let mut head = String::new();
    for event in &mut events {
        event.previous = head;
        head = event.hash();
    }
    let (id, user) = (MembershipId::new(42), UserId::new(42));
    let blank = Member::new(id, TenantId::new(1), user, "ann@acme.example", Time::from_millis(0));
    let meta = Meta { version: events.len() as u64, head, ..blank.meta.clone() };
    let member = Member { roles: [role::USER].into(), meta, ..blank };
    (member, events)
}

fn chain() -> (Member, Vec<Event>) {
    let metadata = json!({ "desk": "7", "badge": "A7" });
    linked(vec![
        event(1, &[("status", Value::Null, json!("invited")), ("metadata", Value::Null, metadata)]),
        event(2, &[("status", json!("invited"), json!("active"))]),
        event(3, &[("roles", json!([3]), json!([2, 3])), ("groups", json!([]), json!([1, 2]))]),
        event(4, &[("first_name", Value::Null, json!("Ann \"Å\" Lee")), ("absolute_time", json!(false), json!(true))]),
    ])
}

fn broken(version: u64) -> Result<(), Broken> {
    Err(Broken { version })
}

fn verify_chain(member: &Member, events: &[Event]) -> Result<(), Broken> {
    domain::verify_chain(TenantId::new(1), member, events)
}

#[test]
fn a_whole_chain_holds() {
    let (member, events) = chain();
    assert_eq!(verify_chain(&member, &events), Ok(()));
    let (member, events) = linked(events[..1].to_vec());
    assert_eq!(verify_chain(&member, &events), Ok(()));
    // An empty chain holds.
    let (member, events) = linked(Vec::new());
    assert_eq!(verify_chain(&member, &events), Ok(()));
}

#[test]
fn a_hash_is_a_hash_of_everything() {
    let (_, events) = chain();
    let hashes: BTreeSet<String> = events.iter().map(Event::hash).collect();
    assert_eq!(hashes.len(), events.len());
    assert!(
        hashes
            .iter()
            .all(|hash| hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    );
}

#[test]
fn a_hole_shows() {
    let (member, events) = chain();
    for (at, version) in [(0, 1), (1, 2), (2, 3)] {
        let mut holed = events.clone();
        holed.remove(at);
        assert_eq!(verify_chain(&member, &holed), broken(version));
    }
    // Even if the versions were made to fit.
    let mut closed = events.clone();
    closed.remove(1);
    for (version, event) in (1..).zip(&mut closed) {
        event.version = version;
    }
    assert_eq!(verify_chain(&member, &closed), broken(2));
}

#[test]
fn a_lost_end_shows() {
    let (member, events) = chain();
    assert_eq!(verify_chain(&member, &events[..3]), broken(4));
    assert_eq!(verify_chain(&member, &[]), broken(4));
    // A member whose version was set back has the head of another event.
    let rolled_back = with_meta(&member, |meta| meta.version = 3);
    assert_eq!(verify_chain(&rolled_back, &events[..3]), broken(3));
    // The member does not know the event that is too many.
    let (_, longer) = linked([events.clone(), vec![event(5, &[])]].concat());
    assert_eq!(verify_chain(&member, &longer), broken(4));
}

#[test]
fn another_order_shows() {
    let (member, events) = chain();
    for at in 0..events.len() - 1 {
        let mut swapped = events.clone();
        swapped.swap(at, at + 1);
        assert_eq!(verify_chain(&member, &swapped), broken(at as u64 + 1));
        // With correct versions, the links are wrong.
        swapped[at].version = events[at].version;
        swapped[at + 1].version = events[at + 1].version;
        assert_eq!(verify_chain(&member, &swapped), broken(at as u64 + 1));
    }
    let doubled = [&events[..2], &events[1..]].concat();
    assert_eq!(verify_chain(&member, &doubled), broken(3));
}

#[test]
fn a_foreign_event_shows() {
    let (member, events) = chain();
    for at in 0..events.len() {
        let mut foreign = events.clone();
        foreign[at].subject = Subject::new("member", 43);
        assert_eq!(verify_chain(&member, &foreign), broken(at as u64 + 1));
        // Even if the whole chain was linked anew.
        let (relinked, foreign) = linked(foreign);
        assert_eq!(verify_chain(&relinked, &foreign), broken(at as u64 + 1));

        let mut foreign = events.clone();
        foreign[at].tenant = TenantId::new(2);
        let (relinked, foreign) = linked(foreign);
        assert_eq!(verify_chain(&relinked, &foreign), broken(at as u64 + 1));
    }
}

/// An edit by a person who can write the table. It is in JSON, so that it tries later fields, too.
#[test]
fn an_edit_of_any_field_shows() {
    let (member, events) = chain();
    let mut tried = 0;
    for at in 0..events.len() {
        for edited in edits(&serde_json::to_value(&events[at]).unwrap()) {
            let Ok(edited) = serde_json::from_value::<Event>(edited) else { continue };
            // The salt of an event without personal values has no meaning.
            let salted = Event { salt: edited.salt.clone(), ..events[at].clone() };
            if edited == events[at] || edited == salted && !edited.changes.values().any(|change| change.personal) {
                continue;
            }
            tried += 1;
            let mut chain = events.clone();
            chain[at] = edited;
            let found = verify_chain(&member, &chain).unwrap_err();
            // The place of the event, or of the next link, which no longer fits: the next event's or, at the end, the member's.
            let (own, next) = (at as u64 + 1, (at as u64 + 2).min(events.len() as u64));
            assert!(found.version == own || found.version == next, "{found} {:?}", chain[at]);
        }
    }
    assert!(tried > 100, "{tried}");
}

/// Every value that differs from this one in one place.
fn edits(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(1), json!("x"), json!([]), json!({})],
        Value::Bool(it) => vec![json!(!it), Value::Null],
        Value::Number(it) => vec![json!(it.as_i64().unwrap() + 1), json!(it.to_string()), Value::Null],
        // Times and hashes have a form: one character of those becomes another digit.
        Value::String(it) => {
            let other = |digit: char| if digit == '1' { '2' } else { '1' };
            let mut edits = vec![json!(format!("{it} ")), json!(""), Value::Null];
            if let Some(at) = it.rfind(|char: char| char.is_ascii_digit()) {
                let digit = it[at..].chars().next().unwrap();
                edits.push(json!(format!("{}{}{}", &it[..at], other(digit), &it[at + 1..])));
            }
            edits
        }
        Value::Array(items) => {
            let mut edits =
                vec![Value::Null, items.iter().rev().cloned().collect(), [&items[..], &[json!(9)]].concat().into()];
            for at in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(at);
                edits.push(fewer.into());
                edits.extend(self::edits(&items[at]).into_iter().map(|edit| {
                    let mut items = items.clone();
                    items[at] = edit;
                    Value::from(items)
                }));
            }
            edits
        }
        Value::Object(members) => {
            let mut edits = Vec::new();
            for (name, value) in members {
                let without: serde_json::Map<_, _> = members
                    .iter()
                    .filter(|(key, _)| *key != name)
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                let mut renamed = without.clone();
                renamed.insert(format!("{name}_"), value.clone());
                edits.extend([without.clone().into(), renamed.into()]);
                edits.extend(self::edits(value).into_iter().map(|edit| {
                    let mut members = without.clone();
                    members.insert(name.clone(), edit);
                    Value::from(members)
                }));
            }
            edits
        }
    }
}

fn with_meta(member: &Member, change: impl Fn(&mut Meta)) -> Member {
    let mut member = member.clone();
    change(member.meta_mut());
    member
}

#[test]
fn an_edited_member_shows() {
    let (member, events) = chain();
    for edited in [
        with_meta(&member, |meta| meta.head = String::new()),
        with_meta(&member, |meta| meta.head = events[2].hash()),
        with_meta(&member, |meta| meta.version = 5),
        with_meta(&member, |meta| meta.version = 3),
        Member { user: UserId::new(43), ..member.clone() },
    ] {
        assert!(verify_chain(&edited, &events).is_err(), "{edited:?}");
    }
    assert!(domain::verify_chain(TenantId::new(2), &member, &events).is_err());
}

#[test]
fn changes_of_equal_text_differ() {
    // The hash must keep names and values apart.
    let one = event(1, &[("a", json!("b"), json!("c"))]);
    let others = [
        event(1, &[("a", json!("b\",\"to\":\"c"), json!(""))]),
        event(1, &[("ab", json!(""), json!("c"))]),
        event(1, &[("a", json!("c"), json!("b"))]),
        event(1, &[("a", json!(["b"]), json!("c"))]),
        event(1, &[]),
    ];
    for other in others {
        assert_ne!(one.hash(), other.hash(), "{:?}", other.changes);
    }
    let number = event(1, &[("a", json!(1), Value::Null)]);
    let text = Event {
        changes: BTreeMap::from([("a".to_owned(), Difference { from: json!("1"), to: Value::Null, personal: false })]),
        ..number.clone()
    };
    assert_ne!(number.hash(), text.hash());
}

/// A chain of which the first events are removed, at every place where it can go on.
#[test]
fn what_is_left_of_a_chain_still_shows_everything() {
    let (acme, subject) = (TenantId::new(1), Subject::new("member", 42));
    let (member, events) = chain();
    for gone in 1..=events.len() {
        let start = Checked::after(gone as u64, &events[gone - 1].hash());
        let check = |left: &[Event]| {
            let mut checked = start.clone();
            left.iter().try_for_each(|event| checked.next(acme, &subject, event))?;
            checked.ends_with(member.meta.version, &member.meta.head).map(|()| checked.events())
        };
        let left = &events[gone..];
        assert_eq!(check(left), Ok(left.len() as u64));
        for at in 0..left.len() {
            let version = (gone + at) as u64 + 1;
            assert_eq!(check(&[&left[..at], &left[at + 1..]].concat()).map(drop), broken(version));
            let mut edited = left.to_vec();
            edited[at].request = "edited".to_owned();
            let found = check(&edited).unwrap_err().version;
            assert!(found == version + 1 || found == events.len() as u64, "{found}");
            if at > 0 {
                let mut swapped = left.to_vec();
                swapped.swap(at - 1, at);
                assert_eq!(check(&swapped).map(drop), broken(version - 1));
            }
        }
        // It goes on at no other place.
        assert!(check(&events[gone - 1..]).is_err());
        let other = Checked::after(gone as u64, &events[0].previous);
        assert!(left.first().is_none_or(|next| other.clone().next(acme, &subject, next).is_err()));
    }
}

#[test]
fn a_deletion_ends_a_chain() {
    let (acme, subject) = (TenantId::new(1), Subject::new("member", 42));
    let (member, events) = chain();
    let deletion = Event { deed: Deed::Deleted, ..event(5, &[("status", json!("active"), Value::Null)]) };
    let (_, ended) = linked([events.clone(), vec![deletion]].concat());
    assert_eq!(verify_ended_chain(acme, &subject, &ended), Ok(()));
    assert_eq!(verify_ended_chain(acme, &subject, &events), broken(4), "nothing says why the record is gone");
    assert_eq!(verify_ended_chain(acme, &subject, &[]), broken(1));
    assert_eq!(verify_chain(&member, &ended), broken(5), "the record is there");
    let mut revived = ended.clone();
    revived.swap(3, 4);
    assert_eq!(verify_ended_chain(acme, &subject, &revived), broken(4));
}
