//! A tenant, and the people of all tenants.

pub mod change;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{BUILT_IN_ROLES, JobId, TenantId, UserId};
use crate::meta::{Meta, Metadata};
use crate::problem::{Denial, Problem};
use crate::time::Time;

/// The most e-mail domains that a tenant can allow.
pub const MAX_DOMAINS: usize = 100;

/// How long a deleted tenant can be restored: 30 days.
pub const RESTORABLE_SECONDS: i64 = 30 * 24 * 60 * 60;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    pub id: TenantId,
    /// 2 to 63 of `a-z0-9-`; unique and never changed.
    pub slug: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The tenant's id in another system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(default)]
    pub settings: Settings,
    /// How many members are owners, active and not deleted: never 0.
    pub owners: u32,
    /// Raised in the same transaction by every change of what decides: a role, a policy, the roles that a group confers, the
    /// settings.
    pub catalog_version: u64,
    /// Raised in the same transaction by every change of a name that requests may have in memory.
    #[serde(default)]
    pub names_version: u64,
    /// How many fences stand around the catalog version.
    #[serde(default)]
    pub fences: u32,
    pub numbers: Numbers,
    #[serde(default)]
    pub counts: Counts,
    /// Random text. It seals the cursors of lists: no client can read one or make one.
    pub cursor_secret: String,
    /// Nobody can act in a deleted tenant. An owner can restore it for [`RESTORABLE_SECONDS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// The job that removes everything of the tenant, once it cannot be restored any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    #[serde(flatten)]
    pub meta: Meta,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The domains of the addresses that members may have, in lower case. If there is none, members may have any address.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub allowed_domains: BTreeSet<String>,
}

impl Tenant {
    /// A tenant that is not written yet, with one owner.
    pub fn new(id: TenantId, slug: &str, name: &str, cursor_secret: &str, now: Time) -> Self {
        Self {
            id,
            slug: slug.to_owned(),
            name: name.to_owned(),
            metadata: Metadata::new(),
            external_id: None,
            settings: Settings::default(),
            owners: 1,
            catalog_version: 1,
            names_version: 1,
            fences: 0,
            numbers: Numbers::default(),
            counts: Counts::default(),
            cursor_secret: cursor_secret.to_owned(),
            deleted_at: None,
            job: None,
            meta: Meta::new(now),
        }
    }

    /// # Errors
    /// [`Problem::Forbidden`]: it is deleted.
    pub fn is_live(&self) -> Result<(), Problem> {
        let notices = || vec!["The tenant was deleted. An owner can restore it.".to_owned()];
        let denial = || Denial { rule: "deleted-tenant".to_owned(), action: "tenant:enter", notices: notices() };
        if self.deleted_at.is_none() { Ok(()) } else { Err(Problem::Forbidden(denial())) }
    }

    /// Whether it was deleted, and can be restored.
    pub fn is_restorable(&self, now: Time) -> bool {
        self.job.is_none() && self.deleted_at.is_some_and(|at| at.seconds() + RESTORABLE_SECONDS >= now.seconds())
    }

    /// Whether a member may have that address.
    pub fn takes_address(&self, email: &str) -> bool {
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
        self.settings.allowed_domains.is_empty() || self.settings.allowed_domains.contains(&domain)
    }
}

/// How many things of a kind a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub groups: u32,
    pub labels: u32,
}

/// The last number of each kind that was given in a tenant. No number is given twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    pub roles: u32,
    pub groups: u32,
    pub labels: u32,
    pub policies: u32,
    #[serde(default)]
    pub jobs: u32,
}

/// The numbers of a new tenant.
impl Default for Numbers {
    fn default() -> Self {
        Self { roles: BUILT_IN_ROLES, groups: 0, labels: 0, policies: 0, jobs: 0 }
    }
}

/// A person, in all tenants. No tenant can edit this, and a tenant learns nothing of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub id: UserId,
    /// The address under which a tenant first added them. It says nothing of who they are before they have proved it.
    pub email: String,
    pub created_at: Time,
}

impl User {
    pub fn new(id: UserId, email: &str, created_at: Time) -> Self {
        Self { id, email: email.to_owned(), created_at }
    }
}
