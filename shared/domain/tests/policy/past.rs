//! What a draft would have refused of the past: each kind of event, and everybody who had to be allowed.

use domain::draft::{Draft, Refusal};
use domain::event::{Author, READING, Stamp};
use domain::id::{KeyId, LabelId};
use domain::tenant::Settings;
use domain::{
    ApiKey, ClaimedDomain, Event, Group, Issuer, Label, Meta, OwnPolicy, Record, Subject, Tenant, Thing, Webhook,
};
use serde_json::Value;

use super::*;

const ACME: TenantId = TenantId::new(1);

/// The event of a change, as the gate would write it.
fn event<R: Record>(before: Option<&R>, after: Option<&R>) -> Event {
    let stamp = Stamp {
        tenant: ACME,
        at: now(),
        author: Author::Member(UserId::new(1)),
        impersonator: None,
        approver: None,
        request: "r".to_owned(),
        transaction: "t".to_owned(),
        secret: "s".to_owned(),
    };
    stamp.event(before, after).unwrap()
}

/// A change of a record that is still there, and the record.
fn updated<R: Record>(before: &R, after: &R) -> (Event, Option<Value>) {
    (event(Some(before), Some(after)), Some(serde_json::to_value(after).unwrap()))
}

/// The first change of a record, and the last one: the record is gone.
fn ends<R: Record>(record: &R) -> [(Event, Option<Value>); 2] {
    [(event(None, Some(record)), None), (event(Some(record), None), None)]
}

/// An event of another kind, of which only the kind counts.
fn of_kind(kind: &str) -> (Event, Option<Value>) {
    let label = Label::new(LabelId::new(1), "engineer", now());
    (Event { subject: Subject::new(kind, 1), ..event(None, Some(&label)) }, None)
}

fn key() -> ApiKey {
    ApiKey {
        id: KeyId::new(1),
        tenant: ACME,
        name: "import".to_owned(),
        roles: [role::ADMIN].into(),
        maker: Some(UserId::new(1)),
        networks: BTreeSet::new(),
        secrets: Vec::new(),
        rotated_at: None,
        valid_until: 1,
        used_at: None,
        ended: false,
        fences: 0,
        meta: Meta::new(now()),
    }
}

fn forbid(action: &str, condition: &str) -> String {
    format!("forbid (principal, action == Action::\"{action}\", resource) when {{ {condition} }};")
}

/// What a draft refuses of a past change, by the names of the actions.
fn refused(draft: &str, (event, record): &(Event, Option<Value>), actors: &[Entity]) -> Option<Vec<&'static str>> {
    let rules = Rules::new(1, entries());
    let draft = Draft::new(&check_text(draft).unwrap());
    let refused = rules.refused_of_past(&draft, event, actors, record.as_ref())?;
    Some(refused.into_iter().map(|Refusal { permission, .. }| permission).collect())
}

/// Asserts what a draft that forbids everything but to enter refuses of a change: so, what the change is taken for.
#[track_caller]
fn is_taken_for(past: &(Event, Option<Value>), actions: &[&str]) {
    let all = r#"forbid (principal, action, resource) unless { action == Action::"tenant:enter" };"#;
    let owner = policy::member(&member(1, [role::OWNER]), &Rules::new(1, []));
    assert_eq!(refused(all, past, &[owner]).as_deref(), Some(actions), "{:?}", past.0);
}

#[test]
fn each_change_of_a_record_is_taken_for_its_action() {
    let role = custom(RoleId::new(30), "clerk", 1, &[("member:read", true)]);
    let raised = Role { rank: 2, ..role.clone() };
    let retired = Role { retiring: true, successor: Some(role::USER), ..role.clone() };
    let [made, deleted] = ends(&role);
    is_taken_for(&made, &["role:create"]);
    is_taken_for(&updated(&role, &raised), &["role:update"]);
    is_taken_for(&updated(&role, &retired), &["role:delete"]);
    is_taken_for(&deleted, &["role:delete"]);

    let group = Group::new(SALES, "sales", now());
    let conferring = Group { confers: [role::ADMIN].into(), ..group.clone() };
    for past in ends(&group).into_iter().chain([updated(&group, &conferring)]) {
        is_taken_for(&past, &["group:manage"]);
    }
    for past in ends(&Label::new(LabelId::new(1), "engineer", now())) {
        is_taken_for(&past, &["label:manage"]);
    }

    is_taken_for(&(event(None, Some(&key())), None), &["key:create"]);
    is_taken_for(&updated(&key(), &ApiKey { valid_until: 2, rotated_at: Some(now()), ..key() }), &["key:rotate"]);
    is_taken_for(&updated(&key(), &ApiKey { maker: None, ..key() }), &["key:take-over"]);
    is_taken_for(&updated(&key(), &ApiKey { ended: true, ..key() }), &["key:end"]);

    let tenant = Tenant::new(ACME, "acme", "Acme", "", now());
    let limited = Tenant { settings: Settings { seats: Some(5), ..Settings::default() }, ..tenant.clone() };
    is_taken_for(&updated(&tenant, &limited), &["tenant:update"]);
    is_taken_for(&updated(&tenant, &Tenant { deleted_at: Some(now()), ..tenant.clone() }), &["tenant:delete"]);

    for (kind, action) in [
        (ClaimedDomain::KIND, "tenant:update"),
        (Issuer::KIND, "issuer:manage"),
        (Webhook::KIND, "webhook:manage"),
        (OwnPolicy::KIND, "policy:manage"),
        (Thing::KIND, "event:write"),
        (READING, "event:read"),
    ] {
        is_taken_for(&of_kind(kind), &[action]);
    }
}

#[test]
fn each_change_of_a_member_is_taken_for_its_actions() {
    let user = member(2, [role::USER]);
    let invited = Member { status: Status::Invited, ..user.clone() };
    is_taken_for(&(event(None, Some(&invited)), None), &["member:invite", "member:assign-role"]);
    let seller = Member { groups: [SALES].into(), ..user.clone() };
    let joined = ["member:invite", "member:assign-role", "member:set-status", "member:set-groups"];
    is_taken_for(&(event(None, Some(&seller)), None), &joined);
    let gone = Member { deleted_at: Some(now()), ..user.clone() };
    is_taken_for(&updated(&gone, &user), &joined[..3]);
    for (after, action) in [
        (Member { first_name: Some("Ann".to_owned()), ..user.clone() }, "member:update-profile"),
        (Member { email: "ann@acme.example".to_owned(), ..user.clone() }, "member:set-identity"),
        (Member { metadata: [("desk".to_owned(), "4".to_owned())].into(), ..user.clone() }, "member:set-metadata"),
        (Member { roles: [role::ADMIN].into(), ..user.clone() }, "member:assign-role"),
        (Member { status: Status::Deactivated, ..user.clone() }, "member:set-status"),
        (seller, "member:set-groups"),
        (gone, "member:remove"),
    ] {
        is_taken_for(&updated(&user, &after), &[action]);
    }
}

/// Not even a draft against everything is said to refuse it.
#[test]
fn what_the_record_does_not_tell_is_not_judged() {
    let owner = policy::member(&member(1, [role::OWNER]), &Rules::new(1, []));
    let tenant = Tenant::new(ACME, "acme", "Acme", "", now());
    let (user, admin) = (member(2, [role::USER]), member(2, [role::ADMIN]));
    let gone_since = (updated(&user, &admin).0, None);
    for past in [of_kind("session"), of_kind("job"), (event(None, Some(&tenant)), None), gone_since] {
        assert_eq!(refused("forbid (principal, action, resource);", &past, std::slice::from_ref(&owner)), None);
    }
}

#[test]
fn a_draft_sees_what_has_changed() {
    let owner = [policy::member(&member(1, [role::OWNER]), &Rules::new(1, []))];
    let tenant = Tenant::new(ACME, "acme", "Acme", "", now());
    let limited = Tenant { settings: Settings { seats: Some(5), ..Settings::default() }, ..tenant.clone() };
    let (user, admin) = (member(2, [role::USER]), member(2, [role::ADMIN]));
    let of_settings = |name: &str| forbid("tenant:update", &format!("context.settings.contains(\"{name}\")"));
    let of_roles = |set: &str, name: &str| forbid("member:assign-role", &format!("context.{set}.contains(\"{name}\")"));
    for (draft, past, is_refused) in [
        (of_settings("seats"), updated(&tenant, &limited), true),
        (of_settings("inviters"), updated(&tenant, &limited), false),
        (of_roles("adds", "admin"), updated(&user, &admin), true),
        (of_roles("removes", "user"), updated(&user, &admin), true),
        (of_roles("adds", "admin"), updated(&admin, &user), false),
    ] {
        assert_eq!(refused(&draft, &past, &owner).unwrap().is_empty(), !is_refused, "{draft}");
    }
}

#[test]
fn whoever_may_not_enter_is_refused_that_alone() {
    let owner = [policy::member(&member(1, [role::OWNER]), &Rules::new(1, []))];
    // The event is of a Sunday.
    for (days, wanted) in [("> 5", &["tenant:enter"][..]), ("< 6", &[][..])] {
        let draft = forbid("tenant:enter", &format!("context.now.weekday {days}"));
        assert_eq!(refused(&draft, &of_kind(Webhook::KIND), &owner).as_deref(), Some(wanted), "{days}");
    }
    let all = "forbid (principal, action, resource);";
    assert_eq!(refused(all, &of_kind(Webhook::KIND), &owner).as_deref(), Some(&["tenant:enter"][..]));
}

/// An API key and who made it, a member and who acted as them, two people who agree: a draft refuses each of them.
#[test]
fn each_who_had_to_be_allowed_is_judged() {
    let rules = Rules::new(1, []);
    let (first, second) = (member(1, [role::OWNER]), member(2, [role::OWNER]));
    let key = key().entity(ACME, &rules);
    let pairs = [
        (policy::impersonated(&first, second.user, &rules), policy::member(&second, &rules)),
        (policy::approved(&first, second.user, &rules), policy::approved(&second, first.user, &rules)),
        (key, policy::member(&second, &rules)),
    ];
    for (one, other) in pairs {
        for action in ["webhook:manage", "tenant:enter"] {
            let (of_second, past) = (forbid(action, "principal == Member::\"2\""), of_kind(Webhook::KIND));
            assert_eq!(refused(&of_second, &past, std::slice::from_ref(&one)), Some(Vec::new()), "{one:?}");
            assert_eq!(refused(&of_second, &past, &[one.clone(), other.clone()]), Some(vec![action]), "{one:?}");
            // Nothing is refused twice.
            let of_all = forbid(action, "true");
            assert_eq!(refused(&of_all, &past, &[one.clone(), other.clone()]), Some(vec![action]), "{one:?}");
        }
    }
}

/// Acting as a member is decided again with each request.
#[test]
fn whoever_may_not_act_as_the_member_is_refused_that_alone() {
    let rules = Rules::new(1, []);
    let (first, second) = (member(1, [role::USER]), member(2, [role::OWNER]));
    let actors = [policy::impersonated(&first, second.user, &rules), policy::member(&second, &rules)];
    let past = Event { impersonator: Some(second.user), ..of_kind(Webhook::KIND).0 };
    let draft = r#"forbid (principal, action in [Action::"member:impersonate", Action::"webhook:manage"], resource);"#;
    assert_eq!(refused(draft, &(past, None), &actors), Some(vec!["member:impersonate"]));
    assert_eq!(refused(draft, &of_kind(Webhook::KIND), &actors), Some(vec!["webhook:manage"]));
}
