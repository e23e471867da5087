//! Calls to servers that a tenant has named: public ones only, so that nobody can have a function call what is private.
//!
//! A redirect is an answer like any other. An answer that is long or late is none.

mod resolver;

use std::sync::Arc;
use std::time::Duration;

use domain::address::{is_public, literal};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use lambda_http::http::{Request, Response, Uri, header};
use rustls::{ClientConfig, RootCertStore};

use resolver::Resolver;

/// The body of a request and of an answer.
pub type Bytes = Vec<u8>;

/// A client of servers that somebody else has named.
pub struct Outbound {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<std::io::Cursor<Bytes>>>,
    /// Whether servers on the machine itself may be called, too.
    is_laptop: bool,
}

impl Outbound {
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
        // Each request looks the name up, and calls an address that it has checked.
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.wrap_connector(tcp));
        Ok(Self { client, is_laptop })
    }

    /// The answer to a request that comes within this time, with a body of at most so many bytes.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        within: Duration,
        longest: usize,
    ) -> Result<Response<Bytes>, String> {
        let answer = async {
            let (parts, body) = self.begin(request).await?.into_parts();
            let body = Limited::new(body, longest).collect().await;
            let body = body.map_err(|_| format!("no whole body of at most {longest} bytes"))?;
            Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(within, answer).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// The status of an answer that begins within this time. Nothing of its body is taken.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub async fn status(&self, request: Request<Bytes>, within: Duration) -> Result<u16, String> {
        let answer = tokio::time::timeout(within, self.begin(request)).await;
        Ok(answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))?.status().as_u16())
    }

    async fn begin(&self, mut request: Request<Bytes>) -> Result<Response<Incoming>, String> {
        self.may_call(request.uri())?;
        request.headers_mut().insert(header::USER_AGENT, header::HeaderValue::from_static("rolecall"));
        let request = request.map(|body| Full::new(std::io::Cursor::new(body)));
        self.client.request(request).await.map_err(|why| innermost(&why))
    }

    /// The resolver leaves out private addresses. It does not see an address that stands in the URL itself.
    fn may_call(&self, url: &Uri) -> Result<(), String> {
        let host = url.host().ok_or("a URL without a host")?;
        let address = literal(host);
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
        let may = |url: &str, is_laptop| Outbound::new(is_laptop).unwrap().may_call(&url.parse().unwrap()).is_ok();
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

    /// A name that leads to the machine itself, as an attacker's may after it was registered.
    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_called() {
        let outbound = Outbound::new(false).unwrap();
        let request = Request::get("https://localhost:9/").body(Bytes::new()).unwrap();
        let why = outbound.send(request, Duration::from_secs(5), 1).await.unwrap_err();
        assert_eq!(why, "the name has no public address");
    }
}
