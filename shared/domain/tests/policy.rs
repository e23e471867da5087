//! The policy: as a text table under version control (`policy.txt`), as invariants over generated catalogs, and what a
//! tenant's own rules can do to it.

#[path = "common/cedar.rs"]
mod cedar;
#[path = "policy/chains.rs"]
mod chains;
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use domain::Time;
use domain::id::{GroupId, MembershipId, PolicyId, RoleId, TenantId, UserId};
use domain::policy;
use domain::policy::eval::Entity;
use domain::policy::{
    Action, BASE, MAX_POLICY_BYTES, MAX_POLICY_DEPTH, NOT_PERMITTED, POLICY_ERROR, Policies, Refused, check_text,
};
use domain::problem::Denial;
use domain::{Entry, Member, Permission, Policy, Role, Rules, Status, role};
use fastrand::Rng;

const SCHEMA: &str = include_str!("../policies/schema.cedarschema");

const SALES: GroupId = GroupId::new(1);
const SUPPORT: GroupId = GroupId::new(2);

fn member(user: u32, roles: impl IntoIterator<Item = RoleId>) -> Member {
    let (id, email) = (MembershipId::new(user), format!("member{user}@acme.example"));
    let blank = Member::new(id, TenantId::new(1), UserId::new(user), &email, Time::from_millis(0));
    Member { roles: roles.into_iter().collect(), ..blank }
}

fn custom(id: RoleId, name: &str, rank: u8, permissions: &[(&str, bool)]) -> Role {
    let permission =
        |(name, access): &(&str, bool)| Permission { name: (*name).to_owned(), description: None, access: *access };
    let permissions = permissions.iter().map(permission).collect();
    Role { rank, permissions, ..Role::new(id, name, Time::from_millis(0)) }
}

/// The change of a member's roles into `after`, as a request for it is decided.
fn assign<'a>(catalog: &'a Rules, target: &Member, after: &BTreeSet<RoleId>) -> Action<'a> {
    let name = |id: &RoleId| catalog.role(*id).unwrap().name.as_str();
    Action::AssignRole {
        adds: after.difference(&target.roles).map(name).collect(),
        removes: target.roles.difference(after).map(name).collect(),
        rank: catalog.rank(after),
        gains: catalog.gains(target, &Member { roles: after.clone(), ..target.clone() }),
    }
}

/// The change of a member's groups and of those managed, as a request for it is decided.
fn regroup(before: &Member, groups: &BTreeSet<GroupId>, manages: &BTreeSet<GroupId>) -> Action<'static> {
    Action::SetGroups {
        joins: groups - &before.groups,
        leaves: &before.groups - groups,
        manages: manages - &before.manages,
    }
}

fn decide(
    catalog: &Rules,
    dialect: &str,
    caller: &Member,
    action: &Action,
    target: &Member,
) -> Result<Vec<String>, Denial> {
    let (principal, resource) = (policy::member(caller, catalog), policy::member(target, catalog));
    catalog.policies.allow(dialect, &principal, action, &resource)
}

// ---- The base policies

#[test]
fn the_base_policies_are_valid_in_strict_mode() {
    let (schema, warnings) = Schema::from_cedarschema_str(SCHEMA).unwrap();
    assert_eq!(warnings.map(|it| it.to_string()).collect::<Vec<_>>(), Vec::<String>::new());
    let validator = Validator::new(schema);
    let findings = |text: &str| -> Vec<String> {
        let found = validator.validate(&PolicySet::from_str(text).unwrap(), ValidationMode::Strict);
        let errors = found.validation_errors().map(ToString::to_string);
        errors.chain(found.validation_warnings().map(ToString::to_string)).collect()
    };
    assert_eq!(findings(BASE), Vec::<String>::new());
    assert_eq!(PolicySet::from_str(BASE).unwrap().templates().count(), 0);

    // Without these, a validator that finds nothing would do.
    let misspelt = format!("{BASE}\nforbid (principal, action, resource) when {{ principal.state == \"active\" }};");
    assert!(findings(&misspelt).iter().any(|it| it.contains("state")), "{:?}", findings(&misspelt));
    let impossible = format!("{BASE}\nforbid (principal, action, resource) when {{ principal.rank < 2 && false }};");
    assert_eq!(findings(&impossible).len(), 1);
}

#[test]
fn every_base_policy_has_an_id_of_its_own() {
    let set = PolicySet::from_str(BASE).unwrap();
    let ids: BTreeSet<&str> = set.policies().filter_map(|policy| policy.annotation("id")).collect();
    assert_eq!(ids.len(), set.policies().count());
    assert!(!ids.contains(""));
    // The order in which denials are named is that of the lines that start with `@id`.
    assert_eq!(ids, BASE.lines().filter_map(|line| line.strip_prefix("@id(\"")?.strip_suffix("\")")).collect());
}

// ---- The table

const HR: RoleId = RoleId::new(10);
const AUDITOR: RoleId = RoleId::new(11);
const CLERK: RoleId = RoleId::new(12);
const HELPER: RoleId = RoleId::new(13);
const FROZEN: RoleId = RoleId::new(14);
const PRIVATE: RoleId = RoleId::new(15);
const APART: RoleId = RoleId::new(16);
const SENIOR: RoleId = RoleId::new(17);

/// The roles of the table, with what is special about them.
fn roles() -> [Role; 8] {
    let hr = ["member:read", "member:assign-role", "member:set-status", "member:set-groups"].map(|name| (name, true));
    [
        custom(HR, "hr", 1, &hr),
        custom(AUDITOR, "auditor", 1, &[]),
        // More than an admin holds.
        custom(CLERK, "clerk", 1, &[("member:read", true), ("invoice:approve", true)]),
        // The same as `user`.
        custom(HELPER, "helper", 1, &[("member:read", true)]),
        custom(FROZEN, "frozen", 1, &[("member:assign-role", false)]),
        custom(PRIVATE, "private", 1, &[("member:update-profile", false)]),
        custom(APART, "apart", 1, &[("member:set-groups", false)]),
        custom(SENIOR, "senior", 2, &[("member:read", true), ("member:assign-role", true)]),
    ]
}

/// A member who manages sales.
fn manager(user: u32, roles: &[RoleId]) -> Member {
    Member { groups: [SALES].into(), manages: [SALES].into(), ..member(user, roles.iter().copied()) }
}

fn callers() -> Vec<(&'static str, Member)> {
    vec![
        ("an owner: owner", member(1, [role::OWNER])),
        ("an admin: admin", member(2, [role::ADMIN])),
        ("a user: user", member(3, [role::USER])),
        ("hr: may read, assign roles, set status and groups", member(4, [HR])),
        ("an auditor: a role without permissions", member(5, [AUDITOR])),
        ("a group's manager: user, manages sales", manager(6, &[role::USER])),
        ("a group's manager with hr: manages sales", manager(7, &[HR])),
        ("a group's manager who is denied member:update-profile: user and private", manager(8, &[role::USER, PRIVATE])),
        ("an admin who is denied member:assign-role: admin and frozen", member(9, [role::ADMIN, FROZEN])),
        ("an owner who is denied member:set-groups: owner and apart", member(13, [role::OWNER, APART])),
        ("an owner who is denied member:update-profile: owner and private", member(14, [role::OWNER, PRIVATE])),
        ("a clerk of the second rank: senior, holds nothing over members but member:assign-role", member(15, [SENIOR])),
        ("a deactivated admin", Member { status: Status::Deactivated, ..member(10, [role::ADMIN]) }),
        ("an invited admin", Member { status: Status::Invited, ..member(11, [role::ADMIN]) }),
        ("a member without roles", member(12, [])),
    ]
}

fn targets() -> Vec<(&'static str, Member)> {
    vec![
        ("an owner", member(21, [role::OWNER])),
        ("an admin", member(22, [role::ADMIN])),
        ("a user", member(23, [role::USER])),
        ("a clerk", member(24, [CLERK])),
        ("deactivated", Member { status: Status::Deactivated, ..member(25, [role::USER]) }),
        ("a user in sales", Member { groups: [SALES].into(), ..member(26, [role::USER]) }),
        ("invited", Member { status: Status::Invited, ..member(27, [role::USER]) }),
        ("private in sales", Member { groups: [SALES].into(), ..member(28, [role::USER, PRIVATE]) }),
        ("private manager", manager(29, &[role::USER, PRIVATE])),
    ]
}

/// What is asked of a target, as it is before.
type Ask = for<'a> fn(&'a Rules, &Member) -> Action<'a>;

fn asks() -> Vec<(&'static str, Ask)> {
    fn with(set: &BTreeSet<GroupId>, group: GroupId) -> BTreeSet<GroupId> {
        set | &BTreeSet::from([group])
    }
    /// The roles of a member from the highest to the lowest.
    fn ranked(catalog: &Rules, target: &Member) -> Vec<RoleId> {
        let mut roles: Vec<_> = target.roles.iter().copied().collect();
        roles.sort_by_key(|id| std::cmp::Reverse(catalog.role(*id).unwrap().rank));
        roles
    }
    vec![
        ("read", |_, _| Action::Read),
        ("update-profile", |_, _| Action::UpdateProfile),
        ("assign owner", |catalog, target| assign(catalog, target, &[role::OWNER].into())),
        ("assign admin", |catalog, target| assign(catalog, target, &[role::ADMIN].into())),
        ("assign user", |catalog, target| assign(catalog, target, &[role::USER].into())),
        ("assign clerk", |catalog, target| assign(catalog, target, &[CLERK].into())),
        ("assign helper", |catalog, target| assign(catalog, target, &[HELPER].into())),
        ("add admin", |catalog, target| assign(catalog, target, &(&target.roles | &[role::ADMIN].into()))),
        ("add frozen", |catalog, target| assign(catalog, target, &(&target.roles | &[FROZEN].into()))),
        ("drop private", |catalog, target| assign(catalog, target, &(&target.roles - &[PRIVATE].into()))),
        ("drop the highest", |catalog, target| {
            assign(catalog, target, &ranked(catalog, target).into_iter().skip(1).collect())
        }),
        ("drop the lowest", |catalog, target| {
            assign(catalog, target, &ranked(catalog, target).into_iter().rev().skip(1).collect())
        }),
        ("same roles", |catalog, target| assign(catalog, target, &target.roles)),
        ("activate", |_, _| Action::SetStatus(Status::Active)),
        ("deactivate", |_, _| Action::SetStatus(Status::Deactivated)),
        ("join sales", |_, target| regroup(target, &with(&target.groups, SALES), &target.manages)),
        ("join support", |_, target| regroup(target, &with(&target.groups, SUPPORT), &target.manages)),
        ("leave all groups", |_, target| regroup(target, &BTreeSet::new(), &BTreeSet::new())),
        ("manage sales", |_, target| regroup(target, &with(&target.groups, SALES), &with(&target.manages, SALES))),
        ("manage support", |_, target| {
            regroup(target, &with(&target.groups, SUPPORT), &with(&target.manages, SUPPORT))
        }),
    ]
}

#[test]
fn the_policy_is_the_table() {
    let catalog = Rules::new(1, roles().map(Entry::Role));
    let targets = targets();
    // What the rules say to the caller, and the numbers under which the table refers to what comes with a permission.
    let (mut rules, mut notices) = (BTreeMap::new(), Vec::new());
    let mut cell = |decision: Result<Vec<String>, Denial>| match decision {
        Ok(said) => {
            let mut text = "allow".to_owned();
            for notice in said {
                let number = notices.iter().position(|known| *known == notice).unwrap_or(notices.len());
                if number == notices.len() {
                    notices.push(notice);
                }
                write!(text, " [{}]", number + 1).unwrap();
            }
            text
        }
        Err(denial) => {
            // Other rules that deny as well have theirs said after it.
            let said = denial.notices.first().cloned().unwrap_or_default();
            assert_eq!(*rules.entry(denial.rule.clone()).or_insert(said.clone()), said);
            denial.rule
        }
    };

    let mut text = String::from(
        "Who may do what to whom, in every tenant: `allow`, or the rule that denies. Made by tests/policy.rs.\n\
         `assign` makes a role the only one, `add` and `drop` leave the others; what drops goes by rank.\n\
         In `directory`, whoever is no administrator may do nothing: `minimum-role-admin` decides.\n",
    );
    for (caller_name, caller) in callers() {
        write!(text, "\n{caller_name}\n").unwrap();
        let mut rows = vec![vec![String::new(), "self".to_owned()]];
        rows[0].extend(targets.iter().map(|(name, _)| (*name).to_owned()));
        for (ask_name, ask) in asks() {
            let mut row = vec![ask_name.to_owned()];
            for target in std::iter::once(&caller).chain(targets.iter().map(|(_, target)| target)) {
                let action = ask(&catalog, target);
                let decision = decide(&catalog, "users", &caller, &action, target);
                let in_directory = decide(&catalog, "directory", &caller, &action, target);
                match caller.status == Status::Active && catalog.rank(&caller.roles) < 2 {
                    true => assert_eq!(cell(in_directory), "minimum-role-admin"),
                    false => assert_eq!(in_directory, decision),
                }
                row.push(cell(decision));
            }
            rows.push(row);
        }
        let enter = cell(catalog.policies.enter(&policy::member(&caller, &catalog), TenantId::new(1)));
        match enter == "allow" {
            true => text.push_str(&common::columns(&rows)),
            // Who may not enter may do nothing else either.
            false => {
                assert!(rows[1..].iter().flat_map(|row| &row[1..]).all(|cell| *cell == enter), "{rows:?}");
                writeln!(text, "whatever it is     {enter}").unwrap();
            }
        }
    }
    text.push_str("\nWith a permission, the caller is told\n");
    for (number, notice) in (1..).zip(&notices) {
        writeln!(text, "[{number}]  {notice}").unwrap();
    }
    text.push_str("\nWith a denial, the caller is told\n");
    text.push_str(&common::columns(&rules.into_iter().map(|(rule, said)| vec![rule, said]).collect::<Vec<_>>()));
    common::compare("policy.txt", &text);
}

#[test]
fn the_table_is_what_cedar_decides() {
    let catalog = Rules::new(1, roles().map(Entry::Role));
    let (targets, cedar) = (targets(), cedar::Texts::new(&[]));
    for (caller_name, caller) in callers() {
        let principal = policy::member(&caller, &catalog);
        for target in std::iter::once(&caller).chain(targets.iter().map(|(_, target)| target)) {
            let resource = policy::member(target, &catalog);
            for (ask_name, ask) in asks() {
                let action = ask(&catalog, target);
                for dialect in cedar::DIALECTS {
                    let ours = catalog.policies.allow(dialect, &principal, &action, &resource);
                    let cedars = cedar.decide(dialect, &principal, &action, &resource);
                    assert_eq!(ours, cedars, "{caller_name}, {ask_name}: {target:?} in {dialect:?}");
                }
            }
        }
    }
}

// ---- Invariants

/// A catalog, and what it was made of.
struct World {
    catalog: Rules,
    roles: BTreeMap<RoleId, Role>,
}

impl World {
    /// Two to four roles of a tenant beside the built-in ones, of few names, so that grants and denials meet.
    fn generate(rng: &mut Rng) -> Self {
        const NAMES: [&str; 8] = [
            "*",
            "member:read",
            "member:update-profile",
            "member:assign-role",
            "member:set-status",
            "member:set-groups",
            "member:invite",
            "invoice:approve",
        ];
        let mut roles = BTreeMap::new();
        for number in 10..10 + rng.u32(2..=4) {
            let count = rng.usize(0..=5);
            let names = rng.choose_multiple(NAMES, count);
            let permissions: Vec<_> = names.into_iter().map(|name| (name, rng.u8(0..4) > 0)).collect();
            let id = RoleId::new(number);
            roles.insert(id, custom(id, &format!("role-{number}"), rng.u8(1..=2), &permissions));
        }
        let catalog = Rules::new(1, roles.values().cloned().map(Entry::Role));
        roles.extend(role::BUILT_IN.map(|id| (id, catalog.role(id).unwrap().clone())));
        Self { catalog, roles }
    }

    fn member(&self, rng: &mut Rng, user: u32) -> Member {
        let groups: BTreeSet<_> = [SALES, SUPPORT].into_iter().filter(|_| rng.bool()).collect();
        Member {
            status: [Status::Active, Status::Deactivated, Status::Invited][rng.usize(..8).saturating_sub(5)],
            manages: groups.iter().copied().filter(|_| rng.bool()).collect(),
            groups,
            ..member(user, self.some_roles(rng))
        }
    }

    /// One or two roles, rarely more or none.
    fn some_roles(&self, rng: &mut Rng) -> Vec<RoleId> {
        let count = [0, 1, 1, 1, 2, 2, 3][rng.usize(..7)];
        rng.choose_multiple(self.roles.keys().copied(), count)
    }

    /// Every set of roles that there is.
    fn all_sets(&self) -> impl Iterator<Item = BTreeSet<RoleId>> {
        (0_u32..1 << self.roles.len()).map(|bits| {
            self.roles.keys().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, id)| *id).collect()
        })
    }

    fn rank(&self, held: &BTreeSet<RoleId>) -> u8 {
        held.iter().map(|id| self.roles[id].rank).max().unwrap_or(0)
    }

    /// What the roles allow, name by name: granted by one, by name or with everything, and denied by none.
    fn holds(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        let names = self.roles.values().flat_map(|role| &role.permissions).map(|permission| permission.name.as_str());
        names.filter(|name| self.say(held, name, true) && !self.denies(held, name)).collect()
    }

    /// What `target` gains by other roles: what they do not hold, what is no longer denied, and, with a higher rank, whatever
    /// they can then do to more members, be it by a role or by a group that they manage.
    fn gains(&self, target: &Member, after: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        let names = self.roles.values().flat_map(|role| &role.permissions).map(|permission| permission.name.as_str());
        let raised = self.rank(after) > self.rank(&target.roles);
        names
            .filter(|name| {
                let by_group = !target.manages.is_empty() && matches!(*name, "member:read" | "member:update-profile");
                let (held, holds) = [&target.roles, after].map(|roles| self.holds(roles).contains(name)).into();
                let (denied, denies) = [&target.roles, after].map(|roles| self.denies(roles, name)).into();
                let over_more = raised && !denies && name.starts_with("member:") && (holds || by_group);
                holds && !held || denied && !denies || over_more
            })
            .collect()
    }

    fn denies(&self, held: &BTreeSet<RoleId>, name: &str) -> bool {
        self.say(held, name, false)
    }

    fn say(&self, held: &BTreeSet<RoleId>, name: &str, access: bool) -> bool {
        let mut permissions = held.iter().flat_map(|id| &self.roles[id].permissions);
        permissions.any(|it| it.access == access && (it.name == name || it.name == "*"))
    }
}

/// The rules in Rust, written from the contracts and not from the Cedar text.
fn may(world: &World, dialect: &str, caller: &Member, action: &Action, target: &Member) -> bool {
    let (holds, rank) = (world.holds(&caller.roles), world.rank(&caller.roles));
    let held = holds.contains(action.name());
    let own = caller.user == target.user;
    let managed = !caller.manages.is_disjoint(&target.groups) && !world.denies(&caller.roles, action.name());
    let outranked = world.rank(&target.roles) > rank;
    caller.status == Status::Active
        && (dialect != "directory" || rank >= 2)
        && match action {
            Action::CreateRole | Action::DeleteRole => panic!("those are in tests/roles.rs"),
            Action::Read => held || own || managed,
            Action::UpdateProfile => !outranked && (held || own || managed),
            Action::AssignRole { rank: becomes, gains, .. } => {
                // Members of the lower rank can act on the member then.
                let exposes = *becomes < world.rank(&target.roles);
                let over_members = ["update-profile", "set-status", "set-groups", "invite"];
                let may_expose = over_members.iter().all(|name| holds.contains(format!("member:{name}").as_str()));
                !outranked
                    && *becomes <= rank
                    && gains.is_subset(&holds)
                    && if own { gains.is_empty() } else { held && (!exposes || may_expose) }
            }
            Action::SetStatus(status) => {
                let ends_invitation = target.status == Status::Invited && *status != Status::Invited;
                !outranked
                    && (held || own && *status == Status::Deactivated)
                    && (!ends_invitation || holds.contains("member:invite"))
            }
            Action::SetGroups { joins, manages, .. } => {
                let as_manager = ["member:read", "member:update-profile"];
                let held_by_role = as_manager.iter().all(|name| holds.contains(name));
                let held_by_group = manages.is_subset(&caller.manages)
                    && !as_manager.iter().any(|name| world.denies(&caller.roles, name));
                let takes = !(joins.is_empty() && manages.is_empty());
                !outranked
                    && (joins.is_empty() || holds.contains("member:update-profile"))
                    && (manages.is_empty() || held_by_role || held_by_group)
                    && if own { !takes || held && holds.contains("*") } else { held }
            }
        }
}

#[test]
fn permissions_are_what_is_granted_and_not_denied() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..200 {
        let world = World::generate(&mut rng);
        for held in world.all_sets() {
            assert_eq!(world.catalog.permissions(&held), world.holds(&held), "{held:?} of {:?}", world.roles);
            assert_eq!(world.catalog.rank(&held), world.rank(&held));
        }
    }
}

#[test]
fn nobody_gives_or_gains_what_is_not_theirs() {
    let mut rng = Rng::with_seed(2);
    let (mut allowed, mut denied, mut allowed_to_self) = (0, 0, 0);
    for _ in 0..60 {
        let world = World::generate(&mut rng);
        let (caller, other) = (world.member(&mut rng, 1), world.member(&mut rng, 2));
        let target = if rng.u8(0..3) == 0 { &caller } else { &other };
        for after in world.all_sets() {
            let action = assign(&world.catalog, target, &after);
            let Action::AssignRole { gains, .. } = &action else { panic!("{action:?}") };
            assert_eq!(*gains, world.gains(target, &after), "{target:?}\n{after:?}\n{:?}", world.roles);
            let may = may(&world, "users", &caller, &action, target);
            let decision = decide(&world.catalog, "users", &caller, &action, target);
            let shown = || format!("{caller:?}\n{target:?}\n{action:?}\n{:?}\n{decision:?}", world.roles);
            assert_eq!(decision.is_ok(), may, "{}", shown());
            if decision.is_err() {
                denied += 1;
                continue;
            }
            allowed += 1;
            let (own, before, then) = (world.holds(&caller.roles), world.holds(&target.roles), world.holds(&after));
            assert_eq!(caller.status, Status::Active);
            assert!(world.rank(&after) <= world.rank(&caller.roles), "{}", shown());
            assert!(world.rank(&target.roles) <= world.rank(&caller.roles), "{}", shown());
            assert!((&then - &before).is_subset(&own), "{}", shown());
            if target.user == caller.user {
                allowed_to_self += 1;
                assert!(then.is_subset(&before), "{}", shown());
            } else {
                assert!(own.contains("member:assign-role"), "{}", shown());
            }
        }
    }
    // Neither side is empty, so that each of the assertions had something to fail on.
    assert!(allowed > 200 && denied > 200 && allowed_to_self > 50, "{allowed} {denied} {allowed_to_self}");
}

#[test]
fn other_actions_follow_the_rules_too() {
    let mut rng = Rng::with_seed(3);
    let sets: [BTreeSet<GroupId>; 4] = [[].into(), [SALES].into(), [SUPPORT].into(), [SALES, SUPPORT].into()];
    let mut counts = BTreeMap::new();
    for _ in 0..200 {
        let world = World::generate(&mut rng);
        let (caller, other) = (world.member(&mut rng, 1), world.member(&mut rng, 2));
        let target = if rng.u8(0..3) == 0 { &caller } else { &other };
        let mut actions = vec![Action::Read, Action::UpdateProfile];
        actions.extend([Status::Invited, Status::Active, Status::Deactivated].map(Action::SetStatus));
        for groups in &sets {
            let manages = sets.iter().filter(|manages| manages.is_subset(groups));
            actions.extend(manages.map(|manages| regroup(target, groups, manages)));
        }
        for action in actions {
            let dialect = cedar::DIALECTS[rng.usize(..cedar::DIALECTS.len())];
            let decision = decide(&world.catalog, dialect, &caller, &action, target);
            let may = may(&world, dialect, &caller, &action, target);
            assert_eq!(decision.is_ok(), may, "{caller:?}\n{target:?}\n{action:?}\n{:?}\n{decision:?}", world.roles);
            *counts.entry((action.name(), may)).or_insert(0) += 1;
        }
    }
    assert!(counts.len() == 8 && counts.values().all(|count| *count > 20), "{counts:?}");
}

/// However often they are asked, members who help each other never hold together what none of them held.
#[test]
fn no_chain_of_changes_raises_a_coalition() {
    let mut rng = Rng::with_seed(4);
    let mut changed = 0;
    for _ in 0..25 {
        let world = World::generate(&mut rng);
        let mut members: Vec<Member> = (1..=3).map(|user| world.member(&mut rng, user)).collect();
        let all = |members: &[Member]| -> (u8, BTreeSet<String>) {
            let rank = members.iter().map(|it| world.rank(&it.roles)).max().unwrap();
            let held = members.iter().flat_map(|it| world.holds(&it.roles)).map(str::to_owned);
            (rank, held.collect())
        };
        let (rank, held) = all(&members);
        for _ in 0..60 {
            let (caller, target) = (rng.usize(..members.len()), rng.usize(..members.len()));
            let after: BTreeSet<RoleId> = world.some_roles(&mut rng).into_iter().collect();
            let action = assign(&world.catalog, &members[target], &after);
            if decide(&world.catalog, "users", &members[caller], &action, &members[target]).is_ok() {
                changed += usize::from(members[target].roles != after);
                members[target].roles = after;
            }
            let (rank_now, held_now) = all(&members);
            assert!(rank_now <= rank && held_now.is_subset(&held), "{:?}\n{members:?}", world.roles);
        }
    }
    assert!(changed > 100, "{changed}");
}

#[test]
fn an_owner_may_everything_that_is_not_to_themselves() {
    let mut rng = Rng::with_seed(5);
    let owner = member(1, [role::OWNER]);
    for _ in 0..30 {
        let world = World::generate(&mut rng);
        let target = world.member(&mut rng, 2);
        let after: BTreeSet<RoleId> = world.some_roles(&mut rng).into_iter().collect();
        let both = [SALES, SUPPORT].into();
        for action in [
            Action::Read,
            Action::UpdateProfile,
            assign(&world.catalog, &target, &after),
            Action::SetStatus(Status::Deactivated),
            regroup(&target, &both, &both),
        ] {
            for dialect in cedar::DIALECTS {
                assert_eq!(decide(&world.catalog, dialect, &owner, &action, &target), Ok(Vec::new()), "{action:?}");
            }
        }
    }
}

// ---- A tenant's own policies

fn own(texts: &[&str]) -> Vec<Policy> {
    let policy = |(number, text): (u32, &&str)| {
        let compiled = check_text(text).unwrap_or_default();
        Policy { id: PolicyId::new(number), text: (*text).to_owned(), compiled }
    };
    (1..).zip(texts).map(policy).collect()
}

/// What an owner who reads a user is told in a tenant with these policies.
fn read_under(texts: &[&str]) -> Result<Vec<String>, Denial> {
    let catalog = Rules::new(1, own(texts).into_iter().map(Entry::Policy));
    decide(&catalog, "users", &member(1, [role::OWNER]), &Action::Read, &member(2, [role::USER]))
}

fn rule(decision: Result<Vec<String>, Denial>) -> String {
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
    assert_eq!(catalog.policies.enter(&policy::member(&owner, &catalog), TenantId::new(1)), Ok(Vec::new()));
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
        let entries = world.roles.values().cloned().map(Entry::Role);
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

/// All that the schema promises is there and says what is true: each policy is valid, and forbids exactly here.
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

        let entries = roles().map(Entry::Role).into_iter().chain(own(&[&text]).into_iter().map(Entry::Policy));
        let catalog = Rules::new(1, entries);
        let actions = [
            Action::Read,
            Action::UpdateProfile,
            assign(&catalog, &target, &[HR].into()),
            Action::SetStatus(Status::Active),
            regroup(&target, &[SUPPORT].into(), &[SUPPORT].into()),
        ];
        // The notice tells, since a rule of ours that denies as well is named first.
        let seen = actions.iter().filter(|action| {
            let decision = decide(&catalog, "membership", &caller, action, &target);
            decision.is_err_and(|denial| denial.notices.iter().any(|notice| notice == "seen"))
        });
        assert_eq!(seen.count(), if scope == any { actions.len() } else { 1 }, "{text}");
        // To enter is nothing that is done to a member.
        assert_eq!(catalog.policies.enter(&policy::member(&caller, &catalog), TenantId::new(1)), Ok(Vec::new()));
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
    // Each of the 24 decided, and the notices that are the same are told once.
    assert_eq!(denial.notices.iter().map(|it| it.parse::<u8>().unwrap()).collect::<BTreeSet<_>>(), (0..12).collect());
    assert_eq!(denial.notices.len(), 12);

    // The third text's only statement goes by the number of its item.
    let catalog = Rules::new(1, own(&[&texts[0], only_reads, forbid_enter]).into_iter().map(Entry::Policy));
    let owner = member(1, [role::OWNER]);
    let entered = catalog.policies.enter(&policy::member(&owner, &catalog), TenantId::new(1));
    assert_eq!(rule(entered), "tenant-policy-2-0");
    let catalog = Rules::new(1, own(&[&texts[0], FORBID_READ, forbid_enter]).into_iter().map(Entry::Policy));
    let entered = catalog.policies.enter(&policy::member(&owner, &catalog), TenantId::new(1));
    assert_eq!(rule(entered), "tenant-policy-3-0");
}

#[test]
fn a_text_without_statements_changes_nothing() {
    for text in ["", "  \n", "// to be written"] {
        assert_eq!(read_under(&[text]), Ok(Vec::new()), "{text:?}");
    }
}

/// A text that may not be: it is refused, and whoever stored it all the same has closed the tenant, not opened it.
#[track_caller]
fn refused(text: &str) -> Refused {
    let denied = Denial { rule: POLICY_ERROR.to_owned(), action: "member:read", notices: Vec::new() };
    // One bad text is enough, whatever stands beside it.
    assert_eq!(read_under(&[FORBID_READ, text]), Err(denied), "{text}");
    let catalog = Rules::new(1, own(&[text]).into_iter().map(Entry::Policy));
    let owner = member(1, [role::OWNER]);
    assert_eq!(rule(catalog.policies.enter(&policy::member(&owner, &catalog), TenantId::new(1))), POLICY_ERROR);
    check_text(text).unwrap_err()
}

#[test]
fn only_forbids_are_taken() {
    assert_eq!(refused("permit (principal, action, resource);"), Refused::Permit);
    assert_eq!(refused(&format!("{FORBID_READ} permit (principal, action, resource);")), Refused::Permit);
    assert_eq!(refused("forbid (principal == ?principal, action, resource);"), Refused::Template);
    assert_eq!(refused("permit (principal in ?principal, action, resource in ?resource);"), Refused::Template);
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
    // Where it is not asked, it cannot err.
    let elsewhere =
        r#"forbid (principal, action == Action::"member:assign-role", resource) when { principal.nothing };"#;
    assert_eq!(read_under(&[elsewhere]), Ok(Vec::new()));
    assert_eq!(
        read_under(&["forbid (principal, action, resource) when { principal has nothing && principal.nothing };"]),
        Ok(Vec::new())
    );
}

#[test]
fn the_longest_text_is_16_kib() {
    let longest = format!("{FORBID_READ} // {}", "x".repeat(MAX_POLICY_BYTES - FORBID_READ.len() - 4));
    assert_eq!(longest.len(), 16 * 1024);
    assert_eq!(rule(read_under(&[&longest])), "tenant-policy-1-0");
    assert_eq!(refused(&format!("{longest}x")), Refused::TooLong);
}

/// What a thread of a function may be given: a parser that recurses with the text would end the process, and this test.
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
        for text in too_deep.into_iter().filter(|text| text.len() <= MAX_POLICY_BYTES) {
            on_a_small_stack(|| assert_eq!(refused(&text), Refused::TooDeep, "{text}"));
        }
    }
    // The deepest that is taken, as costly as each level can be: the condition's own bracket is the first one.
    let depth = MAX_POLICY_DEPTH - 1;
    for text in [
        nested("(", "true", ")", depth),
        nested("if true then ", "true", " else true", depth),
        nested("[", "1", "]", depth),
        nested("{a: ", "1", "}", depth),
        // Operators nest as well: as deep as functions read.
        nested("!!!!true && 1 + 1 == ----1 * (", "1", ")", 19),
        nested("!principal.holds.contains(", "1", ")", 29),
    ] {
        on_a_small_stack(|| {
            assert_eq!(check_text(&text).map(drop), Ok(()), "{text}");
            assert!(read_under(&[&text]).is_err());
        });
    }
    // What is no bracket is not counted.
    let quoted = nested("\"((((\" == \"\\\"[[[[\" && ", "true", " // {{{{\n", 50);
    assert_eq!(check_text(&quoted).map(drop), Ok(()));
}

#[test]
fn long_chains_fit_the_stack() {
    let longest = |head: &str, link: &str, tail: &str| {
        let rest = MAX_POLICY_BYTES - "forbid(principal,action,resource)when{};".len() - head.len() - tail.len();
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
        ";".repeat(MAX_POLICY_BYTES),
        ")".repeat(MAX_POLICY_BYTES),
    ] {
        // Whether it is taken is Cedar's affair; that this thread goes on is ours.
        on_a_small_stack(|| assert_ne!(rule(read_under(&[&text])), NOT_PERMITTED, "{}", &text[..80]));
    }
}

#[test]
fn policies_of_one_tenant_are_not_anothers() {
    let strict = Policies::new(&own(&["forbid (principal, action, resource);"]));
    let catalog = Rules::new(1, []);
    let owner = member(1, [role::OWNER]);
    let facts = policy::member(&owner, &catalog);
    assert_eq!(rule(strict.enter(&facts, TenantId::new(1))), "tenant-policy-1-0");
    assert_eq!(rule(Policies::new(&[]).enter(&facts, TenantId::new(1))), "allow");
}
