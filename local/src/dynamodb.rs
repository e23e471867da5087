//! The embedded DynamoDB, a small client of any DynamoDB, and the template's table in it.

use std::{
    collections::HashMap,
    fmt, fs,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use aws_sdk_dynamodb::types::AttributeValue;

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode, Uri,
    body::Bytes,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING},
};
use serde_json::{Value, json};
use shared::table::Item;
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{
    Result, data,
    http::{self, HttpClient, innermost},
    log::{Entry, LogSink},
    operations,
    template::Template,
};

const TARGET: &str = "DynamoDB_20120810.";
/// The least time between two deletions of expired items. DynamoDB itself takes up to days.
const SWEEP: Duration = Duration::from_secs(10);

/// A deletion reads the whole table, and nothing else happens meanwhile. It gets at most one part in so many of the time.
const SWEEP_PART: u32 = 100;

/// The longest time that another engine may take for an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// An engine that carries out DynamoDB's operations.
#[derive(Clone)]
pub enum Engine {
    /// The engine in this process. Nothing outside the process reaches it.
    Embedded(Arc<Embedded>),
    /// Another engine, over plain HTTP.
    Remote { url: String, client: HttpClient },
}

/// The embedded engine. It ends when its last user drops it. The order of the fields matters: first the database is closed,
/// then the folder is free, then [`Engine::shutdown`] returns.
pub struct Embedded {
    database: dynoxide::Database,
    _lock: Option<fs::File>,
    closed: watch::Sender<()>,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(_) => f.write_str("the embedded engine"),
            Self::Remote { url, .. } => f.write_str(url),
        }
    }
}

impl Engine {
    /// Opens the embedded engine in memory, or on a file in the folder `data`. It makes the folder if there is none.
    ///
    /// # Errors
    ///
    /// The folder cannot be used, or another gateway uses it.
    pub fn embedded(data: Option<&Path>, log: LogSink) -> Result<Self> {
        let (path, lock) = match data {
            // A database in memory that has a name, because we open it, too.
            None => (format!("file:rolecall-{}?mode=memory&cache=shared", uuid::Uuid::new_v4()), None),
            Some(folder) => data::open(folder).map(|(path, lock)| (path, Some(lock)))?,
        };
        let cannot = |error: &dyn fmt::Display| format!("cannot open the database {path}: {error}");
        let database = dynoxide::Database::new(&path).map_err(|error| cannot(&error))?;
        data::tend_stream(&path).map_err(|error| cannot(&error))?;
        let embedded = Arc::new(Embedded { database, _lock: lock, closed: watch::Sender::new(()) });
        tokio::spawn(sweep(Arc::downgrade(&embedded), log));
        Ok(Self::Embedded(embedded))
    }

    /// Returns the engine at a URL such as `http://127.0.0.1:8000`.
    pub fn remote(url: &str) -> Self {
        Self::Remote { url: url.trim_end_matches('/').into(), client: http::client() }
    }

    /// Sends the engine a request of DynamoDB's protocol, and returns its answer.
    ///
    /// # Errors
    ///
    /// The engine has not answered.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, String> {
        match self {
            Self::Embedded(embedded) => {
                let embedded = Arc::clone(embedded);
                let answer = spawn_blocking(move || operations::answer(&embedded.database, &request));
                answer.await.map_err(|error| format!("{self}: {error}"))
            }
            Self::Remote { url, client } => match timeout(ANSWER, call(url, client, request)).await {
                Ok(answer) => answer.map_err(|error| format!("{url}: {error}")),
                Err(_) => Err(format!("{url}: no answer within {} s", ANSWER.as_secs())),
            },
        }
    }

    /// Puts hundreds of thousands of items into a table, past DynamoDB's protocol. The table's stream does not show them.
    ///
    /// # Errors
    ///
    /// The engine is not the embedded one, there is no such table, or an item lacks its key.
    pub fn import(&self, table: &str, items: Vec<Item>) -> Result<()> {
        let Self::Embedded(embedded) = self else {
            return Err("only the embedded engine imports".to_owned().into());
        };
        let items = items.into_iter().map(native).collect::<Result<_>>()?;
        let database = &embedded.database;
        // From now on the engine waits for no disk, and has a larger cache.
        let ready = database.enable_bulk_loading();
        let imported = ready.and_then(|()| database.import_items(table, items, dynoxide::ImportOptions::default()));
        imported.map(drop).map_err(|error| format!("cannot import into `{table}`: {error}").into())
    }

    /// Drops the engine, and waits until the data folder is free.
    pub(crate) async fn shutdown(self) {
        if let Self::Embedded(embedded) = self {
            let mut closed = embedded.closed.subscribe();
            drop(embedded);
            // Nobody ever sends a value: this waits until the sender is dropped.
            let _ = closed.changed().await;
        }
    }
}

/// Passes a request on to another engine.
async fn call(url: &str, client: &HttpClient, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, String> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("{url}{path}").parse().map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
    // These headers belong to the caller's connection.
    for name in [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let answer =
        client.request(Request::from_parts(parts, Full::new(body))).await.map_err(|error| innermost(&error))?;
    let (mut parts, body) = answer.into_parts();
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    http::unshare(&mut parts.headers);
    let body = body.collect().await.map_err(|error| innermost(&error))?;
    Ok(Response::from_parts(parts, body.to_bytes()))
}

/// Turns an item of the SDK into an item of the engine.
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

async fn sweep(embedded: Weak<Embedded>, log: LogSink) {
    loop {
        let started = Instant::now();
        let Some(embedded) = embedded.upgrade() else { return };
        let failed = |why: String| log(Entry::said("dynamodb", format!("deleting expired items: {why}")));
        match spawn_blocking(move || embedded.database.sweep_ttl()).await {
            Ok(Ok(_deleted)) => {}
            Ok(Err(error)) => failed(error.to_string()),
            Err(error) => failed(error.to_string()),
        }
        sleep(SWEEP.max(started.elapsed() * SWEEP_PART)).await;
    }
}

/// The reason why a call of a [`Client`] has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    pub operation: String,
    /// For example `ResourceNotFoundException`. It is empty if no answer came from a DynamoDB.
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

/// A client that calls DynamoDB as a person does. It sends the requests that the SDK cannot send: the template's table as it
/// stands, the stream, nonsense. It also reaches an engine that listens on no port. Everything else goes through
/// [`crate::store::Store`].
#[derive(Clone)]
pub struct Client(Engine);

impl Client {
    /// Makes a client of an engine, past the front.
    pub(crate) fn of(engine: &Engine) -> Self {
        Self(engine.clone())
    }

    /// Makes a client of an endpoint such as `http://127.0.0.1:8000`.
    pub fn new(endpoint: &str) -> Self {
        Self(Engine::remote(endpoint))
    }

    /// Calls an operation (`PutItem`, `DynamoDBStreams_20120810.GetRecords`). Its name and its input are those of DynamoDB's
    /// JSON protocol.
    ///
    /// # Errors
    ///
    /// DynamoDB answers with a status other than 200, or does not answer.
    pub async fn call(&self, operation: &str, input: &Value) -> std::result::Result<Value, CallError> {
        let failed =
            |kind: &str, message: String| CallError { operation: operation.into(), kind: kind.into(), message };
        let service = if operation.contains('.') { "" } else { TARGET };
        let request = Request::post(Uri::from_static("/"))
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amz-target", format!("{service}{operation}"))
            .header("x-amz-date", "20260101T000000Z")
            // Local engines require a signature but do not check it.
            .header(
                AUTHORIZATION,
                "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
            )
            .body(Bytes::from(input.to_string()))
            .map_err(|error| failed("", error.to_string()))?;
        let reply = self.0.send(request).await.map_err(|error| failed("", error))?;
        let status = reply.status();
        let body: Value =
            serde_json::from_slice(reply.body()).map_err(|error| failed("", format!("{status}, {error}")))?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let kind = body["__type"].as_str().unwrap_or_default();
        let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
        Err(failed(kind.rsplit('#').next().unwrap_or_default(), message.into()))
    }
}

/// The longest time that a DynamoDB may take to say that it is one.
const REACH: Duration = Duration::from_secs(5);

/// Checks that a DynamoDB answers at a URL, so that nothing waits for one that never answers.
///
/// # Errors
///
/// Nothing answers in time, or the answer is not a DynamoDB's.
pub async fn reach(url: &str) -> Result<()> {
    let call = Client::new(url);
    match tokio::time::timeout(REACH, call.call("ListTables", &json!({}))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("--dynamodb: no DynamoDB at {url}: {error}").into()),
        Err(_) => Err(format!("--dynamodb: no answer from {url} within {} s", REACH.as_secs()).into()),
    }
}

/// Creates the template's table if it does not exist, and returns when the table can be used.
///
/// # Errors
///
/// The engine does not answer or refuses, or the existing table has other keys or lacks an index.
pub async fn ensure_table(engine: &Engine, template: &Template) -> Result<()> {
    let client = Client(engine.clone());
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn another_engine_lets_no_page_read_what_it_answers() {
        let listener = http::listen(0).await.unwrap();
        let engine = Engine::remote(&format!("http://{}/", listener.local_addr().unwrap()));
        let answer = tokio::spawn(async move { engine.send(Request::post("/").body(Bytes::new()).unwrap()).await });
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        let said = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-max-age: 9\r\nx-amz-crc32: 1\r\n\
                    content-length: 2\r\n\r\n{}";
        stream.write_all(said.as_bytes()).await.unwrap();
        let answer = answer.await.unwrap().unwrap();
        let names: Vec<&str> = answer.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!((names.as_slice(), answer.body().as_ref()), (&["x-amz-crc32"][..], &b"{}"[..]));
    }
}
