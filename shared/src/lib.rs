//! What all functions of Rolecall share. Each floor uses only what stands below it (`local/tests/floors.rs`):
//!
//! 1. `domain`, a package of its own: what is decided, and on what; pure
//! 2. [`log`], [`answer`], [`trace`]: leaves
//! 3. `table`: alone knows DynamoDB; functions cannot reach it
//! 4. [`gate`]: the one way to the table: read, decide, write
//! 5. [`http`]: one request, its body and its credential
//! 6. [`dialect`]: the five ways to speak
//! 7. [`app`]: what a warm function keeps; [`serve`](serve()): the runtime of a function

pub mod answer;
pub mod app;
pub mod dialect;
pub mod gate;
pub mod http;
pub mod log;
mod serve;
#[cfg(feature = "table")]
pub mod table;
#[cfg(not(feature = "table"))]
mod table;
pub mod trace;

pub use answer::Answer;
pub use app::{App, Boxed};
pub use domain::{self, Problem, id, problem};
pub use gate::{Plan, Reads, Step, View};
pub use http::Dialect;
pub use http::call::{self, Call};
pub use http::{credential, json, signature};
pub use serve::{serve, serve_public};

/// What the machine's clock says.
pub fn now() -> domain::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    domain::Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Locks; what a panic left behind in our maps and options is whole, since they are set in one piece.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
