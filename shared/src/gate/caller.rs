//! The caller of a request.

use domain::Problem;
use domain::id::{TenantId, UserId};

use crate::http::credential::Credential;
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
    pub(super) sessions: Vec<String>,
    /// When the oldest of the tokens was issued, in seconds since the epoch.
    pub(super) issued: i64,
    /// The tokens that proved the caller. They are verified again when the keys change.
    pub(crate) tokens: Vec<String>,
}

impl Caller {
    pub(crate) fn new(credential: Credential, token: &str) -> Self {
        let Credential { user, tenant, slug, session, issued, .. } = credential;
        Self { user, tenant, slug, sessions: vec![session], issued, tokens: vec![token.to_owned()] }
    }

    /// Adds the session and the token of a second credential of the same caller.
    pub(crate) fn also(&mut self, other: Caller) {
        self.sessions.extend(other.sessions);
        self.issued = self.issued.min(other.issued);
        self.tokens.extend(other.tokens);
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
