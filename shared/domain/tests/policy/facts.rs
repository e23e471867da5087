//! What the proofs of the base policies assume of the facts of a decision (`policies/facts.cedar`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use cedar_policy::Decision;
use domain::id::KeyId;
use domain::policy::format::{Record as Attributes, Value};
use domain::policy::{KeyDeed, action_entity};
use domain::{ApiKey, Change, Group, GroupEdit, Meta, Record, RoleEdit};

use super::invariants::World;
use super::*;

const FACTS: &str = include_str!("../../policies/facts.cedar");
const ACME: TenantId = TenantId::new(1);

/// The facts of one decision.
struct Facts {
    principal: Entity,
    action: &'static str,
    resource: Entity,
    context: Attributes,
}

impl Facts {
    fn new(principal: &Entity, action: &Action, resource: Entity) -> Self {
        let (action, context) = (action.name(), action.context(around("users")));
        Self { principal: principal.clone(), action, resource, context }
    }

    /// The assumptions that are not true of them.
    fn untrue(&self, assumed: &PolicySet) -> Vec<String> {
        let action = action_entity(self.action);
        let response = cedar::Asked::new(&self.principal, &action, &self.resource, &[], &self.context).of(assumed);
        let errors: Vec<_> = response.diagnostics().errors().map(ToString::to_string).collect();
        assert_eq!(errors, Vec::<String>::new());
        match response.decision() {
            Decision::Allow => Vec::new(),
            Decision::Deny => response
                .diagnostics()
                .reason()
                .filter_map(|id| assumed.annotation(id, "id"))
                .map(ToOwned::to_owned)
                .collect(),
        }
    }
}

/// With a policy that allows everything, so that a denial is one of an assumption.
fn assumed() -> PolicySet {
    format!("{FACTS}\npermit (principal, action, resource);").parse().unwrap()
}

pub fn key(number: u32, roles: BTreeSet<RoleId>) -> ApiKey {
    ApiKey {
        id: KeyId::new(number),
        tenant: ACME,
        name: "import".to_owned(),
        roles,
        maker: (number == 1).then(|| UserId::new(1)),
        networks: BTreeSet::new(),
        secrets: Vec::new(),
        rotated_at: None,
        valid_until: i64::MAX,
        used_at: None,
        ended: false,
        fences: 0,
        meta: Meta::new(Time::from_millis(0)),
    }
}

/// A change of each kind in a generated tenant, by a member and by an API key.
fn generated(rng: &mut Rng) -> Vec<Facts> {
    let world = World::generate(rng);
    let rules = &world.catalog;
    let (caller, other) = (world.member(rng, 1), world.member(rng, 2));
    let own: BTreeSet<RoleId> = world.some_roles(rng).into_iter().collect();
    let callers = [policy::member(&caller, rules), key(1, own.clone()).entity(ACME, rules)];
    let mut all = Vec::new();
    let mut of_all = |action: Action, resource: Entity| {
        all.extend(callers.iter().map(|caller| Facts::new(caller, &action, resource.clone())));
    };
    let tenant = policy::tenant(ACME);
    for action in [Action::List(Some(SALES)), Action::DeleteTenant, Action::Introspect] {
        of_all(action, tenant.clone());
    }
    let sets: [BTreeSet<GroupId>; 4] = [[].into(), [SALES].into(), [SUPPORT].into(), [SALES, SUPPORT].into()];
    for target in [&caller, &other] {
        let resource = policy::member(target, rules);
        for action in [Action::Read, Action::UpdateProfile, Action::SetStatus(Status::Active), Action::Remove] {
            of_all(action, resource.clone());
        }
        for after in world.all_sets() {
            of_all(assign(rules, target, &after), resource.clone());
        }
        for groups in &sets {
            for manages in sets.iter().filter(|manages| manages.is_subset(groups)) {
                of_all(regroup(rules, target, groups, manages), resource.clone());
            }
        }
    }
    for roles in world.all_sets() {
        let new = Member { roles, ..world.member(rng, 3) };
        for action in Member::actions(Change::Create(&new), rules) {
            of_all(action, new.new_entity(ACME, rules));
        }
    }
    let (role_edit, group_edit) = (RoleEdit::default(), GroupEdit::default());
    for before in world.roles.values() {
        for after in world.roles.values() {
            let deleted = Role { successor: Some(after.id).filter(|id| *id != before.id), ..before.clone() };
            let changed = Role { id: before.id, ..after.clone() };
            let changes = [
                Change::Create(before),
                Change::Update { before, after: &changed, edit: &role_edit },
                Change::Delete(&deleted),
            ];
            for change in changes {
                for action in Role::actions(change, rules) {
                    of_all(action, before.entity(ACME, rules));
                }
            }
            let conferring =
                |role: RoleId| Group { confers: [role].into(), ..Group::new(SALES, "sales", Time::from_millis(0)) };
            let (before, after) = (conferring(before.id), conferring(after.id));
            let changes = [
                Change::Create(&after),
                Change::Update { before: &before, after: &after, edit: &group_edit },
                Change::Delete(&before),
            ];
            for change in changes {
                for action in Group::actions(change, rules) {
                    of_all(action, before.entity(ACME, rules));
                }
            }
        }
    }
    for deed in [KeyDeed::Create, KeyDeed::Read, KeyDeed::Rotate, KeyDeed::TakeOver, KeyDeed::End] {
        of_all(Action::Key(deed), key(1, own.clone()).entity(ACME, rules));
        of_all(Action::Key(deed), key(2, own.clone()).entity(ACME, rules));
    }
    all
}

#[test]
fn the_facts_are_as_the_proofs_assume() {
    let (assumed, mut rng) = (assumed(), Rng::with_seed(21));
    let mut seen = BTreeMap::new();
    for _ in 0..40 {
        for facts in generated(&mut rng) {
            assert_eq!(facts.untrue(&assumed), Vec::<String>::new(), "{:?}\n{:?}", facts.principal, facts.resource);
            *seen.entry(facts.action).or_insert(0) += 1;
        }
    }
    let decided =
        ["member:assign-role", "member:set-groups", "role:create", "role:update", "role:delete", "group:manage"];
    assert!(decided.iter().all(|action| seen[action] > 1_000), "{seen:?}");
}

/// The fact that an edit makes untrue, the action of the decision; which attributes the edit changes, the name and the value.
type Edit = (&'static str, &'static str, fn(&mut Facts) -> &mut Attributes, &'static str, Value);

/// Facts that are a little wrong: else an assumption that matches nothing would pass.
#[test]
fn facts_that_are_wrong_are_found() {
    let text = |text: &str| Value::Set([Value::String(text.to_owned())].into());
    let edits: [Edit; 8] = [
        (
            "callers of the highest rank are owners",
            "member:read",
            |it| &mut it.principal.attributes,
            "rank",
            Value::Long(3),
        ),
        (
            "members of the highest rank are owners",
            "member:read",
            |it| &mut it.resource.attributes,
            "rank",
            Value::Long(3),
        ),
        (
            "keys of the highest rank are owners' own",
            "key:read",
            |it| &mut it.resource.attributes,
            "roles",
            text("owner"),
        ),
        (
            "nothing is held that is denied",
            "member:read",
            |it| &mut it.principal.attributes,
            "denies",
            text("member:read"),
        ),
        (
            "who becomes an owner gets the highest rank",
            "member:set-groups",
            |it| &mut it.context,
            "adds",
            text("owner"),
        ),
        ("who stops to be an owner was one", "member:assign-role", |it| &mut it.context, "removes", text("owner")),
        ("deleting a role takes that role only", "role:delete", |it| &mut it.context, "removes", text("owner")),
        ("what is gained was not held", "member:set-groups", |it| &mut it.context, "gains", text("member:read")),
    ];
    let assumed = assumed();
    let rules = Rules::new(1, entries());
    let (caller, target) = (policy::member(&member(1, [role::USER]), &rules), member(2, [role::USER]));
    let clerk = &roles()[2];
    for (assumption, name, part, attribute, value) in edits {
        let (action, resource) = match name {
            "member:read" => (Action::Read, policy::member(&target, &rules)),
            "member:assign-role" => (assign(&rules, &target, &target.roles), policy::member(&target, &rules)),
            "member:set-groups" => {
                (regroup(&rules, &target, &[SALES].into(), &[].into()), policy::member(&target, &rules))
            }
            "key:read" => (Action::Key(KeyDeed::Read), key(2, [role::USER].into()).entity(ACME, &rules)),
            _ => (Role::actions(Change::Delete(clerk), &rules).remove(0), clerk.entity(ACME, &rules)),
        };
        assert_eq!(action.name(), name);
        let mut facts = Facts::new(&caller, &action, resource);
        assert_eq!(facts.untrue(&assumed), Vec::<String>::new());
        part(&mut facts).insert(Cow::Borrowed(attribute), value);
        assert_eq!(facts.untrue(&assumed), [assumption]);
    }
    let mut facts = Facts::new(&caller, &Action::Read, policy::member(&target, &rules));
    facts.principal.ancestors.clear();
    assert_eq!(facts.untrue(&assumed), ["callers are in the tenant that they name"]);
    let sales = Group::new(SALES, "sales", Time::from_millis(0));
    let action = Group::actions(Change::Create(&sales), &rules).remove(0);
    let mut facts = Facts::new(&caller, &action, sales.entity(ACME, &rules));
    facts.context.insert(Cow::Borrowed("removes"), text("owner"));
    assert_eq!(facts.untrue(&assumed), ["a group that stops to make owners had the highest rank"]);
}
