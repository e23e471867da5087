//! Roles and members by the product's own API: what is made, shown and deleted, whoever does what at once.

mod failures;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use local::front::{Fault, Latency};
use serde_json::{Value, json};
use shared::domain::chain::verify_ended_chain;
use shared::domain::{Entry, Event, Role, Subject, Tenant, verify_chain};
use shared::id::{RoleId, TenantId, UserId};
use shared::table::fence::FENCES;
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

use crate::harness::{ACME, Product, Reply, USER, eventually, turn};

const GLOBEX: TenantId = TenantId::new(2);
/// The role of the demo data that nobody holds.
const AUDITOR: RoleId = RoleId::new(5);

impl Product {
    /// A call of the dialect `users`; a body makes it JSON.
    pub async fn users(
        &self,
        token: &str,
        tenant: TenantId,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let (authorization, tenant) = (format!("Bearer {token}"), tenant.uuid().to_string());
        let mut all = vec![("authorization", authorization.as_str()), ("x-tenant-id", tenant.as_str())];
        all.extend(body.iter().map(|_| ("content-type", "application/json")));
        all.extend(headers);
        self.call(method, path, &all, body.map(|body| body.to_string()).unwrap_or_default()).await
    }

    async fn create_role(&self, token: &str, tenant: TenantId, body: Value) -> Reply {
        self.users(token, tenant, ("POST", "/v1/roles"), &[], Some(body)).await
    }

    async fn delete_role(&self, token: &str, tenant: TenantId, role: RoleId) -> Reply {
        let path = format!("/v1/roles/{}", role.uuid_in(tenant));
        self.users(token, tenant, ("DELETE", &path), &[], None).await
    }

    /// The role as the table has it.
    async fn role(&self, tenant: TenantId, role: RoleId) -> Option<Role> {
        let item = self.store.get(&TenantKeys(tenant).role(role)).await.unwrap()?;
        match decode(item).unwrap() {
            Entry::Role(role) => Some(*role),
            entry => panic!("{entry:?}"),
        }
    }

    /// Whether an edge says that anybody holds the role.
    async fn is_held(&self, tenant: TenantId, role: RoleId) -> bool {
        !self.store.query(&TenantKeys(tenant).holders(role)).await.unwrap().is_empty()
    }

    async fn events_of_role(&self, tenant: TenantId, role: RoleId) -> Vec<Event> {
        let mut key = TenantKeys(tenant).event(&Subject::new("role", role), 0);
        key.sk = "EVENT#".to_owned();
        let items = self.store.query(&key).await.unwrap();
        items.into_iter().map(|item| decode(item).unwrap()).collect()
    }

    /// Puts a role into the table, as a request could have left it.
    async fn put_role(&self, tenant: TenantId, role: Role) {
        let key = TenantKeys(tenant).role(role.id);
        self.store.put(encode(&key, None, &Entry::Role(Box::new(role))).unwrap()).await.unwrap();
        self.move_catalog(tenant).await;
    }
}

fn number(reply: &Reply) -> u32 {
    u32::try_from(reply.json()["number"].as_u64().unwrap_or_else(|| panic!("{reply:?}"))).unwrap()
}

/// With fences around the tenant's rules and without: so many callers give the role that another one deletes.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_was_deleted_is_held_by_nobody() {
    const ROUNDS: usize = 12;
    const GIVERS: u32 = 12;
    let _turn = turn().await;
    let latency = Latency { read: Duration::from_millis(2), write: Duration::from_millis(4) };
    let product = Product::start_with(|options| options.latency = latency).await;
    let tenant = product.new_tenant("retired", 2 + GIVERS).await;
    let (mut gone, mut kept) = (0, 0);
    for round in 0..ROUNDS {
        let made = product.create_role(&tenant.owner_token, tenant.id, json!({ "name": format!("r{round}") })).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = RoleId::new(number(&made));
        let name = format!("r{round}");
        let give = (0..GIVERS).map(async |place| {
            // From before the deletion until after it.
            tokio::time::sleep(Duration::from_millis((round as u64 % 6) * 8 + u64::from(place) * 2)).await;
            let roles = json!({ "roles": ["user", name] });
            product.put_user(&tenant.owner_token, tenant.id, tenant.member(2 + place), &[], roles).await
        });
        let delete = product.delete_role(&tenant.admin_token, tenant.id, id);
        let (given, deleted) = tokio::join!(join_all(give), delete);
        let holders = join_all(
            (0..GIVERS)
                .map(async |place| product.member(tenant.id, tenant.member(2 + place)).await.roles.contains(&id)),
        );
        let holders = holders.await.into_iter().filter(|holds| *holds).count();
        let acknowledged = given.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(holders, acknowledged, "round {round}: what was acknowledged is what is so");
        assert_eq!(product.is_held(tenant.id, id).await, holders > 0, "round {round}");
        assert!(given.iter().all(|reply| matches!(reply.status, 200 | 422)), "round {round}: {given:?}");
        match deleted.status {
            204 => {
                gone += 1;
                assert_eq!((holders, product.role(tenant.id, id).await), (0, None), "round {round}");
                let events = product.events_of_role(tenant.id, id).await;
                verify_ended_chain(tenant.id, &Subject::new("role", id), &events).unwrap();
            }
            409 => {
                kept += 1;
                let role = product.role(tenant.id, id).await.unwrap();
                assert!(holders > 0 && !role.retiring, "round {round}: {role:?}");
                verify_chain(tenant.id, &role, &product.events_of_role(tenant.id, id).await).unwrap();
                for roles in [json!(["user"]), json!(["user", name])] {
                    let member = tenant.member(2);
                    let given =
                        product.put_user(&tenant.owner_token, tenant.id, member, &[], json!({ "roles": roles }));
                    assert_eq!(given.await.status, 200, "round {round}: {roles}");
                }
            }
            _ => panic!("round {round}: {deleted:?}"),
        }
    }
    assert!(product.tenant(tenant.id).await.fences > 0, "the callers met at the tenant's rules");
    assert!(gone > 0 && kept > 0, "{gone} deleted, {kept} kept: the callers did not meet");
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_that_are_made_at_once_have_numbers_without_a_gap_and_names_of_their_own() {
    const CALLERS: usize = 16;
    let _turn = turn().await;
    let product = Product::start().await;
    let tenant = product.new_tenant("makers", 2).await;
    let before = product.tenant(tenant.id).await.catalog_version;
    let make = |name: String| product.create_role(&tenant.admin_token, tenant.id, json!({ "name": name }));
    let made = join_all((0..CALLERS).map(|at| make(format!("role {at}")))).await;
    assert!(made.iter().all(|reply| reply.status == 201), "{made:?}");
    let numbers: BTreeSet<u32> = made.iter().map(number).collect();
    assert_eq!(numbers, (4..4 + CALLERS as u32).collect());
    assert_eq!(product.tenant(tenant.id).await.catalog_version, before + CALLERS as u64);
    for id in numbers.into_iter().map(RoleId::new) {
        let role = product.role(tenant.id, id).await.unwrap();
        verify_chain(tenant.id, &role, &product.events_of_role(tenant.id, id).await).unwrap();
    }

    let same = join_all((0..CALLERS).map(|at| make(if at % 2 == 0 { "Twin" } else { "TWIN" }.to_owned()))).await;
    assert_eq!(same.iter().filter(|reply| reply.status == 201).count(), 1, "{same:?}");
    let taken = same.iter().filter(|reply| reply.status != 201);
    assert!(taken.into_iter().all(|reply| reply.status == 409 && reply.json()["code"] == "already_exists"), "{same:?}");

    let twin = RoleId::new(4 + CALLERS as u32);
    let delete = || product.delete_role(&tenant.admin_token, tenant.id, twin);
    let (one, other) = tokio::join!(delete(), delete());
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404]);
}

/// As a request leaves it that dies between the two halves of a deletion.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_was_left_retiring_is_deleted_or_kept_by_the_next_deletion() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let give = async || product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user", "auditor"] })).await;
    let auditor = product.role(ACME, AUDITOR).await.unwrap();
    product.put_role(ACME, Role { retiring: true, ..auditor.clone() }).await;
    let refused = give().await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("invalid_roles")));

    // Somebody got it just before.
    product.put_role(ACME, auditor.clone()).await;
    assert_eq!(give().await.status, 200);
    product.put_role(ACME, Role { retiring: true, ..auditor }).await;
    // Who holds it keeps it through other changes.
    assert_eq!(give().await.status, 200);
    let kept = product.delete_role(&token, ACME, AUDITOR).await;
    assert_eq!((kept.status, kept.json()["code"].as_str()), (409, Some("in_use")));
    assert!(!product.role(ACME, AUDITOR).await.unwrap().retiring);

    assert_eq!(product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user"] })).await.status, 200);
    let retiring = Role { retiring: true, ..product.role(ACME, AUDITOR).await.unwrap() };
    product.put_role(ACME, retiring).await;
    assert_eq!(product.delete_role(&token, ACME, AUDITOR).await.status, 204);
    assert_eq!(product.role(ACME, AUDITOR).await, None);
    assert_eq!(product.delete_role(&token, ACME, AUDITOR).await.status, 404);
}

/// The request that marked the role died before that was in force. Another deletion looks for holders, and only then a request
/// comes to write that has read the rules of before; the deletion writes last. The table throttles both to keep this order.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_rests_on_older_rules_gives_nobody_a_role_that_is_being_deleted() {
    for fences in [0, FENCES] {
        let product = Product::start().await;
        let token = product.access("acme", "admin@acme.example").await;
        let tenant = Tenant { fences, ..product.tenant(ACME).await };
        product.store.put(encode(&TenantKeys(ACME).tenant(), None, &tenant).unwrap()).await.unwrap();
        let order = Arc::new(Order::default());
        let hook = Arc::clone(&order);
        product.server.set_fault(Some(Arc::new(move |request| {
            let must_wait = match (request.operation.as_str(), request.function.as_deref()) {
                ("TransactWriteItems", Some("users-update")) => hook.waits(&hook.has_read, &hook.has_looked),
                ("TransactWriteItems", Some("roles-delete")) => hook.waits(&hook.has_looked, &hook.is_answered),
                _ => false,
            };
            if must_wait { Fault::throttled() } else { Fault::None }
        })));
        let give = async {
            let given = product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user", "auditor"] })).await;
            order.is_answered.store(true, Ordering::SeqCst);
            given
        };
        let delete = async {
            eventually(|| order.has_read.load(Ordering::SeqCst)).await;
            let auditor = product.role(ACME, AUDITOR).await.unwrap();
            product.put_role(ACME, Role { retiring: true, ..auditor }).await;
            product.delete_role(&token, ACME, AUDITOR).await
        };
        let (given, deleted) = tokio::join!(give, delete);
        assert_eq!((given.status, deleted.status), (422, 204), "{fences} fences: {given:?} {deleted:?}");
        assert!(!product.member(ACME, USER).await.roles.contains(&AUDITOR), "{fences} fences");
        assert!(!product.is_held(ACME, AUDITOR).await, "{fences} fences");
    }
}

/// What has happened of two requests that meet.
#[derive(Default)]
struct Order {
    has_read: AtomicBool,
    has_looked: AtomicBool,
    is_answered: AtomicBool,
}

impl Order {
    /// Notes what has happened, and says whether something else must happen before it goes on.
    fn waits(&self, happened: &AtomicBool, before: &AtomicBool) -> bool {
        happened.store(true, Ordering::SeqCst);
        !before.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_again_makes_and_deletes_nothing_more() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let key = [("idempotency-key", "once")];
    let make = || product.users(&token, ACME, ("POST", "/v1/roles"), &key, Some(json!({ "name": "clerk" })));
    let (first, again) = (make().await, make().await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    assert_eq!((&first.bytes, first.header("location")), (&again.bytes, again.header("location")));
    assert_eq!(product.tenant(ACME).await.numbers.roles, 6);

    let path = format!("/v1/roles/{}", AUDITOR.uuid_in(ACME));
    let key = [("idempotency-key", "gone")];
    let delete = || product.users(&token, ACME, ("DELETE", &path), &key, None);
    for replayed in [None, Some("true")] {
        let reply = delete().await;
        assert_eq!((reply.status, &reply.bytes[..], reply.header("idempotent-replayed")), (204, &b""[..], replayed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_decides_the_next_request_in_every_process() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let admin = product.access("acme", "admin@acme.example").await;
    let authorization = format!("Bearer {admin}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let set_status = || product.call("PUT", "/api/acme/v1/users/3", &headers, r#"{"status": 1}"#);
    // Several processes, each with the rules in memory.
    let warm = join_all((0..8).map(|_| set_status())).await;
    assert!(warm.iter().all(|reply| reply.status == 200), "{warm:?}");
    let denying = json!({ "name": "calm", "permissions": [{ "name": "member:set-status", "access": false }] });
    assert_eq!(product.create_role(&owner, ACME, denying).await.status, 201);
    let given = product.put_user(&owner, ACME, UserId::new(2), &[], json!({ "roles": ["admin", "calm"] })).await;
    assert_eq!(given.status, 200, "{given:?}");
    let after = join_all((0..8).map(|_| set_status())).await;
    assert!(after.iter().all(|reply| reply.status == 403), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_500_roles_and_a_role_200_permissions() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let permissions: Vec<Value> = (0..200).map(|at| json!({ "name": format!("p:{at}") })).collect();
    let made = product.create_role(&token, ACME, json!({ "name": "wide", "permissions": permissions })).await;
    assert_eq!((made.status, made.json()["permissions"].as_array().map(Vec::len)), (201, Some(200)), "{made:?}");

    // Three are there: two of the demo data and the one above.
    let keys = TenantKeys(ACME);
    let filled = (100..596).map(|number| {
        let id = RoleId::new(number);
        let entry = Entry::Role(Box::new(Role::new(id, &format!("filled {number}"), shared::now())));
        encode(&keys.role(id), None, &entry).unwrap()
    });
    product.store.put_all(filled.collect()).await.unwrap();
    product.move_catalog(ACME).await;
    // One place is left, for one of those who ask at once.
    let make = |at| product.create_role(&token, ACME, json!({ "name": format!("the last {at}") }));
    let replies = join_all((0..8).map(async |at| make(at).await)).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1, "{replies:?}");
    let refused = product.create_role(&token, ACME, json!({ "name": "one too many" })).await;
    for reply in replies.iter().filter(|reply| reply.status != 201).chain([&refused]) {
        assert_eq!((reply.status, reply.json()["code"].as_str()), (422, Some("limit_reached")), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_tenant_has_is_like_what_nobody_has() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let globex = product.access("globex", "owner@globex.example").await;
    let theirs = product.create_role(&globex, GLOBEX, json!({ "name": "theirs" })).await;
    let theirs = theirs.json()["id"].as_str().unwrap().to_owned();
    let nobodys = RoleId::new(99).uuid_in(ACME);
    let of = async |method: &str, path: String| {
        let reply = product.users(&token, ACME, (method, &path), &[], None).await;
        (reply.status, reply.bytes)
    };
    let role = of("DELETE", format!("/v1/roles/{theirs}")).await;
    assert_eq!(role.0, 404);
    assert_eq!(role, of("DELETE", format!("/v1/roles/{nobodys}")).await);
    // Otto is in globex only.
    let user = of("GET", format!("/v1/users/{}", UserId::new(6).uuid())).await;
    assert_eq!(user.0, 404);
    assert_eq!(user, of("GET", format!("/v1/users/{}", UserId::new(99).uuid())).await);
}

/// Verification keys are read again after 30 s, together with the facts of a request.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_counts_no_more_after_thirty_seconds() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let me = || product.users(&token, ACME, ("GET", "/v1/users/me"), &[], None);
    assert_eq!(me().await.status, 200);
    let started = std::time::Instant::now();
    let none = json!({ "document": r#"{"keys":[]}"# });
    let none = encode(&shared::table::key::jwks(), None, &none).unwrap();
    product.store.put(none).await.unwrap();
    assert_eq!(me().await.status, 200, "a warm function trusts the keys that it has read just now");
    let refused = async {
        while me().await.status != 401 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), refused).await.expect("the key goes on counting");
    assert!(started.elapsed() > Duration::from_secs(20), "keys are read again and again");
    product.records();
    assert_eq!(me().await.status, 401);
}
