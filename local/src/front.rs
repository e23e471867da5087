//! The front of DynamoDB, Secrets Manager, SQS and EventBridge: functions and people call it instead of the engine.
//!
//! It enforces the template's IAM statements on functions, and adds the conflicts and limits that the embedded engine lacks.
//! For tests it keeps records of requests and causes faults.

mod capacity;
mod latency;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, HeaderMap, ORIGIN},
    http::request::Parts,
};
use serde_json::{Value, json};
use shared::lock;
use tokio::{
    net::TcpListener,
    sync::{RwLock, watch},
};

use capacity::{COUNTED, READS, consumed};
pub use latency::Latency;

use crate::{
    conflicts::Conflicts,
    dynamodb::Engine,
    http::{self, Host, HttpServer, Reply},
    iam::{self, Need},
    limits::Limits,
    log::{Entry, LogSink},
    operations::amazon,
    queues::{self, Queues},
    secrets,
    template::{ACCOUNT, Statement},
};

/// The beginnings of the operations of other services.
const BESIDE: [&str; 3] = [secrets::SERVICE, queues::QUEUES, queues::BUS];

/// The longest request that DynamoDB takes, in bytes.
const REQUEST: usize = 16 * 1024 * 1024;

/// The name of a function that calls, and the statements that allow its actions.
#[derive(Debug, Clone)]
pub struct Caller {
    pub function: String,
    pub statements: Vec<Statement>,
}

/// A request, as the front has received it.
#[derive(Debug)]
pub struct FrontRequest {
    /// The function that sent the request; `None` for a person.
    pub function: Option<String>,
    /// For example `TransactWriteItems`.
    pub operation: String,
    /// Null if the body is not JSON.
    pub body: Value,
}

/// The fault that a test causes in a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    None,
    /// The engine does not get the request. The caller gets this status and body.
    AnswerBefore(u16, Value),
    /// The engine carries out the request. The caller gets this status and body.
    AnswerAfter(u16, Value),
    /// The engine carries out the request. The caller's connection is closed without an answer.
    DropAfter,
}

impl Fault {
    /// The table has no capacity for the request.
    pub fn throttled() -> Self {
        let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
        Self::AnswerBefore(400, json!({ "__type": kind, "message": "made by a test" }))
    }
}

/// A function that decides about each request that IAM allows.
pub type FaultHook = Arc<dyn Fn(&FrontRequest) -> Fault + Send + Sync>;

/// The record of one request to the front.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The function that sent the request; `None` for a person.
    pub function: Option<String>,
    /// For example `TransactWriteItems`.
    pub operation: String,
    /// The status that the caller got; `None` if its connection was closed instead.
    pub status: Option<u16>,
    /// The read capacity units that the engine's answer counts, over all tables and indexes.
    pub read_units: f64,
    /// The write capacity units, counted in the same way.
    pub write_units: f64,
    /// The IAM actions that the request needs, allowed or not: `dynamodb:PutItem`.
    pub actions: BTreeSet<String>,
    /// The value of X-Ray's header.
    pub trace: Option<String>,
}

/// The settings of the front.
pub struct FrontOptions {
    /// The engine that carries the requests out.
    pub engine: Engine,
    /// The functions by access key id. A request with any other key comes from a person and may do everything.
    pub callers: BTreeMap<String, Caller>,
    /// The key attributes by table name. With them the front answers as DynamoDB does when a write is to an item that is in a
    /// transaction under way. The map is empty if the engine itself answers so.
    pub keys: BTreeMap<String, Vec<String>>,
    pub latency: Latency,
    /// Hears of each write that the engine has carried out and that can concern a reader of the stream.
    pub written: watch::Sender<()>,
    /// A write concerns nobody whose request has none of these texts.
    pub telling: Vec<String>,
    /// The limits of the table's indexes.
    pub(crate) limits: Limits,
    pub queues: Arc<Queues>,
    /// Whether to keep records. If so, each request asks for its consumed capacity.
    pub record: bool,
    /// The names under which the front may be called, besides those of this machine.
    pub hosts: Vec<Host>,
    pub log: LogSink,
}

/// The HTTP front of DynamoDB. It ends when this value is dropped.
pub struct Front {
    state: Arc<State>,
    server: HttpServer,
}

struct State {
    options: FrontOptions,
    conflicts: Conflicts,
    records: Mutex<Vec<Record>>,
    fault: Mutex<Option<FaultHook>>,
    /// Each request under way holds a read lock of it.
    under_way: RwLock<()>,
}

impl Front {
    /// Starts the front on a listener.
    ///
    /// # Errors
    ///
    /// The address of the listener cannot be read.
    pub fn start(listener: TcpListener, options: FrontOptions) -> io::Result<Self> {
        let state = Arc::new(State {
            conflicts: Conflicts::new(options.keys.clone()),
            options,
            records: Mutex::default(),
            fault: Mutex::default(),
            under_way: RwLock::default(),
        });
        let (handler, log) = (Arc::clone(&state), Arc::clone(&state.options.log));
        let misdirected = move |_: &_, why: &str| log(Entry::said("dynamodb", why));
        let server = HttpServer::start(listener, &state.options.hosts, misdirected, move |request, _| {
            let state = Arc::clone(&handler);
            // A request goes on even if its caller is gone, as in the cloud.
            async move { tokio::spawn(state.handle(request)).await? }
        })?;
        Ok(Self { state, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Returns the records since the last call, the oldest first.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.state.records))
    }

    /// Lets `hook` decide about every further request.
    pub fn set_fault(&self, hook: Option<FaultHook>) {
        *lock(&self.state.fault) = hook;
    }

    pub(crate) async fn shutdown(self) {
        self.server.shutdown(async { drop(self.state.under_way.write().await) }).await;
    }
}

impl State {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Reply> {
        let (parts, body) = request.into_parts();
        // A browser names the page that calls in this header. Only a GET may lack it, and a GET carries out nothing.
        if parts.headers.contains_key(ORIGIN) {
            let kind = "com.amazon.coral.service#AccessDeniedException";
            let why = "no web page may call this DynamoDB";
            (self.options.log)(Entry::said("dynamodb", why));
            let body = json!({ "__type": kind, "Message": why });
            return Ok(amazon_json(StatusCode::FORBIDDEN, &body));
        }
        let body = match http::read(body, REQUEST).await {
            Ok(body) => body,
            Err(http::BodyError::TooLarge) => {
                let message = json!({ "__type": "com.amazon.coral.service#RequestEntityTooLargeException" });
                return Ok(http::json(StatusCode::PAYLOAD_TOO_LARGE, &message));
            }
            Err(http::BodyError::Broken(error)) => return Err(io::Error::other(error)),
        };
        let _under_way = self.under_way.read().await;
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let target = header("x-amz-target");
        let caller = access_key(&parts.headers).and_then(|key| self.options.callers.get(key));
        let request = FrontRequest {
            function: caller.map(|caller| caller.function.clone()),
            operation: target.and_then(|target| target.split('.').nth(1)).unwrap_or_default().into(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let mut record = Record {
            function: request.function.clone(),
            operation: request.operation.clone(),
            status: None,
            read_units: 0.0,
            write_units: 0.0,
            actions: BTreeSet::new(),
            trace: header("x-amzn-trace-id").map(str::to_owned),
        };
        let beside = target.filter(|it| BESIDE.iter().any(|service| it.starts_with(service)));
        let reply = match beside {
            Some(target) => self.answer_beside(caller, target, &request, &mut record).await,
            None => self.answer(&parts, body, caller, &request, &mut record).await,
        };
        if self.options.record {
            record.status = reply.as_ref().ok().map(|reply| reply.status().as_u16());
            lock(&self.records).push(record);
        }
        reply
    }

    /// Answers a request to one of the services [`BESIDE`] DynamoDB.
    async fn answer_beside(
        &self,
        caller: Option<&Caller>,
        target: &str,
        request: &FrontRequest,
        record: &mut Record,
    ) -> io::Result<Reply> {
        let of_secrets = target.strip_prefix(secrets::SERVICE);
        let (action, resource) = match of_secrets {
            Some(operation) => secrets::need(operation, &request.body),
            None => queues::need(target, &request.body),
        };
        record.actions.insert(action.clone());
        if let Some(caller) = caller
            && let Err(refusal) =
                authorize(caller, Some(&[Need { action, resource, attributes: None, partition: None }]))
        {
            (self.options.log)(Entry::said(target.split('.').next().unwrap_or_default(), &refusal));
            return Ok(error(&json!({ "__type": "AccessDeniedException", "Message": refusal })));
        }
        let hook = lock(&self.fault).clone();
        let fault = hook.map_or(Fault::None, |hook| hook(request));
        if let Fault::AnswerBefore(status, body) = &fault {
            return replaced(*status, body);
        }
        let answer = match of_secrets {
            Some(operation) => secrets::answer(&self.options.engine, operation, &request.body).await,
            None => self.options.queues.answer(target, &request.body),
        };
        match fault {
            Fault::AnswerAfter(status, body) => replaced(status, &body),
            Fault::DropAfter => Err(io::ErrorKind::ConnectionAborted.into()),
            Fault::None | Fault::AnswerBefore(..) => Ok(match answer {
                Ok(answer) => amazon_json(StatusCode::OK, &answer),
                Err(refusal) => error(&refusal),
            }),
        }
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: Bytes,
        caller: Option<&Caller>,
        request: &FrontRequest,
        record: &mut Record,
    ) -> io::Result<Reply> {
        let needs = iam::needs(&request.operation, &request.body);
        record.actions.extend(needs.iter().flatten().map(|need| need.action.clone()));
        if let Some(caller) = caller
            && let Err(refusal) = authorize(caller, needs.as_deref())
        {
            (self.options.log)(Entry::said("dynamodb", &refusal));
            let kind = "com.amazon.coral.service#AccessDeniedException";
            return Ok(error(&json!({ "__type": kind, "Message": refusal })));
        }
        let hook = lock(&self.fault).clone();
        let fault = hook.map_or(Fault::None, |hook| hook(request));
        if let Fault::AnswerBefore(status, body) = &fault {
            return replaced(*status, body);
        }
        if let Err(excess) = self.options.limits.check(&request.operation, &request.body) {
            return Ok(error(&excess));
        }
        let _under_way = match self.conflicts.enter(&request.operation, &request.body) {
            Ok(entered) => entered,
            Err(conflict) => return Ok(error(&conflict)),
        };
        self.options.latency.wait(&request.operation).await;
        let is_write = !READS.contains(&request.operation.as_str());
        let tells = is_write && self.options.telling.iter().any(|text| has(&body, text.as_bytes()));
        let body = match (self.options.record, &request.body) {
            (true, Value::Object(object)) if COUNTED.contains(&request.operation.as_str()) => {
                let mut object = object.clone();
                object.entry("ReturnConsumedCapacity").or_insert_with(|| "TOTAL".into());
                Bytes::from(Value::Object(object).to_string())
            }
            _ => body,
        };
        let reply = match self.options.engine.send(Request::from_parts(parts.clone(), body)).await {
            Ok(reply) => reply,
            Err(cause) => {
                (self.options.log)(Entry::said("dynamodb", &cause));
                let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
                let body = json!({ "__type": kind, "message": cause });
                return Ok(http::json(StatusCode::INTERNAL_SERVER_ERROR, &body));
            }
        };
        if tells {
            self.options.written.send_replace(());
        }
        if self.options.record
            && let Ok(answer) = serde_json::from_slice::<Value>(reply.body())
        {
            (record.read_units, record.write_units) = consumed(&request.operation, &answer["ConsumedCapacity"]);
        }
        match fault {
            Fault::AnswerAfter(status, body) => replaced(status, &body),
            Fault::DropAfter => Err(io::ErrorKind::ConnectionAborted.into()),
            Fault::None | Fault::AnswerBefore(..) => Ok(reply.map(Full::from)),
        }
    }
}

fn has(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}

/// Refuses, in AWS's words, an action that the caller's statements do not allow. `needs` is `None` for operations that no
/// statement can allow.
fn authorize(caller: &Caller, needs: Option<&[Need]>) -> std::result::Result<(), String> {
    let name = &caller.function;
    let user = format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name} is not authorized to perform:");
    let needs = needs.ok_or_else(|| format!("{user} PartiQL statements, which functions may not use"))?;
    if let Some(Need { action, resource, .. }) = needs.iter().find(|need| !iam::allows(&caller.statements, need)) {
        let because = format!("because no identity-based policy allows the {action} action");
        return Err(format!("{user} {action} on resource: {resource} {because}"));
    }
    Ok(())
}

/// Returns the access key id in `AWS4-HMAC-SHA256 Credential=AKID/20261122/…`.
fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').next()
}

fn error(body: &Value) -> Reply {
    amazon_json(StatusCode::BAD_REQUEST, body)
}

fn replaced(status: u16, body: &Value) -> io::Result<Reply> {
    let status = StatusCode::from_u16(status).map_err(io::Error::other)?;
    Ok(amazon_json(status, body))
}

fn amazon_json(status: StatusCode, body: &Value) -> Reply {
    amazon(status, body.to_string()).map(Full::from)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_access_key_is_in_the_credential() {
        let mut headers = HeaderMap::new();
        assert_eq!(access_key(&headers), None);
        let value = "AWS4-HMAC-SHA256 Credential=ASIAX/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host";
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(access_key(&headers), Some("ASIAX"));
    }
}
