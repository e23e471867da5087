//! A domain that a tenant claims: people with addresses there can join the tenant by themselves.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{DomainId, RoleId, TenantId};
use crate::member::invitation::Inviter;
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::{Problem, Reference};
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The most domains that a tenant claims.
pub const MAX_CLAIMED: usize = 50;

/// The most roles that a domain gives.
pub const MAX_ROLES: usize = 20;

/// The name of the DNS record that proves a claim, before the domain.
pub const RECORD: &str = "_rolecall";

/// What stands before the random text in that record.
const PROOF: &str = "rolecall-domain-verification=";

/// How long a domain is looked for after somebody has asked for it, in seconds: 7 days.
pub const LOOKED_FOR: i64 = 7 * 24 * 60 * 60;

/// Providers at whose domains anybody can get an address, so that no tenant owns them. They are the largest of those on the list
/// `free-email-domains` (npm, MIT).
const PUBLIC: [&str; 54] = [
    "126.com",
    "163.com",
    "aol.com",
    "arcor.de",
    "att.net",
    "bigpond.com",
    "bluewin.ch",
    "bol.com.br",
    "btinternet.com",
    "comcast.net",
    "cox.net",
    "duck.com",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.com",
    "icloud.com",
    "laposte.net",
    "libero.it",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "seznam.cz",
    "sfr.fr",
    "t-online.de",
    "tuta.com",
    "tutanota.com",
    "verizon.net",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yahoo.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

/// Whether anybody can get an address at a domain.
pub fn is_public(name: &str) -> bool {
    // Some providers have a domain in each country: yahoo.fr, hotmail.co.uk.
    let (provider, rest) = name.split_once('.').unwrap_or((name, ""));
    let is_of_country =
        rest.len() == 2 || ["co.", "com."].iter().any(|it| rest.strip_prefix(it).is_some_and(|it| it.len() == 2));
    PUBLIC.contains(&name) || is_of_country && ["hotmail", "live", "outlook", "yahoo"].contains(&provider)
}

/// How people join a tenant who have an address at a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DomainJoin"))]
pub enum Join {
    /// Only by an invitation, or if somebody adds them.
    #[default]
    No,
    /// At their first sign-in.
    AtOnce,
    /// At their first sign-in they ask to join: see [`join_request`](crate::join_request).
    OnApproval,
}

impl Join {
    pub const ALL: [Self; 3] = [Self::No, Self::AtOnce, Self::OnApproval];

    pub fn as_str(self) -> &'static str {
        match self {
            Join::No => "no",
            Join::AtOnce => "at_once",
            Join::OnApproval => "on_approval",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedDomain {
    pub id: DomainId,
    pub tenant: TenantId,
    /// In lower case; unique in the tenant, and among all tenants once it is verified.
    pub name: String,
    pub join: Join,
    /// What people get who join. If there is none, it is the role of new members.
    pub roles: BTreeSet<RoleId>,
    /// Who has said how people join: nobody gets by it what they may not give at that moment.
    pub author: Inviter,
    /// What must stand in the domain's DNS, for everybody to see: random text behind [`PROOF`].
    pub challenge: String,
    /// When somebody has last asked for the domain to be looked for.
    pub asked_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    #[serde(flatten)]
    pub meta: Meta,
}

/// What happens to a claimed domain.
#[derive(Clone, Debug)]
pub enum ClaimedDomainEdit {
    /// How people join, by whom it is said, and the roles that they get, each by UUID, number or name. What is not given stays.
    Set {
        join: Option<Join>,
        roles: Option<Vec<String>>,
        author: Inviter,
    },
    /// It is looked for again.
    Ask(Time),
    Verify(Time),
}

/// What must stand in the DNS of a domain that is claimed with this random text.
pub fn challenge(random: &str) -> String {
    format!("{PROOF}{random}")
}

impl ClaimedDomain {
    /// Where the challenge must stand.
    pub fn record(&self) -> String {
        format!("{RECORD}.{}", self.name)
    }
}

impl Record for ClaimedDomain {
    type Edit = ClaimedDomainEdit;

    const KIND: &'static str = "domain";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &ClaimedDomainEdit, known: &Known) -> Result<(), Problem> {
        match edit {
            ClaimedDomainEdit::Set { join, roles, author } => {
                (self.join, self.author) = (join.unwrap_or(self.join), *author);
                if let Some(spellings) = roles {
                    let (roles, bad) = known.catalog.roles_spelled(spellings, self.tenant, |role| !role.retiring);
                    self.roles = roles;
                    if !bad.is_empty() {
                        let place = vec!["body".into(), "roles".into()];
                        return Err(Problem::InvalidReference { kind: Reference::Role, place, values: bad });
                    }
                }
            }
            ClaimedDomainEdit::Ask(at) => self.asked_at = *at,
            ClaimedDomainEdit::Verify(at) => self.verified_at = Some(*at),
        }
        Ok(())
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        match self.meta.version == 0 && known.tenant.counts.domains as usize >= MAX_CLAIMED {
            true => Err(Problem::LimitReached("domains that a tenant claims", MAX_CLAIMED)),
            false => Ok(()),
        }
    }

    /// It says who becomes a member, so it is a setting that only an owner changes.
    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::UpdateTenant { settings: ["domains"].into() }]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let domains = i64::from(after.is_some()) - i64::from(before.is_some());
        // Nobody joins by what has changed meanwhile.
        let decides = |it: Option<&Self>| it.map(|it| (it.join, it.roles.clone(), it.author, it.verified_at));
        Tally { domains, rules: decides(before) != decides(after), ..Tally::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_claims_what_is_everybodys() {
        for name in ["gmail.com", "yahoo.fr", "hotmail.co.uk", "web.de"] {
            assert!(is_public(name), "{name}");
        }
        for name in ["acme.example", "yahoo.acme.example", "mygmail.com", "outlooks.com", "acme.fr"] {
            assert!(!is_public(name), "{name}");
        }
        assert!(PUBLIC.is_sorted());
    }
}
