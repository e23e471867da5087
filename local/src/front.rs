//! The front of DynamoDB: what functions and people call instead of the engine.
//!
//! It enforces the template's IAM statements on functions, adds the conflicts and limits that the embedded
//! engine never has, and for tests keeps records of requests and brings faults about.

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
use tokio::{net::TcpListener, sync::RwLock};

pub use latency::Latency;

use crate::{
    conflicts::Conflicts,
    dynamodb::Engine,
    http::{self, Host, HttpServer, Reply},
    iam::{self, Need},
    limits::Limits,
    log::{Entry, LogSink},
    operations::amazon,
    template::{ACCOUNT, Statement},
};

/// The longest request that DynamoDB takes, in bytes.
const REQUEST: usize = 16 * 1024 * 1024;

/// Who may do what: a function's name and statements.
#[derive(Debug, Clone)]
pub struct Caller {
    pub function: String,
    pub statements: Vec<Statement>,
}

/// A request as the front has received it.
#[derive(Debug)]
pub struct FrontRequest {
    /// The function that sent it; `None` for a person.
    pub function: Option<String>,
    /// `TransactWriteItems`
    pub operation: String,
    /// Null if it is not JSON.
    pub body: Value,
}

/// What a test has happen to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    None,
    /// The engine does not get the request; the caller gets this status and body.
    AnswerBefore(u16, Value),
    /// The engine carries the request out; the caller gets this status and body.
    AnswerAfter(u16, Value),
    /// The engine carries the request out; the caller's connection is closed without an answer.
    DropAfter,
}

/// Decides what happens to each request that IAM allows.
pub type FaultHook = Arc<dyn Fn(&FrontRequest) -> Fault + Send + Sync>;

/// One request to the front, on record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The function that sent it; `None` for a person.
    pub function: Option<String>,
    /// `TransactWriteItems`
    pub operation: String,
    /// What the caller was answered; `None` if its connection was closed instead.
    pub status: Option<u16>,
    /// The read capacity units that the engine's answer counts, over all tables and indexes.
    pub read_units: f64,
    /// The write capacity units.
    pub write_units: f64,
    /// The IAM actions that it took, allowed or not: `dynamodb:PutItem`.
    pub actions: BTreeSet<String>,
    /// X-Ray's header.
    pub trace: Option<String>,
}

/// What the front needs to know.
pub struct FrontOptions {
    /// The engine that carries the requests out.
    pub engine: Engine,
    /// Functions by access key id. A request with any other key is a person's and may do
    /// everything.
    pub callers: BTreeMap<String, Caller>,
    /// The key attributes by table name, to answer as DynamoDB does a write to an item that is in a
    /// transaction under way. Empty if the engine does so itself.
    pub keys: BTreeMap<String, Vec<String>>,
    pub latency: Latency,
    /// What the table's indexes take.
    pub(crate) limits: Limits,
    /// Keep records; each request then asks for its consumed capacity.
    pub record: bool,
    /// By which names it may be called, beside those of this machine.
    pub hosts: Vec<Host>,
    pub log: LogSink,
}

/// The HTTP front of DynamoDB. It ends when dropped.
pub struct Front {
    state: Arc<State>,
    server: HttpServer,
}

struct State {
    options: FrontOptions,
    conflicts: Conflicts,
    records: Mutex<Vec<Record>>,
    fault: Mutex<Option<FaultHook>>,
    /// Read by requests under way.
    under_way: RwLock<()>,
}

impl Front {
    /// Starts it on a listener.
    ///
    /// # Errors
    ///
    /// The listener's address cannot be had.
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
            // A request goes on even if its caller is gone, as it would in the cloud.
            async move { tokio::spawn(state.handle(request)).await? }
        })?;
        Ok(Self { state, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The records since the last call, oldest first.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.state.records))
    }

    /// Has `hook` decide over every further request.
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
        // A browser names the page that calls, except in a GET, which carries nothing out.
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
        let reply = self.answer(&parts, body, caller, &request, &mut record).await;
        if self.options.record {
            record.status = reply.as_ref().ok().map(|reply| reply.status().as_u16());
            lock(&self.records).push(record);
        }
        reply
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

/// The operations that read items.
const READS: [&str; 5] = ["BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"];

/// The operations that say what capacity they consumed.
const COUNTED: [&str; 10] = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// Refuses, in AWS's words, what the caller's statements do not allow; `None` is what no statement
/// can allow.
fn authorize(caller: &Caller, needs: Option<&[Need]>) -> std::result::Result<(), String> {
    let name = &caller.function;
    let user = format!("User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name} is not authorized to perform:");
    let needs = needs.ok_or_else(|| format!("{user} PartiQL statements, which functions may not use"))?;
    if let Some(Need { action, resource }) = needs.iter().find(|need| !iam::allows(&caller.statements, need)) {
        let because = format!("because no identity-based policy allows the {action} action");
        return Err(format!("{user} {action} on resource: {resource} {because}"));
    }
    Ok(())
}

/// The access key id in `AWS4-HMAC-SHA256 Credential=AKID/20261122/…`.
fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').next()
}

/// The read and write units of a `ConsumedCapacity`, which is one table's or a list of them.
fn consumed(operation: &str, capacity: &Value) -> (f64, f64) {
    let tables = match capacity {
        Value::Array(tables) => tables.as_slice(),
        table => std::slice::from_ref(table),
    };
    let is_read = READS.contains(&operation);
    tables.iter().fold((0.0, 0.0), |(read, write), table| {
        let units = |name: &str| table[name].as_f64();
        let (reads, writes) = match (units("ReadCapacityUnits"), units("WriteCapacityUnits")) {
            (None, None) if is_read => (units("CapacityUnits"), None),
            (None, None) => (None, units("CapacityUnits")),
            split => split,
        };
        (read + reads.unwrap_or_default(), write + writes.unwrap_or_default())
    })
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
    fn capacity_is_summed_over_tables_and_kinds() {
        let one = json!({ "TableName": "t", "CapacityUnits": 1.5 });
        assert_eq!(consumed("GetItem", &one), (1.5, 0.0));
        assert_eq!(consumed("PutItem", &one), (0.0, 1.5));
        assert_eq!(consumed("BatchGetItem", &json!([one, one])), (3.0, 0.0));
        let both = json!([{ "CapacityUnits": 6.0, "ReadCapacityUnits": 2.0, "WriteCapacityUnits": 4.0 }]);
        assert_eq!(consumed("TransactWriteItems", &both), (2.0, 4.0));
        assert_eq!(consumed("DescribeTable", &Value::Null), (0.0, 0.0));
    }

    #[test]
    fn the_access_key_is_in_the_credential() {
        let mut headers = HeaderMap::new();
        assert_eq!(access_key(&headers), None);
        let value = "AWS4-HMAC-SHA256 Credential=ASIAX/20261122/us-east-1/dynamodb/aws4_request, SignedHeaders=host";
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(access_key(&headers), Some("ASIAX"));
    }
}
