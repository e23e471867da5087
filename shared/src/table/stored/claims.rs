//! The records of claimed domains, and of requests to join by them.

use domain::event::Stamp;
use domain::id::TenantId;
use domain::{Actor, ClaimedDomain, JoinRequest, Problem, Record};
use serde::{Deserialize, Serialize};

use super::{Image, Link, Stored, Written, stamp};
use crate::table::key::{self, TenantKeys};
use crate::table::{Malformed, encode};

/// What the search for a claimed domain has brought so far. It is no change of the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// In seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<i64>,
    #[serde(default)]
    pub is_found: bool,
    /// Why it was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Which wish the search is for. A new one begins it anew.
    pub asked_at: i64,
}

impl Stored for ClaimedDomain {
    /// It is looked for until it is verified. From then on no other tenant can have it.
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.domain(self.id);
        let mut links = vec![Link::name(keys.name(Self::KIND, &self.name), self.id, "domain with this name")?];
        if self.verified_at.is_some() {
            let claimed = "domain of another tenant";
            links.push(Link::name(key::verified_domain(&self.name), self.id, claimed)?);
        } else {
            let key = keys.search(self.id);
            let due = key::domain_search(tenant, self.id, self.asked_at);
            let search = Search { asked_at: self.asked_at.seconds(), ..Search::default() };
            links.push(Link { item: encode(&key, Some(&due), &search)?, key, named: None });
        }
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for JoinRequest {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.join_request(self.id);
        let name = keys.name(Self::KIND, &self.email);
        let links = vec![Link::name(name, self.id, "request to join with this address")?];
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}
