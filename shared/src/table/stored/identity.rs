//! As whom the issuers of a tenant know its members.

use domain::id::{TenantId, UserId};
use serde::{Deserialize, Serialize};

use crate::table::key::TenantKeys;
use crate::table::{Item, Malformed, encode};

/// The `sub` of an issuer that signs in as a member, where the member leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The member, as in a [`Reference`](super::Reference): an erasure finds both items of an identity by it.
    pub number: UserId,
    pub issuer: String,
    pub subject: String,
}

impl Identity {
    /// # Errors
    /// A defect: it is no item.
    pub fn item(&self, tenant: TenantId) -> Result<Item, Malformed> {
        encode(&TenantKeys(tenant).identity_of(self.number, &self.issuer, &self.subject), None, self)
    }
}
