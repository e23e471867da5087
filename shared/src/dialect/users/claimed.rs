//! Domains that a tenant claims: what a request says of one, and what an answer shows.

use domain::claimed_domain::{Join, MAX_ROLES, is_public};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::{ClaimedDomainEdit, Record, Time};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::gate::Caller;
use crate::gate::domains::{NewClaim, ShownDomain};
use crate::http::json::{Domain, Faulty, Object, Text, Wire};

/// How people join, as it is sent.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(with = "Join"))]
struct Joins(Join);

impl Wire for Joins {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let join = Join::ALL.into_iter().find(|join| value.as_str() == Some(join.as_str()));
        join.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("no, at_once, on_approval"))])
    }
}

/// The roles of a body: 20 at most.
fn roles(object: &mut Object) -> Option<Vec<Text<MAX_NAME>>> {
    let roles: Option<Vec<Text<MAX_NAME>>> = object.optional("roles");
    if roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
        object.refuse(Fault::here(Wrong::TooLong(MAX_ROLES)).within("roles"));
    }
    roles
}

fn spelled(roles: Vec<Text<MAX_NAME>>) -> Vec<String> {
    roles.into_iter().map(|role| role.0).collect()
}

/// A domain to claim.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DomainClaim"))]
pub struct DomainClaim {
    /// The domain behind the `@` of addresses. It is none at which anybody can get an address.
    domain: Domain,
    /// What becomes of people with an address there at their first sign-in, once the domain is verified: `no` if you do not say.
    /// `at_once` makes them members. With `on_approval`, they ask to join.
    join: Option<Joins>,
    /// The roles that they get if nobody names others, none twice, each by its UUID, its number or its name. Without one they get the role of new members.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<MAX_NAME>>>,
}

impl DomainClaim {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (domain, join, roles) = (object.required::<Domain>("domain"), object.optional("join"), roles(object));
        if let Ok(Domain(name)) = &domain {
            let wrong = if is_public(name) {
                Some("a domain of your own: anybody can get an address at this one")
            } else if !name.contains('.') {
                Some("the name of a domain with at least one dot")
            } else {
                // The DNS knows no other letters (RFC 5890).
                Some("the name of a domain in ASCII, such as `xn--mnchen-3ya.example`").filter(|_| !name.is_ascii())
            };
            if let Some(wrong) = wrong {
                object.refuse(Fault::here(Wrong::Syntax(wrong)).within("domain"));
            }
        }
        Ok(Self { domain: domain?, join, roles })
    }

    /// The claim, with random text.
    pub fn claim(self, random: String) -> NewClaim {
        NewClaim {
            name: self.domain.0,
            join: self.join.map_or(Join::No, |Joins(join)| join),
            roles: spelled(self.roles.unwrap_or_default()),
            random,
        }
    }
}

/// How people join from now on. What is not given stays.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DomainPatch"))]
pub struct DomainPatch {
    join: Option<Joins>,
    /// All roles that people get who join, none twice. Without any they get the role of new members.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<MAX_NAME>>>,
}

impl DomainPatch {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { join: object.optional("join"), roles: roles(object) })
    }

    pub fn edit(self, caller: &Caller) -> ClaimedDomainEdit {
        let (join, roles) = (self.join.map(|Joins(join)| join), self.roles.map(spelled));
        ClaimedDomainEdit::Set { join, roles, author: caller.inviter() }
    }
}

/// The DNS record that proves a claim.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DomainChallenge"))]
struct Challenge<'a> {
    r#type: &'static str,
    name: String,
    value: &'a str,
}

/// A domain that the tenant claims.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ClaimedDomain"))]
pub struct Claimed<'a> {
    pub id: Uuid,
    domain: &'a str,
    join: Join,
    /// Names of the roles that people get who join.
    roles: Vec<&'a str>,
    /// The DNS record to make. It can go once the domain is verified.
    challenge: Challenge<'a>,
    /// Null until the record was found.
    verified_at: Option<Time>,
    /// When the record was last looked for, and why it was not found.
    looked_at: Option<Time>,
    failure: Option<String>,
    created_at: Time,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> Claimed<'a> {
    pub fn new(ShownDomain { domain, catalog, search }: &ShownDomain<'a>) -> Self {
        let search = search.as_ref().filter(|_| domain.verified_at.is_none());
        let looked_at = search.and_then(|search| search.looked_at);
        Self {
            id: domain.id.uuid_in(domain.tenant),
            domain: &domain.name,
            join: domain.join,
            roles: catalog.roles(&domain.roles).map(|role| role.name.as_str()).collect(),
            challenge: Challenge { r#type: "TXT", name: domain.record(), value: &domain.challenge },
            verified_at: domain.verified_at,
            looked_at: looked_at.map(|at| Time::from_millis(at.saturating_mul(1_000))),
            failure: search.and_then(|search| search.failure.clone()),
            created_at: domain.meta.created_at,
            version: domain.shown_version(),
        }
    }
}

/// All domains that the tenant claims.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ClaimedDomainList"))]
pub struct ClaimedDomains<'a> {
    /// At most 50, in the order in which they were claimed.
    domains: Vec<Claimed<'a>>,
}

impl<'a> ClaimedDomains<'a> {
    pub fn new(domains: &[ShownDomain<'a>]) -> Self {
        Self { domains: domains.iter().map(Claimed::new).collect() }
    }
}
