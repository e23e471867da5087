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

/// The most seats that a tenant's limit can name.
pub const MAX_SEATS: u32 = 10_000_000;

/// The shortest and the longest age that a tenant can set for the tokens of sessions, in seconds: 5 minutes, 30 days.
pub const SESSION_SECONDS: [u32; 2] = [5 * 60, 30 * 24 * 60 * 60];

/// The fewest and the most days for which a tenant can keep its events, if it does not keep them for good.
pub const RETENTION_DAYS: [u32; 2] = [90, 3_650];

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
    /// How many members take a seat, as far as they are counted: see [`Seats`].
    #[serde(default)]
    pub seats_taken: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Seats>,
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
    #[serde(default, skip_serializing_if = "Inviters::is_default")]
    pub inviters: Inviters,
    #[serde(default, skip_serializing_if = "Acceptance::is_default")]
    pub acceptance: Acceptance,
    /// The most members who take a seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// How old a token of a session may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_seconds: Option<u32>,
    /// Whether members may act as others, for support. They need the permission, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impersonation: bool,
    /// For how many days events are kept. For good if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Whether a look at the record is on record, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_reads: bool,
}

/// Who may make somebody a member. They need the permission, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Inviters {
    /// Everybody who has the permission.
    #[default]
    Permitted,
    /// Members of rank 2 or higher.
    Admins,
    Owners,
}

impl Inviters {
    pub const ALL: [Self; 3] = [Self::Permitted, Self::Admins, Self::Owners];

    pub fn as_str(self) -> &'static str {
        match self {
            Inviters::Permitted => "permitted",
            Inviters::Admins => "admins",
            Inviters::Owners => "owners",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may accept an invitation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Acceptance {
    /// Everybody who has its secret.
    #[default]
    Link,
    /// Who has its secret, and whose issuer has verified that the address is theirs.
    Address,
}

impl Acceptance {
    pub const ALL: [Self; 2] = [Self::Link, Self::Address];

    pub fn as_str(self) -> &'static str {
        match self {
            Acceptance::Link => "link",
            Acceptance::Address => "address",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How far the seats of a tenant are counted. They are counted while there is a limit: without one there is no number that all new
/// members would have to change.
///
/// A job counts the members in the order of their numbers, a piece at a time. It claims the piece, reads its members, and counts
/// them if its claim still stands. A change of a member's seat counts itself if the member is counted already, and ends the claim if
/// the member is in the piece. So each change counts once, and only changes within a piece delay the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// The job that counts.
    pub job: JobId,
    /// The last member who is counted: the last possible one once all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<UserId>,
    /// The last member of the piece that the job reads now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<UserId>,
    /// Raised with each claim: two workers can claim the same piece.
    pub claim: u64,
}

impl Seats {
    /// A count that begins.
    pub fn new(job: JobId) -> Self {
        Self { job, counted: None, claimed: None, claim: 0 }
    }

    pub fn has_counted(&self, user: UserId) -> bool {
        Some(user) <= self.counted
    }

    pub fn are_all_counted(&self) -> bool {
        self.counted == Some(UserId::LAST)
    }

    /// How they are counted after a change of that member's seat.
    pub fn after_change_of(self, user: UserId) -> Self {
        let ends_claim = !self.has_counted(user) && Some(user) <= self.claimed;
        if ends_claim { Self { claimed: None, ..self } } else { self }
    }

    /// The same with a claim of the members up to this one.
    pub fn claiming(self, last: UserId) -> Self {
        Self { claimed: Some(last), claim: self.claim + 1, ..self }
    }

    /// The same once the claimed members are counted up to this one.
    pub fn counting(self, last: UserId) -> Self {
        Self { counted: Some(last), claimed: None, ..self }
    }
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
            seats_taken: 0,
            seats: None,
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
        if self.deleted_at.is_none() {
            return Ok(());
        }
        let notice = "The tenant was deleted. An owner can restore it.";
        Err(Problem::Forbidden(Denial::plain("deleted-tenant", "tenant:enter", notice)))
    }

    /// Whether it was deleted, and can be restored.
    pub fn is_restorable(&self, now: Time) -> bool {
        self.job.is_none() && self.deleted_at.is_some_and(|at| at.seconds() + RESTORABLE_SECONDS >= now.seconds())
    }

    /// Whether it lives, or can be restored.
    ///
    /// # Errors
    /// As [`Tenant::is_live`].
    pub fn is_live_or_restorable(&self, now: Time) -> Result<(), Problem> {
        if self.is_restorable(now) { Ok(()) } else { self.is_live() }
    }

    /// How many members take a seat, once they are counted.
    pub fn seats_counted(&self) -> Option<i64> {
        self.seats.filter(Seats::are_all_counted).map(|_| self.seats_taken)
    }

    /// Whether a token of a session is too old, if it was issued at that second.
    pub fn is_session_too_old(&self, issued: i64, now: Time) -> bool {
        self.settings.session_seconds.is_some_and(|most| issued + i64::from(most) < now.seconds())
    }

    /// The time before which events are too old for it.
    pub fn keeps_events_from(&self, now: Time) -> Option<Time> {
        let days = self.settings.retention_days.filter(|_| self.deleted_at.is_none())?;
        Some(Time::from_millis(now.millis() - i64::from(days) * 24 * 60 * 60 * 1_000))
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
    #[serde(default)]
    pub issuers: u32,
    /// API keys that have not ended.
    #[serde(default)]
    pub keys: u32,
    #[serde(default)]
    pub domains: u32,
    #[serde(default)]
    pub policies: u32,
    #[serde(default)]
    pub webhooks: u32,
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
    #[serde(default, skip_serializing_if = "is_zero")]
    pub issuers: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keys: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub webhooks: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub domains: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub join_requests: u32,
}

/// A kind of which there is none is left out, as in items that older code has written: conditions compare all of them.
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The numbers of a new tenant.
impl Default for Numbers {
    fn default() -> Self {
        Self {
            roles: BUILT_IN_ROLES,
            groups: 0,
            labels: 0,
            policies: 0,
            jobs: 0,
            issuers: 0,
            keys: 0,
            webhooks: 0,
            domains: 0,
            join_requests: 0,
        }
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
