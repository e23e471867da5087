//! Chains of random lives: an erasure is nothing to them, and whatever else is done shows.

use std::collections::BTreeSet;

use domain::event::Stamp;
use domain::id::{MembershipId, TenantId, UserId};
use domain::{Author, Difference, Event, Member, Time, role};
use serde_json::{Value, json};

use super::{event, verify_chain};

/// Texts that name a person, each once in a chain of [`lived`].
fn person(rng: &mut fastrand::Rng, texts: &mut Vec<String>) -> String {
    let text: String = (0..12).map(|_| rng.alphabetic()).collect();
    texts.push(text.clone());
    text
}

/// A member with a life of random changes, and its chain as writes make it; and all texts that name the person.
fn lived(rng: &mut fastrand::Rng) -> (Member, Vec<Event>, Vec<String>) {
    let (mut texts, mut events, mut before) = (Vec::new(), Vec::new(), None::<Member>);
    let email = person(rng, &mut texts);
    let blank = Member::new(MembershipId::new(42), TenantId::new(1), UserId::new(42), &email, Time::from_millis(0));
    for number in 1..=rng.i64(2..9) {
        let mut after = before.clone().unwrap_or_else(|| blank.clone());
        match if number == 1 { 5 } else { rng.u8(..6) } {
            0 => after.email = person(rng, &mut texts),
            1 => after.first_name = Some(person(rng, &mut texts)),
            2 => after.external_id = Some(person(rng, &mut texts)),
            3 => drop(after.metadata.insert(format!("key{number}"), person(rng, &mut texts))),
            4 => after.roles = [role::ADMIN].into(),
            _ => after.status = domain::Status::Deactivated,
        }
        let stamp = Stamp {
            tenant: TenantId::new(1),
            at: Time::from_millis(number),
            author: Author::Member(UserId::new(7)),
            impersonator: None,
            approver: None,
            request: "r".to_owned(),
            transaction: "t".to_owned(),
            secret: format!("secret-{number}"),
        };
        let event = stamp.event(before.as_ref(), Some(&after)).unwrap();
        after.meta.version = event.version;
        after.meta.head = event.hash();
        events.push(event);
        before = Some(after);
    }
    (before.unwrap(), events, texts)
}

#[test]
fn an_erased_chain_holds_and_names_nobody() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let (member, events, texts) = lived(&mut rng);
        let stored = serde_json::to_string(&events).unwrap();
        assert!(texts.iter().all(|text| stored.contains(text)), "{stored}");
        let erased: Vec<Event> = events.iter().map(Event::erased).collect();
        assert_eq!(verify_chain(&member, &erased), Ok(()));
        let stored = serde_json::to_string(&erased).unwrap();
        assert!(texts.iter().all(|text| !stored.contains(text)) && !stored.contains("salt"), "{stored}");
        assert!(erased[0].is_erased() && !events[0].is_erased());
        // Some of them, and those again.
        let some: Vec<Event> =
            events.iter().map(|it| if rng.bool() { it.erased().erased() } else { it.clone() }).collect();
        assert_eq!(verify_chain(&member, &some), Ok(()));
    }
}

#[test]
fn whatever_is_done_to_a_chain_shows() {
    let mut rng = fastrand::Rng::with_seed(8);
    for _ in 0..300 {
        let (member, events, _) = lived(&mut rng);
        let events: Vec<Event> = events.iter().map(|it| if rng.bool() { it.erased() } else { it.clone() }).collect();
        let at = rng.usize(..events.len());
        let changed = |edit: &dyn Fn(&mut Event)| {
            let mut events = events.clone();
            edit(&mut events[at]);
            events
        };
        let mut tried = vec![events[..at].to_vec(), [&events[..at], &events[at + 1..]].concat()];
        if at > 0 {
            let mut swapped = events.clone();
            swapped.swap(at, at - 1);
            tried.push(swapped);
        }
        tried.push(changed(&|event| event.author = Author::Member(UserId::new(8))));
        for (name, change) in events[at].changes.clone() {
            let hash = json!(domain::id::sha256("another value"));
            tried.extend([
                changed(&|event| event.changes.get_mut(&name).unwrap().to = json!("another")),
                changed(&|event| event.changes.get_mut(&name).unwrap().from = hash.clone()),
                changed(&|event| event.changes.get_mut(&name).unwrap().personal ^= true),
                changed(&|event| drop(event.changes.remove(&name))),
            ]);
            if change.personal {
                // An erasure that keeps the wrong values, or that puts others in their place.
                let erased = |edit: &dyn Fn(&mut Difference)| {
                    let mut event = events[at].erased();
                    edit(event.changes.get_mut(&name).unwrap());
                    changed(&|place| *place = event.clone())
                };
                tried.push(erased(&|it| it.to = hash.clone()));
                tried.push(erased(&|it| std::mem::swap(&mut it.from, &mut it.to)));
                tried.push(changed(&|event| event.salt = Some("another".to_owned())));
            }
        }
        for chain in tried {
            assert!(verify_chain(&member, &chain).is_err(), "{chain:?}");
        }
    }
}

#[test]
fn salts_and_commitments_tell_nothing_of_each_other() {
    let mut rng = fastrand::Rng::with_seed(9);
    let (_, events, _) = lived(&mut rng);
    let salts: BTreeSet<_> = events.iter().filter_map(|event| event.salt.clone()).collect();
    assert_eq!(salts.len(), events.iter().filter(|it| it.changes.values().any(|change| change.personal)).count());
    // The same value has another commitment in each place.
    let text = json!("ann");
    let names = [("first_name", text.clone(), text.clone()), ("last_name", text.clone(), text)];
    let places = [event(1, &names), event(2, &names)].map(|event| event.erased());
    let commitments = places.iter().flat_map(|it| it.changes.values().flat_map(|change| [&change.from, &change.to]));
    assert_eq!(commitments.map(Value::to_string).collect::<BTreeSet<_>>().len(), 8);
}
