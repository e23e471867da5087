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

/// The most audiences, clients and domains of an issuer, each.
pub const MAX_VALUES: usize = 20;

/// The longest `iss`, audience or client, in characters.
pub const MAX_TEXT: usize = 250;

/// The algorithms that an issuer may sign with.
pub const ALGORITHMS: [&str; 4] = ["RS256", "PS256", "ES256", "EdDSA"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issuer {
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
}

impl Record for Issuer {
    type Edit = IssuerEdit;

    const KIND: &'static str = "issuer";

    fn id(&self) -> String {
        self.uuid().to_string()
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
        self.refresh_tokens = edit.refresh_tokens.unwrap_or(self.refresh_tokens);
        Ok(())
    }

    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::ManageIssuers]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
