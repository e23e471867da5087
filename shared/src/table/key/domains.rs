//! Keys of claimed domains, and of requests to join by them.

use domain::id::{DomainId, JoinRequestId, TenantId};
use domain::{ClaimedDomain, JoinRequest, Record, Time};

use super::{Key, TenantKeys, numbered};

impl TenantKeys {
    pub fn domain(self, domain: DomainId) -> Key {
        Key::new(self.partition(), numbered(ClaimedDomain::KIND, domain.number()))
    }

    /// The partition and the prefix of the sort keys of all claimed domains.
    pub fn domains(self) -> Key {
        Key::new(self.partition(), "DOMAIN#")
    }

    /// What the search for a claimed domain has brought so far.
    pub fn search(self, domain: DomainId) -> Key {
        Key::new(self.partition(), numbered("SEARCH", domain.number()))
    }

    /// The partition and the prefix of the sort keys of all searches.
    pub fn searches(self) -> Key {
        Key::new(self.partition(), "SEARCH#")
    }

    pub fn join_request(self, request: JoinRequestId) -> Key {
        Key::new(self.partition(), numbered(JoinRequest::KIND, request.number()))
    }

    /// The partition and the prefix of the sort keys of all requests to join.
    pub fn join_requests(self) -> Key {
        Key::new(self.partition(), "JOIN-REQUEST#")
    }
}

/// A domain that a tenant has verified: no other one can.
pub fn verified_domain(name: &str) -> Key {
    Key::alone("DOMAIN", name)
}

/// The partition of the index that lists the domains of all tenants that are looked for, in the order of the times.
pub fn domain_searches() -> Key {
    Key::new("DOMAIN-SEARCHES", "")
}

/// Where the index lists a domain that is looked for at a time.
pub fn domain_search(tenant: TenantId, domain: DomainId, at: Time) -> Key {
    Key { sk: format!("{at}#{tenant}#{domain}"), ..domain_searches() }
}

/// When a domain is looked for, and which, by its sort key in that index.
pub fn domain_searched(sk: &str) -> Option<(&str, TenantId, DomainId)> {
    let (at, rest) = sk.split_once('#')?;
    let (tenant, domain) = rest.split_once('#')?;
    let tenant = TenantId::parse(tenant)?;
    Some((at, tenant, DomainId::parse_in(domain, tenant)?))
}
