//! DynamoDB: the embedded engine, the front before it, and a small client.
//!
//! Every request of a function or a person goes through the front, which enforces the template's IAM statements on
//! functions and adds to the embedded engine the transaction conflicts that it never has.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    Result,
    functions::{LogSink, lock},
    http::{self, HttpClient, HttpServer, Reply},
    iam::{self, Decision, Need},
    template::{ACCOUNT, Statement, Template},
};

const TARGET: &str = "DynamoDB_20120810.";
/// The longest request that DynamoDB takes, in bytes.
const REQUEST: usize = 16 * 1024 * 1024;
/// How often items past their time are deleted; DynamoDB itself takes up to days.
const SWEEP: Duration = Duration::from_secs(10);

/// The embedded engine, on a thread of its own. It is told to end when this is dropped.
pub struct Engine {
    url: String,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Engine {
    /// Starts it in memory, or on a file in the folder `data`, which is made if it does not exist.
    ///
    /// # Errors
    ///
    /// The folder cannot be used, or another gateway uses it.
    pub fn start(data: Option<&Path>, log: LogSink) -> Result<Self> {
        let (database, lock) = match data {
            None => (dynoxide::Database::memory(), None),
            Some(folder) => {
                let lock = lock_folder(folder)?;
                let file = folder.join("rolecall.db");
                let file = file
                    .to_str()
                    .ok_or_else(|| format!("{}: not UTF-8", file.display()))?;
                (dynoxide::Database::new(file), Some(lock))
            }
        };
        let database = database.map_err(|error| format!("cannot open the database: {error}"))?;
        let cannot = |error: io::Error| format!("cannot start the database: {error}");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot)?;
        let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            if let Err(error) = run_engine(listener, database, stopped, &log) {
                log(&format!("[dynamodb] {error}"));
            }
            drop(lock);
        };
        let thread = thread::Builder::new()
            .name("dynamodb".into())
            .spawn(run)
            .map_err(cannot)?;
        Ok(Self { url, stop, thread })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it and waits until the data folder is free.
    pub(crate) async fn shutdown(self) {
        drop(self.stop);
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
        if let Ok(Err(panic)) = ended {
            std::panic::resume_unwind(panic);
        }
    }
}

fn lock_folder(folder: &Path) -> Result<fs::File> {
    let cannot = |error: io::Error| format!("cannot use {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(cannot)?;
    let file = fs::File::create(folder.join("lock")).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            Err(format!("{} is in use by another gateway", folder.display()).into())
        }
        Err(fs::TryLockError::Error(error)) => Err(cannot(error).into()),
    }
}

/// Its handlers block on SQLite, hence a thread and a runtime apart.
fn run_engine(
    listener: std::net::TcpListener,
    database: dynoxide::Database,
    stopped: oneshot::Receiver<()>,
    log: &LogSink,
) -> std::result::Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        listener
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        let listener = TcpListener::from_std(listener).map_err(|error| error.to_string())?;
        tokio::spawn(sweep(database.clone(), Arc::clone(log)));
        let stopped = async {
            // Told to stop or dropped, it is the same.
            let _ = stopped.await;
        };
        dynoxide::server::serve_with_shutdown(listener, database, stopped).await
    })
}

async fn sweep(database: dynoxide::Database, log: LogSink) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_deleted)) => {}
            Ok(Err(error)) => log(&format!("[dynamodb] deleting expired items: {error}")),
            Err(error) => log(&format!("[dynamodb] deleting expired items: {error}")),
        }
    }
}

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
}

/// What the front needs to know.
pub struct FrontOptions {
    /// The engine that it forwards to.
    pub engine: String,
    /// Functions by access key id. A request with any other key is a person's and may do everything.
    pub callers: BTreeMap<String, Caller>,
    /// The key attributes by table name, to answer as DynamoDB does a write to an item that is in a transaction under
    /// way. Empty if the engine does so itself.
    pub conflicts: BTreeMap<String, Vec<String>>,
    /// Keep records; each request then asks for its consumed capacity.
    pub record: bool,
    pub log: LogSink,
}

/// The HTTP front of DynamoDB. It ends when dropped.
pub struct Front {
    state: Arc<State>,
    server: HttpServer,
}

struct State {
    options: FrontOptions,
    client: HttpClient,
    in_transaction: Mutex<HashSet<Item>>,
    records: Mutex<Vec<Record>>,
    fault: Mutex<Option<FaultHook>>,
}

/// A table's name and an item's key.
type Item = (String, Vec<String>);

impl Front {
    /// Starts it on a listener.
    ///
    /// # Errors
    ///
    /// The listener's address cannot be had.
    pub fn start(listener: TcpListener, options: FrontOptions) -> io::Result<Self> {
        let state = Arc::new(State {
            options,
            client: http::client(),
            in_transaction: Mutex::default(),
            records: Mutex::default(),
            fault: Mutex::default(),
        });
        let handler = Arc::clone(&state);
        let server = HttpServer::start(listener, move |request, _| {
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
        self.server.shutdown().await;
    }
}

impl State {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> io::Result<Reply> {
        let (parts, body) = request.into_parts();
        let body = match http::read(body, REQUEST).await {
            Ok(body) => body,
            Err(http::BodyError::TooLarge) => {
                let message =
                    json!({ "__type": "com.amazon.coral.service#RequestEntityTooLargeException" });
                return Ok(http::json(StatusCode::PAYLOAD_TOO_LARGE, &message));
            }
            Err(http::BodyError::Broken(error)) => return Err(io::Error::other(error)),
        };
        let target = parts
            .headers
            .get("x-amz-target")
            .and_then(|value| value.to_str().ok());
        let caller = access_key(&parts.headers).and_then(|key| self.options.callers.get(key));
        let request = FrontRequest {
            function: caller.map(|caller| caller.function.clone()),
            operation: target
                .and_then(|target| target.split('.').nth(1))
                .unwrap_or_default()
                .into(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let mut record = Record {
            function: request.function.clone(),
            operation: request.operation.clone(),
            status: None,
            read_units: 0.0,
            write_units: 0.0,
            actions: BTreeSet::new(),
        };
        let reply = self
            .answer(&parts.headers, body, caller, &request, &mut record)
            .await;
        if self.options.record {
            record.status = reply.as_ref().ok().map(|reply| reply.status().as_u16());
            lock(&self.records).push(record);
        }
        reply
    }

    async fn answer(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        caller: Option<&Caller>,
        request: &FrontRequest,
        record: &mut Record,
    ) -> io::Result<Reply> {
        let needs = iam::needs(&request.operation, &request.body);
        record
            .actions
            .extend(needs.iter().flatten().map(|need| need.action.clone()));
        if let Some(caller) = caller
            && let Err(refusal) = authorize(caller, needs.as_deref())
        {
            (self.options.log)(&format!("[dynamodb] {refusal}"));
            let kind = "com.amazon.coral.service#AccessDeniedException";
            return Ok(error(&json!({ "__type": kind, "Message": refusal })));
        }
        let hook = lock(&self.fault).clone();
        let fault = hook.map_or(Fault::None, |hook| hook(request));
        if let Fault::AnswerBefore(status, body) = &fault {
            return replaced(*status, body);
        }
        let _in_transaction = match self.enter(request) {
            Ok(entered) => entered,
            Err(conflict) => return Ok(error(&conflict)),
        };
        let body = match (self.options.record, &request.body) {
            (true, Value::Object(object)) if COUNTED.contains(&request.operation.as_str()) => {
                let mut object = object.clone();
                object
                    .entry("ReturnConsumedCapacity")
                    .or_insert_with(|| "TOTAL".into());
                Bytes::from(Value::Object(object).to_string())
            }
            _ => body,
        };
        let reply = match self.forward(headers, body).await {
            Ok(reply) => reply,
            Err(cause) => {
                (self.options.log)(&format!("[dynamodb] {}: {cause}", self.options.engine));
                let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
                let body = json!({ "__type": kind, "message": cause });
                return Ok(http::json(StatusCode::INTERNAL_SERVER_ERROR, &body));
            }
        };
        if self.options.record
            && let Ok(answer) = serde_json::from_slice::<Value>(reply.body())
        {
            (record.read_units, record.write_units) =
                consumed(&request.operation, &answer["ConsumedCapacity"]);
        }
        match fault {
            Fault::AnswerAfter(status, body) => replaced(status, &body),
            Fault::DropAfter => Err(io::ErrorKind::ConnectionAborted.into()),
            Fault::None | Fault::AnswerBefore(..) => Ok(reply.map(Full::from)),
        }
    }

    async fn forward(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> std::result::Result<hyper::Response<Bytes>, String> {
        let mut request = Request::post(self.options.engine.as_str())
            .body(Full::from(body))
            .map_err(|error| error.to_string())?;
        *request.headers_mut() = headers.clone();
        // The client sets these anew.
        for name in [HOST, CONTENT_LENGTH] {
            request.headers_mut().remove(name);
        }
        let reply = self
            .client
            .request(request)
            .await
            .map_err(|error| source(&error))?;
        let (mut parts, body) = reply.into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        let body = body.collect().await.map_err(|error| source(&error))?;
        Ok(hyper::Response::from_parts(parts, body.to_bytes()))
    }

    /// Marks the items of a `TransactWriteItems` as in a transaction until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// DynamoDB's error if the request is about an item that is in another transaction.
    fn enter(&self, request: &FrontRequest) -> std::result::Result<Entered<'_>, Value> {
        let body = &request.body;
        let mut entered = Entered {
            state: self,
            items: vec![],
        };
        match request.operation.as_str() {
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let item = self.item(body);
                if item.is_some_and(|item| lock(&self.in_transaction).contains(&item)) {
                    let kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
                    return Err(json!({ "__type": kind, "message": CONFLICT }));
                }
            }
            "TransactWriteItems" | "TransactGetItems" => {
                let items: Vec<_> = iam::parts(body).map(|(_, part)| self.item(part)).collect();
                let mut in_transaction = lock(&self.in_transaction);
                let conflicts = |item: &Option<Item>| {
                    item.as_ref()
                        .is_some_and(|item| in_transaction.contains(item))
                };
                let conflicts: Vec<_> = items.iter().map(conflicts).collect();
                if conflicts.contains(&true) {
                    return Err(cancelled(&conflicts));
                }
                if request.operation == "TransactWriteItems" {
                    entered.items = items.into_iter().flatten().collect();
                    in_transaction.extend(entered.items.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(entered)
    }

    /// The item that a request or a part of a transaction is about, if its table's keys are known.
    fn item(&self, request: &Value) -> Option<Item> {
        let table = request["TableName"].as_str()?;
        let table = table.rsplit('/').next()?;
        let key = request.get("Key").or(request.get("Item"))?;
        let attributes = self.options.conflicts.get(table)?;
        Some((
            table.into(),
            attributes
                .iter()
                .map(|name| key[name].to_string())
                .collect(),
        ))
    }
}

struct Entered<'a> {
    state: &'a State,
    items: Vec<Item>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut in_transaction = lock(&self.state.in_transaction);
        for item in &self.items {
            in_transaction.remove(item);
        }
    }
}

const CONFLICT: &str = "Transaction is ongoing for the item";

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

fn cancelled(conflicts: &[bool]) -> Value {
    let code = |conflict: &bool| {
        if *conflict {
            "TransactionConflict"
        } else {
            "None"
        }
    };
    let codes: Vec<_> = conflicts.iter().map(code).collect();
    let reason = |conflict: &bool| match conflict {
        true => json!({ "Code": "TransactionConflict", "Message": CONFLICT }),
        false => json!({ "Code": "None" }),
    };
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
        "CancellationReasons": conflicts.iter().map(reason).collect::<Vec<_>>(),
    })
}

/// Refuses, in AWS's words, what the caller's statements do not allow; `None` is what no statement can allow.
fn authorize(caller: &Caller, needs: Option<&[Need]>) -> std::result::Result<(), String> {
    let name = &caller.function;
    let user = format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{name} is not authorized to perform:"
    );
    let needs =
        needs.ok_or_else(|| format!("{user} PartiQL statements, which functions may not use"))?;
    for need in needs {
        let Need { action, resource } = need;
        let because = match iam::decide(&caller.statements, need) {
            Decision::Allow => continue,
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".into(),
            Decision::ImplicitDeny => {
                format!("because no identity-based policy allows the {action} action")
            }
        };
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
    let is_read = matches!(
        operation,
        "BatchGetItem" | "GetItem" | "Query" | "Scan" | "TransactGetItems"
    );
    tables.iter().fold((0.0, 0.0), |(read, write), table| {
        let units = |name: &str| table[name].as_f64();
        let (reads, writes) = match (units("ReadCapacityUnits"), units("WriteCapacityUnits")) {
            (None, None) if is_read => (units("CapacityUnits"), None),
            (None, None) => (None, units("CapacityUnits")),
            split => split,
        };
        (
            read + reads.unwrap_or_default(),
            write + writes.unwrap_or_default(),
        )
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
    let mut reply = http::json(status, body);
    let headers = reply.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-amz-json-1.0"),
    );
    let id = format!("{:032X}", fastrand::u128(..));
    headers.extend(HeaderValue::from_str(&id).map(|id| {
        (
            hyper::header::HeaderName::from_static("x-amzn-requestid"),
            id,
        )
    }));
    reply
}

/// The innermost cause, which says more than `client error (Connect)`.
fn source(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Why a [`Client`]'s call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    pub operation: String,
    /// `ResourceNotFoundException`; empty if there was no answer of DynamoDB's.
    pub kind: String,
    pub message: String,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.operation, self.kind, self.message)
    }
}

impl std::error::Error for CallError {}

impl From<CallError> for crate::Error {
    fn from(error: CallError) -> Self {
        error.to_string().into()
    }
}

/// Calls an endpoint of DynamoDB as a person, over plain HTTP.
#[derive(Clone)]
pub struct Client {
    endpoint: String,
    client: HttpClient,
}

impl Client {
    /// A client of an endpoint such as `http://127.0.0.1:8000`.
    pub fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.into(),
            client: http::client(),
        }
    }

    /// Calls an operation (`PutItem`) with its input, both as in DynamoDB's JSON protocol.
    ///
    /// # Errors
    ///
    /// DynamoDB's answer of another status than 200, or the lack of an answer.
    pub async fn call(
        &self,
        operation: &str,
        input: &Value,
    ) -> std::result::Result<Value, CallError> {
        let failed = |kind: &str, message: String| CallError {
            operation: operation.into(),
            kind: kind.into(),
            message,
        };
        let request = Request::post(&self.endpoint)
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amz-target", format!("{TARGET}{operation}"))
            .header("x-amz-date", "20260101T000000Z")
            // Local engines want a signature and do not check it.
            .header(
                AUTHORIZATION,
                "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
            )
            .body(Full::from(input.to_string()))
            .map_err(|error| failed("", error.to_string()))?;
        let reply = self
            .client
            .request(request)
            .await
            .map_err(|error| failed("", format!("{}: {}", self.endpoint, source(&error))))?;
        let status = reply.status();
        let body = reply
            .into_body()
            .collect()
            .await
            .map_err(|error| failed("", source(&error)))?;
        let body: Value = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| failed("", format!("{status}, {error}")))?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let kind = body["__type"].as_str().unwrap_or_default();
        let message = body["message"]
            .as_str()
            .or(body["Message"].as_str())
            .unwrap_or_default();
        Err(failed(
            kind.rsplit('#').next().unwrap_or_default(),
            message.into(),
        ))
    }
}

/// Creates the template's table if it does not exist, and returns when it can be used.
///
/// # Errors
///
/// The engine does not answer or refuses, or the table that exists has other keys or lacks an index.
pub async fn ensure_table(endpoint: &str, template: &Template) -> Result<()> {
    let client = Client::new(endpoint);
    let name = json!({ "TableName": template.table_name() });
    if let Err(error) = client.call("CreateTable", &template.table).await
        && error.kind != "ResourceInUseException"
    {
        return Err(error.into());
    }
    let table = wait_until_active(&client, &name).await?;
    let same = |wanted: &Value, actual: &Value| {
        ["KeySchema", "Projection"]
            .iter()
            .all(|part| wanted[part] == actual[part])
    };
    let indexes = template.table["GlobalSecondaryIndexes"]
        .as_array()
        .into_iter()
        .flatten();
    let has = |index: &Value| {
        let mut actual = table["GlobalSecondaryIndexes"]
            .as_array()
            .into_iter()
            .flatten();
        actual.any(|actual| actual["IndexName"] == index["IndexName"] && same(index, actual))
    };
    if table["KeySchema"] != template.table["KeySchema"] {
        return Err(format!(
            "the table `{}` exists with other keys than the template's",
            template.table_name()
        )
        .into());
    }
    if let Some(index) = indexes.into_iter().find(|index| !has(index)) {
        let (table, index) = (template.table_name(), &index["IndexName"]);
        return Err(
            format!("the table `{table}` exists without the template's index {index}").into(),
        );
    }
    if let Some(specification) = &template.time_to_live {
        let current = client.call("DescribeTimeToLive", &name).await?;
        let status = &current["TimeToLiveDescription"]["TimeToLiveStatus"];
        if specification["Enabled"] == true && status != "ENABLED" && status != "ENABLING" {
            let input = json!({ "TableName": template.table_name(), "TimeToLiveSpecification": specification });
            client.call("UpdateTimeToLive", &input).await?;
        }
    }
    Ok(())
}

async fn wait_until_active(client: &Client, name: &Value) -> Result<Value> {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..300 {
        ticks.tick().await;
        let mut description = client.call("DescribeTable", name).await?;
        if description["Table"]["TableStatus"] == "ACTIVE" {
            return Ok(description["Table"].take());
        }
    }
    Err(format!("the table {} is not active after 30 s", name["TableName"]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_summed_over_tables_and_kinds() {
        let one = json!({ "TableName": "t", "CapacityUnits": 1.5 });
        assert_eq!(consumed("GetItem", &one), (1.5, 0.0));
        assert_eq!(consumed("PutItem", &one), (0.0, 1.5));
        assert_eq!(consumed("BatchGetItem", &json!([one, one])), (3.0, 0.0));
        let both =
            json!([{ "CapacityUnits": 6.0, "ReadCapacityUnits": 2.0, "WriteCapacityUnits": 4.0 }]);
        assert_eq!(consumed("TransactWriteItems", &both), (2.0, 4.0));
        assert_eq!(consumed("DescribeTable", &Value::Null), (0.0, 0.0));
    }

    #[test]
    fn a_cancellation_reads_as_that_of_dynamodb() {
        let cancelled = cancelled(&[false, true]);
        assert_eq!(
            cancelled["Message"],
            "Transaction cancelled, please refer cancellation reasons for specific reasons [None, TransactionConflict]"
        );
        assert_eq!(
            cancelled["CancellationReasons"],
            json!([{ "Code": "None" }, { "Code": "TransactionConflict", "Message": CONFLICT }])
        );
    }

    #[test]
    fn items_in_a_transaction_conflict_until_it_ends() {
        let state = State {
            options: FrontOptions {
                engine: String::new(),
                callers: BTreeMap::new(),
                conflicts: [("t".into(), vec!["PK".into(), "SK".into()])].into(),
                record: false,
                log: Arc::new(|_| {}),
            },
            client: http::client(),
            in_transaction: Mutex::default(),
            records: Mutex::default(),
            fault: Mutex::default(),
        };
        let request = |operation: &str, body: Value| FrontRequest {
            function: None,
            operation: operation.into(),
            body,
        };
        let key = |sk: &str| json!({ "SK": { "S": sk }, "PK": { "S": "p" } });
        let transaction = request(
            "TransactWriteItems",
            json!({ "TransactItems": [
                { "Put": { "TableName": "t", "Item": { "PK": { "S": "p" }, "SK": { "S": "1" }, "x": { "N": "1" } } } },
                { "ConditionCheck": { "TableName": "t", "Key": key("2") } },
            ]}),
        );
        let overlapping = request(
            "TransactWriteItems",
            json!({ "TransactItems": [
                { "Delete": { "TableName": "t", "Key": key("3") } },
                { "Update": { "TableName": "t", "Key": key("2") } },
            ]}),
        );
        let update = |sk| request("UpdateItem", json!({ "TableName": "t", "Key": key(sk) }));
        let entered = state.enter(&transaction).ok().unwrap();
        let conflict = state.enter(&overlapping).err().unwrap();
        assert_eq!(
            conflict["CancellationReasons"],
            cancelled(&[false, true])["CancellationReasons"]
        );
        let conflict = state.enter(&update("1")).err().unwrap();
        assert!(
            conflict["__type"]
                .as_str()
                .unwrap()
                .ends_with("#TransactionConflictException")
        );
        assert!(
            state.enter(&update("3")).is_ok(),
            "the refused transaction holds nothing"
        );
        assert!(
            state
                .enter(&request(
                    "GetItem",
                    json!({ "TableName": "t", "Key": key("1") })
                ))
                .is_ok()
        );
        drop(entered);
        assert!(state.enter(&overlapping).is_ok());
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
