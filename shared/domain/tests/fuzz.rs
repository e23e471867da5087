//! Fuzz tests of policies: of their text, and of their compiled form.

#[allow(dead_code)]
mod common;
#[path = "common/fuzz.rs"]
mod fuzz;

use std::path::Path;
use std::sync::LazyLock;

use common::around;
use domain::id::{GroupId, MembershipId, PolicyId, TenantId, UserId};
use domain::own_policy::MAX_TEXT;
use domain::policy::eval::{Entity, Request};
use domain::policy::format::{self, Effect, Uid};
use domain::policy::{self, Action, BASE, COMPILED_BASE, POLICY_ERROR, Policies, action_entity};
use domain::{Member, Policy, Rules, Status, Time, role};
use fuzz::fuzz;
use policy_text::{MAX_COMPILED_BYTES, admit, check_text, compile};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

// ---- Texts

const WORDS: &[&str] = &[
    "forbid",
    "permit",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    "principal",
    "action",
    "resource",
    "context",
    "when",
    "unless",
    "if",
    "then",
    "else",
    "in",
    "is",
    "has",
    "like",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    ".",
    "::",
    ":",
    "true",
    "false",
    "Action::\"member:read\"",
    "Member::\"1\"",
    "principal.rank",
    "resource.status",
    "context.dialect",
    "@id(\"a\")",
    "@notice(\"\u{202e}\")",
    "//",
    "\n",
    "\"",
    "\\",
    "?principal",
    ".contains(",
    ".containsAll([",
    ".isEmpty()",
    ".hasTag(\"a\")",
    "ip(\"192.0.2.1\")",
    "decimal(\"1.0\")",
    "9223372036854775807",
    "9223372036854775808",
    "_",
    "\u{feff}",
];

/// What can be around an expression, many times.
const AROUND: &[(&str, &str)] = &[
    ("(", ")"),
    ("[", "]"),
    ("{a: ", "}"),
    ("!", ""),
    ("-", ""),
    ("!(", ")"),
    ("if true then ", " else false"),
    ("if ", " then true else false"),
    ("if true then true else ", ""),
    ("true && ", ""),
    ("", " && true"),
    ("false || ", ""),
    ("", " || false"),
    ("1 + ", ""),
    ("", " + 1"),
    ("", " * 2"),
    ("", ".a"),
    ("", "[\"a\"]"),
    ("", " == 1"),
    ("", ".contains(1)"),
    ("[1].contains(", ")"),
    ("", " has a"),
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(WORDS).prop_map(str::to_owned),
        1 => "[a-z]{1,3}",
        1 => "\\PC{0,3}",
        1 => "\"[^\"]{0,6}\"",
        1 => "[0-9]{1,20}",
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(&["true", "principal", "context", "1", "\"a\"", "principal.rank", "principal.holds", "[]", "{}"][..])
            .prop_map(str::to_owned),
        word(),
    ];
    leaf.prop_recursive(6, 40, 3, |inner| {
        let operator = select(&["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "in", "has", "like"][..]);
        let method = select(&["contains", "containsAll", "containsAny", "hasTag", "getTag"][..]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(one, sign, other)| format!("({one} {sign} {other})")),
            (inner.clone(), method, inner.clone()).prop_map(|(one, name, other)| format!("{one}.{name}({other})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(one, two, three)| format!("(if {one} then {two} else {three})")),
            vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            inner.prop_map(|of| format!("!({of})")),
        ]
    })
}

fn forbid(condition: &str) -> String {
    format!("forbid (principal, action, resource) when {{ {condition} }};")
}

/// The place in a text that is the nearest to a share of it.
fn place(text: &str, at: Index) -> usize {
    (0..=at.index(text.len() + 1)).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

/// Policies of ours with some of their text gone, doubled or in another place.
fn changed() -> impl Strategy<Value = String> {
    let edits = vec((any::<Index>(), any::<Index>(), any::<Index>(), word(), 0..4_u8), 1..5);
    (any::<Index>(), edits).prop_map(|(first, edits)| {
        let policies: Vec<&str> = BASE.split("\n\n").filter(|policy| policy.contains("@id(")).collect();
        let mut text = policies[first.index(policies.len())].to_owned();
        for (from, to, at, word, kind) in edits {
            let (from, to) = (place(&text, from), place(&text, to));
            let part = text[from.min(to)..from.max(to)].to_owned();
            match kind {
                0 => text.replace_range(from.min(to)..from.max(to), ""),
                1 => text.insert_str(place(&text, at), &part),
                2 => text.insert_str(place(&text, at), &word),
                _ => text.replace_range(from.min(to)..from.max(to), &word),
            }
        }
        text
    })
}

fn text() -> impl Strategy<Value = String> {
    let words = vec(word(), 0..60).prop_map(|words| words.join(" "));
    // As deep, and as long, as the limit lets them be.
    let nested = (vec((select(AROUND), 0..4_000_usize), 1..4), expression()).prop_map(|(around, inner)| {
        let mut text = inner;
        for ((before, after), times) in around {
            let times = times.min(MAX_TEXT.saturating_sub(text.len()) / (before.len() + after.len()));
            text = format!("{}{text}{}", before.repeat(times), after.repeat(times));
        }
        forbid(&text)
    });
    // One in eight permits, which no tenant may.
    let statement = (expression(), 0..8_u8).prop_map(|(condition, kind)| match kind {
        0 => forbid(&condition).replacen("forbid", "permit", 1),
        _ => forbid(&condition),
    });
    let several = vec(statement, 1..4).prop_map(|all| all.join("\n"));
    prop_oneof![1 => "\\PC{0,200}", 3 => words, 3 => several, 3 => changed(), 2 => nested]
}

// ---- Facts

fn member(user: u32, held: [domain::id::RoleId; 1]) -> Member {
    let (id, email) = (MembershipId::new(user), format!("member{user}@acme.example"));
    let blank = Member::new(id, TenantId::new(1), UserId::new(user), &email, Time::from_millis(0));
    Member { roles: held.into(), groups: [GroupId::new(1)].into(), manages: [GroupId::new(1)].into(), ..blank }
}

static ENTITIES: LazyLock<[Entity; 3]> = LazyLock::new(|| {
    let rules = Rules::new(1, []);
    [(1, role::OWNER), (2, role::ADMIN), (3, role::USER)]
        .map(|(user, held)| policy::member(&member(user, [held]), &rules))
});

fn actions() -> [Action<'static>; 4] {
    let none = std::collections::BTreeSet::new;
    [
        Action::Read,
        Action::UpdateProfile,
        Action::SetStatus(Status::Deactivated),
        Action::AssignRole { adds: none(), removes: ["user"].into(), rank: 1, gains: none() },
    ]
}

// ---- The targets

/// A stack that overflows ends the process, and nobody makes the text smaller: it is in this file then.
fn keep(text: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("fuzz-policy-text"), text).expect("a file");
}

/// Whatever the text is, it is refused, or it can only forbid. Once it is admitted, it does not err.
#[test]
fn fuzz_policy_text() {
    let base = Policies::new([]);
    fuzz(&text(), |text| {
        keep(&text);
        let admitted = admit(&text);
        let compiled = match check_text(&text) {
            Ok(compiled) => compiled,
            Err(why) => {
                assert_eq!(admitted, Err(why));
                return;
            }
        };
        assert!(admitted.is_err() || admitted == Ok(compiled.clone()));
        assert!(text.len() <= MAX_TEXT && compiled.len() <= MAX_COMPILED_BYTES);
        assert_eq!(compile(&text).as_ref(), Ok(&compiled));
        let rules = format::read(&compiled).expect("what is accepted can be read");
        assert!(rules.iter().all(|rule| rule.effect == Effect::Forbid));
        let own = [Policy { id: PolicyId::new(1), compiled }];
        let policies = Policies::new(&own);
        assert_eq!(policies.broken(), []);
        for principal in &*ENTITIES {
            for resource in &*ENTITIES {
                for action in actions() {
                    let decision = policies.allow(around("users"), principal, &action, resource);
                    let without = base.allow(around("users"), principal, &action, resource);
                    assert!(decision.is_err() || decision == without, "{decision:?} {without:?}");
                    let errs = decision.is_err_and(|denial| denial.rule == POLICY_ERROR);
                    assert!(!errs || admitted.is_err(), "it errs, and was admitted");
                }
            }
        }
    });
}

/// The parts of our own policies in the form that functions read.
static PARTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    fn parts(of: &Value, into: &mut Vec<Value>) {
        into.push(of.clone());
        match of {
            Value::Array(items) => items.iter().for_each(|item| parts(item, into)),
            Value::Object(members) => members.values().for_each(|member| parts(member, into)),
            _ => {}
        }
    }
    let base: Value = serde_json::from_str(COMPILED_BASE).expect("JSON");
    let mut all = vec![json!(null), json!(-1), json!(i64::MIN), json!(1e300), json!({}), json!([]), json!("\u{0}")];
    parts(&base["policies"], &mut all);
    all.retain(|part| part.to_string().len() < 2_000);
    all
});

/// Every place in a value.
fn places(of: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match of {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), into));
        }
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        _ => {}
    }
}

/// Compiled policies with parts of others in the place of theirs.
fn spliced() -> impl Strategy<Value = String> {
    (any::<Index>(), vec((any::<Index>(), any::<Index>()), 0..8)).prop_map(|(first, edits)| {
        let policies: Vec<&Value> = PARTS.iter().filter(|part| part.get("effect").is_some()).collect();
        let mut policy = policies[first.index(policies.len())].clone();
        for (at, part) in edits {
            let mut all = Vec::new();
            places(&policy, "", &mut all);
            if let Some(place) = policy.pointer_mut(&all[at.index(all.len())]) {
                place.clone_from(&PARTS[part.index(PARTS.len())]);
            }
        }
        json!({ "version": format::VERSION, "policies": [policy] }).to_string()
    })
}

/// Whatever is stored, the evaluation says yes, no or that it errs; and what cannot be read closes the tenant.
#[test]
fn fuzz_policy_evaluation() {
    let bytes = (any::<Index>(), "\\PC{0,2}", spliced()).prop_map(|(at, insert, mut text)| {
        let at = place(&text, at);
        text.insert_str(at, &insert);
        text
    });
    fuzz(&prop_oneof![4 => spliced(), 1 => bytes], |compiled| {
        let read = format::read(&compiled);
        for action in actions() {
            let (context, entity) = (action.context(around("users")), action_entity(action.name()));
            let [owner, admin, _] = &*ENTITIES;
            let unknown = Uid::new("Member", 99);
            for resource in [&admin.uid, &owner.uid, &unknown] {
                let request =
                    Request::new([&owner.uid, &entity.uid, resource], context.clone(), vec![owner, admin, &entity]);
                // Twice the same, because nothing else than the facts counts.
                for rule in read.iter().flatten() {
                    assert_eq!(request.fits(rule), request.fits(rule));
                }
            }
        }
        let is_usable = read.is_ok_and(|rules| rules.iter().all(|rule| rule.effect == Effect::Forbid));
        let own = [Policy { id: PolicyId::new(1), compiled }];
        let policies = Policies::new(&own);
        assert_eq!(policies.broken().is_empty(), is_usable);
        let [owner, _, user] = &*ENTITIES;
        assert!(is_usable || policies.allow(around("users"), owner, &Action::Read, user).is_err());
    });
}
