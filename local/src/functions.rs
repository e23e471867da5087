//! The functions: their binaries, run as processes that speak the Lambda Runtime API.
//!
//! Each process has a Runtime API of its own on a loopback port, under a path that only it is told, and takes one request at a
//! time; when all of a function's processes are busy, another is started.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::HeaderValue};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    Error, Result,
    http::{self, HttpServer, Reply},
    log::{Entry, LogSink},
    template::{Function, REGION, function_arn},
};

/// How long a process may take until it first asks for work.
const INIT: Duration = Duration::from_secs(10);
/// What an answer may be long, 6 MB and a little, in bytes.
const ANSWER: usize = 6 * 1024 * 1024 + 100;

/// Why an invocation has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// No function has this name.
    Unknown,
    /// As many processes as allowed are busy, or the pool is shut down.
    Throttled,
    /// The process could not be started, or failed before it asked for work.
    Init(String),
    /// The function's timeout passed; its process was killed.
    TimedOut(Duration),
    /// The process ended during the invocation.
    Exited,
    /// The function answered with an error: `errorType` and `errorMessage` in JSON.
    Failed(String),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such function"),
            Self::Throttled => f.write_str("rate exceeded: all its processes are busy"),
            Self::Init(cause) => write!(f, "could not start: {cause}"),
            Self::TimedOut(timeout) => write!(f, "task timed out after {:.2} seconds", timeout.as_secs_f64()),
            Self::Exited => f.write_str("the process ended without an answer"),
            Self::Failed(error) => write!(f, "function error: {error}"),
        }
    }
}

/// What the pool needs to run functions.
pub struct PoolOptions {
    /// The folder of the binaries, each named as its function.
    pub bin_dir: PathBuf,
    /// What functions call for DynamoDB.
    pub dynamodb_url: String,
    /// The most processes of one function; requests beyond them are turned away.
    pub max_processes: usize,
    pub log: LogSink,
}

/// The processes of all functions.
pub struct Pool {
    pooled: BTreeMap<String, Pooled>,
    /// What was set by [`Pool::set_variable`].
    variables: Mutex<BTreeMap<String, String>>,
    options: PoolOptions,
    processes: Processes,
}

/// A function and its processes.
struct Pooled {
    function: Function,
    access_key: String,
    idle: Mutex<Vec<Process>>,
    permits: Semaphore,
}

/// Processes that speak the Runtime API. They end with this, and with this process, even if it is killed.
pub struct Processes {
    log: LogSink,
    /// The live ones, each with its function's name.
    names: Arc<Mutex<BTreeMap<u32, String>>>,
    stop: watch::Sender<bool>,
    monitors: Mutex<JoinSet<()>>,
    /// The leader of their process group.
    watchdog: Mutex<Option<Child>>,
}

/// A running process; dropping it kills it.
pub struct Process {
    pub pid: u32,
    arn: String,
    /// What it sends to its Runtime API between invocations; closed when it has ended.
    polls: mpsc::UnboundedReceiver<Poll>,
    /// Takes the invocation that it asks for.
    next: Option<oneshot::Sender<Invocation>>,
    kill: oneshot::Sender<()>,
}

enum Poll {
    Next(oneshot::Sender<Invocation>),
    InitError(Bytes),
}

struct Invocation {
    id: String,
    deadline: SystemTime,
    trace_id: Option<String>,
    arn: String,
    event: Bytes,
    answer: oneshot::Sender<Answer>,
}

type Answer = std::result::Result<Bytes, Bytes>;

impl Pool {
    /// A pool without any process yet. Each function comes with the access key id that its DynamoDB
    /// requests will carry.
    pub fn new(functions: impl IntoIterator<Item = (Function, String)>, options: PoolOptions) -> Arc<Self> {
        let pooled = |(function, access_key): (Function, String)| {
            let permits = Semaphore::new(options.max_processes);
            (function.name.clone(), Pooled { access_key, idle: Mutex::default(), permits, function })
        };
        Arc::new(Self {
            pooled: functions.into_iter().map(pooled).collect(),
            variables: Mutex::default(),
            processes: Processes::new(Arc::clone(&options.log)),
            options,
        })
    }

    /// The live processes of a function.
    pub fn pids(&self, function: &str) -> Vec<u32> {
        lock(&self.processes.names).iter().filter(|(_, name)| *name == function).map(|(pid, _)| *pid).collect()
    }

    /// Gives a variable another value than the template does, in the processes that start from now on of those functions
    /// that the template gives it to.
    pub fn set_variable(&self, name: &str, value: &str) {
        lock(&self.variables).insert(name.into(), value.into());
    }

    /// Has a function take an event, and returns its answer, which is JSON.
    ///
    /// The invocation goes on to its end even if the caller does not wait for it.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]; a line of log says the same.
    pub async fn invoke(self: &Arc<Self>, function: &str, event: &Value) -> std::result::Result<Value, InvokeError> {
        let (pool, name) = (Arc::clone(self), function.to_string());
        let trace_id = event["headers"]["x-amzn-trace-id"].as_str().map(String::from);
        let request = event["requestContext"]["requestId"].as_str().map(String::from);
        let event = Bytes::from(event.to_string());
        let invocation = tokio::spawn(async move {
            let pooled = pool.pooled.get(&name).ok_or(InvokeError::Unknown)?;
            let result = pool.run(pooled, event, trace_id).await;
            if let Err(error) = &result {
                (pool.options.log)(Entry::Said { of: name, text: error.to_string(), request });
            }
            result
        });
        match invocation.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(InvokeError::Throttled),
            },
        }
    }

    async fn run(
        &self,
        pooled: &Pooled,
        event: Bytes,
        trace_id: Option<String>,
    ) -> std::result::Result<Value, InvokeError> {
        let _permit = pooled.permits.try_acquire().map_err(|_| InvokeError::Throttled)?;
        let mut process = loop {
            let idle = lock(&pooled.idle).pop();
            let Some(mut process) = idle else {
                break self.start(pooled).await?;
            };
            // One that has ended since its last answer is passed over.
            if process.ready().await.is_ok() {
                break process;
            }
        };
        let answer = process.invoke(event, trace_id, pooled.function.timeout).await?;
        let answer = serde_json::from_slice(&answer)
            .map_err(|error| InvokeError::Failed(format!("the answer is not JSON: {error}")))?;
        lock(&pooled.idle).push(process);
        Ok(answer)
    }

    /// Starts a process and waits until it asks for work.
    async fn start(&self, pooled: &Pooled) -> std::result::Result<Process, InvokeError> {
        let PoolOptions { bin_dir, dynamodb_url, .. } = &self.options;
        let Pooled { function, access_key, .. } = pooled;
        let mut command = command(&bin_dir.join(&function.name), function, access_key, bin_dir, dynamodb_url);
        command.envs(lock(&self.variables).iter().filter(|(name, _)| function.environment.contains_key(*name)));
        let mut process = self.processes.start(&function.name, command).await?;
        process.ready().await?;
        Ok(process)
    }

    /// Takes no more invocations, and returns when those under way have their answers.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(self.options.max_processes).unwrap_or(u32::MAX);
        for pooled in self.pooled.values() {
            // None are to be had only if the pool is shut down already.
            if let Ok(permits) = pooled.permits.acquire_many(all).await {
                permits.forget();
            }
        }
    }

    /// Takes no more invocations, kills every process and waits until they have ended.
    pub async fn shutdown(&self) {
        self.close();
        self.processes.shutdown().await;
    }

    /// [`Pool::shutdown`] without waiting.
    pub(crate) fn stop(&self) {
        self.close();
        self.processes.stop.send_replace(true);
    }

    fn close(&self) {
        for pooled in self.pooled.values() {
            pooled.permits.close();
        }
    }
}

impl Processes {
    /// No process yet; `log` takes what they will say.
    pub fn new(log: LogSink) -> Self {
        let (stop, names) = (watch::Sender::new(false), Arc::default());
        Self { log, names, stop, monitors: Mutex::default(), watchdog: Mutex::default() }
    }

    /// Starts a process of the function `name` with a Runtime API of its own; [`command`] makes what it needs.
    ///
    /// # Errors
    ///
    /// [`InvokeError::Init`]: it cannot be started.
    pub async fn start(&self, name: &str, command: Command) -> std::result::Result<Process, InvokeError> {
        self.spawn(name, command).await.map_err(|error| InvokeError::Init(error.to_string()))
    }

    async fn spawn(&self, name: &str, mut command: Command) -> io::Result<Process> {
        let (poll, polls) = mpsc::unbounded_channel();
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let path = format!("/{:032x}", u128::from_ne_bytes(secret));
        let runtime = Arc::new(Runtime { path: path.clone(), poll, current: Mutex::default() });
        let (of, log) = (name.to_owned(), Arc::clone(&self.log));
        let misdirected = move |_: &_, why: &str| log(Entry::said(&of, format!("its Runtime API was called: {why}")));
        let api = HttpServer::start(http::listen(0).await?, &[], misdirected, move |request, _| {
            let runtime = Arc::clone(&runtime);
            async move { Ok(runtime.handle(request).await) }
        })?;
        let program = PathBuf::from(command.as_std().get_program());
        let mut child = command
            .env("AWS_LAMBDA_RUNTIME_API", api.url() + &path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A terminal sends Ctrl-C to the gateway's own group only; the gateway then ends the functions.
            .process_group(self.group()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        let pid = child.id().ok_or_else(|| io::Error::other("it has no process id"))?;
        lock(&self.names).insert(pid, name.into());

        let (kill, killed) = oneshot::channel();
        let (names, log, name) = (Arc::clone(&self.names), Arc::clone(&self.log), name.to_string());
        let arn = function_arn(&name);
        let output = (child.stdout.take(), child.stderr.take());
        let mut stop = self.stop.subscribe();
        let mut monitors = lock(&self.monitors);
        while monitors.try_join_next().is_some() {}
        monitors.spawn(async move {
            let mut lines = JoinSet::new();
            lines.spawn(forward(output.0, name.clone(), Arc::clone(&log)));
            lines.spawn(forward(output.1, name.clone(), Arc::clone(&log)));
            let ended = tokio::select! {
                status = child.wait() => Some(status),
                _ = killed => None,
                _ = stop.wait_for(|stop| *stop) => None,
            };
            let ended = match ended {
                Some(status) => Some(status),
                None => child.kill().await.err().map(Err),
            };
            lock(&names).remove(&pid);
            // Whoever waits for the process learns of its end by this.
            drop(api);
            while lines.join_next().await.is_some() {}
            match ended {
                Some(Ok(status)) => log(Entry::said(&name, format!("runtime exited: {status}"))),
                Some(Err(error)) => log(Entry::said(&name, format!("cannot end the process: {error}"))),
                None => {}
            }
        });
        Ok(Process { pid, arn, polls, next: None, kill })
    }

    /// The process group for a new process. Its leader, the watchdog, sees by the end of its input that this process was killed,
    /// and kills the group.
    fn group(&self) -> io::Result<i32> {
        let mut watchdog = lock(&self.watchdog);
        let watches = match &mut *watchdog {
            Some(watchdog) => watchdog.try_wait()?.is_none(),
            None => false,
        };
        if !watches {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", "read -r _; kill -s KILL 0"]).process_group(0);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            *watchdog = Some(command.spawn()?);
        }
        let pid = watchdog.as_ref().and_then(Child::id).and_then(|pid| i32::try_from(pid).ok());
        pid.ok_or_else(|| io::Error::other("the watchdog has no process id"))
    }

    /// Kills every process and waits until they have ended.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        let monitors = std::mem::take(&mut *lock(&self.monitors));
        monitors.join_all().await;
        let watchdog = lock(&self.watchdog).take();
        if let Some(mut watchdog) = watchdog
            && let Err(error) = watchdog.wait().await
        {
            (self.log)(Entry::said("functions", format!("cannot end their watchdog: {error}")));
        }
    }
}

impl Process {
    /// Waits until it asks for work.
    ///
    /// # Errors
    ///
    /// [`InvokeError::Init`]: it has ended, or said that it cannot start, or takes too long.
    pub async fn ready(&mut self) -> std::result::Result<(), InvokeError> {
        if self.next.is_none() {
            self.next = match timeout(INIT, self.polls.recv()).await {
                Ok(Some(Poll::Next(next))) => Some(next),
                Ok(Some(Poll::InitError(error))) => {
                    return Err(InvokeError::Init(String::from_utf8_lossy(&error).into_owned()));
                }
                Ok(None) => return Err(InvokeError::Init("the process ended before it asked for work".into())),
                Err(_) => return Err(InvokeError::Init(format!("it asked for no work within {} s", INIT.as_secs()))),
            };
        }
        match &self.next {
            Some(next) if !next.is_closed() => Ok(()),
            _ => Err(InvokeError::Init("the process ended while it waited for work".into())),
        }
    }

    /// Has it take an event, as soon as it asks for work, and returns its answer, which may be long in coming for `limit`.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]; the process may be in the midst of it and is of no more use.
    pub async fn invoke(
        &mut self,
        event: Bytes,
        trace_id: Option<String>,
        limit: Duration,
    ) -> std::result::Result<Bytes, InvokeError> {
        self.ready().await?;
        let next = self.next.take().ok_or(InvokeError::Exited)?;
        let (answer, answered) = oneshot::channel();
        let invocation = Invocation {
            id: random_uuid(),
            deadline: SystemTime::now() + limit,
            trace_id,
            arn: self.arn.clone(),
            event,
            answer,
        };
        next.send(invocation).map_err(|_| InvokeError::Exited)?;
        let answer = timeout(limit, answered).await.map_err(|_| InvokeError::TimedOut(limit))?;
        let answer = answer.map_err(|_| InvokeError::Exited)?;
        answer.map_err(|error| InvokeError::Failed(String::from_utf8_lossy(&error).into_owned()))
    }

    /// Kills it and waits until it has ended.
    pub async fn end(mut self) {
        drop(self.kill);
        while self.polls.recv().await.is_some() {}
    }
}

/// How a function's process is started: what Lambda sets in its environment, then what the template says, then where
/// DynamoDB is, and nothing else.
pub fn command(program: &Path, function: &Function, access_key: &str, task_root: &Path, dynamodb_url: &str) -> Command {
    let Function { name, memory, .. } = function;
    let log_stream = format!("local/[$LATEST]{:032x}", fastrand::u128(..));
    let lambda = [
        ("AWS_ACCESS_KEY_ID", access_key.into()),
        ("AWS_DEFAULT_REGION", REGION.into()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".into()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".into()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", log_stream),
        ("AWS_REGION", REGION.into()),
        ("AWS_SECRET_ACCESS_KEY", "local".into()),
        ("AWS_SESSION_TOKEN", "local".into()),
        ("LAMBDA_TASK_ROOT", task_root.display().to_string()),
        ("LANG", "en_US.UTF-8".into()),
        ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".into()),
        ("TZ", ":UTC".into()),
        ("_HANDLER", "bootstrap".into()),
    ];
    let mut command = Command::new(program);
    command.env_clear().envs(lambda).envs(&function.environment);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url).current_dir(task_root);
    command
}

async fn forward(output: Option<impl AsyncRead + Unpin>, name: String, log: LogSink) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).split(b'\n');
    loop {
        match lines.next_segment().await {
            Ok(Some(line)) => {
                let line = String::from_utf8_lossy(&line).into_owned();
                log(Entry::Written { function: name.clone(), line });
            }
            Ok(None) => return,
            Err(error) => return log(Entry::said(&name, format!("cannot read its output: {error}"))),
        }
    }
}

/// The Runtime API of one process.
struct Runtime {
    /// What all its paths begin with: a secret of the process, so that no other process takes its events.
    path: String,
    poll: mpsc::UnboundedSender<Poll>,
    /// The invocation that the process has, by id.
    current: Mutex<Option<(String, oneshot::Sender<Answer>)>>,
}

impl Runtime {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_string();
        let Some(path) = path.strip_prefix(&self.path) else {
            return refused(StatusCode::FORBIDDEN, "Forbidden");
        };
        let path = path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        match (request.method(), path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.answer(id, request.into_body(), Ok).await,
            (&Method::POST, ["invocation", id, "error"]) => self.answer(id, request.into_body(), Err).await,
            (&Method::POST, ["init", "error"]) => {
                match http::read(request.into_body(), ANSWER).await {
                    Ok(error) => {
                        // Nobody waits only when the pool is being shut down.
                        let _ = self.poll.send(Poll::InitError(error));
                        accepted()
                    }
                    Err(_) => refused(StatusCode::BAD_REQUEST, "InvalidRequest"),
                }
            }
            _ => refused(StatusCode::NOT_FOUND, "NotFound"),
        }
    }

    async fn next(&self) -> Reply {
        let (next, invocation) = oneshot::channel();
        let polled = self.poll.send(Poll::Next(next));
        let (Ok(()), Ok(invocation)) = (polled, invocation.await) else {
            return refused(StatusCode::INTERNAL_SERVER_ERROR, "ShuttingDown");
        };
        let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        *lock(&self.current) = Some((invocation.id.clone(), invocation.answer));
        let mut reply = Response::new(invocation.event.into());
        for (name, value) in [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", &invocation.id),
            ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
            ("lambda-runtime-invoked-function-arn", &invocation.arn),
            ("lambda-runtime-trace-id", &invocation.trace_id.unwrap_or_default()),
        ] {
            // A client's trace id may hold what a header of ours may not.
            if let Ok(value) = HeaderValue::from_str(value) {
                reply.headers_mut().insert(name, value);
            }
        }
        reply
    }

    async fn answer(&self, id: &str, body: Incoming, wrap: fn(Bytes) -> Answer) -> Reply {
        let current = lock(&self.current).take_if(|(current, _)| current == id);
        let Some((_, answer)) = current else {
            return refused(StatusCode::BAD_REQUEST, "InvalidRequestID");
        };
        let (value, reply) = match http::read(body, ANSWER).await {
            Ok(body) => (wrap(body), accepted()),
            Err(http::BodyError::TooLarge) => (
                Err(r#"{"errorType":"Function.ResponseSizeTooLarge"}"#.into()),
                refused(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            ),
            Err(http::BodyError::Broken(error)) => (
                Err(json!({ "errorType": "Runtime.BrokenAnswer", "errorMessage": error }).to_string().into()),
                refused(StatusCode::BAD_REQUEST, "InvalidRequest"),
            ),
        };
        // The invocation may have timed out meanwhile.
        let _ = answer.send(value);
        reply
    }
}

fn accepted() -> Reply {
    http::json(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn refused(status: StatusCode, kind: &str) -> Reply {
    http::json(status, &json!({ "errorType": kind }))
}

fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid().to_string()
}

/// Locks; what a panic left behind in these maps and lists is whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cargo that runs this program, or the one in the path.
///
/// Without what it tells the program about its package, which would have some build scripts
/// (`ring`'s) run again and everything above them built again.
pub fn cargo() -> std::process::Command {
    let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| told.iter().any(|prefix| name.starts_with(prefix))) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Builds the binaries of `functions` with cargo, which shows its progress, and returns their
/// folder.
///
/// # Errors
///
/// Cargo cannot be run, or fails; it has said why.
pub fn build<'a>(root: &Path, functions: impl IntoIterator<Item = &'a str>, release: bool) -> Result<PathBuf> {
    let run = |command: &mut std::process::Command| {
        let output = command.current_dir(root).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::from(format!("cargo failed: {}", output.status))),
        }
    };
    let metadata = run(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let target =
        metadata["target_directory"].as_str().ok_or_else(|| "cargo metadata: no target_directory".to_string())?;
    // In the dev profile by name alone, from the workspace's default members as `cargo run` itself: with fewer or more packages
    // the dependencies would have other features, and be built again. In the release profile nothing is built yet.
    let (profile, by) = if release { (Some("--release"), "-p") } else { (None, "--bin") };
    run(cargo().arg("build").args(profile).args(functions.into_iter().flat_map(|name| [by, name])))?;
    Ok(Path::new(target).join(if release { "release" } else { "debug" }))
}
