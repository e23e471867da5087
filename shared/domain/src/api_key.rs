//! An API key: the credential of a machine, with roles of its own.

// Addresses, and no sockets.
use core::net::IpAddr;
use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{KeyId, RoleId, TenantId, UserId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::format::{Uid, Value};
use crate::policy::{Action, KeyDeed, groups, of_roles, of_tenant, record, string};
use crate::problem::{Problem, Reference};
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The most API keys that a tenant has at once.
pub const MAX_KEYS: usize = 250;

/// The most roles of an API key.
pub const MAX_ROLES: usize = 20;

/// The name of a key whose maker was erased.
const ERASED: &str = "erased";

/// The most networks of an API key.
pub const MAX_NETWORKS: usize = 20;

const DAY: i64 = 24 * 60 * 60;

/// How long a key is good, in seconds, if nobody says: 90 days.
pub const LASTS: i64 = 90 * DAY;

/// The longest time that a key is good, in seconds: 366 days.
pub const MAX_LASTS: i64 = 366 * DAY;

/// How often the use of a key is noted, in seconds: once an hour.
pub const USED_EVERY: i64 = 60 * 60;

/// The longest time that the secret before the last one is good, in seconds: 7 days.
pub const MAX_OVERLAP: i64 = 7 * DAY;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: KeyId,
    pub tenant: TenantId,
    pub name: String,
    pub roles: BTreeSet<RoleId>,
    /// Who made it: they must be allowed to do whatever it does. `None` once an owner has made it the tenant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<UserId>,
    /// The networks from which it may call. If there is none, it may call from everywhere.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub networks: BTreeSet<IpNet>,
    /// The newest first. There are two for a while after a rotation.
    pub secrets: Vec<Secret>,
    /// When it was rotated for the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// In seconds since the epoch.
    pub valid_until: i64,
    /// When it was last used, in seconds since the epoch, give or take [`USED_EVERY`]. A use is no change of the key: it makes no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<i64>,
    /// An ended key stays as a record, so that events which name it can be understood.
    #[serde(default)]
    pub ended: bool,
    /// How many fences stand around it.
    #[serde(default)]
    pub fences: u32,
    #[serde(flatten)]
    pub meta: Meta,
}

/// The secret of a key, of which nobody has the text but the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// SHA-256 of the text of the key, in hex.
    pub hash: String,
    /// Until when it is good, in seconds since the epoch.
    pub until: i64,
}

impl ApiKey {
    /// Whether it is good now, for a caller at this address.
    pub fn is_good(&self, address: &str, now: Time) -> bool {
        let is_inside =
            || address.parse::<IpAddr>().is_ok_and(|address| self.networks.iter().any(|it| it.contains(&address)));
        self.is_live(now) && (self.networks.is_empty() || is_inside())
    }

    /// Whether it has neither ended nor expired.
    pub fn is_live(&self, now: Time) -> bool {
        !self.ended && self.valid_until > now.seconds()
    }

    /// Whether a secret with this hash is good now.
    pub fn has_secret(&self, hash: &str, now: Time) -> bool {
        // Who does not know the text cannot choose how its hash begins: so the time of this comparison tells nothing.
        self.live_secrets(now).any(|secret| secret.hash == hash)
    }

    /// Its secrets that are good now.
    fn live_secrets(&self, now: Time) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| secret.until > now.seconds())
    }
}

/// What happens to a key.
#[derive(Clone, Debug)]
pub enum ApiKeyEdit {
    /// A new key gets these roles, each by UUID, number or name.
    Make(Vec<String>),
    /// It gets another secret, which is good as long as the key. The one before is good until `overlap`, in seconds since the epoch.
    Rotate {
        hash: String,
        valid_until: i64,
        overlap: i64,
        at: Time,
    },
    /// An owner makes it the tenant's own.
    TakeOver,
    End,
    /// It ends with the member who made it, and nothing names them.
    Erase,
}

impl Record for ApiKey {
    type Edit = ApiKeyEdit;

    const KIND: &'static str = "key";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &ApiKeyEdit, known: &Known) -> Result<(), Problem> {
        match edit {
            ApiKeyEdit::Make(spellings) => {
                let (roles, bad) = known.catalog.roles_spelled(spellings, self.tenant, |role| !role.retiring);
                self.roles = roles;
                if !bad.is_empty() {
                    let place = vec!["body".into(), "roles".into()];
                    return Err(Problem::InvalidReference { kind: Reference::Role, place, values: bad });
                }
            }
            ApiKeyEdit::Rotate { hash, valid_until, overlap, at } => {
                self.secrets.truncate(1);
                for secret in &mut self.secrets {
                    secret.until = secret.until.min(*overlap);
                }
                self.secrets.insert(0, Secret { hash: hash.clone(), until: *valid_until });
                (self.valid_until, self.rotated_at) = (*valid_until, Some(*at));
            }
            ApiKeyEdit::TakeOver => self.maker = None,
            ApiKeyEdit::End => self.ended = true,
            ApiKeyEdit::Erase => {
                (self.ended, self.name) = (true, ERASED.to_owned());
                self.networks.clear();
            }
        }
        Ok(())
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        match self.meta.version == 0 && known.tenant.counts.keys as usize >= MAX_KEYS {
            true => Err(Problem::LimitReached("API keys in a tenant", MAX_KEYS)),
            false => Ok(()),
        }
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        let deed = match change {
            Change::Create(_) => KeyDeed::Create,
            Change::Update { edit: ApiKeyEdit::Rotate { .. }, .. } => KeyDeed::Rotate,
            Change::Update { edit: ApiKeyEdit::TakeOver, .. } => KeyDeed::TakeOver,
            Change::Update { .. } | Change::Delete(_) => KeyDeed::End,
        };
        vec![Action::Key(deed)]
    }

    /// Without the limit that its maker is: their decision is one of its own.
    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        let status = if self.ended { "ended" } else { "active" };
        let attributes = [("status", string(status)), ("groups", groups([])), ("manages", groups([]))];
        let maker = self.maker.map(|maker| ("maker", Value::Entity { uid: Uid::new("Member", maker) }));
        let attributes = attributes.into_iter().chain(maker).chain(of_roles(&self.roles, catalog));
        of_tenant(tenant, Uid::new("ApiKey", self.id), record(attributes))
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let live = |key: Option<&Self>| i64::from(key.is_some_and(|key| !key.ended));
        let keys = live(after) - live(before);
        Tally { keys, rules: keys != 0, ..Tally::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role;
    use crate::{Known, Names, Rules, Tenant};

    fn key() -> ApiKey {
        ApiKey {
            id: KeyId::new(1),
            tenant: TenantId::new(1),
            name: "CI".to_owned(),
            roles: [role::USER].into(),
            maker: Some(UserId::new(1)),
            networks: BTreeSet::new(),
            secrets: vec![Secret { hash: "first".to_owned(), until: 1_000 }],
            rotated_at: None,
            valid_until: 1_000,
            used_at: None,
            ended: false,
            fences: 0,
            meta: Meta::new(Time::from_millis(0)),
        }
    }

    fn edited(key: &ApiKey, edit: &ApiKeyEdit) -> ApiKey {
        let tenant = Tenant::new(TenantId::new(1), "acme", "Acme", "", Time::from_millis(0));
        let (rules, names) = (Rules::new(1, []), Names::default());
        let mut edited = key.clone();
        edited.apply(edit, &Known { tenant: &tenant, catalog: &rules, names: &names }).unwrap();
        edited
    }

    #[test]
    fn a_key_is_good_in_its_time_and_from_its_networks() {
        let at = Time::from_millis;
        let anywhere = key();
        assert!(anywhere.is_good("203.0.113.7", at(999_000)) && anywhere.is_good("", at(0)));
        assert!(!anywhere.is_good("203.0.113.7", at(1_000_000)), "it ends at that second");
        assert!(!edited(&anywhere, &ApiKeyEdit::End).is_good("203.0.113.7", at(0)));
        let networks = ["203.0.113.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let bound = ApiKey { networks: networks.into(), ..key() };
        for address in ["203.0.113.7", "2001:db8:1::1"] {
            assert!(bound.is_good(address, at(0)), "{address}");
        }
        for address in ["203.0.114.7", "2001:db9::1", "", "nonsense"] {
            assert!(!bound.is_good(address, at(0)), "{address}");
        }
    }

    #[test]
    fn the_secret_before_the_last_is_good_for_a_while() {
        let rotate = |hash: &str, valid_until, overlap| ApiKeyEdit::Rotate {
            hash: hash.to_owned(),
            valid_until,
            overlap,
            at: Time::from_millis(0),
        };
        let live = |key: &ApiKey, seconds: i64| -> Vec<String> {
            key.live_secrets(Time::from_millis(seconds * 1_000)).map(|secret| secret.hash.clone()).collect()
        };
        let once = edited(&key(), &rotate("second", 2_000, 100));
        assert_eq!(live(&once, 99), ["second", "first"]);
        assert_eq!(live(&once, 100), ["second"]);
        // Nobody prolongs it by a second rotation, and there are never three.
        let twice = edited(&once, &rotate("third", 3_000, 500));
        assert_eq!(live(&twice, 50), ["third", "second"]);
        let long = edited(&key(), &rotate("second", 5_000, 4_000));
        assert_eq!(live(&long, 999), ["second", "first"]);
        assert_eq!(live(&long, 1_000), ["second"]);
    }
}
