//! Rules for every decision, over generated roles and members.

use domain::Record as _;

use super::*;

/// A catalog, and the roles that it was made of.
pub struct World {
    pub catalog: Rules,
    pub roles: BTreeMap<RoleId, Role>,
}

impl World {
    /// Two to four roles of a tenant beside the built-in ones. Their permissions have few names, so that grants and denials meet.
    pub fn generate(rng: &mut Rng) -> Self {
        const NAMES: [&str; 14] = [
            "*",
            "member:read",
            "member:update-profile",
            "member:assign-role",
            "member:set-status",
            "member:set-groups",
            "member:set-identity",
            "member:set-metadata",
            "member:invite",
            "member:remove",
            "member:read-sessions",
            "member:end-sessions",
            "member:impersonate",
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
        let catalog = Rules::new(1, roles.values().cloned().map(Box::new).map(Entry::Role));
        roles.extend(role::BUILT_IN.map(|id| (id, catalog.role(id).unwrap().clone())));
        Self { catalog, roles }
    }

    pub fn member(&self, rng: &mut Rng, user: u32) -> Member {
        let groups: BTreeSet<_> = [SALES, SUPPORT].into_iter().filter(|_| rng.bool()).collect();
        Member {
            status: [Status::Active, Status::Deactivated, Status::Invited][rng.usize(..8).saturating_sub(5)],
            manages: groups.iter().copied().filter(|_| rng.bool()).collect(),
            groups,
            ..member(user, self.some_roles(rng))
        }
    }

    /// One or two roles, rarely more or none.
    pub fn some_roles(&self, rng: &mut Rng) -> Vec<RoleId> {
        let count = [0, 1, 1, 1, 2, 2, 3][rng.usize(..7)];
        rng.choose_multiple(self.roles.keys().copied(), count)
    }

    /// Every possible set of roles.
    pub fn all_sets(&self) -> impl Iterator<Item = BTreeSet<RoleId>> {
        (0_u32..1 << self.roles.len()).map(|bits| {
            self.roles.keys().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, id)| *id).collect()
        })
    }

    pub fn rank(&self, held: &BTreeSet<RoleId>) -> u8 {
        held.iter().map(|id| self.roles[id].rank).max().unwrap_or(0)
    }

    /// The permissions of the roles, name by name: a role grants it, by name or with everything, and no role denies it.
    pub fn holds(&self, held: &BTreeSet<RoleId>) -> BTreeSet<&str> {
        let names = self.roles.values().flat_map(|role| &role.permissions).map(|permission| permission.name.as_str());
        names.filter(|name| self.say(held, name, true) && !self.denies(held, name)).collect()
    }

    /// The permissions that `target` gains by other roles: those that they do not hold, those that are no longer denied, and, with a
    /// higher rank, all that then reach more members, by a role or by a group that they manage.
    pub fn gains(&self, target: &Member, after: &BTreeSet<RoleId>) -> BTreeSet<&str> {
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

    /// No role denies an owner a permission of the product's own.
    pub fn denies(&self, held: &BTreeSet<RoleId>, name: &str) -> bool {
        let is_owners_own = held.contains(&role::OWNER) && (name == "*" || !name.starts_with("invoice:"));
        self.say(held, name, false) && !is_owners_own
    }

    pub fn say(&self, held: &BTreeSet<RoleId>, name: &str, access: bool) -> bool {
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
            Action::CreateRole | Action::UpdateRole { .. } | Action::DeleteRole { .. } => {
                panic!("those are in tests/roles.rs")
            }
            Action::ManageGroups { .. } | Action::ManageLabels | Action::Check | Action::Use(..) => {
                panic!("those are in tests/roles.rs")
            }
            Action::UpdateTenant { .. } | Action::DeleteTenant | Action::CreateTenant | Action::Introspect => {
                panic!("those are in tests/roles.rs")
            }
            Action::ManageIssuers { .. } | Action::ManageWebhooks | Action::Key(_) => {
                panic!("those are in tests/roles.rs")
            }
            Action::ReadPolicies | Action::ManagePolicies => panic!("those are in tests/roles.rs"),
            Action::ReadEvents | Action::WriteEvents => panic!("those are in tests/roles.rs"),
            Action::List(_) => panic!("that is in tests/policy.rs"),
            Action::StartSession(_) => panic!("that is in tests/roles.rs"),
            Action::Invite(_) => held,
            Action::SetIdentity => !outranked && held && (own || world.holds(&target.roles).is_subset(&holds)),
            Action::SetMetadata => !outranked && held,
            Action::Remove | Action::ReadSessions | Action::EndSessions => !outranked && (held || own),
            Action::Impersonate { allowed } => {
                let is_within = world.holds(&target.roles).is_subset(&holds) && !target.is_owner();
                *allowed && held && !own && !outranked && is_within && target.status == Status::Active
            }
            Action::Read => held || own || managed,
            Action::UpdateProfile => !outranked && (held || own || managed),
            Action::AssignRole { adds, removes, rank: becomes, gains } => {
                // Members of the lower rank can then act on the member.
                let exposes = *becomes < world.rank(&target.roles);
                let over_members = [
                    "update-profile",
                    "set-status",
                    "set-groups",
                    "set-identity",
                    "set-metadata",
                    "invite",
                    "remove",
                    "read-sessions",
                    "end-sessions",
                    "impersonate",
                ];
                let steps_down = held || adds.is_empty() || !removes.is_empty();
                let may_expose = over_members.iter().all(|name| holds.contains(format!("member:{name}").as_str()));
                !outranked
                    && *becomes <= rank
                    && gains.is_subset(&holds)
                    && if own { gains.is_empty() && steps_down } else { held && (!exposes || may_expose) }
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
            let origins = world.catalog.origins(&held);
            let effective = origins.iter().filter(|it| it.is_effective()).map(|it| it.permission);
            assert_eq!(effective.collect::<BTreeSet<_>>(), world.holds(&held), "{held:?} of {:?}", world.roles);
            for origin in &origins {
                let is_denied = world.denies(&held, origin.permission);
                assert_eq!(!origin.denied_by.is_empty(), is_denied, "{held:?} of {:?}", world.roles);
            }
            for role in origins.iter().flat_map(|it| it.granted_by.iter().chain(&it.denied_by)) {
                assert!(held.contains(&role.id), "{role:?}");
            }
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
    // Neither side is empty, so each assertion could fail.
    assert!(allowed > 200 && denied > 200 && allowed_to_self > 50, "{allowed} {denied} {allowed_to_self}");
}

#[test]
fn other_actions_follow_the_rules_too() {
    let mut rng = Rng::with_seed(3);
    let sets: [BTreeSet<GroupId>; 4] = [[].into(), [SALES].into(), [SUPPORT].into(), [SALES, SUPPORT].into()];
    let mut counts = BTreeMap::new();
    for _ in 0..400 {
        let world = World::generate(&mut rng);
        let (caller, other) = (world.member(&mut rng, 1), world.member(&mut rng, 2));
        let target = if rng.u8(0..3) == 0 { &caller } else { &other };
        let mut actions = vec![Action::Read, Action::UpdateProfile, Action::SetIdentity, Action::SetMetadata];
        actions.extend([Action::Invite(domain::tenant::Inviters::default()), Action::Remove]);
        actions.extend([Action::ReadSessions, Action::EndSessions]);
        actions.extend([true, true, false].map(|allowed| Action::Impersonate { allowed }));
        actions.extend([Status::Invited, Status::Active, Status::Deactivated].map(Action::SetStatus));
        for groups in &sets {
            let manages = sets.iter().filter(|manages| manages.is_subset(groups));
            actions.extend(manages.map(|manages| regroup(&world.catalog, target, groups, manages)));
        }
        for action in actions {
            let dialect = cedar::DIALECTS[rng.usize(..cedar::DIALECTS.len())];
            let decision = decide(&world.catalog, dialect, &caller, &action, target);
            let may = may(&world, dialect, &caller, &action, target);
            assert_eq!(decision.is_ok(), may, "{caller:?}\n{target:?}\n{action:?}\n{:?}\n{decision:?}", world.roles);
            *counts.entry((action.name(), may)).or_insert(0) += 1;
        }
    }
    assert!(counts.len() == 22 && counts.values().all(|count| *count > 20), "{counts:?}");
}

/// Members who help each other, in any number of calls, never hold a permission together that none of them held.
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
            regroup(&world.catalog, &target, &both, &both),
        ] {
            for dialect in cedar::DIALECTS {
                assert_eq!(decide(&world.catalog, dialect, &owner, &action, &target), Ok(Vec::new()), "{action:?}");
            }
        }
    }
}

/// The floor below reads one tenant for a decision, so no request comes here with facts of two.
#[test]
fn nobody_may_anything_in_another_tenant() {
    let (rules, there) = (Rules::new(1, entries()), TenantId::new(2));
    let mut denied = 0;
    for (name, caller) in callers().into_iter().filter(|(_, caller)| caller.status == Status::Active) {
        let principal = policy::member(&caller, &rules);
        let enter = rules.policies.enter(now(), &principal, there);
        assert_eq!(enter.unwrap_err().rule, "other-tenant", "{name}");
        for (_, target) in targets() {
            let foreign = Member { tenant: there, ..target };
            for (ask_name, ask) in asks() {
                let denial = decide(&rules, "users", &caller, &ask(&rules, &foreign), &foreign).unwrap_err();
                assert_eq!(denial.rule, "other-tenant", "{name}: {ask_name}");
                denied += 1;
            }
        }
        let clerk = roles()[2].entity(there, &rules);
        for (action, resource) in [
            (Action::CreateRole, clerk),
            (Action::ManageLabels, policy::question::of_product(there, "label", "1")),
            (Action::DeleteTenant, policy::tenant(there)),
            (Action::CreateTenant, policy::tenant(there)),
        ] {
            let denial = rules.policies.allow(around("users"), &principal, &action, &resource).unwrap_err();
            assert_eq!(denial.rule, "other-tenant", "{name}: {action:?}");
        }
    }
    assert!(denied > 1_000, "{denied}");
}
