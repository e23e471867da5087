use domain::event::{Deed, Stamp};
use domain::id::{MembershipId, UserId};
use domain::{Author, Time, role, verify_chain};

use super::*;
use crate::table::decode;

fn by(at: i64) -> Stamp {
    Stamp {
        tenant: TenantId::new(1),
        at: Time::from_millis(at),
        author: Author::Member(UserId::new(7)),
        impersonator: None,
        approver: None,
        request: "r".to_owned(),
        transaction: "t".to_owned(),
        secret: "s".to_owned(),
    }
}

fn member() -> Member {
    Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(42), "ann@acme.example", Time::from_millis(0))
}

/// The table keeps the members of a map in no order, and numbers in a format of its own.
#[test]
fn a_chain_holds_after_the_table_had_it() {
    let mut first = member();
    let created = stamp(&by(1), None, None, Some(&mut first)).unwrap().unwrap();
    let mut second = Member { roles: [role::ADMIN].into(), first_name: Some("Ann \"Å\"".to_owned()), ..first.clone() };
    let updated = stamp(&by(2), Some(&(&first).into()), Some(&first), Some(&mut second)).unwrap().unwrap();
    assert_eq!((second.meta.version, second.authority, second.meta.created_at), (2, 2, Time::from_millis(1)));
    let events = [created.event, updated.event];
    // A hash map has a random order. With three names, one order in six is the sorted one.
    for _ in 0..20 {
        let kept = |event| -> Event { decode(event_item(event).unwrap()).unwrap() };
        let kept: Vec<Event> = events.iter().map(kept).collect();
        assert_eq!(kept, events);
        assert_eq!(verify_chain(TenantId::new(1), &second, &kept), Ok(()));
    }
}

#[test]
fn an_event_has_what_was_before_and_after() {
    let mut new = member();
    let created = stamp(&by(1), None, None, Some(&mut new)).unwrap().unwrap().event;
    assert_eq!((created.deed, created.version), (Deed::Created, 1));
    let email = &created.changes["email"];
    assert_eq!((&email.from, &email.to), (&serde_json::Value::Null, &"ann@acme.example".into()));
    let deleted = stamp(&by(2), None, Some(&new), None).unwrap().unwrap().event;
    assert_eq!((deleted.deed, deleted.version), (Deed::Deleted, 2));
    assert_eq!(deleted.changes["email"].to, serde_json::Value::Null);
    assert_eq!(deleted.previous, new.meta.head);
    assert!(stamp(&by(3), None, Some(&new), Some(&mut new.clone())).unwrap().is_none(), "nothing has changed");
}
