//! An issuer: an identity provider whose tokens a tenant, or the whole deployment, trusts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{TenantId, Uuid, issuer_uuid};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};

/// The most issuers that a tenant trusts, beside those of the deployment.
pub const MAX_ISSUERS: usize = 20;

/// The most audiences, clients, domains and refused keys of an issuer, each.
pub const MAX_VALUES: usize = 20;

/// The longest `iss`, audience or client, in characters.
pub const MAX_TEXT: usize = 250;

/// The algorithms that an issuer may sign with.
pub const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
    /// Tells apart entries of one tenant with the same `iss`, of which the earlier ones were deleted: each has an audit chain of its
    /// own. 0 if the operator of the deployment made it: nobody deletes such an entry.
    #[serde(default)]
    pub number: u32,
    /// The exact `iss` of its tokens: an `https://` URL.
    pub iss: String,
    /// The values of `aud` that are ours. A token has one of them.
    pub audiences: BTreeSet<String>,
    /// The clients (`azp` or `client_id`) that may get a token for us. If there is none, any client of the audience may.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub clients: BTreeSet<String>,
    /// Those of [`ALGORITHMS`] that it signs with.
    pub algorithms: BTreeSet<String>,
    /// The domains of the addresses whose owners it knows. A token with a verified address of such a domain belongs to the member with
    /// that address, even if the member has never signed in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub domains: BTreeSet<String>,
    /// Whether its sessions get a refresh token.
    #[serde(default)]
    pub refresh_tokens: bool,
    /// The `kid` of keys that count no more, even if the issuer still publishes them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused_keys: BTreeSet<String>,
    /// Whether all tenants of the deployment trust it.
    #[serde(default)]
    pub of_deployment: bool,
    #[serde(flatten)]
    pub meta: Meta,
}

impl Issuer {
    /// The id: it follows from the `iss`, so that the `iss` leads to the item without a look-up.
    pub fn uuid(&self) -> Uuid {
        issuer_uuid(&self.iss)
    }
}

/// The wanted changes of an issuer. Parts that it does not mention stay.
#[derive(Clone, Debug, Default)]
pub struct IssuerEdit {
    pub audiences: Option<BTreeSet<String>>,
    pub clients: Option<BTreeSet<String>>,
    pub algorithms: Option<BTreeSet<String>>,
    pub domains: Option<BTreeSet<String>>,
    pub refresh_tokens: Option<bool>,
    pub refused_keys: Option<BTreeSet<String>>,
    /// One more refused key.
    pub refuse_key: Option<String>,
}

impl Record for Issuer {
    type Edit = IssuerEdit;

    const KIND: &'static str = "issuer";

    fn id(&self) -> String {
        format!("{}.{}", self.uuid(), self.number)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &IssuerEdit, _: &Known) -> Result<(), Problem> {
        let set = |values: &mut BTreeSet<String>, new: &Option<BTreeSet<String>>| {
            if let Some(new) = new {
                values.clone_from(new);
            }
        };
        set(&mut self.audiences, &edit.audiences);
        set(&mut self.clients, &edit.clients);
        set(&mut self.algorithms, &edit.algorithms);
        set(&mut self.domains, &edit.domains);
        set(&mut self.refused_keys, &edit.refused_keys);
        self.refused_keys.extend(edit.refuse_key.clone());
        self.refresh_tokens = edit.refresh_tokens.unwrap_or(self.refresh_tokens);
        match self.refused_keys.len() > MAX_VALUES {
            true => Err(Problem::LimitReached("refused keys of an issuer", MAX_VALUES)),
            false => Ok(()),
        }
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        match self.meta.version == 0 && known.tenant.counts.issuers as usize >= MAX_ISSUERS {
            true => Err(Problem::LimitReached("issuers in a tenant", MAX_ISSUERS)),
            false => Ok(()),
        }
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        let (Change::Create(issuer) | Change::Update { before: issuer, .. } | Change::Delete(issuer)) = change;
        vec![Action::ManageIssuers { of_deployment: issuer.of_deployment }]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let own = |issuer: Option<&Self>| i64::from(issuer.is_some_and(|issuer| !issuer.of_deployment));
        let issuers = own(after) - own(before);
        Tally { issuers, rules: issuers != 0, ..Tally::default() }
    }
}
