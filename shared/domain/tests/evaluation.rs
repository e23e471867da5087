//! Compares the evaluation of policies in functions with Cedar's, by random policies over random facts. Tests the stored form of
//! policies, too.
//!
//! Long, since the generator of random policies and facts is here, beside the tests that need it.

#[path = "common/cedar.rs"]
mod cedar;
mod common;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cedar::{Asked, Texts};
use cedar_policy::PolicySet;
use domain::Time;
use domain::id::{GroupId, MembershipId, PolicyId, TenantId, UserId};
use domain::own_policy::MAX_TEXT;
use domain::policy;
use domain::policy::eval::{Entity, Erred, Request};
use domain::policy::format::{self, Record, Rule, Uid, Value};
use domain::policy::{Action, BASE, POLICY_ERROR, Policies, action_entity};
use domain::problem::Denial;
use domain::tenant::Inviters;
use domain::{Entry, Member, Policy, Rules, SignIn, Status, role};
use fastrand::Rng;
use policy_text::{MAX_COMPILED_BYTES, Refused, check_text, compile};

#[test]
fn the_base_policies_are_compiled() {
    common::compare("../policies/base.json", &format!("{}\n", compile(BASE).unwrap()));
}

// ---- Random facts

/// Names of attributes. One of them cannot stand after a dot.
const NAMES: [&str; 6] = ["rank", "status", "holds", "a", "b", "odd name"];
const TEXTS: [&str; 8] = ["active", "", "a", "ab", "a*b", "member:read", "\"\\\n\0", "ü𝄞"];
const UIDS: [(&str, &str); 8] = [
    ("Member", "1"),
    ("Member", "2"),
    // This one is unknown, like groups and tenants.
    ("Member", "99"),
    ("Group", "1"),
    ("Group", "2"),
    ("Tenant", "1"),
    ("Action", "member:read"),
    ("Name::Space", "\"1\""),
];

fn some<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

fn uid(rng: &mut Rng) -> Uid {
    let (kind, id) = some(rng, &UIDS);
    Uid::new(kind, id)
}

fn value(rng: &mut Rng, depth: u32) -> Value {
    match rng.u8(..if depth == 0 { 6 } else { 9 }) {
        0 => Value::Bool(rng.bool()),
        1 | 2 => Value::Long(some(rng, &[0, 1, 2, 3, -1, i64::MAX, i64::MIN])),
        3 | 4 => Value::String(some(rng, &TEXTS).to_owned()),
        5 => Value::Entity { uid: uid(rng) },
        6 | 7 => Value::Set((0..rng.u8(..4)).map(|_| value(rng, depth - 1)).collect()),
        _ => Value::Record(record(rng, depth - 1)),
    }
}

fn record(rng: &mut Rng, depth: u32) -> Record {
    let count = rng.usize(..=NAMES.len());
    let names = rng.choose_multiple(NAMES, count);
    names.into_iter().map(|name| (Cow::Borrowed(name), value(rng, depth))).collect()
}

/// A member whose attributes are mostly of the types that policies expect.
fn entity(rng: &mut Rng, id: &str) -> Entity {
    let mut attributes = record(rng, 2);
    for (name, value) in [
        ("rank", Value::Long(rng.i64(..4))),
        ("status", Value::String(some(rng, &TEXTS).to_owned())),
        ("holds", Value::Set((0..rng.u8(..4)).map(|_| Value::String(some(rng, &TEXTS).to_owned())).collect())),
    ] {
        if rng.u8(..4) > 0 {
            attributes.insert(Cow::Borrowed(name), value);
        }
    }
    let above = [("Group", "1"), ("Group", "2"), ("Tenant", "1")];
    let ancestors = above.into_iter().filter(|_| rng.bool()).map(|(kind, id)| Uid::new(kind, id)).collect();
    Entity { tags: record(rng, 1), ..Entity::new(Uid::new("Member", id), attributes, ancestors) }
}

// ---- Random policies

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bool,
    Long,
    Text,
    Entity,
    Set,
    Record,
}

const KINDS: [Kind; 6] = [Kind::Bool, Kind::Long, Kind::Text, Kind::Entity, Kind::Set, Kind::Record];

/// A text in Cedar's syntax.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\0', "\\0");
    format!("\"{}\"", escaped.replace('ü', "\\u{fc}"))
}

fn written(rng: &mut Rng) -> String {
    let uid = uid(rng);
    format!("{}::{}", uid.r#type, quoted(&uid.id))
}

/// An expression, in brackets if it needs them. One in twelve has another type than wanted.
fn expression(rng: &mut Rng, wanted: Kind, depth: u32) -> String {
    let kind = if rng.u8(..12) == 0 { some(rng, &KINDS) } else { wanted };
    if depth == 0 || rng.u8(..8) == 0 {
        return leaf(rng, kind);
    }
    let (any, holder) = (some(rng, &KINDS), some(rng, &[Kind::Entity, Kind::Record]));
    let (name, second, written, pattern) = (some(rng, &NAMES), some(rng, &NAMES), written(rng), pattern(rng));
    let (roll, is, kind_of) = (rng.u8(..12), rng.u8(..23), some(rng, &UIDS).0);
    let mut of = |kind| expression(rng, kind, depth - 1);
    match kind {
        _ if roll == 0 => format!("(if {} then {} else {})", of(Kind::Bool), of(kind), of(kind)),
        Kind::Bool => match is {
            0 => format!("({} == {})", of(any), of(any)),
            1 => format!("({} != {})", of(any), of(any)),
            2 => format!("({} < {})", of(Kind::Long), of(Kind::Long)),
            3 => format!("({} <= {})", of(Kind::Long), of(Kind::Long)),
            4 => format!("({} > {})", of(Kind::Long), of(Kind::Long)),
            5 => format!("({} >= {})", of(Kind::Long), of(Kind::Long)),
            6 => format!("({} && {})", of(kind), of(kind)),
            7 => format!("({} || {})", of(kind), of(kind)),
            8 => format!("({} && {} || {} && {})", of(kind), of(kind), of(kind), of(kind)),
            9 => format!("!{}", of(kind)),
            10 => format!("({} in {})", of(Kind::Entity), of(Kind::Entity)),
            11 => format!("({} in [{written}, {}])", of(Kind::Entity), of(Kind::Entity)),
            12 => format!("({} in {})", of(Kind::Entity), of(Kind::Set)),
            13 => format!("({} is {kind_of})", of(Kind::Entity)),
            14 => format!("({} is {kind_of} in {})", of(Kind::Entity), of(Kind::Entity)),
            15 => format!("{}.contains({})", of(Kind::Set), of(any)),
            16 => format!("{}.containsAll({})", of(Kind::Set), of(Kind::Set)),
            17 => format!("{}.containsAny({})", of(Kind::Set), of(Kind::Set)),
            18 => format!("{}.isEmpty()", of(Kind::Set)),
            19 => format!("({} has {})", of(holder), quoted(name)),
            20 => format!("({} has {})", of(holder), [name, second].map(|it| it.replace("odd name", "c")).join(".")),
            21 => format!("({} like {pattern})", of(Kind::Text)),
            _ => format!("{}.hasTag({})", of(Kind::Entity), quoted(name)),
        },
        Kind::Long if roll < 3 => format!("({} + {} - {})", of(kind), of(kind), of(kind)),
        Kind::Long if roll < 6 => format!("({} * {})", of(kind), of(kind)),
        Kind::Long if roll < 9 => format!("(-{})", of(kind)),
        Kind::Set if roll < 9 => format!("[{}, {}, {}]", of(any), of(any), of(Kind::Text)),
        Kind::Record if roll < 9 => format!("{{{}: {}, \"{name}2\": {}}}", quoted(second), of(any), of(Kind::Long)),
        _ if roll == 11 => format!("{}.getTag({})", of(Kind::Entity), quoted(name)),
        _ => format!("{}[{}]", of(holder), quoted(name)),
    }
}

fn leaf(rng: &mut Rng, kind: Kind) -> String {
    match kind {
        Kind::Bool => rng.bool().to_string(),
        Kind::Long => match rng.u8(..3) {
            0 => some(rng, &["principal.rank", "resource.rank", "context.rank"]).to_owned(),
            _ => some(rng, &["0", "1", "2", "3", "(-1)", "9223372036854775807", "(-9223372036854775808)"]).to_owned(),
        },
        Kind::Text => match rng.u8(..3) {
            0 => some(rng, &["principal.status", "resource.status", "context.status"]).to_owned(),
            _ => quoted(some(rng, &TEXTS)),
        },
        Kind::Entity => match rng.bool() {
            true => some(rng, &["principal", "action", "resource"]).to_owned(),
            false => written(rng),
        },
        Kind::Set => match rng.u8(..4) {
            0 => format!("[{}, {}]", quoted(some(rng, &TEXTS)), quoted(some(rng, &TEXTS))),
            1 => "[]".to_owned(),
            _ => some(rng, &["principal.holds", "resource.holds", "context.holds"]).to_owned(),
        },
        Kind::Record => some(rng, &["context", "{}", "{a: 1, \"odd name\": {a: \"active\"}}"]).to_owned(),
    }
}

fn pattern(rng: &mut Rng) -> String {
    let parts = (0..rng.u8(..5)).map(|_| some(rng, &["*", "*", "\\*", "a", "b", "ab", "\\u{fc}", "active", "\\\""]));
    format!("\"{}\"", parts.collect::<String>())
}

fn scope(rng: &mut Rng, variable: &str) -> String {
    if rng.u8(..3) > 0 {
        return variable.to_owned();
    }
    let constraints: Vec<String> = match variable {
        "action" => [
            "== Action::\"member:read\"",
            "in Action::\"member:any\"",
            "in []",
            "in [Action::\"a\", Action::\"member:read\"]",
        ]
        .map(String::from)
        .into(),
        _ => vec![
            format!("== {}", written(rng)),
            format!("in {}", written(rng)),
            format!("is {}", some(rng, &UIDS).0),
            format!("is Member in {}", written(rng)),
        ],
    };
    format!("{variable} {}", constraints[rng.usize(..constraints.len())])
}

fn policy(rng: &mut Rng, effect: &str) -> String {
    let notice = some(rng, &["", "@notice", "@notice(\"one\") ", "@notice(\"two\") ", "@other(\"three\") "]);
    let [principal, action, resource] = ["principal", "action", "resource"].map(|it| scope(rng, it));
    let clauses = (0..some(rng, &[0, 1, 1, 1, 1, 2, 3])).map(|_| {
        let word = if rng.u8(..3) == 0 { "unless" } else { "when" };
        let depth = rng.u32(..=3);
        format!(" {word} {{ {} }}", expression(rng, Kind::Bool, depth))
    });
    let clauses: String = clauses.collect();
    format!("{notice} {effect} ({principal}, {action}, {resource}){clauses};")
}

// ---- The evaluation is Cedar's

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Fits,
    Not,
    Errs,
}

/// A request for a decision, in our types and in Cedar's.
struct Asking {
    principal: Entity,
    action: Entity,
    resource: Entity,
    context: Record,
    cedar: Asked,
}

impl Asking {
    fn random(rng: &mut Rng) -> Self {
        let (principal, other) = (entity(rng, "1"), entity(rng, "2"));
        let resource = if rng.u8(..4) == 0 { principal.clone() } else { other };
        let action = action_entity(some(rng, &["member:read", "tenant:enter", "member:assign-role"]));
        let context = record(rng, 2);
        let cedar = Asked::new(&principal, &action, &resource, &[], &context);
        Self { principal, action, resource, context, cedar }
    }

    /// The outcome of a policy, the same here and in Cedar.
    fn outcome(&self, text: &str, rule: &Rule, set: &PolicySet) -> Outcome {
        let Self { principal, action, resource, context, cedar } = self;
        let uids = [&principal.uid, &action.uid, &resource.uid];
        let ours = match Request::new(uids, context.clone(), vec![principal, action, resource]).fits(rule) {
            Ok(true) => Outcome::Fits,
            Ok(false) => Outcome::Not,
            Err(Erred) => Outcome::Errs,
        };
        let response = cedar.of(set);
        let diagnostics = response.diagnostics();
        let cedars = match (diagnostics.errors().next(), diagnostics.reason().next()) {
            (Some(_), _) => Outcome::Errs,
            (None, Some(_)) => Outcome::Fits,
            (None, None) => Outcome::Not,
        };
        assert_eq!(ours, cedars, "{text}\n{rule:?}\n{principal:?}\n{action:?}\n{resource:?}\n{context:?}");
        ours
    }
}

/// A text of one policy, in both forms.
fn both(text: &str) -> (Rule, PolicySet) {
    let compiled = compile(text).unwrap_or_else(|why| panic!("{text}\n{why:?}"));
    (format::read(&compiled).unwrap().remove(0), PolicySet::from_str(text).unwrap())
}

#[test]
fn a_policy_fits_and_errs_where_cedar_says_so() {
    let mut rng = Rng::with_seed(1);
    let asked: Vec<_> = (0..60).map(|_| Asking::random(&mut rng)).collect();
    let (mut seen, mut texts) = (BTreeMap::new(), String::new());
    for _ in 0..1500 {
        let effect = some(&mut rng, &["permit", "forbid"]);
        let text = policy(&mut rng, effect);
        let (rule, set) = both(&text);
        for _ in 0..6 {
            let outcome = asked[rng.usize(..asked.len())].outcome(&text, &rule, &set);
            *seen.entry(outcome).or_insert(0) += 1;
        }
        texts.push_str(&text);
    }
    // No outcome is rare, and no kind of expression is missing.
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 1000), "{seen:?}");
    for part in [
        "principal",
        "action",
        "resource",
        "context",
        "[]",
        "{",
        "if",
        "&&",
        "||",
        "!",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "(-",
        " + ",
        " - ",
        " * ",
        " in ",
        " is ",
        " in [",
        ".contains(",
        ".containsAll(",
        ".containsAny(",
        ".isEmpty()",
        ".rank",
        "[\"",
        " has ",
        " like ",
        ".hasTag(",
        ".getTag(",
    ] {
        let count = texts.matches(part).count();
        assert!(count > 50, "{part}: {count}");
    }
}

#[test]
fn expressions_are_what_cedar_says_at_their_edges() {
    let mut rng = Rng::with_seed(3);
    let asked: Vec<_> = (0..2).map(|_| Asking::random(&mut rng)).collect();
    let (min, max) = (i64::MIN, i64::MAX);
    let mut conditions: Vec<String> = Vec::new();
    // An operand that is not evaluated cannot err, and an evaluated one has a type.
    for [left, right] in ["true", "false", "1", "(1 + true == 2)"]
        .map(|left| ["true", "false", "1", "(1 < \"a\")"].map(|right| [left, right]))
        .as_flattened()
    {
        conditions.extend([format!("{left} && {right}"), format!("{left} || {right}")]);
        conditions.extend([format!("if {left} then {right} else true"), format!("if {left} then true else {right}")]);
        conditions.extend([
            format!("!({left} && {right})"),
            format!("{left} == {right}"),
            format!("[{left}] == [{right}]"),
        ]);
        conditions.extend([format!("{{a: {left}}} == {{a: {right}}}"), format!("{{a: {left}, b: {right}}}.a")]);
    }
    // Numbers at both ends.
    for [left, right] in [min, min + 1, -1, 0, 1, 2, max - 1, max]
        .map(|left| [min, -2, -1, 0, 1, 2, max].map(|right| [left, right]))
        .as_flattened()
    {
        for operator in ["+", "-", "*", "<", "<=", ">", ">=", "==", "!="] {
            let (shown, sum) = (format!("({left}) {operator} ({right})"), matches!(operator, "+" | "-" | "*"));
            conditions.push(if sum { format!("{shown} == 0") } else { shown });
        }
        conditions.push(format!("-({left}) == ({right})"));
    }
    // Each text against each pattern.
    for text in ["", "a", "ab", "aab", "aba", "abab", "*", "a*b", "üab", "ab\u{1d11e}"] {
        for pattern in [
            "",
            "*",
            "**",
            "a",
            "a*",
            "*a",
            "*b",
            "a*b",
            "*a*",
            "ab*ab",
            "a*a*",
            "\\*",
            "*\\**",
            "a\\*b",
            "ü*",
            "*\u{1d11e}",
            "*ab*b",
        ] {
            conditions.push(format!("\"{text}\" like \"{pattern}\""));
        }
    }
    // Each operator on each type.
    let operands = [
        "true",
        "1",
        "\"a\"",
        "principal",
        "Member::\"99\"",
        "Group::\"1\"",
        "[]",
        "[1, \"a\", 1]",
        "[principal]",
        "[principal, 1]",
        "{}",
        "{a: 1}",
        "context",
    ];
    for left in operands {
        for right in operands {
            for operator in ["==", "!=", "<", "<=", "in", "&&", "||"] {
                conditions.push(format!("{left} {operator} {right}"));
            }
            for method in ["contains", "containsAll", "containsAny"] {
                conditions.push(format!("({left}).{method}({right})"));
            }
            conditions.push(format!("{left} is Member in {right}"));
        }
        for rest in [
            " has a",
            " has a.b",
            " like \"a\"",
            " is Member",
            " is Group",
            "[\"a\"] == 1",
            ".isEmpty()",
            " + 1 == 1",
            " * 1 == 1",
        ] {
            conditions.push(format!("({left}){rest}"));
        }
        conditions.extend([
            format!("!({left})"),
            format!("-({left}) == 1"),
            format!("if {left} then true else false"),
            left.to_owned(),
        ]);
    }
    let mut seen = BTreeMap::new();
    for condition in &conditions {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        let (rule, set) = both(&text);
        for asking in &asked {
            *seen.entry(asking.outcome(&text, &rule, &set)).or_insert(0) += 1;
        }
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 300), "{seen:?}");
}

// ---- Decisions are Cedar's

fn stored(texts: &[String]) -> Vec<Policy> {
    let policy = |(number, text): (u32, &String)| {
        let compiled = check_text(text).unwrap_or_else(|why| panic!("{text}\n{why:?}"));
        Policy { id: PolicyId::new(number), compiled }
    };
    (1..).zip(texts).map(policy).collect()
}

fn member(user: u32, role: domain::id::RoleId) -> Member {
    let (id, email) = (MembershipId::new(user), format!("member{user}@acme.example"));
    let blank = Member::new(id, TenantId::new(1), UserId::new(user), &email, Time::from_millis(0));
    Member { roles: [role].into(), ..blank }
}

/// A member of a random rank. One in four has an attribute that policies do not expect.
fn facts(rng: &mut Rng, user: u32) -> Entity {
    let groups: BTreeSet<_> = [1, 2].into_iter().filter(|_| rng.bool()).map(GroupId::new).collect();
    let status = some(rng, &[Status::Active, Status::Active, Status::Active, Status::Invited]);
    let member = Member {
        status,
        manages: if rng.bool() { groups.clone() } else { BTreeSet::new() },
        groups,
        ..member(user, some(rng, &[role::OWNER, role::ADMIN, role::USER]))
    };
    let rules = Rules::new(1, []);
    let mut facts = match rng.u8(..4) {
        0 => policy::impersonated(&member, UserId::new(3), &rules),
        _ => policy::member(&member, &rules),
    };
    match rng.u8(..8) {
        0 => drop(facts.attributes.remove(some(rng, &["status", "rank", "holds", "groups"]))),
        1 => facts.attributes.append(&mut record(rng, 1)),
        _ => {}
    }
    facts
}

#[test]
fn rules_notices_and_denials_are_what_cedar_says() {
    let mut rng = Rng::with_seed(2);
    let mut rules: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..500 {
        let items: Vec<String> = (0..some(&mut rng, &[0, 1, 1, 2]))
            .map(|_| (0..rng.u8(1..3)).map(|_| policy(&mut rng, "forbid")).collect::<Vec<_>>().join("\n"))
            .collect();
        let (policies, cedar) = (Policies::new(&stored(&items)), Texts::new(&items));
        assert_eq!(policies.broken(), []);
        let (principal, other) = (facts(&mut rng, 1), facts(&mut rng, 2));
        let resource = if rng.u8(..4) == 0 { &principal } else { &other };
        let names = |rng: &mut Rng| -> BTreeSet<&'static str> {
            let count = rng.usize(..3);
            rng.choose_multiple(["a", "b", "member:read"], count).into_iter().collect()
        };
        let groups = |rng: &mut Rng| -> BTreeSet<GroupId> {
            [1, 2].into_iter().filter(|_| rng.bool()).map(GroupId::new).collect()
        };
        let [adds, removes, gains, more] = [(); 4].map(|()| names(&mut rng));
        let [joins, leaves, manages] = [(); 3].map(|()| groups(&mut rng));
        for action in [
            Action::List(manages.first().copied()),
            Action::Read,
            Action::UpdateProfile,
            Action::AssignRole { adds, removes, rank: rng.u8(..4), gains },
            Action::SetStatus(Status::Deactivated),
            Action::SetGroups {
                joins,
                leaves,
                manages,
                adds: names(&mut rng),
                removes: names(&mut rng),
                rank: rng.u8(..4),
                gains: more,
            },
            Action::SetIdentity,
            Action::SetMetadata,
            Action::Invite(some(&mut rng, &Inviters::ALL)),
            Action::UpdateTenant { settings: [some(&mut rng, &["seats", "allowed_domains"])].into() },
            Action::Remove,
            Action::ReadSessions,
            Action::EndSessions,
            Action::Impersonate { allowed: rng.bool() },
            Action::ManageIssuers { of_deployment: rng.bool() },
            if rng.bool() { Action::ReadPolicies } else { Action::ManagePolicies },
            Action::ReadEvents,
            Action::WriteEvents,
            Action::StartSession(&SignIn {
                issuer: some(&mut rng, &["https://id.example", "https://other.example"]).to_owned(),
                subject: "1".to_owned(),
                auth_time: None,
                acr: rng.bool().then(|| "strong".to_owned()),
                amr: vec!["pwd".to_owned()],
            }),
        ] {
            let tenant = policy::tenant(TenantId::new(1));
            let of_tenant = matches!(
                action,
                Action::List(_)
                    | Action::UpdateTenant { .. }
                    | Action::ManageIssuers { .. }
                    | Action::StartSession(_)
                    | Action::ReadPolicies
                    | Action::ManagePolicies
                    | Action::ReadEvents
                    | Action::WriteEvents
            );
            let resource = if of_tenant { &tenant } else { resource };
            let dialect = some(&mut rng, &cedar::DIALECTS);
            let ours = policies.allow(common::around(dialect), &principal, &action, resource);
            let cedars = cedar.decide(dialect, &principal, &action, resource);
            assert_eq!(ours, cedars, "{items:?}\n{:?}\n{action:?}\n{:?}", principal, resource);
            let rule = match ours {
                Ok(notices) if notices.is_empty() => "allow".to_owned(),
                Ok(_) => "allow, with a notice".to_owned(),
                Err(Denial { rule, .. }) if rule.starts_with("tenant-policy-") => "tenant-policy".to_owned(),
                Err(Denial { rule, .. }) => rule,
            };
            *rules.entry(rule).or_default() += 1;
        }
    }
    for rule in
        ["allow", "allow, with a notice", "tenant-policy", POLICY_ERROR, "not-permitted", "active-member", "outranked"]
    {
        assert!(rules.get(rule).is_some_and(|count| *count > 10), "{rule}: {rules:?}");
    }
}

// ---- What is stored

const FORBID: &str = "forbid (principal, action, resource) when { resource has nothing };";

/// The decision for an owner who reads a user.
fn read_under(compiled: String) -> Result<Vec<String>, Denial> {
    let policy = Policy { id: PolicyId::new(1), compiled };
    let catalog = Rules::new(1, [Entry::Policy(policy)]);
    let [owner, user] = [member(1, role::OWNER), member(2, role::USER)].map(|it| policy::member(&it, &catalog));
    catalog.policies.allow(common::around("users"), &owner, &Action::Read, &user)
}

#[test]
fn what_functions_cannot_read_closes_the_tenant() {
    let compiled = check_text(FORBID).unwrap();
    assert_eq!(read_under(compiled.clone()), Ok(Vec::new()));
    let changed = |from: &str, to: &str| {
        assert!(compiled.contains(from), "{from}");
        compiled.replace(from, to)
    };
    for compiled in [
        // The form from before policies were compiled.
        String::new(),
        FORBID.to_owned(),
        compile("permit (principal, action, resource);").unwrap(),
        changed("\"version\":1", "\"version\":2"),
        changed("\"version\":1,", ""),
        changed("forbid", "permit"),
        changed("forbid", "other"),
        changed("\"op\":\"All\"", "\"op\":\"Some\""),
        changed("\"op\":\"All\"", "\"op\":\"in\""),
        changed("\"op\":\"All\"", "\"op\":\"==\",\"slot\":\"?principal\""),
        changed("\"kind\":\"when\"", "\"kind\":\"while\""),
        changed("\"has\"", "\"hasNothing\""),
        changed("\"attr\"", "\"attribute\""),
        changed("{\"Var\":\"resource\"}", "{\"Var\":\"resource\",\"Slot\":\"?resource\"}"),
        changed("{\"Var\":\"resource\"}", "{\"Value\":1.5}"),
        changed("{\"Var\":\"resource\"}", "{\"Value\":[]}"),
        changed("{\"Var\":\"resource\"}", "{\"Value\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"::1\"}}}"),
        changed("{\"Var\":\"resource\"}", &format!("{}1{}", "{\"Set\":[".repeat(20_000), "]}".repeat(20_000))),
        format!("{compiled} {compiled}"),
    ] {
        let denied = Denial { rule: POLICY_ERROR.to_owned(), action: "member:read", notices: Vec::new() };
        assert_eq!(read_under(compiled.clone()), Err(denied), "{}", &compiled[..compiled.len().min(500)]);
    }
}

#[test]
fn what_functions_cannot_read_is_refused_when_it_is_written() {
    for condition in [
        "ip(\"10.0.0.1\").isLoopback()",
        "decimal(\"1.0\").lessThan(decimal(\"2.0\"))",
        "datetime(\"2026-11-25\") < datetime(\"2026-11-26\")",
    ] {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        assert!(matches!(check_text(&text), Err(Refused::Unsupported(_))), "{text}: {:?}", check_text(&text));
    }
    // As deep as serde_json reads. Each further operator would add a bracket.
    let chain =
        |links: usize| format!("forbid (principal, action, resource) when {{ {}true }};", "true && ".repeat(links));
    assert!(check_text(&chain(60)).is_ok());
    assert!(matches!(check_text(&chain(61)), Err(Refused::TooDeep(_))));
    assert!(matches!(check_text(&chain(1200)), Err(Refused::TooDeep(_))));
    // Flat, and short enough as a text.
    let sets =
        |count| format!("forbid (principal, action, resource) when {{ [{}1].isEmpty() }};", "1+1,".repeat(count));
    assert!(sets(2500).len() < MAX_TEXT);
    assert_eq!(check_text(&sets(2500)), Err(Refused::TooLong));
    assert!(check_text(&sets(1000)).unwrap().len() < MAX_COMPILED_BYTES);
}
