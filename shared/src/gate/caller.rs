//! The caller of a request.

use domain::id::{KeyId, TenantId, UserId};
use domain::job::Starter;
use domain::member::invitation::Inviter;
use domain::problem::Denial;
use domain::session::Impersonator;
use domain::{ApiKey, Problem, Time};

use super::approvals::{Approver, not_approved};
use crate::api_key::ShownKey;
use crate::table::key::{Key, TenantKeys};

/// A member, proven by one or two tokens, or an API key. The gate looks up whether the sessions of the tokens still live, or whether
/// the key is good.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    slug: String,
    identity: Identity,
    /// Who acts as the member, if it is not the member.
    impersonator: Option<Impersonator>,
    /// Who has approved the change that the request asks for.
    approver: Option<Approver>,
    pub(crate) proofs: Vec<Proof>,
}

#[derive(Clone, Debug)]
enum Identity {
    Member(UserId),
    Key(KeyProof),
}

/// A token that proved the caller. It is verified again when the keys change.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub token: String,
    /// Empty for a token of an API key.
    pub session: String,
    /// In seconds since the epoch.
    pub issued: i64,
}

/// An API key that was shown, or that a token of ours names.
#[derive(Clone, Debug)]
pub(crate) struct KeyProof {
    pub id: KeyId,
    pub maker: Option<UserId>,
    /// SHA-256 of its text, in hex; `None` if a token names the key.
    pub hash: Option<String>,
    /// The client's address.
    pub address: String,
}

impl Caller {
    pub(crate) fn new(user: UserId, tenant: TenantId, slug: String, proof: Proof) -> Self {
        Self { slug, proofs: vec![proof], ..Self::signing_in(user, tenant) }
    }

    /// A person who signs in: an issuer has proved them, and they have no session yet.
    pub(crate) fn signing_in(user: UserId, tenant: TenantId) -> Self {
        Self::alone(tenant, Identity::Member(user))
    }

    fn alone(tenant: TenantId, identity: Identity) -> Self {
        Self { tenant, slug: String::new(), identity, impersonator: None, approver: None, proofs: Vec::new() }
    }

    /// The same member, as whom somebody acts.
    pub(crate) fn impersonated(self, impersonator: Option<Impersonator>) -> Self {
        Self { impersonator, ..self }
    }

    /// Who acts as the member, if it is not the member.
    pub(crate) fn impersonator(&self) -> Option<&Impersonator> {
        self.impersonator.as_ref()
    }

    /// The same member, with who has approved what they ask for. Nobody approves what they do themselves, and nobody acts as another
    /// member by an approval.
    ///
    /// # Errors
    /// The approval does not count.
    pub(crate) fn approved(self, approver: Approver) -> Result<Self, Problem> {
        match self.member() {
            Some(user) if user != approver.member && self.impersonator.is_none() => {
                Ok(Self { approver: Some(approver), ..self })
            }
            _ => Err(not_approved()),
        }
    }

    /// Who has approved the change that the request asks for.
    pub(crate) fn approver(&self) -> Option<&Approver> {
        self.approver.as_ref()
    }

    /// The member of a session whose refresh token is shown.
    pub(crate) fn of_session(user: UserId, tenant: TenantId, session: String, now: i64) -> Self {
        let proof = Proof { token: String::new(), session, issued: now };
        Self { proofs: vec![proof], ..Self::signing_in(user, tenant) }
    }

    /// The caller in whose name a job goes on: as they are now, without a session. `address` is where an API key has begun it.
    pub(super) fn of_starter(by: &Starter, address: Option<&str>, tenant: TenantId) -> Self {
        let identity = match by.key {
            None => Identity::Member(by.member.unwrap_or(UserId::LAST)),
            Some(id) => {
                let address = address.unwrap_or_default().to_owned();
                Identity::Key(KeyProof { id, maker: by.member, hash: None, address })
            }
        };
        Self::alone(tenant, identity)
    }

    /// The caller, as a job names them.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: they act as another member, and a job would go on without them.
    pub(super) fn starter(&self) -> Result<Starter, Problem> {
        self.acts_themselves()?;
        Ok(match &self.identity {
            Identity::Member(user) => Starter { member: Some(*user), key: None },
            Identity::Key(key) => Starter { member: key.maker, key: Some(key.id) },
        })
    }

    /// The address of the client, if it is an API key: a job that it begins needs it.
    pub(super) fn address(&self) -> Option<String> {
        self.api_key().map(|key| key.address.clone())
    }

    /// An API key that was shown, by a client at this address.
    pub(crate) fn key(shown: ShownKey, address: &str) -> Self {
        let ShownKey { tenant, slug, id, maker, hash } = shown;
        let proof = KeyProof { id, maker, hash: Some(hash), address: address.to_owned() };
        Self { slug, ..Self::alone(tenant, Identity::Key(proof)) }
    }

    /// An API key that a token of ours names.
    pub(crate) fn of_key(key: KeyProof, tenant: TenantId, slug: String, proof: Proof) -> Self {
        Self { slug, proofs: vec![proof], ..Self::alone(tenant, Identity::Key(key)) }
    }

    /// Adds the second credential of the same caller.
    pub(crate) fn also(&mut self, other: Caller) {
        self.proofs.extend(other.proofs);
    }

    /// The member, for what only a person can do.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: it is an API key.
    pub fn user(&self) -> Result<UserId, Problem> {
        let denial = || Denial::plain("person-only", "tenant:enter", "Only a person can do that, not an API key.");
        self.member().ok_or_else(|| Problem::Forbidden(denial()))
    }

    /// The member, for what only they can do themselves.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: it is an API key, or somebody acts as the member.
    pub fn oneself(&self) -> Result<UserId, Problem> {
        self.acts_themselves()?;
        self.user()
    }

    fn acts_themselves(&self) -> Result<(), Problem> {
        if self.impersonator.is_none() { Ok(()) } else { Err(impersonated()) }
    }

    /// Whether it is this member, and nobody acts as them.
    pub(super) fn is_oneself(&self, user: UserId) -> bool {
        self.member() == Some(user) && self.impersonator.is_none()
    }

    /// The member; `None` if it is an API key.
    pub fn member(&self) -> Option<UserId> {
        if let Identity::Member(user) = self.identity { Some(user) } else { None }
    }

    pub(super) fn api_key(&self) -> Option<&KeyProof> {
        if let Identity::Key(key) = &self.identity { Some(key) } else { None }
    }

    /// The caller as the one who stands for an invitation.
    pub fn inviter(&self) -> Inviter {
        match &self.identity {
            Identity::Member(user) => Inviter::Member(*user),
            Identity::Key(key) => Inviter::Key(key.id, key.maker),
        }
    }

    /// Who stands for an invitation. They do not call now.
    pub(super) fn of_inviter(inviter: Inviter, tenant: TenantId) -> Self {
        let key = |id, maker| KeyProof { id, maker, hash: None, address: String::new() };
        let identity = match inviter {
            Inviter::Member(user) => Identity::Member(user),
            Inviter::Key(id, maker) => Identity::Key(key(id, maker)),
        };
        Self::alone(tenant, identity)
    }

    /// The caller among all callers of the tenant.
    pub fn name(&self) -> String {
        match &self.identity {
            Identity::Member(user) => match &self.impersonator {
                Some(by) => format!("{user}-by-{}", by.member),
                None => user.to_string(),
            },
            Identity::Key(key) => format!("key-{}", key.id),
        }
    }

    /// The items that tell what the caller may do now.
    pub(super) fn items(&self) -> Vec<Key> {
        match &self.identity {
            Identity::Member(user) => {
                let behind = self.impersonator.iter().map(|by| by.member);
                let behind = behind.chain(self.approver.iter().map(|by| by.member));
                [*user].into_iter().chain(behind).map(|user| self.keys().member(user)).collect()
            }
            Identity::Key(key) => {
                let maker = key.maker.map(|maker| self.keys().member(maker));
                [self.keys().api_key(key.id)].into_iter().chain(maker).collect()
            }
        }
    }

    /// The session of the request; empty for somebody who signs in, and for an API key.
    pub fn session(&self) -> &str {
        self.proofs.first().map_or("", |proof| &proof.session)
    }

    /// When that session began, in seconds since the epoch.
    pub(crate) fn since(&self) -> i64 {
        self.proofs.first().map_or(0, |proof| proof.issued)
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

/// The answer to somebody who acts as a member.
pub(super) fn impersonated() -> Problem {
    let notice = "Only the member may do that, not somebody who acts as them.";
    Problem::Forbidden(Denial::plain("impersonated", "tenant:enter", notice))
}

impl KeyProof {
    /// # Errors
    /// [`Problem::Unauthenticated`]: the key is none, not good any more, or not from there.
    pub fn proves(&self, key: &ApiKey, now: Time) -> Result<(), Problem> {
        let is_shown = self.hash.as_ref().is_none_or(|hash| key.has_secret(hash, now));
        let is_good = key.is_good(&self.address, now) && is_shown;
        // A key of the tenant's own can be named with the member who made it.
        let has_maker = key.maker.is_none() || key.maker == self.maker;
        if is_good && has_maker {
            Ok(())
        } else {
            Err(Problem::Unauthenticated("the API key is not good, or not from there"))
        }
    }
}
