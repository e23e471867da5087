//! Tokens of the identity providers that a deployment or a tenant trusts: each proves a person once, for a session.
//!
//! The checks are those of RFC 8725 (JWT best practices), OpenID Connect Core (section 3.1.3.7) and RFC 9068 (access tokens).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::Issuer;
use domain::problem::{Grant, Problem};
use domain::session::SignIn;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::credential::{ACCESS_TOKEN, is_there, part};
use super::json::{Address, Wire, read_strict};
use super::signature;
use super::signing::hash;

/// The longest token of an identity provider, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;

/// The allowed difference of clocks, in seconds.
const LEEWAY: i64 = 60;

/// How old a token may be, in seconds: it is a proof of now.
const MAX_AGE: i64 = 10 * 60;

/// The longest `sub`, and the longest text of another claim, in bytes.
const MAX_TEXT: usize = 255;

/// The most keys of an issuer. A set with more is not fetched.
pub const MAX_KEYS: usize = 50;

/// The kind of token that the caller says they show (RFC 8693, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    IdToken,
    AccessToken,
    Jwt,
}

impl Shown {
    /// Reads a `subject_token_type`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.strip_prefix("urn:ietf:params:oauth:token-type:")? {
            "id_token" => Shown::IdToken,
            "access_token" => Shown::AccessToken,
            "jwt" => Shown::Jwt,
            _ => return None,
        })
    }

    /// Whether a token of this kind may have that `typ` in its header. An ID token is no access token, and a token that tells of a
    /// sign-out is neither.
    fn takes(self, typ: Option<&str>) -> bool {
        let typ = typ.map(|typ| typ.to_ascii_lowercase());
        let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
        match self {
            Shown::AccessToken => typ == Some(ACCESS_TOKEN),
            Shown::IdToken | Shown::Jwt => matches!(typ, None | Some("jwt")),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

/// A token that nobody has verified. Its `iss` says who can.
pub struct Unverified<'a> {
    token: &'a str,
    shown: Shown,
    header: Header,
    claims: Map<String, Value>,
}

/// A person, as an issuer knows them.
#[derive(Debug)]
pub struct Proved {
    pub sign_in: SignIn,
    /// The address, if the issuer has verified it.
    pub email: Option<String>,
    /// The client of the issuer that got the token.
    pub client: String,
    /// SHA-256 of what is signed in the token, in hex.
    pub hash: String,
    /// When the token expires, in seconds since the epoch.
    pub expires: i64,
}

fn refused(why: &'static str) -> Problem {
    Problem::Grant(Grant::InvalidToken, why)
}

impl<'a> Unverified<'a> {
    /// # Errors
    /// [`Problem::Grant`]: it is too long, or none.
    pub fn read(token: &'a str, shown: Shown) -> Result<Self, Problem> {
        if token.len() > MAX_TOKEN {
            return Err(refused("a token that is too long"));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else { return Err(refused("a token that has not three parts")) };
        let header: Header = part(header).ok_or(refused("a malformed or repeated member in the token's header"))?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok().and_then(|bytes| read_strict(&bytes));
        let Some(Value::Object(claims)) = claims else {
            return Err(refused("malformed or repeated claims"));
        };
        if header.crit {
            return Err(refused("a token with `crit`"));
        }
        if !shown.takes(header.typ.as_deref()) || claims.contains_key("events") {
            return Err(refused("a token of another type than the named one"));
        }
        Ok(Self { token, shown, header, claims })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        let text = self.claims.get(claim)?.as_str()?;
        (1..=MAX_TEXT).contains(&text.len()).then_some(text)
    }

    fn seconds(&self, claim: &str) -> Option<i64> {
        let number = self.claims.get(claim)?;
        // A NumericDate may have a fraction (RFC 7519, section 2).
        number.as_i64().or_else(|| number.as_f64().filter(|it| it.is_finite()).map(|seconds| seconds as i64))
    }

    /// # Errors
    /// [`Problem::Grant`]: it has none.
    pub fn issuer(&self) -> Result<&str, Problem> {
        self.text("iss").ok_or(refused("a token without `iss`"))
    }

    /// # Errors
    /// [`Problem::Grant`]: it has none.
    pub fn subject(&self) -> Result<&str, Problem> {
        self.text("sub").ok_or(refused("a token without `sub`"))
    }

    /// Verifies it by the keys of its issuer, a JWK Set. If the caller has given a `nonce`, the token has it.
    ///
    /// # Errors
    /// [`Problem::Grant`]
    pub fn verify(&self, issuer: &Issuer, keys: &str, nonce: Option<&str>, now: i64) -> Result<Proved, Problem> {
        if self.issuer()? != issuer.iss {
            return Err(refused("a token of another issuer"));
        }
        let (algorithm, key) = self.key(issuer, keys)?;
        self.verify_signature(algorithm, &key)?;
        let client = self.verify_audience(issuer)?;
        let expires = self.seconds("exp").ok_or(refused("a token without `exp`"))?;
        let issued = self.seconds("iat").ok_or(refused("a token without `iat`"))?;
        if expires.saturating_add(LEEWAY) <= now {
            return Err(refused("an expired token"));
        }
        let begins = if self.claims.contains_key("nbf") { self.seconds("nbf") } else { Some(issued) };
        let begins = begins.ok_or(refused("a token whose `nbf` is no number"))?;
        if begins.max(issued) > now + LEEWAY {
            return Err(refused("a token that is not valid yet"));
        }
        if issued.saturating_add(MAX_AGE + LEEWAY) < now {
            return Err(refused("a token that is too old"));
        }
        if nonce.is_some_and(|nonce| self.claims.get("nonce").and_then(Value::as_str) != Some(nonce)) {
            return Err(refused("a token with another `nonce`"));
        }
        let is_verified = match self.claims.get("email_verified") {
            Some(Value::Bool(is_verified)) => *is_verified,
            // Some issuers say it as a text.
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = self.claims.get("email").and_then(|text| Address::read(text.clone()).ok());
        let email = email.map(|Address(email)| email);
        let methods = self.claims.get("amr").and_then(Value::as_array).into_iter().flatten().take(10);
        let methods = methods.filter_map(Value::as_str).filter(|method| method.len() <= MAX_TEXT);
        Ok(Proved {
            sign_in: SignIn {
                issuer: issuer.iss.clone(),
                subject: self.subject()?.to_owned(),
                auth_time: self.seconds("auth_time"),
                acr: self.text("acr").map(str::to_owned),
                amr: methods.map(str::to_owned).collect(),
            },
            email: email.filter(|_| is_verified),
            client,
            // Without the signature: of an ECDSA signature, anybody can make another one that is good.
            hash: hash(self.token.rsplit_once('.').map_or(self.token, |(signed, _)| signed)),
            expires,
        })
    }

    /// The key of the issuer that the header names, with the algorithm that belongs to it.
    fn key(&self, issuer: &Issuer, keys: &str) -> Result<(Algorithm, DecodingKey), Problem> {
        let Header { alg, kid, .. } = &self.header;
        if !issuer.algorithms.contains(alg) {
            return Err(refused("a token with an algorithm that its issuer may not use"));
        }
        let algorithm: Algorithm = alg.parse().map_err(|_| refused("a token with an unknown algorithm"))?;
        let set: Value = serde_json::from_str(keys).unwrap_or_default();
        let set = set["keys"].as_array().into_iter().flatten().take(MAX_KEYS);
        // Issuers have keys in their sets that we do not know: only a key that can have signed this token counts.
        let mut fitting = set.filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        let key = match kid {
            Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid) && fits(key, algorithm)),
            None => {
                let mut all = fitting.filter(signs);
                all.next().filter(|key| all.next().is_none() && fits(key, algorithm))
            }
        };
        let key = key.ok_or(refused(UNKNOWN_KEY))?;
        if key.common.key_id.as_ref().is_some_and(|kid| issuer.refused_keys.contains(kid)) {
            return Err(refused("a key of the issuer that the tenant refuses"));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| refused("a malformed key of the issuer"))?;
        Ok((algorithm, key))
    }

    fn verify_signature(&self, algorithm: Algorithm, key: &DecodingKey) -> Result<(), Problem> {
        signature::install_with_rsa();
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        // This module checks the claims, with a clock that it is given.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        let decoded = jsonwebtoken::decode::<serde::de::IgnoredAny>(self.token, key, &validation);
        decoded.map(drop).map_err(|_| refused("a token with a wrong signature"))
    }

    /// The client that got the token, if the token is for us.
    fn verify_audience(&self, issuer: &Issuer) -> Result<String, Problem> {
        let audiences: Vec<&str> = match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
                several.iter().filter_map(Value::as_str).collect()
            }
            _ => return Err(refused("a token without `aud`")),
        };
        let Some(ours) = audiences.iter().find(|audience| issuer.audiences.contains(**audience)) else {
            return Err(refused("a token for another audience"));
        };
        let claim = if self.shown == Shown::IdToken { "azp" } else { "client_id" };
        let client = self.text(claim).or(self.text("azp"));
        let may = |client: &str| match issuer.clients.is_empty() {
            true => self.shown != Shown::IdToken || issuer.audiences.contains(client),
            false => issuer.clients.contains(client),
        };
        match client {
            Some(client) if may(client) => Ok(client.to_owned()),
            Some(_) => Err(refused("a token that another client got")),
            None if audiences.len() > 1 => Err(refused("a token for several audiences without `azp`")),
            None if !issuer.clients.is_empty() && self.shown != Shown::IdToken => {
                Err(refused("a token that names no client"))
            }
            None => Ok((*ours).to_owned()),
        }
    }
}

/// The token names a key that the issuer has not, as far as we know: the keys may have changed.
pub const UNKNOWN_KEY: &str = "a token of an unknown key";

/// Whether a key may verify signatures at all.
fn signs(key: &Jwk) -> bool {
    let is_for_signatures = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let verifies = key.common.key_operations.as_ref().is_none_or(|ops| ops.contains(&KeyOperations::Verify));
    is_for_signatures && verifies
}

/// Whether a key may verify signatures of this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_named = match key.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::PS256) => algorithm == Algorithm::PS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(_) => false,
    };
    let is_of_its_type = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    is_named && is_of_its_type && signs(key)
}
