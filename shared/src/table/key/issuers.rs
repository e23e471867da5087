//! Keys of issuers, and of what they have said of persons.

use domain::id::{TenantId, UserId, Uuid, parse_uuid};
use domain::{Member, Record, Time};

use super::{Key, SORT_KEY, TenantKeys, fitting, numbered};

/// An issuer that all tenants trust.
pub fn issuer_of_deployment(id: Uuid) -> Key {
    Key::new("CONFIG", format!("ISSUER#{id}"))
}

/// The partition of all such issuers, and the prefix of their sort keys.
pub fn issuers_of_deployment() -> Key {
    Key::new("CONFIG", "ISSUER#")
}

/// Where the index lists the tenants that trust an issuer.
pub fn trusting(issuer: Uuid, tenant: TenantId) -> Key {
    Key { sk: format!("TENANT#{tenant}"), ..trusting_of(issuer) }
}

/// The partition of the index that lists them.
pub fn trusting_of(issuer: Uuid) -> Key {
    Key::new(format!("TRUSTING#{issuer}"), "")
}

/// The keys of an issuer, as it has published them.
pub fn issuer_keys(id: Uuid) -> Key {
    Key::alone("ISSUER-KEYS", &id.to_string())
}

/// The last time that a request has asked for the keys of an issuer. The table's stream tells of it.
pub fn asked_for_keys(id: Uuid) -> Key {
    Key::alone("ISSUER-ASKED", &id.to_string())
}

/// The issuer of an item of the table's stream: the item of an issuer, or of a request for its keys.
pub fn issuer_at(key: &Key) -> Option<Uuid> {
    let id = key.sk.strip_prefix("ISSUER#").or(key.sk.strip_prefix("ISSUER-ASKED#"))?;
    parse_uuid(id)
}

/// The partition of the index that lists the issuers whose keys are to be fetched, in the order of the times.
pub fn fetches() -> Key {
    Key::new("FETCHES", "")
}

/// Where the index lists the keys of an issuer that are to be fetched at a time.
pub fn fetch_at(issuer: Uuid, at: Time) -> Key {
    Key { sk: format!("{at}#{issuer}"), ..fetches() }
}

/// Where the index lists the tenants in which a person is known to an issuer under a `sub`.
pub fn identities(iss: &str, sub: &str) -> Key {
    Key { sk: "TENANT#".to_owned(), ..Key::alone("IDENTITIES", &format!("{iss} {sub}")) }
}

impl TenantKeys {
    /// Where the index lists a tenant that knows the person.
    pub fn identity_listed(self, iss: &str, sub: &str) -> Key {
        Key { sk: format!("TENANT#{}", self.0), ..identities(iss, sub) }
    }

    /// An identity of a member, where the member leads to it. It is beside the others: no `iss` begins like that.
    pub fn identity_of(self, user: UserId, iss: &str, sub: &str) -> Key {
        let Key { pk, sk } = self.identities_of(user);
        let person = format!("{iss} {sub}");
        let fitting = fitting(&person, SORT_KEY - sk.len());
        Key { sk: format!("{sk}{fitting}"), pk }
    }

    /// The partition and the prefix of the sort keys of a member's identities.
    pub fn identities_of(self, user: UserId) -> Key {
        Key { sk: numbered(Member::KIND, user.number()) + "#", ..self.identities() }
    }
}

/// A token that somebody has exchanged for a session; with its SHA-256, in hex.
pub fn exchanged(hash: &str) -> Key {
    Key::alone("EXCHANGED", hash)
}
