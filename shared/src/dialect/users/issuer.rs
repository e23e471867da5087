//! Issuers: the identity providers that a tenant, or the whole deployment, trusts.

use std::collections::BTreeSet;

use domain::id::Uuid;
use domain::issuer::ALGORITHMS;
use domain::problem::{Fault, Wrong};
use domain::{Issuer, IssuerEdit, Meta, Record, Time};
use serde::Serialize;
use serde_json::Value;

use crate::gate::issuers::{IssuerKeys, Trusted};
use crate::http::json::{Domain, Faulty, Iss, Object, Several, Visible, Wire};

/// One of the algorithms that an issuer may sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Algorithm(#[cfg_attr(feature = "openapi", schemars(extend("enum" = ALGORITHMS)))] String);

impl Wire for Algorithm {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let known = value.as_str().filter(|text| ALGORITHMS.contains(text));
        known
            .map(|text| Self(text.to_owned()))
            .ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("`RS256`, `PS256`, `ES256`, `EdDSA`"))])
    }
}

/// The fields of an issuer that a client can set, each optional, beside those that a new one must have.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct IssuerFields {
    /// The clients (`azp` or `client_id`) that may get a token for us. If there is none, any client of the audiences may.
    clients: Option<Several<Visible>>,
    /// The algorithms that it signs with; all that are known, if a new issuer does not say. At least one.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    algorithms: Option<Several<Algorithm>>,
    /// The domains of the addresses whose owners it knows. A token with a verified address of such a domain belongs to the member with
    /// that address, even if the member has never signed in.
    domains: Option<Several<Domain>>,
    /// Whether its sessions get a refresh token; `true` for a new issuer that does not say.
    refresh_tokens: Option<bool>,
    /// The `kid` of keys that count no more, even if the issuer still publishes them.
    refused_keys: Option<Several<Visible>>,
}

/// The wanted changes of an issuer.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct IssuerUpdate {
    /// The values of `aud` that are ours. A token has one of them. At least one.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    audiences: Option<Several<Visible>>,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    fields: IssuerFields,
}

/// A new issuer.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "IssuerCreation"))]
pub struct NewIssuer {
    /// The exact `iss` of its tokens: an `https://` URL. Its keys are found from there, as OpenID Connect Discovery says.
    iss: Iss,
    /// The values of `aud` that are ours. A token has one of them. At least one.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    audiences: Several<Visible>,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    fields: IssuerFields,
}

fn texts(values: Several<Visible>) -> BTreeSet<String> {
    values.0.into_iter().map(|it| it.0).collect()
}

/// Refuses a list without a value.
fn not_empty<T>(object: &mut Object, name: &'static str, values: Option<&Several<T>>) {
    if values.is_some_and(|Several(values)| values.is_empty()) {
        object.refuse(Fault::here(Wrong::Empty).within(name));
    }
}

impl IssuerFields {
    fn read(object: &mut Object) -> Self {
        let read = Self {
            clients: object.optional("clients"),
            algorithms: object.optional("algorithms"),
            domains: object.optional("domains"),
            refresh_tokens: object.optional("refresh_tokens"),
            refused_keys: object.optional("refused_keys"),
        };
        not_empty(object, "algorithms", read.algorithms.as_ref());
        read
    }

    fn edit(self, audiences: Option<Several<Visible>>) -> IssuerEdit {
        IssuerEdit {
            audiences: audiences.map(texts),
            clients: self.clients.map(texts),
            algorithms: self.algorithms.map(|Several(all)| all.into_iter().map(|it| it.0).collect()),
            domains: self.domains.map(|Several(domains)| domains.into_iter().map(|it| it.0).collect()),
            refresh_tokens: self.refresh_tokens,
            refused_keys: self.refused_keys.map(texts),
            refuse_key: None,
        }
    }
}

impl IssuerUpdate {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let audiences = object.optional("audiences");
        not_empty(object, "audiences", audiences.as_ref());
        Ok(Self { audiences, fields: IssuerFields::read(object) })
    }

    pub fn edit(self) -> IssuerEdit {
        self.fields.edit(self.audiences)
    }
}

impl NewIssuer {
    /// # Errors
    /// The faults of the object.
    pub fn of(object: &mut Object) -> Result<Self, Faulty> {
        let (iss, audiences) = (object.required("iss"), object.required("audiences"));
        not_empty(object, "audiences", audiences.as_ref().ok());
        let fields = IssuerFields::read(object);
        Ok(Self { iss: iss?, audiences: audiences?, fields })
    }

    /// The issuer, not written yet.
    pub fn record(self) -> Issuer {
        let edit = self.fields.edit(None);
        Issuer {
            number: 0,
            iss: self.iss.0,
            audiences: texts(self.audiences),
            clients: edit.clients.unwrap_or_default(),
            algorithms: edit.algorithms.unwrap_or_else(|| ALGORITHMS.map(str::to_owned).into()),
            domains: edit.domains.unwrap_or_default(),
            refresh_tokens: edit.refresh_tokens.unwrap_or(true),
            refused_keys: edit.refused_keys.unwrap_or_default(),
            of_deployment: false,
            meta: Meta::new(Time::from_millis(0)),
        }
    }
}

impl Wire for NewIssuer {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(Self::of)
    }
}

/// An issuer that the tenant trusts.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Issuer"))]
pub struct ShownIssuer<'a> {
    pub id: Uuid,
    /// The exact `iss` of its tokens.
    iss: &'a str,
    /// The values of `aud` that are ours. A token has one of them.
    audiences: &'a BTreeSet<String>,
    /// The clients (`azp` or `client_id`) that may get a token for us. If there is none, any client of the audiences may.
    clients: &'a BTreeSet<String>,
    /// The algorithms that it signs with.
    algorithms: &'a BTreeSet<String>,
    /// The domains of the addresses whose owners it knows.
    domains: &'a BTreeSet<String>,
    /// Whether its sessions get a refresh token.
    refresh_tokens: bool,
    /// The `kid` of keys that count no more.
    refused_keys: &'a BTreeSet<String>,
    /// Whether all tenants of the deployment trust it. Then only the operator of the deployment changes it.
    of_deployment: bool,
    created_at: Time,
    updated_at: Time,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownIssuer<'a> {
    pub fn new(issuer: &'a Issuer) -> Self {
        Self {
            id: issuer.uuid(),
            iss: &issuer.iss,
            audiences: &issuer.audiences,
            clients: &issuer.clients,
            algorithms: &issuer.algorithms,
            domains: &issuer.domains,
            refresh_tokens: issuer.refresh_tokens,
            refused_keys: &issuer.refused_keys,
            of_deployment: issuer.of_deployment,
            created_at: issuer.meta.created_at,
            updated_at: issuer.meta.updated_at,
            version: issuer.shown_version(),
        }
    }
}

/// An issuer with the state of its keys.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct IssuerWithKeys<'a> {
    #[serde(flatten)]
    issuer: ShownIssuer<'a>,
    /// The keys that were fetched from it; null before the first attempt.
    keys: Option<ShownKeys>,
}

/// The keys that were fetched from an issuer.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "IssuerKeys"))]
struct ShownKeys {
    /// The `kid` of each key that has one.
    ids: Vec<String>,
    /// When they were fetched; null if no attempt has succeeded.
    fetched_at: Option<Time>,
    /// Since when the attempts have failed; null if the last one succeeded. Keys count for 24 hours after they were fetched.
    failing_since: Option<Time>,
}

impl<'a> IssuerWithKeys<'a> {
    pub fn new(issuer: &'a Issuer, keys: Option<&IssuerKeys>) -> Self {
        let at = |seconds: i64| Time::from_millis(seconds.saturating_mul(1_000));
        let shown = |keys: &IssuerKeys| {
            let set: Value = keys.document.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
            let ids = set["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str());
            ShownKeys {
                ids: ids.map(str::to_owned).collect(),
                fetched_at: keys.document.as_ref().map(|_| at(keys.fetched_at)),
                failing_since: keys.failed_since.map(at),
            }
        };
        Self { issuer: ShownIssuer::new(issuer), keys: keys.map(shown) }
    }

    pub fn version(&self) -> u64 {
        self.issuer.version
    }
}

/// The issuers that the tenant trusts.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "IssuerList"))]
pub struct Issuers<'a> {
    /// Its own entries, at most 20.
    issuers: Vec<ShownIssuer<'a>>,
    /// Those of the deployment that it has no entry of its own for, at most 100.
    of_deployment: Vec<IssuerOfDeployment<'a>>,
}

/// An issuer that all tenants trust.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct IssuerOfDeployment<'a> {
    id: Uuid,
    /// The exact `iss` of its tokens.
    iss: &'a str,
}

impl<'a> Issuers<'a> {
    pub fn new(trusted: &'a Trusted) -> Self {
        let of_deployment = |issuer: &'a Issuer| IssuerOfDeployment { id: issuer.uuid(), iss: &issuer.iss };
        Self {
            issuers: trusted.own.iter().map(ShownIssuer::new).collect(),
            of_deployment: trusted.of_deployment.iter().map(of_deployment).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::issuer::{MAX_TEXT, MAX_VALUES};
    use serde_json::json;

    use super::super::operator;
    use super::*;
    use crate::gate::bootstrap::Request;

    fn asked(issuer: Value) -> Result<Request, String> {
        operator::request(&json!({ "issuer": issuer })).map_err(|why| why.to_string())
    }

    #[test]
    fn an_issuer_is_named_by_its_url() {
        for iss in
            ["https://id.example", "https://id.example/realms/a", "http://127.0.0.1:8080", "http://localhost:9/x"]
        {
            assert!(asked(json!({ "iss": iss, "audiences": ["a"] })).is_ok(), "{iss}");
        }
        let long = format!("https://{}", "x".repeat(MAX_TEXT));
        for iss in [
            "",
            "id.example",
            "http://id.example",
            "https://",
            "https:///a",
            "https://a?b",
            "https://a#b",
            "https://b@c",
            &long,
        ] {
            let refused = asked(json!({ "iss": iss, "audiences": ["a"] })).unwrap_err();
            assert!(refused.starts_with("`issuer.iss` must"), "{iss}: {refused}");
        }
    }

    #[test]
    fn its_values_are_few_and_short() {
        let with = |name: &str, value: Value| {
            let mut issuer = json!({ "iss": "https://id.example", "audiences": ["a"] });
            issuer[name] = value;
            asked(issuer)
        };
        for name in ["audiences", "clients", "domains"] {
            let values = |count: usize| (0..count).map(|place| format!("a{place}.example")).collect::<Vec<_>>();
            assert!(with(name, json!(values(MAX_VALUES))).is_ok());
            let refused = with(name, json!(values(MAX_VALUES + 1))).unwrap_err();
            assert_eq!(refused, format!("`issuer.{name}` must not be longer than {MAX_VALUES}"));
        }
        assert!(with("audiences", json!([])).unwrap_err().contains("`issuer.audiences` must not be empty"));
        assert!(with("audiences", json!(["a b"])).unwrap_err().contains("visible ASCII characters"));
        assert!(with("audiences", json!(["x".repeat(MAX_TEXT + 1)])).is_err());
        assert!(with("algorithms", json!(["HS256"])).unwrap_err().contains("`RS256`"));
        assert!(with("algorithms", json!([])).unwrap_err().contains("must not be empty"));
    }
}
