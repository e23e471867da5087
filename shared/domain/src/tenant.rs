//! A tenant, and the people of all tenants.

use serde::{Deserialize, Serialize};

use crate::id::{BUILT_IN_ROLES, TenantId, UserId};
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
    /// How many fences stand around the catalog version.
    #[serde(default)]
    pub fences: u32,
    pub numbers: Numbers,
    /// Random text. It seals the cursors of lists: no client can read one or make one.
    pub cursor_secret: String,
    pub created_at: Time,
}

/// The last number of each kind that was given in a tenant. No number is given twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    pub roles: u32,
    pub groups: u32,
    pub labels: u32,
    pub policies: u32,
}

/// The numbers of a new tenant.
impl Default for Numbers {
    fn default() -> Self {
        Self { roles: BUILT_IN_ROLES, groups: 0, labels: 0, policies: 0 }
    }
}

/// A person, in all tenants. No tenant can edit this.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub issuer: String,
    pub subject: String,
    pub created_at: Time,
}
