//! A receiver of webhooks that behaves as it is told.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::hmac;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a receiver does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manner {
    Good,
    /// Of forty deliveries, six fail by an error with garbage and three by a redirect, and one has a long answer. Two of all have no
    /// answer before it is restarted.
    Unreliable,
    /// It refuses each delivery with this text in its body.
    Refuses(String),
    /// The first delivery fails.
    FirstFails,
    /// It wants nothing more.
    Gone,
    /// The same, but it answers only when it is told to behave.
    GoneLate,
    Redirect(String),
}

/// A delivery that a receiver has taken.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    timestamp: String,
    signatures: String,
    pub body: String,
}

impl Received {
    /// Whether one of its signatures is by this secret. This is the check of the standard, written without the code of the product.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        self.signatures.split(' ').any(|signature| {
            let bytes = BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, signed.as_bytes(), &bytes).is_ok()
        })
    }
}

pub struct Receiver {
    state: Arc<State>,
    port: u16,
    task: JoinHandle<()>,
    pub failures: Arc<AtomicUsize>,
}

struct State {
    manner: Mutex<Manner>,
    received: Mutex<Vec<Received>>,
    failures: Arc<AtomicUsize>,
    turn: AtomicU16,
}

impl Receiver {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let failures = Arc::new(AtomicUsize::new(0));
        let state = Arc::new(State {
            manner: Mutex::new(manner),
            received: Mutex::default(),
            failures: Arc::clone(&failures),
            turn: AtomicU16::new(0),
        });
        Self { task: tokio::spawn(serve(listener, Arc::clone(&state))), state, port, failures }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// From now on it takes all.
    pub fn behave(&self) {
        *self.state.manner.lock().unwrap() = Manner::Good;
    }

    /// Ends all connections, and takes new ones soon after.
    pub async fn restart(&mut self) {
        self.task.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.task = tokio::spawn(serve(listener, Arc::clone(&self.state)));
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }
}

/// Connections end with the task.
async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&state)));
            // A connection that ends early is the sender's.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    let (id, timestamp, signatures) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let body = String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let manner = state.manner.lock().unwrap().clone();
    let failing = |status: u16, body: Vec<u8>, location: Option<&str>| {
        state.failures.fetch_add(1, Ordering::Relaxed);
        let response = Response::builder().status(status);
        let response = location.into_iter().fold(response, |response, to| response.header("location", to));
        Ok(response.body(Full::from(body)).unwrap())
    };
    if manner == Manner::FirstFails && state.failures.load(Ordering::Relaxed) == 0 {
        return failing(500, Vec::new(), None);
    }
    if manner == Manner::GoneLate {
        let answer = failing(410, Vec::new(), None);
        while *state.manner.lock().unwrap() == Manner::GoneLate {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        return answer;
    }
    let count = if manner == Manner::Unreliable { state.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let turn = count % 40;
    match (&manner, turn) {
        (Manner::Gone, _) => return failing(410, Vec::new(), None),
        (Manner::Redirect(to), _) => return failing(307, Vec::new(), Some(to)),
        (Manner::Refuses(text), _) if body.contains(text.as_str()) => return failing(500, Vec::new(), None),
        (_, 1 | 5 | 9 | 13 | 17 | 21) => return failing(500, b"<html>\xff\xfe".to_vec(), None),
        (_, 3 | 11 | 19) => return failing(302, Vec::new(), Some("http://127.0.0.1:1/")),
        _ if [23, 423].contains(&count) => {
            state.failures.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    state.received.lock().unwrap().push(Received { id, timestamp, signatures, body });
    // Nobody reads a long answer.
    let body = if turn == 7 { vec![b'x'; 1_000_000] } else { Vec::new() };
    Ok(Response::new(Full::from(body)))
}
