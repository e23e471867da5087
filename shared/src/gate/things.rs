//! The things of a tenant that a request names, one of a kind: a group, a label, a policy, a job, an
//! issuer, an API key, a session, a thing of the product, a webhook, a claimed domain, a request to join, an identity.

use std::collections::HashMap;

use domain::id::UserId;
use domain::{
    ApiKey, ClaimedDomain, Group, Issuer, Job, JoinRequest, Label, OwnPolicy, Problem, Session, Thing, Webhook,
};
use serde::de::DeserializeOwned;

use super::Reads;
use super::facts::{Facts, Unseen};
use crate::table::key::{Key, TenantKeys};
use crate::table::stored::{Reference, Search};
use crate::table::{Item, Malformed, decode};

/// Those that exist.
pub(super) struct Things {
    pub group: Option<Group>,
    label: Option<Label>,
    policy: Option<OwnPolicy>,
    pub job: Option<Job>,
    issuer: Option<Issuer>,
    api_key: Option<ApiKey>,
    pub session: Option<Session>,
    webhook: Option<Webhook>,
    thing: Option<Thing>,
    domain: Option<ClaimedDomain>,
    /// What the search for that domain has brought so far.
    pub search: Option<Search>,
    join_request: Option<JoinRequest>,
    /// As whom the `sub` of an issuer signs in.
    pub identity: Option<UserId>,
}

/// Where the named things are, in the order of [`Things`].
fn places(keys: TenantKeys, reads: &Reads) -> [Option<Key>; 13] {
    [
        reads.group.map(|id| keys.group(id)),
        reads.label.map(|id| keys.label(id)),
        reads.policy.map(|id| keys.own_policy(id)),
        reads.job.map(|id| keys.job(id)),
        reads.issuer.map(|id| keys.issuer(id)),
        reads.api_key.map(|id| keys.api_key(id)),
        reads.session.as_ref().map(|(user, id)| keys.session(*user, id)),
        reads.thing.as_ref().map(|name| keys.thing(name)),
        reads.webhook.map(|id| keys.webhook(id)),
        reads.domain.map(|id| keys.domain(id)),
        reads.domain.map(|id| keys.search(id)),
        reads.join_request.map(|id| keys.join_request(id)),
        reads.identity.as_ref().map(|(iss, sub)| keys.identity(iss, sub)),
    ]
}

impl Things {
    /// The keys of the items of the things.
    pub fn keys(keys: TenantKeys, reads: &Reads) -> impl Iterator<Item = Key> + use<> {
        places(keys, reads).into_iter().flatten()
    }

    /// Takes the things from the items that were read.
    ///
    /// # Errors
    /// An item is none of ours.
    pub fn of(keys: TenantKeys, reads: &Reads, found: &mut HashMap<Key, Item>) -> Result<Self, Malformed> {
        let [
            group,
            label,
            policy,
            job,
            issuer,
            api_key,
            session,
            thing,
            webhook,
            domain,
            search,
            join_request,
            identity,
        ] = places(keys, reads);
        let thing: Option<Thing> = take(found, thing)?;
        let identity: Option<Reference<_>> = take(found, identity)?;
        Ok(Self {
            group: take(found, group)?,
            label: take(found, label)?,
            policy: take(found, policy)?,
            job: take(found, job)?,
            issuer: take(found, issuer)?,
            api_key: take(found, api_key)?,
            session: take(found, session)?,
            domain: take(found, domain)?,
            search: take(found, search)?,
            join_request: take(found, join_request)?,
            thing: thing.map(|thing| Thing { name: reads.thing.clone().unwrap_or_default(), ..thing }),
            webhook: take(found, webhook)?,
            identity: identity.map(|it| it.number),
        })
    }
}

fn take<T: DeserializeOwned>(found: &mut HashMap<Key, Item>, key: Option<Key>) -> Result<Option<T>, Malformed> {
    key.and_then(|key| found.remove(&key)).map(decode).transpose()
}

impl Facts {
    /// The group that [`Reads`] named. A group that is about to be deleted is gone already.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn group(&self) -> Result<Unseen<'_, Group>, Problem> {
        self.things.group.as_ref().filter(|group| !group.retiring).map(Unseen).ok_or(Problem::NotFound("group"))
    }

    /// The same, also if it is about to be deleted.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub(super) fn any_group(&self) -> Result<Unseen<'_, Group>, Problem> {
        self.things.group.as_ref().map(Unseen).ok_or(Problem::NotFound("group"))
    }

    /// The label that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn label(&self) -> Result<Unseen<'_, Label>, Problem> {
        self.things.label.as_ref().map(Unseen).ok_or(Problem::NotFound("label"))
    }

    /// The policy that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn own_policy(&self) -> Result<Unseen<'_, OwnPolicy>, Problem> {
        self.things.policy.as_ref().map(Unseen).ok_or(Problem::NotFound("policy"))
    }

    /// The job that [`Reads`] named, or that deletes what [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub(super) fn job(&self) -> Result<Unseen<'_, Job>, Problem> {
        self.things.job.as_ref().map(Unseen).ok_or(Problem::NotFound("job"))
    }

    /// The issuer that [`Reads`] named, if the tenant has an entry of its own for it.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn issuer(&self) -> Result<Unseen<'_, Issuer>, Problem> {
        self.things.issuer.as_ref().map(Unseen).ok_or(Problem::NotFound("issuer"))
    }

    /// The claimed domain that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn domain(&self) -> Result<Unseen<'_, ClaimedDomain>, Problem> {
        self.things.domain.as_ref().map(Unseen).ok_or(Problem::NotFound("domain"))
    }

    /// The request to join that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn join_request(&self) -> Result<Unseen<'_, JoinRequest>, Problem> {
        self.things.join_request.as_ref().map(Unseen).ok_or(Problem::NotFound("join request"))
    }

    /// The API key that [`Reads`] named, if it has not ended.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn api_key(&self) -> Result<Unseen<'_, ApiKey>, Problem> {
        self.things.api_key.as_ref().filter(|key| !key.ended).map(Unseen).ok_or(Problem::NotFound("API key"))
    }

    /// The webhook that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn webhook(&self) -> Result<Unseen<'_, Webhook>, Problem> {
        self.things.webhook.as_ref().map(Unseen).ok_or(Problem::NotFound("webhook"))
    }

    /// The same, also if it has ended.
    pub(super) fn any_api_key(&self) -> Option<Unseen<'_, ApiKey>> {
        self.things.api_key.as_ref().map(Unseen)
    }

    /// The thing of the product that [`Reads`] named, if anything is written down of it.
    pub(super) fn thing(&self) -> Option<Unseen<'_, Thing>> {
        self.things.thing.as_ref().map(Unseen)
    }
}
