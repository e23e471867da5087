//! HTTP: one request, what its body says, and who calls.

pub mod call;
pub mod credential;
mod dialect;
pub mod json;
#[cfg(feature = "openapi")]
mod schema;
pub mod signature;

pub use dialect::Dialect;
