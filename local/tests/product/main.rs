//! The product as its callers know it: HTTP in and out, with real function processes and a real engine.

mod api_keys;
mod batch;
mod certification;
mod client;
mod contract;
mod cost;
mod decisions;
mod demo;
#[path = "../openapi/described.rs"]
mod described;
mod directory;
mod docs;
mod domains;
mod escalation;
mod failures;
mod fuzz;
mod harness;
mod impersonation;
mod imports;
mod invitations;
mod jobs;
mod life;
mod lists;
mod members;
mod observability;
mod organization;
mod permissions;
mod policies;
mod races;
mod record;
mod roles;
mod searches;
mod secrecy;
mod settings;
mod sign_in;
mod webhooks;
