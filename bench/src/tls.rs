//! TLS in front of a plain TCP server on this machine, with its own authority. So a client pays for certificates and a
//! handshake, as with AWS.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use local::{Host, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The TLS server. It ends when this value is dropped.
pub struct Front {
    pub url: String,
    /// The certificate of the authority.
    pub authority: String,
    accept: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

/// Returns a listener for [`Front::start`], and the host that its clients will name.
///
/// # Errors
/// There is no free port.
pub async fn listen() -> Result<(TcpListener, Host)> {
    let cannot = |error: std::io::Error| format!("cannot listen: {error}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
    let host = listener.local_addr().map_err(cannot)?.to_string().parse()?;
    Ok((listener, host))
}

impl Front {
    /// # Errors
    /// No certificate can be made.
    pub fn start(listener: TcpListener, host: &Host, target: SocketAddr) -> Result<Self> {
        let (config, authority) = config().map_err(|error| format!("cannot make a certificate: {error}"))?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let url = format!("https://{host}");
        let accept = tokio::spawn(async move {
            // If a connection has an error, its client sees it and fails.
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(acceptor.clone(), client, target));
            }
        });
        Ok(Self { url, authority, accept })
    }
}

async fn forward(acceptor: TlsAcceptor, client: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Makes a server's settings, and the certificate of the authority that vouches for it.
fn config() -> std::result::Result<(ServerConfig, String), Box<dyn std::error::Error>> {
    let mut authority = CertificateParams::new([])?;
    authority.distinguished_name.push(DnType::CommonName, "benchmark");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let certificate = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(["127.0.0.1".to_owned()])?;
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &issuer)?;

    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, certificate))
}
