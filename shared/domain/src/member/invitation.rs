//! The invitation of a member: who stands for it, and the secret that accepts it.

use serde::{Deserialize, Serialize};

use crate::id::{KeyId, UserId};
use crate::time::Time;

const DAY: i64 = 24 * 60 * 60;

/// The most people whom one request invites.
pub const MAX_INVITED: usize = 100;

/// How long an invitation is good, in seconds, if nobody says: 7 days.
pub const LASTS: i64 = 7 * DAY;

/// The longest time that an invitation is good, in seconds: 30 days.
pub const MAX_LASTS: i64 = 30 * DAY;

/// Who has invited somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inviter {
    Member(UserId),
    /// An API key, and the member who made it; without them if it was the tenant's own.
    Key(KeyId, Option<UserId>),
}

/// How an invited person can come in. It is a part of the member, so whatever ends the invited status ends it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Who stands for it: nobody gets by it what they may not give at that moment. `None` is the operator of the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inviter: Option<Inviter>,
    pub made_at: Time,
    /// In seconds since the epoch.
    pub expires_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    #[serde(default)]
    pub accepted: bool,
}

/// What becomes of the invitation of a member.
#[derive(Clone, Debug)]
pub enum InvitationEdit {
    /// A new one, or a new secret in place of the one before; with the secret's hash.
    Made(Invitation, String),
    Accepted,
}

/// The state of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "InvitationStatus"))]
pub enum State {
    Pending,
    Expired,
    Accepted,
    Revoked,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Expired, Self::Accepted, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Expired => "expired",
            State::Accepted => "accepted",
            State::Revoked => "revoked",
        }
    }
}
