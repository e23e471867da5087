//! The runtime of every function: one event in, one answer out, one line in the log.
//!
//! Nothing here is generic over the handler, so that a further function costs next to no code and build time.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::os::unix::process::CommandExt;
use std::panic::PanicHookInfo;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lambda_http::http;
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use lambda_runtime_api_client::PooledClient;
use serde_json::json;

use crate::app::{App, variable};
use crate::call::{Answer, Call, Request};
use crate::dialect::Dialect;
use crate::lock;
use crate::log::{self, Level, Source};
use crate::policy;
use crate::problem::Problem;
use crate::time::Time;

/// A future behind a pointer. What is behind one is compiled here, once; any other `async fn` again in each function.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// A function's handler.
pub type Handler = for<'a> fn(&'a App, &'a Call) -> Boxed<'a, Answer>;

/// Answers a request with what the start has made ready.
type Responder = Box<dyn for<'a> Fn(&'a Call) -> Boxed<'a, Answer> + Send + Sync>;

/// What a function does at its start.
type Start = Pin<Box<dyn Future<Output = Result<Responder, Error>>>>;

/// What a process lives with, from its start to its end.
struct Function {
    dialect: Dialect,
    started: Instant,
    /// How long the start took; taken by the first request.
    init: Mutex<Option<Duration>>,
    /// The request under way, which a panic has to answer.
    current: Mutex<Option<Arc<Call>>>,
}

/// Runs a function until Lambda ends it.
///
/// # Errors
/// A setting is missing from the environment, or Lambda's Runtime API cannot be reached.
pub fn serve(dialect: Dialect, handler: Handler) -> Result<(), Error> {
    run(
        dialect,
        Box::pin(async move {
            // Lives as long as the process.
            let app: &App = Box::leak(Box::new(App::from_env().await?));
            // The keys are on their way while the policies are parsed.
            let (warm, ()) = tokio::join!(app.warm_up(), async { policy::warm_up() });
            if let Err(problem) = warm {
                // The first request will try again and answer for it.
                log::line(Level::Warn, "the keys could not be read at init", &|| json!({ "cause": problem.cause() }));
            }
            let responder: Responder = Box::new(move |call| handler(app, call));
            Ok(responder)
        }),
    )
}

/// Runs a function that anybody may call and that needs no table: none of what the others keep is in its binary. Its problems
/// are told in the dialect of our own API.
///
/// # Errors
/// As [`serve`].
pub fn serve_public(handler: fn(&Call) -> Result<Answer, Problem>) -> Result<(), Error> {
    let responder: Responder = Box::new(move |call| Box::pin(ready(handler(call))));
    run(Dialect::Users, Box::pin(ready(Ok(responder))))
}

fn run(dialect: Dialect, start: Start) -> Result<(), Error> {
    let started = Instant::now();
    log::start(Source {
        service: variable("SERVICE")?,
        function: variable("AWS_LAMBDA_FUNCTION_NAME")?,
        level: std::env::var("LOG_LEVEL").map_or(Ok(Level::Info), |level| level.parse())?,
    });

    let function: &Function =
        Box::leak(Box::new(Function { dialect, started, init: Mutex::default(), current: Mutex::default() }));
    std::panic::set_hook(Box::new(|panic| function.panicked(panic)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(function.run(start))
}

impl Function {
    async fn run(&'static self, start: Start) -> Result<(), Error> {
        // Somebody waits for it, and nothing of the below is needed.
        settle().await?;
        // As long as the process, too.
        let responder: &Responder = Box::leak(Box::new(start.await?));
        let init = self.started.elapsed();
        log::line(Level::Info, "ready", &|| json!({ "ms": log::millis(init) }));
        *lock(&self.init) = Some(init);
        lambda_runtime::run(service_fn(|event| self.respond(responder, event))).await
    }

    async fn respond(&self, responder: &Responder, event: LambdaEvent<Request>) -> Result<Answer, Infallible> {
        let call = Arc::new(Call::new(self.dialect, event));
        *lock(&self.current) = Some(call.clone());
        let result = responder(&call).await;
        let answer = self.conclude(&call, result);
        *lock(&self.current) = None;
        Ok(answer)
    }

    /// The answer to a request, and its line in the log.
    fn conclude(&self, call: &Call, result: Result<Answer, Problem>) -> Answer {
        let (answer, problem) = match result {
            Ok(answer) => (answer, None),
            Err(problem) => (self.dialect.problem(&problem), Some(problem)),
        };
        let init = self.init.try_lock().ok().and_then(|mut init| init.take());
        log::request(call, Time::now(), answer.status, problem.as_ref(), init);
        answer.with_header("x-request-id", &call.request_id)
    }
}

// ---- Panics
//
// In the release profile a panic ends the process, which makes each function a sixth smaller. Before that, the hook
// replaces the process by a new one of the same program and hands it the answer that is owed: the caller gets a 500 in
// their dialect, Lambda keeps its process, and no half-changed state is ever used again.

/// The variables by which a process tells its successor which invocation it has left unanswered, and the answer.
const OWED_TO: &str = "ROLECALL_OWED_TO";
const OWED: &str = "ROLECALL_OWED";

impl Function {
    fn panicked(&self, panic: &PanicHookInfo) {
        // Only text of the program itself: a message that was made may hold what a caller has sent.
        let message = panic.payload().downcast_ref::<&str>().copied().unwrap_or("with a message that is not for logs");
        let cause = format!("panicked at {}: {message}", panic.location().map(ToString::to_string).unwrap_or_default());
        let Some(call) = self.current.try_lock().ok().and_then(|current| current.clone()) else {
            // Nobody waits for an answer, and the successor would panic again.
            log::line(Level::Error, "panic", &|| json!({ "cause": cause }));
            return;
        };
        let answer = json!(self.conclude(&call, Err(Problem::Internal(cause))));
        let program = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut successor = std::process::Command::new(program);
        let cause = successor.env(OWED_TO, &call.invocation).env(OWED, answer.to_string()).exec();
        log::line(Level::Error, "no successor can be started", &|| json!({ "cause": cause.to_string() }));
    }
}

/// Gives Lambda the answer that the process before this one has left, if there is one.
async fn settle() -> Result<(), Error> {
    let (Ok(invocation), Ok(answer)) = (std::env::var(OWED_TO), std::env::var(OWED)) else { return Ok(()) };
    let path = format!("/2018-06-01/runtime/invocation/{invocation}/response");
    let response = PooledClient::builder().build().call(http::Request::post(path).body(answer.into())?).await?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        log::line(Level::Warn, "the answer to a request that panicked came too late", &|| json!({ "status": status }));
    }
    Ok(())
}
