//! Personal values in events, and how an event is erased.
//!
//! The hash of an event covers a commitment in place of each personal value. A commitment is the SHA-256 of the JSON array of the
//! event's salt, the name of the attribute, the side (`from` or `to`) and the value. Erasing takes the salt away and leaves the
//! commitments: the hash stays, and nobody can try values until one fits.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Event;
use crate::api_key::ApiKey;
use crate::id::{hex, sha256};
use crate::record::{Record, Subject};

/// The attributes that can name a person, in records of all kinds. An event says itself which of its values are personal, so a
/// longer list changes no event that is on record.
const PERSONAL: [&str; 14] = [
    "address",
    "data",
    "device",
    "email",
    "emails",
    "external_id",
    "first_name",
    "language",
    "last_name",
    "metadata",
    "networks",
    "picture",
    "reason",
    // Who signed in, in the words of an issuer.
    "subject",
];

/// The same for records of one kind.
const PERSONAL_OF: [(&str, &str); 1] = [(ApiKey::KIND, "name")];

/// Whether an attribute of a record of this kind can name a person.
pub fn is_personal(kind: &str, attribute: &str) -> bool {
    PERSONAL.contains(&attribute) || PERSONAL_OF.contains(&(kind, attribute))
}

/// The salt of an event: nobody can find out the salt of another event from it.
pub(super) fn salt(secret: &str, subject: &Subject, version: u64) -> String {
    sha256(&json!([secret, subject.kind, subject.id, version]).to_string())
}

fn commitment(salt: &str, attribute: &str, side: &str, value: &Value) -> Value {
    sha256(&json!([salt, attribute, side, value]).to_string()).into()
}

impl Event {
    /// Whether its personal values are gone.
    pub fn is_erased(&self) -> bool {
        self.salt.is_none() && self.changes.values().any(|change| change.personal)
    }

    /// The same event with commitments in place of its personal values, and without its salt.
    #[must_use]
    pub fn erased(&self) -> Self {
        let mut event = self.clone();
        let salt = event.salt.take();
        for (name, change) in &mut event.changes {
            // A map comes back from the table in any order.
            change.from.sort_all_objects();
            change.to.sort_all_objects();
            if let Some(salt) = salt.as_ref().filter(|_| change.personal) {
                change.from = commitment(salt, name, "from", &change.from);
                change.to = commitment(salt, name, "to", &change.to);
            }
        }
        event
    }

    /// The text that [`Event::hash`] is of: the erased event as JSON without spaces. Its members are in the order of the type;
    /// members of values are sorted.
    pub fn sealed(&self) -> String {
        serde_json::to_string(&self.erased()).expect("an event is plain JSON")
    }

    /// SHA-256 of [`Event::sealed`], in hex.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.sealed()))
    }
}
