//! Fetching: discovery (OpenID Connect Discovery, section 4) and then the keys (RFC 7517).

use std::time::Duration;

use lambda_http::http::{Request, header};
use outbound::Outbound;
use serde_json::{Map, Value, json};
use shared::assertion::MAX_KEYS;

/// How long one request may take, and how many bytes its answer may have.
const ANSWER: Duration = Duration::from_secs(3);
const LONGEST: usize = 64 * 1024;

/// The members of a public key that count. Others, such as certificates, would only take space.
const MEMBERS: [&str; 10] = ["kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y"];

/// How long keys are good whose answer does not say so, in seconds.
const GOOD_FOR: i64 = 15 * 60;

pub struct Fetcher(pub Outbound);

impl Fetcher {
    /// The keys of an issuer, a JWK Set, and for how many seconds they are good.
    ///
    /// # Errors
    /// Why there are none, for the log.
    pub async fn keys(&self, iss: &str) -> Result<(String, i64), String> {
        let at = format!("{}/.well-known/openid-configuration", iss.trim_end_matches('/'));
        let (discovery, _) = self.get(&at).await.map_err(|why| format!("discovery: {why}"))?;
        if discovery["issuer"] != iss {
            return Err("discovery: it is of another issuer".to_owned());
        }
        let at = discovery["jwks_uri"].as_str().ok_or("discovery: no jwks_uri")?;
        let (set, good_for) = self.get(at).await.map_err(|why| format!("keys: {why}"))?;
        Ok((public_keys(&set)?, good_for.unwrap_or(GOOD_FOR)))
    }

    /// A JSON document, and its age limit if it has one. It follows no redirect.
    async fn get(&self, url: &str) -> Result<(Value, Option<i64>), String> {
        let request = Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new());
        let answer = self.0.send(request.map_err(|_| "no URL")?, ANSWER, LONGEST).await?;
        if answer.status() != 200 {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let limit = answer.headers().get(header::CACHE_CONTROL).and_then(|it| it.to_str().ok()).and_then(max_age);
        let document = serde_json::from_slice(answer.body()).map_err(|_| "not JSON".to_owned())?;
        Ok((document, limit))
    }
}

/// The public parts of a key set, as text.
fn public_keys(set: &Value) -> Result<String, String> {
    let keys = set["keys"].as_array().ok_or("keys: no key set")?;
    if keys.is_empty() || keys.len() > MAX_KEYS {
        return Err(format!("keys: {} keys; at least 1 and at most {MAX_KEYS} are taken", keys.len()));
    }
    let public = |key: &Value| -> Map<String, Value> {
        let members = key.as_object().into_iter().flatten();
        let members = members.filter(|(name, _)| MEMBERS.contains(&name.as_str()));
        members.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    Ok(json!({ "keys": keys.iter().map(public).collect::<Vec<_>>() }).to_string())
}

/// The `max-age` of a `Cache-Control` (RFC 9111, section 5.2.2.1).
fn max_age(header: &str) -> Option<i64> {
    let mut directives = header.split(',').map(str::trim);
    directives.find_map(|it| it.strip_prefix("max-age="))?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_parts_of_keys_are_kept() {
        let set = json!({ "keys": [{ "kty": "OKP", "kid": "1", "x": "a", "d": "secret", "x5c": ["long"] }, { "kty": "oct" }] });
        let kept: Value = serde_json::from_str(&public_keys(&set).unwrap()).unwrap();
        assert_eq!(kept, json!({ "keys": [{ "kty": "OKP", "kid": "1", "x": "a" }, { "kty": "oct" }] }));
        let many = |count: usize| json!({ "keys": vec![json!({}); count] });
        assert!(public_keys(&many(MAX_KEYS)).is_ok());
        assert!(public_keys(&many(MAX_KEYS + 1)).is_err() && public_keys(&many(0)).is_err());
        assert!(public_keys(&json!({ "keys": 1 })).is_err());
    }

    #[test]
    fn the_age_limit_is_read() {
        assert_eq!(max_age("public, max-age=600, must-revalidate"), Some(600));
        assert_eq!(max_age("no-store"), None);
        assert_eq!(max_age("max-age=x"), None);
    }
}
