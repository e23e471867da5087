//! Members who help each other, in any number of calls, never end with a right that none of them had: over somebody else, or
//! a permission. A right is everything that the policy allows: by a role, a group or a rank, or because a denial is gone. It
//! does not help them to make or change a role first, or to let a group confer one; to make an API key, which is a caller of
//! its own then; to act as another member; nor that one of them is somebody whom the other lets in.
//!
//! Other calls are these again. To let somebody in is one decision for who stands for it at that moment, whether by an
//! invitation, a request to join or a domain. A batch and an import are so many calls: each change is decided by itself, for
//! who asked, as they are when it is made. By a key of a member's own and with an approval, two must be allowed to do a
//! thing, each for themselves: no one can do more than alone. A policy of the tenant only forbids (`shared/proofs`), and a
//! webhook only tells what has happened.
//!
//! Long, since the search needs its casts, its first calls and its negative controls beside it.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use domain::policy::KeyDeed;
use domain::{Group, GroupEdit, Record, RoleEdit};

use super::*;

/// The number of calls in a chain, with the one that comes first.
const LENGTH: usize = 3;

const EDITOR: RoleId = RoleId::new(18);
const MAKER: RoleId = RoleId::new(19);
const INVITER: RoleId = RoleId::new(20);
const MADE: RoleId = RoleId::new(30);
/// A rank without permissions, which only a group confers.
const HIGH: RoleId = RoleId::new(31);

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
    /// Somebody who is no member comes in, with a role.
    Enter(RoleId),
    Remove,
}

impl Change {
    fn all(roles: &[RoleId], comings: bool) -> Vec<Self> {
        let enter = roles.iter().filter(|_| comings).map(|id| Self::Enter(*id)).chain(comings.then_some(Self::Remove));
        let enter: Vec<Self> = enter.collect();
        let roles = roles.iter().flat_map(|id| [Self::OnlyRole(*id), Self::AddRole(*id), Self::DropRole(*id)]);
        let groups = [SALES].into_iter();
        let groups = groups.flat_map(|id| [Self::Join(id), Self::Leave(id), Self::Manage(id), Self::Unmanage(id)]);
        let statuses = [Status::Active, Status::Deactivated].map(Self::SetStatus);
        let others = [Self::Read, Self::UpdateProfile, Self::KeepRoles, Self::KeepGroups];
        others.into_iter().chain(statuses).chain(roles).chain(groups).chain(enter).collect()
    }

    /// Whether permission for it is a right over a member in this state. A change of nothing is no right. A change that adds roles
    /// or takes something away is no right, either: its result depends on the state, and so on each call before.
    fn is_right_over(self, member: &Member) -> bool {
        match self {
            _ if !self.is_possible(member) => false,
            Self::Read | Self::UpdateProfile | Self::KeepRoles | Self::KeepGroups => true,
            Self::AddRole(_) | Self::DropRole(_) | Self::Leave(_) | Self::Unmanage(_) => false,
            Self::OnlyRole(_) | Self::SetStatus(_) | Self::Join(_) | Self::Manage(_) => self.apply(member) != *member,
            Self::Enter(_) | Self::Remove => true,
        }
    }

    /// Only who is no member comes in, and nothing else happens to them.
    fn is_possible(self, member: &Member) -> bool {
        member.is_present() != matches!(self, Self::Enter(_))
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
            Self::Enter(id) => after = super::member(before.user.number(), [id]),
            Self::Remove => after = nobody(before.user.number()),
        }
        after
    }

    fn actions(self, catalog: &'static Rules, before: &Member) -> Vec<Action<'static>> {
        let after = self.apply(before);
        vec![match self {
            Self::Read => Action::Read,
            Self::UpdateProfile => Action::UpdateProfile,
            Self::KeepRoles | Self::OnlyRole(_) | Self::AddRole(_) | Self::DropRole(_) => {
                assign(catalog, before, &after.roles)
            }
            Self::SetStatus(status) => Action::SetStatus(status),
            Self::KeepGroups | Self::Join(_) | Self::Leave(_) | Self::Manage(_) | Self::Unmanage(_) => {
                regroup(catalog, before, &after.groups, &after.manages)
            }
            Self::Enter(_) => return Member::actions(domain::Change::Create(Box::leak(Box::new(after))), catalog),
            Self::Remove => Action::Remove,
        }]
    }
}

fn nobody(user: u32) -> Member {
    Member { deleted_at: Some(Time::from_millis(1)), ..member(user, []) }
}

/// One of the possible states of a member.
struct Way {
    member: Member,
    facts: Entity,
    holds: BTreeSet<String>,
    /// The changes that are rights over the member, as bits.
    rights: u64,
    /// What a caller must be allowed for the possible changes: the actions, and the changes as bits.
    asked: OnceCell<Vec<(Vec<Action<'static>>, u64)>>,
}

/// The tenant's members, each by the number of their state.
type State = [u16; 5];

/// One call of a chain.
#[derive(Clone, Copy)]
enum Step {
    /// A caller makes an API key.
    Make(usize, usize),
    /// Somebody changes a member: who, the target, and the change by its number.
    Change(By, usize, usize),
}

#[derive(Clone, Copy)]
enum By {
    Caller(usize),
    /// A caller as another member.
    As(usize, usize),
    Key,
}

/// The name of a rule of the code: each thing is decided for who acts as a member, too.
const OF_BOTH: &str = "of both";

/// An API key that is the tenant's own, with one role: a caller alone, who stays as it is.
struct Key {
    facts: Entity,
    holds: BTreeSet<String>,
    /// Who may make it.
    makers: HashMap<u16, bool>,
    /// The allowed changes by target, as bits.
    allowed: HashMap<u16, u64>,
}

impl Key {
    fn new(role: RoleId, catalog: &Rules) -> Self {
        let facts = super::facts::key(2, [role].into()).entity(TenantId::new(1), catalog);
        let holds = catalog.permissions(&[role].into()).into_iter().map(str::to_owned).collect();
        Self { facts, holds, makers: HashMap::new(), allowed: HashMap::new() }
    }
}

/// The members, and the key if one was made, by its number.
type Node = (State, Option<usize>);

/// The decisions of the policy in one tenant. Each is made once, and kept.
struct Tenant {
    /// Never freed: the actions of all changes name its roles and permissions.
    catalog: &'static Rules,
    changes: Vec<Change>,
    /// Rules that are not in force, so that the search must find a chain that they would stop. A change that one of them denies
    /// counts as allowed, even if a later rule of the file would deny it as well.
    without: &'static [&'static str],
    /// The number of calls that follow.
    length: usize,
    ways: Vec<Way>,
    /// The keys that somebody can make, one for each role.
    keys: Vec<Key>,
    numbers: HashMap<String, u16>,
    /// The allowed changes by caller and target, as bits.
    allowed: Vec<Vec<Option<u64>>>,
    /// The new state by member and change.
    changed: Vec<Vec<Option<u16>>>,
    states: usize,
}

impl Tenant {
    /// A tenant with some of our roles, after a first call.
    fn new(own: &[RoleId], first: Option<&First>, without: &'static [&'static str]) -> Self {
        let editor = custom(EDITOR, "editor", 1, &[("member:read", true), ("member:update-profile", true)]);
        let making = ["member:read", "member:assign-role", "role:create", "role:update", "group:manage"]
            .map(|name| (name, true));
        let inviting =
            ["member:read", "member:invite", "member:assign-role", "member:set-status"].map(|name| (name, true));
        let ours = roles().into_iter().chain([
            editor,
            custom(MAKER, "maker", 1, &making),
            custom(INVITER, "inviter", 1, &inviting),
        ]);
        let comings = own.contains(&INVITER);
        let made = if let Some(First::Role(role)) = first { Some(Role::clone(role)) } else { None };
        let own = ours.filter(|role| own.contains(&role.id)).chain(made);
        let own: BTreeMap<RoleId, Role> = own.map(|role| (role.id, role)).collect();
        let conferred = if let Some(First::Sales(roles)) = first { roles.clone() } else { BTreeSet::new() };
        let sales = Entry::Group { id: SALES, standing: Standing { confers: conferred, retiring: false } };
        let ids: Vec<RoleId> = own.keys().copied().chain([role::ADMIN, role::USER]).collect();
        let own = own.into_values().chain([custom(HIGH, "high", 2, &[])]);
        let catalog: &Rules = Box::leak(Box::new(Rules::new(1, own.map(Box::new).map(Entry::Role).chain([sales]))));
        Self {
            keys: catalog.all_roles().map(|role| Key::new(role.id, catalog)).collect(),
            catalog,
            changes: Change::all(&ids, comings),
            without,
            length: LENGTH - usize::from(first.is_some()),
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
        let way = format!("{user} {} {roles:?} {status:?} {groups:?} {manages:?}", member.is_present());
        *self.numbers.entry(way).or_insert_with(|| {
            let roles = self.catalog.roles_of(&member);
            let active = member.is_active().then(|| self.catalog.permissions(&roles));
            let holds = active.unwrap_or_default().into_iter().map(str::to_owned).collect();
            let rights = (0..).zip(&self.changes).filter(|(_, change)| change.is_right_over(&member));
            let rights = rights.map(|(bit, _)| 1 << bit).sum();
            let facts = policy::member(&member, self.catalog);
            self.ways.push(Way { facts, member, holds, rights, asked: OnceCell::new() });
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
        let allowed = self.may_do(&self.way(caller).facts, target);
        if self.allowed[from].len() <= to {
            self.allowed[from].resize(self.ways.len(), None);
        }
        self.allowed[from][to] = Some(allowed);
        allowed
    }

    /// The changes of a member that a caller may make, as bits.
    fn may_do(&self, caller: &Entity, target: u16) -> u64 {
        let way = self.way(target);
        let may = |action: &Action| self.may(caller, action, &way.facts);
        // A change needs `read`, too: a caller who may not see the member may not change them.
        if way.member.is_present() && !may(&Action::Read) {
            return 0;
        }
        let asked = way.asked.get_or_init(|| self.asked(&way.member)).iter();
        asked.filter(|(actions, _)| actions.iter().all(may)).map(|(_, changes)| changes).sum()
    }

    /// What a caller must be allowed for each possible change of a member.
    fn asked(&self, member: &Member) -> Vec<(Vec<Action<'static>>, u64)> {
        let mut asked: Vec<(Vec<Action>, u64)> = Vec::new();
        for (bit, change) in (0..).zip(&self.changes).filter(|(_, change)| change.is_possible(member)) {
            let actions = change.actions(self.catalog, member);
            match asked.iter_mut().find(|(known, _)| *known == actions) {
                Some((_, changes)) => *changes |= 1 << bit,
                None => asked.push((actions, 1 << bit)),
            }
        }
        asked
    }

    fn may(&self, caller: &Entity, action: &Action, resource: &Entity) -> bool {
        let decided = self.catalog.policies.allow(around("users"), caller, action, resource);
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

    fn may_make(&mut self, caller: u16, key: usize) -> bool {
        if let Some(known) = self.keys[key].makers.get(&caller) {
            return *known;
        }
        let may = self.may(&self.way(caller).facts, &Action::Key(KeyDeed::Create), &self.keys[key].facts);
        self.keys[key].makers.insert(caller, may);
        may
    }

    /// The changes that a key may make, as bits.
    fn allowed_by_key(&mut self, key: usize, target: u16) -> u64 {
        if let Some(known) = self.keys[key].allowed.get(&target) {
            return *known;
        }
        let allowed = self.may_do(&self.keys[key].facts, target);
        self.keys[key].allowed.insert(target, allowed);
        allowed
    }

    /// The changes that a caller may make as another member, and not as themselves, as bits.
    fn allowed_as(&mut self, caller: u16, other: u16, target: u16) -> u64 {
        let own = self.allowed(caller, target);
        let asked = if self.without.contains(&OF_BOTH) { u64::MAX } else { own };
        let further = asked & !own;
        let (by, of) = (self.way(caller), self.way(other));
        if further == 0 || !self.may(&by.facts, &Action::Impersonate { allowed: true }, &of.facts) {
            return 0;
        }
        let acting = policy::impersonated(&of.member, by.member.user, self.catalog);
        self.may_do(&acting, target) & further
    }

    /// The rights of `callers` together over one of the others, by themselves.
    fn over(&mut self, state: &State, callers: [usize; 2], other: usize) -> u64 {
        self.allowed(state[callers[0]], state[other]) | self.allowed(state[callers[1]], state[other])
    }

    /// The same, with what they may do by a key and as other members.
    fn over_by_all(&mut self, (state, key): &Node, callers: [usize; 2], other: usize) -> u64 {
        let mut rights = self.over(state, callers, other);
        for caller in callers {
            for acted in state {
                rights |= self.allowed_as(state[caller], *acted, state[other]);
            }
        }
        rights | key.map_or(0, |key| self.allowed_by_key(key, state[other]))
    }

    /// All calls that `callers` may make next. One key is enough: two would do no more than two callers.
    fn steps(&mut self, (state, key): &Node, callers: [usize; 2]) -> Vec<Step> {
        let mut steps = Vec::new();
        for caller in callers.into_iter().filter(|_| key.is_none()) {
            let made = (0..self.keys.len()).filter(|made| self.may_make(state[caller], *made));
            steps.extend(made.map(|made| Step::Make(caller, made)));
        }
        for target in 0..state.len() {
            let mut may_do = Vec::new();
            for caller in callers {
                may_do.push((By::Caller(caller), self.allowed(state[caller], state[target])));
                for (acted, of) in state.iter().enumerate() {
                    may_do.push((By::As(caller, acted), self.allowed_as(state[caller], *of, state[target])));
                }
            }
            may_do.extend(key.map(|key| (By::Key, self.allowed_by_key(key, state[target]))));
            for (by, mut left) in may_do {
                while left != 0 {
                    steps.push(Step::Change(by, target, left.trailing_zeros() as usize));
                    left &= left - 1;
                }
            }
        }
        steps
    }

    /// The rights that `callers` have in a state and did not have at the start, before the first call; after a change of
    /// `changed`.
    fn gained(&mut self, start: &mut Start, node: &Node, callers: [usize; 2], changed: usize) -> Option<String> {
        let (state, key) = node;
        for other in (0..state.len()).filter(|other| !callers.contains(other)) {
            // Rights over the others are as they were.
            if changed == other || callers.contains(&changed) {
                let mut before = start.state;
                // Over somebody who has come or gone, the callers have as they are what they had as they were.
                let now = &self.way(state[other]).member;
                if start.tenant.way(before[other]).member.is_present() != now.is_present() {
                    before[other] = start.tenant.number(now.clone());
                }
                let new = self.over_by_all(node, callers, other) & !start.tenant.over(&before, callers, other);
                let new = new & self.way(state[other]).rights;
                if new != 0 {
                    return Some(format!("{:?} over {other}", self.changes[new.trailing_zeros() as usize]));
                }
            }
        }
        let held = callers.map(|caller| &start.tenant.way(start.state[caller]).holds);
        let of_caller = callers.contains(&changed).then(|| &self.way(state[changed]).holds);
        let mut holds = of_caller.into_iter().chain(key.map(|key| &self.keys[key].holds)).flatten();
        holds.find(|name| !held.iter().any(|it| it.contains(*name))).cloned()
    }

    /// What a call makes of the members and the key, and whose rights it changes.
    fn after(&mut self, (state, key): &Node, step: Step) -> (Node, usize) {
        match step {
            Step::Make(caller, made) => ((*state, Some(made)), caller),
            Step::Change(_, target, change) => {
                let mut after = *state;
                after[target] = self.changed(state[target], change);
                ((after, *key), target)
            }
        }
    }

    fn told(&self, step: Step) -> String {
        match step {
            Step::Make(caller, made) => format!("{caller} makes a key that holds {:?}", self.keys[made].holds),
            Step::Change(by, target, change) => {
                let by = match by {
                    By::Caller(caller) => caller.to_string(),
                    By::As(caller, acted) => format!("{caller}, as {acted},"),
                    By::Key => "the key".to_owned(),
                };
                format!("{by} does {:?} to {target}", self.changes[change])
            }
        }
    }

    /// Follows all chains of calls that `callers` may make. Returns the first that ends with a new right.
    fn search(&mut self, before: &mut Start, start: State, callers: [usize; 2]) -> Option<String> {
        let start = (start, None);
        for changed in 0..start.0.len() {
            if let Some(gained) = self.gained(before, &start, callers, changed) {
                return Some(format!("gained {gained} at once"));
            }
        }
        let mut known = HashSet::from([start]);
        let mut ends: Vec<(Node, [Option<Step>; LENGTH])> = vec![(start, [None; LENGTH])];
        for length in 0..self.length {
            for (node, mut chain) in std::mem::take(&mut ends) {
                for step in self.steps(&node, callers) {
                    let (after, changed) = self.after(&node, step);
                    // The last call's states lead no further, so they are not kept.
                    if after == node || length + 1 < self.length && !known.insert(after) {
                        continue;
                    }
                    self.states += 1;
                    chain[length] = Some(step);
                    if let Some(gained) = self.gained(before, &after, callers, changed) {
                        let steps = chain.iter().take(length + 1).flatten();
                        let said: Vec<String> = steps.map(|step| self.told(*step)).collect();
                        return Some(format!("{}: gained {gained}", said.join(", ")));
                    }
                    if length + 1 < self.length {
                        ends.push((after, chain));
                    }
                }
            }
        }
        None
    }
}

/// A tenant before the first call.
struct Start {
    tenant: Tenant,
    state: State,
}

/// What a caller does first.
#[derive(Debug)]
enum First {
    /// They make this role, or change a role of the tenant into it.
    Role(Box<Role>),
    /// They let the group sales confer these roles.
    Sales(BTreeSet<RoleId>),
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

/// The same, and members who hold roles that one of them may change.
fn editors() -> Cast {
    let (mut roles, mut members) = makers();
    roles.extend([HELPER, EDITOR]);
    members[2] = member(3, [MAKER, HELPER]);
    members[3] = in_sales(4, &[role::ADMIN]);
    members[4] = manager(5, &[HELPER]);
    (roles, members)
}

/// Members who may let others in, and somebody whom they may let in, so that there are two of them.
fn comings() -> Cast {
    let members =
        [member(1, [INVITER]), member(2, [role::ADMIN]), member(3, [HELPER]), member(4, [role::USER]), nobody(5)];
    (vec![INVITER, HELPER, CLERK, SENIOR], members)
}

/// An admin with a denial, who may act as a manager without it.
fn acting() -> Cast {
    let members = [
        member(1, [role::ADMIN, PRIVATE]),
        manager(2, &[role::USER]),
        in_sales(3, &[role::USER]),
        member(4, [role::USER]),
        member(5, [role::USER, PRIVATE]),
    ];
    (vec![PRIVATE], members)
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

/// Changes of roles, and of what a group confers, that a caller may want to make. A group that confers a denial is not among
/// them: a role that is given to its members then gives less, so more people may give it; `roles.txt` has who may lift it.
fn changes() -> Vec<First> {
    let with = |role: &Role, more: &[(&str, bool)]| {
        let more = more.iter().map(|(name, access)| Permission {
            name: (*name).to_owned(),
            description: None,
            access: *access,
        });
        First::Role(Box::new(Role {
            permissions: role.permissions.iter().cloned().chain(more).collect(),
            ..role.clone()
        }))
    };
    let [.., helper, _, private, _, _] = roles();
    vec![
        with(&private, &[("member:assign-role", true)]),
        with(&private, &[("*", true)]),
        First::Role(Box::new(Role { permissions: Vec::new(), ..private.clone() })),
        First::Role(Box::new(Role { rank: 2, ..private })),
        with(&helper, &[("member:update-profile", true)]),
        First::Role(Box::new(Role { rank: 2, ..helper })),
        First::Sales([role::ADMIN].into()),
        First::Sales([HELPER].into()),
        First::Sales([HIGH].into()),
        First::Sales([EDITOR].into()),
    ]
}

/// Whether a member of a tenant may do it first.
fn may_do_first(tenant: &Tenant, caller: &Member, first: &First) -> bool {
    let (catalog, id) = (tenant.catalog, TenantId::new(1));
    let caller = policy::member(caller, catalog);
    let may = |actions: Vec<Action>, resource: Entity| actions.iter().all(|it| tenant.may(&caller, it, &resource));
    match first {
        First::Role(after) => match catalog.role(after.id) {
            None => may(Role::actions(domain::Change::Create(after), catalog), after.entity(id, catalog)),
            Some(before) => {
                let edit = RoleEdit::default();
                let change = domain::Change::Update { before, after, edit: &edit };
                may(Role::actions(change, catalog), before.entity(id, catalog))
            }
        },
        First::Sales(roles) => {
            let (before, edit) = (Group::new(SALES, "sales", Time::from_millis(0)), GroupEdit::default());
            let after = Group { confers: roles.clone(), ..before.clone() };
            let change = domain::Change::Update { before: &before, after: &after, edit: &edit };
            may(Group::actions(change, catalog), before.entity(id, catalog))
        }
    }
}

/// Tries every caller and every pair of callers in each tenant. If there is something to do first, these are the callers of whom
/// one may do it. Returns the first chain that raises them, and the number of states.
fn find(
    without: &'static [&'static str],
    first: Option<&First>,
    casts: impl IntoIterator<Item = Cast>,
) -> (Option<String>, usize) {
    let mut states = 0;
    for (roles, members) in casts {
        let mut tenant = Tenant::new(&roles, first, without);
        let original = Tenant::new(&roles, None, without);
        // Nobody holds a new role: only who gives it gains something by it.
        let makes = first.filter(|first| matches!(first, First::Role(role) if role.id == MADE));
        let mut before = Tenant::new(&roles, makes, without);
        let state = members.clone().map(|member| before.number(member));
        let may_start = |at: usize| first.is_none_or(|first| may_do_first(&original, &members[at], first));
        let starters: Vec<bool> = (0..members.len()).map(may_start).collect();
        let start = members.map(|member| tenant.number(member));
        let mut before = Start { tenant: before, state };
        for (first, second) in
            (0..start.len()).flat_map(|first| (first..start.len()).map(move |second| (first, second)))
        {
            // Who is let in calls then.
            let can_call = |at: usize| {
                let member = &tenant.way(start[at]).member;
                member.is_active() || !member.is_present()
            };
            if can_call(first)
                && can_call(second)
                && (starters[first] || starters[second])
                && let Some(chain) = tenant.search(&mut before, start, [first, second])
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
    let (found, states) = find(&[], None, [denials(), ranks(), apart(), makers(), comings(), acting()]);
    assert_eq!(found, None);
    assert!(states > 100_000, "{states}");
}

#[test]
fn no_role_that_they_make_first_raises_a_caller_or_a_pair() {
    for role in makings() {
        let name = role.name.clone();
        let (found, states) = find(&[], Some(&First::Role(Box::new(role))), [makers()]);
        assert_eq!(found, None, "{name}");
        assert!(states > 1_000, "{name}: {states}");
    }
}

#[test]
fn no_change_of_a_role_or_group_that_they_make_first_raises_a_caller_or_a_pair() {
    let mut states = Vec::new();
    for first in changes() {
        let (found, count) = find(&[], Some(&first), [editors()]);
        assert_eq!(found, None, "{first:?}");
        states.push(count);
    }
    assert!(states.iter().filter(|count| **count > 1_000).count() > 5, "{states:?}");
}

/// With each role that somebody could give to a key. The search has the calls that come before and behind.
#[test]
fn no_key_raises_who_makes_it() {
    let makes =
        custom(MADE, "key makers", 1, &[("member:read", true), ("member:assign-role", true), ("key:create", true)]);
    let first = First::Role(Box::new(makes));
    let mut tried = [0, 0];
    for (roles, mut members) in [denials(), ranks(), apart(), makers(), comings()] {
        members[3].roles.insert(MADE);
        let mut tenant = Tenant::new(&roles, Some(&first), &[]);
        let members = members.map(|member| tenant.number(member));
        for caller in members {
            let maker = policy::member(&tenant.way(caller).member, tenant.catalog);
            for role in tenant.catalog.all_roles() {
                let key = super::facts::key(2, [role.id].into()).entity(TenantId::new(1), tenant.catalog);
                let is_made = tenant.may(&maker, &Action::Key(KeyDeed::Create), &key);
                tried[usize::from(is_made)] += 1;
                for other in members.iter().filter(|other| is_made && **other != caller) {
                    let more = tenant.may_do(&key, *other) & !tenant.may_do(&maker, *other) & tenant.way(*other).rights;
                    let more = (more != 0).then(|| tenant.changes[more.trailing_zeros() as usize]);
                    assert_eq!(more, None, "{} by {}", role.name, tenant.way(caller).member.user);
                }
            }
        }
    }
    assert!(tried.iter().all(|count| *count > 20), "{tried:?}");
}

/// The search can fail: without one of these rules, some chain raises a caller.
#[test]
fn the_search_finds_what_each_rule_is_for() {
    let with_a_role_made = |without| {
        makings()
            .into_iter()
            .map(Box::new)
            .map(First::Role)
            .any(|role| find(without, Some(&role), [makers()]).0.is_some())
    };
    for (rule, cast) in [
        (&["outranked"], ranks()),
        (&["outranking-role"], ranks()),
        (&["permission-not-held"], denials()),
        (&["exposure-not-held"], ranks()),
        (&["self-raise-groups"], denials()),
        (&["membership-not-held"], denials()),
        (&["management-not-held"], denials()),
        (&["permission-not-held"], comings()),
        (&["outranking-role"], comings()),
        (&["key-permission-not-held"], apart()),
        (&[OF_BOTH], acting()),
    ] {
        assert!(find(rule, None, [cast]).0.is_some(), "{rule:?}");
    }
    assert!(with_a_role_made(&["permission-not-held"]));
    for rule in [&["role-gain-not-held"], &["role-rank-not-held"], &["group-gain-not-held"], &["group-rank-not-held"]] {
        assert!(changes().iter().any(|first| find(rule, Some(first), [editors()]).0.is_some()), "{rule:?}");
    }
}
