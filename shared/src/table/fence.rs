//! Fences: many requests at once rest on one fact, and none commits on a fact that has changed.
//!
//! What a member may do, and the rules of a tenant, are facts on which a request rests. Its transaction must check them. If
//! all transactions checked the fact's own item, DynamoDB would let through one at a time. So a fact that is contended has
//! [`FENCES`] items beside its own, its fences. Each holds the highest version of the fact that anybody has shown it.
//!
//! 1. A request reads the fact from the fact's own item, in its one read.
//! 2. Its transaction takes one fence, at random: it sets the fence's version to the one that it read, if the fence holds no
//!    higher one. If another transaction holds that fence, the request takes the next one at once.
//! 3. A request that changes the fact commits the new version in the fact's own item. Then it raises every fence to that
//!    version, and only then it answers. From that moment no transaction with an older version can commit. What commits
//!    before that moment is ordered before the change.
//! 4. The process may die between the two. Then nobody was told that the change is done. A caller who repeats the request
//!    raises the fences even if nothing else changes, or if the answer is on record. If nobody repeats it, each later request
//!    raises the fence that it takes, and the requests that read the older version end with their functions' time limit.
//! 5. A fact without contention has no fences: its item is checked itself. The first conflict on it puts up the fences. A
//!    request that checks the item itself stays safe, since the change is in that item. A request that changes the fact
//!    has read how many fences there are, and its transaction checks that number.
//!
//! `tests/fences.rs` walks through all interleavings of a model of this.

use domain::{ApiKey, Member, Tenant};

use super::key::{Key, TenantKeys};

/// How many fences a contended fact has.
pub const FENCES: u32 = 128;

/// A fact on which many requests rest, as one of them has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The fact's own item.
    pub item: Key,
    /// The attribute of the item that holds the version.
    pub attribute: &'static str,
    pub version: u64,
    /// How many fences there are: none, or [`FENCES`].
    pub fences: u32,
}

impl Fact {
    /// What a member may do.
    pub fn authority(member: &Member) -> Self {
        let item = TenantKeys(member.tenant).member(member.user);
        Self { item, attribute: "authority", version: member.authority, fences: member.fences }
    }

    /// What an API key may do: any change of it counts.
    pub fn of_key(key: &ApiKey) -> Self {
        let item = TenantKeys(key.tenant).api_key(key.id);
        Self { item, attribute: "version", version: key.meta.version, fences: key.fences }
    }

    /// A tenant's roles, groups, labels and policies.
    pub fn rules(tenant: &Tenant) -> Self {
        let item = TenantKeys(tenant.id).tenant();
        Self { item, attribute: "catalog_version", version: tenant.catalog_version, fences: tenant.fences }
    }
}
