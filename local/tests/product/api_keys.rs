//! API keys: callers like members, with roles of their own that never reach further than the member who made them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::api_key::ShownKey;
use shared::domain::{ApiKey, Author, role};
use shared::id::{KeyId, TenantId, UserId};
use shared::table::key::TenantKeys;

use crate::harness::{ACME, NewTenant, Product, Reply, USER, turn};

const ADMIN: UserId = UserId::new(2);

/// Makes a key, and returns its id and its text.
async fn make(product: &Product, token: &str, tenant: TenantId, body: Value) -> (String, String) {
    let made = product.users(token, tenant, ("POST", "/v1/api-keys"), &[], Some(body)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

async fn of_tenant(product: &Product, tenant: &NewTenant, roles: &[&str]) -> (String, String) {
    make(product, &tenant.admin_token, tenant.id, json!({ "name": "Import", "roles": roles })).await
}

async fn get(product: &Product, token: &str, tenant: TenantId, path: &str) -> Reply {
    product.users(token, tenant, ("GET", path), &[], None).await
}

async fn post(product: &Product, token: &str, tenant: TenantId, path: &str, body: Option<Value>) -> Reply {
    product.users(token, tenant, ("POST", path), &[], body).await
}

fn code(reply: &Reply) -> (u16, String) {
    let rule = reply.json()["details"]["rule"].as_str().map(str::to_owned);
    (reply.status, rule.unwrap_or_else(|| reply.json()["code"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_calls_in_every_dialect_but_that_of_people() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let (id, key) = make(&product, &admin, ACME, json!({ "name": "Import", "roles": ["admin"] })).await;
    let bearer = format!("Bearer {key}");
    let acme = ACME.uuid().to_string();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("x-tenant-id", &acme)];
    let role = role::USER.uuid_in(ACME);
    for (method, path, body) in [
        ("PATCH", "/api/v1/tenant/acme/user/3", json!({ "roleId": "user" })),
        ("PUT", "/v1/users/726f6c65-6361-8002-8000-000000000003", json!({ "name": "Uma Keyed" })),
        ("PUT", "/api/acme/v1/users/3", json!({ "status": 1 })),
        (
            "PUT",
            "/api/v1/organizations/1/users/roles",
            json!({ "user_id": "3", "organization_id": acme, "role_id": role }),
        ),
        (
            "POST",
            "/access/v1/evaluation",
            json!({
                "subject": { "type": "user", "id": USER.uuid() },
                "action": { "name": "read" },
                "resource": { "type": "member", "id": USER.uuid() },
            }),
        ),
    ] {
        let reply = product.call(method, path, &headers, body.to_string()).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
    }
    // Its use is in the list, and is no change of it.
    let shown = get(&product, &admin, ACME, &format!("/v1/api-keys/{id}")).await.json();
    assert!(shown["last_used_at"].is_string() && shown["version"] == 1, "{shown}");
    let session =
        product.token("acme", "admin@acme.example", shared::credential::Kind::Session, local::token::Flaw::None);
    let session = session.await;
    let headers = [headers[0], headers[1], ("x-session-token", session.as_str())];
    let of_people = product.call("GET", "/users-organizations/v1/rs/users/3", &headers, "").await;
    assert_eq!(of_people.status, 401, "{of_people:?}");

    // The record names the key, and no person.
    let events = product.events(ACME, USER).await;
    assert_eq!(events.last().unwrap().author, Author::Key(id));
    assert_eq!(product.member(ACME, USER).await.meta.updated_by, None);
    // What only a person has, a key has not.
    for (method, path, body, status) in [
        ("GET", "/v1/users/me", None, 404),
        ("GET", "/v1/sessions", None, 404),
        ("GET", "/v1/tenants", None, 403),
        ("POST", "/v1/tenants", Some(json!({ "name": "New", "slug": "new" })), 403),
        ("POST", "/v1/tenant/leave", None, 403),
    ] {
        let reply = product.users(&key, ACME, (method, path), &[], body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
    }
    // A policy of the tenant can say that keys may not do a thing.
    let text = r#"forbid (principal is ApiKey, action == Action::"member:update-profile", resource);"#;
    product.put_policies(ACME, &[text]).await;
    let by_key = product.put_user(&key, ACME, USER, &[], json!({ "name": "Uma Forbidden" })).await;
    assert_eq!(code(&by_key), (403, "tenant-policy-1-0".to_owned()));
    assert_eq!(product.put_user(&admin, ACME, USER, &[], json!({ "name": "Uma Allowed" })).await.status, 200);
    // A key is in one tenant.
    let other = TenantId::new(2);
    assert_eq!(code(&get(&product, &key, other, "/v1/roles").await), (403, "tenant_mismatch".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_never_do_what_its_maker_may_not_do_now() {
    let product = Product::start().await;
    let tenant = product.new_tenant("bounded", 3).await;
    let (id, key) = of_tenant(&product, &tenant, &["admin"]).await;
    let target = tenant.member(2);
    let set = async |name: &str| product.put_user(&key, tenant.id, target, &[], json!({ "name": name })).await;
    assert_eq!(set("One").await.status, 200);
    // The maker is demoted.
    let demoted = product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role::USER).await;
    assert_eq!(demoted.status, 200);
    let refused = set("Two").await;
    assert_eq!(code(&refused), (403, "not-permitted".to_owned()));
    assert_eq!(refused.json()["notices"], json!(["The member who made the API key may not do that."]));
    let read = get(&product, &key, tenant.id, &format!("/v1/users/{}", target.uuid())).await;
    assert_eq!(read.status, 200, "both may read: {read:?}");
    // A key with few roles does not get those of its maker.
    let promoted = product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role::ADMIN).await;
    assert_eq!(promoted.status, 200);
    let (_, narrow) = of_tenant(&product, &tenant, &["user"]).await;
    let by_narrow = product.put_user(&narrow, tenant.id, target, &[], json!({ "name": "Three" })).await;
    assert_eq!(code(&by_narrow), (403, "not-permitted".to_owned()));
    assert_eq!(by_narrow.json()["notices"], json!([]));
    // Nobody raises themselves by a key of their own.
    let own = product.put_user(&key, tenant.id, tenant.admin, &[], json!({ "roles": ["admin", "user"] })).await;
    assert_eq!(own.status, 200, "the maker has nothing to gain by it: {own:?}");
    let raised = product.put_user(&key, tenant.id, tenant.admin, &[], json!({ "roles": ["owner"] })).await;
    assert_eq!(raised.status, 403);

    // The maker is deactivated: the key is refused, until an owner takes it over.
    let path = format!("/v1/users/{}", tenant.admin.uuid());
    let off = json!({ "status": "deactivated" });
    let off = product.users(&tenant.owner_token, tenant.id, ("PATCH", &path), &[], Some(off)).await;
    assert_eq!(off.status, 200, "{off:?}");
    assert_eq!(code(&set("Four").await), (403, "active-member".to_owned()));
    let path = format!("/v1/api-keys/{id}/take-over");
    let taken = post(&product, &tenant.owner_token, tenant.id, &path, None).await;
    assert_eq!((taken.status, &taken.json()["maker"]), (200, &Value::Null), "{taken:?}");
    assert_eq!(set("Five").await.status, 200);
    // Twice is once.
    let again = post(&product, &tenant.owner_token, tenant.id, &path, None).await;
    assert_eq!(again.header("etag"), taken.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_a_key_that_reaches_further_than_themselves() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let refused = async |token: &str, roles: &[&str]| {
        let body = json!({ "name": "Import", "roles": roles });
        code(&post(&product, token, ACME, "/v1/api-keys", Some(body)).await)
    };
    assert_eq!(refused(&admin, &["owner"]).await, (403, "key-outranks".to_owned()));
    assert_eq!(refused(&admin, &["billing-manager"]).await, (403, "key-permission-not-held".to_owned()));
    let user = product.access("acme", "user@acme.example").await;
    assert_eq!(refused(&user, &["user"]).await, (403, "not-permitted".to_owned()));
    // Nor does a key make keys, or change them, itself too.
    let owner = product.access("acme", "owner@acme.example").await;
    let (id, key) = make(&product, &owner, ACME, json!({ "name": "Everything", "roles": ["owner"] })).await;
    assert_eq!(refused(&key, &["user"]).await, (403, "person-only".to_owned()));
    for (method, path) in [("POST", "/rotate"), ("POST", "/take-over"), ("DELETE", "")] {
        let body = (path == "/rotate").then(|| json!({}));
        let reply = product.users(&key, ACME, (method, &format!("/v1/api-keys/{id}{path}")), &[], body).await;
        assert_eq!(code(&reply), (403, "person-only".to_owned()), "{path}");
    }
    // An admin may neither rotate an owner's key, nor end it; they may end their own, whatever they are by then.
    for (method, path) in [("POST", "/rotate"), ("DELETE", "")] {
        let body = (path == "/rotate").then(|| json!({}));
        let reply = product.users(&admin, ACME, (method, &format!("/v1/api-keys/{id}{path}")), &[], body).await;
        assert_eq!(code(&reply), (403, "key-outranks".to_owned()), "{path}");
    }
    let (own, _) = make(&product, &admin, ACME, json!({ "name": "Own", "roles": ["admin"] })).await;
    assert_eq!(product.patch_role(&owner, ACME, ADMIN, role::USER).await.status, 200);
    let path = format!("/v1/api-keys/{own}");
    let listed = get(&product, &admin, ACME, "/v1/api-keys").await.json();
    let names: Vec<_> = listed["api_keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["Own"], "a user sees the keys that they have made, and no others");
    assert_eq!(code(&post(&product, &admin, ACME, &format!("{path}/rotate"), Some(json!({}))).await).0, 403);
    assert_eq!(product.users(&admin, ACME, ("DELETE", &path), &[], None).await.status, 204);
    assert_eq!(get(&product, &admin, ACME, &path).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_has_two_secrets_for_a_while() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let (id, first) = make(&product, &admin, ACME, json!({ "name": "Import", "roles": ["user"] })).await;
    let rotate = async |overlap: u32| {
        let path = format!("/v1/api-keys/{id}/rotate");
        let rotated = post(&product, &admin, ACME, &path, Some(json!({ "overlap": overlap }))).await;
        assert_eq!(rotated.status, 200, "{rotated:?}");
        rotated.json()["secret"].as_str().unwrap().to_owned()
    };
    let works = async |key: &str| match get(&product, key, ACME, "/v1/roles").await.status {
        200 => true,
        401 => false,
        status => panic!("{status}"),
    };
    let second = rotate(60).await;
    assert!(works(&first).await && works(&second).await);
    let third = rotate(0).await;
    assert!(!works(&first).await && !works(&second).await && works(&third).await);
    // Another key's secret, and one that was copied badly.
    let (_, other) = make(&product, &admin, ACME, json!({ "name": "Other", "roles": ["user"] })).await;
    let shown = ShownKey::read(&third).unwrap();
    let forged = other.replace(&format!("k{}m", ShownKey::read(&other).unwrap().id), &format!("k{}m", shown.id));
    for wrong in [&forged, &third[..third.len() - 1], "rk_", "rk_local_acme_1k1m1_x"] {
        assert!(!works(wrong).await, "{wrong}");
    }

    // What is given again under an `Idempotency-Key` has no secret.
    let once = [("idempotency-key", "make-once")];
    let body = json!({ "name": "Once", "roles": ["user"] });
    let made = product.users(&admin, ACME, ("POST", "/v1/api-keys"), &once, Some(body.clone())).await;
    let again = product.users(&admin, ACME, ("POST", "/v1/api-keys"), &once, Some(body)).await;
    assert_eq!((made.status, again.status), (201, 409), "{again:?}");
    assert_eq!(again.json()["code"], "secret_already_shown");
    // No secret is in the table, nor in a log.
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let used = get(&product, &secret, ACME, "/v1/roles").await;
    assert_eq!(used.status, 200);
    let random = secret.rsplit('_').next().unwrap();
    assert!(!serde_json::to_string(&product.items().await).unwrap().contains(random));
    assert!(product.lines.lock().unwrap().iter().all(|line| !line.contains(random)));
    let number = ShownKey::read(&secret).unwrap().id;
    let logged = format!("\"key\":{number}");
    assert!(product.lines.lock().unwrap().iter().any(|line| line.contains(&logged)), "the log names the key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_in_its_time_and_from_its_networks() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let status = async |networks: &[&str]| {
        let body = json!({ "name": "Import", "roles": ["user"], "networks": networks });
        let (_, key) = make(&product, &admin, ACME, body).await;
        get(&product, &key, ACME, "/v1/roles").await.status
    };
    assert_eq!(status(&["127.0.0.0/8", "203.0.113.7"]).await, 200);
    assert_eq!(status(&["203.0.113.7", "2001:db8::/32"]).await, 401);

    let (id, key) = make(&product, &admin, ACME, json!({ "name": "Import", "roles": ["user"] })).await;
    let number = ShownKey::read(&key).unwrap().id;
    let stored = async |number: KeyId| {
        let item = product.store.get(&TenantKeys(ACME).api_key(number)).await.unwrap().unwrap();
        shared::table::decode::<ApiKey>(item).unwrap()
    };
    let mut expired = ApiKey { valid_until: shared::now().seconds(), ..stored(number).await };
    expired.secrets[0].until = expired.valid_until;
    let place = TenantKeys(ACME).api_key(number);
    product.store.put(shared::table::encode(&place, None, &expired).unwrap()).await.unwrap();
    assert_eq!(get(&product, &key, ACME, "/v1/roles").await.status, 401);
    // It is still there, and a rotation makes it good again.
    let path = format!("/v1/api-keys/{id}/rotate");
    let rotated = post(&product, &admin, ACME, &path, Some(json!({}))).await.json();
    assert_eq!(get(&product, rotated["secret"].as_str().unwrap(), ACME, "/v1/roles").await.status, 200);
    assert_eq!(get(&product, &key, ACME, "/v1/roles").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_ended_key_commits_after_its_end() {
    const ROUNDS: usize = 10;
    const CALLERS: u32 = 16;
    let _turn = turn().await;
    let product = Product::start().await;
    let mut met = 0;
    for round in 0..ROUNDS {
        let tenant = product.new_tenant(&format!("ended-{round}"), 2 + CALLERS).await;
        let (id, key) = of_tenant(&product, &tenant, &["admin"]).await;
        let path = format!("/v1/api-keys/{id}");
        let seen = product.stream_end().await;
        let in_flight = (0..CALLERS).map(async |place| {
            product.put_user(&key, tenant.id, tenant.member(2 + place), &[], json!({ "name": "By Key" })).await
        });
        let end = async {
            loop {
                let reply = product.users(&tenant.owner_token, tenant.id, ("DELETE", &path), &[], None).await;
                if reply.status == 204 {
                    return product.stream_end().await;
                }
                assert!(matches!(reply.status, 429 | 503), "{reply:?}");
            }
        };
        let (replies, acknowledged) = tokio::join!(join_all(in_flight), end);
        for reply in &replies {
            assert!(matches!(reply.status, 200 | 401 | 429 | 503), "{reply:?}");
        }
        let after = product.changed_members(tenant.id, acknowledged).await;
        assert_eq!(after, [], "round {round}: changes after the end");
        let done = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(done, product.changed_members(tenant.id, seen).await.len(), "round {round}");
        met += usize::from(replies.iter().any(|reply| reply.status == 401));
    }
    assert!(met > 0, "no round in which the key was refused: the callers did not meet");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_only_oauth_gets_an_access_token() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let (id, key) = make(&product, &admin, ACME, json!({ "name": "Import", "roles": ["admin"] })).await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let grant = "grant_type=client_credentials";
    let token = async |headers: &[(&str, &str)], body: String| {
        product.call("POST", "/oauth/token", &[&[form], headers].concat(), body).await
    };
    let basic = |id: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{key}")));
    let by_body = token(&[], format!("{grant}&client_id={id}&client_secret={key}")).await;
    let by_header = token(&[("authorization", &basic(&id))], grant.to_owned()).await;
    for reply in [&by_body, &by_header] {
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
        let tokens = reply.json();
        assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
        assert!(tokens.get("refresh_token").is_none() && tokens.get("session_token").is_none(), "{tokens}");
    }
    let access = by_body.json()["access_token"].as_str().unwrap().to_owned();
    let done = product.put_user(&access, ACME, USER, &[], json!({ "name": "Uma Token" })).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(product.events(ACME, USER).await.last().unwrap().author, Author::Key(id.clone()));

    for (headers, body) in [
        (vec![], format!("{grant}&client_secret={}", &key[..key.len() - 1])),
        (vec![], format!("{grant}&client_id={}&client_secret={key}", USER.uuid())),
        (vec![("authorization", basic("somebody"))], grant.to_owned()),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value): &(&str, String)| (*name, value.as_str())).collect();
        let refused = token(&headers, body).await;
        assert_eq!((refused.status, &refused.json()["error"]), (401, &json!("invalid_client")), "{refused:?}");
        assert_eq!(refused.header("www-authenticate"), Some("Basic"));
    }
    let twice = token(&[("authorization", &basic(&id))], format!("{grant}&client_secret={key}")).await;
    assert_eq!((twice.status, &twice.json()["error"]), (400, &json!("invalid_request")));
    // A token of a key gives no session.
    let exchange = format!(
        "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={access}\
         &subject_token_type=urn:ietf:params:oauth:token-type:access_token"
    );
    assert_eq!(token(&[], exchange).await.json()["error"], "invalid_request");

    let asked = async |text: &str| {
        let bearer = format!("Bearer {admin}");
        let headers = [form, ("authorization", bearer.as_str())];
        product.call("POST", "/oauth/introspect", &headers, format!("token={text}")).await.json()
    };
    for text in [&access, &key] {
        let said = asked(text).await;
        assert_eq!((&said["active"], &said["sub"], &said["client_id"]), (&json!(true), &json!(id), &json!(id)));
    }
    // Its end ends the token, too, on the next request.
    let ended = product.users(&admin, ACME, ("DELETE", &format!("/v1/api-keys/{id}")), &[], None).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    for text in [&access, &key] {
        assert_eq!(get(&product, text, ACME, "/v1/roles").await.status, 401);
        assert_eq!(asked(text).await, json!({ "active": false }));
    }
    let ended = token(&[], format!("{grant}&client_secret={key}")).await;
    assert_eq!((ended.status, &ended.json()["error"]), (401, &json!("invalid_client")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_asks_what_it_may_do_itself() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let (_, key) = make(&product, &owner, ACME, json!({ "name": "Billing", "roles": ["billing-manager"] })).await;
    let may = async |question: Value| {
        let reply = post(&product, &key, ACME, "/v1/check", Some(question)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["allowed"].as_bool().unwrap()
    };
    assert!(may(json!({ "action": "billing:read" })).await);
    assert!(!may(json!({ "action": "invoice:read" })).await, "its maker may, and it may not");
    let member = json!({ "type": "member", "id": USER.uuid() });
    assert!(!may(json!({ "action": "assign-role", "resource": member, "change": { "roles": ["admin"] } })).await);
    let of_other = json!({ "subject": USER.uuid(), "action": "member:read" });
    assert_eq!(code(&post(&product, &key, ACME, "/v1/check", Some(of_other)).await).0, 403);
}
