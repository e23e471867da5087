//! A tenant's own policies.

#[path = "past.rs"]
mod past;

use policy_text::Place;

use super::invariants::World;
use super::*;

pub fn own(texts: &[&str]) -> Vec<Policy> {
    let policy = |(number, text): (u32, &&str)| {
        let compiled = check_text(text).unwrap_or_default();
        Policy { id: PolicyId::new(number), compiled }
    };
    (1..).zip(texts).map(policy).collect()
}

/// The decision for an owner who reads a user, in a tenant with these policies.
fn read_under(texts: &[&str]) -> Result<Vec<String>, Denial> {
    let catalog = Rules::new(1, own(texts).into_iter().map(Entry::Policy));
    decide(&catalog, "users", &member(1, [role::OWNER]), &Action::Read, &member(2, [role::USER]))
}

pub fn rule(decision: Result<Vec<String>, Denial>) -> String {
    decision.map_or_else(|denial| denial.rule, |_| "allow".to_owned())
}

const FORBID_READ: &str =
    r#"@notice("Nobody reads here.") forbid (principal, action == Action::"member:read", resource);"#;

#[test]
fn a_forbid_adds_to_the_base_policies() {
    assert_eq!(read_under(&[]), Ok(Vec::new()));
    assert_eq!(
        read_under(&[FORBID_READ]),
        Err(Denial {
            rule: "tenant-policy-1-0".to_owned(),
            action: "member:read",
            notices: vec!["Nobody reads here.".to_owned()],
        })
    );
    // Other actions are as before, and so are other tenants.
    let catalog = Rules::new(1, own(&[FORBID_READ]).into_iter().map(Entry::Policy));
    let (owner, user) = (member(1, [role::OWNER]), member(2, [role::USER]));
    assert_eq!(decide(&catalog, "users", &owner, &Action::UpdateProfile, &user), Ok(Vec::new()));
    assert_eq!(catalog.policies.enter(now(), &policy::member(&owner, &catalog), TenantId::new(1)), Ok(Vec::new()));
}

#[test]
fn the_base_rule_is_named_before_the_tenants_and_both_notices_arrive() {
    let catalog = Rules::new(
        1,
        own(&[r#"@notice("Not on a Monday.") forbid (principal, action, resource);"#]).into_iter().map(Entry::Policy),
    );
    let denial =
        decide(&catalog, "users", &member(1, [role::ADMIN]), &Action::UpdateProfile, &member(2, [role::OWNER]));
    let denial = denial.unwrap_err();
    assert_eq!(denial.rule, "outranked");
    assert_eq!(denial.notices, ["The member outranks you.", "Not on a Monday."]);
}

#[test]
fn no_policy_of_a_tenant_ever_allows_more() {
    const FORBIDS: [&str; 6] = [
        "forbid (principal, action, resource) when { principal.rank < 3 };",
        r#"forbid (principal, action == Action::"member:assign-role", resource) when { context.rank > 1 };"#,
        r#"forbid (principal, action == Action::"member:read", resource) unless { principal == resource };"#,
        r#"forbid (principal in Group::"1", action, resource in Group::"2");"#,
        r#"forbid (principal, action in Action::"member:any", resource) when { resource has status && resource.status != "active" };"#,
        r#"forbid (principal, action, resource) when { principal has nothing };"#,
    ];
    let mut rng = Rng::with_seed(6);
    let (mut taken, mut kept) = (0, 0);
    for _ in 0..150 {
        let world = World::generate(&mut rng);
        let count = rng.usize(1..=2);
        let texts = rng.choose_multiple(FORBIDS, count);
        let entries = world.roles.values().cloned().map(Box::new).map(Entry::Role);
        let stricter = Rules::new(1, entries.chain(own(&texts).into_iter().map(Entry::Policy)));
        let (caller, target) = (world.member(&mut rng, 1), world.member(&mut rng, 2));
        let after: BTreeSet<RoleId> = world.some_roles(&mut rng).into_iter().collect();
        for action in [Action::Read, Action::UpdateProfile, assign(&world.catalog, &target, &after)] {
            let without = decide(&world.catalog, "users", &caller, &action, &target);
            let with = decide(&stricter, "users", &caller, &action, &target);
            match (without, with) {
                (Ok(notices), Ok(now)) => {
                    assert_eq!(notices, now);
                    kept += 1;
                }
                (Ok(_), Err(denial)) => {
                    assert!(denial.rule.starts_with("tenant-policy-"), "{denial:?}");
                    taken += 1;
                }
                (Err(_), with) => assert!(with.is_err(), "{texts:?} allowed {action:?}"),
            }
        }
    }
    assert!(taken > 20 && kept > 20, "{taken} {kept}");
}

/// Every attribute of the schema exists and is true: each policy is valid, and forbids exactly here.
#[test]
fn policies_see_the_facts() {
    let assigned = r#"action == Action::"member:assign-role""#;
    let grouped = r#"action == Action::"member:set-groups""#;
    let any = r#"action in Action::"member:any""#;
    let conditions = [
        (any, r#"principal.status == "active" && resource.status == "deactivated""#),
        (any, r#"principal.roles == ["admin", "frozen"] && resource.roles == ["clerk"]"#),
        (any, "principal.rank == 2 && resource.rank == 1"),
        (any, r#"principal.holds.contains("member:set-groups") && !principal.holds.contains("member:assign-role")"#),
        (any, r#"resource.holds == ["member:read", "invoice:approve"]"#),
        (any, r#"principal.groups == [Group::"1", Group::"2"] && resource.groups == [Group::"1"]"#),
        (any, r#"principal.manages == [Group::"2"] && resource.manages == [Group::"1"]"#),
        (any, r#"principal in Group::"2" && !(resource in Group::"2") && resource in Tenant::"1""#),
        (any, r#"principal == Member::"1" && resource == Member::"2""#),
        (any, r#"context.dialect == "membership""#),
        (assigned, r#"context.adds == ["hr"] && context.removes == ["clerk"] && context.rank == 1"#),
        (assigned, r#"context.gains == ["member:assign-role", "member:set-status", "member:set-groups"]"#),
        (r#"action == Action::"member:set-status""#, r#"context.status == "active""#),
        (
            grouped,
            r#"context.joins == [Group::"2"] && context.leaves == [Group::"1"] && context.manages == [Group::"2"]"#,
        ),
    ];
    let caller =
        Member { groups: [SALES, SUPPORT].into(), manages: [SUPPORT].into(), ..member(1, [role::ADMIN, FROZEN]) };
    let target =
        Member { status: Status::Deactivated, groups: [SALES].into(), manages: [SALES].into(), ..member(2, [CLERK]) };
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    let validator = Validator::new(schema);
    for (scope, condition) in conditions {
        let text = format!("@notice(\"seen\") forbid (principal, {scope}, resource) when {{ {condition} }};");
        let valid = validator.validate(&PolicySet::from_str(&text).unwrap(), ValidationMode::Strict);
        assert!(valid.validation_passed(), "{text}: {valid}");

        let entries =
            roles().map(Box::new).map(Entry::Role).into_iter().chain(own(&[&text]).into_iter().map(Entry::Policy));
        let catalog = Rules::new(1, entries);
        let actions = [
            Action::Read,
            Action::UpdateProfile,
            assign(&catalog, &target, &[HR].into()),
            Action::SetStatus(Status::Active),
            regroup(&catalog, &target, &[SUPPORT].into(), &[SUPPORT].into()),
        ];
        // The notice shows it, because a base rule that denies as well is named first.
        let seen = actions.iter().filter(|action| {
            let decision = decide(&catalog, "membership", &caller, action, &target);
            decision.is_err_and(|denial| denial.notices.iter().any(|notice| notice == "seen"))
        });
        assert_eq!(seen.count(), if scope == any { actions.len() } else { 1 }, "{text}");
        // Entering is no action on a member.
        assert_eq!(catalog.policies.enter(now(), &policy::member(&caller, &catalog), TenantId::new(1)), Ok(Vec::new()));
    }
}

#[test]
fn a_text_of_several_statements_and_several_texts_keep_their_ids_apart() {
    // More than ten, since ids sort as text, and the second text brings the first one's statements again.
    let statements: Vec<String> = (0..12)
        .map(|at| format!("@id(\"mine\") @notice(\"{at}\") forbid (principal, action, resource) when {{ context.dialect == \"users\" }};"))
        .collect();
    let text = statements.join("\n");
    let forbid_enter = r#"forbid (principal, action == Action::"tenant:enter", resource);"#;
    let only_reads = r#"forbid (principal, action, resource) unless { action == Action::"member:read" };"#;

    let texts = [text.replace("action,", "action == Action::\"member:read\","), forbid_enter.to_owned()];
    let denial = read_under(&[&texts[0], &texts[0], &texts[1]]).unwrap_err();
    assert_eq!(denial.rule, "tenant-policy-1-0");
    // Each of the 24 decided, and equal notices appear once.
    assert_eq!(denial.notices.iter().map(|it| it.parse::<u8>().unwrap()).collect::<BTreeSet<_>>(), (0..12).collect());
    assert_eq!(denial.notices.len(), 12);

    // The third text's only statement goes by the number of its item.
    let catalog = Rules::new(1, own(&[&texts[0], only_reads, forbid_enter]).into_iter().map(Entry::Policy));
    let owner = member(1, [role::OWNER]);
    let entered = catalog.policies.enter(now(), &policy::member(&owner, &catalog), TenantId::new(1));
    assert_eq!(rule(entered), "tenant-policy-2-0");
    let catalog = Rules::new(1, own(&[&texts[0], FORBID_READ, forbid_enter]).into_iter().map(Entry::Policy));
    let entered = catalog.policies.enter(now(), &policy::member(&owner, &catalog), TenantId::new(1));
    assert_eq!(rule(entered), "tenant-policy-3-0");
}

#[test]
fn a_text_without_statements_changes_nothing() {
    for text in ["", "  \n", "// to be written"] {
        assert_eq!(read_under(&[text]), Ok(Vec::new()), "{text:?}");
    }
}

/// A forbidden text is refused. If it is stored all the same, it closes the tenant, and does not open it.
#[track_caller]
fn refused(text: &str) -> Refused {
    let denied = Denial { rule: POLICY_ERROR.to_owned(), action: "member:read", notices: Vec::new() };
    // One bad text is enough, whatever texts are beside it.
    assert_eq!(read_under(&[FORBID_READ, text]), Err(denied), "{text}");
    let catalog = Rules::new(1, own(&[text]).into_iter().map(Entry::Policy));
    let owner = member(1, [role::OWNER]);
    assert_eq!(rule(catalog.policies.enter(now(), &policy::member(&owner, &catalog), TenantId::new(1))), POLICY_ERROR);
    check_text(text).unwrap_err()
}

#[test]
fn only_forbids_are_taken() {
    let place = |column: usize| Place { line: 1, column };
    let permit = "permit (principal, action, resource);";
    assert_eq!(refused(permit), Refused::Permit(place(1)));
    assert_eq!(refused(&format!("{FORBID_READ} {permit}")), Refused::Permit(place(FORBID_READ.len() + 2)));
    let template = Refused::Template(place(1));
    assert_eq!(refused("forbid (principal == ?principal, action, resource);"), template);
    assert_eq!(refused("permit (principal in ?principal, action, resource in ?resource);"), template);
    for text in [
        "forbid",
        "forbid (principal, action, resource)",
        "forbid (principal, action);",
        "allow (principal, action, resource);",
        "\0",
    ] {
        assert!(matches!(refused(text), Refused::Syntax(_)), "{text}");
    }
}

#[test]
fn a_policy_that_errs_denies() {
    for condition in [
        "principal.nothing",
        "principal.nothing == 1",
        "context.rank > 1",
        "principal.rank == 9223372036854775807 + 1",
        "principal.status < 2",
        r#"Member::"99".rank > 1"#,
        "1",
    ] {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        assert_eq!(check_text(&text).map(drop), Ok(()), "{text}");
        let decision = read_under(&[&text]);
        assert_eq!(
            decision,
            Err(Denial { rule: POLICY_ERROR.to_owned(), action: "member:read", notices: Vec::new() }),
            "{text}"
        );
    }
    // A condition that is not evaluated cannot err.
    let elsewhere =
        r#"forbid (principal, action == Action::"member:assign-role", resource) when { principal.nothing };"#;
    assert_eq!(read_under(&[elsewhere]), Ok(Vec::new()));
    assert_eq!(
        read_under(&["forbid (principal, action, resource) when { principal has nothing && principal.nothing };"]),
        Ok(Vec::new())
    );
}

#[test]
fn the_longest_text_is_10_kib() {
    let longest = format!("{FORBID_READ} // {}", "x".repeat(MAX_TEXT - FORBID_READ.len() - 4));
    assert_eq!(longest.len(), 10 * 1024);
    assert_eq!(rule(read_under(&[&longest])), "tenant-policy-1-0");
    assert_eq!(refused(&format!("{longest}x")), Refused::TooLong);
}

/// The stack of a function's thread. A parser that recurses with the text would end the process, and this test.
fn on_a_small_stack<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn_scoped(scope, work);
        thread.unwrap().join().unwrap()
    })
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    let nested = |open: &str, inner: &str, close: &str, depth| {
        format!("forbid (principal, action, resource) when {{{}{inner}{}}};", open.repeat(depth), close.repeat(depth))
    };
    for depth in [MAX_POLICY_DEPTH, 200, 1000] {
        let too_deep = [
            nested("(", "true", ")", depth),
            nested("[", "1", "]", depth),
            nested("{a: ", "1", "}", depth),
            nested("if true then ", "1", " else 1", depth),
            nested("if true then 1 else ", "1", "", depth),
            nested("if (", "true", ") then 1 else 1", depth),
            nested("principal.holds.contains(", "1", ")", depth),
            // Brackets in texts and comments close nothing.
            nested("(\")\" == ", "1", ")", depth),
            nested("[\"\\\")]}\", ", "1", "]", depth),
            nested("( // )\n", "1", ")", depth),
            nested("( // )\r", "1", ")", depth),
            nested("(\"//\" == \")\" || ", "1", ")", depth),
        ];
        for text in too_deep.into_iter().filter(|text| text.len() <= MAX_TEXT) {
            on_a_small_stack(|| assert!(matches!(refused(&text), Refused::TooDeep(_)), "{text}"));
        }
    }
    // The deepest accepted text, with the most costly levels. The condition's own bracket is the first one.
    let depth = MAX_POLICY_DEPTH - 1;
    for text in [
        nested("(", "true", ")", depth),
        nested("if true then ", "true", " else true", depth),
        nested("[", "1", "]", depth),
        nested("{a: ", "1", "}", depth),
        // Operators nest as well, as deep as functions read.
        nested("!!!!true && 1 + 1 == ----1 * (", "1", ")", 19),
        nested("!principal.holds.contains(", "1", ")", 29),
    ] {
        on_a_small_stack(|| {
            assert_eq!(check_text(&text).map(drop), Ok(()), "{text}");
            assert!(read_under(&[&text]).is_err());
        });
    }
    // Only brackets count.
    let quoted = nested("\"((((\" == \"\\\"[[[[\" && ", "true", " // {{{{\n", 50);
    assert_eq!(check_text(&quoted).map(drop), Ok(()));
}

#[test]
fn long_chains_fit_the_stack() {
    let longest = |head: &str, link: &str, tail: &str| {
        let rest = MAX_TEXT - "forbid(principal,action,resource)when{};".len() - head.len() - tail.len();
        format!("forbid(principal,action,resource)when{{{head}{}{tail}}};", link.repeat(rest / link.len()))
    };
    for text in [
        longest("principal", ".a", ""),
        longest("principal", ".a()", ""),
        longest("principal", "[\"a\"]", ""),
        longest("principal has a", ".a", ""),
        longest("", "true&&", "true"),
        longest("", "false||", "false"),
        longest("", "1+", "1"),
        longest("", "1-", "1"),
        longest("", "1*", "1"),
        longest("", "1==", "1"),
        longest("", "!", "true"),
        longest("", "-", "1"),
        longest("", "A::", "\"a\""),
        longest("", "if ", "true"),
        longest("[", "1,", "1]"),
        longest("{a:1", ",a:1", "}"),
        longest("principal in [", "A::\"\",", "A::\"\"]"),
        longest("\"a\" like \"", "*a", "\""),
        longest("true}", "when{true}", "when{true"),
        longest("true};", "forbid(principal,action,resource);", "forbid(principal,action,resource)when{true"),
        ";".repeat(MAX_TEXT),
        ")".repeat(MAX_TEXT),
    ] {
        // Cedar may take it or not. This thread must go on.
        on_a_small_stack(|| assert_ne!(rule(read_under(&[&text])), NOT_PERMITTED, "{}", &text[..80]));
    }
}

#[test]
fn policies_of_one_tenant_are_not_anothers() {
    let strict = Policies::new(&own(&["forbid (principal, action, resource);"]));
    let catalog = Rules::new(1, []);
    let owner = member(1, [role::OWNER]);
    let facts = policy::member(&owner, &catalog);
    assert_eq!(rule(strict.enter(now(), &facts, TenantId::new(1))), "tenant-policy-1-0");
    assert_eq!(rule(Policies::new(&[]).enter(now(), &facts, TenantId::new(1))), "allow");
}

/// The first policies under a heading of the README.
pub fn readme(heading: &str) -> &'static str {
    let (_, section) = include_str!("../../../../README.md").split_once(heading).unwrap();
    section.split("```cedar\n").nth(1).and_then(|text| text.split("```").next()).unwrap()
}
