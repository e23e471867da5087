//! The way by a domain, of a caller who may say how people join: an owner, who stands for whoever does.

use local::{issuer, store};
use serde_json::{Value, json};
use shared::domain::role;

use super::{BARRED, DOMAIN, Filled, fill, powers};
use crate::harness::Product;

/// Somebody signs in with a verified address. Returns the status.
async fn come(product: &Product, email: &str) -> u16 {
    let token = issuer::id_token(&product.store, email, &json!({}), shared::now()).await.unwrap();
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "audience": "joining",
    });
    product.call("POST", "/v1/sessions", &[("content-type", "application/json")], body.to_string()).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_joins_with_what_the_owner_lacks_who_says_how() {
    let product = Product::start_with(|options| options.sources = false).await;
    let Filled { tenant, users, .. } = &fill(&product, "joining").await;
    let mut member = product.member(tenant.id, users[0]).await;
    member.roles = [role::OWNER, BARRED].into();
    product.server.import(store::record_items(tenant.id, &member, shared::now()).unwrap()).unwrap();
    let barred = product.access("joining", "m0@joining.example").await;
    let says = async |token: &str, (method, path): (&str, &str), body: Value| {
        let reply = product.users(token, tenant.id, (method, path), &[], Some(body)).await;
        assert!(reply.status < 300, "{method} {path}: {reply:?}");
    };

    let domain = format!("/v1/domains/{}", DOMAIN.uuid_in(tenant.id));
    let before = powers(&product, tenant).await;
    let new = json!({ "domain": "x.example", "join": "at_once", "roles": ["prize"] });
    says(&barred, ("POST", "/v1/domains"), new).await;
    says(&barred, ("PATCH", &domain), json!({ "join": "at_once", "roles": ["prize"] })).await;
    assert_eq!(come(&product, "ann@corp.example").await, 403);
    assert_eq!(powers(&product, tenant).await, before);
    // Who holds the prize may say the same.
    says(&tenant.owner_token, ("PATCH", &domain), json!({ "roles": ["prize", "plain"] })).await;
    assert_eq!(come(&product, "ann@corp.example").await, 200);
    let after = powers(&product, tenant).await;
    let joined: Vec<_> = after.iter().filter(|it| !before.contains(it)).collect();
    assert!(matches!(&joined[..], [(_, 1, names)] if names.contains("vault:open")), "{joined:?}");
}
