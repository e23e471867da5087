//! The functions: their binaries run as processes that speak the Lambda Runtime API.
//!
//! Each process has its own Runtime API on a loopback port, under a path that no other process knows. It takes one request at a
//! time. When all processes of a function are busy, another one is started.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

mod build;
mod process;
mod runtime;

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::body::Bytes;
use serde_json::Value;
use shared::lock;
use tokio::sync::Semaphore;

pub use build::{build, cargo};
pub use process::{Process, Processes, command};

use crate::{
    log::{Entry, LogSink},
    template::Function,
};

/// The reason why an invocation has no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// No function has this name.
    Unknown,
    /// All allowed processes are busy, or the pool is shut down.
    Throttled,
    /// The process could not be started, or it failed before it asked for work.
    Init(String),
    /// The function's timeout passed, and its process was killed.
    TimedOut(Duration),
    /// The process ended during the invocation.
    Exited,
    /// The function answered with an error: JSON with `errorType` and `errorMessage`.
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

/// The settings of the pool.
pub struct PoolOptions {
    /// The folder of the binaries. Each binary has the name of its function.
    pub bin_dir: PathBuf,
    /// The URL that functions call for DynamoDB.
    pub dynamodb_url: String,
    /// The most processes of one function. Requests that would need more are refused.
    pub max_processes: usize,
    pub log: LogSink,
}

/// The processes of all functions.
pub struct Pool {
    pooled: BTreeMap<String, Pooled>,
    /// The values that [`Pool::set_variable`] has set.
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

impl Pool {
    /// Makes a pool without any process yet. Each function comes with the access key id that its DynamoDB requests will carry.
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

    /// Returns the ids of the live processes of a function.
    pub fn pids(&self, function: &str) -> Vec<u32> {
        self.processes.pids(function)
    }

    /// Gives a variable another value than the template does. Only processes that start later get it, and only if the template
    /// gives the variable to their function.
    pub fn set_variable(&self, name: &str, value: &str) {
        lock(&self.variables).insert(name.into(), value.into());
    }

    /// Gives a function an event, and returns its answer, which is JSON.
    ///
    /// The invocation goes on to its end even if the caller does not wait for it.
    ///
    /// # Errors
    ///
    /// [`InvokeError`]. The log has a line that says the same, except for an unknown function.
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
            // The loop skips a process that has ended since its last answer.
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

    /// Takes no more invocations, and waits until those under way have their answers.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(self.options.max_processes).unwrap_or(u32::MAX);
        for pooled in self.pooled.values() {
            // This fails only if the pool is shut down already.
            if let Ok(permits) = pooled.permits.acquire_many(all).await {
                permits.forget();
            }
        }
    }

    /// Takes no more invocations, kills every process, and waits until they have ended.
    pub async fn shutdown(&self) {
        self.close();
        self.processes.shutdown().await;
    }

    /// Does the same as [`Pool::shutdown`], but does not wait.
    pub(crate) fn stop(&self) {
        self.close();
        self.processes.stop();
    }

    fn close(&self) {
        for pooled in self.pooled.values() {
            pooled.permits.close();
        }
    }
}
