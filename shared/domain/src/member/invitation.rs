//! The invitation of a member: who stands for it, and the secret that accepts it.

use serde::{Deserialize, Serialize};

use super::{Member, Status};
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

impl Member {
    pub fn is_invited(&self) -> bool {
        self.is_present() && self.status == Status::Invited
    }

    /// Whether somebody can come in by the invitation. The operator invites those who are active, too, and have lost their way in.
    fn is_open(&self, invitation: &Invitation) -> bool {
        let is_recovered = self.is_active() && invitation.inviter.is_none();
        !invitation.accepted && (self.is_invited() || is_recovered)
    }

    /// The invitation, if the person can still accept it when there is time.
    pub fn open_invitation(&self) -> Option<&Invitation> {
        self.invitation.as_ref().filter(|invitation| self.is_open(invitation) && self.secret.is_some())
    }

    /// The state of the invitation; `None` for a member who was never invited. Who is invited and has no secret waits for one.
    pub fn invitation_state(&self, now: Time) -> Option<State> {
        match (self.open_invitation(), &self.invitation) {
            (Some(open), _) if open.expires_at <= now.seconds() => Some(State::Expired),
            (Some(_), _) => Some(State::Pending),
            _ if self.is_invited() => Some(State::Pending),
            (_, Some(ended)) if ended.accepted => Some(State::Accepted),
            (_, Some(_)) => Some(State::Revoked),
            (_, None) => None,
        }
    }

    /// The secret is good for one person and one address: it ends with the invited status, and with a change of the address.
    pub(super) fn settle_invitation(&mut self, before: Option<&Self>) {
        let is_moved = before.is_some_and(|before| before.email.to_lowercase() != self.email.to_lowercase());
        let (is_open, now) = (self.invitation.as_ref().is_some_and(|it| self.is_open(it)), self.meta.updated_at);
        let Some(invitation) = self.invitation.as_mut().filter(|it| it.ended_at.is_none()) else { return };
        if !is_open {
            (self.secret, invitation.ended_at) = (None, Some(now));
        } else if is_moved {
            self.secret = None;
        }
    }
}
