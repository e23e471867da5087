//! Rolecall on a laptop: API Gateway, Lambda and DynamoDB in one process, driven only by `template.yaml`.
//!
//! - [`template`] reads the SAM template: routes, functions, environment, timeouts, IAM statements,
//!   the table.
//! - [`routes`] finds the route of a request. [`event`] makes its event, and turns a function's answer into a response.
//! - [`functions`] runs the function binaries behind the Lambda Runtime API.
//! - [`iam`] says which actions a DynamoDB request needs and whether statements allow them.
//! - [`dynamodb`] is the engine, embedded or another, and a small client. Functions and people call [`front`] instead of the
//!   engine: it enforces the statements and has DynamoDB's conflicts.
//! - [`demo`] and [`seed`] fill a table with tenants through [`store`]. [`token`] signs tokens for their people. [`issuer`] is the
//!   identity provider of the demo tenants.
//! - [`cases`] reads and records the events of `events/` and their answers.
//! - [`verify`] checks an export of a tenant's record.
//! - [`log`] tells the person who started the program about everything that happens.
//! - [`server`] puts them together. The binary `rolecall` and the tests start it.

pub mod cases;
mod conflicts;
mod data;
pub mod demo;
pub mod dynamodb;
pub mod event;
pub mod front;
pub mod functions;
mod gateway;
mod http;
pub mod iam;
pub mod issuer;
mod limits;
pub mod log;
mod operations;
pub mod queues;
pub mod routes;
pub mod secrets;
pub mod seed;
pub mod server;
mod sources;
pub mod store;
pub mod template;
pub mod token;
pub mod verify;

pub use gateway::REFUSALS;
pub use http::Host;
pub use log::LogSink;
pub use server::{Options, Server};
pub use template::Template;

/// An error in one sentence, for the person at the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

pub type Result<T> = std::result::Result<T, Error>;

impl From<String> for Error {
    fn from(message: String) -> Self {
        Error(message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
