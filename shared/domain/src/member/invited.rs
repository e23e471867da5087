//! A member who is or was invited.

use super::invitation::{Invitation, State};
use super::{Member, Status};
use crate::time::Time;

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
