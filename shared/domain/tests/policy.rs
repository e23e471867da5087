//! The policy: as a text table (`policy.txt`), as invariants over generated catalogs, and with a tenant's own policies.

#[path = "common/cedar.rs"]
mod cedar;
#[path = "policy/chains.rs"]
mod chains;
mod common;
#[path = "policy/facts.rs"]
mod facts;
#[path = "policy/gallery.rs"]
mod gallery;
#[path = "policy/invariants.rs"]
mod invariants;
#[path = "policy/own.rs"]
mod own;
#[path = "policy/properties.rs"]
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};
use domain::group::Standing;
use domain::id::{GroupId, MembershipId, PolicyId, RoleId, TenantId, UserId};
use domain::own_policy::MAX_TEXT;
use domain::policy::eval::Entity;
use domain::policy::question::Thing;
use domain::policy::{self, Action, BASE, NOT_PERMITTED, POLICY_ERROR, Policies, format};
use domain::problem::Denial;
use domain::tenant::Inviters;
use domain::{Entry, Member, Permission, Policy, Role, Rules, Status, Time, role};
use fastrand::Rng;
use policy_text::{MAX_POLICY_DEPTH, Refused, SCHEMA, check_text};

use common::{around, now};

const SALES: GroupId = GroupId::new(1);
const SUPPORT: GroupId = GroupId::new(2);
/// It confers `senior`.
const HEADS: GroupId = GroupId::new(3);

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

/// The action of a change of a member's roles into `after`.
fn assign<'a>(catalog: &'a Rules, target: &Member, after: &BTreeSet<RoleId>) -> Action<'a> {
    let name = |id: &RoleId| catalog.role(*id).map(|role| role.name.as_str());
    let changed = Member { roles: after.clone(), deleted_at: None, ..target.clone() };
    Action::AssignRole {
        adds: after.difference(&target.roles).filter_map(name).collect(),
        removes: target.roles.difference(after).filter_map(name).collect(),
        rank: catalog.rank(&catalog.roles_of(&changed)),
        gains: catalog.gains(target, &changed),
    }
}

/// The action of a change of a member's groups and of the managed ones.
fn regroup<'a>(
    catalog: &'a Rules,
    before: &Member,
    groups: &BTreeSet<GroupId>,
    manages: &BTreeSet<GroupId>,
) -> Action<'a> {
    let after = Member { groups: groups.clone(), manages: manages.clone(), ..before.clone() };
    Action::SetGroups {
        joins: groups - &before.groups,
        leaves: &before.groups - groups,
        manages: manages - &before.manages,
        adds: catalog.role_names(&(&catalog.roles_of(&after) - &catalog.roles_of(before))),
        removes: catalog.role_names(&(&catalog.roles_of(before) - &catalog.roles_of(&after))),
        rank: catalog.rank(&catalog.roles_of(&after)),
        gains: catalog.gains(before, &after),
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
    catalog.policies.allow(around(dialect), &principal, action, &resource)
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

    // Without these, a validator that finds nothing would pass.
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
    // Denials are named in the order of the lines that start with `@id`.
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

/// The roles of the table, each with its special property.
fn roles() -> [Role; 8] {
    let hr = ["member:read", "member:assign-role", "member:set-status", "member:set-groups"].map(|name| (name, true));
    [
        custom(HR, "hr", 1, &hr),
        custom(AUDITOR, "auditor", 1, &[]),
        // Permissions that an admin does not hold.
        custom(CLERK, "clerk", 1, &[("member:read", true), ("invoice:approve", true)]),
        // The same as `user`.
        custom(HELPER, "helper", 1, &[("member:read", true)]),
        custom(FROZEN, "frozen", 1, &[("member:assign-role", false)]),
        custom(PRIVATE, "private", 1, &[("member:update-profile", false)]),
        custom(APART, "apart", 1, &[("member:set-groups", false)]),
        custom(SENIOR, "senior", 2, &[("member:read", true), ("member:assign-role", true)]),
    ]
}

/// The roles, and the group that confers one.
fn entries() -> impl Iterator<Item = Entry> {
    let standing = Standing { confers: [SENIOR].into(), retiring: false };
    roles().into_iter().map(Box::new).map(Entry::Role).chain([Entry::Group { id: HEADS, standing }])
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
        (
            "a user among the heads, who have senior: user",
            Member { groups: [HEADS].into(), ..member(16, [role::USER]) },
        ),
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
        ("a user among the heads", Member { groups: [HEADS].into(), ..member(30, [role::USER]) }),
        ("nobody yet, or removed", Member { deleted_at: Some(Time::from_millis(1)), ..member(31, []) }),
    ]
}

/// Makes an action on a target, which has not changed yet.
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
        ("join sales", |it, target| regroup(it, target, &with(&target.groups, SALES), &target.manages)),
        ("join support", |it, target| regroup(it, target, &with(&target.groups, SUPPORT), &target.manages)),
        ("join heads", |it, target| regroup(it, target, &with(&target.groups, HEADS), &target.manages)),
        ("leave all groups", |it, target| regroup(it, target, &BTreeSet::new(), &BTreeSet::new())),
        ("manage sales", |it, target| regroup(it, target, &with(&target.groups, SALES), &with(&target.manages, SALES))),
        ("manage support", |it, target| {
            regroup(it, target, &with(&target.groups, SUPPORT), &with(&target.manages, SUPPORT))
        }),
        ("set-identity", |_, _| Action::SetIdentity),
        ("set-metadata", |_, _| Action::SetMetadata),
        ("invite", |_, _| Action::Invite(Inviters::Permitted)),
        ("invite, as admins may", |_, _| Action::Invite(Inviters::Admins)),
        ("invite, as owners may", |_, _| Action::Invite(Inviters::Owners)),
        ("remove", |_, _| Action::Remove),
        ("read-sessions", |_, _| Action::ReadSessions),
        ("end-sessions", |_, _| Action::EndSessions),
        ("impersonate", |_, _| Action::Impersonate { allowed: true }),
    ]
}

/// The rule in Rust, not read from the Cedar text: to list takes `member:read`, or to manage the group that is listed.
#[test]
fn members_are_listed_by_who_may_read_all_of_them_or_manages_the_group() {
    let catalog = Rules::new(1, entries());
    let tenant = policy::tenant(TenantId::new(1));
    let denied = custom(RoleId::new(18), "denied", 1, &[("member:read", false)]);
    let with_denied = Rules::new(1, entries().chain([Entry::Role(Box::new(denied))]));
    let mut allowed = 0;
    for (name, caller) in callers().into_iter().chain([("denied", manager(16, &[RoleId::new(18)]))]) {
        let rules = if name == "denied" { &with_denied } else { &catalog };
        let roles = rules.roles_of(&caller);
        let (holds, denies) = (rules.permissions(&roles), rules.denied(&roles));
        for group in [None, Some(SALES), Some(SUPPORT)] {
            for dialect in ["users", "directory"] {
                let managed = group.is_some_and(|group| caller.manages.contains(&group));
                let expected = caller.status == Status::Active
                    && (dialect != "directory" || rules.rank(&roles) >= 2)
                    && (holds.contains("member:read") || managed && !denies.contains("member:read"));
                let principal = policy::member(&caller, rules);
                let decision = rules.policies.allow(around(dialect), &principal, &Action::List(group), &tenant);
                assert_eq!(decision.is_ok(), expected, "{name}, {group:?}, {dialect}: {decision:?}");
                allowed += u32::from(expected);
            }
        }
    }
    assert!(allowed > 20, "{allowed}");
}

#[test]
fn the_policy_is_the_table() {
    let catalog = Rules::new(1, entries());
    let targets = targets();
    // The notices of the rules, and the numbers by which the table refers to the notices of a permission.
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
            // The notices of other rules that deny come after it.
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
                match caller.status == Status::Active && catalog.rank(&catalog.roles_of(&caller)) < 2 {
                    true => assert_eq!(cell(in_directory), "minimum-role-admin"),
                    false => assert_eq!(in_directory, decision),
                }
                row.push(cell(decision));
            }
            rows.push(row);
        }
        let enter = cell(catalog.policies.enter(now(), &policy::member(&caller, &catalog), TenantId::new(1)));
        match enter == "allow" {
            true => text.push_str(&common::columns(&rows)),
            // A caller who may not enter may do nothing else, either.
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

/// A question about a member without a change is about the least change.
#[test]
fn a_question_gets_the_answer_of_the_table() {
    let catalog = Rules::new(1, entries());
    let under_their_names =
        ["read", "update-profile", "set-identity", "set-metadata", "invite", "remove", "read-sessions", "end-sessions"];
    let least: Vec<_> =
        under_their_names.map(|name| (name, name)).into_iter().chain([("same roles", "assign-role")]).collect();
    let asks: BTreeMap<_, _> = asks().into_iter().collect();
    for (_, caller) in callers() {
        for target in std::iter::once(&caller).chain(targets().iter().map(|(_, target)| target)) {
            for (ask_name, action) in &least {
                let decision = decide(&catalog, "users", &caller, &asks[*ask_name](&catalog, target), target);
                let principal = policy::member(&caller, &catalog);
                let enter = catalog.policies.enter(now(), &principal, TenantId::new(1));
                let asked = catalog.may(around("users"), (&principal, TenantId::new(1)), action, Thing::Member(target));
                assert_eq!(asked, enter.and(decision), "{action}: {caller:?} {target:?}");
            }
        }
    }
    let owner = (&policy::member(&member(1, [role::OWNER]), &catalog), TenantId::new(1));
    assert_eq!(catalog.may(around("users"), owner, "fly", Thing::Tenant).unwrap_err().rule, NOT_PERMITTED);
}

#[test]
fn the_table_is_what_cedar_decides() {
    let catalog = Rules::new(1, entries());
    let (targets, cedar) = (targets(), cedar::Texts::new(&[]));
    for (caller_name, caller) in callers() {
        let principal = policy::member(&caller, &catalog);
        for target in std::iter::once(&caller).chain(targets.iter().map(|(_, target)| target)) {
            let resource = policy::member(target, &catalog);
            for (ask_name, ask) in asks() {
                let action = ask(&catalog, target);
                for dialect in cedar::DIALECTS {
                    let ours = catalog.policies.allow(around(dialect), &principal, &action, &resource);
                    let cedars = cedar.decide(dialect, &principal, &action, &resource);
                    assert_eq!(ours, cedars, "{caller_name}, {ask_name}: {target:?} in {dialect:?}");
                }
            }
        }
    }
}
