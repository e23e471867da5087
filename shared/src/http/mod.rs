//! HTTP: a request, its body and its credential.

pub mod assertion;
pub mod call;
pub mod credential;
mod dialect;
pub mod json;
#[cfg(feature = "openapi")]
mod schema;
pub mod signature;
pub mod signing;

pub use dialect::{Dialect, Paging};
