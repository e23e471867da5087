//! Keys of invitations: each leads to the member who is invited.

use domain::Member;
use domain::Record;
use domain::id::UserId;

use super::{Key, TenantKeys, numbered};

/// The part of the index that lists invitations in one of these states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Those that nobody has accepted, in the order in which they expire. Those that never expire come last.
    Open,
    /// In the order in which they were accepted.
    Accepted,
    /// In the order in which they ended.
    Revoked,
}

impl TenantKeys {
    /// What leads to the member who is or was invited.
    pub fn invitation(self, user: UserId) -> Key {
        Key { sk: numbered(Member::KIND, user.number()), ..self.invitations() }
    }

    /// The partition and the prefix of the sort keys of all of them, in the order of the members' numbers.
    pub fn invitations(self) -> Key {
        Key::new(format!("{}#INVITATIONS", self.partition()), "MEMBER#")
    }

    /// Where the index lists an invitation, by a time.
    pub fn invitation_listed(self, listed: Listed, at: &str, user: UserId) -> Key {
        Key { sk: format!("{at} #{user}"), ..self.invitations_listed(listed) }
    }

    /// The partition of the index.
    pub fn invitations_listed(self, listed: Listed) -> Key {
        Key::new(format!("{}#INVITATIONS#{listed:?}", self.partition()).to_uppercase(), "")
    }
}
