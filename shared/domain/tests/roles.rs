//! The roles and groups that each caller may make, change and delete, and what they may do to the tenant, as a text table under
//! version control. No role and no group gives more than its author holds.

#[allow(dead_code)]
#[path = "common/cedar.rs"]
mod cedar;
mod common;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::id::{GroupId, KeyId, LabelId, MembershipId, RoleId, TenantId, UserId};
use domain::policy::eval::Entity;
use domain::policy::properties::Properties;
use domain::policy::question::Thing;
use domain::policy::{self, Action, KeyDeed};
use domain::{
    ApiKey, Change, Entry, Group, GroupEdit, Label, Member, Meta, Permission, Record, Role, RoleEdit, Rules, SignIn,
    Status, Time, role,
};
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

fn api_key(maker: Option<u32>, roles: impl IntoIterator<Item = RoleId>) -> ApiKey {
    ApiKey {
        id: KeyId::new(1),
        tenant: ACME,
        name: "import".to_owned(),
        roles: roles.into_iter().collect(),
        maker: maker.map(UserId::new),
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

/// The rule that denies, or `allow`; the same as Cedar decides, in every dialect.
fn decide(catalog: &Rules, caller: &Member, action: &Action, role: &Role) -> String {
    decide_on(catalog, caller, action, role.entity(ACME, catalog))
}

fn decide_on(catalog: &Rules, caller: &Member, action: &Action, resource: Entity) -> String {
    decide_for(catalog, &policy::member(caller, catalog), action, &resource)
}

fn decide_for(catalog: &Rules, principal: &Entity, action: &Action, resource: &Entity) -> String {
    let decided = cedar::DIALECTS.map(|dialect| {
        let ours = catalog.policies.allow(common::around(dialect), principal, action, resource);
        assert_eq!(ours, CEDAR.decide(dialect, principal, action, resource), "{principal:?} {resource:?}");
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
    let catalog = Rules::new(1, [maker, barred, frugal].map(Box::new).map(Entry::Role));
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
        ("frugal, which is there", catalog.role(frugal).unwrap().clone()),
        ("user, built in", catalog.role(role::USER).unwrap().clone()),
        ("owner, built in", catalog.role(role::OWNER).unwrap().clone()),
    ];
    let mut text = String::from(
        "Who may make, change and delete which role and group, and do what to the tenant, in every tenant and dialect. Made by\n\
         tests/roles.rs.\n",
    );
    for title in ["create", "delete"] {
        let mut rows = vec![vec![title.to_owned()]];
        rows[0].extend(callers.iter().map(|(name, _)| (*name).to_owned()));
        for (name, role) in &roles {
            let change = if title == "create" { Change::Create(role) } else { Change::Delete(role) };
            let action = Role::actions(change, &catalog).remove(0);
            let mut row = vec![(*name).to_owned()];
            row.extend(callers.iter().map(|(_, caller)| decide(&catalog, caller, &action, role)));
            rows.push(row);
        }
        text.push('\n');
        text.push_str(&common::columns(&rows));
    }

    let mut table = |title: &str, asked: Vec<(&str, Action, Entity)>| {
        let mut rows = vec![vec![title.to_owned()]];
        rows[0].extend(callers.iter().map(|(name, _)| (*name).to_owned()));
        for (name, action, resource) in asked {
            let mut row = vec![name.to_owned()];
            row.extend(callers.iter().map(|(_, caller)| decide_on(&catalog, caller, &action, resource.clone())));
            rows.push(row);
        }
        text.push('\n');
        text.push_str(&common::columns(&rows));
    };
    let clerk = custom(20, "clerk", 1, &[("invoice:read", true), ("invoice:write", false)]);
    let chief = Role { rank: 2, ..clerk.clone() };
    let with = |role: &Role, permissions: &[(&str, bool)]| Role {
        permissions: custom(20, "clerk", 1, permissions).permissions,
        ..role.clone()
    };
    let same = [("invoice:read", true), ("invoice:write", false)];
    let changes = [
        ("the description", &clerk, Role { description: Some("x".to_owned()), ..clerk.clone() }),
        ("takes a permission", &clerk, with(&clerk, &same[1..])),
        ("denies another permission", &clerk, with(&clerk, &[same[0], same[1], ("a:b", false)])),
        ("grants what users hold", &clerk, with(&clerk, &[same[0], same[1], ("member:read", true)])),
        ("grants invoice:write", &clerk, with(&clerk, &[same[0], ("invoice:write", true)])),
        ("grants a new permission", &clerk, with(&clerk, &[same[0], same[1], ("plane:fly", true)])),
        ("grants everything", &clerk, with(&clerk, &[same[0], same[1], ("*", true)])),
        ("lifts a denial", &clerk, with(&clerk, &same[..1])),
        ("raises the rank", &clerk, chief.clone()),
        ("lowers the rank", &chief, clerk.clone()),
        ("the description, of rank 2", &chief, Role { description: Some("x".to_owned()), ..chief.clone() }),
        ("the name", &clerk, Role { name: "scribe".to_owned(), ..clerk.clone() }),
    ];
    let edit = RoleEdit::default();
    let update = |before, after| Role::actions(Change::Update { before, after, edit: &edit }, &catalog).remove(0);
    table(
        "change a role",
        changes
            .iter()
            .map(|(name, before, after)| (*name, update(before, after), before.entity(ACME, &catalog)))
            .collect(),
    );

    // Its holders get another role.
    let successors = [
        ("one of the same rights", Role { id: RoleId::new(21), name: "clerk 2".to_owned(), ..clerk.clone() }),
        ("one without rights", custom(21, "empty", 1, &[("invoice:write", false)])),
        ("one that denies another permission", custom(21, "deny", 1, &[same[0], same[1], ("a:b", false)])),
        ("one that grants what users hold", custom(21, "reader", 1, &[same[0], same[1], ("member:read", true)])),
        ("one that grants invoice:write", custom(21, "scribe", 1, &[("invoice:write", true)])),
        ("one that lifts a denial", custom(21, "lift", 1, &same[..1])),
        ("one of rank 2", Role { id: RoleId::new(21), name: "chief".to_owned(), rank: 2, ..clerk.clone() }),
        ("admin", catalog.role(role::ADMIN).unwrap().clone()),
        ("owner", catalog.role(role::OWNER).unwrap().clone()),
    ];
    let deleted = Role { retiring: true, successor: Some(RoleId::new(21)), ..clerk.clone() };
    let held = successors.iter().map(|(name, successor)| {
        let own = catalog.all_roles().filter(|role| !role.is_built_in()).cloned();
        let further = [deleted.clone()].into_iter().chain(Some(successor.clone()).filter(|it| !it.is_built_in()));
        let rules = Rules::new(1, own.chain(further).map(Box::new).map(Entry::Role));
        let deleted = Role { successor: Some(successor.id), ..deleted.clone() };
        let mut row = vec![(*name).to_owned()];
        let action = Role::actions(Change::Delete(&deleted), &rules).remove(0);
        row.extend(callers.iter().map(|(_, caller)| decide(&rules, caller, &action, &deleted)));
        row
    });
    let held: Vec<_> = held.collect();
    let mut deletions = vec![vec!["delete a role, and its holders get".to_owned()]];
    deletions[0].extend(callers.iter().map(|(name, _)| (*name).to_owned()));
    deletions.extend(held);

    let sales = Group::new(GroupId::new(1), "sales", Time::from_millis(0));
    let conferring = |roles: &[RoleId]| Group { confers: roles.iter().copied().collect(), ..sales.clone() };
    let (nothing, of_users, of_makers) = (conferring(&[]), conferring(&[role::USER]), conferring(&[maker]));
    let (of_admins, of_frugal) = (conferring(&[role::ADMIN]), conferring(&[frugal]));
    let edit = GroupEdit::default();
    let update = |before, after| Group::actions(Change::Update { before, after, edit: &edit }, &catalog).remove(0);
    let asked = vec![
        ("make one that confers nothing", Group::actions(Change::Create(&nothing), &catalog).remove(0)),
        ("make one that confers user", Group::actions(Change::Create(&of_users), &catalog).remove(0)),
        ("make one that confers admin", Group::actions(Change::Create(&of_admins), &catalog).remove(0)),
        ("confers nothing as before", update(&nothing, &nothing)),
        ("confers user as before", update(&of_users, &of_users)),
        ("confers maker from now on", update(&nothing, &of_makers)),
        ("confers admin from now on", update(&of_users, &of_admins)),
        ("confers admin no more", update(&of_admins, &of_users)),
        ("confers a denial no more", update(&of_frugal, &nothing)),
        ("delete one that confers admin", Group::actions(Change::Delete(&of_admins), &catalog).remove(0)),
    ];
    let resource = sales.entity(ACME, &catalog);
    table("groups", asked.into_iter().map(|(name, action)| (name, action, resource.clone())).collect());
    let label = Label::new(LabelId::new(1), "pilot", Time::from_millis(0)).entity(ACME, &catalog);
    table("labels", vec![("make, rename, delete", Action::ManageLabels, label)]);
    let tenant = policy::tenant(ACME);
    let sign_in = SignIn {
        issuer: "https://id.example".to_owned(),
        subject: "248289761001".to_owned(),
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    };
    let asked = [
        ("change", Action::UpdateTenant { settings: BTreeSet::new() }),
        ("change the domains", Action::UpdateTenant { settings: ["allowed_domains"].into() }),
        ("change who may invite", Action::UpdateTenant { settings: ["allowed_domains", "inviters"].into() }),
        ("change who may accept", Action::UpdateTenant { settings: ["acceptance"].into() }),
        ("claim a domain", Action::UpdateTenant { settings: ["domains"].into() }),
        ("change the seats", Action::UpdateTenant { settings: ["seats"].into() }),
        ("change the age of sessions", Action::UpdateTenant { settings: ["session_seconds"].into() }),
        ("change whether members act as others", Action::UpdateTenant { settings: ["impersonation"].into() }),
        ("change for how long events are kept", Action::UpdateTenant { settings: ["retention_days"].into() }),
        ("change whether reads are on record", Action::UpdateTenant { settings: ["record_reads"].into() }),
        ("delete, restore", Action::DeleteTenant),
        ("make another", Action::CreateTenant),
        ("see the tenant's policies", Action::ReadPolicies),
        ("manage the tenant's policies", Action::ManagePolicies),
        ("manage issuers", Action::ManageIssuers { of_deployment: false }),
        ("manage an issuer of the deployment", Action::ManageIssuers { of_deployment: true }),
        ("sign in to it", Action::StartSession(&sign_in)),
        ("ask about a token of it", Action::Introspect),
        ("read its record", Action::ReadEvents),
        ("add to its record", Action::WriteEvents),
        ("manage webhooks", Action::ManageWebhooks),
    ];
    table("the tenant", asked.into_iter().map(|(name, action)| (name, action, tenant.clone())).collect());
    let deeds = [
        ("make", KeyDeed::Create),
        ("see", KeyDeed::Read),
        ("rotate", KeyDeed::Rotate),
        ("take over", KeyDeed::TakeOver),
        ("end", KeyDeed::End),
    ];
    let keys = [
        ("API keys of one's own", api_key(Some(1), [role::ADMIN])),
        ("API keys of others", api_key(Some(2), [role::USER])),
        ("API keys of the tenant's own, with a permission that few hold", api_key(None, [maker])),
    ];
    for (title, key) in &keys {
        let resource = key.entity(ACME, &catalog);
        table(title, deeds.map(|(name, deed)| (name, Action::Key(deed), resource.clone())).into());
    }
    // The principal is a key itself: it may do what its roles allow, and nothing to a key but to see it.
    let principal = api_key(Some(1), [role::OWNER]).entity(ACME, &catalog);
    let user = Member { user: UserId::new(2), ..member([role::USER]) }.entity(ACME, &catalog);
    assert_eq!(decide_for(&catalog, &principal, &Action::UpdateProfile, &user), "allow");
    assert_eq!(decide_for(&catalog, &principal, &Action::DeleteTenant, &tenant), "allow");
    for (_, key) in &keys {
        for (name, deed) in deeds {
            let decided = decide_for(&catalog, &principal, &Action::Key(deed), &key.entity(ACME, &catalog));
            assert_eq!(decided, if deed == KeyDeed::Read { "allow" } else { "person-only" }, "{name}");
        }
    }
    let other = Member { user: UserId::new(2), ..member([role::USER]) }.entity(ACME, &catalog);
    table("decisions", vec![("ask what another may do", Action::Check, other)]);
    let mut uses = vec![vec!["use a permission of the product".to_owned()]];
    uses[0].extend(callers.iter().map(|(name, _)| (*name).to_owned()));
    for permission in ["invoice:read", "invoice:write", "plane:fly", "role:create"] {
        let properties = Properties::default();
        let thing = Thing::OfProduct { kind: "invoice", id: "7", properties: &properties };
        let may = |caller: &Member| match catalog.may(
            common::around("users"),
            (&policy::member(caller, &catalog), ACME),
            permission,
            thing,
        ) {
            Ok(_) => "allow".to_owned(),
            Err(denial) => denial.rule,
        };
        uses.push([permission.to_owned()].into_iter().chain(callers.iter().map(|(_, caller)| may(caller))).collect());
    }
    for rows in [&uses, &deletions] {
        text.push('\n');
        text.push_str(&common::columns(rows));
    }
    common::compare("roles.txt", &text);
}

/// What an owner may do, and somebody who acts as that owner may not; on another member, and on the owner.
#[test]
fn who_acts_as_a_member_leaves_to_them_what_is_theirs() {
    let catalog = Rules::new(1, []);
    let ann = member([role::OWNER]);
    let (plain, acted) = (policy::member(&ann, &catalog), policy::impersonated(&ann, UserId::new(9), &catalog));
    let (tenant, own) = (policy::tenant(ACME), ann.entity(ACME, &catalog));
    let other = Member { user: UserId::new(2), ..member([role::USER]) }.entity(ACME, &catalog);
    let key = api_key(Some(1), [role::USER]).entity(ACME, &catalog);
    let none = BTreeSet::new;
    let assign = Action::AssignRole { adds: none(), removes: none(), rank: 1, gains: none() };
    let status = Action::SetStatus(Status::Deactivated);
    let refused = [
        (Action::Impersonate { allowed: true }, &other),
        (Action::Invite(domain::tenant::Inviters::Permitted), &other),
        (Action::SetIdentity, &other),
        (Action::ReadSessions, &own),
        (Action::EndSessions, &other),
        (Action::CreateTenant, &tenant),
        (Action::DeleteTenant, &tenant),
        (Action::ManageIssuers { of_deployment: false }, &tenant),
        (Action::ManagePolicies, &tenant),
        (Action::Key(KeyDeed::Create), &key),
        (Action::Key(KeyDeed::End), &key),
    ];
    for (action, resource) in &refused {
        assert_eq!(decide_for(&catalog, &plain, action, resource), "allow", "{action:?}");
        assert_eq!(decide_for(&catalog, &acted, action, resource), "impersonated", "{action:?}");
    }
    for action in [&assign, &status, &Action::Remove] {
        assert_eq!(decide_for(&catalog, &plain, action, &own), "allow", "{action:?}");
        assert_eq!(decide_for(&catalog, &acted, action, &own), "impersonated-gives-up-nothing", "{action:?}");
        assert_eq!(decide_for(&catalog, &acted, action, &other), "allow", "{action:?}");
    }
    assert_eq!(decide_for(&catalog, &acted, &Action::UpdateProfile, &own), "allow");
}

/// The rules in Rust, not read from the Cedar text: the maker of a role holds each permission that it grants.
#[test]
fn no_role_holds_more_than_its_maker() {
    let mut rng = Rng::with_seed(11);
    let names = ["role:create", "role:update", "role:delete", "member:read", "a:x", "b:y", "*"];
    let mut some = |most: usize| -> Vec<(&str, bool)> {
        let mut seen = BTreeSet::new();
        let picked = (0..rng.usize(..=most)).map(|_| (names[rng.usize(..names.len())], rng.u8(..3) > 0));
        picked.filter(|(name, _)| seen.insert(*name)).collect()
    };
    let (mut allowed, mut denied, mut edits) = (0, 0, [0, 0]);
    for round in 0..1_000_u32 {
        let rank = |number: u32| 1 + (number % 2) as u8;
        let held = custom(10, "held", rank(round), &some(4));
        let new = custom(20, "new", rank(round / 2), &some(3));
        let catalog = Rules::new(1, [Entry::Role(Box::new(held))]);
        let built_in = [role::OWNER, role::ADMIN, role::USER][round as usize % 3];
        let caller = member([built_in, RoleId::new(10)]);
        let (holds, denies) = (catalog.permissions(&caller.roles), catalog.denied(&caller.roles));
        let edited = custom(10, "held", rank(round / 4), &some(4));
        no_edit_gives_more(&catalog, &caller, &edited, &mut edits);
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
    assert!(edits.iter().all(|count| *count > 50), "{edits:?}");
}

/// If the caller may change the role 10 so, nobody who holds it beside another role gains what the caller does not hold, and its
/// rank is one that the caller has. Counts the decisions.
fn no_edit_gives_more(catalog: &Rules, caller: &Member, after: &Role, counts: &mut [u32; 2]) {
    let (before, edit) = (catalog.role(after.id).unwrap(), RoleEdit::default());
    let action = Role::actions(Change::Update { before, after, edit: &edit }, catalog).remove(0);
    let allowed = decide(catalog, caller, &action, before) == "allow";
    counts[usize::from(allowed)] += 1;
    if !allowed {
        return;
    }
    let holds = catalog.permissions(&caller.roles);
    let changed = Rules::new(2, [Entry::Role(Box::new(after.clone()))]);
    for beside in [role::USER, role::ADMIN, role::OWNER] {
        let held = BTreeSet::from([after.id, beside]);
        let gained = &changed.permissions(&held) - &catalog.permissions(&held);
        // Who holds everything holds a permission that no role has named yet.
        let new = |name: &&str| holds.contains("*") && !catalog.denied(&caller.roles).contains(*name);
        assert!(
            gained.iter().all(|name| holds.contains(name) || new(name)),
            "{caller:?} {before:?} {after:?} {gained:?}"
        );
        assert!(changed.rank(&held) <= catalog.rank(&caller.roles).max(catalog.rank(&held)));
    }
}
