//! Fetching: discovery (OpenID Connect Discovery, section 4) and then the keys (RFC 7517).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use lambda_http::http::{Request, Uri, header};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, Value, json};
use shared::assertion::MAX_KEYS;

use crate::address::{Resolver, is_public};

/// How long one request may take, and how many bytes its answer may have.
const ANSWER: Duration = Duration::from_secs(3);
const LONGEST: usize = 64 * 1024;

/// The members of a public key that count. Others, such as certificates, would only take space.
const MEMBERS: [&str; 10] = ["kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y"];

/// How long keys are good whose answer does not say so, in seconds.
const GOOD_FOR: i64 = 15 * 60;

pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Empty<&'static [u8]>>,
    is_laptop: bool,
}

impl Fetcher {
    /// # Errors
    /// The TLS library has no version of TLS in common with itself: a defect.
    pub fn new(is_laptop: bool) -> Result<Self, String> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().map_err(|why| why.to_string())?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let mut tcp = HttpConnector::new_with_resolver(Resolver { is_laptop });
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.wrap_connector(tcp));
        Ok(Self { client, is_laptop })
    }

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
        let url: Uri = url.parse().map_err(|_| "no URL")?;
        self.may_call(&url)?;
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, "rolecall")
            .body(Empty::new())
            .map_err(|why| why.to_string())?;
        let answer = async {
            let answer = self.client.request(request).await.map_err(|why| innermost(&why))?;
            if answer.status() != 200 {
                return Err(format!("status {}", answer.status().as_u16()));
            }
            let limit = answer.headers().get(header::CACHE_CONTROL).and_then(|it| it.to_str().ok()).and_then(max_age);
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|_| format!("no whole body of at most {LONGEST} bytes"))?.to_bytes();
            let document = serde_json::from_slice(&body).map_err(|_| "not JSON".to_owned())?;
            Ok((document, limit))
        };
        tokio::time::timeout(ANSWER, answer).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// The resolver leaves out private addresses. It does not see an address that stands in the URL itself.
    fn may_call(&self, url: &Uri) -> Result<(), String> {
        let host = url.host().ok_or("a URL without a host")?;
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        if self.is_laptop && is_local {
            return Ok(());
        }
        if url.scheme_str() != Some("https") {
            return Err("not https".to_owned());
        }
        match address.is_none_or(is_public) {
            true => Ok(()),
            false => Err("a private address".to_owned()),
        }
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

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_https_is_called() {
        let may = |url: &str, is_laptop| Fetcher::new(is_laptop).unwrap().may_call(&url.parse().unwrap()).is_ok();
        for url in ["https://id.example/keys", "https://8.8.8.8/keys"] {
            assert!(may(url, false) && may(url, true), "{url}");
        }
        for url in ["http://127.0.0.1:9/keys", "http://localhost:9/keys", "http://[::1]:9/keys"] {
            assert!(!may(url, false) && may(url, true), "{url}");
        }
        for url in [
            "http://id.example/keys",
            "https://10.0.0.1/",
            "https://169.254.169.254/",
            "https://[fd00::1]/",
            "ftp://a/",
        ] {
            assert!(!may(url, false) && !may(url, true), "{url}");
        }
    }

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
