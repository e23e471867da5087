//! One request, for the handlers.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::id::{TenantId, UserId, Uuid, hex, parse_uuid};
use domain::problem::{Fault, Problem, Wrong};
use lambda_http::LambdaEvent;
use lambda_http::http::header;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::gate::list::{MAX_COUNTED, NOT_COUNTED};
use crate::gate::{Conditions, Idempotency, IfMatch, Page, REMEMBER_SECONDS, names_tag};
use crate::http::credential::Holder;
use crate::http::json::{self, Count, Object, Text, Wire, is_integer};
use crate::http::{Dialect, Paging, credential};
use crate::table::meter::Meter;
use crate::trace::is_trace;

/// The bytes that a body may have, unless its endpoint needs more.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest `Idempotency-Key`: 1 to 255 visible ASCII characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The things that a page of a list has, at most and if the client asks for no number.
pub const MAX_LIMIT: usize = 200;
pub const DEFAULT_LIMIT: usize = 50;

/// The largest number of a page that is one.
const MAX_NUMBER: usize = i32::MAX as usize;

/// The longest cursor, in characters: the longest sort key, encrypted and in base64, and room to spare.
pub const MAX_CURSOR: usize = 2000;

/// The time that we keep for the answer before Lambda ends the function.
const RESERVE: Duration = Duration::from_millis(300);

/// The parts that we need of an event of API Gateway's HTTP APIs, in payload format 2.0.
///
/// `lambda_http` builds a URL from `host` and other headers, and ends the process if that fails. This code takes everything that
/// a client sends as text, and no text fails. <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    request_context: RequestContext,
    route_key: Option<String>,
    raw_path: Option<String>,
    raw_query_string: Option<String>,
    headers: Option<HashMap<String, String>>,
    cookies: Option<Vec<String>>,
    path_parameters: Option<BTreeMap<String, String>>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    request_id: Option<String>,
    http: Http,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: Option<String>,
}

/// One request.
pub struct Call {
    pub dialect: &'static Dialect,
    pub request_id: String,
    /// The header of X-Ray, if it is well-formed.
    pub trace: Option<String>,
    /// The tenant and the holder of the first verified credential, for the log. An API key is verified later, by the gate: in the line of
    /// a 401 it is only what the key says of itself.
    pub caller: OnceLock<(TenantId, Holder)>,
    /// Who acts as that member, for the log.
    pub impersonator: OnceLock<UserId>,
    pub started: Instant,
    /// When the answer must be on its way.
    pub deadline: Instant,
    pub meter: Meter,
    /// The route as the template has it: `GET /v1/roles/{id}`.
    pub route: String,
    method: String,
    path: String,
    /// Of the client, as API Gateway saw it. No header counts: a client can write what it likes there.
    pub address: String,
    /// The text behind the `?`, still percent-encoded.
    pub query: String,
    /// By their names in lower case.
    headers: HashMap<String, String>,
    cookies: Vec<String>,
    parameters: BTreeMap<String, String>,
    body: Result<Vec<u8>, base64::DecodeError>,
}

impl Call {
    pub fn new(dialect: &'static Dialect, event: LambdaEvent<Request>) -> Self {
        let started = Instant::now();
        let LambdaEvent { payload: request, context } = event;
        let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        let request_id = request.request_context.request_id.unwrap_or_else(|| context.request_id.clone());
        let mut headers = HashMap::new();
        for (mut name, value) in request.headers.unwrap_or_default() {
            name.make_ascii_lowercase();
            headers.insert(name, value);
        }
        let body = request.body.unwrap_or_default();
        Self {
            dialect,
            meter: Meter::of(&request_id),
            request_id,
            trace: context.xray_trace_id.filter(|trace| is_trace(trace)),
            caller: OnceLock::new(),
            impersonator: OnceLock::new(),
            started,
            deadline: started + left.saturating_sub(RESERVE),
            route: request.route_key.unwrap_or_default(),
            method: request.request_context.http.method,
            address: request.request_context.http.source_ip.unwrap_or_default(),
            path: request.raw_path.unwrap_or_default(),
            query: request.raw_query_string.unwrap_or_default(),
            // API Gateway takes cookies out of the headers. Events that people write by hand may still have them there.
            cookies: request.cookies.unwrap_or_else(|| headers.remove("cookie").into_iter().collect()),
            headers,
            parameters: request.path_parameters.unwrap_or_default(),
            body: if request.is_base64_encoded { BASE64_STANDARD.decode(body) } else { Ok(body.into_bytes()) },
        }
    }

    /// A path parameter of the route, percent-decoded; empty if the route has none of that name.
    pub fn path(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// A path parameter that must be a UUID.
    pub fn path_uuid(&self, name: &'static str) -> Result<Uuid, Fault> {
        parse_uuid(self.path(name)).ok_or_else(|| Fault::here(Wrong::Uuid).within(name).within("path"))
    }

    /// A path parameter that must be an integer from `least` to `most`.
    pub fn path_integer(&self, name: &'static str, least: i64, most: i64) -> Result<i64, Fault> {
        let number = self.path_digits(name)?.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Fault::here(Wrong::OutOfRange(least, most)).within(name).within("path"))
    }

    /// A path parameter that must be an integer of any size in its one spelling, as text.
    pub fn path_digits(&self, name: &'static str) -> Result<&str, Fault> {
        let text = self.path(name);
        match is_integer(text) {
            true => Ok(text),
            false => Err(Fault::here(Wrong::Type("an integer")).within(name).within("path")),
        }
    }

    /// The value of a header by its name in lower case. It can be any text.
    pub fn header(&self, name: impl AsRef<str>) -> Option<&str> {
        self.headers.get(name.as_ref()).map(String::as_str)
    }

    /// The value of a cookie that is there exactly once.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        credential::cookie(self.cookies.iter().map(String::as_str), name)
    }

    /// Whether the caller names a content coding and accepts it (RFC 9110, section 12.5.3).
    pub fn accepts(&self, coding: &str) -> bool {
        let codings = self.header(header::ACCEPT_ENCODING).unwrap_or_default().split(',');
        codings.map(|it| it.split_once(';').unwrap_or((it, ""))).any(|(name, weight)| {
            let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            name.trim().eq_ignore_ascii_case(coding) && weight.is_ok_and(|weight| weight > 0.0)
        })
    }

    /// Whether the content type is `application/json`, with or without parameters.
    pub fn is_json(&self) -> bool {
        self.is_of_type("application/json")
    }

    /// Whether the content type is that one, with or without parameters.
    pub(crate) fn is_of_type(&self, media_type: &str) -> bool {
        let essence = self.header(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
        essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
    }

    /// An answer whose content has this tag: 304 without the content, if the caller has it already (`If-None-Match`). The caller may keep
    /// it, and must ask each time whether it is still the same.
    pub fn unless_known(&self, tag: &str, answer: Answer) -> Answer {
        let is_known = self.header(header::IF_NONE_MATCH).is_some_and(|tags| names_tag(tags, tag));
        let answer = if is_known { Answer::empty(304) } else { answer };
        let answer = answer.with_header(header::ETAG.as_str(), format!("\"{tag}\""));
        answer.with_header(header::CACHE_CONTROL.as_str(), "private, no-cache")
    }

    /// The tag of a content: its SHA-256, in hex.
    pub fn tag_of(content: &Value) -> String {
        hex(&Sha256::digest(content.to_string()))
    }

    /// Whether the body has no content coding beside `identity`, which changes nothing.
    fn is_plain(&self) -> bool {
        let mut codings = self.header(header::CONTENT_ENCODING).unwrap_or_default().split(',').map(str::trim);
        codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    }

    /// The body; 400 if the gateway's base64 cannot be decoded.
    fn bytes(&self) -> Result<&[u8], Problem> {
        self.body.as_deref().map_err(|_| Problem::InvalidJson("it is not in base64".to_owned()))
    }

    /// An object without members, for a request of which only path and headers are read.
    pub fn parts(&self) -> Object {
        Object::empty()
    }

    /// The parameters behind the `?`, each a text: `query.optional("limit")`. Those that nobody reads are ignored.
    pub fn parameters(&self) -> Object {
        Object::of_query(&self.query, None)
    }

    /// The same, but one parameter may be there several times: it is an array of texts.
    pub fn parameters_with_several(&self, name: &'static str) -> Object {
        Object::of_query(&self.query, Some(name))
    }

    /// The page that the parameters ask for, by the dialect's names. All other parameters are filters or the order.
    pub fn page(&self, query: &mut Object) -> Page {
        let Paging { limit: limit_name, default, has_numbers, cursor: cursor_is } = self.dialect.paging;
        let limit = query.optional(limit_name).map_or(default, |Count::<MAX_LIMIT>(limit)| limit);
        let number = if has_numbers { query.optional("page") } else { None };
        let number = number.map(|Count::<MAX_NUMBER>(number)| number);
        let cursor = query.optional::<Text<MAX_CURSOR>>("cursor").map(|Text(cursor)| cursor);
        match number {
            Some(_) if cursor.is_some() => {
                query.refuse(Fault::here(Wrong::Syntax("left out beside `cursor`")).within("page"));
            }
            Some(number) if number * limit > MAX_COUNTED => {
                query.refuse(Fault::here(Wrong::Syntax(NOT_COUNTED)).within("page"));
            }
            _ => {}
        }
        let mut filters: Vec<_> = form_urlencoded::parse(self.query.as_bytes()).collect();
        filters.retain(|(name, _)| name != limit_name && name != "cursor" && !(has_numbers && name == "page"));
        filters.sort_unstable();
        let filters = form_urlencoded::Serializer::new(String::new()).extend_pairs(filters).finish();
        Page { limit, number, cursor, cursor_is, list: format!("{} {}?{filters}", self.method, self.path) }
    }

    /// Whether there is a body, for an endpoint that can do without.
    pub fn has_body(&self) -> bool {
        self.body.as_ref().is_ok_and(|body| !body.is_empty())
    }

    /// Whether a plain form, or an image or a script of a page, could have made this request and could change something by it.
    /// A GET changes nothing, no form can DELETE, and no form can say that its content is JSON.
    pub(crate) fn can_be_a_form(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "DELETE") && !self.is_json()
    }

    /// Whether the body is empty or `null`.
    pub fn says_nothing(&self) -> bool {
        self.body.as_ref().is_ok_and(|body| matches!(body.trim_ascii(), b"" | b"null"))
    }

    /// Reads a body of at most `most` bytes, which must be one JSON object.
    pub fn body(&self, most: usize) -> Result<Object, Problem> {
        Object::of_body(self.json(most)?)
    }

    /// Reads a body of at most `most` bytes, which is a form or one JSON object with the same members.
    pub fn form(&self, most: usize) -> Result<Object, Problem> {
        const FORM: &str = "application/x-www-form-urlencoded";
        let taken = "`application/x-www-form-urlencoded` or `application/json`";
        let bytes = self.content(most, &[FORM, "application/json"], taken)?;
        if self.is_json() { Object::of_body(bytes) } else { Ok(Object::of_form(bytes)) }
    }

    /// Reads a body of at most `most` bytes, which must be a JSON list of 1 to `longest` things.
    pub fn list<T: Wire>(&self, most: usize, longest: usize) -> Result<Vec<T>, Problem> {
        json::list_of_body(self.json(most)?, longest)
    }

    /// The bytes of a body that says that it is JSON.
    fn json(&self, most: usize) -> Result<&[u8], Problem> {
        self.content(most, &["application/json"], "`application/json`")
    }

    /// The bytes of a body that says that it is of one of these types, of which an error says `taken`.
    pub fn content(&self, most: usize, types: &[&str], taken: &'static str) -> Result<&[u8], Problem> {
        let bytes = self.bytes()?;
        if bytes.len() > most {
            return Err(Problem::PayloadTooLarge(most));
        }
        if !self.is_plain() {
            return Err(Problem::UnsupportedContentCoding);
        }
        if !types.iter().any(|it| self.is_of_type(it)) {
            return Err(Problem::UnsupportedMediaType(taken));
        }
        Ok(bytes)
    }

    /// Reads the conditions of a write, with or without a body.
    pub fn conditions(&self) -> Result<Conditions, Problem> {
        let body = self.bytes()?;
        let mut faults = Vec::new();
        let mut fault = |name, wrong| faults.push(Fault::here(wrong).within(name).within("header"));
        let if_match = self.header(header::IF_MATCH).and_then(|value| {
            let parsed = IfMatch::parse(value);
            if parsed.is_none() {
                fault("if-match", Wrong::Syntax("`*` or a list of quoted entity tags"));
            }
            parsed
        });
        let idempotency = self.header("idempotency-key").and_then(|key| {
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                fault("idempotency-key", Wrong::Syntax("visible ASCII characters"));
            } else if key.len() > MAX_IDEMPOTENCY_KEY {
                fault("idempotency-key", Wrong::TooLong(MAX_IDEMPOTENCY_KEY));
            } else {
                let (key, fingerprint) = (key.to_owned(), self.fingerprint(body));
                return Some(Idempotency { key, fingerprint, kept: REMEMBER_SECONDS });
            }
            None
        });
        if faults.is_empty() { Ok(Conditions { if_match, idempotency }) } else { Err(Problem::Invalid(faults)) }
    }

    fn fingerprint(&self, body: &[u8]) -> String {
        fingerprint([&self.method, &self.path, &self.query], body)
    }

    /// What the request asks for, as an approval names it: [`change_asked`] of it. `None` if its body is no JSON. The path is that of the
    /// route, because the gateway adds the stage to the other one.
    pub fn change_asked(&self) -> Option<String> {
        let body = self.body.as_deref().ok()?;
        let body = if body.is_empty() { Value::Null } else { json::read_exactly(body).ok()? };
        let (_, route) = self.route.split_once(' ')?;
        let parts = route.split('/').map(|part| {
            let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            name.map_or(part, |name| self.path(name))
        });
        Some(change_asked([&self.method, &parts.collect::<Vec<_>>().join("/"), &self.query], body))
    }
}

/// SHA-256 of a method, a path, a query and a body, in hex. Of the body, neither the spaces nor the order of members count.
pub(crate) fn change_asked(head: [&str; 3], mut body: Value) -> String {
    body.sort_all_objects();
    fingerprint(head, body.to_string().as_bytes())
}

/// SHA-256 of the parts, in hex, and of where each begins.
fn fingerprint(head: [&str; 3], body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in head.map(str::as_bytes).into_iter().chain([body]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}
