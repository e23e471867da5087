//! The policies of `docs/policies.md`: each may be written as it stands there, and does what its title says.

#[path = "changes.rs"]
mod changes;

use std::collections::BTreeMap;

use domain::draft::{Draft, Refusal};
use domain::policy::properties::Properties;
use domain::policy::{Around, KeyDeed};
use domain::{Group, Record, SignIn};
use policy_text::admit;

use super::own::{own, readme, rule};
use super::*;

const PAGE: &str = include_str!("../../../../docs/policies.md");

/// A Wednesday at noon, and the Saturday after it.
const WEDNESDAY: &str = "2026-11-25T12:00:00.000Z";
const SATURDAY: &str = "2026-11-28T12:00:00.000Z";

/// The policies of the page by their titles.
fn gallery() -> BTreeMap<&'static str, &'static str> {
    let sections = PAGE.split("\n## ").skip(1);
    let read = |section: &'static str| {
        let (title, rest) = section.split_once('\n').unwrap();
        let text = rest.split("```cedar\n").nth(1).unwrap().split("```").next().unwrap();
        (title, text)
    };
    sections.map(read).collect()
}

/// A policy of the page, alone in force.
struct Under {
    rules: Rules,
    title: &'static str,
    now: &'static str,
}

impl Under {
    fn new(title: &'static str) -> Self {
        let compiled = admit(gallery()[title]).unwrap();
        let roles = [custom("team-admin", 1), custom("clerk", 1)].map(|role| Entry::Role(Box::new(role)));
        let policy = Entry::Policy(Policy { id: PolicyId::new(1), compiled });
        Self { rules: Rules::new(1, roles.into_iter().chain([policy])), title, now: WEDNESDAY }
    }

    fn at(self, now: &'static str) -> Self {
        Self { now, ..self }
    }

    fn time(&self) -> Time {
        serde_json::from_str(&format!("\"{}\"", self.now)).unwrap()
    }

    /// Asserts that the policy refuses, or that it does not: the base policies may refuse all the same.
    #[track_caller]
    fn refuses(&self, is_refused: bool, principal: &Entity, action: &Action, resource: &Entity) {
        let around = Around { dialect: "users", now: self.time() };
        let decided = self.rules.policies.allow(around, principal, action, resource);
        let without = Policies::new(&[]).allow(around, principal, action, resource);
        assert!(without.is_ok(), "{}: {action:?} is refused without it: {without:?}", self.title);
        let rule = rule(decided);
        assert_eq!(rule.starts_with("tenant-policy-1-"), is_refused, "{} {}: {action:?}: {rule}", self.title, self.now);
    }

    fn entity(&self, member: &Member) -> Entity {
        policy::member(member, &self.rules)
    }

    fn role(&self, role: RoleId) -> Entity {
        self.rules.role(role).unwrap().entity(TenantId::new(1), &self.rules)
    }

    fn sales(&self) -> Entity {
        Group::new(SALES, "sales", now()).entity(TenantId::new(1), &self.rules)
    }
}

fn custom(name: &str, rank: u8) -> Role {
    let all = ["member:read", "member:update-profile", "member:assign-role", "member:set-status", "invoice:write"];
    let permission = |name: &&str| Permission { name: (*name).to_owned(), description: None, access: true };
    let number = if name == "clerk" { 12 } else { 11 };
    Role { rank, permissions: all.iter().map(permission).collect(), ..Role::new(RoleId::new(number), name, now()) }
}

const TEAM_ADMIN: RoleId = RoleId::new(11);
const CLERK: RoleId = RoleId::new(12);

fn gives(role: &str, rank: u8) -> Action<'_> {
    Action::AssignRole { adds: [role].into(), removes: BTreeSet::new(), rank, gains: BTreeSet::new() }
}

fn gives_up(role: &str) -> Action<'_> {
    Action::AssignRole { adds: BTreeSet::new(), removes: [role].into(), rank: 1, gains: BTreeSet::new() }
}

/// Somebody joins the group sales, which confers a role.
fn joins(role: &str, rank: u8) -> Action<'_> {
    let none = BTreeSet::new;
    Action::SetGroups {
        joins: [SALES].into(),
        leaves: none(),
        manages: none(),
        adds: [role].into(),
        removes: BTreeSet::new(),
        rank,
        gains: BTreeSet::new(),
    }
}

/// A group gets a role to confer.
fn confers(role: &str, rank: u8) -> Action<'_> {
    let none = BTreeSet::new;
    Action::ManageGroups { adds: [role].into(), removes: none(), gains: none(), denials: none(), was: 0, rank }
}

/// The holders of a role get another one when it is deleted.
fn follows<'a>(role: &'a str, rank: u8, deleted: &'a str) -> Action<'a> {
    let none = BTreeSet::new;
    Action::DeleteRole { adds: [role].into(), removes: [deleted].into(), gains: none(), denials: none(), rank }
}

#[test]
fn there_are_eleven_and_each_may_be_written() {
    assert_eq!(gallery().len(), 11);
    for (title, text) in gallery() {
        assert!(admit(text).is_ok(), "{title}: {:?}", admit(text));
        assert!(text.contains("@notice("), "{title}");
    }
}

#[test]
fn each_does_what_its_title_says() {
    let [owner, admin, user, clerk] =
        [(1, role::OWNER), (2, role::ADMIN), (3, role::USER), (4, CLERK)].map(|(user, role)| member(user, [role]));

    let it = Under::new("Only owners appoint admins");
    it.refuses(true, &it.entity(&admin), &gives("admin", 2), &it.entity(&user));
    for (who, is_refused) in [(&admin, true), (&owner, false)] {
        it.refuses(is_refused, &it.entity(who), &joins("admin", 2), &it.entity(&user));
        it.refuses(is_refused, &it.entity(who), &confers("admin", 2), &it.sales());
        it.refuses(is_refused, &it.entity(who), &follows("admin", 2, "team-admin"), &it.role(TEAM_ADMIN));
    }
    it.refuses(false, &it.entity(&owner), &gives("admin", 2), &it.entity(&user));
    it.refuses(false, &it.entity(&admin), &gives("user", 1), &it.entity(&user));

    let it = Under::new("Two people for owners");
    let second = member(9, [role::OWNER]);
    let approved = policy::approved(&owner, second.user, &it.rules);
    let tenant = policy::tenant(TenantId::new(1));
    for (principal, is_refused) in [(it.entity(&owner), true), (approved, false)] {
        it.refuses(is_refused, &principal, &gives("owner", 3), &it.entity(&user));
        it.refuses(is_refused, &principal, &Action::Remove, &it.entity(&second));
        it.refuses(is_refused, &principal, &Action::ManagePolicies, &tenant);
        it.refuses(is_refused, &principal, &Action::ManageIssuers { of_deployment: false }, &tenant);
        // The holders of a role that is deleted would become owners.
        it.refuses(is_refused, &principal, &follows("owner", 3, "clerk"), &it.role(CLERK));
        it.refuses(false, &principal, &gives("admin", 2), &it.entity(&user));
        it.refuses(false, &principal, &Action::Remove, &it.entity(&user));
    }

    for (when, is_refused) in [
        (WEDNESDAY, false),
        (SATURDAY, true),
        ("2026-11-25T06:59:59.999Z", true),
        ("2026-11-25T07:00:00.000Z", false),
        ("2026-11-25T18:59:59.999Z", false),
        ("2026-11-25T19:00:00.000Z", true),
    ] {
        let it = Under::new("No changes outside office hours").at(when);
        it.refuses(is_refused, &it.entity(&admin), &Action::UpdateProfile, &it.entity(&user));
        it.refuses(false, &it.entity(&owner), &Action::UpdateProfile, &it.entity(&user));
        it.refuses(false, &it.entity(&admin), &Action::Read, &it.entity(&user));
    }

    for (when, is_refused) in [("2026-12-31T23:59:59.999Z", true), ("2027-01-01T00:00:00.000Z", false)] {
        let it = Under::new("Freeze until a date").at(when);
        it.refuses(is_refused, &it.entity(&admin), &Action::UpdateProfile, &it.entity(&user));
        it.refuses(is_refused, &it.entity(&user), &Action::UpdateProfile, &it.entity(&user));
        it.refuses(false, &it.entity(&user), &Action::Read, &it.entity(&user));
    }

    let it = Under::new("Admins of a group stay inside it");
    let chief = Member { manages: [SALES].into(), groups: [SALES].into(), ..member(5, [TEAM_ADMIN]) };
    let inside = Member { groups: [SALES].into(), ..user.clone() };
    it.refuses(true, &it.entity(&chief), &Action::UpdateProfile, &it.entity(&user));
    it.refuses(false, &it.entity(&chief), &Action::UpdateProfile, &it.entity(&inside));
    it.refuses(false, &it.entity(&chief), &Action::UpdateProfile, &it.entity(&chief));
    it.refuses(false, &it.entity(&chief), &Action::Read, &it.entity(&user));
    it.refuses(true, &it.entity(&chief), &gives_up("team-admin"), &it.entity(&chief));
    it.refuses(true, &it.entity(&chief), &gives_up("team-admin"), &it.entity(&inside));
    it.refuses(false, &it.entity(&owner), &gives_up("team-admin"), &it.entity(&chief));
    let both = Member { roles: [TEAM_ADMIN, role::ADMIN].into(), ..chief };
    it.refuses(true, &it.entity(&both), &follows("user", 1, "team-admin"), &it.role(TEAM_ADMIN));
    it.refuses(false, &it.entity(&both), &follows("user", 1, "clerk"), &it.role(CLERK));

    let it = Under::new("Contractors never manage");
    let contractor = Member { groups: [SALES].into(), ..admin.clone() };
    it.refuses(true, &it.entity(&contractor), &Action::UpdateProfile, &it.entity(&user));
    it.refuses(false, &it.entity(&contractor), &Action::UpdateProfile, &it.entity(&contractor));
    it.refuses(false, &it.entity(&admin), &Action::UpdateProfile, &it.entity(&user));
    let none = BTreeSet::new;
    let leave = |rank| Action::SetGroups {
        joins: none(),
        leaves: [SALES].into(),
        manages: none(),
        adds: BTreeSet::new(),
        removes: BTreeSet::new(),
        rank,
        gains: BTreeSet::new(),
    };
    it.refuses(true, &it.entity(&contractor), &leave(2), &it.entity(&contractor));
    it.refuses(true, &it.entity(&Member { groups: [SALES].into(), ..user.clone() }), &leave(1), &it.entity(&inside));

    let it = Under::new("Only the company's own addresses become admins");
    let guest = Member { email: "gus@agency.example".to_owned(), ..user.clone() };
    it.refuses(true, &it.entity(&owner), &gives("admin", 2), &it.entity(&guest));
    it.refuses(false, &it.entity(&owner), &gives("admin", 2), &it.entity(&user));
    it.refuses(false, &it.entity(&owner), &gives("user", 1), &it.entity(&guest));
    it.refuses(true, &it.entity(&owner), &joins("admin", 2), &it.entity(&guest));
    it.refuses(true, &it.entity(&owner), &confers("admin", 2), &it.sales());
    it.refuses(false, &it.entity(&owner), &confers("clerk", 1), &it.sales());
    it.refuses(true, &it.entity(&owner), &follows("admin", 2, "clerk"), &it.role(CLERK));
    it.refuses(false, &it.entity(&owner), &follows("user", 1, "clerk"), &it.role(CLERK));
    let raised = |rank| Action::UpdateRole { gains: BTreeSet::new(), denials: BTreeSet::new(), rank, renames: false };
    it.refuses(true, &it.entity(&owner), &raised(2), &it.role(CLERK));
    it.refuses(false, &it.entity(&owner), &raised(1), &it.role(CLERK));

    let it = Under::new("No sign-in without a second factor");
    for (amr, is_refused) in [("pwd", true), ("mfa", false)] {
        let sign_in = SignIn {
            issuer: "https://id.example".to_owned(),
            subject: "1".to_owned(),
            auth_time: None,
            acr: None,
            amr: vec![amr.to_owned()],
        };
        it.refuses(is_refused, &it.entity(&user), &Action::StartSession(&sign_in), &tenant);
    }

    let it = Under::new("API keys change no rights");
    let key = Entity { uid: format::Uid::new("ApiKey", 1), ..it.entity(&admin) };
    it.refuses(true, &key, &gives("user", 1), &it.entity(&user));
    it.refuses(false, &key, &Action::UpdateProfile, &it.entity(&user));
    it.refuses(false, &it.entity(&admin), &gives("user", 1), &it.entity(&user));

    let it = Under::new("Nobody gives themselves a role");
    it.refuses(true, &it.entity(&owner), &gives("admin", 3), &it.entity(&owner));
    it.refuses(false, &it.entity(&owner), &gives("admin", 3), &it.entity(&user));
    it.refuses(false, &it.entity(&admin), &gives_up("admin"), &it.entity(&admin));
    let seller = Member { groups: [SALES].into(), ..owner.clone() };
    it.refuses(true, &it.entity(&seller), &confers("clerk", 1), &it.sales());
    it.refuses(false, &it.entity(&owner), &confers("clerk", 1), &it.sales());
    let clerk_too = Member { roles: [role::OWNER, CLERK].into(), ..owner.clone() };
    it.refuses(true, &it.entity(&clerk_too), &follows("admin", 2, "clerk"), &it.role(CLERK));
    it.refuses(false, &it.entity(&owner), &follows("admin", 2, "clerk"), &it.role(CLERK));

    let properties = Properties::default();
    for (when, is_refused) in [(WEDNESDAY, false), (SATURDAY, true)] {
        let it = Under::new("Invoices are closed on the weekend").at(when);
        let invoice = policy::question::of_product(TenantId::new(1), "invoice", "7");
        it.refuses(is_refused, &it.entity(&clerk), &Action::Use("invoice:write", &properties), &invoice);
    }
}

/// The trial of a draft tells what the draft refuses, and nothing that is refused anyway.
#[test]
fn a_trial_tells_what_a_policy_would_refuse() {
    let it = Under::new("No sign-in without a second factor");
    let around = Around { dialect: "users", now: it.time() };
    let told = |text: &str, of: &Member| -> Vec<String> {
        let refused = it.rules.refused_by(&Draft::new(&admit(text).unwrap()), around, of);
        refused.into_iter().map(|Refusal { permission, denial }| format!("{permission} {}", denial.rule)).collect()
    };
    let [owner, admin, user] =
        [(1, role::OWNER), (2, role::ADMIN), (3, role::USER)].map(|(user, role)| member(user, [role]));
    let freeze = gallery()["Freeze until a date"];
    assert!(told(freeze, &owner).is_empty());
    assert!(told(freeze, &admin).contains(&"member:assign-role draft-0".to_owned()));
    assert!(!told(freeze, &admin).contains(&"member:read draft-0".to_owned()));
    assert_eq!(told(freeze, &user), Vec::<String>::new(), "a user holds only member:read");
    let all = "forbid (principal, action, resource);";
    assert_eq!(told(all, &user), ["tenant:enter draft-0"]);
    let inactive = Member { status: Status::Deactivated, ..admin.clone() };
    assert_eq!(told(all, &inactive), Vec::<String>::new(), "what is refused already");

    // Every permission of the product has a least use, and an owner is refused each by a draft about everything else.
    let but_enter = r#"forbid (principal, action, resource) unless { action == Action::"tenant:enter" };"#;
    let all_told = told(but_enter, &owner);
    for permission in it.rules.all_permissions().iter().filter(|it| it.name != role::EVERYTHING) {
        assert!(all_told.contains(&format!("{} draft-0", permission.name)), "{}: {all_told:?}", permission.name);
    }
    for beside in ["policy:manage draft-0", "issuer:manage draft-0", "tenant:delete draft-0"] {
        assert!(all_told.contains(&beside.to_owned()), "{beside}: {all_told:?}");
    }
    let keys = r#"forbid (principal, action == Action::"key:create", resource);"#;
    assert_eq!(told(keys, &admin), ["key:create draft-0"], "{:?}", Action::Key(KeyDeed::Create));
}

/// The policies of README's *Authorisation*: nobody gives up the role, or leaves the group, that binds them.
#[test]
fn what_binds_a_member_is_not_shed() {
    let text = readme("\n## Authorisation\n");
    let contractor = super::custom(RoleId::new(30), "contractor", 1, &[("member:read", true)]);
    let entries = own(&[text]).into_iter().map(Entry::Policy).chain([Entry::Role(Box::new(contractor))]);
    let bound = Rules::new(1, entries);
    let frozen = GroupId::new(7);
    let caller = Member { groups: [SALES, frozen].into(), ..member(1, [role::USER, RoleId::new(30)]) };
    let owner = member(2, [role::OWNER]);
    let drop_role = |role: RoleId| assign(&bound, &caller, &(&caller.roles - &[role].into()));
    let leave = |group: GroupId| regroup(&bound, &caller, &(&caller.groups - &[group].into()), &caller.manages);
    for (action, notice) in
        [(drop_role(RoleId::new(30)), "Contractors stay contractors."), (leave(frozen), "Nobody leaves the freeze.")]
    {
        let denied = decide(&bound, "users", &caller, &action, &caller).unwrap_err();
        assert_eq!(denied.notices, [notice]);
        // Nor do two who are bound free each other.
        let other = Member { user: UserId::new(3), ..caller.clone() };
        let denied = decide(&bound, "users", &other, &action, &caller).unwrap_err();
        assert!(denied.notices.contains(&notice.to_owned()), "{denied:?}");
        assert_eq!(decide(&bound, "users", &owner, &action, &caller), Ok(Vec::new()));
    }
    let none = BTreeSet::new;
    let succession = Action::DeleteRole {
        adds: ["user"].into(),
        removes: ["contractor"].into(),
        gains: none(),
        denials: none(),
        rank: 1,
    };
    let deleted =
        Action::ManageGroups { adds: none(), removes: none(), gains: none(), denials: none(), was: 0, rank: 0 };
    let contractors = bound.role(RoleId::new(30)).unwrap().entity(TenantId::new(1), &bound);
    let freeze = Group::new(frozen, "freeze", now()).entity(TenantId::new(1), &bound);
    for (action, thing, notice) in
        [(succession, contractors, "Contractors stay contractors."), (deleted, freeze, "Nobody leaves the freeze.")]
    {
        let by = |who: &Member| bound.policies.allow(around("users"), &policy::member(who, &bound), &action, &thing);
        assert!(by(&caller).unwrap_err().notices.contains(&notice.to_owned()));
        assert!(by(&owner).is_ok());
    }
    assert!(decide(&bound, "users", &caller, &drop_role(role::USER), &caller).is_ok());
    assert!(decide(&bound, "users", &caller, &leave(SALES), &caller).is_ok());
}
