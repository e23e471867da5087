//! A session of a member: how they signed in, and from where. The item of the member says whether it lives.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{TenantId, UserId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
pub use crate::sign_in::SignIn;

/// How long a session lasts, in seconds, if its issuer's entry allows no refresh token: 12 hours.
pub const LASTS: i64 = 12 * 60 * 60;

/// How long a session lasts with a refresh token, in seconds: 30 days.
pub const LASTS_REFRESHED: i64 = 30 * 24 * 60 * 60;

/// How long a session without a refresh token lives if it is not renewed, in seconds: 2 hours.
pub const IDLE: i64 = 2 * 60 * 60;

/// How long somebody can act as another member, in seconds: 1 to 60 minutes.
pub const IMPERSONATED: [u32; 2] = [60, 60 * 60];

/// The same if nobody says: 15 minutes.
pub const IMPERSONATED_BY_DEFAULT: u32 = 15 * 60;

/// How long somebody's approval of another member's change can be good, in seconds: 1 to 60 minutes.
pub const APPROVED: [u32; 2] = [60, 60 * 60];

/// The same if nobody says: 10 minutes.
pub const APPROVED_BY_DEFAULT: u32 = 10 * 60;

/// The longest reason for acting as another member, in characters.
pub const MAX_REASON: usize = 500;

/// A session, kept for as long as it can last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// A random UUID.
    pub id: String,
    pub user: UserId,
    #[serde(flatten)]
    pub sign_in: SignIn,
    /// Whether the issuer is one that all tenants trust, by the entry that counts for all of them. Then the session can go on in another
    /// tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_deployment: bool,
    /// When the person signed in, in seconds since the epoch, if that was in another tenant and this session goes on from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// The client of the issuer that got the token.
    pub client: String,
    /// The browser or program (`User-Agent`), in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// Who acts as the member in it, if it is not the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonator: Option<Impersonator>,
    /// Why they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ends at the latest, in seconds since the epoch; the table's TTL attribute.
    pub expires_at: i64,
    #[serde(flatten)]
    pub meta: Meta,
}

/// A member who acts as another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impersonator {
    pub member: UserId,
    /// Their own session. Once it has ended, the other one is refused.
    pub session: String,
    /// When that session began, in seconds since the epoch. The other one is as old.
    pub since: i64,
}

impl Session {
    /// When it began, in seconds since the epoch: with the proof of who somebody is.
    pub fn began(&self) -> i64 {
        let since = self.impersonator.as_ref().map(|by| by.since).or(self.since);
        since.unwrap_or(self.meta.created_at.seconds())
    }
}

/// The refresh token of a session. Each use replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refresh {
    /// How often it was replaced.
    pub counter: u32,
    /// SHA-256 of the token, in hex.
    pub hash: String,
    /// SHA-256 of the token before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// When it replaced the token before, in seconds since the epoch.
    pub since: i64,
}

/// A session is made, and changes no more: its end is a change of the member.
#[derive(Debug, Default)]
pub struct Unchanging;

impl Record for Session {
    type Edit = Unchanging;

    const KIND: &'static str = "session";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, _: &Unchanging, _: &Known) -> Result<(), Problem> {
        Ok(())
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        match change {
            Change::Create(session) => vec![Action::StartSession(&session.sign_in)],
            Change::Update { .. } | Change::Delete(_) => Vec::new(),
        }
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
