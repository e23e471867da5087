//! The roles that each caller may make and delete, as a text table under version control. No role holds more than its maker.

#[allow(dead_code)]
#[path = "common/cedar.rs"]
mod cedar;
mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::id::{MembershipId, RoleId, TenantId, UserId};
use domain::policy::{self, Action};
use domain::{Entry, Member, Permission, Record, Role, Rules, Status, Time, role};
use fastrand::Rng;

static CEDAR: LazyLock<cedar::Texts> = LazyLock::new(|| cedar::Texts::new(&[]));

const ACME: TenantId = TenantId::new(1);

fn custom(number: u32, name: &str, rank: u8, permissions: &[(&str, bool)]) -> Role {
    let permission =
        |(name, access): &(&str, bool)| Permission { name: (*name).to_owned(), description: None, access: *access };
    let permissions = permissions.iter().map(permission).collect();
    Role { rank, permissions, ..Role::new(RoleId::new(number), name, Time::from_millis(0)) }
}

fn member(roles: impl IntoIterator<Item = RoleId>) -> Member {
    let new = Member::new(MembershipId::new(1), ACME, UserId::new(1), "ann@acme.example", Time::from_millis(0));
    Member { roles: roles.into_iter().collect(), ..new }
}

/// The rule that denies, or `allow`; the same as Cedar decides, in every dialect.
fn decide(catalog: &Rules, caller: &Member, action: &Action, role: &Role) -> String {
    let (principal, resource) = (policy::member(caller, catalog), role.entity(ACME, catalog));
    let decided = cedar::DIALECTS.map(|dialect| {
        let ours = catalog.policies.allow(dialect, &principal, action, &resource);
        assert_eq!(ours, CEDAR.decide(dialect, &principal, action, &resource), "{caller:?} {role:?}");
        ours.map_or_else(|denial| denial.rule, |_| "allow".to_owned())
    });
    assert!(decided.iter().all(|it| *it == decided[0]));
    decided[0].clone()
}

#[test]
fn the_table_says_who_may_make_and_delete_which_role() {
    let maker = custom(10, "maker", 1, &[("role:create", true), ("role:delete", true), ("invoice:read", true)]);
    let barred = custom(11, "barred", 1, &[("role:create", false), ("invoice:read", false)]);
    let frugal = custom(12, "frugal", 1, &[("invoice:write", false)]);
    let catalog = Rules::new(1, [maker, barred, frugal].map(Entry::Role));
    let [maker, barred, frugal] = [10, 11, 12].map(RoleId::new);
    let callers = [
        ("owner", member([role::OWNER])),
        ("owner, barred", member([role::OWNER, barred])),
        ("owner, frugal", member([role::OWNER, frugal])),
        ("admin", member([role::ADMIN])),
        ("admin, barred", member([role::ADMIN, barred])),
        ("user", member([role::USER])),
        ("maker", member([maker])),
        ("owner, deactivated", Member { status: Status::Deactivated, ..member([role::OWNER]) }),
    ];
    let roles = [
        ("of rank 1, empty", custom(20, "empty", 1, &[])),
        ("of rank 2, empty", custom(20, "empty", 2, &[])),
        ("with what admins hold", custom(20, "help", 1, &[("member:read", true), ("member:invite", true)])),
        ("with invoice:read", custom(20, "clerk", 1, &[("invoice:read", true)])),
        ("with invoice:write", custom(20, "scribe", 1, &[("invoice:write", true)])),
        ("with a new permission", custom(20, "pilot", 1, &[("plane:fly", true)])),
        ("with everything", custom(20, "all", 1, &[("*", true)])),
        ("that denies a permission", custom(20, "denies", 1, &[("invoice:read", false)])),
        ("user, built in", catalog.role(role::USER).unwrap().clone()),
        ("owner, built in", catalog.role(role::OWNER).unwrap().clone()),
    ];
    let mut text =
        String::from("Who may make and delete which role, in every tenant and dialect. Made by tests/roles.rs.\n");
    for (title, action) in [("create", Action::CreateRole), ("delete", Action::DeleteRole)] {
        let mut rows = vec![vec![title.to_owned()]];
        rows[0].extend(callers.iter().map(|(name, _)| (*name).to_owned()));
        for (name, role) in &roles {
            let mut row = vec![(*name).to_owned()];
            row.extend(callers.iter().map(|(_, caller)| decide(&catalog, caller, &action, role)));
            rows.push(row);
        }
        text.push('\n');
        text.push_str(&common::columns(&rows));
    }
    common::compare("roles.txt", &text);
}

/// The rules in Rust, not read from the Cedar text: the maker of a role holds each permission that it grants.
#[test]
fn no_role_holds_more_than_its_maker() {
    let mut rng = Rng::with_seed(11);
    let names = ["role:create", "role:delete", "member:read", "a:x", "b:y", "*"];
    let mut some = |most: usize| -> Vec<(&str, bool)> {
        let mut seen = BTreeSet::new();
        let picked = (0..rng.usize(..=most)).map(|_| (names[rng.usize(..names.len())], rng.u8(..3) > 0));
        picked.filter(|(name, _)| seen.insert(*name)).collect()
    };
    let (mut allowed, mut denied) = (0, 0);
    for round in 0..1_000_u32 {
        let rank = |number: u32| 1 + (number % 2) as u8;
        let held = custom(10, "held", rank(round), &some(4));
        let new = custom(20, "new", rank(round / 2), &some(3));
        let catalog = Rules::new(1, [Entry::Role(held)]);
        let built_in = [role::OWNER, role::ADMIN, role::USER][round as usize % 3];
        let caller = member([built_in, RoleId::new(10)]);
        let (holds, denies) = (catalog.permissions(&caller.roles), catalog.denied(&caller.roles));
        let may_give = |name: &&str| match *name {
            "*" => holds.contains("*") && denies.is_empty(),
            name => holds.contains(name) || holds.contains("*") && !denies.contains(name),
        };
        let may = holds.contains("role:create")
            && new.rank <= catalog.rank(&caller.roles)
            && new.names(true).iter().all(may_give);
        let decision = decide(&catalog, &caller, &Action::CreateRole, &new);
        assert_eq!(decision == "allow", may, "{decision}: {caller:?} {new:?} {catalog:?}");
        *if may { &mut allowed } else { &mut denied } += 1;
    }
    assert!(allowed > 100 && denied > 100, "{allowed} {denied}");
}
