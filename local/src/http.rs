//! HTTP/1.1 on loopback: the one server and the one client that everything here uses.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::{JoinHandle, JoinSet},
};

pub(crate) type Reply = Response<Full<Bytes>>;
pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Listens on 127.0.0.1; port 0 takes any free one.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    reply
}

/// Why a request's body could not be had.
pub(crate) enum BodyError {
    TooLarge,
    Broken(String),
}

/// The whole body, of at most `limit` bytes.
pub(crate) async fn read(body: Incoming, limit: usize) -> Result<Bytes, BodyError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(error) => Err(BodyError::Broken(error.to_string())),
    }
}

/// The innermost cause, which says more than `client error (Connect)`.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A server whose accept loop and connections end when it is dropped.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    accept: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl HttpServer {
    /// Answers every request with `handle`; its error closes the connection without an answer.
    pub(crate) fn start<H, F>(listener: TcpListener, handle: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<Reply>> + Send + 'static,
    {
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let accept = AbortOnDrop(tokio::spawn(accept(listener, handle, stopped)));
        Ok(Self { address, stop, accept })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts nothing more and returns when the requests in progress have been answered.
    pub(crate) async fn shutdown(mut self) {
        // The receiver is gone only if the loop has ended already.
        let _ = self.stop.send(());
        if let Err(error) = (&mut self.accept.0).await
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
    let mut connections = JoinSet::new();
    let (closing, _) = watch::channel(());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, handle.clone(), closing.subscribe()));
                }
                // Out of file descriptors, most likely: a connection that ends frees one.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop((listener, closing));
    while connections.join_next().await.is_some() {}
}

async fn serve<H, F>(stream: TcpStream, peer: SocketAddr, handle: H, mut closing: watch::Receiver<()>)
where
    H: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = io::Result<Reply>>,
{
    // Without it small answers wait for acknowledgements; a stream that is already closed shows in
    // what follows.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| handle(request, peer));
    let mut connection = std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // A connection's error is its client's (gone, malformed) or a handler's wish to close it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
