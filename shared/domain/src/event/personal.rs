//! Personal values in events, and how an event is erased.
//!
//! The hash of an event covers a commitment in place of each personal value. A commitment is the SHA-256 of the JSON array of the
//! event's salt, the name of the attribute, the side (`from` or `to`) and the value. Erasing takes the salt away and leaves the
//! commitments: the hash stays, and nobody can try values until one fits.

use serde_json::{Value, json};

use crate::api_key::ApiKey;
use crate::id::sha256;
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

/// What stands for a value, and tells nothing of it without the salt.
pub(super) fn commitment(salt: &str, attribute: &str, side: &str, value: &Value) -> Value {
    sha256(&json!([salt, attribute, side, value]).to_string()).into()
}
