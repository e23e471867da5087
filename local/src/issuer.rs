//! The identity provider of the demo tenants: its key, and its tokens, which prove the demo's people.

pub(crate) mod web;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use shared::domain::{Issuer, Meta, Time};
use shared::gate::issuers::IssuerKeys;
use shared::id::TenantId;
use shared::table::{Item, encode, key};

use crate::Result;
use crate::store::{Store, record_items};

/// The `iss` of its tokens, and the audience that stands for Rolecall.
pub const ISS: &str = "http://localhost:3000/demo-issuer";
pub const AUDIENCE: &str = "rolecall-demo";

/// The `iss` of the identity provider that only the demo tenant `acme` trusts. It has the same key.
const OF_ACME: &str = "https://id.acme.example";

/// The name of the secret that holds its key.
const SECRET: &str = "demo-issuer";

/// Nobody fetches its keys, so they count for ever: until the year 2200.
pub(crate) const FOR_EVER: i64 = 7_258_118_400;

/// The item of the issuer, which all tenants trust.
pub fn items(now: Time) -> Result<Vec<Item>> {
    let issuer = Issuer {
        number: 0,
        iss: ISS.to_owned(),
        audiences: [AUDIENCE.to_owned()].into(),
        clients: [].into(),
        algorithms: ["EdDSA".to_owned()].into(),
        // The last one is no tenant's, until somebody claims it.
        domains: ["acme.example", "globex.example", "corp.example"].map(str::to_owned).into(),
        refresh_tokens: true,
        refused_keys: [].into(),
        of_deployment: true,
        meta: Meta::new(now),
    };
    record_items(TenantId::new(1), &issuer, now)
}

/// The issuer that only the demo tenant `acme` trusts.
pub fn of_acme(now: Time) -> Issuer {
    Issuer {
        number: 1,
        iss: OF_ACME.to_owned(),
        audiences: ["acme-app".to_owned()].into(),
        clients: [].into(),
        algorithms: ["EdDSA".to_owned()].into(),
        domains: ["acme.example".to_owned()].into(),
        refresh_tokens: true,
        refused_keys: [].into(),
        of_deployment: false,
        meta: Meta::new(now),
    }
}

/// Says whether it has a key.
pub async fn has_key(store: &Store) -> Result<bool> {
    Ok(store.secret(SECRET).await?.is_some())
}

/// Makes its key.
pub async fn make_key(store: &Store) -> Result<()> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    let x = BASE64_URL_SAFE_NO_PAD.encode(SigningKey::from_bytes(&seed).verifying_key().as_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "demo", "alg": "EdDSA", "use": "sig" });
    for iss in [ISS, OF_ACME] {
        let keys = IssuerKeys {
            iss: iss.to_owned(),
            document: Some(json!({ "keys": [jwk] }).to_string()),
            fetched_at: FOR_EVER,
            failed_since: None,
        };
        let key = key::issuer_keys(shared::id::issuer_uuid(iss));
        store.put(encode(&key, None, &keys).map_err(|error| error.to_string())?).await?;
    }
    store.put_secret(SECRET, &BASE64_URL_SAFE_NO_PAD.encode(seed)).await
}

/// The `sub` of a person, by their address.
pub fn subject(email: &str) -> String {
    format!("demo|{email}")
}

/// An ID token of a person, by their address, with further claims, which can replace its own.
///
/// # Errors
/// The table was not made here, so there is no key.
pub async fn id_token(store: &Store, email: &str, claims: &Value, now: Time) -> Result<String> {
    let now = now.seconds();
    let mut all = json!({
        "iss": ISS,
        "aud": AUDIENCE,
        "sub": subject(email),
        "email": email,
        "email_verified": true,
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "amr": ["pwd"],
        "jti": uuid::Uuid::new_v4(),
    });
    for (name, value) in claims.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    sign(store, &json!({ "alg": "EdDSA", "kid": "demo", "typ": "JWT" }), &all).await
}

/// A token with any header and claims.
///
/// # Errors
/// As [`id_token`].
pub async fn sign(store: &Store, header: &Value, claims: &Value) -> Result<String> {
    let seed = store.secret(SECRET).await?.ok_or_else(|| "the demo's identity provider has no key".to_owned())?;
    let seed = BASE64_URL_SAFE_NO_PAD.decode(seed).map_err(|error| error.to_string())?;
    let seed: [u8; 32] = seed.try_into().map_err(|_| "the key of the demo's identity provider is none".to_owned())?;
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = SigningKey::from_bytes(&seed).sign(signed.as_bytes());
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes())))
}
