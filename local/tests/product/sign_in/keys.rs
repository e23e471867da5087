//! The signing keys where a deployment keeps them.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde_json::{Value, json};

use super::{exchange, id_token, me, sign_in, text};
use crate::harness::Product;

/// `.ci/secrets` starts a server that speaks the protocols of both services, and names its URL and an ARN at it.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_can_be_in_a_real_secret_and_in_a_real_parameter() {
    let peers = std::env::var("SECRETS_PEERS").unwrap_or_default();
    for (url, arn) in peers.split(',').filter_map(|peer| peer.split_once(' ')) {
        let product = Product::start().await;
        product.server.set_variable("AWS_ENDPOINT_URL_SIGNING_SECRET", url);
        product.server.set_variable("SIGNING_SECRET", arn);
        let without = exchange(&product, &id_token(&product, "user@acme.example").await, "acme").await;
        assert_eq!(without.status, 503, "there is no key yet: {}", without.json());
        let rotated = product.server.invoke("keys-rotate", &json!({})).await.unwrap();
        assert_eq!(rotated["rotated"], true, "{arn}");
        let tokens = sign_in(&product, "user@acme.example", "acme").await;
        let access = text(&tokens, "access_token");
        let header = BASE64_URL_SAFE_NO_PAD.decode(access.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], rotated["kid"], "{arn}");
        assert_eq!(me(&product, access).await.status, 200);
        // The demo's own key, which this secret does not have, gets its end. After that nothing is due.
        for is_due in [true, false] {
            let rotated = product.server.invoke("keys-rotate", &json!({})).await.unwrap();
            assert_eq!(rotated["rotated"], is_due, "{arn}");
        }
    }
}
