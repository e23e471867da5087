//! `POST /oauth/revoke`: whoever shows a token can end its session.

use serde_json::json;

use super::{claims, me, refresh, sign_in, text};
use crate::harness::{ACME, Product, Reply, USER};

async fn revoke(product: &Product, token: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = product.call("POST", "/oauth/revoke", &headers, format!("token={token}")).await;
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
