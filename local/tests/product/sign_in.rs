//! Signing in, and what becomes of sessions and their tokens.

mod bootstrap;
mod budget;
mod introspect;
mod issuers;
mod keys;
mod laptop;
mod provider;
mod revoke;
mod rotation;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use futures_util::future::join_all;
use local::front::{Fault, FaultHook};
use local::issuer;
use serde_json::{Value, json};
use shared::domain::{Event, Session, Subject};
use shared::table::key::{self, TenantKeys};
use shared::table::{decode, encode};

use crate::harness::{ACME, Product, Reply, USER, the_template};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

async fn post(product: &Product, body: Value) -> Reply {
    let headers = [("content-type", "application/json")];
    product.call("POST", "/v1/sessions", &headers, body.to_string()).await
}

async fn exchange(product: &Product, token: &str, audience: &str) -> Reply {
    let body = json!({
        "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN, "audience": audience,
    });
    post(product, body).await
}

async fn id_token(product: &Product, email: &str) -> String {
    issuer::id_token(&product.store, email, &json!({}), shared::now()).await.unwrap()
}

async fn sign_in(product: &Product, email: &str, audience: &str) -> Value {
    let reply = exchange(product, &id_token(product, email).await, audience).await;
    assert_eq!(reply.status, 200, "{}\n{:#?}", reply.json(), product.lines.lock().unwrap());
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), (Some("no-store"), Some("no-cache")));
    reply.json()
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name} in {tokens}"))
}

async fn refresh(product: &Product, token: &str) -> Reply {
    post(product, json!({ "grant_type": "refresh_token", "refresh_token": token })).await
}

/// What `GET /v1/users/me` answers to an access token.
async fn me(product: &Product, access: &str) -> Reply {
    product.users(access, ACME, ("GET", "/v1/users/me"), &[], None).await
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn session(product: &Product, access: &str) -> Session {
    let key = TenantKeys(ACME).session(USER, claims(access)["sid"].as_str().unwrap());
    decode(product.store.get(&key).await.unwrap().expect("a session")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_identity_provider_gives_a_session_of_the_member() {
    let product = Product::start().await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    let access = text(&tokens, "access_token");
    assert_eq!(me(&product, access).await.json()["email"], "user@acme.example");
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    // RFC 9068, section 2.2; and no role.
    let claims = claims(access);
    let names: BTreeSet<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "sid", "slug", "started", "sub", "tid", "typ"];
    assert_eq!(names, expected.into());
    // The session token is for the dialects that want one.
    let headers =
        [("authorization", format!("Bearer {access}")), ("x-session-token", text(&tokens, "session_token").into())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = product.call("GET", "/users-organizations/v1/rs/users/me", &headers, "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    // The start of the session is on record, and the member's version stays.
    let sid = claims["sid"].as_str().unwrap();
    let event = TenantKeys(ACME).event(&Subject::new("session", sid), 1);
    let event: Event = decode(product.store.get(&event).await.unwrap().unwrap()).unwrap();
    assert_eq!(event.changes["issuer"].to, issuer::ISS);
    assert_eq!(product.events(ACME, USER).await.len(), 1);
    // Now the issuer's `sub` is known, whatever becomes of the address.
    let other = json!({ "email": "other@acme.example", "sub": "demo|user@acme.example" });
    let token = issuer::id_token(&product.store, "x", &other, shared::now()).await.unwrap();
    let again = exchange(&product, &token, "acme").await.json();
    assert_eq!(self::claims(text(&again, "access_token"))["sub"], USER.uuid().to_string());
    // It is known in one tenant only, so the tenant can be left out.
    let token = issuer::id_token(&product.store, "x", &other, shared::now()).await.unwrap();
    let body = json!({ "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN });
    assert_eq!(post(&product, body).await.status, 200);
}

/// Each of them finds the person by the address, and only one of them can be the first whose `sub` is known.
#[tokio::test(flavor = "multi_thread")]
async fn first_sign_ins_at_once_are_of_one_person() {
    let product = Product::start().await;
    let tokens = join_all((0..6).map(|_| sign_in(&product, "user@acme.example", "acme"))).await;
    for tokens in &tokens {
        assert_eq!(claims(text(tokens, "access_token"))["sub"], json!(USER.uuid()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_which_tenants_and_members_there_are() {
    let product = Product::start().await;
    let good = |email: &'static str| id_token(&product, email);
    let answer = |reply: Reply| (reply.status, reply.json());
    let stranger = answer(exchange(&product, &good("nobody@acme.example").await, "acme").await);
    assert_eq!((stranger.0, &stranger.1["error"]), (403, &json!("access_denied")));
    for (email, audience) in [
        ("user@acme.example", "initech"),
        ("user@acme.example", "726f6c65-6361-8001-8000-000000000009"),
        ("owner@acme.example", "globex"),
        ("deactivated@acme.example", "acme"),
        ("removed@acme.example", "acme"),
        ("user@other.example", "acme"),
    ] {
        assert_eq!(answer(exchange(&product, &good(email).await, audience).await), stranger, "{email} in {audience}");
    }
    // A bad token is a bad token in each of them.
    let (text, _) =
        good("user@acme.example").await.rsplit_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let forged = format!("{text}.{}", "A".repeat(86));
    let [one, other] = [exchange(&product, &forged, "acme").await, exchange(&product, &forged, "initech").await];
    assert_eq!(answer(one), answer(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gives_one_session_and_a_lost_answer_can_be_asked_for_again() {
    let product = Product::start().await;
    let token = id_token(&product, "user@acme.example").await;
    let replies = join_all((0..16).map(|_| exchange(&product, &token, "acme"))).await;
    let sids: BTreeSet<String> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 200, "{}\n{:#?}", reply.json(), product.lines.lock().unwrap());
            claims(text(&reply.json(), "access_token"))["sid"].to_string()
        })
        .collect();
    assert_eq!(sids.len(), 1, "{sids:?}");
    assert_eq!(product.member(ACME, USER).await.sessions.len(), 1);
    // Later it is used up.
    let key = key::exchanged(&shared::signing::hash(token.rsplit_once('.').unwrap().0));
    let item = product.store.get(&key).await.unwrap().unwrap();
    let mut used: shared::gate::sessions::Exchanged = decode(item).unwrap();
    used.at -= 31;
    product.store.put(encode(&key, None, &used).unwrap()).await.unwrap();
    let late = exchange(&product, &token, "acme").await;
    assert_eq!((late.status, &late.json()["error"]), (400, &json!("invalid_request")));
    // And in no other tenant either.
    let late = exchange(&product, &token, "globex").await;
    assert_eq!(late.status, 400, "{}", late.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_however_many_show_it() {
    let product = Product::start().await;
    let first = sign_in(&product, "user@acme.example", "acme").await;
    let access = text(&first, "access_token").to_owned();
    let token = text(&first, "refresh_token").to_owned();
    product.records();
    let replies = join_all((0..32).map(|_| refresh(&product, &token))).await;
    let successors: BTreeSet<String> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 200, "{}", reply.json());
            text(&reply.json(), "refresh_token").to_owned()
        })
        .collect();
    assert_eq!(successors.len(), 1);
    let written = product.records().iter().map(|record| record.write_units).sum::<f64>();
    let stored = session(&product, &access).await.refresh.unwrap();
    assert_eq!(stored.counter, 1, "one write took effect");
    assert!(written >= 1.0);
    for reply in &replies {
        assert_eq!(me(&product, text(&reply.json(), "access_token")).await.status, 200);
    }
    // The successor works, and then the first token is an older one: it ends the session.
    let successor = successors.into_iter().next().unwrap();
    assert_eq!(refresh(&product, &successor).await.status, 200);
    let stolen = refresh(&product, &token).await;
    assert_eq!((stolen.status, &stolen.json()["error"]), (400, &json!("invalid_grant")));
    assert_eq!(me(&product, &access).await.status, 401);
    assert_eq!(refresh(&product, &successor).await.status, 400);
    let events = product.events(ACME, USER).await;
    assert!(events.last().unwrap().changes.contains_key("sessions"), "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_refresh_token_before_counts_for_a_while() {
    let product = Product::start().await;
    let first = sign_in(&product, "user@acme.example", "acme").await;
    let (access, token) = (text(&first, "access_token").to_owned(), text(&first, "refresh_token").to_owned());
    // The answer is lost after the write.
    let count = AtomicU32::new(0);
    let drop_first: FaultHook = Arc::new(move |request| {
        let is_refresh = request.operation == "UpdateItem" && request.function.is_some();
        if is_refresh && count.fetch_add(1, Ordering::Relaxed) == 0 { Fault::DropAfter } else { Fault::None }
    });
    product.server.set_fault(Some(drop_first));
    let reply = refresh(&product, &token).await;
    product.server.set_fault(None);
    assert_eq!(reply.status, 200, "{}", reply.json());
    assert_eq!(session(&product, &access).await.refresh.unwrap().counter, 1);
    // Another tab gets the same.
    let again = refresh(&product, &token).await;
    assert_eq!(text(&again.json(), "refresh_token"), text(&reply.json(), "refresh_token"));
    // After the grace it ends the session.
    let mut late = session(&product, &access).await;
    late.refresh.as_mut().unwrap().since -= 31;
    let key = TenantKeys(ACME).session(USER, &late.id);
    product.store.put(encode(&key, None, &late).unwrap()).await.unwrap();
    assert_eq!(refresh(&product, &token).await.status, 400);
    assert_eq!(me(&product, &access).await.status, 401);
    // A token that nobody has made ends nothing.
    let other = sign_in(&product, "user@acme.example", "acme").await;
    let token = text(&other, "refresh_token");
    let forged = format!("{}{}", &token[..token.len() - 4], if token.ends_with("AAAA") { "BBBB" } else { "AAAA" });
    assert_eq!(refresh(&product, &forged).await.status, 400);
    assert_eq!(me(&product, text(&other, "access_token")).await.status, 200);
    // No log has any of them.
    let lines = product.lines.lock().unwrap().join("\n");
    assert!(lines.contains("a refresh token that was replaced before"), "{lines}");
    for secret in [access.as_str(), token, text(&reply.json(), "refresh_token"), text(&other, "session_token"), &forged]
    {
        assert!(!lines.contains(secret.rsplit('.').next().unwrap()), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_refused_from_the_next_request_on() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(text(&sign_in(&product, "user@acme.example", "acme").await, "access_token").to_owned());
    }
    let list = |token: String, query: String| {
        let product = &product;
        async move { product.users(&token, ACME, ("GET", &format!("/v1/sessions{query}")), &[], None).await }
    };
    let seen = product.users(&admin, ACME, ("GET", "/api/acme/v1/users/3"), &[], None).await.json();
    assert!(seen["data"]["tenant_user"]["last_seen"].is_string(), "{seen}");
    let mine = list(tokens[0].clone(), String::new()).await.json();
    assert_eq!(mine["sessions"].as_array().unwrap().len(), 3, "{mine}");
    assert_eq!(mine["sessions"].as_array().unwrap().iter().filter(|it| it["is_current"] == true).count(), 1);
    assert_eq!(mine["sessions"][0]["amr"], json!(["pwd"]));
    let of_user = list(admin.clone(), format!("?user={}", USER.uuid())).await.json();
    assert_eq!(of_user["sessions"].as_array().unwrap().len(), 3);

    let end = |token: String, path: String| {
        let product = &product;
        async move { product.users(&token, ACME, ("DELETE", &path), &[], None).await.status }
    };
    // One's own.
    assert_eq!(end(tokens[0].clone(), "/v1/sessions/current".to_owned()).await, 204);
    assert_eq!(me(&product, &tokens[0]).await.status, 401);
    // One of another's, and then all.
    let sid = claims(&tokens[1])["sid"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{sid}?user={}", USER.uuid());
    assert_eq!(end(admin.clone(), path.clone()).await, 204);
    assert_eq!(end(admin.clone(), path).await, 404);
    assert_eq!((me(&product, &tokens[1]).await.status, me(&product, &tokens[2]).await.status), (401, 200));
    assert_eq!(end(admin.clone(), format!("/v1/users/{}/sessions", USER.uuid())).await, 204);
    assert_eq!(me(&product, &tokens[2]).await.status, 401);
    // Deactivation ends them, too: nobody comes back with an old token.
    let again = text(&sign_in(&product, "user@acme.example", "acme").await, "access_token").to_owned();
    let set = |status: &'static str| {
        let (product, admin, path) = (&product, &admin, format!("/v1/users/{}", USER.uuid()));
        async move {
            let body = Some(json!({ "status": status }));
            product.users(admin, ACME, ("PATCH", &path), &[], body).await.status
        }
    };
    assert_eq!((set("deactivated").await, set("active").await), (200, 200));
    assert_eq!(me(&product, &again).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_leads_to_another_tenant_that_knows_the_person() {
    let product = Product::start().await;
    let acme = sign_in(&product, "user@acme.example", "acme").await;
    let switch = |token: String, audience: &'static str| {
        let product = &product;
        async move {
            let body = json!({
                "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT, "audience": audience,
            });
            post(product, body).await
        }
    };
    let token = text(&acme, "session_token").to_owned();
    // Globex does not know the `sub` yet.
    assert_eq!(switch(token.clone(), "globex").await.status, 403);
    sign_in(&product, "user@acme.example", "globex").await;
    let globex = switch(token.clone(), "globex").await;
    assert_eq!(globex.status, 200, "{}", globex.json());
    assert_eq!(claims(text(&globex.json(), "access_token"))["slug"], "globex");
    // It is as old as the first one, and so is a third one back here: nobody is signed in for longer by going around.
    let first = session(&product, text(&acme, "access_token")).await;
    let of_globex =
        |access: &str| TenantKeys(shared::id::TenantId::new(2)).session(USER, claims(access)["sid"].as_str().unwrap());
    let second = product.store.get(&of_globex(text(&globex.json(), "access_token"))).await.unwrap().unwrap();
    let second: Session = decode(second).unwrap();
    let third = switch(text(&globex.json(), "session_token").to_owned(), "acme").await.json();
    let third = session(&product, text(&third, "access_token")).await;
    assert!(second.id != first.id && third.id != first.id);
    for later in [&second, &third] {
        assert_eq!((later.began(), later.expires_at <= first.expires_at), (first.meta.created_at.seconds(), true));
    }
    // An invitation that was accepted long ago is no way to begin anew.
    let again = json!({
        "invitation": format!("inv_{ACME}_{USER}_x"), "subject_token": token, "subject_token_type": JWT,
    });
    let headers = [("content-type", "application/json")];
    let again = product.call("POST", "/v1/invitations/accept", &headers, again.to_string()).await.json();
    assert_eq!(claims(text(&again, "access_token"))["sid"], claims(&token)["sid"]);
    // The same tenant prolongs the session.
    let same = switch(token.clone(), "acme").await.json();
    assert_eq!(claims(text(&same, "access_token"))["sid"], claims(&token)["sid"]);
    // A session that is older than its tenant allows leads nowhere.
    let key = TenantKeys(ACME).tenant();
    let tenant = product.tenant(ACME).await;
    let mut strict = tenant.clone();
    strict.settings.session_seconds = Some(300);
    let begun = session(&product, text(&same, "access_token")).await;
    let mut old = begun.clone();
    old.meta.created_at = shared::domain::Time::from_millis(begun.meta.created_at.millis() - 301_000);
    let at = TenantKeys(ACME).session(USER, &begun.id);
    for (of_tenant, of_session) in [(&strict, &old), (&tenant, &begun)] {
        product.store.put(encode(&key, None, of_tenant).unwrap()).await.unwrap();
        product.store.put(encode(&at, None, of_session).unwrap()).await.unwrap();
        let status = if of_session.meta == begun.meta { 200 } else { 400 };
        assert_eq!(switch(token.clone(), "globex").await.status, status);
    }
    // The end of the session is the end of both ways.
    let access = text(&same, "access_token").to_owned();
    product.users(&access, ACME, ("DELETE", "/v1/sessions/current"), &[], None).await;
    assert_eq!((switch(token.clone(), "acme").await.status, switch(token, "globex").await.status), (400, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_the_secret_nobody_signs_in() {
    let product = Product::start_with(|options| {
        for statement in options.template.functions.iter_mut().flat_map(|it| &mut it.statements) {
            statement.actions.retain(|granted| granted != "secretsmanager:GetSecretValue");
        }
    })
    .await;
    let reply = exchange(&product, &id_token(&product, "user@acme.example").await, "acme").await;
    assert_eq!((reply.status, &reply.json()["error"]), (500, &json!("server_error")));
    let lines = product.lines.lock().unwrap().join("\n");
    assert!(lines.contains("AccessDeniedException") && lines.contains("secretsmanager:GetSecretValue"), "{lines}");
}

#[test]
fn three_functions_may_read_the_signing_keys() {
    let may = |action: &str| -> Vec<String> {
        let template = the_template();
        let functions = template
            .functions
            .into_iter()
            .filter(|function| function.statements.iter().any(|it| it.actions.iter().any(|granted| granted == action)));
        functions.map(|function| function.name).collect()
    };
    assert_eq!(may("secretsmanager:GetSecretValue"), ["sessions-create", "checkpoints-write", "keys-rotate"]);
    assert_eq!(may("secretsmanager:PutSecretValue"), ["keys-rotate"]);
}
