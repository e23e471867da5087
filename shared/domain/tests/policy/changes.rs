//! The two policies of the gallery that stop changes stop those of every kind, and nothing that reads or uses.

use domain::Label;
use domain::id::LabelId;

use super::*;

/// An action, and the thing that it is about.
type Asked<'a> = (Action<'a>, Entity);

fn sign_in() -> SignIn {
    let (issuer, subject) = ("https://id.example".to_owned(), "1".to_owned());
    SignIn { issuer, subject, auth_time: None, acr: None, amr: Vec::new() }
}

fn key(rules: &Rules) -> Entity {
    let key = crate::facts::key(2, [role::ADMIN].into());
    key.entity(key.tenant, rules)
}

/// What reads and what uses, beside entering.
fn reads<'a>(it: &Under, sign_in: &'a SignIn, properties: &'a Properties) -> Vec<Asked<'a>> {
    let (tenant, user) = (policy::tenant(TenantId::new(1)), it.entity(&member(3, [role::USER])));
    let on_members = [Action::Read, Action::ReadSessions, Action::EndSessions, Action::Check];
    let on_tenant = [
        Action::StartSession(sign_in),
        Action::List(None),
        Action::ReadPolicies,
        Action::ReadEvents,
        Action::WriteEvents,
        Action::Introspect,
    ];
    let invoice = policy::question::of_product(TenantId::new(1), "invoice", "7");
    let others = [(Action::Key(KeyDeed::Read), key(&it.rules)), (Action::Use("invoice:write", properties), invoice)];
    let on_members = on_members.into_iter().map(|action| (action, user.clone()));
    on_members.chain(on_tenant.into_iter().map(|action| (action, tenant.clone()))).chain(others).collect()
}

/// What changes something.
fn changes(it: &Under) -> Vec<Asked<'static>> {
    let none = BTreeSet::new;
    let (tenant, user) = (policy::tenant(TenantId::new(1)), it.entity(&member(3, [role::USER])));
    let on_members = [
        Action::UpdateProfile,
        Action::SetIdentity,
        Action::SetMetadata,
        Action::Invite(Inviters::Permitted),
        Action::Remove,
        gives("user", 1),
        Action::SetStatus(Status::Active),
        joins("user", 1),
        Action::Impersonate { allowed: true },
    ];
    let on_tenant = [
        Action::ManageIssuers { of_deployment: false },
        Action::ManagePolicies,
        Action::ManageWebhooks,
        Action::UpdateTenant { settings: BTreeSet::new() },
        Action::DeleteTenant,
        Action::CreateTenant,
    ];
    let on_roles = [
        Action::CreateRole,
        Action::UpdateRole { gains: none(), denials: none(), rank: 1, renames: true },
        follows("user", 1, "clerk"),
    ];
    let deeds = [KeyDeed::Create, KeyDeed::Rotate, KeyDeed::TakeOver, KeyDeed::End];
    let label = Label::new(LabelId::new(1), "engineer", now()).entity(TenantId::new(1), &it.rules);
    let on_members = on_members.into_iter().map(|action| (action, user.clone()));
    let on_tenant = on_tenant.into_iter().map(|action| (action, tenant.clone()));
    let on_roles = on_roles.into_iter().map(|action| (action, it.role(CLERK)));
    let on_keys = deeds.into_iter().map(|deed| (Action::Key(deed), key(&it.rules)));
    let others = [(confers("user", 1), it.sales()), (Action::ManageLabels, label)];
    on_members.chain(on_tenant).chain(on_roles).chain(on_keys).chain(others).collect()
}

/// The names of all actions of the schema, without that of the group.
fn all_names() -> BTreeSet<&'static str> {
    let lines = SCHEMA.lines().filter_map(|line| line.strip_prefix("action "));
    let names = lines.flat_map(|line| {
        let names = line.split(" in [").next().and_then(|line| line.split(" appliesTo").next()).unwrap();
        names.split('"').skip(1).step_by(2)
    });
    names.filter(|name| *name != "member:any").collect()
}

/// Whether the policy forbids it, and says so, whatever the base policies say.
fn forbids(it: &Under, principal: &Entity, (action, thing): &Asked<'_>) -> bool {
    let around = Around { dialect: "users", now: it.time() };
    let says = |notice: &String| gallery()[it.title].contains(&format!("@notice(\"{notice}\")"));
    let decided = it.rules.policies.allow(around, principal, action, thing);
    decided.is_err_and(|denial| denial.notices.iter().any(says))
}

#[test]
fn a_freeze_and_office_hours_stop_each_change_and_nothing_else() {
    let (sign_in, properties) = (sign_in(), Properties::default());
    for (title, closed, open) in [
        ("No changes outside office hours", SATURDAY, WEDNESDAY),
        ("Freeze until a date", WEDNESDAY, "2027-01-01T00:00:00.000Z"),
    ] {
        let (it, later) = (Under::new(title).at(closed), Under::new(title).at(open));
        let [owner, admin] = [role::OWNER, role::ADMIN].map(|role| it.entity(&member(1, [role])));
        let (reads, changes) = (reads(&it, &sign_in, &properties), changes(&it));
        assert!(it.rules.policies.enter(it.time(), &admin, TenantId::new(1)).is_ok(), "{title}");
        for asked in &reads {
            assert!(!forbids(&it, &admin, asked), "{title}: {:?}", asked.0);
        }
        for asked in &changes {
            assert!(forbids(&it, &admin, asked), "{title}: {:?}", asked.0);
            assert!(!forbids(&it, &owner, asked), "{title}: {:?} of an owner", asked.0);
            assert!(!forbids(&later, &admin, asked), "{title} {open}: {:?}", asked.0);
        }
        let machine = key(&it.rules);
        assert!(forbids(&it, &machine, &changes[0]) && !forbids(&it, &machine, &reads[0]), "{title}: an API key");
        let named = reads.iter().chain(&changes).map(|(action, _)| action.name());
        let named: BTreeSet<&str> = named.chain(["tenant:enter"]).collect();
        assert_eq!(named, all_names(), "an action of the schema is not tried, or there is no such action");
    }
}
