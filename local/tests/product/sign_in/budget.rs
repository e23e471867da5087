//! How often one address, and one credential, may ask for tokens.

use std::net::Ipv4Addr;

use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use shared::gate::budget::CALLS_PER_CREDENTIAL;
use shared::signing::hash;

use super::*;

/// What the server of a laptop allows an address.
const PER_ADDRESS: u32 = 100_000;

/// The windows that the test can see the end of.
fn windows() -> [i64; 2] {
    let now = shared::now().seconds();
    [now - now % 60, now - now % 60 + 60]
}

async fn spend(product: &Product, kind: &str, of: &str, used: u32) {
    for window in windows() {
        let budget = json!({ "used": used, "expires_at": window + 120 });
        product.store.put(encode(&key::budget(kind, of, window), None, &budget).unwrap()).await.unwrap();
    }
}

async fn spent(product: &Product, kind: &str, of: &str) -> Vec<Option<String>> {
    let mut spent = Vec::new();
    for window in windows() {
        let item = product.store.get(&key::budget(kind, of, window)).await.unwrap();
        spent.push(item.and_then(|item| item["used"].as_n().ok().cloned()));
    }
    spent
}

fn is_refused(reply: &Reply) {
    assert_eq!((reply.status, &reply.json()["error"]), (429, &json!("temporarily_unavailable")), "{reply:?}");
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_has_asked_too_often_waits_and_no_other_does() {
    let product = Product::start().await;
    let tokens = sign_in(&product, "user@acme.example", "acme").await;
    assert!(spent(&product, "ADDRESS", "127.0.0.1").await.contains(&Some("1".to_owned())));

    spend(&product, "ADDRESS", "127.0.0.1", PER_ADDRESS - 1).await;
    let next = refresh(&product, text(&tokens, "refresh_token")).await;
    assert_eq!(next.status, 200, "the last one that is allowed");
    spend(&product, "ADDRESS", "127.0.0.1", PER_ADDRESS).await;
    is_refused(&exchange(&product, &id_token(&product, "user@acme.example").await, "acme").await);
    is_refused(&refresh(&product, text(&next.json(), "refresh_token")).await);
    let form = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-for", "192.0.2.7")];
    is_refused(&product.call("POST", "/oauth/revoke", &form, "token=x").await);
    assert_eq!(spent(&product, "ADDRESS", "127.0.0.1").await, vec![Some(PER_ADDRESS.to_string()); 2]);
    // What needs a session goes on.
    assert_eq!(me(&product, text(&next.json(), "access_token")).await.status, 200);

    let mut connector = HttpConnector::new();
    connector.set_local_address(Some(Ipv4Addr::new(127, 0, 0, 2).into()));
    let neighbour: Client<_, Full<hyper::body::Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let body = json!({ "grant_type": "refresh_token", "refresh_token": text(&next.json(), "refresh_token") });
    let request = Request::post(product.server.url() + "/v1/sessions").header("content-type", "application/json");
    let reply = neighbour.request(request.body(Full::from(body.to_string())).unwrap()).await.unwrap();
    assert_eq!(reply.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_shown_too_often_is_refused_and_no_other_is() {
    let product = Product::start().await;
    let (first, other) =
        (sign_in(&product, "user@acme.example", "acme").await, sign_in(&product, "user@acme.example", "acme").await);
    let token = text(&first, "refresh_token");
    spend(&product, "CREDENTIAL", &hash(token), CALLS_PER_CREDENTIAL).await;
    is_refused(&refresh(&product, token).await);
    // Nobody spends the budget of a token that they do not have, whatever they know of its session.
    let guessed = format!("{}{}", &token[..token.len() - 4], "AAAA");
    assert_eq!(refresh(&product, &guessed).await.status, 400);
    assert_eq!(refresh(&product, text(&other, "refresh_token")).await.status, 200);
    assert_eq!(me(&product, text(&first, "access_token")).await.status, 200, "its session goes on");
    // No item has the token.
    assert_eq!(spent(&product, "CREDENTIAL", token).await, [None, None]);
}
