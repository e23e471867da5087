//! The proofs, and that each of them could fail.

#[path = "proofs/controls.rs"]
mod controls;
#[path = "proofs/mutations.rs"]
mod mutations;
#[path = "proofs/solver.rs"]
mod solver;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

use cedar_policy::{PolicySet, Schema};
use cedar_policy_symcc::{CompiledPolicy, CompiledPolicySet};
use proofs::{BASE, FACTS, PROPERTIES, Property, Prover, Requests, SCHEMA, name, permit, policies, schema, text};

/// Does something with each item, on all cores, each with a solver of its own; what came of it, in the order of the items.
fn each<T: Sync, R: Send>(items: &[T], with: impl Fn(&mut Prover, &T) -> R + Sync) -> Vec<R> {
    let queue = Mutex::new(items.iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = || {
        let mut prover = Prover::new();
        std::iter::from_fn(next).map(|(at, item)| (at, with(&mut prover, item))).collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let lanes = thread::available_parallelism().map_or(1, usize::from);
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The base policies, which forbid what the facts exclude.
fn base(requests: &Requests) -> Vec<CompiledPolicySet> {
    requests.compile_all(&policies(&format!("{BASE}\n{FACTS}")))
}

/// The kinds of request in which a property is false. Each is asked when it is taken.
fn failures(
    prover: &mut Prover,
    requests: &Requests,
    base: &[CompiledPolicySet],
    property: &Property,
) -> impl Iterator<Item = String> {
    let holds = |kind: usize| {
        let about = property.compile_for(requests, kind)?;
        let holds = property.holds(prover, &base[kind], &about);
        let kind = name(&requests.kinds[kind]);
        Some((holds.unwrap_or_else(|why| panic!("{}, {kind}: {why}", property.id)), kind))
    };
    let failed = (0..requests.kinds.len()).filter_map(holds).filter(|(holds, _)| !holds);
    failed.map(|(_, kind)| format!("{}: {kind}", property.id))
}

/// Whether policies allow anything in a kind of request.
fn allow_something(prover: &mut Prover, policies: &CompiledPolicySet) -> bool {
    !prover.ask(async |solver| solver.check_always_denies_opt(policies).await).unwrap()
}

// ---- The proofs

#[test]
fn each_property_holds() {
    let requests = Requests::of_product();
    let base = base(&requests);
    let properties = Property::all(PROPERTIES, FACTS);
    let ids: BTreeSet<&str> = properties.iter().map(|it| it.id.as_str()).collect();
    assert!(ids.len() == properties.len() && ids.len() > 50, "{ids:?}");
    let failed = each(&properties, |prover, it| failures(prover, &requests, &base, it).collect::<Vec<_>>());
    assert_eq!(failed.concat(), Vec::<String>::new());
}

/// Cedar skips a policy that errs, and the product then denies. So neither does anything else than the other.
#[test]
fn no_base_policy_ever_errs() {
    let requests = Requests::of_product();
    assert_eq!(errs(&requests, BASE), Vec::<String>::new());
    // Valid, and too large for a number at the end of its range.
    let errant = "\n@id(\"errant\")\nforbid (principal, action == Action::\"member:read\", resource)\n\
                  when { resource.rank + 1 > principal.rank + 1 };\n";
    let kinds = ["ApiKey", "Member"].map(|caller| format!("errant: {caller} Action::\"member:read\" Member"));
    assert_eq!(errs(&requests, errant), kinds);
}

/// The policies that can err, and in which kinds of request.
fn errs(requests: &Requests, text: &str) -> Vec<String> {
    let singles: Vec<(&str, PolicySet)> = text::each(text).into_iter().map(|(id, text)| (id, policies(text))).collect();
    let errs = |prover: &mut Prover, (id, single): &(&str, PolicySet)| {
        let [policy] = single.policies().collect::<Vec<_>>()[..] else { panic!("{id}") };
        let kinds = requests.of(policy).into_iter().map(|kind| &requests.kinds[kind]);
        let errs = kinds.filter(|kind| {
            let compiled = CompiledPolicy::compile(policy, kind, &requests.schema).unwrap();
            !prover.ask(async |solver| solver.check_never_errors_opt(&compiled).await).unwrap()
        });
        errs.map(|kind| format!("{id}: {}", name(kind))).collect::<Vec<_>>()
    };
    each(&singles, errs).concat()
}

/// Whether a policy matches depends on the request alone. So any policy is one that looks at a fact of which nothing is known.
#[test]
fn whatever_a_tenant_forbids_it_only_narrows() {
    const ANY_FORBID: &str = "forbid (principal, action, resource) when { context.matches };";
    let requests = Requests::new(with_an_unknown_fact());
    let base = requests.compile_all(&policies(BASE));
    let compile = |more: &str| requests.compile_all(&policies(&format!("{BASE}\n{more}")));
    let (narrowed, rest) = (compile(ANY_FORBID), compile(&ANY_FORBID.replace("when", "unless")));
    let (widened, nothing) =
        (compile(&ANY_FORBID.replace("forbid", "permit")), compile("forbid (principal, action, resource);"));
    let numbers: Vec<usize> = (0..requests.kinds.len()).collect();
    let check = |prover: &mut Prover, at: &usize| {
        let implies = |prover: &mut Prover, one: &CompiledPolicySet, other: &CompiledPolicySet| {
            prover.ask(async |solver| solver.check_implies_opt(one, other).await).unwrap()
        };
        let kind = name(&requests.kinds[*at]);
        assert!(implies(prover, &narrowed[*at], &base[*at]), "a forbid allows something: {kind}");
        // It takes nothing that it does not match.
        let beside = [&narrowed[*at], &rest[*at]];
        assert!(beside.iter().all(|one| implies(prover, one, &base[*at])), "{kind}");
        assert!(prover.ask(async |solver| solver.check_disjoint_opt(beside[0], beside[1]).await).unwrap(), "{kind}");
        assert!(implies(prover, &nothing[*at], &base[*at]), "{kind}");
        // A permit does widen: so the question can have another answer.
        !implies(prover, &widened[*at], &base[*at])
    };
    let widens = each(&numbers, check);
    assert!(widens.iter().filter(|it| **it).count() > requests.kinds.len() * 3 / 4, "{widens:?}");
}

/// The schema of the product, in which each context has one fact more.
fn with_an_unknown_fact() -> Schema {
    let mut count = 0;
    let mut text = String::new();
    for line in SCHEMA.lines() {
        let line = match line.contains("context: {") {
            true => {
                count += 1;
                line.replacen("context: {", "context: { matches: Bool, ", 1).replace(", }", " }")
            }
            false => line.to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    assert_eq!(count, SCHEMA.matches(" appliesTo ").count(), "each action has a context on a line of its own");
    schema(&text)
}

// ---- That they say something

/// Else a property would not be looked at where it is false.
#[test]
fn a_policy_concerns_the_actions_of_its_scope_only() {
    let requests = Requests::of_product();
    let texts = [text::each(PROPERTIES), text::each(BASE)].concat();
    let concerned = each(&texts, |prover, (id, text)| {
        let permit = policies(&permit(text));
        let kinds = permit.policies().flat_map(|policy| requests.of(policy)).collect::<BTreeSet<_>>();
        for other in (0..requests.kinds.len()).filter(|kind| !kinds.contains(kind)) {
            let nothing = !allow_something(prover, &requests.compile(&permit, other));
            assert!(nothing, "{id}: {}", name(&requests.kinds[other]));
        }
        kinds
    });
    let concerned: BTreeSet<usize> = concerned.into_iter().flatten().collect();
    assert_eq!(concerned.len(), requests.kinds.len());
}

/// Else a property that forbids would say nothing of it. Nobody may do what is missing here.
#[test]
fn each_action_is_allowed_to_somebody() {
    let requests = Requests::of_product();
    let allowed = each(&base(&requests), allow_something);
    let kinds = requests.kinds.iter().zip(allowed);
    let never: Vec<String> = kinds.filter(|(_, allowed)| !allowed).map(|(kind, _)| name(kind)).collect();
    let keys = ["create", "end", "rotate", "take-over"].map(|it| format!("ApiKey Action::\"key:{it}\" ApiKey"));
    let of_persons: Vec<_> =
        keys.into_iter().chain(["ApiKey Action::\"member:impersonate\" Member".to_owned()]).collect();
    assert_eq!(never, of_persons);
    assert!(requests.kinds.len() > 55);
}

/// A property about nothing would hold of any policies. These hold of all policies but some.
#[test]
fn each_property_is_about_something() {
    let requests = Requests::of_product();
    let (all, none) = ("permit (principal, action, resource);", "forbid (principal, action, resource);");
    let [all, none] = [all, none].map(|text| requests.compile_all(&policies(&format!("{text}\n{FACTS}"))));
    let properties = Property::all(PROPERTIES, FACTS);
    let holds = each(&properties, |prover, property| {
        [&all, &none].map(|policies| failures(prover, &requests, policies, property).next().is_none())
    });
    for (property, [of_all, of_none]) in properties.iter().zip(holds) {
        assert!(of_all != of_none, "{}: {of_all} {of_none}", property.id);
    }
}

#[test]
fn each_fact_is_needed() {
    let requests = Requests::of_product();
    let unneeded = each(&text::each(FACTS), |prover, (id, fact)| {
        let facts = text::with(FACTS, fact, "");
        let base = requests.compile_all(&policies(&format!("{BASE}\n{facts}")));
        let mut properties = Property::joined(PROPERTIES, &facts).into_iter();
        let fails = properties.any(|property| failures(prover, &requests, &base, &property).next().is_some());
        (!fails).then_some(*id)
    });
    assert_eq!(unneeded.into_iter().flatten().collect::<Vec<_>>(), Vec::<&str>::new());
    let possible = requests.compile_all(&policies(&format!("permit (principal, action, resource);\n{FACTS}")));
    assert!(each(&possible, allow_something).into_iter().all(|it| it), "no request can have all these facts");
}
