//! The connection to the table: it costs little time to open and few bytes in a function.
//!
//! This is hyper's client with rustls and ring, for HTTP/1.1 only. The SDK's own HTTP client would bring HTTP/2, which DynamoDB
//! does not speak. It would read and parse the system's root certificates at every start. By default it would also bring aws-lc:
//! its first random number takes tens of ms of CPU.

use std::sync::Arc;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, connect};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lambda_http::http::header::Entry;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::trace::is_trace;

/// The roots that Amazon signs its services' certificates with: <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: &[u8] = include_bytes!("../../roots/amazon.pem");

/// X-Ray's header: X-Ray follows a call by it. No signature covers it.
const TRACE: &str = "x-amzn-trace-id";

/// A client with region, endpoint and credentials from the environment, in the variables of the AWS SDKs. It has no retries and
/// no timeouts of its own: [`Table`](crate::table::Table) knows the time left and which failures are worth another try.
///
/// # Errors
/// `AWS_CA_BUNDLE` names no file of certificates.
pub async fn client() -> Result<Client, String> {
    // Not `aws_config::defaults`: it would add 1 MB to every function, for STS, all other sources of credentials and a parser of
    // profiles. A Lambda uses none of them.
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let flag = |name| variable(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = match flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        true => None,
        false => variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| variable("AWS_ENDPOINT_URL")),
    };
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client()?)
        .region(EnvironmentVariableRegionProvider::new().region().await)
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .use_fips(flag("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(flag("AWS_USE_DUALSTACK_ENDPOINT"));
    config.set_endpoint_url(endpoint);
    Ok(Client::new(&config.build()))
}

/// The trusted roots: Amazon's or, as in other AWS tools, those of the PEM file that `AWS_CA_BUNDLE` names.
fn trusted() -> Result<RootCertStore, String> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE") else { return roots(AMAZON_ROOTS) };
    let said = |why: String| format!("AWS_CA_BUNDLE: {}: {why}", path.to_string_lossy());
    std::fs::read(&path).map_err(|why| why.to_string()).and_then(|pem| roots(&pem)).map_err(said)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|why| why.to_string())?).map_err(|why| why.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate in PEM".to_owned()) } else { Ok(roots) }
}

/// An HTTP client for the SDK, for `http://` and `https://`.
///
/// # Errors
/// `AWS_CA_BUNDLE` names no file of certificates.
pub fn http_client() -> Result<SharedHttpClient, String> {
    let connector = SharedHttpConnector::new(Connection(connections()?));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

/// Connections to services of AWS, kept open between requests.
pub type Connections = legacy::Client<HttpsConnector<connect::HttpConnector>, SdkBody>;

/// # Errors
/// `AWS_CA_BUNDLE` names no file of certificates.
pub fn connections() -> Result<Connections, String> {
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let tls = tls.with_safe_default_protocol_versions().map_err(|why| why.to_string())?;
    let tls = tls.with_root_certificates(trusted()?).with_no_client_auth();
    let mut tcp = connect::HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    Ok(legacy::Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector.wrap_connector(tcp)))
}

/// hyper's client in the form that the SDK takes.
#[derive(Clone, Debug)]
struct Connection(Connections);

impl HttpConnector for Connection {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let mut request = request.try_into_http1x().map_err(|why| ConnectorError::user(why.into()))?;
            // The SDK takes this header from the environment. Lambda's runtime puts any text there that the client sent.
            if let Entry::Occupied(trace) = request.headers_mut().entry(TRACE)
                && !trace.get().to_str().is_ok_and(is_trace)
            {
                trace.remove();
            }
            let response = client.request(request).await.map_err(|why| ConnectorError::io(why.into()))?;
            let response = response.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|why| ConnectorError::other(why.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_amazons_five() {
        let roots = roots(AMAZON_ROOTS).unwrap();
        let names: Vec<_> =
            roots.roots.iter().map(|root| String::from_utf8_lossy(&root.subject).into_owned()).collect();
        let expected = ["Amazon Root CA 1", "Amazon Root CA 2", "Amazon Root CA 3", "Amazon Root CA 4", "Starfield"];
        assert_eq!(names.len(), expected.len());
        for (name, expected) in names.iter().zip(expected) {
            assert!(name.contains(expected), "{name:?} is not {expected}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n", broken] {
            assert!(roots(pem.as_bytes()).is_err(), "{pem:?}");
        }
    }
}
