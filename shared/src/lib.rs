//! What all functions of Rolecall share. From the outside in:
//!
//! - [`serve`](serve()): the runtime of a function; [`call`]: one request and its answer; [`log`]: the line it leaves
//! - [`dialect`]: the five ways to speak; [`json`] and [`problem`]: reading strictly, failing clearly
//! - [`credential`] and [`signature`]: who calls; [`app`]: what a warm function keeps
//! - [`members`]: the read, the decision, the write; [`policy`]: Cedar
//! - [`fence`]: what lets many requests at once rest on one fact
//! - `openapi`: what functions say of themselves for the API reference; in tests only
//! - [`model`]: what the table holds; [`table`], [`connection`], [`key`], [`id`], [`time`]: how

pub mod app;
pub mod call;
pub mod connection;
pub mod credential;
pub mod dialect;
pub mod fence;
pub mod id;
pub mod json;
pub mod key;
pub mod log;
pub mod members;
pub mod model;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod policy;
pub mod problem;
pub mod serve;
pub mod signature;
pub mod table;
pub mod time;

pub use app::App;
pub use call::{Answer, Call};
pub use dialect::Dialect;
pub use problem::Problem;
pub use serve::{serve, serve_public};

/// Locks; what a panic left behind in our maps and options is whole, since they are set in one piece.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
