//! The caller of a request.

use domain::Problem;
use domain::id::{TenantId, UserId};

use crate::table::key::TenantKeys;

/// A member, proven by one or two tokens. The gate looks up whether the tokens' sessions still live.
///
/// Other kinds of caller will stand here with the credentials that prove them. The gate needs the same of each: the items that
/// tell what the caller may do now, and the [`Author`](domain::Author) that events name.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub tenant: TenantId,
    slug: String,
    pub(crate) proofs: Vec<Proof>,
}

/// A token that proved the caller. It is verified again when the keys change.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub token: String,
    pub session: String,
    /// In seconds since the epoch.
    pub issued: i64,
}

impl Caller {
    pub(crate) fn new(user: UserId, tenant: TenantId, slug: String, proof: Proof) -> Self {
        Self { user, tenant, slug, proofs: vec![proof] }
    }

    /// A person who signs in: an issuer has proved them, and they have no session yet.
    pub(crate) fn signing_in(user: UserId, tenant: TenantId) -> Self {
        Self { user, tenant, slug: String::new(), proofs: Vec::new() }
    }

    /// The member of a session whose refresh token is shown.
    pub(crate) fn of_session(user: UserId, tenant: TenantId, session: String, now: i64) -> Self {
        let proof = Proof { token: String::new(), session, issued: now };
        Self { proofs: vec![proof], ..Self::signing_in(user, tenant) }
    }

    /// Adds the second credential of the same caller.
    pub(crate) fn also(&mut self, other: Caller) {
        self.proofs.extend(other.proofs);
    }

    /// The session of the request; empty for somebody who signs in.
    pub fn session(&self) -> &str {
        self.proofs.first().map_or("", |proof| &proof.session)
    }

    /// The tenant by its UUID, its number or, if it is the caller's, its slug. This reads nothing.
    pub fn tenant_spelled(&self, spelling: &str) -> Option<TenantId> {
        if spelling == self.slug { Some(self.tenant) } else { TenantId::parse(spelling) }
    }

    /// 403 unless that is the credential's tenant.
    pub fn same_tenant(&self, tenant: Option<TenantId>) -> Result<(), Problem> {
        if tenant == Some(self.tenant) { Ok(()) } else { Err(Problem::TenantMismatch) }
    }

    /// 403 unless that is the slug of the credential's tenant.
    pub fn same_slug(&self, slug: &str) -> Result<(), Problem> {
        if slug == self.slug { Ok(()) } else { Err(Problem::TenantMismatch) }
    }

    pub(super) fn keys(&self) -> TenantKeys {
        TenantKeys(self.tenant)
    }
}
