//! The part of API Gateway: it takes a request and lets the function of its route answer. If no function can, it answers
//! itself. The demo's identity provider answers at paths that no route has.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
    },
    http::request::Parts,
};
use serde_json::json;

use crate::{
    event,
    functions::{InvokeError, Pool},
    http::{self, BodyError, Reply},
    issuer,
    log::{Answered, Entry, LogSink},
    routes::Router,
    store::Store,
    template::Cors,
};

/// The most bytes of a body and of the headers that API Gateway takes.
const BODY: usize = 10 * 1024 * 1024;
const HEADERS: usize = 10_240;
/// The time that API Gateway waits for a function. The function itself may go on.
const INTEGRATION: Duration = Duration::from_secs(30);

/// An answer of the gateway itself: its status and message.
pub type Refusal = (StatusCode, &'static str);

const BROKEN: Refusal = (StatusCode::BAD_REQUEST, "Bad Request");
const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "Not Found");
const BODY_TOO_LARGE: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
const HEADERS_TOO_LARGE: Refusal = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
const FAILED: Refusal = (StatusCode::BAD_GATEWAY, "Internal Server Error");
const UNAVAILABLE: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
const TIMED_OUT: Refusal = (StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out");

/// All refusals.
pub const REFUSALS: [Refusal; 7] =
    [BROKEN, NOT_FOUND, BODY_TOO_LARGE, HEADERS_TOO_LARGE, FAILED, UNAVAILABLE, TIMED_OUT];

pub(crate) struct Gateway {
    pub(crate) router: Router,
    pub(crate) cors: Option<Cors>,
    pub(crate) port: u16,
    pub(crate) pool: Arc<Pool>,
    /// For the demo's identity provider only.
    pub(crate) store: Store,
    pub(crate) log: LogSink,
}

/// A request that is under way. Its end is logged when this value is dropped, so no way to end is missed.
struct Told<'a> {
    log: &'a LogSink,
    since: Instant,
    answered: Answered,
}

impl<'a> Told<'a> {
    fn begin<B>(log: &'a LogSink, request: &Request<B>, id: &str) -> Self {
        Self { log, since: Instant::now(), answered: Answered::not_yet(request, id) }
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let mut answered = self.answered.clone();
        answered.took = self.since.elapsed();
        if answered.status.is_none() {
            answered.cause = Some("the connection has ended before there was an answer".into());
        }
        (self.log)(Entry::Answered(answered));
    }
}

impl Gateway {
    pub(crate) async fn handle(&self, request: Request<Incoming>, client: SocketAddr) -> Reply {
        let id = event::request_id();
        let mut told = Told::begin(&self.log, &request, &id);
        let answer = self.answer(request, client, &mut told.answered).await;
        let mut reply = answer.unwrap_or_else(|(status, message)| {
            let mut reply = http::json(status, &json!({ "message": message }));
            if status == StatusCode::SERVICE_UNAVAILABLE {
                reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            reply
        });
        let headers = reply.headers_mut();
        headers.extend(HeaderValue::from_str(&id).map(|id| (HeaderName::from_static("apigw-requestid"), id)));
        told.answered.status = Some(reply.status().as_u16());
        reply
    }

    /// Logs a request that came under a name that is not this server's.
    pub(crate) fn misdirected<B>(&self, request: &Request<B>, why: &str) {
        let mut told = Told::begin(&self.log, request, "");
        told.answered.status = Some(StatusCode::MISDIRECTED_REQUEST.as_u16());
        told.answered.cause = Some(why.into());
    }

    /// Returns the function's answer, or the gateway's own.
    async fn answer(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        told: &mut Answered,
    ) -> Result<Reply, Refusal> {
        let now = SystemTime::now();
        let mut because = |cause: String, refusal| {
            told.cause = Some(cause);
            refusal
        };
        let (parts, body) = request.into_parts();
        if header_size(&parts) > HEADERS {
            let cause = format!("its first line and its headers have more than {HEADERS} bytes, API Gateway's limit");
            return Err(because(cause, HEADERS_TOO_LARGE));
        }
        let route = match (self.router.find(parts.method.as_str(), parts.uri.path()), &self.cors) {
            (Some(route), _) => route,
            (None, Some(cors)) if parts.method == Method::OPTIONS => return Ok(preflight(cors, &parts.headers)),
            // The one thing here that API Gateway has not.
            (None, _) => {
                return match issuer::web::answer(&self.store, &parts, body).await {
                    Ok(Some(reply)) => Ok(reply),
                    Ok(None) => Err(because("the template has no such route; `routes` lists all".into(), NOT_FOUND)),
                    Err((status, message)) => {
                        let reply = http::json(status, &json!({ "message": message }));
                        told.cause = Some(message);
                        Ok(reply)
                    }
                };
            }
        };
        let body = http::read(body, BODY).await.map_err(|error| match error {
            BodyError::TooLarge => {
                because(format!("its body has more than {BODY} bytes, API Gateway's limit"), BODY_TOO_LARGE)
            }
            BodyError::Broken(why) => because(format!("its body has not come whole: {why}"), BROKEN),
        })?;
        told.function = Some(route.function.into());
        let event = event::event(&route, &parts, &body, &told.request, (client, self.port), now);
        let invocation = self.pool.invoke(route.function, &event);
        let Ok(answer) = tokio::time::timeout(INTEGRATION, invocation).await else {
            told.cause = Some(format!("no answer within {} s, as long as API Gateway waits", INTEGRATION.as_secs()));
            return Err(TIMED_OUT);
        };
        let answer = answer.map_err(|error| refusal(&error))?;
        let mut reply = event::response(&answer).map_err(|cause| {
            let (of, text) = (route.function.into(), format!("malformed answer: {cause}"));
            (self.log)(Entry::Said { of, text, request: Some(told.request.clone()) });
            FAILED
        })?;
        if let Some(cors) = &self.cors {
            share(cors, &parts.headers, reply.headers_mut());
        }
        Ok(reply)
    }
}

// The gateway does this for pages of other origins, so that no function has to.
// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>

/// Answers an `OPTIONS` that no route takes, whichever path it has: the answer lists the methods and headers that a page may
/// send. A page that may not call learns nothing from it.
fn preflight(cors: &Cors, request: &HeaderMap) -> Reply {
    let mut reply = Response::new(Full::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) && allow(cors, request, reply.headers_mut()) {
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_METHODS, cors.methods.join(",")),
            (ACCESS_CONTROL_ALLOW_HEADERS, cors.headers.join(",")),
            (ACCESS_CONTROL_MAX_AGE, cors.max_age.to_string()),
        ] {
            reply.headers_mut().extend(HeaderValue::from_str(&value).map(|value| (name, value)));
        }
    }
    reply
}

/// Lets a page that may call read a function's answer. The function's own headers for this do not count. No page can read the
/// gateway's own answers, such as 404.
fn share(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) {
    http::unshare(answer);
    if allow(cors, request, answer) {
        let exposed = HeaderValue::from_str(&cors.exposed.join(","));
        answer.extend(exposed.map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
    }
}

/// Adds the headers that allow a page to call, if the request comes from such a page. Returns whether it does.
fn allow(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
    let origin = request.get(ORIGIN).filter(|origin| cors.origins.iter().any(|allowed| *origin == allowed.as_str()));
    answer.extend(origin.map(|origin| (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())));
    if origin.is_some() && cors.credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    origin.is_some()
}

fn refusal(error: &InvokeError) -> Refusal {
    match error {
        InvokeError::Throttled => UNAVAILABLE,
        InvokeError::TimedOut(_) => TIMED_OUT,
        InvokeError::Unknown | InvokeError::Init(_) | InvokeError::Exited | InvokeError::Failed(_) => FAILED,
    }
}

/// Returns the bytes of the request line and the headers, as they came over the wire.
fn header_size(request: &Parts) -> usize {
    let line = request.method.as_str().len() + request.uri.to_string().len() + " HTTP/1.1\r\n".len() + 1;
    let headers = request.headers.iter();
    line + headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>()
}
