use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Member;
use crate::id::{TenantId, UserId};
use crate::time::Time;

/// What one attribute was and became; `null` for absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub from: Value,
    pub to: Value,
}

/// One change of a member, on record for good.
///
/// Each event holds the hash of the one before it, and the member holds the hash of the last: whoever removes, edits or
/// reorders events must break a link that [`verify_chain`] finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub tenant: TenantId,
    pub user: UserId,
    /// The version of the member that this event made.
    pub version: u64,
    pub at: Time,
    /// The user who did it; `None` for the product itself.
    pub actor: Option<UserId>,
    /// The id of the request that did it.
    pub request: String,
    /// A random id of what did it: proof for a writer that got no answer.
    pub transaction: String,
    /// Changed attributes by name.
    pub changes: BTreeMap<String, Change>,
    /// The hash of the event before, empty for the first.
    pub previous: String,
}

impl Event {
    /// SHA-256, in hex, of the event as JSON without spaces, members in the order of this type, those of values sorted.
    pub fn hash(&self) -> String {
        let mut event = self.clone();
        for change in event.changes.values_mut() {
            // A map comes back from the table in any order.
            change.from.sort_all_objects();
            change.to.sort_all_objects();
        }
        let bytes = serde_json::to_vec(&event).expect("an event is plain JSON");
        hex(&Sha256::digest(bytes))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first version at which a chain does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub version: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the audit chain is broken at version {}", self.version)
    }
}

impl std::error::Error for Broken {}

/// Checks all events of a member, oldest first: versions from 1 without a gap, each linked to the one before, the last to the member.
pub fn verify_chain(member: &Member, events: &[Event]) -> Result<(), Broken> {
    let mut head = String::new();
    for (version, event) in (1..).zip(events) {
        let own = (event.tenant, event.user) == (member.tenant, member.user);
        if !own || event.version != version || event.previous != head {
            return Err(Broken { version });
        }
        head = event.hash();
    }
    match events.len() as u64 == member.version && head == member.head {
        true => Ok(()),
        false => Err(Broken { version: member.version }),
    }
}
