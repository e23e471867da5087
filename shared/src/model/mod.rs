//! What the product knows, as the table holds it. None of these types is ever serialised to a client: each dialect has wire types.

mod catalog;
pub(crate) mod event;
mod language;
mod member;

pub use catalog::{Catalog, Entry, Group, Label, Permission, Policy, Role, role};
pub use event::{Broken, Change, Event, verify_chain};
pub use language::Language;
pub use member::{Actor, MAX_SESSIONS, Member, Status};

use serde::{Deserialize, Serialize};

use crate::id::TenantId;
use crate::time::Time;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tenant {
    pub id: TenantId,
    /// 2 to 63 of `a-z0-9-`; unique and never changed.
    pub slug: String,
    pub name: String,
    /// How many members are owners, active and not deleted: never 0.
    pub owners: u32,
    /// Raised in the same transaction by every change of a role, group, label or policy.
    pub catalog_version: u64,
    /// How many fences stand around the catalog version: see [`fence`](crate::fence).
    #[serde(default)]
    pub fences: u32,
    pub created_at: Time,
}

/// A person, in all tenants. Nothing of this is a tenant's to edit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: crate::id::UserId,
    pub email: String,
    pub issuer: String,
    pub subject: String,
    pub created_at: Time,
}

/// The first answer to a request that had an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// SHA-256 of what was asked, in hex.
    pub fingerprint: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Seconds since the epoch; the table's TTL attribute. TTL deletes late, so a reader compares it, too.
    pub expires_at: i64,
}
