//! A full name is kept as it was written, and its parts are names themselves.

use domain::Member;
use domain::MemberEdit;
use domain::Patch;
use domain::Time;
use domain::id::{MembershipId, TenantId, UserId};
use domain::text::is_blank;

/// A member who was given a full name.
fn named(name: &str) -> Member {
    let mut update = MemberEdit::default();
    update.set_name(name);
    let (Patch::Set(first), last) = (update.first_name, update.last_name) else { panic!("{name}: no first name") };
    let mut member =
        Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(1), "ann@acme.example", Time::from_millis(0));
    member.first_name = Some(first);
    member.last_name = match last {
        Patch::Set(last) => Some(last),
        _ => None,
    };
    member
}

#[test]
fn a_full_name_stays_as_it_was_written() {
    for (name, first, last) in [
        ("Ann", "Ann", None),
        ("Ann Lee", "Ann", Some("Lee")),
        ("Ann van der Lee", "Ann van der", Some("Lee")),
        ("Ann  Lee", "Ann ", Some("Lee")),
        ("Ann   van  der   Lee", "Ann   van  der  ", Some("Lee")),
        // Other spaces are part of a word.
        ("Ann\u{a0}Lee", "Ann\u{a0}Lee", None),
        ("山田\u{3000}太郎", "山田\u{3000}太郎", None),
        // Nobody's last name, or first, is invisible.
        ("Ann \u{200b}", "Ann \u{200b}", None),
        ("\u{2060} Lee", "\u{2060} Lee", None),
        ("Ann Lee \u{200e}", "Ann Lee \u{200e}", None),
    ] {
        let member = named(name);
        assert_eq!((member.first_name.as_deref(), member.last_name.as_deref()), (Some(first), last), "{name:?}");
        assert_eq!(member.name(), name);
        assert!(!is_blank(first) && !last.is_some_and(is_blank), "{name:?}");
    }
}

#[test]
fn the_spaces_before_a_last_name_go_with_it() {
    let mut member = named("Ann   Lee");
    member.last_name = None;
    assert_eq!(member.name(), "Ann");
    member.first_name = None;
    assert_eq!((member.name().as_str(), member.label().as_str()), ("", "ann@acme.example"));
}
