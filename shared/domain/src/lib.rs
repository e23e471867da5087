//! The records and decisions of Rolecall. This package is pure: it has no HTTP, no AWS, no clock and no random numbers.
//!
//! - [`id`], [`time`], [`text`], [`problem`], [`sign_in`], [`address`]: leaves
//! - [`tenant`], [`member`], [`role`], [`group`], [`label`], [`job`], [`session`], [`issuer`], [`api_key`], [`own_policy`], [`thing`],
//!   [`webhook`], [`claimed_domain`], [`join_request`], with [`meta`]: the records; [`catalog`]: everything that decides in a tenant
//! - [`policy`]: the decision, by Cedar policies
//! - [`record`]: the trait of all records; [`event`], [`chain`]: the audit chain of a record; [`checkpoint`]: a tree of all events
//! - [`member::change`], [`role::change`], [`group::change`], [`tenant::change`]: the edits of a record, and the actions of an edit

pub mod address;
pub mod api_key;
pub mod catalog;
pub mod chain;
pub mod checkpoint;
pub mod claimed_domain;
pub mod draft;
pub mod event;
pub mod group;
pub mod id;
pub mod issuer;
pub mod job;
pub mod join_request;
pub mod label;
pub mod language;
pub mod member;
pub mod meta;
pub mod own_policy;
pub mod policy;
pub mod problem;
pub mod record;
pub mod role;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod session;
pub mod sign_in;
pub mod tenant;
pub mod text;
pub mod thing;
pub mod time;
pub mod webhook;

pub use api_key::{ApiKey, ApiKeyEdit};
pub use catalog::{Catalog, Entry, Known, Names, Origin, Policy};
pub use chain::{Broken, verify_chain};
pub use checkpoint::Checkpoint;
pub use claimed_domain::{ClaimedDomain, ClaimedDomainEdit};
pub use event::{Author, Difference, Event};
pub use group::Group;
pub use group::change::GroupEdit;
pub use issuer::{Issuer, IssuerEdit};
pub use job::Job;
pub use join_request::{JoinRequest, JoinRequestEdit};
pub use label::{Label, LabelEdit};
pub use language::Language;
pub use member::change::MemberEdit;
pub use member::{MAX_SESSIONS, Member, Status};
pub use meta::{Actor, Meta, Metadata, MetadataEdit, Patch};
pub use own_policy::{OwnPolicy, OwnPolicyEdit};
pub use policy::Rules;
pub use problem::{Fault, Problem};
pub use record::{Change, Record, Subject, Tally};
pub use role::change::RoleEdit;
pub use role::{Permission, Role};
pub use session::Session;
pub use sign_in::SignIn;
pub use tenant::change::TenantEdit;
pub use tenant::{Numbers, Tenant, User};
pub use thing::Thing;
pub use time::Time;
pub use webhook::{Webhook, WebhookEdit};
