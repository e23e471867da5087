//! The runtime of a function that the product itself invokes.

use domain::Problem;
use lambda_http::lambda_runtime::Diagnostic;
use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use serde_json::{Value, json};

use super::{reason, start_log};
use crate::app::{App, Boxed};
use crate::log::{self, Level, millis};
use crate::work::Work;

/// A handler of the product's own events.
pub type WorkHandler = for<'a> fn(&'a App, &'a Work) -> Boxed<'a, Value>;

/// Runs a function that the table's stream, a schedule or the operator invokes. An invocation of the first two that fails is repeated
/// as the template says.
///
/// # Errors
/// As [`serve`](super::serve()).
pub fn serve_product(handler: WorkHandler) -> Result<(), Error> {
    start_log()?;
    std::panic::set_hook(Box::new(|panic| {
        log::line(Level::Error, "panic", &|| json!({ "cause": reason(panic) }));
    }));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        // Lives as long as the process.
        let app: &App = Box::leak(Box::new(App::from_env().await?));
        lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async {
            let work = Work::new(event);
            let outcome = handler(app, &work).await;
            log_line(&work, outcome.as_ref().err());
            outcome.map_err(|problem| Diagnostic {
                error_type: problem.code().to_owned(),
                error_message: problem.to_string(),
            })
        }))
        .await
    })
}

/// The line that each invocation leaves in the log.
fn log_line(work: &Work, problem: Option<&Problem>) {
    let cost = work.meter.cost();
    let level = if problem.is_some() { Level::Error } else { Level::Info };
    log::line(level, "work", &|| {
        json!({
            "request_id": work.request_id,
            "outcome": problem.map_or("ok", Problem::code),
            "cause": problem.and_then(Problem::cause),
            "advice": problem.and_then(Problem::advice),
            "failures": cost.failures,
            "round_trips": cost.round_trips,
            "read_units": cost.read_units,
            "write_units": cost.write_units,
            "throttles": cost.throttles,
            "restarts": cost.restarts,
            "ms": millis(work.started.elapsed()),
        })
    });
}
