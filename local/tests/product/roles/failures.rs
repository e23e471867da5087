//! Twins of a request that meet, a deletion that dies half way, and a tenant that is full.

use std::process::Command;
use std::sync::atomic::AtomicU32;

use shared::domain::Permission;
use shared::domain::role::{MAX_PERMISSIONS, MAX_PERMISSIONS_OF_ALL, MAX_ROLES};

use super::*;

/// The same requests, key and all, from a caller who does not wait for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn twins_of_a_request_that_meet_have_one_effect_and_equal_answers() {
    const ROUNDS: usize = 8;
    const TWINS: usize = 16;
    let _turn = turn().await;
    let latency = Latency { read: Duration::from_millis(2), write: Duration::from_millis(4) };
    let product = Product::start_with(|options| options.latency = latency).await;
    let token = product.access("acme", "admin@acme.example").await;
    let all = async |method: &str, path: &str, key: &str, body: Option<Value>| {
        let key = [("idempotency-key", key)];
        join_all((0..TWINS).map(|_| product.users(&token, ACME, (method, path), &key, body.clone()))).await
    };
    for round in 0..ROUNDS {
        let name = json!({ "name": format!("clerk {round}") });
        let made = all("POST", "/v1/roles", &format!("make-{round}"), Some(name)).await;
        are_alike(&made, 201);
        let id = RoleId::new(number(&made[0]));
        let path = format!("/v1/roles/{}", id.uuid_in(ACME));
        are_alike(&all("DELETE", &path, &format!("delete-{round}"), None).await, 204);
        let events = product.events_of_role(ACME, id).await;
        verify_ended_chain(ACME, &Subject::new("role", id), &events).unwrap();
    }
    assert_eq!(product.tenant(ACME).await.numbers.roles as usize, 5 + ROUNDS);
}

/// One of them was carried out, and the others were answered as it was.
fn are_alike(replies: &[Reply], status: u16) {
    let first: Vec<_> = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).collect();
    assert_eq!(first.len(), 1, "{first:?}");
    for reply in replies {
        assert_eq!((reply.status, &reply.bytes), (status, &first[0].bytes), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_dies_between_its_halves_is_finished_when_it_is_repeated() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let path = format!("/v1/roles/{}", AUDITOR.uuid_in(ACME));
    let headers = [("idempotency-key", "k"), ("if-match", "\"1\"")];
    let delete = || product.users(&token, ACME, ("DELETE", &path), &headers, None);
    let writes = Arc::new(AtomicU32::new(0));
    let hook = Arc::clone(&writes);
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_ours = request.function.as_deref() == Some("roles-delete") && request.operation == "TransactWriteItems";
        let is_second = is_ours && hook.fetch_add(1, Ordering::SeqCst) > 0;
        // The second half waits until its process is killed.
        if is_second { Fault::throttled() } else { Fault::None }
    })));
    let kill = async {
        eventually(|| writes.load(Ordering::SeqCst) > 1).await;
        for pid in product.server.pids("roles-delete") {
            assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        }
    };
    let (died, ()) = tokio::join!(delete(), kill);
    assert_eq!(died.status, 502, "{died:?}");
    product.server.set_fault(None);

    assert!(product.role(ACME, AUDITOR).await.unwrap().retiring);
    let given = product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user", "auditor"] })).await;
    assert_eq!((given.status, given.json()["code"].as_str()), (422, Some("invalid_roles")));
    let namesake = product.create_role(&token, ACME, json!({ "name": "Auditor" })).await;
    assert_eq!((namesake.status, namesake.json()["code"].as_str()), (409, Some("already_exists")));

    let finished = delete().await;
    assert_eq!((finished.status, finished.header("idempotent-replayed")), (204, None), "{finished:?}");
    let events = product.events_of_role(ACME, AUDITOR).await;
    assert_eq!(events.len(), 3, "made, retired, deleted");
    verify_ended_chain(ACME, &Subject::new("role", AUDITOR), &events).unwrap();
    assert_eq!(product.create_role(&token, ACME, json!({ "name": "Auditor" })).await.status, 201);
}

/// Fences cost a write each to raise. Only a deletion that is under way needs them raised.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_refused_writes_nothing() {
    let product = Product::start().await;
    let fenced = Tenant { fences: FENCES, ..product.tenant(ACME).await };
    product.store.put(encode(&TenantKeys(ACME).tenant(), None, &fenced).unwrap()).await.unwrap();
    let admin = product.access("acme", "admin@acme.example").await;
    let user = product.access("acme", "user@acme.example").await;
    product.records();
    let held = RoleId::new(4);
    for (token, role, status) in [(&user, AUDITOR, 403), (&user, RoleId::new(99), 404), (&admin, held, 409)] {
        let refused = product.delete_role(token, ACME, role).await;
        assert_eq!(refused.status, status, "{refused:?}");
        let records = product.records();
        let written = records.iter().filter(|record| !["BatchGetItem", "Query"].contains(&record.operation.as_str()));
        assert_eq!(written.count(), 0, "{status}: {records:?}");
    }
}

/// 500 roles with 5,000 permissions, whose texts are as large as bodies can make them.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_full_of_large_roles_can_still_be_used() {
    let _turn = turn().await;
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let permission =
        |at: usize| Permission { name: format!("{at}:{:x<80}", ""), description: Some("d".repeat(200)), access: true };
    // Beside the two roles of the demo data. One place is left for a role, and one for a permission.
    let demo = [product.role(ACME, RoleId::new(4)).await.unwrap(), product.role(ACME, AUDITOR).await.unwrap()];
    let held = demo.iter().map(|role| role.permissions.len()).sum::<usize>();
    let sizes = std::iter::repeat_n(MAX_PERMISSIONS, MAX_PERMISSIONS_OF_ALL / MAX_PERMISSIONS - 1);
    let sizes = sizes.chain([MAX_PERMISSIONS - held - 1]).chain(std::iter::repeat(0));
    let keys = TenantKeys(ACME);
    let filled = (100..).zip(sizes.take(MAX_ROLES - demo.len() - 1)).map(|(number, size)| {
        let id = RoleId::new(number);
        let permissions = (0..size).map(permission).collect();
        let entry =
            Entry::Role(Box::new(Role { permissions, ..Role::new(id, &format!("filled {number}"), shared::now()) }));
        encode(&keys.role(id), None, &entry).unwrap()
    });
    product.server.import(filled.collect()).unwrap();
    product.move_catalog(ACME).await;

    let body = |permissions: &[&str]| {
        let permissions: Vec<Value> = permissions.iter().map(|name| json!({ "name": name })).collect();
        json!({ "name": "last", "permissions": permissions })
    };
    let refused = product.create_role(&token, ACME, body(&["a:b", "a:c"])).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("limit_reached")), "{refused:?}");
    assert!(refused.json()["message"].as_str().unwrap().contains("at most 5000 permissions"), "{refused:?}");
    let made = product.create_role(&token, ACME, body(&["a:b"])).await;
    assert_eq!(made.status, 201, "{made:?}");
    let given = product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user", "filled 100"] })).await;
    assert_eq!(given.status, 200, "{given:?}");
    let me = product.users(&token, ACME, ("GET", "/v1/users/me"), &[], None).await;
    assert_eq!(me.status, 200, "{me:?}");
    let deleted = product.delete_role(&token, ACME, RoleId::new(number(&made))).await;
    assert_eq!(deleted.status, 204, "{deleted:?}");
}
