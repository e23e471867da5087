//! The processes of functions. Each has its own Runtime API.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use hyper::body::Bytes;
use shared::lock;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    InvokeError,
    runtime::{Invocation, Poll, Runtime},
};
use crate::{
    http::{self, HttpServer},
    log::{Entry, LogSink},
    template::{Function, REGION, function_arn},
};

/// The longest time that a process may take until it first asks for work.
const INIT: Duration = Duration::from_secs(10);

/// Processes that speak the Runtime API. They end when this value is dropped, and when this process ends, even if it is killed.
pub struct Processes {
    log: LogSink,
    /// The ids of the live processes, each with the name of its function.
    names: Arc<Mutex<BTreeMap<u32, String>>>,
    stop: watch::Sender<bool>,
    monitors: Mutex<JoinSet<()>>,
    /// The watchdog, which leads their process group.
    watchdog: Mutex<Option<Child>>,
}

/// A running process. It is killed when this value is dropped.
pub struct Process {
    pub pid: u32,
    arn: String,
    /// The messages that the process sends to its Runtime API between invocations. The channel is closed when the process has
    /// ended.
    polls: mpsc::UnboundedReceiver<Poll>,
    /// Takes the invocation that the process asks for.
    next: Option<oneshot::Sender<Invocation>>,
    kill: oneshot::Sender<()>,
}

impl Processes {
    /// Makes a value without any process yet. `log` takes the output of the processes.
    pub fn new(log: LogSink) -> Self {
        let (stop, names) = (watch::Sender::new(false), Arc::default());
        Self { log, names, stop, monitors: Mutex::default(), watchdog: Mutex::default() }
    }

    /// Starts a process of the function `name` with its own Runtime API. [`command`] makes the command.
    ///
    /// # Errors
    ///
    /// [`InvokeError::Init`]: the process cannot be started.
    pub async fn start(&self, name: &str, command: Command) -> std::result::Result<Process, InvokeError> {
        self.spawn(name, command).await.map_err(|error| InvokeError::Init(error.to_string()))
    }

    async fn spawn(&self, name: &str, mut command: Command) -> io::Result<Process> {
        let (poll, polls) = mpsc::unbounded_channel();
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let path = format!("/{:032x}", u128::from_ne_bytes(secret));
        let runtime = Arc::new(Runtime::new(path.clone(), poll));
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
            // A terminal sends Ctrl-C only to the gateway's own group. The gateway then ends the functions.
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
            // By this, the code that waits for the process learns that it has ended.
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

    /// Returns the process group for a new process. Its leader is the watchdog. The watchdog's input ends when this process is
    /// killed, and then the watchdog kills the group.
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

    /// Returns the ids of the live processes of a function.
    pub(super) fn pids(&self, function: &str) -> Vec<u32> {
        lock(&self.names).iter().filter(|(_, name)| *name == function).map(|(pid, _)| *pid).collect()
    }

    /// Kills every process.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Kills every process, and waits until they have ended.
    pub async fn shutdown(&self) {
        self.stop();
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
    /// Waits until the process asks for work.
    ///
    /// # Errors
    ///
    /// [`InvokeError::Init`]: the process has ended, has said that it cannot start, or takes too long.
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

    /// Gives the process an event as soon as it asks for work, and returns its answer. The answer may take as long as `limit`.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]. The process may still be at work on the event, so nobody can use it any more.
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

    /// Kills the process, and waits until it has ended.
    pub async fn end(mut self) {
        drop(self.kill);
        while self.polls.recv().await.is_some() {}
    }
}

/// Makes the command that starts a process of a function. Its environment has the variables that Lambda sets, then those of the
/// template, then the URL of DynamoDB, and nothing else.
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
    command.env_clear().envs(lambda).envs(&function.environment).env("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url);
    // The front is each other service, too, for the functions that call it.
    let others = ["AWS_ENDPOINT_URL_SIGNING_SECRET", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_EVENTS"];
    for other in others.into_iter().filter(|it| function.environment.contains_key(*it)) {
        command.env(other, dynamodb_url);
    }
    command.current_dir(task_root);
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

fn random_uuid() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid().to_string()
}
