//! Tokens for the people of a local table. The key that signs them is only in that table.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared::credential::{Claims, Expected, Kind};
use shared::domain::Time;
use shared::table::{Item, encode, key};

use crate::store::Store;
use crate::{Result, Template, demo};

/// The lifetime of a token if the caller gives none, in seconds.
pub const TTL: i64 = 3600;
/// The longest lifetime of a token, in seconds: a year.
pub const MAX_TTL: i64 = 366 * 24 * 3600;

/// Returns the issuer and the audience of tokens that the functions of a template expect.
///
/// # Errors
/// No function of the template has these settings.
pub fn expected(template: &Template) -> Result<Expected> {
    let setting = |name: &str| template.functions.iter().find_map(|function| function.environment.get(name).cloned());
    match (setting("ISSUER"), setting("AUDIENCE")) {
        (Some(issuer), Some(audience)) => Ok(Expected { issuer, audience }),
        _ => Err("no function of template.yaml has the variables ISSUER and AUDIENCE".to_owned().into()),
    }
}

/// The flaw of a token, or none: events and tests need good and bad tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Its session has ended.
    Ended,
    /// It has expired.
    Expired,
    /// Its signature belongs to another token.
    Forged,
}

/// Makes a new key pair: the item that holds the private key, and the public key as a JWK.
pub fn new_key() -> Result<(Item, Value)> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    let key = SigningKey::from_bytes(&seed);
    let private = key.to_pkcs8_der().map_err(|error| error.to_string())?;
    let kid = uuid::Uuid::new_v4().to_string();
    let public = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public, "kid": kid, "alg": "EdDSA", "use": "sig" });
    let item = json!({ "kid": kid, "pkcs8": private.as_bytes() });
    Ok((encode(&key::local_signing_key(), None, &item).map_err(|error| error.to_string())?, jwk))
}

/// Returns a token of a new session of a member. It starts that session, unless the flaw is [`Flaw::Ended`].
///
/// # Errors
/// There is no such tenant or member, or the table was not made here and so has no key to sign with.
pub async fn issue(
    store: &Store,
    expected: &Expected,
    (slug, email): (&str, &str),
    kind: Kind,
    ttl: i64,
    flaw: Flaw,
    now: Time,
) -> Result<String> {
    let (tenant, user) = demo::find(store, slug, email).await?;
    let key = store.get(&key::local_signing_key()).await?.ok_or("this table has no key to sign with".to_owned())?;
    let key: Value = shared::table::decode(key).map_err(|error| error.to_string())?;
    let private: Vec<u8> = serde_json::from_value(key["pkcs8"].clone()).map_err(|error| error.to_string())?;

    let session = uuid::Uuid::new_v4().to_string();
    let (issued, expires) = match flaw {
        Flaw::Expired => (now.seconds() - 7200, now.seconds() - 3600),
        _ => (now.seconds(), now.seconds() + ttl),
    };
    if flaw != Flaw::Ended {
        store.start_session(tenant, user, &session, now.seconds() + ttl.max(TTL), now).await?;
    }
    let claims = Claims {
        iss: expected.issuer.clone(),
        aud: expected.audience.clone(),
        sub: user.uuid().to_string(),
        tid: tenant.uuid().to_string(),
        slug: slug.to_owned(),
        sid: session,
        exp: expires,
        iat: issued,
        nbf: issued,
        typ: kind,
    };
    shared::signature::install();
    let header = Header { kid: key["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    let sign = |claims: &Claims| jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(&private));
    let token = sign(&claims).map_err(|error| error.to_string())?;
    if flaw != Flaw::Forged {
        return Ok(token);
    }
    let other = sign(&Claims { exp: expires + 1, ..claims }).map_err(|error| error.to_string())?;
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    let (_, signature) = other.rsplit_once('.').unwrap_or_default();
    Ok(format!("{signed}.{signature}"))
}

/// Replaces placeholders such as `{{access acme admin@acme.example}}` in an event by tokens. A placeholder has a kind, a tenant
/// and a user, and then `ended`, `expired` or `forged` if the token must not be good.
pub async fn fill(store: &Store, expected: &Expected, event: Value, now: Time) -> Result<Value> {
    let mut text = event.to_string();
    while let Some((before, rest)) = text.split_once("{{") {
        let (what, after) = rest.split_once("}}").ok_or("`{{` without `}}` in the event".to_owned())?;
        let words: Vec<&str> = what.split_whitespace().collect();
        let (&[kind, slug, email], flaw) = words.split_first_chunk::<3>().ok_or_else(|| unknown(what))?;
        let kind = match kind {
            "access" => Kind::Access,
            "session" => Kind::Session,
            _ => return Err(unknown(what)),
        };
        let flaw = match flaw {
            [] => Flaw::None,
            ["ended"] => Flaw::Ended,
            ["expired"] => Flaw::Expired,
            ["forged"] => Flaw::Forged,
            _ => return Err(unknown(what)),
        };
        let token = issue(store, expected, (slug, email), kind, TTL, flaw, now).await?;
        text = format!("{before}{token}{after}");
    }
    serde_json::from_str(&text).map_err(|error| format!("the event: {error}").into())
}

fn unknown(what: &str) -> crate::Error {
    format!("`{{{{{what}}}}}` in the event: say `access` or `session`, a tenant, a user, and perhaps `ended`, `expired` or `forged`").into()
}
