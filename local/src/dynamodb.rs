//! The embedded DynamoDB, a small client of any, and the template's table in it.

use std::{collections::HashMap, fmt, io, net::Ipv4Addr, path::Path, sync::Arc, thread, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value, json};
use shared::table::Item;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    Result, data,
    functions::LogSink,
    http::{self, HttpClient, innermost},
    template::Template,
};

const TARGET: &str = "DynamoDB_20120810.";
/// How often items past their time are deleted; DynamoDB itself takes up to days.
const SWEEP: Duration = Duration::from_secs(10);

/// The embedded engine, on a thread of its own. It is told to end when this is dropped.
pub struct Engine {
    url: String,
    database: dynoxide::Database,
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
            None => {
                let database = dynoxide::Database::memory();
                (database.map_err(|error| format!("cannot make a database in memory: {error}"))?, None)
            }
            Some(folder) => {
                let (file, lock) = data::open(folder)?;
                let database = dynoxide::Database::new(&file);
                (database.map_err(|error| format!("--data: cannot open {file}: {error}"))?, Some(lock))
            }
        };
        let cannot = |error: io::Error| format!("cannot start the database: {error}");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot)?;
        let url = format!("http://{}", listener.local_addr().map_err(cannot)?);
        let (stop, stopped) = oneshot::channel();
        let serving = database.clone();
        let run = move || {
            if let Err(error) = run_engine(listener, serving, stopped, &log) {
                log(&format!("[dynamodb] {error}"));
            }
            drop(lock);
        };
        let thread = thread::Builder::new().name("dynamodb".into()).spawn(run).map_err(cannot)?;
        Ok(Self { url, database, stop, thread })
    }

    /// Puts items into a table by the hundred thousand, past DynamoDB's protocol and without a trace in its stream.
    ///
    /// # Errors
    ///
    /// There is no such table, or an item lacks its key.
    pub fn import(&self, table: &str, items: Vec<Item>) -> Result<()> {
        let items = items.into_iter().map(native).collect::<Result<_>>()?;
        let imported = self.database.import_items(table, items, dynoxide::ImportOptions::default());
        imported.map(drop).map_err(|error| format!("cannot import into `{table}`: {error}").into())
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it and waits until the data folder is free.
    pub(crate) async fn shutdown(self) {
        drop((self.stop, self.database));
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await;
        if let Ok(Err(panic)) = ended {
            std::panic::resume_unwind(panic);
        }
    }
}

/// An item of the SDK as one of the engine's.
fn native(item: Item) -> Result<HashMap<String, dynoxide::types::AttributeValue>> {
    item.into_iter().map(|(name, value)| Ok((name, native_value(value)?))).collect()
}

fn native_value(value: AttributeValue) -> Result<dynoxide::types::AttributeValue> {
    use dynoxide::types::AttributeValue as Native;
    Ok(match value {
        AttributeValue::S(text) => Native::S(text),
        AttributeValue::N(number) => Native::N(number),
        AttributeValue::Bool(flag) => Native::BOOL(flag),
        AttributeValue::Null(_) => Native::NULL(true),
        AttributeValue::L(values) => Native::L(values.into_iter().map(native_value).collect::<Result<_>>()?),
        AttributeValue::M(values) => Native::M(native(values)?),
        other => return Err(format!("no item of ours has a value like {other:?}").into()),
    })
}

/// Its handlers block on SQLite, hence a thread and a runtime apart.
fn run_engine(
    listener: std::net::TcpListener,
    database: dynoxide::Database,
    stopped: oneshot::Receiver<()>,
    log: &LogSink,
) -> std::result::Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
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
        match self.kind.as_str() {
            "" => write!(f, "{}: {}", self.operation, self.message),
            kind => write!(f, "{}: {kind} {}", self.operation, self.message),
        }
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
        Self { endpoint: endpoint.into(), client: http::client() }
    }

    /// Calls an operation (`PutItem`) with its input, both as in DynamoDB's JSON protocol.
    ///
    /// # Errors
    ///
    /// DynamoDB's answer of another status than 200, or the lack of an answer.
    pub async fn call(&self, operation: &str, input: &Value) -> std::result::Result<Value, CallError> {
        let failed =
            |kind: &str, message: String| CallError { operation: operation.into(), kind: kind.into(), message };
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
            .map_err(|error| failed("", format!("{}: {}", self.endpoint, innermost(&error))))?;
        let status = reply.status();
        let body = reply.into_body().collect().await.map_err(|error| failed("", innermost(&error)))?;
        let body: Value =
            serde_json::from_slice(&body.to_bytes()).map_err(|error| failed("", format!("{status}, {error}")))?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let kind = body["__type"].as_str().unwrap_or_default();
        let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
        Err(failed(kind.rsplit('#').next().unwrap_or_default(), message.into()))
    }
}

/// How long a DynamoDB may take to say that it is one.
const REACH: Duration = Duration::from_secs(5);

/// Whether a DynamoDB answers at a URL, so that nothing waits for one that never will.
///
/// # Errors
///
/// Nothing answers in time, or something else does.
pub async fn reach(url: &str) -> Result<()> {
    let call = Client::new(url);
    match tokio::time::timeout(REACH, call.call("ListTables", &json!({}))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("--dynamodb: no DynamoDB at {url}: {error}").into()),
        Err(_) => Err(format!("--dynamodb: no answer from {url} within {} s", REACH.as_secs()).into()),
    }
}

/// Creates the template's table if it does not exist, and returns when it can be used.
///
/// # Errors
///
/// The engine does not answer or refuses, or the table that exists has other keys or lacks an
/// index.
pub async fn ensure_table(endpoint: &str, template: &Template) -> Result<()> {
    let client = Client::new(endpoint);
    let name = json!({ "TableName": template.table_name() });
    if let Err(error) = client.call("CreateTable", &template.table).await
        && error.kind != "ResourceInUseException"
    {
        return Err(error.into());
    }
    let table = wait_until_active(&client, &name).await?;
    let same =
        |wanted: &Value, actual: &Value| ["KeySchema", "Projection"].iter().all(|part| wanted[part] == actual[part]);
    let indexes = template.table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
    let has = |index: &Value| {
        let mut actual = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        actual.any(|actual| actual["IndexName"] == index["IndexName"] && same(index, actual))
    };
    if table["KeySchema"] != template.table["KeySchema"] {
        return Err(format!("the table `{}` exists with other keys than the template's", template.table_name()).into());
    }
    if let Some(index) = indexes.into_iter().find(|index| !has(index)) {
        let (table, index) = (template.table_name(), &index["IndexName"]);
        return Err(format!("the table `{table}` exists without the template's index {index}").into());
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
