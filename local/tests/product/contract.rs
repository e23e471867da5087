//! Sentences of the contracts that one event cannot show. The others are in `events/`. The sentences about members' states and
//! roles are in `members.rs`.

use serde_json::json;
use shared::credential::Kind;
use shared::domain::{Member, role};
use shared::id::{TenantId, UserId};
use shared::table::encode;
use shared::table::key::TenantKeys;

use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, Reply, USER};
use local::token::Flaw;

const GLOBEX: TenantId = TenantId::new(2);

pub async fn admin(product: &Product) -> String {
    product.access("acme", "admin@acme.example").await
}

/// Puts a member into the table in the state that a test wants.
pub async fn put(product: &Product, member: &Member) {
    let keys = TenantKeys(member.tenant);
    let listed = keys.listed(&member.label(), member.user);
    product.store.put(encode(&keys.member(member.user), Some(&listed), member).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_answered_as_api_gateway_does() {
    let product = Product::start().await;
    for (method, path) in [("GET", "/nowhere"), ("PUT", "/v1/users"), ("PUT", "/other/v1/users/1"), ("PUT", "/")] {
        let reply = product.call(method, path, &[], "").await;
        assert_eq!((reply.status, &reply.bytes[..]), (404, &br#"{"message":"Not Found"}"#[..]), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_stand_under_the_stage_and_without_it() {
    let product = Product::start().await;
    for stage in ["", "/main"] {
        let reply = product.call("PUT", &format!("{stage}/v1/users/{}", USER.uuid()), &[], "").await;
        assert_eq!(reply.status, 401, "{stage}");
        assert_eq!(reply.json()["code"], "unauthenticated");
        assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_tenant_is_refused_before_anything_is_read_and_whether_it_exists_or_not() {
    let product = Product::start().await;
    let token = admin(&product).await;
    // The first request of a process reads the keys.
    product.put_user(&token, ACME, USER, &[], json!({ "name": "Warm" })).await;
    product.records();
    let there = product.put_user(&token, GLOBEX, USER, &[], json!({ "name": "A" })).await;
    let nowhere = product.put_user(&token, TenantId::new(99), USER, &[], json!({ "name": "A" })).await;
    assert_eq!((there.status, there.json()["code"].as_str()), (403, Some("tenant_mismatch")));
    assert_eq!((there.status, there.bytes), (nowhere.status, nowhere.bytes));
    assert_eq!(product.records(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_tenant_does_is_invisible_in_the_other() {
    let product = Product::start().await;
    let before = product.member(GLOBEX, USER).await;
    let reply = product.patch_role(&admin(&product).await, ACME, USER, role::ADMIN).await;
    assert_eq!(reply.status, 200);
    assert_eq!(product.member(GLOBEX, USER).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_in_force_on_the_next_request() {
    let product = Product::start().await;
    let (owner, admin) = (product.access("acme", "owner@acme.example").await, admin(&product).await);
    let assign = async |role: &str| product.put_user(&admin, ACME, USER, &[], json!({ "roles": [role] })).await.status;
    assert_eq!(assign("admin").await, 200);
    let demoted = product.patch_role(&owner, ACME, UserId::new(2), role::USER).await;
    assert_eq!(demoted.status, 200);
    assert_eq!(assign("user").await, 403, "the token of before says nothing of what its bearer may do");
    let promoted = product.patch_role(&owner, ACME, UserId::new(2), role::ADMIN).await;
    assert_eq!(promoted.status, 200);
    assert_eq!(assign("user").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_ends_its_tokens() {
    let product = Product::start().await;
    let token = admin(&product).await;
    let rename = async || product.put_user(&token, ACME, USER, &[], json!({ "name": "Name" })).await.status;
    assert_eq!(rename().await, 200);
    let live = product.member(ACME, UserId::new(2)).await;
    let expired = live.sessions.keys().map(|id| (id.clone(), 1)).collect();
    put(&product, &Member { sessions: expired, ..live.clone() }).await;
    assert_eq!(rename().await, 401);
    put(&product, &live).await;
    assert_eq!(rename().await, 200);
    put(&product, &Member { sessions: Default::default(), ..live }).await;
    assert_eq!(rename().await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_gets_the_first_answer_back_byte_for_byte_in_each_dialect() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    for function in FUNCTIONS {
        let key = [("idempotency-key", "one-and-the-same")];
        let first = calls.set_role_with(function, role::ADMIN, &key).await;
        assert_eq!(first.status, 200, "{}: {first:?}", function);
        assert_eq!(first.header("idempotent-replayed"), None);
        let version = product.member(ACME, USER).await.meta.version;
        // Something else happens in between.
        assert_eq!(calls.set_role(function, role::USER).await.status, 200);

        let again = calls.set_role_with(function, role::ADMIN, &key).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{}", function);
        assert_eq!((again.status, &again.bytes), (first.status, &first.bytes));
        assert_eq!(
            (again.header("etag"), again.header("content-type")),
            (first.header("etag"), first.header("content-type"))
        );
        assert_eq!(product.member(ACME, USER).await.meta.version, version + 1, "the repeat changed nothing");

        let other = calls.set_role_with(function, role::USER, &key).await;
        let status = if function.starts_with("directory") { 400 } else { 422 };
        assert_eq!(other.status, status, "{}: {other:?}", function);
        let record = TenantKeys(ACME).idempotency("2", "one-and-the-same");
        let mut recorded: shared::gate::Recorded =
            shared::table::decode(product.store.get(&record).await.unwrap().unwrap()).unwrap();
        let left = recorded.expires_at - shared::now().seconds();
        assert!((86_000..=86_400).contains(&left), "kept for 24 hours: {left}");

        // TTL deletes late: an expired record does not count.
        recorded.expires_at = 1;
        product.store.put(encode(&record, None, &recorded).unwrap()).await.unwrap();
        let anew = calls.set_role_with(function, role::ADMIN, &key).await;
        assert_eq!((anew.status, anew.header("idempotent-replayed")), (200, None), "{}", function);
        recorded.expires_at = 1;
        product.store.put(encode(&record, None, &recorded).unwrap()).await.unwrap();
        assert_eq!(calls.set_role(function, role::USER).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_its_callers_own_and_remembers_nothing_that_was_refused() {
    let product = Product::start().await;
    let key = [("idempotency-key", "shared")];
    let (owner, admin) = (product.access("acme", "owner@acme.example").await, admin(&product).await);
    let user = product.access("acme", "user@acme.example").await;
    assert_eq!(product.put_user(&admin, ACME, USER, &key, json!({ "name": "By Admin" })).await.status, 200);
    assert_eq!(product.put_user(&owner, ACME, USER, &key, json!({ "name": "By Owner" })).await.status, 200);

    let raise = async || product.put_user(&user, ACME, USER, &key, json!({ "roles": ["admin"] })).await;
    assert_eq!(raise().await.status, 403);
    assert_eq!(product.patch_role(&owner, ACME, USER, role::ADMIN).await.status, 200);
    let done = raise().await;
    assert_eq!((done.status, done.header("idempotent-replayed")), (200, None), "{done:?}");
    // That call changed nothing, and still its answer is the first one.
    assert_eq!(product.patch_role(&owner, ACME, USER, role::USER).await.status, 200);
    let again = raise().await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, Some("true")));
    assert_eq!(product.member(ACME, USER).await.roles, [role::USER].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_lets_one_of_two_through_in_each_dialect() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    for function in FUNCTIONS {
        let tag = format!("\"{}\"", product.member(ACME, USER).await.meta.version);
        let first = calls.set_role_with(function, role::ADMIN, &[("if-match", &tag)]).await;
        assert_eq!(first.status, 200, "{}: {first:?}", function);
        let second = calls.set_role_with(function, role::USER, &[("if-match", &tag)]).await;
        assert_eq!(second.status, 412, "{}: {second:?}", function);
        let tag = first.header("etag").unwrap();
        let third = calls.set_role_with(function, role::USER, &[("if-match", tag)]).await;
        assert_eq!(third.status, 200, "{}: {third:?}", function);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changed_nothing_written() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    for function in FUNCTIONS {
        let before = product.member(ACME, USER).await;
        product.records();
        let reply = calls.set_role(function, role::USER).await;
        assert_eq!((reply.status, reply.header("etag")), (200, Some("\"1\"")), "{}", function);
        assert!(product.records().iter().all(|record| record.write_units == 0.0), "{}", function);
        assert_eq!(product.member(ACME, USER).await, before);
    }
    assert_eq!(product.events(ACME, USER).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_counts_only_from_pages_that_are_known() {
    let product = Product::start_with(|options| options.hosts = vec!["proxy.example".parse().unwrap()]).await;
    let session = product.token("acme", "admin@acme.example", Kind::Session, Flaw::None).await;
    let cookie = format!("other=1; session={session}");
    let body =
        json!({ "user_id": "3", "organization_id": ACME.uuid(), "role_id": role::USER.uuid_in(ACME) }).to_string();
    let put = async |origin: Option<&str>| {
        let mut headers = vec![("cookie", cookie.as_str()), ("content-type", "application/json")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let reply: Reply = product.call("PUT", "/api/v1/organizations/1/users/roles", &headers, body.clone()).await;
        reply.status
    };
    assert_eq!(put(None).await, 200);
    // The gateway's own origin, whatever its port is.
    let port = product.server.url().rsplit_once(':').unwrap().1.to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(put(Some(&format!("http://{host}:{port}"))).await, 200, "{host}");
    }
    // Another name of the gateway, with or without TLS in front of it.
    for named in ["http://proxy.example", "https://proxy.example", &format!("http://proxy.example:{port}")] {
        assert_eq!(put(Some(named)).await, 200, "{named}");
    }
    let alike = format!("http://127.0.0.1:{port}.evil.example");
    for foreign in [
        "https://evil.example",
        "null",
        &alike,
        "http://127.0.0.1:1",
        "http://proxy.example:1",
        "https://no-origin.invalid.example",
        "",
    ] {
        assert_eq!(put(Some(foreign)).await, 401, "{foreign}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_found_within_ten_seconds_and_not_looked_for_more_often() {
    let product = Product::start().await;
    let token = admin(&product).await;
    assert_eq!(product.put_user(&token, ACME, USER, &[], json!({ "name": "Warm" })).await.status, 200);
    // The same token under a `kid` that nobody knows.
    let (header, rest) = token.split_once('.').unwrap();
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let header = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let mut header: serde_json::Value = serde_json::from_str(&header).unwrap();
    header["kid"] = json!("unknown");
    let unknown = format!("{}.{rest}", BASE64_URL_SAFE_NO_PAD.encode(header.to_string()));
    product.records();
    for _ in 0..5 {
        assert_eq!(product.put_user(&unknown, ACME, USER, &[], json!({ "name": "No" })).await.status, 401);
    }
    let reads = product.records().len();
    assert!(reads <= 1, "{reads} reads of the keys for five tokens of an unknown one");
}

/// A request with every fault. One fault at a time is mended, and the answer is always the first that applies.
#[tokio::test(flavor = "multi_thread")]
async fn checks_come_in_the_order_of_the_contract() {
    let product = Product::start().await;
    let deactivated = product.access("acme", "deactivated@acme.example").await;
    let user = product.access("acme", "user@acme.example").await;
    let owner = product.access("acme", "owner@acme.example").await;
    let (nobody, me) = (UserId::new(99), UserId::new(1));
    let unknown = r#"{"roles": ["unknown"]}"#;
    let put = async |token: &str, tenant: TenantId, user: UserId, body: &str| {
        let (authorization, tenant) = (format!("Bearer {token}"), tenant.uuid().to_string());
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-tenant-id", tenant.as_str()),
            ("content-type", "application/json"),
            ("if-match", "\"99\""),
        ];
        let reply = product.call("PUT", &format!("/v1/users/{}", user.uuid()), &headers, body.to_owned()).await;
        (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
    };
    let steps = [
        (put("none", GLOBEX, nobody, "{").await, 401, "unauthenticated"),
        (put(&deactivated, GLOBEX, nobody, "{").await, 400, "invalid_json"),
        (put(&deactivated, GLOBEX, nobody, unknown).await, 403, "tenant_mismatch"),
        (put(&deactivated, ACME, nobody, unknown).await, 403, "forbidden"),
        (put(&user, ACME, nobody, unknown).await, 404, "not_found"),
        (put(&user, ACME, me, unknown).await, 403, "forbidden"),
        (put(&owner, ACME, me, unknown).await, 422, "invalid_roles"),
        (put(&owner, ACME, me, r#"{"roles": ["user"]}"#).await, 409, "last_owner"),
        (put(&owner, ACME, me, r#"{"roles": ["owner"]}"#).await, 412, "version_mismatch"),
    ];
    for (step, (answered, status, code)) in steps.into_iter().enumerate() {
        assert_eq!(answered, (status, code.to_owned()), "step {step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_engine_can_be_used_and_its_table_is_made_once() {
    let first = Product::start().await;
    let engine = first.server.dynamodb_url();
    let second = Product::start_with(|options| options.dynamodb = Some(engine)).await;
    let reply = second.put_user(&admin(&second).await, ACME, USER, &[], json!({ "name": "Same Table" })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(first.member(ACME, USER).await.name(), "Same Table");
}
