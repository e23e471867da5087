//! `POST /oauth/revoke`: whoever shows a token can end its session.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use local::front::Fault;
use serde_json::json;
use shared::table::fence::FENCES;
use shared::table::key::TenantKeys;

use super::{claims, me, refresh, sign_in, text};
use crate::harness::{ACME, Product, Reply, USER, eventually};

async fn ask_to_revoke(product: &Product, token: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    product.call("POST", "/oauth/revoke", &headers, format!("token={token}")).await
}

async fn revoke(product: &Product, token: &str) -> Reply {
    let reply = ask_to_revoke(product, token).await;
    assert_eq!((reply.status, reply.json(), reply.header("cache-control")), (200, json!({}), Some("no-store")));
    reply
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_ends_its_session_and_no_other() {
    let product = Product::start().await;
    let other = sign_in(&product, "user@acme.example", "acme").await;
    for name in ["access_token", "session_token", "refresh_token"] {
        let tokens = sign_in(&product, "user@acme.example", "acme").await;
        assert_eq!(me(&product, text(&tokens, "access_token")).await.status, 200);
        for _ in 0..2 {
            revoke(&product, text(&tokens, name)).await;
            assert_eq!(me(&product, text(&tokens, "access_token")).await.status, 401, "{name}");
        }
        let refused = refresh(&product, text(&tokens, "refresh_token")).await;
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_grant")), "{name}");
    }
    // A client that has lost an answer shows the refresh token before the last one.
    let first = sign_in(&product, "user@acme.example", "acme").await;
    let next = refresh(&product, text(&first, "refresh_token")).await.json();
    revoke(&product, text(&first, "refresh_token")).await;
    assert_eq!(me(&product, text(&next, "access_token")).await.status, 401);

    // Tokens that are none end nothing, and the answer does not tell.
    let access = text(&other, "access_token");
    let forged = format!("{}.{}", access.rsplit_once('.').unwrap().0, "A".repeat(86));
    let (made, other_refresh) = (text(&first, "refresh_token"), text(&other, "refresh_token"));
    let foreign_secret = format!("{}{}", &other_refresh[..other_refresh.len() - 20], &made[made.len() - 20..]);
    for token in ["x", "rt_x", "a.b.c", &forged, &foreign_secret] {
        revoke(&product, token).await;
    }
    assert_eq!(me(&product, access).await.status, 200);

    let sid = claims(text(&first, "access_token"))["sid"].as_str().unwrap().to_owned();
    let events = product.events(ACME, USER).await;
    let ends = events.iter().filter(|event| json!(event).to_string().contains("a token was revoked")).count();
    assert_eq!(ends, 4, "one for each session, {sid} too");
}

/// There are fences around the member's rights. A process ends their session, and dies before it has raised them.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_died_is_in_force_once_it_is_repeated() {
    let product = Product::start().await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    let member = TenantKeys(ACME).member(USER);
    let mut fenced = product.store.get(&member).await.unwrap().unwrap();
    fenced.insert("fences".to_owned(), AttributeValue::N(FENCES.to_string()));
    product.store.put(fenced).await.unwrap();
    let tries = Arc::new(AtomicU32::new(0));
    let hook = Arc::clone(&tries);
    product.server.set_fault(Some(Arc::new(move |request| {
        if request.operation != "UpdateItem" || !request.body.to_string().contains("#FENCE") {
            return Fault::None;
        }
        hook.fetch_add(1, Ordering::SeqCst);
        Fault::throttled()
    })));
    let kill = async {
        eventually(|| tries.load(Ordering::SeqCst) > 0).await;
        product.kill("sessions-create");
    };
    let access = text(&tokens, "access_token");
    let (died, ()) = tokio::join!(ask_to_revoke(&product, access), kill);
    assert_eq!(died.status, 502, "{died:?}");
    product.server.set_fault(None);

    revoke(&product, access).await;
    let authority = AttributeValue::N(product.member(ACME, USER).await.authority.to_string());
    for number in 0..FENCES {
        let fence = product.store.get(&member.fence(number)).await.unwrap();
        assert_eq!(fence.as_ref().and_then(|it| it.get("version")), Some(&authority), "fence {number}");
    }
}
