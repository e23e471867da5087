//! The whole program: engine, front, functions and the gateway's HTTP server.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc};

use hyper::{Request, Uri, body::Incoming};
use serde_json::Value;
use shared::table::Item;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    Error, Result,
    dynamodb::{self, Engine},
    front::{Caller, FaultHook, Front, FrontOptions, Latency, Record},
    functions::{InvokeError, Pool, PoolOptions},
    gateway::Gateway,
    http::{self, Host, HttpServer},
    limits::Limits,
    log::LogSink,
    queues::Queues,
    routes::Router,
    secrets,
    sources::{self, Sources},
    store::Store,
    template::{Function, Template},
};

/// The settings of a [`Server`].
pub struct Options {
    pub template: Template,
    /// The folder of the functions' binaries; [`crate::functions::build`] makes it.
    pub bin_dir: PathBuf,
    /// The gateway's port; 0 takes any free port.
    pub port: u16,
    /// The port of the front of DynamoDB; 0 takes any free port.
    pub dynamodb_port: u16,
    /// The folder for the embedded engine's file; `None` keeps everything in memory.
    pub data: Option<PathBuf>,
    /// The `http://` URL of an engine to use instead of the embedded one.
    pub dynamodb: Option<String>,
    /// The names under which both servers may be called, besides those of this machine.
    pub hosts: Vec<Host>,
    /// The most processes of one function.
    pub max_processes: usize,
    /// The time that requests to DynamoDB take in addition to the engine's own time.
    pub latency: Latency,
    /// Whether to keep a [`Record`] of each request to DynamoDB.
    pub record: bool,
    /// Whether the table's stream and the template's schedules invoke functions.
    pub sources: bool,
    pub log: LogSink,
}

impl Options {
    /// Takes any free ports, the embedded engine in memory and no records, and writes the log to stderr as it comes.
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
            sources: true,
            log: Arc::new(|entry| eprintln!("{entry}")),
        }
    }
}

/// A running gateway with its functions and its DynamoDB. All of it ends when this value is dropped.
pub struct Server {
    // The fields are dropped in this order: the caller before the part that it calls.
    sources: Option<Sources>,
    gateway: HttpServer,
    pool: StopOnDrop,
    front: Front,
    engine: Engine,
    table: String,
    queues: Arc<Queues>,
}

struct StopOnDrop(Arc<Pool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Allows the pages of a gateway on this machine to call it: its own API reference is such a page. Lets everybody make tenants,
/// because everybody who can call it is at its operator's machine.
pub fn for_this_machine(template: &mut Template, port: u16, hosts: &[Host]) {
    let mut own = http::LOCAL.map(|host| format!("http://{host}:{port}")).to_vec();
    // A server that answers to another name may stand behind TLS.
    let named = hosts.iter().flat_map(|host| host.at(port));
    own.extend(named.flat_map(|host| [format!("http://{host}"), format!("https://{host}")]));
    for function in &mut template.functions {
        function.environment.entry("TENANT_CREATION".to_owned()).and_modify(|it| *it = "anyone".to_owned());
        // All callers of this machine have one address.
        function.environment.entry("CALLS_PER_ADDRESS".to_owned()).and_modify(|it| *it = "100000".to_owned());
        function.environment.entry("KEY_ENVIRONMENT".to_owned()).and_modify(|it| *it = "local".to_owned());
        for local in ["LOCAL_ISSUERS", "LOCAL_WEBHOOKS"] {
            function.environment.entry(local.to_owned()).and_modify(|it| *it = "allowed".to_owned());
        }
        // A person at a laptop does not wait for hours, and the bus is in memory.
        function.environment.entry("WEBHOOK_PAUSES".to_owned()).and_modify(|it| *it = "1,2,4,8,16,32,60".to_owned());
        function.environment.entry("EVENT_BUS".to_owned()).and_modify(|it| *it = "local".to_owned());
        let buses = function.statements.iter_mut().flat_map(|statement| &mut statement.resources);
        buses.filter(|resource| resource.ends_with(":event-bus/")).for_each(|resource| resource.push_str("local"));
        // No question of a laptop leaves it, unless a resolver on it passes it on.
        if let Some(resolver) = function.environment.get_mut("LOCAL_RESOLVER").filter(|it| it.is_empty()) {
            *resolver = std::env::var("LOCAL_RESOLVER").unwrap_or_else(|_| "127.0.0.1:53".to_owned());
        }
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
    /// A port is taken, the data cannot be used, the engine does not answer, or its table is not the template's.
    pub async fn start(options: Options) -> Result<Self> {
        let Options { mut template, log, .. } = options;
        let listener = listen(options.port, "--port").await?;
        let port = listener.local_addr().map_err(|error| format!("cannot start: {error}"))?.port();
        for_this_machine(&mut template, port, &options.hosts);
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
        secrets::ensure_table(&engine).await?;
        let table = template.table_name().to_string();

        let functions: Vec<(Function, String)> =
            template.functions.iter().map(|function| (function.clone(), access_key())).collect();
        let caller = |(function, key): &(Function, String)| {
            let caller = Caller { function: function.name.clone(), statements: function.statements.clone() };
            (key.clone(), caller)
        };
        let cannot = |error: io::Error| Error::from(format!("cannot start: {error}"));
        // Each reader of the stream hears of each write, also of one that came while it was busy.
        let written = watch::Sender::new(());
        let queues = Arc::new(Queues::default());
        let front = FrontOptions {
            engine: engine.clone(),
            callers: functions.iter().map(caller).collect(),
            keys: match engine {
                Engine::Embedded(_) => [keys(&template)].into(),
                Engine::Remote { .. } => BTreeMap::new(),
            },
            latency: options.latency,
            written: written.clone(),
            telling: sources::telling(&template),
            limits: Limits::new(&template),
            queues: Arc::clone(&queues),
            record: options.record,
            hosts: options.hosts.clone(),
            log: Arc::clone(&log),
        };
        let front = Front::start(front_listener, front).map_err(cannot)?;
        let pool = PoolOptions {
            bin_dir: options.bin_dir,
            dynamodb_url: format!("http://{}", front.address()),
            max_processes: options.max_processes,
            log: Arc::clone(&log),
        };
        let pool = Pool::new(functions, pool);
        let sources = options.sources.then(|| Sources::start(&engine, &template, &pool, &written, &queues, &log));
        let gateway = Arc::new(Gateway {
            router: Router::new(&template),
            cors: template.cors.clone(),
            port,
            pool: Arc::clone(&pool),
            store: Store::new(&format!("http://{}", front.address()), &table)?,
            log,
        });
        let misdirected = {
            let gateway = Arc::clone(&gateway);
            move |request: &Request<Incoming>, why: &str| gateway.misdirected(request, why)
        };
        let gateway = HttpServer::start(listener, &options.hosts, misdirected, move |request, client| {
            let gateway = Arc::clone(&gateway);
            async move { Ok(gateway.handle(request, client).await) }
        });
        Ok(Self { sources, gateway: gateway.map_err(cannot)?, pool: StopOnDrop(pool), front, engine, table, queues })
    }

    /// Returns the URL of the gateway: `http://127.0.0.1:3000`.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// Returns the URL of the front of DynamoDB: `http://127.0.0.1:8000`.
    pub fn dynamodb_url(&self) -> String {
        format!("http://{}", self.front.address())
    }

    /// Puts many items into the table in little time, past DynamoDB's protocol.
    ///
    /// # Errors
    ///
    /// The engine is not the embedded one, or it refuses.
    pub fn import(&self, items: Vec<Item>) -> Result<()> {
        self.engine.import(&self.table, items)
    }

    /// Gives a function an event, without the gateway, and returns its answer.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]
    pub async fn invoke(&self, function: &str, event: &Value) -> std::result::Result<Value, InvokeError> {
        self.pool.0.invoke(function, event).await
    }

    /// Gives a variable another value than the template does. Only processes that start later get it, and only if the template
    /// gives the variable to their function.
    pub fn set_variable(&self, name: &str, value: &str) {
        self.pool.0.set_variable(name, value);
    }

    /// Returns the ids of the live processes of a function.
    pub fn pids(&self, function: &str) -> Vec<u32> {
        self.pool.0.pids(function)
    }

    /// Returns the records of the requests to DynamoDB since the last call, the oldest first.
    pub fn take_records(&self) -> Vec<Record> {
        self.front.take_records()
    }

    /// Lets `hook` decide about every further request to DynamoDB.
    pub fn set_fault(&self, hook: Option<FaultHook>) {
        self.front.set_fault(hook);
    }

    /// Returns the queues and the event bus.
    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    /// Ends everything and waits for it: calls under way get their answers, no process is left, and the data is on disk.
    pub async fn shutdown(self) {
        drop(self.sources);
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

/// Checks the URL of another DynamoDB, and returns it.
///
/// # Errors
///
/// The URL is not `http://HOST` or `http://HOST:PORT`.
pub fn check_url(url: &str) -> Result<String> {
    let parsed: Option<Uri> = url.parse().ok();
    let is_plain = |url: &Uri| {
        // Otherwise a port that is not a number would count as 80.
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

/// Makes an access key id. It stands for one function in one run.
fn access_key() -> String {
    let random = std::iter::repeat_with(fastrand::alphanumeric).take(16);
    format!("ASIA{}", random.collect::<String>().to_ascii_uppercase())
}

/// Returns the table's name, and the names of its key attributes.
fn keys(template: &Template) -> (String, Vec<String>) {
    let schema = template.table["KeySchema"].as_array().into_iter().flatten();
    let names = schema.filter_map(|key| key["AttributeName"].as_str().map(String::from));
    (template.table_name().into(), names.collect())
}
