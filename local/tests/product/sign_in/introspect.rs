//! `POST /oauth/introspect`: whether a token is good now.

use super::*;

async fn ask(product: &Product, bearer: &str, token: &str) -> Reply {
    let bearer = format!("Bearer {bearer}");
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", bearer.as_str())];
    product.call("POST", "/oauth/introspect", &headers, format!("token={token}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_until_its_session_ends() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    let of = claims(text(&tokens, "access_token"));
    for (name, kind) in [("access_token", "Bearer"), ("session_token", "session"), ("refresh_token", "refresh_token")] {
        let reply = ask(&product, &admin, text(&tokens, name)).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
        let said = reply.json();
        assert_eq!((&said["active"], &said["token_type"]), (&json!(true), &json!(kind)));
        for claim in ["sub", "tid", "sid", "iss", "aud", "client_id"] {
            assert_eq!(said[claim], of[claim], "{name}, {claim}");
        }
        assert!(said["exp"].as_i64().unwrap() > shared::now().seconds(), "{said}");
    }
    // The refresh token before is none any more, and a good secret of another session neither.
    let next = refresh(&product, text(&tokens, "refresh_token")).await.json();
    let good = text(&next, "refresh_token");
    let forged = format!("{}{}", &good[..good.len() - 4], "AAAA");
    for token in [text(&tokens, "refresh_token"), &forged] {
        assert_eq!(ask(&product, &admin, token).await.json(), json!({ "active": false }));
    }
    assert_eq!(ask(&product, &admin, good).await.json()["active"], true);

    // Another tenant's service learns nothing.
    let stranger = product.access("globex", "owner@globex.example").await;
    assert_eq!(ask(&product, &stranger, text(&next, "access_token")).await.json(), json!({ "active": false }));

    let path = format!("/v1/sessions/{}?user={}", of["sid"].as_str().unwrap(), USER.uuid());
    assert_eq!(product.users(&admin, ACME, ("DELETE", &path), &[], None).await.status, 204);
    for token in ["access_token", "session_token", "refresh_token"] {
        assert_eq!(ask(&product, &admin, text(&next, token)).await.json(), json!({ "active": false }), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_good_of_who_was_deactivated() {
    let product = Product::start().await;
    let admin = product.access("acme", "admin@acme.example").await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    let path = format!("/v1/users/{}", USER.uuid());
    let off = product.users(&admin, ACME, ("PATCH", &path), &[], Some(json!({ "status": "deactivated" }))).await;
    assert_eq!(off.status, 200, "{off:?}");
    for token in ["access_token", "session_token", "refresh_token"] {
        assert_eq!(ask(&product, &admin, text(&tokens, token)).await.json(), json!({ "active": false }), "{token}");
    }
}
