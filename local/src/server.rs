//! The whole of it: engine, front, functions and the gateway's HTTP server.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER,
    },
    http::request::Parts,
};
use serde_json::{Value, json};
use shared::table::Item;
use tokio::net::TcpListener;

use crate::{
    Error, LogSink, Result,
    dynamodb::{self, Engine},
    event::{self, Router},
    front::{Caller, FaultHook, Front, FrontOptions, Latency, Record},
    functions::{InvokeError, Pool, PoolOptions},
    http::{self, BodyError, Host, HttpServer, Reply},
    limits::Limits,
    template::{Cors, Function, Template},
};

/// The most that API Gateway takes, in bytes.
const BODY: usize = 10 * 1024 * 1024;
const HEADERS: usize = 10_240;
/// How long API Gateway waits for a function, which itself may go on.
const INTEGRATION: Duration = Duration::from_secs(30);

/// How to start a [`Server`].
pub struct Options {
    pub template: Template,
    /// The folder of the functions' binaries; [`crate::functions::build`] makes it.
    pub bin_dir: PathBuf,
    /// The gateway's port; 0 takes any.
    pub port: u16,
    /// The port of the front of DynamoDB; 0 takes any.
    pub dynamodb_port: u16,
    /// Where the embedded engine keeps its file; `None` keeps all in memory.
    pub data: Option<PathBuf>,
    /// The `http://` URL of an engine to use instead of the embedded one.
    pub dynamodb: Option<String>,
    /// By which names both may be called, beside those of this machine.
    pub hosts: Vec<Host>,
    /// The most processes of one function.
    pub max_processes: usize,
    /// How long requests to DynamoDB take beyond what the engine needs.
    pub latency: Latency,
    /// Keep a [`Record`] of each request to DynamoDB.
    pub record: bool,
    pub log: LogSink,
}

impl Options {
    /// Any free ports, the embedded engine in memory, no records, log lines to stderr.
    pub fn new(template: Template, bin_dir: PathBuf) -> Self {
        Self {
            template,
            bin_dir,
            port: 0,
            dynamodb_port: 0,
            data: None,
            dynamodb: None,
            hosts: Vec::new(),
            max_processes: 64,
            latency: Latency::default(),
            record: false,
            log: Arc::new(|line| eprintln!("{line}")),
        }
    }
}

/// A running gateway with its functions and its DynamoDB. All of it ends when this is dropped.
pub struct Server {
    // Dropped in this order: who calls before who is called.
    gateway: HttpServer,
    pool: StopOnDrop,
    front: Front,
    engine: Engine,
    table: String,
}

struct StopOnDrop(Arc<Pool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Allows the pages of a gateway on this machine to call it: its own API reference does.
pub fn allow_own_origins(template: &mut Template, port: u16, hosts: &[Host]) {
    let mut own = http::LOCAL.map(|host| format!("http://{host}:{port}")).to_vec();
    // What answers to another name may stand behind TLS.
    let named = hosts.iter().flat_map(|host| host.at(port));
    own.extend(named.flat_map(|host| [format!("http://{host}"), format!("https://{host}")]));
    for function in &mut template.functions {
        if let Some(allowed) = function.environment.get_mut("ALLOWED_ORIGINS") {
            *allowed =
                [allowed.as_str()].into_iter().chain(own.iter().map(String::as_str)).collect::<Vec<_>>().join(",");
        }
    }
    if let Some(cors) = &mut template.cors {
        cors.origins.extend(own);
    }
}

impl Server {
    /// Starts everything, creates the table if it does not exist, and listens on 127.0.0.1 only.
    ///
    /// # Errors
    ///
    /// A port is taken, the data cannot be used, the engine does not answer, or its table is
    /// another than the template's.
    pub async fn start(options: Options) -> Result<Self> {
        let Options { mut template, log, .. } = options;
        let listener = listen(options.port, "--port").await?;
        let port = listener.local_addr().map_err(|error| format!("cannot start: {error}"))?.port();
        allow_own_origins(&mut template, port, &options.hosts);
        let front_listener = listen(options.dynamodb_port, "--dynamodb-port").await?;
        let engine = match options.dynamodb {
            Some(url) => {
                let url = check_url(&url)?;
                dynamodb::reach(&url).await?;
                Engine::remote(&url)
            }
            None => Engine::embedded(options.data.as_deref(), Arc::clone(&log))?,
        };
        dynamodb::ensure_table(&engine, &template).await?;
        let table = template.table_name().to_string();

        let functions: Vec<(Function, String)> =
            template.functions.iter().map(|function| (function.clone(), access_key())).collect();
        let caller = |(function, key): &(Function, String)| {
            let caller = Caller { function: function.name.clone(), statements: function.statements.clone() };
            (key.clone(), caller)
        };
        let cannot = |error: io::Error| Error::from(format!("cannot start: {error}"));
        let front = FrontOptions {
            engine: engine.clone(),
            callers: functions.iter().map(caller).collect(),
            keys: match engine {
                Engine::Embedded(_) => [keys(&template)].into(),
                Engine::Remote { .. } => BTreeMap::new(),
            },
            latency: options.latency,
            limits: Limits::new(&template),
            record: options.record,
            hosts: options.hosts.clone(),
            log: Arc::clone(&log),
        };
        let front = Front::start(front_listener, front).map_err(cannot)?;
        let pool = PoolOptions {
            bin_dir: options.bin_dir,
            dynamodb_url: format!("http://{}", front.address()),
            max_processes: options.max_processes,
            log,
        };
        let pool = Pool::new(functions, pool);
        let gateway = Arc::new(Gateway {
            router: Router::new(&template),
            cors: template.cors.clone(),
            port,
            pool: Arc::clone(&pool),
        });
        let gateway = HttpServer::start(listener, &options.hosts, move |request, client| {
            let gateway = Arc::clone(&gateway);
            async move { Ok(gateway.handle(request, client).await) }
        });
        Ok(Self { gateway: gateway.map_err(cannot)?, pool: StopOnDrop(pool), front, engine, table })
    }

    /// The gateway: `http://127.0.0.1:3000`.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// The front of DynamoDB: `http://127.0.0.1:8000`.
    pub fn dynamodb_url(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Puts items into the table, past DynamoDB's protocol: many of them in little time.
    ///
    /// # Errors
    ///
    /// The engine is not the embedded one, or refuses.
    pub fn import(&self, items: Vec<Item>) -> Result<()> {
        self.engine.import(&self.table, items)
    }

    /// Has a function take an event, without the gateway.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]
    pub async fn invoke(&self, function: &str, event: &Value) -> std::result::Result<Value, InvokeError> {
        self.pool.0.invoke(function, event).await
    }

    /// Gives a variable another value than the template does, in the processes that start from now on of those functions
    /// that the template gives it to.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.pool.0.set_variable(name, value);
    }

    /// The live processes of a function.
    pub fn pids(&self, function: &str) -> Vec<u32> {
        self.pool.0.pids(function)
    }

    /// The requests to DynamoDB since the last call, oldest first.
    pub fn take_records(&self) -> Vec<Record> {
        self.front.take_records()
    }

    /// Has `hook` decide over every further request to DynamoDB.
    pub fn set_fault(&self, hook: Option<FaultHook>) {
        self.front.set_fault(hook);
    }

    /// Ends everything and waits for it: calls under way are answered, no process is left, and the data is on disk.
    pub async fn shutdown(self) {
        self.gateway.shutdown(self.pool.0.drain()).await;
        self.pool.0.shutdown().await;
        self.front.shutdown().await;
        self.engine.shutdown().await;
    }
}

async fn listen(port: u16, option: &str) -> Result<TcpListener> {
    http::listen(port).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {port} is taken, choose another with {option}").into(),
        _ => format!("cannot listen on port {port}: {error}").into(),
    })
}

/// The URL of another DynamoDB.
///
/// # Errors
///
/// It is not `http://HOST` or `http://HOST:PORT`.
pub fn check_url(url: &str) -> Result<String> {
    let parsed: Option<Uri> = url.parse().ok();
    let is_plain = |url: &Uri| {
        // A port that is none would be taken for 80.
        let port =
            url.host().filter(|host| !host.is_empty()).and_then(|host| url.authority()?.as_str().strip_prefix(host));
        let is_port =
            |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|it| it.parse::<u16>().is_ok());
        url.scheme_str() == Some("http") && port.is_some_and(is_port) && url.path_and_query().is_none_or(|it| it == "/")
    };
    match parsed.as_ref().is_some_and(is_plain) {
        true => Ok(url.to_owned()),
        false => Err(format!("`{url}` is not a URL such as http://127.0.0.1:8000").into()),
    }
}

/// An access key id, which stands for one function in one run.
fn access_key() -> String {
    let random = std::iter::repeat_with(fastrand::alphanumeric).take(16);
    format!("ASIA{}", random.collect::<String>().to_ascii_uppercase())
}

/// The names of the table's key attributes, by its name.
fn keys(template: &Template) -> (String, Vec<String>) {
    let schema = template.table["KeySchema"].as_array().into_iter().flatten();
    let names = schema.filter_map(|key| key["AttributeName"].as_str().map(String::from));
    (template.table_name().into(), names.collect())
}

/// An answer of the gateway's own: its status and message.
pub type Refusal = (StatusCode, &'static str);

const BROKEN: Refusal = (StatusCode::BAD_REQUEST, "Bad Request");
const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "Not Found");
const BODY_TOO_LARGE: Refusal = (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
const HEADERS_TOO_LARGE: Refusal = (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large");
const FAILED: Refusal = (StatusCode::BAD_GATEWAY, "Internal Server Error");
const UNAVAILABLE: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
const TIMED_OUT: Refusal = (StatusCode::GATEWAY_TIMEOUT, "Endpoint request timed out");

/// All of them.
pub const REFUSALS: [Refusal; 7] =
    [BROKEN, NOT_FOUND, BODY_TOO_LARGE, HEADERS_TOO_LARGE, FAILED, UNAVAILABLE, TIMED_OUT];

struct Gateway {
    router: Router,
    cors: Option<Cors>,
    port: u16,
    pool: Arc<Pool>,
}

impl Gateway {
    async fn handle(&self, request: Request<Incoming>, client: SocketAddr) -> Reply {
        let id = event::request_id();
        let answer = self.answer(request, client, &id).await;
        let mut reply = answer.unwrap_or_else(|(status, message)| {
            let mut reply = http::json(status, &json!({ "message": message }));
            if status == StatusCode::SERVICE_UNAVAILABLE {
                reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            reply
        });
        let headers = reply.headers_mut();
        headers.extend(HeaderValue::from_str(&id).map(|id| (HeaderName::from_static("apigw-requestid"), id)));
        reply
    }

    /// The function's answer, or the gateway's own.
    async fn answer(
        &self,
        request: Request<Incoming>,
        client: SocketAddr,
        id: &str,
    ) -> std::result::Result<Reply, Refusal> {
        let now = SystemTime::now();
        let (parts, body) = request.into_parts();
        if header_size(&parts) > HEADERS {
            return Err(HEADERS_TOO_LARGE);
        }
        let route = match (self.router.find(parts.method.as_str(), parts.uri.path()), &self.cors) {
            (Some(route), _) => route,
            (None, Some(cors)) if parts.method == Method::OPTIONS => return Ok(preflight(cors, &parts.headers)),
            (None, _) => return Err(NOT_FOUND),
        };
        let body = http::read(body, BODY).await.map_err(|error| match error {
            BodyError::TooLarge => BODY_TOO_LARGE,
            BodyError::Broken(_) => BROKEN,
        })?;
        let event = event::event(&route, &parts, &body, id, (client, self.port), now);
        let invocation = self.pool.invoke(route.function, &event);
        let answer = tokio::time::timeout(INTEGRATION, invocation)
            .await
            .map_err(|_| TIMED_OUT)?
            .map_err(|error| refusal(&error))?;
        let mut reply = event::response(&answer).map_err(|cause| {
            let line = format!("malformed answer: {cause}");
            self.pool.log(route.function, &line);
            FAILED
        })?;
        if let Some(cors) = &self.cors {
            share(cors, &parts.headers, reply.headers_mut());
        }
        Ok(reply)
    }
}

// What the gateway does for pages of other origins, and no function has to.
// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>

/// The answer to an `OPTIONS` that no route takes, whatever its path: what a page may send. A page
/// that may not call learns nothing by it.
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

/// Lets a page that may call read a function's answer. What the function itself says of that does
/// not count; the gateway's own answers, such as 404, no page can read.
fn share(cors: &Cors, request: &HeaderMap, answer: &mut HeaderMap) {
    http::unshare(answer);
    if allow(cors, request, answer) {
        let exposed = HeaderValue::from_str(&cors.exposed.join(","));
        answer.extend(exposed.map(|exposed| (ACCESS_CONTROL_EXPOSE_HEADERS, exposed)));
    }
}

/// Says so if the request is of a page that may call.
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

/// The request line and the headers as they came over the wire, in bytes.
fn header_size(request: &Parts) -> usize {
    let line = request.method.as_str().len() + request.uri.to_string().len() + " HTTP/1.1\r\n".len() + 1;
    let headers = request.headers.iter();
    line + headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>()
}
