//! The runtime of every function: one event in, one answer out, one line in the log.
//!
//! A panic ends the process. In the release profile no code unwinds, which makes each function a sixth smaller. The log has
//! the reason, the gateway answers for the function, and no half-changed state is ever used again.
//!
//! Nothing here is generic over the handler, so that a further function costs next to no code and build time.

mod line;
mod product;

use std::convert::Infallible;
use std::future::{Future, ready};
use std::panic::PanicHookInfo;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::{Problem, policy};
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use serde_json::json;

use crate::answer::Answer;
use crate::app::{App, Boxed, variable};
use crate::dialect::USERS;
use crate::http::Dialect;
use crate::http::call::{Call, Request};
use crate::lock;
use crate::log::{self, Level, Source};

pub use product::serve_product;

/// The longest id of a request that an answer repeats, in characters. It has only visible ASCII characters.
const MAX_REQUEST_ID: usize = 128;

/// A function's handler.
pub type Handler = for<'a> fn(&'a App, &'a Call) -> Boxed<'a, Answer>;

/// Answers a request, with the state that the start made.
type Responder = Box<dyn for<'a> Fn(&'a Call) -> Boxed<'a, Answer> + Send + Sync>;

/// The start of a function.
type Start = Pin<Box<dyn Future<Output = Result<Responder, Error>>>>;

/// The state of a process, from its start to its end.
struct Function {
    dialect: &'static Dialect,
    started: Instant,
    /// How long the start took; taken by the first request.
    init: Mutex<Option<Duration>>,
    /// The request under way, for the log of a panic.
    current: Mutex<Option<Arc<Call>>>,
}

/// Runs a function until Lambda ends it.
///
/// # Errors
/// A setting is missing from the environment, or Lambda's Runtime API cannot be reached.
pub fn serve(dialect: &'static Dialect, handler: Handler) -> Result<(), Error> {
    run(
        dialect,
        Box::pin(async move {
            // Lives as long as the process.
            let app: &App = Box::leak(Box::new(App::from_env().await?));
            // The policies are read while the keys are on their way.
            let (warm, ()) = tokio::join!(app.warm_up(), async { policy::warm_up() });
            if let Err(problem) = warm {
                // The first request will try again, and answers if that fails, too.
                log::line(Level::Warn, "the keys could not be read at init", &|| json!({ "cause": problem.cause() }));
            }
            let responder: Responder = Box::new(move |call| handler(app, call));
            Ok(responder)
        }),
    )
}

/// Runs a function that anybody may call and that needs no table. Its binary has no part of `App`. It answers problems in the
/// dialect of our own API.
///
/// # Errors
/// As [`serve`].
pub fn serve_public(handler: fn(&Call) -> Result<Answer, Problem>) -> Result<(), Error> {
    let responder: Responder = Box::new(move |call| Box::pin(ready(handler(call))));
    run(&USERS, Box::pin(ready(Ok(responder))))
}

fn run(dialect: &'static Dialect, start: Start) -> Result<(), Error> {
    let started = Instant::now();
    start_log()?;
    let function: &Function =
        Box::leak(Box::new(Function { dialect, started, init: Mutex::default(), current: Mutex::default() }));
    std::panic::set_hook(Box::new(|panic| function.panicked(panic)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(function.run(start))
}

fn start_log() -> Result<(), Error> {
    log::start(Source {
        service: variable("SERVICE")?,
        function: variable("AWS_LAMBDA_FUNCTION_NAME")?,
        level: std::env::var("LOG_LEVEL").map_or(Ok(Level::Info), |level| level.parse())?,
    });
    Ok(())
}

/// The reason of a panic, for the log. Only a literal of the program is safe: a formatted message may hold text that a caller has
/// sent.
fn reason(panic: &PanicHookInfo) -> String {
    let message = panic.payload().downcast_ref::<&str>().copied().unwrap_or("with a message that is not for logs");
    format!("panicked at {}: {message}", panic.location().map(ToString::to_string).unwrap_or_default())
}

impl Function {
    async fn run(&'static self, start: Start) -> Result<(), Error> {
        // As long as the process.
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
        line::request(call, crate::now(), answer.status, problem.as_ref(), init);
        let is_id =
            |id: &&str| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let sent = call.header("x-request-id").filter(|_| self.dialect.echoes_request_id).filter(is_id);
        answer.with_header("x-request-id", sent.unwrap_or(&call.request_id))
    }
}

impl Function {
    /// Logs why the process ends, in the line of the request under way if there is one.
    fn panicked(&self, panic: &PanicHookInfo) {
        let cause = reason(panic);
        match self.current.try_lock().ok().and_then(|current| current.clone()) {
            Some(call) => drop(self.conclude(&call, Err(Problem::Internal(cause)))),
            None => log::line(Level::Error, "panic", &|| json!({ "cause": cause })),
        }
    }
}
