//! The code that all functions of Rolecall share. It stands on floors, listed from below. Each floor uses only those below it
//! (`local/tests/floors.rs`):
//!
//! 1. `domain`, a package of its own: records and decisions; pure
//! 2. [`log`], [`answer`], [`trace`], [`api_key`], [`webhook`]: leaves
//! 3. `table`: the only floor that knows DynamoDB; functions cannot reach it
//! 4. `services`: the only floor that knows Secrets Manager, SQS and EventBridge
//! 5. [`gate`]: the one way to the table: read, decide, write
//! 6. [`http`]: one request, its body and its credential
//! 7. [`dialect`]: the dialects
//! 8. [`app`]: the state of a warm function
//! 9. [`work`]: the invocations that no caller makes
//! 10. [`serve`](serve()): the runtime of a function

pub mod answer;
pub mod api_key;
pub mod app;
pub mod dialect;
pub mod gate;
pub mod http;
pub mod log;
mod serve;
mod services;
#[cfg(feature = "table")]
pub mod table;
#[cfg(not(feature = "table"))]
mod table;
pub mod trace;
pub mod webhook;
pub mod work;

pub use answer::Answer;
pub use app::{App, Boxed};
pub use domain::{self, Problem, id, problem};
pub use gate::invitations::{Invitees, NewSecret};
pub use gate::{Caller, Deletion, MemberList, NamedList, Page, Plan, Reading, Reads, Step, View, list};
pub use http::call::{self, Call};
pub use http::{Dialect, Paging};
pub use http::{assertion, credential, json, signature, signing};
pub use serve::{serve, serve_product, serve_public};
pub use work::Work;

/// The time of the machine's clock.
pub fn now() -> domain::Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    domain::Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Locks, also after a panic: our maps and options are set in one piece, so a panic leaves them whole.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
