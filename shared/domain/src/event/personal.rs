//! Personal values in events, and how an event is erased.
//!
//! The hash of an event covers a commitment in place of each personal value. A commitment is the SHA-256 of the JSON array of the
//! event's salt, the name of the attribute, the side (`from` or `to`) and the value. Erasing takes the salt away and leaves the
//! commitments: the hash stays, and nobody can try values until one fits.

use serde_json::{Value, json};

use crate::api_key::ApiKey;
use crate::id::sha256;
use crate::record::{Record, Subject};

/// The attributes that can name a person, in records of all kinds. What lies within an attribute is not looked at. An event says itself
/// which of its values are personal, so a longer list changes no event that is on record.
const PERSONAL: [&str; 12] = [
    "data",
    "device",
    "email",
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Serialize;
    use serde_json::Map;

    use super::*;
    use crate::event::BOOKKEEPING;
    use crate::id::{KeyId, MembershipId, TenantId, UserId};
    use crate::member::picture::Picture;
    use crate::{Member, Meta, Session, SignIn, Thing, Time};

    fn member(at: Time) -> Member {
        Member {
            first_name: Some("Ann".to_owned()),
            last_name: Some("Lee".to_owned()),
            language: Some("en".to_owned()),
            external_id: Some("7".to_owned()),
            metadata: [("desk".to_owned(), "4".to_owned())].into(),
            picture: Picture::of(b"GIF89a\x01"),
            ..Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(1), "ann@acme.example", at)
        }
    }

    fn session(at: Time) -> Session {
        let (issuer, subject) = ("https://issuer.example".to_owned(), "ann".to_owned());
        Session {
            id: "s".to_owned(),
            user: UserId::new(1),
            sign_in: SignIn { issuer, subject, auth_time: None, acr: None, amr: Vec::new() },
            of_deployment: false,
            since: None,
            client: "c".to_owned(),
            device: Some("d".to_owned()),
            refresh: None,
            impersonator: None,
            reason: Some("r".to_owned()),
            expires_at: 0,
            meta: Meta::new(at),
        }
    }

    fn key(at: Time) -> ApiKey {
        ApiKey {
            id: KeyId::new(1),
            tenant: TenantId::new(1),
            name: "CI".to_owned(),
            roles: BTreeSet::new(),
            maker: None,
            networks: ["203.0.113.0/24".parse().unwrap()].into(),
            secrets: Vec::new(),
            rotated_at: None,
            valid_until: 0,
            used_at: None,
            ended: false,
            fences: 0,
            meta: Meta::new(at),
        }
    }

    fn names(record: &impl Serialize) -> BTreeSet<String> {
        match serde_json::to_value(record) {
            Ok(Value::Object(attributes)) => attributes.into_iter().map(|(name, _)| name).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// A word that names nothing in an event protects nothing: what it was meant for would be in clear.
    #[test]
    fn each_personal_attribute_is_one_that_events_list() {
        let at = Time::from_millis(0);
        let thing = Thing { data: Some(Map::new()), ..Thing::new("invoice:4", at) };
        let kinds = [
            (Member::KIND, names(&member(at))),
            (Session::KIND, names(&session(at))),
            (ApiKey::KIND, names(&key(at))),
            (Thing::KIND, names(&thing)),
        ];
        for name in PERSONAL {
            assert!(kinds.iter().any(|(_, names)| names.contains(name)), "{name} is an attribute of no record");
        }
        for (kind, name) in PERSONAL_OF {
            assert!(kinds.iter().any(|(of, names)| *of == kind && names.contains(name)), "no {kind} has a {name}");
        }
        let all = PERSONAL.into_iter().chain(PERSONAL_OF.map(|(_, name)| name));
        assert_eq!(all.filter(|name| BOOKKEEPING.contains(name)).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
