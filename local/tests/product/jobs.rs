//! Jobs: a role or a group goes while other callers work, its workers are killed, and the table fails.
//!
//! Long, since all of them begin with the same tenant and look at the same things.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use local::dynamodb::Client;
use local::front::Fault;
use local::token::Flaw;
use local::{issuer, store};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shared::credential::Kind as Credential;
use shared::domain::job::State;
use shared::domain::{
    Author, ClaimedDomain, Event, Group, Job, JoinRequest, Member, Meta, Role, Subject, Tenant, User, role,
    verify_chain,
};
use shared::id::{DomainId, GroupId, JobId, JoinRequestId, Kind, MembershipId, RoleId, TenantId, UserId};
use shared::table::fence::FENCES;
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

use crate::harness::{NewTenant, Product, eventually, turn};

/// The tenant's own roles of these tests. The holders of `OLD` get `NEW`; `KEPT` is beside it.
const OLD: RoleId = RoleId::new(4);
const NEW: RoleId = RoleId::new(5);
const KEPT: RoleId = RoleId::new(6);
const TEAM: GroupId = GroupId::new(1);

/// How many members hold the role in the race. `HOLDERS=100000` is what BENCHMARKS.md reports.
fn many() -> u32 {
    std::env::var("HOLDERS").map_or(600, |text| text.parse().expect("a number"))
}

/// A tenant with the three roles and a group, and `count` members who hold `OLD` and `KEPT` and are in the group.
async fn tenant_of(product: &Product, slug: &str, count: u32) -> (NewTenant, Vec<UserId>) {
    let tenant = product.new_tenant(slug, 2).await;
    for name in ["old", "new", "kept"] {
        let made = own(product, &tenant, "POST", "/v1/roles", Some(json!({ "name": name }))).await;
        assert_eq!(made.0, 201, "{}", made.1);
    }
    let group = json!({ "name": "Team", "confers": ["old"] });
    assert_eq!(own(product, &tenant, "POST", "/v1/groups", Some(group)).await.0, 201);
    let now = shared::now();
    let users = product.store.allocate(Kind::User, count).await.unwrap();
    let memberships = product.store.allocate(Kind::Membership, count).await.unwrap();
    let mut items = Vec::new();
    for place in 0..count {
        let (id, user) = (MembershipId::new(memberships + place), UserId::new(users + place));
        let email = format!("holder{place}@{slug}.example");
        let member = Member {
            roles: [OLD, KEPT].into(),
            groups: [TEAM].into(),
            ..Member::new(id, tenant.id, user, &email, now)
        };
        items.extend(store::user_items(&User::new(user, &email, now)).unwrap());
        items.extend(store::record_items(tenant.id, &member, now).unwrap());
    }
    product.server.import(items).unwrap();
    (tenant, (users..users + count).map(UserId::new).collect())
}

/// A call of our own API by the owner.
async fn own(product: &Product, tenant: &NewTenant, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let reply = product.users(&tenant.owner_token, tenant.id, (method, path), &[], body).await;
    (reply.status, reply.json())
}

fn role_path(tenant: TenantId) -> String {
    format!("/v1/roles/{}?reassign_to=new", OLD.uuid_in(tenant))
}

async fn job(product: &Product, tenant: TenantId) -> Job {
    let item = product.store.get(&TenantKeys(tenant).job(JobId::new(1))).await.unwrap();
    decode(item.expect("a job")).unwrap()
}

/// Waits until the only job of the tenant is as wanted.
async fn until(product: &Product, tenant: TenantId, wanted: impl Fn(&Job) -> bool) -> Job {
    let wait = async {
        loop {
            let job = job(product, tenant).await;
            if wanted(&job) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let most = Duration::from_secs(120 + u64::from(many()) / 50);
    tokio::time::timeout(most, wait).await.expect("the job comes to that")
}

async fn edges(product: &Product, tenant: TenantId) -> usize {
    let keys = TenantKeys(tenant);
    let of = async |key| product.store.query(&key).await.unwrap().len();
    of(keys.holders(OLD)).await + of(keys.members_of(TEAM)).await
}

/// The event that starts the worker.
fn record(tenant: TenantId) -> Value {
    let keys = json!({ "PK": { "S": format!("TENANT#{tenant}") }, "SK": { "S": "JOB#0000000001" } });
    json!({ "Records": [{ "dynamodb": { "Keys": keys } }] })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holders_of_a_deleted_role_get_another_one_and_keep_the_rest() {
    let product = Product::start().await;
    let (tenant, users) = tenant_of(&product, "swap", 230).await;
    // The group would confer the role of owners.
    let path = role_path(tenant.id).replace("=new", "=owner");
    assert_eq!(own(&product, &tenant, "DELETE", &path, None).await.0, 422);
    let (status, started) = own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await;
    assert_eq!((status, &started["state"], &started["done"]), (202, &json!("running"), &json!(0)));
    let done = until(&product, tenant.id, |job| job.state == State::Done).await;
    assert_eq!((done.progress.done, done.progress.total), (230, Some(230)));

    let path = format!("/v1/jobs/{}", started["id"].as_str().unwrap());
    let (status, shown) = own(&product, &tenant, "GET", &path, None).await;
    assert_eq!((status, &shown["state"], &shown["done"]), (200, &json!("done"), &json!(230)));
    assert_eq!(own(&product, &tenant, "GET", &format!("/v1/roles/{}", OLD.uuid_in(tenant.id)), None).await.0, 404);
    assert!(product.store.query(&TenantKeys(tenant.id).holders(OLD)).await.unwrap().is_empty());
    assert_eq!(product.store.query(&TenantKeys(tenant.id).holders(NEW)).await.unwrap().len(), 230);
    for user in users {
        assert_eq!(product.member(tenant.id, user).await.roles, [NEW, KEPT].into());
        assert_eq!(product.events(tenant.id, user).await.len(), 2);
    }
    let item = product.store.get(&TenantKeys(tenant.id).group(TEAM)).await.unwrap();
    let team: Group = decode(item.unwrap()).unwrap();
    assert_eq!(team.confers, [NEW].into(), "the group confers the other role, too");

    let keys = TenantKeys(tenant.id);
    let mut events = keys.event(&Subject::new("job", 1), 0);
    events.sk = "EVENT#".to_owned();
    let events = product.store.query(&events).await.unwrap();
    let events: Vec<_> = events.into_iter().map(|item| decode(item).unwrap()).collect();
    verify_chain(tenant.id, &done, &events).unwrap();
    assert_eq!(events.len(), 2, "made and done");
}

/// The role of the product that goes last, and what is deleted at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_group_confers_nothing_at_once_and_its_name_is_free() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, users) = tenant_of(&product, "team", 120).await;
    let me = product.access("team", "holder0@team.example").await;
    let give = json!({ "permissions": [{ "name": "member:read" }] });
    let old = format!("/v1/roles/{}", OLD.uuid_in(tenant.id));
    assert_eq!(own(&product, &tenant, "PATCH", &old, Some(give)).await.0, 200);
    // Only the group gives the role to this member.
    let one = format!("/v1/users/{}", users[0].uuid());
    assert_eq!(own(&product, &tenant, "PATCH", &one, Some(json!({ "roles": ["kept"] }))).await.0, 200);
    let lists = async || product.users(&me, tenant.id, ("GET", "/v1/users"), &[], None).await.status;
    assert_eq!(lists().await, 200);
    // A removed member is still in the group, in case somebody restores them.
    let gone = format!("/v1/users/{}", users[1].uuid());
    assert_eq!(own(&product, &tenant, "DELETE", &gone, None).await.0, 204);

    let path = format!("/v1/groups/{}", TEAM.uuid_in(tenant.id));
    assert_eq!(own(&product, &tenant, "DELETE", &path, None).await.0, 202);
    assert_eq!(lists().await, 403, "the members have left it, though the job has not begun");
    let session = product.token("team", "member1@team.example", Credential::Session, Flaw::None).await;
    let number = format!("/users-organizations/v1/rs/users/{}", users[2]);
    let headers = [("x-session-token", session.as_str())];
    let shown = product.users(&tenant.owner_token, tenant.id, ("GET", &number), &headers, None).await.json();
    assert_eq!(shown["data"]["permissions"], json!({ "group": null, "read": [], "manage": [] }), "{shown}");
    assert_eq!(own(&product, &tenant, "GET", &path, None).await.0, 404);
    assert_eq!(own(&product, &tenant, "PUT", &format!("{one}/groups/{}", TEAM.uuid_in(tenant.id)), None).await.0, 404);
    let again = own(&product, &tenant, "POST", "/v1/groups", Some(json!({ "name": "team" }))).await;
    assert_eq!(again.0, 201, "{}", again.1);

    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    let done = job(&product, tenant.id).await;
    assert_eq!((done.state, done.progress.done), (State::Done, 120));
    assert!(product.store.query(&TenantKeys(tenant.id).members_of(TEAM)).await.unwrap().is_empty());
    assert!(product.store.get(&TenantKeys(tenant.id).group(TEAM)).await.unwrap().is_none());
    for user in &users[1..] {
        let member = product.member(tenant.id, *user).await;
        assert!(member.groups.is_empty() && member.roles == [OLD, KEPT].into());
        product.events(tenant.id, *user).await;
    }
    assert_eq!(product.tenant(tenant.id).await.counts.groups, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_on_one_job_do_each_member_once() {
    let _turn = turn().await;
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, users) = tenant_of(&product, "twice", 250).await;
    assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
    // The same request again does not start a second job.
    assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
    for (another, status) in [("kept", 409), ("none", 422)] {
        let path = role_path(tenant.id).replace("=new", &format!("={another}"));
        assert_eq!(own(&product, &tenant, "DELETE", &path, None).await.0, status, "{another}");
    }
    let event = record(tenant.id);
    let workers = (0..3).map(|_| product.server.invoke("jobs-run", &event));
    for outcome in join_all(workers).await {
        outcome.unwrap_or_else(|why| panic!("{why}: {:#?}", product.lines.lock().unwrap()));
    }
    let done = job(&product, tenant.id).await;
    assert_eq!((done.state, done.progress.done, done.progress.total), (State::Done, 250, Some(250)));
    for user in users {
        assert_eq!(product.member(tenant.id, user).await.roles, [NEW, KEPT].into());
        assert_eq!(product.events(tenant.id, user).await.len(), 2);
    }
    assert_eq!(product.tenant(tenant.id).await.numbers.jobs, 1);
}

/// A worker reads the job and the catalog one after the other. Between the two, another worker can have deleted the role.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_whose_role_is_gone_already() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, _) = tenant_of(&product, "late", 3).await;
    assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
    let key = TenantKeys(tenant.id).role(OLD);
    let item = json!({ "PK": { "S": key.pk }, "SK": { "S": key.sk } });
    let client = Client::new(&product.server.dynamodb_url());
    client.call("DeleteItem", &json!({ "TableName": product.template.table_name(), "Key": item })).await.unwrap();
    product.move_catalog(tenant.id).await;
    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    let done = job(&product, tenant.id).await;
    assert_eq!((done.state, done.progress.done), (State::Done, 3));
}

/// It can be restored, and then no member may hold a role that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_though_its_tenant_was_deleted_meanwhile() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, users) = tenant_of(&product, "between", 3).await;
    assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
    assert_eq!(own(&product, &tenant, "DELETE", "/v1/tenant?confirm=between", None).await.0, 200);
    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    assert_eq!(job(&product, tenant.id).await.state, State::Done);
    assert_eq!(product.member(tenant.id, users[0]).await.roles, [NEW, KEPT].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_waits_for_the_sweep_and_says_why() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, _) = tenant_of(&product, "fails", 30).await;
    assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
    let broken = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "by the test" });
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_work = request.function.as_deref() == Some("jobs-run") && request.operation == "TransactWriteItems";
        if is_work { Fault::AnswerBefore(400, broken.clone()) } else { Fault::None }
    })));
    // The first piece is only written down. The second one fails.
    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap_err();
    let waits = job(&product, tenant.id).await;
    assert_eq!((waits.state, waits.progress.done), (State::Waiting, 0));
    let path = format!("/v1/jobs/{}", waits.id.uuid_in(tenant.id));
    let (_, shown) = own(&product, &tenant, "GET", &path, None).await;
    let said = shown["error"].as_str().unwrap();
    assert!(!said.is_empty() && !said.contains("by the test"), "nothing of the inside: {said}");
    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    assert_eq!(job(&product, tenant.id).await, waits, "a job that waits is nobody's work");

    product.server.set_fault(None);
    product.server.invoke("jobs-sweep", &json!({ "time": "2026-01-01T00:00:00Z" })).await.unwrap();
    assert_eq!(job(&product, tenant.id).await.state, State::Running);
    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    let done = job(&product, tenant.id).await;
    assert_eq!((done.state, done.progress.done, &done.progress.error), (State::Done, 30, &None));
    assert_eq!(product.store.query(&shared::table::key::unfinished_jobs()).await.unwrap().len(), 0);
}

/// The keys of all items.
async fn keys_of_table(product: &Product) -> BTreeSet<(String, String)> {
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    product.items().await.iter().map(|item| (text(item, "PK"), text(item, "SK"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_nobody_restores_in_time_is_removed_whole() {
    let product = Product::start_with(|options| options.sources = false).await;
    let before = keys_of_table(&product).await;
    let (tenant, users) = tenant_of(&product, "gone", 230).await;
    let label = own(&product, &tenant, "POST", "/v1/labels", Some(json!({ "name": "Pilot" }))).await;
    assert_eq!(label.0, 201);
    for number in 1..=2 {
        let claim = json!({ "domain": format!("gone-{number}.example") });
        assert_eq!(own(&product, &tenant, "POST", "/v1/domains", Some(claim)).await.0, 201);
    }
    // Its rules were contended once. The next change of them raises all their fences.
    let item = TenantKeys(tenant.id).tenant();
    let fenced = Tenant { fences: FENCES, ..product.tenant(tenant.id).await };
    product.store.put(encode(&item, None, &fenced).unwrap()).await.unwrap();
    let text = r#"forbid (principal, action == Action::"label:manage", resource);"#;
    let policy = json!({ "name": "No labels", "text": text });
    assert_eq!(own(&product, &tenant, "POST", "/v1/policies", Some(policy)).await.0, 201);
    for number in 0..FENCES {
        assert!(product.store.get(&item.fence(number)).await.unwrap().is_some(), "fence {number}");
    }
    // One is verified, and somebody asks to join by it.
    let claimed = product.store.get(&TenantKeys(tenant.id).domain(DomainId::new(1))).await.unwrap().unwrap();
    let verified = ClaimedDomain { verified_at: Some(shared::now()), ..decode(claimed).unwrap() };
    let request = JoinRequest {
        id: JoinRequestId::new(1),
        tenant: tenant.id,
        email: "nina@gone-1.example".to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: "nina".to_owned(),
        domain: verified.id,
        refused_at: None,
        meta: Meta::new(shared::now()),
    };
    product.store.put_all(store::record_items(tenant.id, &verified, shared::now()).unwrap()).await.unwrap();
    product.store.put_all(store::record_items(tenant.id, &request, shared::now()).unwrap()).await.unwrap();
    let one = json!({ "external_id": "hr-1", "name": "Ann", "metadata": { "a": "b" } });
    assert_eq!(own(&product, &tenant, "PATCH", &format!("/v1/users/{}", users[0].uuid()), Some(one)).await.0, 200);
    assert_eq!(own(&product, &tenant, "DELETE", &format!("/v1/users/{}", users[1].uuid()), None).await.0, 204);
    assert_eq!(own(&product, &tenant, "DELETE", "/v1/tenant?confirm=gone", None).await.0, 200);

    let sweep = async |time: &str| product.server.invoke("jobs-sweep", &json!({ "time": time })).await.unwrap();
    sweep(&shared::now().to_string()).await;
    assert!(
        product.store.get(&TenantKeys(tenant.id).job(JobId::new(1))).await.unwrap().is_none(),
        "it can be restored"
    );
    sweep("2099-01-01T00:00:00Z").await;
    sweep("2099-01-01T00:00:00Z").await;
    assert_eq!(product.tenant(tenant.id).await.numbers.jobs, 1, "the removal begins once");
    assert_eq!(own(&product, &tenant, "POST", "/v1/tenant/restore", None).await.0, 404);

    product.server.invoke("jobs-run", &record(tenant.id)).await.unwrap();
    let people = |(pk, _): &(String, String)| pk.starts_with("USER#") || pk.starts_with("PERSON#");
    let of_tenant = |(_, sk): &(String, String)| sk.starts_with("TENANT#");
    let left: Vec<_> = keys_of_table(&product).await.difference(&before).cloned().collect();
    let left: Vec<_> = left.into_iter().filter(|key| !people(key) || of_tenant(key)).collect();
    assert_eq!(left, Vec::new(), "people stay, because they may be members elsewhere");
    assert!(before.is_subset(&keys_of_table(&product).await), "nothing of others is gone");
}

/// 16 callers change other things of the holders meanwhile, and the worker is killed ten times.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_goes_while_callers_change_its_holders_and_workers_are_killed() {
    let _turn = turn().await;
    let product = Product::start().await;
    let (tenant, users) = tenant_of(&product, "crowd", many()).await;
    let owners = product.tenant(tenant.id).await.owners;
    let (is_over, changes, turns) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let caller = async |place: usize| {
        for step in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
            // Each caller has members of its own, and comes back to them.
            let user = users[(step % 20 * 16 + place) * 7 % users.len()];
            let path = format!("/v1/users/{}", user.uuid());
            let name = json!({ "name": format!("{place} {step}") });
            let (status, answer) = match step % 3 {
                0 => own(&product, &tenant, "PATCH", &path, Some(name)).await,
                // Some become owners and stop being owners.
                1 => {
                    own(&product, &tenant, "PUT", &format!("{path}/roles/{}", role::OWNER.uuid_in(tenant.id)), None)
                        .await
                }
                _ => {
                    own(&product, &tenant, "DELETE", &format!("{path}/roles/{}", role::OWNER.uuid_in(tenant.id)), None)
                        .await
                }
            };
            assert!(matches!(status, 200 | 429 | 503), "{status} {answer}");
            changes.fetch_add(1, Ordering::Relaxed);
        }
    };
    let killer = async {
        assert_eq!(own(&product, &tenant, "DELETE", &role_path(tenant.id), None).await.0, 202);
        for kill in 1..=10 {
            // Somewhere in the middle of a further piece.
            let wanted = many() as usize * kill / 12;
            until(&product, tenant.id, |job| job.state == State::Done || job.progress.done >= wanted).await;
            eventually(|| !product.server.pids("jobs-run").is_empty()).await;
            for pid in product.server.pids("jobs-run") {
                let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
            }
            turns.fetch_add(1, Ordering::Relaxed);
        }
        let done = until(&product, tenant.id, |job| job.state == State::Done).await;
        is_over.store(true, Ordering::Relaxed);
        done
    };
    let started = std::time::Instant::now();
    let (done, _) = tokio::join!(killer, join_all((0..16).map(caller)));
    println!(
        "{} holders in {:.0} s, while callers made {} changes; {} kills",
        users.len(),
        started.elapsed().as_secs_f64(),
        changes.load(Ordering::Relaxed),
        turns.load(Ordering::Relaxed)
    );
    assert_eq!((done.progress.done, done.progress.total), (users.len(), Some(users.len())));
    assert!(product.store.query(&TenantKeys(tenant.id).holders(OLD)).await.unwrap().is_empty());
    let (mut acting, mut swaps) = (owners, 0);
    let look_at = async |user: &UserId| {
        let member = product.member(tenant.id, *user).await;
        assert!(!member.roles.contains(&OLD) && member.roles.is_superset(&[NEW, KEPT].into()), "{:?}", member.roles);
        let events = product.events(tenant.id, *user).await;
        let is_by_job = |event: &&Event| matches!(&event.author, Author::Product(why) if why == "job 1");
        (u32::from(member.is_acting_owner()), events.iter().filter(is_by_job).count())
    };
    for some in users.chunks(64) {
        for (owner, by_job) in join_all(some.iter().map(look_at)).await {
            acting += owner;
            swaps += by_job;
        }
    }
    assert_eq!(product.tenant(tenant.id).await.owners, acting);
    assert_eq!(swaps, users.len(), "one change by the job for each");
    let role: Option<Role> =
        product.store.get(&TenantKeys(tenant.id).role(OLD)).await.unwrap().map(|it| decode(it).unwrap());
    assert_eq!((role, edges(&product, tenant.id).await), (None, users.len()), "only the edges of the group are left");
}
