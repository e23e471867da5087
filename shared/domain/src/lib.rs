//! What Rolecall decides, and on what: pure, without HTTP, AWS, a clock or a random number.
//!
//! - [`id`], [`time`], [`text`], [`problem`]: leaves
//! - [`record`]: what the records have in common; [`tenant`], [`member`], [`role`], [`catalog`]: the records
//! - [`event`]: the audit chain of a record
//! - [`policy`]: Cedar, over facts that were just read

pub mod catalog;
pub mod event;
pub mod id;
pub mod language;
pub mod member;
pub mod policy;
pub mod problem;
pub mod record;
pub mod role;
#[cfg(feature = "openapi")]
pub mod schema;
pub mod tenant;
pub mod text;
pub mod time;

pub use catalog::{Catalog, Entry, Group, Label, Policy};
pub use event::{Author, Broken, Difference, Event, verify_chain};
pub use language::Language;
pub use member::{MAX_SESSIONS, Member, MemberEdit, Status};
pub use problem::{Fault, Problem};
pub use record::{Actor, Change, Meta, Patch, Record, Subject, Tally};
pub use role::{Permission, Role, RoleEdit};
pub use tenant::{Numbers, Tenant, User};
pub use time::Time;
