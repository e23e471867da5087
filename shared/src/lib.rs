//! What all functions of Rolecall share. From the outside in:
//!
//! - [`serve`](serve()): the runtime of a function; [`call`]: one request and its answer
//! - [`dialect`]: the five ways to speak; [`json`] and [`problem`]: reading strictly, failing clearly
//! - [`credential`]: who calls; [`app`]: what a warm function keeps
//! - [`members`]: the read, the decision, the write; [`policy`]: Cedar
//! - [`model`]: what the table holds; [`table`], [`key`], [`id`], [`time`]: how

pub mod app;
pub mod call;
pub mod credential;
pub mod dialect;
pub mod id;
pub mod json;
pub mod key;
pub mod members;
pub mod model;
pub mod policy;
pub mod problem;
pub mod serve;
pub mod table;
pub mod time;

pub use app::App;
pub use call::{Answer, Call};
pub use dialect::Dialect;
pub use problem::Problem;
pub use serve::serve;
