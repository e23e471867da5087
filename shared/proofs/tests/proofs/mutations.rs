//! Base policies that were changed for the worse. A property must fail for each.

use super::*;

/// A base policy, and what it becomes; all ways in which it can be made worse so.
type Worsen = fn(&str) -> Vec<String>;

/// Each with the least number of changed policies that are valid and for which a property fails.
const WAYS: [(&str, Worsen, usize); 7] = [
    ("a forbid is gone", |policy| if_forbid(policy, vec![String::new()]), 35),
    ("a forbid spares administrators", spare, 32),
    ("a forbid forgets one action of its list", forget, 55),
    ("a permit has lost its condition", |policy| if_permit(policy, unconditional(policy)), 40),
    ("any of several permissions is enough", |policy| swap(policy, ".containsAll(", ".containsAny("), 12),
    (
        "a comparison of ranks leaves out one rank",
        |policy| swap(policy, "rank > principal.rank", "rank - 1 > principal.rank"),
        6,
    ),
    ("either of two conditions is enough", |policy| if_permit(policy, swap(policy, "&&", "||")), 4),
];

/// How many changed policies may be none: without the first of two conditions, the second can ask for what is not there.
const INVALID: usize = 4;

/// What became of a changed policy.
enum Found {
    /// It has not the types of the schema. The test of the matrix validates the policies, so nobody could deploy it.
    Invalid,
    /// A property fails.
    Caught,
    /// It is one of [`NO_WORSE`], and decides as before.
    NoWorse,
    Unnoticed,
}

fn is_forbid(policy: &str) -> bool {
    policy.contains("\nforbid (")
}

fn if_forbid(policy: &str, worse: Vec<String>) -> Vec<String> {
    if is_forbid(policy) { worse } else { Vec::new() }
}

fn if_permit(policy: &str, worse: Vec<String>) -> Vec<String> {
    if is_forbid(policy) { Vec::new() } else { worse }
}

/// Each place where one text stands, with the other in its place.
fn swap(policy: &str, from: &str, to: &str) -> Vec<String> {
    let at = |(at, _): (usize, &str)| format!("{}{to}{}", &policy[..at], &policy[at + from.len()..]);
    policy.match_indices(from).map(at).collect()
}

fn spare(policy: &str) -> Vec<String> {
    let end = policy.rfind("};\n").map(|at| at + 1);
    let worse = end.map(|end| format!("{} unless {{ principal.rank >= 2 }}{}", &policy[..end], &policy[end..]));
    if_forbid(policy, worse.into_iter().collect())
}

/// Without one of the actions, if it has several.
fn forget(policy: &str) -> Vec<String> {
    let Some(list) = policy.find("action in [").map(|at| at + "action in [".len()) else { return Vec::new() };
    let end = list + policy[list..].find(']').unwrap();
    let actions: Vec<&str> = policy[list..end].split(',').map(str::trim).collect();
    let without = |left_out: usize| {
        let rest: Vec<_> = actions.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, it)| *it).collect();
        format!("{}{}{}", &policy[..list], rest.join(", "), &policy[end..])
    };
    if_forbid(policy, (0..actions.len()).map(without).collect())
}

fn unconditional(policy: &str) -> Vec<String> {
    let body = policy.find("\nwhen {").or_else(|| policy.find("\nunless {"));
    let end = policy.find("};\n").map(|at| at + 1);
    body.zip(end).map(|(body, end)| format!("{}{}", &policy[..body], &policy[end..])).into_iter().collect()
}

/// Ways that change nothing for some policies, which the solver must show: what is for administrators anyway spares them, and no key
/// outranks an owner, who alone takes one over.
const NO_WORSE: [&str; 2] =
    ["a forbid spares administrators: minimum-role-admin", "a forbid forgets one action of its list: key-outranks"];

#[test]
fn what_makes_the_base_policies_worse_breaks_a_proof() {
    let requests = Requests::of_product();
    let (base, properties) = (base(&requests), Property::joined(PROPERTIES, FACTS));
    // Else each change would seem to break one.
    let broken = each(&properties, |prover, property| failures(prover, &requests, &base, property).next());
    assert_eq!(broken, [None, None]);
    let about = each(&properties, |_, property| property.compile(&requests));
    let mut worse = Vec::new();
    for (number, (way, worsen, _)) in WAYS.into_iter().enumerate() {
        for (id, policy) in text::each(BASE) {
            let changed = worsen(policy).into_iter();
            worse.extend(changed.map(|changed| (number, format!("{way}: {id}"), policy, changed)));
        }
    }
    let found = each(&worse, |prover, (_, what, policy, changed)| {
        assert_ne!(policy, changed, "{what}");
        // The other policies are as they were.
        if !requests.are_valid(&policies(changed)) {
            return Found::Invalid;
        }
        let changed = policies(&format!("{}\n{FACTS}", text::with(BASE, policy, changed)));
        let kinds: Vec<usize> = policies(policy).policies().flat_map(|policy| requests.of(policy)).collect();
        // Until one breaks: what is asked of a kind takes long to make.
        let breaks = kinds.iter().any(|kind| {
            let changed = requests.compile(&changed, *kind);
            let mut about = properties.iter().zip(&about).filter_map(|(it, about)| Some((it, about.get(kind)?)));
            about.any(|(property, about)| !property.holds(prover, &changed, about).unwrap())
        });
        let mut decides_as_before = || {
            kinds.iter().all(|kind| {
                let changed = requests.compile(&changed, *kind);
                prover.ask(async |solver| solver.check_equivalent_opt(&base[*kind], &changed).await).unwrap()
            })
        };
        match breaks {
            true => Found::Caught,
            false if NO_WORSE.contains(&what.as_str()) && decides_as_before() => Found::NoWorse,
            false => Found::Unnoticed,
        }
    });
    let (mut caught, mut invalid, mut unnoticed) = ([0; WAYS.len()], Vec::new(), Vec::new());
    for ((number, what, ..), found) in worse.iter().zip(found) {
        match found {
            Found::Invalid => invalid.push(what),
            Found::Caught => caught[*number] += 1,
            Found::NoWorse => {}
            Found::Unnoticed => unnoticed.push(what),
        }
    }
    assert_eq!(unnoticed, Vec::<&String>::new(), "of {}", worse.len());
    assert!(invalid.len() <= INVALID, "{invalid:?}");
    for ((way, _, least), caught) in WAYS.iter().zip(caught) {
        assert!(caught >= *least, "{way}: {caught}");
    }
}
