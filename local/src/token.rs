//! Tokens for the people of a local table, signed with a key that lives in that table only.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shared::credential::{Claims, Kind};
use shared::key::Key;
use shared::model::Session;
use shared::table::{Item, encode};
use shared::time::Time;

use crate::store::Store;
use crate::{Result, demo};

/// How long a token is good for if nothing else is said, in seconds.
pub const TTL: i64 = 3600;

/// For whom tokens are.
#[derive(Clone, Debug)]
pub struct Audience {
    pub issuer: String,
    pub audience: String,
}

/// What a token is to be, good or not: events and tests need both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Its session has ended.
    Ended,
    /// It has expired.
    Expired,
    /// Its signature is another token's.
    Forged,
}

fn signing_key() -> Key {
    Key { pk: "CONFIG".to_owned(), sk: "LOCAL_SIGNING_KEY".to_owned() }
}

/// A new key pair: the item that holds the private key, and the public key.
pub fn new_key() -> Result<(Item, Jwk)> {
    // A key for a laptop's demo data: what the hasher's seed of this process gives is random enough, and no more is needed.
    let seed: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    let private = SigningKey::from_bytes(&seed).to_pkcs8_der().map_err(|error| error.to_string())?;
    let encoding = EncodingKey::from_ed_der(private.as_bytes());
    let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA).map_err(|error| error.to_string())?;
    let kid = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
    jwk.common.key_id = Some(kid.clone());
    jwk.common.key_algorithm = Some(KeyAlgorithm::EdDSA);
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let item = json!({ "kid": kid, "pkcs8": private.as_bytes() });
    Ok((encode(&signing_key(), None, &item).map_err(|error| error.to_string())?, jwk))
}

/// A new session of a member, and a token of it.
///
/// # Errors
/// There is no such tenant or member, or the table was not made here and so has no key to sign with.
pub async fn issue(
    store: &Store,
    audience: &Audience,
    (slug, email): (&str, &str),
    kind: Kind,
    ttl: i64,
    flaw: Flaw,
    now: Time,
) -> Result<String> {
    let (tenant, user) = demo::find(store, slug, email).await?;
    let key = store.get(&signing_key()).await?.ok_or("this table has no key to sign with".to_owned())?;
    let key: Value = shared::table::decode(key).map_err(|error| error.to_string())?;
    let private: Vec<u8> = serde_json::from_value(key["pkcs8"].clone()).map_err(|error| error.to_string())?;

    let session = uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string();
    let (issued, expires) = match flaw {
        Flaw::Expired => (now.seconds() - 7200, now.seconds() - 3600),
        _ => (now.seconds(), now.seconds() + ttl),
    };
    if flaw != Flaw::Ended {
        let item = Session { id: session.clone(), tenant, expires_at: now.seconds() + ttl.max(TTL) };
        let item = encode(&shared::key::session(user, &session), None, &item);
        store.put(item.map_err(|error| error.to_string())?).await?;
    }
    let claims = Claims {
        iss: audience.issuer.clone(),
        aud: audience.audience.clone(),
        sub: user.uuid().to_string(),
        tid: tenant.uuid().to_string(),
        slug: slug.to_owned(),
        sid: session,
        exp: expires,
        iat: issued,
        nbf: issued,
        typ: kind,
    };
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

/// Puts tokens in the place of `{{access acme admin@acme.example}}` and the like in an event: kind, tenant and user, then
/// `ended`, `expired` or `forged` if it shall not be good.
pub async fn fill(store: &Store, audience: &Audience, event: Value, now: Time) -> Result<Value> {
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
        let token = issue(store, audience, (slug, email), kind, TTL, flaw, now).await?;
        text = format!("{before}{token}{after}");
    }
    serde_json::from_str(&text).map_err(|error| format!("the event: {error}").into())
}

fn unknown(what: &str) -> crate::Error {
    format!("`{{{{{what}}}}}` in the event: say `access` or `session`, a tenant, a user, and perhaps `ended`, `expired` or `forged`").into()
}
