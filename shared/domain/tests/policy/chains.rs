//! Members who help each other, in any number of calls, never end with a right that none of them had: over somebody else, or a
//! permission. A right is everything that the policy allows: by a role, a group or a rank, or because a denial is gone.
//! It does not help them to make a role first.

use std::collections::{HashMap, HashSet};

use domain::Record;

use super::*;

/// The number of calls in a chain.
const LENGTH: usize = 3;

const EDITOR: RoleId = RoleId::new(18);
const MAKER: RoleId = RoleId::new(19);
const MADE: RoleId = RoleId::new(30);

/// The wanted change of one call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Read,
    UpdateProfile,
    KeepRoles,
    OnlyRole(RoleId),
    AddRole(RoleId),
    DropRole(RoleId),
    SetStatus(Status),
    KeepGroups,
    Join(GroupId),
    Leave(GroupId),
    Manage(GroupId),
    Unmanage(GroupId),
}

impl Change {
    fn all(roles: &[RoleId]) -> Vec<Self> {
        let roles = roles.iter().flat_map(|id| [Self::OnlyRole(*id), Self::AddRole(*id), Self::DropRole(*id)]);
        let groups = [SALES].into_iter();
        let groups = groups.flat_map(|id| [Self::Join(id), Self::Leave(id), Self::Manage(id), Self::Unmanage(id)]);
        let statuses = [Status::Active, Status::Deactivated].map(Self::SetStatus);
        let others = [Self::Read, Self::UpdateProfile, Self::KeepRoles, Self::KeepGroups];
        others.into_iter().chain(statuses).chain(roles).chain(groups).collect()
    }

    /// Whether permission for it is a right over a member in this state. A change of nothing is no right. A change that adds roles
    /// or takes something away is no right, either: its result depends on the state, and so on each call before.
    fn is_right_over(self, member: &Member) -> bool {
        match self {
            Self::Read | Self::UpdateProfile | Self::KeepRoles | Self::KeepGroups => true,
            Self::AddRole(_) | Self::DropRole(_) | Self::Leave(_) | Self::Unmanage(_) => false,
            Self::OnlyRole(_) | Self::SetStatus(_) | Self::Join(_) | Self::Manage(_) => self.apply(member) != *member,
        }
    }

    fn apply(self, before: &Member) -> Member {
        let mut after = before.clone();
        match self {
            Self::Read | Self::UpdateProfile | Self::KeepRoles | Self::KeepGroups => {}
            Self::OnlyRole(id) => after.roles = [id].into(),
            Self::AddRole(id) => after.roles.extend([id]),
            Self::DropRole(id) => after.roles.retain(|held| *held != id),
            Self::SetStatus(status) => after.status = status,
            Self::Join(id) => after.groups.extend([id]),
            Self::Manage(id) => {
                after.groups.extend([id]);
                after.manages.extend([id]);
            }
            Self::Unmanage(id) => after.manages.retain(|managed| *managed != id),
            Self::Leave(id) => {
                after.groups.retain(|group| *group != id);
                after.manages.retain(|managed| *managed != id);
            }
        }
        after
    }

    fn action<'a>(self, catalog: &'a Rules, before: &Member, after: &Member) -> Action<'a> {
        match self {
            Self::Read => Action::Read,
            Self::UpdateProfile => Action::UpdateProfile,
            Self::KeepRoles | Self::OnlyRole(_) | Self::AddRole(_) | Self::DropRole(_) => {
                assign(catalog, before, &after.roles)
            }
            Self::SetStatus(status) => Action::SetStatus(status),
            Self::KeepGroups | Self::Join(_) | Self::Leave(_) | Self::Manage(_) | Self::Unmanage(_) => {
                regroup(before, &after.groups, &after.manages)
            }
        }
    }
}

/// One of the possible states of a member.
struct Way {
    member: Member,
    facts: Entity,
    holds: BTreeSet<String>,
    /// The changes that are rights over the member, as bits.
    rights: u64,
}

/// The tenant's members, each by the number of their state.
type State = [u16; 5];

/// One call of a chain: the caller, the target, and the change by its number.
type Step = (usize, usize, usize);

/// The decisions of the policy in one tenant. Each is made once, and kept.
struct Tenant {
    catalog: Rules,
    changes: Vec<Change>,
    /// Rules that are not in force, so that the search must find a chain that they would stop. A change that one of them denies
    /// counts as allowed, even if a later rule of the file would deny it as well.
    without: &'static [&'static str],
    ways: Vec<Way>,
    numbers: HashMap<String, u16>,
    /// The allowed changes by caller and target, as bits.
    allowed: Vec<Vec<Option<u64>>>,
    /// The new state by member and change.
    changed: Vec<Vec<Option<u16>>>,
    states: usize,
}

impl Tenant {
    /// A tenant with some of our roles, and with the role that a caller has made.
    fn new(own: &[RoleId], made: Option<&Role>, without: &'static [&'static str]) -> Self {
        let editor = custom(EDITOR, "editor", 1, &[("member:read", true), ("member:update-profile", true)]);
        let making = ["member:read", "member:assign-role", "role:create"].map(|name| (name, true));
        let ours = roles().into_iter().chain([editor, custom(MAKER, "maker", 1, &making)]);
        let own = ours.filter(|role| own.contains(&role.id)).chain(made.cloned());
        let own: BTreeMap<RoleId, Role> = own.map(|role| (role.id, role)).collect();
        let ids: Vec<RoleId> = own.keys().copied().chain([role::ADMIN, role::USER]).collect();
        Self {
            catalog: Rules::new(1, own.into_values().map(Entry::Role)),
            changes: Change::all(&ids),
            without,
            ways: Vec::new(),
            numbers: HashMap::new(),
            allowed: Vec::new(),
            changed: Vec::new(),
            states: 0,
        }
    }

    fn way(&self, number: u16) -> &Way {
        &self.ways[usize::from(number)]
    }

    fn number(&mut self, member: Member) -> u16 {
        let Member { user, roles, status, groups, manages, .. } = &member;
        let way = format!("{user} {roles:?} {status:?} {groups:?} {manages:?}");
        *self.numbers.entry(way).or_insert_with(|| {
            let active = member.is_active().then(|| self.catalog.permissions(&member.roles));
            let holds = active.unwrap_or_default().into_iter().map(str::to_owned).collect();
            let rights = (0..).zip(&self.changes).filter(|(_, change)| change.is_right_over(&member));
            let rights = rights.map(|(bit, _)| 1 << bit).sum();
            self.ways.push(Way { facts: policy::member(&member, &self.catalog), member, holds, rights });
            self.changed.push(vec![None; self.changes.len()]);
            self.allowed.push(Vec::new());
            (self.ways.len() - 1).try_into().unwrap()
        })
    }

    fn allowed(&mut self, caller: u16, target: u16) -> u64 {
        let (from, to) = (usize::from(caller), usize::from(target));
        if let Some(Some(known)) = self.allowed[from].get(to) {
            return *known;
        }
        let (caller, Way { member, facts, .. }) = (self.way(caller), self.way(target));
        let may = |action: &Action| self.may(&caller.facts, action, facts);
        // A change needs `read`, too: a caller who may not see the member may not change them.
        let reads = may(&Action::Read);
        let mut asked: Vec<(Action, bool)> = Vec::new();
        let mut may = |change: &Change| {
            let action = change.action(&self.catalog, member, &change.apply(member));
            reads
                && asked.iter().find(|(known, _)| *known == action).map(|(_, may)| *may).unwrap_or_else(|| {
                    let may = may(&action);
                    asked.push((action, may));
                    may
                })
        };
        let allowed = (0..).zip(&self.changes).filter(|(_, change)| may(change)).map(|(bit, _)| 1 << bit).sum();
        if self.allowed[from].len() <= to {
            self.allowed[from].resize(self.ways.len(), None);
        }
        self.allowed[from][to] = Some(allowed);
        allowed
    }

    fn may(&self, caller: &Entity, action: &Action, resource: &Entity) -> bool {
        let decided = self.catalog.policies.allow("users", caller, action, resource);
        decided.map_or_else(|denial| self.without.contains(&denial.rule.as_str()), |_| true)
    }

    fn changed(&mut self, member: u16, change: usize) -> u16 {
        if let Some(known) = self.changed[usize::from(member)][change] {
            return known;
        }
        let after = self.number(self.changes[change].apply(&self.way(member).member));
        self.changed[usize::from(member)][change] = Some(after);
        after
    }

    /// The rights of `callers` together over one of the others.
    fn over(&mut self, state: &State, callers: [usize; 2], other: usize) -> u64 {
        self.allowed(state[callers[0]], state[other]) | self.allowed(state[callers[1]], state[other])
    }

    /// The rights that `callers` have in a state and did not have at the start, after a change of `changed`.
    fn gained(&mut self, start: &State, state: &State, callers: [usize; 2], changed: usize) -> Option<String> {
        for other in (0..state.len()).filter(|other| !callers.contains(other)) {
            // Rights over the others are as they were.
            if changed == other || callers.contains(&changed) {
                let new = self.over(state, callers, other) & !self.over(start, callers, other);
                let new = new & self.way(state[other]).rights;
                if new != 0 {
                    return Some(format!("{:?} over {other}", self.changes[new.trailing_zeros() as usize]));
                }
            }
        }
        let held = callers.map(|caller| &self.way(start[caller]).holds);
        let holds = &self.way(state[changed]).holds;
        let new =
            callers.contains(&changed).then(|| holds.iter().find(|name| !held.iter().any(|it| it.contains(*name))));
        new.flatten().cloned()
    }

    /// Follows all chains of calls that `callers` may make. Returns the first that ends with a new right.
    fn search(&mut self, start: State, callers: [usize; 2]) -> Option<String> {
        let mut known = HashSet::from([start]);
        let mut ends: Vec<(State, [Option<Step>; LENGTH])> = vec![(start, [None; LENGTH])];
        for length in 0..LENGTH {
            for (state, mut chain) in std::mem::take(&mut ends) {
                for (caller, target) in
                    callers.into_iter().flat_map(|caller| (0..start.len()).map(move |it| (caller, it)))
                {
                    let mut left = self.allowed(state[caller], state[target]);
                    while left != 0 {
                        let change = left.trailing_zeros() as usize;
                        left &= left - 1;
                        let mut after = state;
                        after[target] = self.changed(state[target], change);
                        // The last call's states lead no further, so they are not kept.
                        if after == state || length + 1 < LENGTH && !known.insert(after) {
                            continue;
                        }
                        self.states += 1;
                        chain[length] = Some((caller, target, change));
                        if let Some(gained) = self.gained(&start, &after, callers, target) {
                            let steps = chain.iter().take(length + 1).flatten();
                            let said = steps
                                .map(|(who, whom, what)| format!("{who} does {:?} to {whom}", self.changes[*what]));
                            return Some(format!("{}: gained {gained}", said.collect::<Vec<_>>().join(", ")));
                        }
                        if length + 1 < LENGTH {
                            ends.push((after, chain));
                        }
                    }
                }
            }
        }
        None
    }
}

/// The roles of a tenant beside admin and user, and its five members.
type Cast = (Vec<RoleId>, [Member; 5]);

fn in_sales(user: u32, roles: &[RoleId]) -> Member {
    Member { groups: [SALES].into(), ..member(user, roles.iter().copied()) }
}

/// A denial that a manager wants to lose, and a group that fills with people whose profiles its manager wants to edit.
fn denials() -> Cast {
    let members = [
        manager(1, &[role::USER, PRIVATE]),
        manager(2, &[HR]),
        member(3, [HR]),
        in_sales(4, &[role::USER]),
        member(5, [role::USER, PRIVATE]),
    ];
    (vec![HR, PRIVATE], members)
}

/// Ranks without permissions, and permissions without a rank.
fn ranks() -> Cast {
    let members = [
        member(1, [SENIOR]),
        member(2, [EDITOR]),
        manager(3, &[role::USER]),
        in_sales(4, &[SENIOR]),
        member(5, [role::USER]),
    ];
    (vec![SENIOR, EDITOR], members)
}

/// An owner and an admin with a denial, and a person who has not yet accepted an invitation.
fn apart() -> Cast {
    let members = [
        member(1, [role::OWNER, APART]),
        member(2, [role::ADMIN, APART]),
        member(3, [HR]),
        Member { status: Status::Invited, ..member(4, [role::USER]) },
        in_sales(5, &[role::USER]),
    ];
    (vec![HR, APART], members)
}

/// An owner and an admin with the same denial, and a member who may make and give roles, and do little else.
fn makers() -> Cast {
    let members = [
        member(1, [role::OWNER, PRIVATE]),
        member(2, [role::ADMIN, PRIVATE]),
        member(3, [MAKER]),
        in_sales(4, &[role::USER]),
        member(5, [role::USER, PRIVATE]),
    ];
    (vec![PRIVATE, MAKER], members)
}

/// Roles that a caller may want to make.
fn makings() -> [Role; 6] {
    [
        custom(MADE, "all", 1, &[("*", true)]),
        custom(MADE, "openers", 1, &[("member:set-status", true), ("member:invite", true)]),
        custom(MADE, "muted", 1, &role::OF_GROUP_MANAGERS.map(|name| (name, false))),
        custom(MADE, "nothing", 1, &[("*", false)]),
        custom(MADE, "high", 2, &[]),
        custom(MADE, "makers", 1, &[("role:create", true), ("member:assign-role", true)]),
    ]
}

/// Tries every caller and every pair of callers in each tenant. If there is a role to make, these are the callers of whom one
/// may make it. Returns the first chain that raises them, and the number of states.
fn find(
    without: &'static [&'static str],
    made: Option<&Role>,
    casts: impl IntoIterator<Item = Cast>,
) -> (Option<String>, usize) {
    let mut states = 0;
    for (roles, members) in casts {
        let mut before = Tenant::new(&roles, None, without);
        let mut tenant = Tenant::new(&roles, made, without);
        let numbers = members.clone().map(|member| before.number(member));
        let resource = made.map(|role| role.entity(TenantId::new(1), &before.catalog));
        let make = |at: usize, role| before.may(&before.way(numbers[at]).facts, &Action::CreateRole, role);
        let may_make = |at: usize| resource.as_ref().is_none_or(|role| make(at, role));
        let start = members.map(|member| tenant.number(member));
        for (first, second) in
            (0..start.len()).flat_map(|first| (first..start.len()).map(move |second| (first, second)))
        {
            let can_call = |at: usize| tenant.way(start[at]).member.is_active();
            if can_call(first)
                && can_call(second)
                && (may_make(first) || may_make(second))
                && let Some(chain) = tenant.search(start, [first, second])
            {
                return (Some(chain), states + tenant.states);
            }
        }
        states += tenant.states;
    }
    (None, states)
}

#[test]
fn no_chain_of_three_calls_raises_a_caller_or_a_pair() {
    let (found, states) = find(&[], None, [denials(), ranks(), apart(), makers()]);
    assert_eq!(found, None);
    assert!(states > 100_000, "{states}");
}

#[test]
fn no_role_that_they_make_first_raises_a_caller_or_a_pair() {
    for role in makings() {
        let (found, states) = find(&[], Some(&role), [makers()]);
        assert_eq!(found, None, "{role:?}");
        // None of them may make the first one.
        assert_eq!(states > 10_000, role.name != "all", "{}: {states}", role.name);
    }
}

/// The search can fail: without one of these rules, some chain raises a caller.
#[test]
fn the_search_finds_what_each_rule_is_for() {
    let with_a_role_made = |without| makings().iter().any(|role| find(without, Some(role), [makers()]).0.is_some());
    for (rule, cast) in [
        (&["outranked"], ranks()),
        (&["outranking-role"], ranks()),
        (&["permission-not-held"], denials()),
        (&["exposure-not-held"], ranks()),
        (&["self-raise-groups"], denials()),
        (&["membership-not-held"], denials()),
        (&["management-not-held"], denials()),
    ] {
        assert!(find(rule, None, [cast]).0.is_some(), "{rule:?}");
    }
    assert!(with_a_role_made(&["permission-not-held"]));
}
