//! The keys that sign our tokens, and the tokens that they sign.

pub mod rotation;

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use domain::Problem;
use domain::checkpoint::Statement;
pub use domain::id::sha256 as hash;
use domain::id::{TenantId, UserId, Uuid};
use ed25519_dalek::SigningKey as Ed25519;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::credential::{ACCESS_TOKEN, Claims, JWT, Kind};
use crate::http::signature;

/// How long an access token lives, in seconds: 10 minutes.
pub const ACCESS: i64 = 10 * 60;

/// How long a session token lives, in seconds: 12 hours.
pub const SESSION: i64 = 12 * 60 * 60;

/// The type of a signed checkpoint, in its header.
pub const CHECKPOINT: &str = "checkpoint";

/// The content of the secret. It has no `Debug`, so that no log gets it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SigningKeys {
    keys: Vec<SigningKey>,
    /// 32 random bytes in base64: refresh tokens are made of it.
    seal: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct SigningKey {
    kid: String,
    /// Ed25519, in PKCS #8 and base64.
    pkcs8: String,
    /// In seconds since the epoch.
    signs_from: i64,
}

/// A claim set of ours, with what RFC 9068 asks for beside it.
#[derive(Serialize)]
struct Signed<'a> {
    #[serde(flatten)]
    claims: &'a Claims,
    client_id: &'a str,
    jti: String,
}

impl SigningKeys {
    /// # Errors
    /// A defect: the secret is none of ours.
    pub fn parse(secret: &str) -> Result<Self, Problem> {
        serde_json::from_str(secret).map_err(|_| Problem::Internal("the signing secret is not valid".to_owned()))
    }

    pub fn text(&self) -> String {
        json!(self).to_string()
    }

    /// New keys: one that signs from now on. Also its public half, as a JWK.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn new(now: i64) -> Result<(Self, Value), Problem> {
        let (key, public) = SigningKey::new(now)?;
        Ok((Self { keys: vec![key], seal: BASE64_STANDARD.encode(random()?) }, public))
    }

    /// The key that signs now.
    fn current(&self, now: i64) -> Option<&SigningKey> {
        self.keys.iter().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from)
    }

    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid == kid)
    }

    /// The `kid` of tokens that are signed now.
    pub fn kid(&self, now: i64) -> Option<&str> {
        self.current(now).map(|key| key.kid.as_str())
    }

    /// A token with these claims, for a client of the issuer that has proved the person.
    ///
    /// # Errors
    /// A defect: there is no key, or it is none.
    pub fn sign(&self, claims: &Claims, client: &str) -> Result<String, Problem> {
        let typ = if claims.typ == Kind::Access { ACCESS_TOKEN } else { JWT };
        let signed = Signed { claims, client_id: client, jti: Uuid::new_v4().to_string() };
        self.sign_as(typ, &signed, claims.iat)
    }

    /// A text that says what a checkpoint covers. Its type makes it no token.
    ///
    /// # Errors
    /// As those of [`SigningKeys::sign`].
    pub fn sign_statement(&self, statement: &Statement, now: i64) -> Result<String, Problem> {
        self.sign_as(CHECKPOINT, statement, now)
    }

    fn sign_as(&self, typ: &str, content: &impl Serialize, now: i64) -> Result<String, Problem> {
        let defect = |why: &str| Problem::Internal(format!("the signing secret: {why}"));
        let key = self.current(now).ok_or_else(|| defect("no key signs yet"))?;
        let private = BASE64_STANDARD.decode(&key.pkcs8).map_err(|_| defect("a key is not in base64"))?;
        signature::install();
        let header = Header { kid: Some(key.kid.clone()), typ: Some(typ.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, content, &EncodingKey::from_ed_der(&private));
        token.map_err(|_| defect("a key is none"))
    }

    /// The refresh token of a session after so many replacements. It is derived, so that a lost answer can be given again and no
    /// item has it.
    pub fn refresh(&self, of: &RefreshOf) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.seal.as_bytes());
        let plain = of.bytes();
        let tag = hmac::sign(&key, &plain);
        format!("{REFRESH}{}", BASE64_URL_SAFE_NO_PAD.encode([&plain[..], tag.as_ref()].concat()))
    }

    /// Whether this very secret has made a refresh token. The comparison takes the same time for all tokens.
    pub fn has_made(&self, of: &RefreshOf, token: &str) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.seal.as_bytes());
        let bytes = token.strip_prefix(REFRESH).and_then(|token| BASE64_URL_SAFE_NO_PAD.decode(token).ok());
        let tag = bytes.as_ref().and_then(|bytes| bytes.get(PLAIN..)).unwrap_or_default();
        hmac::verify(&key, &of.bytes(), tag).is_ok()
    }
}

impl SigningKey {
    fn new(signs_from: i64) -> Result<(Self, Value), Problem> {
        let key = Ed25519::from_bytes(&random()?);
        let pkcs8 = key.to_pkcs8_der().map_err(|why| Problem::Internal(why.to_string()))?;
        let (kid, public) = public(&key);
        Ok((Self { kid, pkcs8: BASE64_STANDARD.encode(pkcs8.as_bytes()), signs_from }, public))
    }

    /// The public half, as a JWK.
    fn public(&self) -> Option<Value> {
        let private = BASE64_STANDARD.decode(&self.pkcs8).ok()?;
        Ed25519::from_pkcs8_der(&private).ok().map(|key| public(&key).1)
    }
}

/// The public half of a key as a JWK, under its thumbprint (RFC 7638).
fn public(key: &Ed25519) -> (String, Value) {
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let members: BTreeMap<_, _> = [("crv", "Ed25519"), ("kty", "OKP"), ("x", &x)].into();
    let kid = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(json!(members).to_string()));
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" });
    (kid, jwk)
}

fn random() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|why| Problem::Internal(format!("no random bytes: {why}")))?;
    Ok(bytes)
}

/// The beginning of refresh tokens, for scanners.
const REFRESH: &str = "rt_";

/// The bytes of a refresh token before its secret: tenant, user, session, counter.
const PLAIN: usize = 4 + 4 + 16 + 4;

/// The session of a refresh token, and how often it was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshOf {
    pub tenant: TenantId,
    pub user: UserId,
    pub session: Uuid,
    pub counter: u32,
}

impl RefreshOf {
    fn bytes(&self) -> [u8; PLAIN] {
        let mut bytes = [0; PLAIN];
        bytes[..4].copy_from_slice(&self.tenant.number().to_be_bytes());
        bytes[4..8].copy_from_slice(&self.user.number().to_be_bytes());
        bytes[8..24].copy_from_slice(self.session.as_bytes());
        bytes[24..].copy_from_slice(&self.counter.to_be_bytes());
        bytes
    }

    /// The same session, after so many replacements.
    pub fn replaced(self, counter: u32) -> Self {
        Self { counter, ..self }
    }

    /// What a refresh token says. Nothing of it is proved.
    pub fn read(token: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(REFRESH)?).ok()?;
        if bytes.len() != PLAIN + 32 {
            return None;
        }
        let number = |from: usize| Some(u32::from_be_bytes(bytes.get(from..from + 4)?.try_into().ok()?));
        Some(Self {
            tenant: i64::from(number(0)?).try_into().ok()?,
            user: i64::from(number(4)?).try_into().ok()?,
            session: Uuid::from_slice(bytes.get(8..24)?).ok()?,
            counter: number(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::credential::{Expected, Holder, Keys, verify};
    use domain::Time;

    #[test]
    fn a_token_is_verified_by_the_public_half() {
        let (keys, public) = SigningKeys::new(1_000).unwrap();
        let claims = Claims {
            iss: "https://rolecall.example".to_owned(),
            aud: "rolecall".to_owned(),
            sub: UserId::new(3).uuid().to_string(),
            tid: TenantId::new(1).uuid().to_string(),
            slug: "acme".to_owned(),
            sid: "s".to_owned(),
            exp: 1_600,
            iat: 1_000,
            nbf: 1_000,
            typ: Kind::Access,
            started: Some(1_000),
            act: None,
            approves: None,
        };
        let token = keys.sign(&claims, "app").unwrap();
        let set = Keys::parse(&json!({ "keys": [public] }).to_string()).unwrap();
        let expected = Expected { issuer: claims.iss.clone(), audience: claims.aud.clone() };
        let now = Time::from_millis(1_100_000);
        assert_eq!(verify(&token, Kind::Access, &set, &expected, now).unwrap().holder, Holder::Member(UserId::new(3)));
        assert!(verify(&token, Kind::Session, &set, &expected, now).is_err());
        // A checkpoint is no token, whatever it says.
        let says = Statement {
            iss: claims.iss.clone(),
            tenant: claims.tid.clone(),
            number: 1,
            until: now,
            size: 0,
            root: String::new(),
            removed: None,
        };
        let checkpoint = keys.sign_statement(&says, 1_100).unwrap();
        for kind in [Kind::Access, Kind::Session] {
            assert!(verify(&checkpoint, kind, &set, &expected, now).is_err());
        }
        // A key that signs later signs nothing now.
        assert!(keys.sign(&Claims { iat: 999, ..claims }, "app").is_err());
    }

    #[test]
    fn a_refresh_token_says_its_session_and_nobody_else_can_make_it() {
        let (keys, _) = SigningKeys::new(0).unwrap();
        let of = RefreshOf { tenant: TenantId::new(7), user: UserId::new(9), session: Uuid::new_v4(), counter: 3 };
        let token = keys.refresh(&of);
        assert_eq!(RefreshOf::read(&token), Some(of));
        assert!(keys.has_made(&of, &token) && !keys.has_made(&RefreshOf { counter: 4, ..of }, &token));
        assert_ne!(keys.refresh(&RefreshOf { counter: 4, ..of }), token);
        let (others, _) = SigningKeys::new(0).unwrap();
        assert!(!others.has_made(&of, &token) && others.refresh(&of) != token);
        for wrong in ["", "rt_", "rt_AAAA", &token[1..], &format!("{token}A")] {
            assert_eq!(RefreshOf::read(wrong), None, "{wrong}");
            assert!(!keys.has_made(&of, wrong), "{wrong}");
        }
    }
}
