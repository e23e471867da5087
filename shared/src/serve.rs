//! The runtime of every function: one event in, one answer out, one line in the log.
//!
//! Nothing here is generic over the handler, so that a further function costs next to no code and build time.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use lambda_http::http::Response;
use lambda_http::{Body, Error, Request, service_fn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::app::App;
use crate::call::{Answer, Call};
use crate::dialect::Dialect;
use crate::problem::Problem;

/// What a handler returns.
pub type Handling<'a> = Pin<Box<dyn Future<Output = Result<Answer, Problem>> + Send + 'a>>;

/// A function's handler.
pub type Handler = for<'a> fn(&'a App, &'a Call) -> Handling<'a>;

/// Runs a function until Lambda ends it.
///
/// # Errors
/// A setting is missing from the environment, or Lambda's Runtime API cannot be reached.
pub fn serve(dialect: Dialect, handler: Handler) -> Result<(), Error> {
    let level: LevelFilter = std::env::var("LOG_LEVEL").unwrap_or_else(|_| "info".to_owned()).parse()?;
    // Only our own lines: what libraries say can hold events and items.
    let ours = Targets::new().with_target("shared", level);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(dialect, handler))
}

async fn run(dialect: Dialect, handler: Handler) -> Result<(), Error> {
    // Lives as long as the process.
    let app: &App = Box::leak(Box::new(App::from_env().await?));
    if let Err(problem) = app.warm_up().await {
        // The first request will try again and answer for it.
        tracing::warn!(cause = problem.cause(), "the keys could not be read at init");
    }
    let cold = AtomicBool::new(true);
    lambda_http::run(service_fn(|request| respond(app, dialect, handler, request, cold.swap(false, Ordering::Relaxed))))
        .await
}

async fn respond(
    app: &App,
    dialect: Dialect,
    handler: Handler,
    request: Request,
    cold: bool,
) -> Result<Response<Body>, Error> {
    let started = Instant::now();
    let call = Call::new(dialect, request);
    let handled = AssertUnwindSafe(handler(app, &call)).catch_unwind().await;
    let result = handled.unwrap_or_else(|_| Err(Problem::Internal("a panic; its message is in the log".to_owned())));
    let (answer, problem) = match result {
        Ok(answer) => (answer, None),
        Err(problem) => (dialect.problem(&problem), Some(problem)),
    };
    let outcome = problem.as_ref().map_or("ok", Problem::code);
    let cause = problem.as_ref().and_then(Problem::cause);

    let cost = call.meter.cost();
    tracing::info!(
        request_id = call.request_id,
        dialect = dialect.name(),
        status = answer.status,
        outcome,
        cause,
        round_trips = cost.round_trips,
        read_units = cost.read_units,
        write_units = cost.write_units,
        cold,
        ms = started.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
    let mut response = Response::builder().status(answer.status).header("x-request-id", &call.request_id);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    Ok(response.body(answer.body.into())?)
}
