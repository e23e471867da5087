//! The Runtime API of one process.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::HeaderValue};
use serde_json::json;
use shared::lock;
use tokio::sync::{mpsc, oneshot};

use crate::http::{self, Reply};

/// The most bytes of an answer: 6 MB and a little.
const ANSWER: usize = 6 * 1024 * 1024 + 100;

/// A message that a process sends between invocations.
pub(super) enum Poll {
    Next(oneshot::Sender<Invocation>),
    InitError(Bytes),
}

pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) deadline: SystemTime,
    pub(super) trace_id: Option<String>,
    pub(super) arn: String,
    pub(super) event: Bytes,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The answer of a function, or the error that it reports instead.
type Answer = std::result::Result<Bytes, Bytes>;

/// The Runtime API of one process.
pub(super) struct Runtime {
    /// The beginning of all its paths. It is a secret of the process, so that no other process takes its events.
    path: String,
    poll: mpsc::UnboundedSender<Poll>,
    /// The id of the invocation that the process has, and the channel for its answer.
    current: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
}

impl Runtime {
    pub(super) fn new(path: String, poll: mpsc::UnboundedSender<Poll>) -> Self {
        Self { path, poll, current: Mutex::default() }
    }

    pub(super) async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_string();
        let Some(path) = path.strip_prefix(&self.path) else {
            return refused(StatusCode::FORBIDDEN, "Forbidden");
        };
        let path = path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        match (request.method(), path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.answer(id, request.into_body(), Ok).await,
            (&Method::POST, ["invocation", id, "error"]) => self.answer(id, request.into_body(), Err).await,
            (&Method::POST, ["init", "error"]) => {
                match http::read(request.into_body(), ANSWER).await {
                    Ok(error) => {
                        // This fails only if nobody waits for the process any more, for example because the pool is being shut
                        // down.
                        let _ = self.poll.send(Poll::InitError(error));
                        accepted()
                    }
                    Err(_) => refused(StatusCode::BAD_REQUEST, "InvalidRequest"),
                }
            }
            _ => refused(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    async fn next(&self) -> Reply {
        let (next, invocation) = oneshot::channel();
        let polled = self.poll.send(Poll::Next(next));
        let (Ok(()), Ok(invocation)) = (polled, invocation.await) else {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "ShuttingDown");
        };
        let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        *lock(&self.current) = Some((invocation.id.clone(), invocation.answer));
        let mut reply = Response::new(invocation.event.into());
        for (name, value) in [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", &invocation.id),
            ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
            ("lambda-runtime-invoked-function-arn", &invocation.arn),
            ("lambda-runtime-trace-id", &invocation.trace_id.unwrap_or_default()),
        ] {
            // A client's trace id may have characters that a header of ours may not have.
            if let Ok(value) = HeaderValue::from_str(value) {
                reply.headers_mut().insert(name, value);
            }
        }
        reply
    }

    async fn answer(&self, id: &str, body: Incoming, wrap: fn(Bytes) -> Answer) -> Reply {
        let current = lock(&self.current).take_if(|(current, _)| current == id);
        let Some((_, answer)) = current else {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequestID");
        };
        let (value, reply) = match http::read(body, ANSWER).await {
            Ok(body) => (wrap(body), accepted()),
            Err(http::BodyError::TooLarge) => (
                Err(r#"{"errorType":"Function.ResponseSizeTooLarge"}"#.into()),
                refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            ),
            Err(http::BodyError::Broken(error)) => (
                Err(json!({ "errorType": "Runtime.BrokenAnswer", "errorMessage": error }).to_string().into()),
                refused(StatusCode::BAD_REQUEST, "InvalidRequest"),
            ),
        };
        // This fails if the invocation has timed out meanwhile.
        let _ = answer.send(value);
        reply
    }
}

fn accepted() -> Reply {
    http::json(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn refused(status: StatusCode, kind: &str) -> Reply {
    http::json(status, &json!({ "errorType": kind }))
}
