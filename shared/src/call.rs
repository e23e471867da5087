//! One request and its answer, as the handlers see them.

use std::collections::BTreeMap;
use std::future::ready;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lambda_http::http::{HeaderMap, Method, Response, header};
use lambda_http::request::RequestContext;
use lambda_http::{Body, IntoResponse, Request, RequestExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::dialect::Dialect;
use crate::id::{TenantId, UserId};
use crate::json;
use crate::model::event::hex;
use crate::problem::{Fault, Problem, Wrong};
use crate::table::Meter;

/// The largest body in bytes.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// Time kept for the answer, before Lambda ends the function.
const RESERVE: Duration = Duration::from_millis(300);

/// One request.
pub struct Call {
    pub dialect: Dialect,
    pub request_id: String,
    /// Lambda's own id of the invocation, under which its Runtime API takes the answer.
    pub invocation: String,
    /// X-Ray's header: what the runtime passes on to the table.
    pub trace: Option<String>,
    /// Who calls, for the log, as soon as a credential says so: a tenant and a user.
    pub caller: OnceLock<(TenantId, UserId)>,
    pub started: Instant,
    /// When the answer must be on its way.
    pub deadline: Instant,
    pub headers: HeaderMap,
    pub meter: Meter,
    method: Method,
    path: String,
    /// What stands behind the `?`, as it came.
    pub query: String,
    parameters: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// The conditions of a write: `If-Match` and `Idempotency-Key`.
#[derive(Debug)]
pub struct Write {
    pub if_match: Option<IfMatch>,
    pub idempotency: Option<Idempotency>,
}

/// RFC 9110, section 13.1.1. A weak tag never matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    Any,
    OneOf(Vec<String>),
}

impl IfMatch {
    pub fn matches(&self, version: u64) -> bool {
        match self {
            IfMatch::Any => true,
            IfMatch::OneOf(tags) => tags.iter().any(|tag| *tag == version.to_string()),
        }
    }

    /// `None` for what is neither `*` nor a list of quoted tags.
    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return Some(IfMatch::Any);
        }
        let mut tags = Vec::new();
        let mut rest = text.trim();
        loop {
            let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
            // A tag may have commas in it.
            let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
            if !weak {
                tags.push(tag.to_owned());
            }
            rest = after.trim_start();
            if rest.is_empty() {
                return Some(IfMatch::OneOf(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
}

#[derive(Clone, Debug)]
pub struct Idempotency {
    pub key: String,
    /// SHA-256 of method, path and body, in hex; tenant and caller are in the record's key.
    pub fingerprint: String,
}

impl Call {
    pub fn new(dialect: Dialect, request: Request) -> Self {
        let started = Instant::now();
        let context = request.lambda_context();
        let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let request_id = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(gateway)) => gateway.request_id.clone(),
            _ => None,
        };
        let parameters = request.path_parameters_ref();
        let parameters =
            parameters.iter().flat_map(|map| map.iter()).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request_id = request_id.unwrap_or_else(|| context.request_id.clone());
        Self {
            dialect,
            meter: Meter::of(&request_id),
            request_id,
            invocation: context.request_id.clone(),
            trace: context.xray_trace_id.clone(),
            caller: OnceLock::new(),
            started,
            deadline: started + left.saturating_sub(RESERVE),
            method: request.method().clone(),
            path: request.raw_http_path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            parameters: parameters.collect(),
            headers: request.headers().clone(),
            body: request.into_body().to_vec(),
        }
    }

    /// A path parameter of the route, percent-decoded; empty if the route has none of that name.
    pub fn path(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// A path parameter that must be an integer from `least` to `most`.
    pub fn path_integer(&self, name: &'static str, least: i64, most: i64) -> Result<i64, Fault> {
        let number = self.path_digits(name)?.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Fault::here(Wrong::OutOfRange(least, most)).within(name).within("path"))
    }

    /// A path parameter that must be an integer of any size, as it was written.
    pub fn path_digits(&self, name: &'static str) -> Result<&str, Fault> {
        let text = self.path(name);
        let digits = text.strip_prefix('-').unwrap_or(text);
        match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(text),
            false => Err(Fault::here(Wrong::Type("an integer")).within(name).within("path")),
        }
    }

    /// The value of a header, `None` if absent or not ASCII.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the caller takes an answer in that content coding (RFC 9110, section 12.5.3); who does not say so does not.
    pub fn accepts(&self, coding: &str) -> bool {
        let codings = self.header(header::ACCEPT_ENCODING).unwrap_or_default().split(',');
        codings.map(|it| it.split_once(';').unwrap_or((it, ""))).any(|(name, weight)| {
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case(coding) && weight.is_ok_and(|weight| weight > 0.0)
        })
    }

    /// Whether the content type is `application/json`, with or without parameters.
    pub fn is_json(&self) -> bool {
        let essence = self.header(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
    }

    /// Reads the body of a write as the wire type `T`, and the write's conditions.
    pub fn write<T: DeserializeOwned>(&self) -> Result<(T, Write), Problem> {
        if self.body.len() > MAX_BODY {
            return Err(Problem::PayloadTooLarge);
        }
        if !self.is_json() {
            return Err(Problem::UnsupportedMediaType);
        }
        let body = json::read(&self.body)?;
        let mut faults = Vec::new();
        let mut fault = |name, wrong| faults.push(Fault::here(wrong).within(name).within("header"));
        let if_match = self.headers.get(header::IF_MATCH).and_then(|value| {
            let parsed = value.to_str().ok().and_then(IfMatch::parse);
            if parsed.is_none() {
                fault("if-match", Wrong::Syntax("`*` or a list of quoted entity tags"));
            }
            parsed
        });
        let idempotency = self.headers.get("idempotency-key").and_then(|value| {
            let key = value.to_str().ok().filter(|key| key.bytes().all(|byte| byte.is_ascii_graphic()));
            match key {
                Some(key) if (1..=MAX_IDEMPOTENCY_KEY).contains(&key.len()) => {
                    return Some(Idempotency { key: key.to_owned(), fingerprint: self.fingerprint() });
                }
                Some(key) if !key.is_empty() => fault("idempotency-key", Wrong::TooLong(MAX_IDEMPOTENCY_KEY)),
                _ => fault("idempotency-key", Wrong::Syntax("visible ASCII characters")),
            }
            None
        });
        if faults.is_empty() { Ok((body, Write { if_match, idempotency })) } else { Err(Problem::Invalid(faults)) }
    }

    fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.method.as_str().as_bytes(), self.path.as_bytes(), &self.body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hex(&hash.finalize())
    }
}

/// What a handler answers. The dialect made the body; `serve` adds the request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into())
    }

    pub fn new(status: u16, content_type: &str, body: Body) -> Self {
        Self { status, headers: vec![(header::CONTENT_TYPE.to_string(), content_type.to_owned())], body }
    }

    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// As it is: what `lambda_http` makes of other bodies looks for their charset, with tables of all there are.
impl IntoResponse for Answer {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        // INVARIANT: our statuses are valid, and our headers ASCII.
        Box::pin(ready(response.body(self.body).expect("a valid response")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_a_strong_comparison() {
        let tags = IfMatch::parse(r#""7", W/"8", "9""#).unwrap();
        assert!(tags.matches(7) && tags.matches(9));
        assert!(!tags.matches(8) && !tags.matches(1));
        assert!(IfMatch::parse(" * ").unwrap().matches(1));
        assert!(IfMatch::parse(r#""a,b","7""#).unwrap().matches(7));
        for text in ["", "7", "\"7", "\"7\",", "\"7\" \"8\"", "w/\"7\""] {
            assert_eq!(IfMatch::parse(text), None, "{text}");
        }
    }
}
