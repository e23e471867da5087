//! Credentials: a token names the caller, the tenant and the session. The code takes nothing else from it.
//!
//! `jsonwebtoken` verifies the signature. Its defaults are lax, so this code requires what RFC 8725 asks for: the algorithm
//! belongs to the key, every claim is there, no member is repeated, and there are no extensions (`crit`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};

use crate::api_key;
use crate::http::json::read_strict;
use crate::http::signature;
use crate::lock;
use domain::Time;
use domain::id::{KeyId, TenantId, UserId, is_slug, parse_uuid};
use domain::problem::Problem;
use domain::session::Impersonator;

/// The longest token in bytes.
pub const MAX_TOKEN: usize = 4096;

/// How many verified tokens a key set remembers. With one more it forgets all of them, and verifies each again.
pub const MAX_VERIFIED: usize = 256;

/// The longest id of a session: 1 to 128 visible ASCII characters. Members' items have only such ids.
pub const MAX_SESSION_ID: usize = 128;

/// The allowed difference of clocks, in seconds.
pub const LEEWAY: i64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// For the `Authorization` header.
    Access,
    /// For a cookie or the `x-session-token` header.
    Session,
    /// For the `x-approval` header: the user has approved a change that somebody else makes.
    Approval,
}

/// The claims of our tokens, all required but the last three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The UUID of the user, or of an API key.
    pub sub: String,
    /// The tenant's UUID.
    pub tid: String,
    pub slug: String,
    /// The session's id: it must not have ended. For an API key its [`name`](api_key::name).
    pub sid: String,
    /// Seconds since the epoch, like `iat` and `nbf`.
    pub exp: i64,
    pub iat: i64,
    pub nbf: i64,
    pub typ: Kind,
    /// When the session began, if the token was made for a session that has lasted for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// Who acts as the user, if it is not the user (RFC 8693, section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// What the user has approved. Only an approval has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approves: Option<Approved>,
}

/// The change that an approval is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// The UUID of the member who may make it.
    pub by: String,
    /// [`Call::change_asked`](crate::http::call::Call::change_asked).
    pub change: String,
}

/// Who acts as another user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Their UUID.
    pub sub: String,
    /// The id of their own session: it must not have ended, either.
    pub sid: String,
}

/// The claims of a verified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub holder: Holder,
    pub tenant: TenantId,
    pub slug: String,
    pub session: String,
    /// When the session began, in seconds since the epoch; else when the token was issued.
    pub issued: i64,
    /// Who acts as the member, if it is not the member.
    pub impersonator: Option<Impersonator>,
    pub kind: Kind,
    pub claims: Arc<Claims>,
}

/// Whose token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Member(UserId),
    /// An API key, and the member who made it.
    Key(KeyId, Option<UserId>),
}

impl Credential {
    /// The member and the session; `None` for a token of an API key.
    pub fn session(&self) -> Option<((TenantId, UserId), &str)> {
        let Holder::Member(user) = self.holder else { return None };
        Some(((self.tenant, user), &self.session))
    }
}

/// The keys that verify our tokens.
pub struct Keys {
    by_kid: HashMap<String, (Algorithm, DecodingKey)>,
    /// The claims of tokens whose signatures these keys have verified. They go with the set: after a key is removed or replaced,
    /// its tokens are verified again.
    verified: Mutex<HashMap<String, Arc<Claims>>>,
}

impl Keys {
    /// Reads a JWK Set (RFC 7517): Ed25519 and P-256 public keys that sign, each under a `kid` of its own.
    ///
    /// # Errors
    /// The key and its fault. One bad key refuses the whole set, because somebody made a mistake with the set.
    pub fn parse(document: &str) -> Result<Self, String> {
        let value = read_strict(document.as_bytes()).ok_or("the key set is not JSON, or has a repeated key")?;
        if value["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key.get("d").is_some())) {
            return Err("a private key is in the key set: replace it".to_owned());
        }
        let set: JwkSet = serde_json::from_value(value).map_err(|why| format!("the key set: {why}"))?;
        let mut keys = HashMap::new();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().filter(|kid| !kid.is_empty()).ok_or("a key without `kid`")?;
            let key = verifying_key(jwk).map_err(|why| format!("key `{kid}`: {why}"))?;
            if keys.insert(kid.clone(), key).is_some() {
                return Err(format!("key `{kid}` is there twice"));
            }
        }
        Ok(Self { by_kid: keys, verified: Mutex::default() })
    }

    pub fn has(&self, kid: &str) -> bool {
        self.by_kid.contains_key(kid)
    }

    /// The claims of a token whose signature was verified before.
    pub fn verified(&self, token: &str) -> Option<Arc<Claims>> {
        lock(&self.verified).get(token).cloned()
    }

    fn remember(&self, token: &str, claims: Claims) -> Arc<Claims> {
        let mut verified = lock(&self.verified);
        if verified.len() >= MAX_VERIFIED {
            verified.clear();
        }
        verified.entry(token.to_owned()).or_insert(Arc::new(claims)).clone()
    }
}

pub(super) fn verifying_key(jwk: &Jwk) -> Result<(Algorithm, DecodingKey), String> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            // A point of small order verifies signatures that were made without its private key.
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(&key.x).map_err(|why| why.to_string())?;
            let bytes = bytes.as_slice().try_into().map_err(|_| "an Ed25519 key has 32 bytes")?;
            let point = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|why| why.to_string())?;
            if point.is_weak() {
                return Err("a weak key".to_owned());
            }
            Algorithm::EdDSA
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return Err("neither Ed25519 nor P-256".to_owned()),
    };
    let named = match jwk.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(_) => false,
    };
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = jwk.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    if !(named && signs && verifies) {
        return Err("its `alg`, `use` or `key_ops` is not for verifying with it".to_owned());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|why| why.to_string())?;
    if algorithm == Algorithm::ES256 {
        // Otherwise only the first token would show that a point is not on the curve.
        let point = key.try_get_as_bytes().map_err(|why| why.to_string())?;
        p256::PublicKey::from_sec1_bytes(point).map_err(|_| "not a point of P-256")?;
    }
    Ok((algorithm, key))
}

/// The header of a token, with the only members that count.
#[derive(Deserialize)]
struct Header {
    kid: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

impl Header {
    /// A header without a `typ` says whatever is asked.
    fn says(&self, typ: &str) -> bool {
        self.typ.as_ref().is_none_or(|said| said.eq_ignore_ascii_case(typ))
    }
}

/// The `typ` in the header of any of our tokens: the claim `typ` tells access from session tokens.
pub(super) const JWT: &str = "JWT";

/// The `typ` in the header of an access token only (RFC 9068, section 2.1).
pub(super) const ACCESS_TOKEN: &str = "at+jwt";

const FOREIGN: Problem = Problem::Unauthenticated("a token header with `crit` or a foreign `typ`");

/// Whatever it is, `null` too.
pub(super) fn is_there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The issuer and the audience of our tokens.
#[derive(Clone, Debug)]
pub struct Expected {
    pub issuer: String,
    pub audience: String,
}

impl Expected {
    /// Those of approvals. They are for the issuer alone: another service that takes our tokens takes none of them.
    pub fn of_approvals(&self) -> Self {
        Self { issuer: self.issuer.clone(), audience: self.issuer.clone() }
    }
}

/// The `kid` that a token claims to be signed with.
pub fn kid(token: &str) -> Result<String, Problem> {
    header(token).map(|header| header.kid)
}

fn header(token: &str) -> Result<Header, Problem> {
    if token.len() > MAX_TOKEN {
        return Err(Problem::Unauthenticated("a token that is too long"));
    }
    let first = token.split('.').next().unwrap_or_default();
    let header: Header = part(first).ok_or(Problem::Unauthenticated("a malformed token header"))?;
    if header.crit || !(header.says(JWT) || header.says(ACCESS_TOKEN)) {
        return Err(FOREIGN);
    }
    Ok(header)
}

pub(super) fn part<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    // A type that is read from an object can be read from an array as well.
    serde_json::from_value(read_strict(&bytes).filter(serde_json::Value::is_object)?).ok()
}

/// The claims of a token, if one of the keys has signed it. A key set verifies a token once.
pub fn verify_signature(token: &str, keys: &Keys, expected: &Expected) -> Result<Arc<Claims>, Problem> {
    match keys.verified(token) {
        Some(claims) => Ok(claims),
        None => Ok(keys.remember(token, signed(token, keys, expected)?)),
    }
}

/// Verifies a token of the wanted kind. It checks everything but the signature each time.
pub fn verify(token: &str, kind: Kind, keys: &Keys, expected: &Expected, now: Time) -> Result<Credential, Problem> {
    let refuse = Problem::Unauthenticated;
    let claims = verify_signature(token, keys, expected)?;
    if claims.iss != expected.issuer || claims.aud != expected.audience {
        return Err(refuse(NOT_SIGNED));
    }
    if claims.exp.saturating_add(LEEWAY) <= now.seconds() {
        return Err(refuse("an expired token"));
    }
    if claims.nbf.max(claims.iat) > now.seconds() + LEEWAY {
        return Err(refuse("a token that is not valid yet"));
    }
    if claims.typ != kind {
        return Err(refuse("a token of the other kind"));
    }
    let tenant = parse_uuid(&claims.tid).and_then(TenantId::from_uuid);
    let holder = tenant.zip(parse_uuid(&claims.sub)).and_then(|(tenant, sub)| match UserId::from_uuid(sub) {
        Some(user) => Some(Holder::Member(user)),
        None => {
            let (id, maker) = api_key::read_name(&claims.sid, tenant)?;
            (id.uuid_in(tenant) == sub && kind == Kind::Access).then_some(Holder::Key(id, maker))
        }
    });
    let (Some(holder), Some(tenant)) = (holder, tenant) else {
        return Err(refuse("a token with a malformed `sub` or `tid`"));
    };
    if !is_slug(&claims.slug) {
        return Err(refuse("a token with a malformed `slug`"));
    }
    if !is_session_id(&claims.sid) {
        return Err(refuse("a token whose `sid` is empty, too long, or not of visible ASCII"));
    }
    let (slug, session) = (claims.slug.clone(), claims.sid.clone());
    let issued = claims.started.unwrap_or(claims.iat);
    let impersonator = claims.act.as_ref().map(|act| {
        let member = parse_uuid(&act.sub).and_then(UserId::from_uuid);
        let by = member.map(|member| Impersonator { member, session: act.sid.clone(), since: issued });
        let is_of_member = matches!(holder, Holder::Member(_)) && is_session_id(&act.sid);
        by.filter(|_| is_of_member).ok_or(refuse("a token with a malformed `act`"))
    });
    let impersonator = impersonator.transpose()?;
    Ok(Credential { holder, tenant, slug, session, issued, impersonator, kind, claims })
}

fn is_session_id(text: &str) -> bool {
    (1..=MAX_SESSION_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const NOT_SIGNED: &str = "a token whose signature, issuer or audience is wrong";

/// The claims of a token, if one of the keys has signed it.
fn signed(token: &str, keys: &Keys, expected: &Expected) -> Result<Claims, Problem> {
    let refuse = Problem::Unauthenticated;
    let header = header(token)?;
    let (algorithm, key) = keys.by_kid.get(&header.kid).ok_or(refuse("a token of an unknown key"))?;
    signature::install();

    let mut validation = Validation::new(*algorithm);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
    validation.set_issuer(&[&expected.issuer]);
    validation.set_audience(&[&expected.audience]);
    // The library reads a clock of its own; ours is an argument.
    validation.validate_exp = false;
    jsonwebtoken::decode::<serde::de::IgnoredAny>(token, key, &validation).map_err(|_| refuse(NOT_SIGNED))?;

    let claims = token.split('.').nth(1).and_then(part::<Claims>);
    let claims = claims.ok_or(refuse("a token with a missing, repeated or malformed claim"))?;
    if claims.typ != Kind::Access && !header.says(JWT) {
        return Err(FOREIGN);
    }
    Ok(claims)
}

/// The token of an `Authorization: Bearer …` header (RFC 6750, section 2.1).
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains([' ', ','])).then_some(token)
}

/// The value of a cookie that is there exactly once, whatever the others are (RFC 6265, section 4.2).
///
/// Each of `cookies` is a `Cookie` header, or a part of one.
pub fn cookie<'a>(cookies: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let pairs = cookies.into_iter().flat_map(|cookies| cookies.split(';'));
    let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(key, _)| *key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}
