//! What the record tells whoever sends invitations: to whom, for how long and to what. The secret is in answers alone.

use local::issuer;
use serde_json::{Value, json};

use crate::harness::{ACME, Product};

const EMAIL: &str = "nina@corp.example";

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_an_invitation_says_to_whom_it_goes() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let reply = product.users(&owner, ACME, (method, path), &[], body).await;
        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
        reply.json()
    };
    let made = call("POST", "/v1/invitations", Some(json!({ "emails": [EMAIL], "roles": ["user"] }))).await;
    let line = &made["data"][0];
    let user = format!("/v1/users/{}", line["invitation"]["id"].as_str().unwrap());
    call("PATCH", &user, Some(json!({ "first_name": "Nina" }))).await;
    let resend = format!("/v1/invitations/{}/resend", line["invitation"]["id"].as_str().unwrap());
    let again = call("POST", &resend, Some(json!({}))).await;

    let events = call("GET", &format!("{user}/events"), None).await;
    let [resent, named, created] = &events["data"].as_array().unwrap()[..] else { panic!("{events}") };
    let told = |from: Value, to: Value| json!({ "from": from, "to": to, "is_erased": false });
    assert_eq!(created["changes"]["email"], told(Value::Null, json!(EMAIL)));
    assert_eq!(resent["changes"]["email"], told(json!(EMAIL), json!(EMAIL)));
    assert_eq!(resent["changes"]["first_name"], told(json!("Nina"), json!("Nina")));
    let roles = &created["changes"]["roles"]["to"];
    assert_eq!(resent["changes"]["roles"], told(roles.clone(), roles.clone()));
    assert_eq!(roles.as_array().unwrap().len(), 1);
    for event in [created, resent] {
        assert!(event["changes"]["invitation"]["to"]["expires_at"].is_i64(), "{event}");
    }
    assert_eq!(named["changes"], json!({ "first_name": told(Value::Null, json!("Nina")) }), "of nothing else");
    for secret in [&line["secret"], &again["secret"]] {
        assert!(!events.to_string().contains(secret.as_str().unwrap()));
    }

    // The address alone is not enough, although the issuer has verified it.
    let mut body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": "acme",
        "subject_token": issuer::id_token(&product.store, EMAIL, &json!({}), shared::now()).await.unwrap(),
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    });
    let headers = [("content-type", "application/json")];
    assert_eq!(product.call("POST", "/v1/sessions", &headers, body.to_string()).await.status, 403);
    body["invitation"] = again["secret"].clone();
    assert_eq!(product.call("POST", "/v1/sessions", &headers, body.to_string()).await.status, 200);
}
