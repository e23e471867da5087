//! An identity provider that answers over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use shared::id::{Uuid, issuer_uuid};
use shared::table::key;
use tokio::net::TcpListener;

use crate::harness::Product;

/// An identity provider on this machine: it serves its discovery document and its keys, and signs.
pub struct Provider {
    pub iss: String,
    key: ed25519_dalek::SigningKey,
    /// How often its keys were fetched.
    pub fetched: Arc<AtomicU32>,
}

impl Provider {
    pub async fn start() -> Self {
        let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let iss = format!("http://{}", listener.local_addr().unwrap());
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x, "alg": "EdDSA" }] });
        let discovery = json!({ "issuer": iss, "jwks_uri": format!("{iss}/keys") });
        let fetched = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&fetched);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (keys, discovery, count) = (keys.clone(), discovery.clone(), Arc::clone(&count));
                let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let body = match request.uri().path() {
                        "/keys" => {
                            count.fetch_add(1, Ordering::SeqCst);
                            keys.to_string()
                        }
                        _ => discovery.to_string(),
                    };
                    async move { Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(body)))) }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Self { iss, key, fetched }
    }

    pub fn id(&self) -> Uuid {
        issuer_uuid(&self.iss)
    }

    /// Waits until the function that fetches keys has heard of it.
    pub async fn is_fetched(&self, product: &Product) {
        let keys = key::issuer_keys(self.id());
        let wait = async {
            while product.store.get(&keys).await.unwrap().is_none_or(|item| !item.contains_key("document")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the keys are fetched");
    }

    pub fn id_token(&self, sub: &str, email: &str) -> String {
        self.id_token_of(sub, email, &json!({}))
    }

    /// An ID token with further claims.
    pub fn id_token_of(&self, sub: &str, email: &str, further: &Value) -> String {
        use ed25519_dalek::Signer;
        let now = shared::now().seconds();
        let mut claims = json!({
            "iss": self.iss, "aud": "app", "sub": sub, "email": email, "email_verified": true, "iat": now, "exp": now + 60,
            "jti": Uuid::new_v4(),
        });
        claims.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({ "alg": "EdDSA", "kid": "1" })), part(&claims));
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes()))
    }
}
