//! API keys: what a request says of one, and what an answer shows.

use std::collections::BTreeSet;

use domain::api_key::{LASTS, MAX_LASTS, MAX_NETWORKS, MAX_OVERLAP, MAX_ROLES};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::{ApiKey, Record, Time};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::gate::api_keys::{NewKey, ShownApiKey};
use crate::http::json::{Faulty, Object, Text, Wire, Within};

/// How long the secret before the last one is good, in seconds, if nobody says: a day.
const OVERLAP: i64 = 24 * 60 * 60;

/// Networks that a key can be bound to, such as `203.0.113.0/24`, `2001:db8::/32`, or a single address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Network(#[cfg_attr(feature = "openapi", schemars(with = "String", length(max = 49)))] IpNet);

impl Wire for Network {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let parsed = value
            .as_str()
            .and_then(|text| text.parse().ok().or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?))));
        let wrong = Wrong::Syntax("a network such as `203.0.113.0/24`, or an IP address");
        parsed.map(|network: IpNet| Self(network.trunc())).ok_or_else(|| vec![Fault::here(wrong)])
    }
}

/// How long a key is good, in seconds.
type Lasts = Within<1, { MAX_LASTS as u32 }>;

/// A new API key.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApiKeyCreation"))]
pub struct ApiKeyCreation {
    /// What it is for.
    name: Text<MAX_NAME>,
    /// The roles of the key, each by its UUID, its number or its name: 1 to 20. They grant nothing that you may not do yourself.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_ROLES)))]
    roles: Vec<Text<MAX_NAME>>,
    /// The networks from which it may call, at most 20. Without one it may call from everywhere.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_NETWORKS)))]
    networks: Option<Vec<Network>>,
    /// How long it is good, in seconds: 90 days if you do not say, 366 days at most.
    expires_in: Option<Lasts>,
}

/// Refuses a list that has too many values.
fn at_most<T>(object: &mut Object, name: &'static str, values: &[T], most: usize) {
    if values.len() > most {
        object.refuse(Fault::here(Wrong::TooLong(most)).within(name));
    }
}

impl ApiKeyCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (name, roles) = (object.required("name"), object.required::<Vec<Text<MAX_NAME>>>("roles"));
        let (networks, expires_in) = (object.optional::<Vec<Network>>("networks"), object.optional("expires_in"));
        if let Ok(roles) = &roles {
            at_most(object, "roles", roles, MAX_ROLES);
            if roles.is_empty() {
                object.refuse(Fault::here(Wrong::Empty).within("roles"));
            }
        }
        at_most(object, "networks", networks.as_deref().unwrap_or_default(), MAX_NETWORKS);
        Ok(Self { name: name?, roles: roles?, networks, expires_in })
    }

    pub fn key(self) -> NewKey {
        NewKey {
            name: self.name.0,
            roles: self.roles.into_iter().map(|role| role.0).collect(),
            networks: self.networks.into_iter().flatten().map(|network| network.0).collect(),
            lasts: self.expires_in.map_or(LASTS, |Within(seconds)| seconds.into()),
        }
    }
}

/// The wish for another secret.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApiKeyRotation"))]
pub struct ApiKeyRotation {
    /// How long the secret before is still good, in seconds: a day if you do not say, 7 days at most. With 0 it is refused at once.
    overlap: Option<Within<0, { MAX_OVERLAP as u32 }>>,
    /// How long the new secret is good, in seconds: 90 days if you do not say, 366 days at most.
    expires_in: Option<Lasts>,
}

impl ApiKeyRotation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { overlap: object.optional("overlap"), expires_in: object.optional("expires_in") })
    }

    /// How long the new secret and the one before are good.
    pub fn seconds(self) -> (i64, i64) {
        let lasts = self.expires_in.map_or(LASTS, |Within(seconds)| seconds.into());
        (lasts, self.overlap.map_or(OVERLAP, |Within(seconds)| seconds.into()))
    }
}

/// An API key, without its secret.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApiKey"))]
pub struct ListedKey<'a> {
    pub id: Uuid,
    name: &'a str,
    /// Names of its roles. A role that was deleted is none any more.
    roles: Vec<&'a str>,
    /// The member who made it. It may do nothing that they may not do. Null if the key is the tenant's own.
    maker: Option<Uuid>,
    /// The networks from which it may call; from everywhere if there is none.
    #[cfg_attr(feature = "openapi", schemars(with = "BTreeSet<String>"))]
    networks: &'a BTreeSet<IpNet>,
    created_at: Time,
    rotated_at: Option<Time>,
    /// When it was last used, give or take an hour.
    last_used_at: Option<Time>,
    expires_at: Time,
    /// Until when the secret before the last one is good.
    previous_expires_at: Option<Time>,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ListedKey<'a> {
    pub fn new(&ShownApiKey { key, catalog }: &ShownApiKey<'a>) -> Self {
        let at = |seconds: i64| Time::from_millis(seconds.saturating_mul(1_000));
        Self {
            id: uuid(key),
            name: &key.name,
            roles: catalog.roles(&key.roles).map(|role| role.name.as_str()).collect(),
            maker: key.maker.map(|maker| maker.uuid()),
            networks: &key.networks,
            created_at: key.meta.created_at,
            rotated_at: key.rotated_at,
            last_used_at: key.used_at.map(at),
            expires_at: at(key.valid_until),
            previous_expires_at: key.secrets.get(1).map(|secret| at(secret.until)),
            version: key.shown_version(),
        }
    }
}

fn uuid(key: &ApiKey) -> Uuid {
    key.id.uuid_in(key.tenant)
}

/// All API keys that the caller may see.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApiKeyList"))]
pub struct ApiKeys<'a> {
    /// At most 250, in the order in which they were made.
    api_keys: Vec<ListedKey<'a>>,
}

impl<'a> ApiKeys<'a> {
    pub fn new(keys: &[ShownApiKey<'a>]) -> Self {
        Self { api_keys: keys.iter().map(ListedKey::new).collect() }
    }
}

/// An API key with its text.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApiKeyWithSecret"))]
pub struct KeyWithSecret<'a> {
    #[serde(flatten)]
    pub key: ListedKey<'a>,
    /// The bearer. No answer shows it again.
    pub secret: &'a str,
}
