//! HTTP/1.1 on loopback: the server for all ports of this crate, and the client for another DynamoDB.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST, HeaderValue},
    http::uri::Authority,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::graceful::GracefulShutdown,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet, time::timeout};

/// The longest time that an ending server waits for its connections after all calls are over. Some clients are still reading
/// their answers. Others have sent nothing or half a request, and a longer wait for them is not worth it.
const FAREWELL: Duration = Duration::from_millis(250);

/// The names that this machine has for itself.
pub(crate) const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

pub(crate) type Reply = Response<Full<Bytes>>;
pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Listens on 127.0.0.1. Port 0 takes any free port.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// Removes the headers that would let web pages of other origins read an answer.
pub(crate) fn unshare(answer: &mut HeaderMap) {
    let sharing: Vec<_> = answer.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in sharing {
        answer.remove(name);
    }
}

/// The reason why a request's body could not be read.
pub(crate) enum BodyError {
    TooLarge,
    Broken(String),
}

/// Reads the whole body, of at most `limit` bytes.
pub(crate) async fn read(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(error) => Err(BodyError::Broken(error.to_string())),
    }
}

/// Returns the innermost cause of an error. It says more than `client error (Connect)`.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A name under which a server may be called, and its port if that is another than the one that was called: `proxy.example`,
/// `tunnel.example:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let authority: Option<Authority> = text.parse().ok();
        let host = authority.map(|it| Self { name: it.host().into(), port: it.port_u16() });
        // This refuses `user@name` and `name:99999`.
        let host = host.filter(|host| is_name(&host.name) && host.to_string() == text);
        host.ok_or_else(|| {
            format!("`{text}` is no host name, nor one with a port: `proxy.example`, `proxy.example:8080`")
        })
    }
}

impl Host {
    /// Returns the forms in which a caller of a port may write the host.
    pub(crate) fn at(&self, port: u16) -> Vec<String> {
        match self.port {
            Some(_) => vec![self.to_string()],
            None => vec![self.to_string(), format!("{self}:{port}")],
        }
    }
}

/// Says whether a text is a domain name or an address, as in URLs.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_of_label = |char: char| char.is_ascii_alphanumeric() || "-_".contains(char);
        (1..=63).contains(&label.len()) && label.chars().all(is_of_label) && label == label.trim_matches('-')
    };
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let is_number = |label: &str| label.chars().all(|char| char.is_ascii_digit());
    match text.rsplit('.').next().is_some_and(is_number) {
        true => text.parse::<Ipv4Addr>().is_ok(),
        false => text.len() <= 253 && text.split('.').all(is_label),
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// The names under which a server answers. An attacker can make the name of a web page mean this machine (DNS rebinding). The
/// page then calls the server by that name, and the browser takes the answers for the page's own.
struct Names {
    port: u16,
    allowed: Vec<String>,
}

impl Names {
    fn new(port: u16, more: &[Host]) -> Self {
        let mut allowed = LOCAL.map(|name| format!("{name}:{port}")).to_vec();
        allowed.extend(more.iter().flat_map(|host| host.at(port)));
        // Clients leave out port 80, which is HTTP's own.
        let unsaid: Vec<_> = allowed.iter().filter_map(|name| name.strip_suffix(":80")).map(String::from).collect();
        allowed.extend(unsaid);
        Self { port, allowed }
    }

    /// Says whether the request has a `Host` header, and each place that may name the server names this one.
    fn are_meant<B>(&self, request: &Request<B>) -> bool {
        let is_ours = |name: &[u8]| self.allowed.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(name));
        request.headers().contains_key(HOST)
            && request.headers().get_all(HOST).iter().all(|host| is_ours(host.as_bytes()))
            && request.uri().authority().is_none_or(|target| is_ours(target.as_str().as_bytes()))
    }

    /// Returns the message for a caller who means another server.
    fn told(&self) -> String {
        let port = self.port;
        format!(
            "call this server as 127.0.0.1:{port} or localhost:{port}, or start it with `--host NAME` to have it answer to NAME"
        )
    }
}

/// A server. Its accept loop and its connections end when this value is dropped.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// The accept loop. It holds the connections.
    accept: JoinSet<()>,
}

impl HttpServer {
    /// Answers every request for a name of this machine or for one of `hosts` with `handle`. An error of `handle` closes the
    /// connection without an answer. `misdirected` gets every other request, and the message that its caller gets.
    pub(crate) fn start<M, H, F>(listener: TcpListener, hosts: &[Host], misdirected: M, handle: H) -> io::Result<Self>
    where
        M: Fn(&Request<Incoming>, &str) + Send + Sync + 'static,
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<Reply>> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let names = Arc::new((Names::new(address.port(), hosts), misdirected));
        let handle = move |request: Request<Incoming>, peer| {
            let (names, misdirected) = &*names;
            let handled = match names.are_meant(&request) {
                true => Ok(handle(request, peer)),
                false => {
                    let told = names.told();
                    misdirected(&request, &told);
                    Err(json(StatusCode::MISDIRECTED_REQUEST, &json!({ "message": told })))
                }
            };
            async {
                match handled {
                    Ok(handled) => handled.await,
                    Err(reply) => Ok(reply),
                }
            }
        };
        let (stop, stopped) = oneshot::channel();
        let accept = JoinSet::from_iter([accept(listener, handle, stopped)]);
        Ok(Self { address, stop, accept })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts nothing more, waits for the `calls` under way, and ends when their answers have been sent, or a moment later.
    pub(crate) async fn shutdown(mut self, calls: impl Future<Output = ()>) {
        // This fails only if the loop has ended already.
        let _ = self.stop.send(());
        calls.await;
        if let Ok(Some(Err(error))) = timeout(FAREWELL, self.accept.join_next()).await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

async fn accept<H, F>(listener: TcpListener, handle: H, mut stopped: oneshot::Receiver<()>)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<Reply>> + Send + 'static,
{
    // When this future is dropped, this set and its connections are dropped with it.
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    // Without this, small answers wait for acknowledgements. If the stream is already closed, the next steps
                    // show it.
                    let _ = stream.set_nodelay(true);
                    let handle = handle.clone();
                    let service = service_fn(move |request| handle(request, peer));
                    // A connection fails because of its client (gone, malformed), or because a handler wants to close it.
                    connections.spawn(graceful.watch(http1::Builder::new().serve_connection(TokioIo::new(stream), service)));
                }
                // Most likely there are no file descriptors left. A connection that ends frees one.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    graceful.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_with_or_without_a_port() {
        for text in ["a", "proxy.example", "proxy.example:8080", "10.0.0.1", "[::1]", "[fe80::1]:80"] {
            assert_eq!(text.parse::<Host>().map(|host| host.to_string()).as_deref(), Ok(text));
        }
        let (label, name) = ("x".repeat(64), "x.".repeat(127) + "x");
        for text in [
            "",
            " ",
            ":80",
            "a:",
            "a:99999",
            "a:08",
            "a/b",
            "http://a",
            "user@a",
            "::1",
            "[::g]",
            "a b",
            "a,b",
            "*",
            "ä",
            "-a",
            "a-",
            "a.",
            "a..b",
            "1",
            "1.2.3.256",
            "a.1",
            &label,
            &name,
        ] {
            let told = text.parse::<Host>().unwrap_err();
            assert!(told.starts_with(&format!("`{text}` is no host name")), "{told}");
        }
    }

    #[test]
    fn the_port_of_http_goes_without_saying() {
        let is_meant = |port, host: &str| {
            Names::new(port, &["proxy.example:80".parse().unwrap()])
                .are_meant(&Request::builder().header(HOST, host).body(()).unwrap())
        };
        for (port, host, expected) in [
            (80, "127.0.0.1", true),
            (80, "127.0.0.1:80", true),
            (3000, "127.0.0.1", false),
            (3000, "proxy.example", true),
            (3000, "proxy.example:80", true),
            (3000, "proxy.example:3000", false),
            (80, "evil.example", false),
        ] {
            assert_eq!(is_meant(port, host), expected, "{host} on {port}");
        }
    }
}
