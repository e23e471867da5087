//! Issuers, and what the operator of a deployment asks for.

use std::collections::BTreeSet;

use domain::issuer::ALGORITHMS;
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Problem, Wrong};
use domain::{Issuer, IssuerEdit, Meta, Time};
use serde_json::Value;

use crate::gate::bootstrap::{NewOwner, Request};
use crate::http::json::{Address, Domain, Iss, Object, Several, Slug, Text, Visible, Wire};

/// One of the algorithms that an issuer may sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Algorithm(String);

impl Wire for Algorithm {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let known = value.as_str().filter(|text| ALGORITHMS.contains(text));
        known
            .map(|text| Self(text.to_owned()))
            .ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("`RS256`, `PS256`, `ES256`, `EdDSA`"))])
    }
}

/// An issuer as a request has it.
struct NewIssuer(Issuer);

impl Wire for NewIssuer {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let iss = object.required("iss");
            let edit = edit(object);
            if object.is_sound() && edit.audiences.as_ref().is_none_or(BTreeSet::is_empty) {
                object.refuse(Fault::here(Wrong::Missing).within("audiences"));
            }
            let Iss(iss) = iss?;
            let any = || ALGORITHMS.map(str::to_owned).into();
            Ok(Self(Issuer {
                iss,
                audiences: edit.audiences.unwrap_or_default(),
                clients: edit.clients.unwrap_or_default(),
                algorithms: edit.algorithms.unwrap_or_else(any),
                domains: edit.domains.unwrap_or_default(),
                refresh_tokens: edit.refresh_tokens.unwrap_or(true),
                of_deployment: false,
                meta: Meta::new(Time::from_millis(0)),
            }))
        })
    }
}

/// The wanted changes of an issuer.
fn edit(object: &mut Object) -> IssuerEdit {
    let texts = |Several(values): Several<Visible>| values.into_iter().map(|it| it.0).collect();
    let algorithms = object.optional::<Several<Algorithm>>("algorithms");
    if algorithms.as_ref().is_some_and(|Several(all)| all.is_empty()) {
        object.refuse(Fault::here(Wrong::Empty).within("algorithms"));
    }
    IssuerEdit {
        audiences: object.optional("audiences").map(texts),
        clients: object.optional("clients").map(texts),
        algorithms: algorithms.map(|Several(all)| all.into_iter().map(|it| it.0).collect()),
        domains: object
            .optional::<Several<Domain>>("domains")
            .map(|Several(domains)| domains.into_iter().map(|it| it.0).collect()),
        refresh_tokens: object.optional("refresh_tokens"),
    }
}

struct NewTenant {
    slug: String,
    name: String,
}

impl Wire for NewTenant {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (slug, name) = (object.required("slug"), object.required("name"));
            let (Slug(slug), Text::<MAX_NAME>(name)) = (slug?, name?);
            Ok(Self { slug, name })
        })
    }
}

impl Wire for NewOwner {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (email, subject) = (object.required("email"), object.optional("subject"));
            let issuer = object.optional("issuer").map(|Iss(iss)| iss);
            let Address(email) = email?;
            Ok(Self { email, issuer, subject: subject.map(|Visible(subject)| subject) })
        })
    }
}

struct Recovery {
    tenant: String,
    owner: NewOwner,
}

impl Wire for Recovery {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (tenant, owner) = (object.required("tenant"), object.required("owner"));
            let Slug(tenant) = tenant?;
            Ok(Self { tenant, owner: owner? })
        })
    }
}

/// Reads what the operator asks for: the first tenant, a new owner of a tenant, or a change of an issuer that all tenants trust.
///
/// # Errors
/// The faults of the request.
pub fn request(event: &Value) -> Result<Request, Problem> {
    let asked = Object::of_event(event)?.all(|object| Ok(read(object)))?;
    let all = "`tenant`, `owner` and `issuer`; or `recover`; or `issuer` alone";
    Ok(asked.ok_or_else(|| vec![Fault::here(Wrong::NothingOf(all)).within("body")])?)
}

fn read(object: &mut Object) -> Option<Request> {
    if let Some(Recovery { tenant, owner }) = object.optional("recover") {
        return Some(Request::Recover { tenant, owner });
    }
    let issuer = object.optional("issuer").map(|NewIssuer(issuer)| issuer);
    match (object.optional("tenant"), object.optional::<NewOwner>("owner"), issuer) {
        (None, None, Some(issuer)) => Some(Request::Trust(Box::new(issuer))),
        (Some(NewTenant { slug, name }), Some(owner), Some(issuer)) => {
            Some(Request::First { slug, name, owner, issuer: Box::new(issuer) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::issuer::{MAX_TEXT, MAX_VALUES};
    use serde_json::json;

    use super::*;

    fn asked(issuer: Value) -> Result<Request, String> {
        request(&json!({ "issuer": issuer })).map_err(|why| why.to_string())
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
        assert!(with("audiences", json!([])).unwrap_err().contains("`issuer.audiences` is required"));
        assert!(with("audiences", json!(["a b"])).unwrap_err().contains("visible ASCII characters"));
        assert!(with("audiences", json!(["x".repeat(MAX_TEXT + 1)])).is_err());
        assert!(with("algorithms", json!(["HS256"])).unwrap_err().contains("`RS256`"));
        assert!(with("algorithms", json!([])).unwrap_err().contains("must not be empty"));
    }

    #[test]
    fn the_operator_asks_for_one_thing() {
        let said = |event: Value| request(&event).map(drop).map_err(|why| why.to_string());
        let issuer = json!({ "iss": "https://id.example", "audiences": ["a"] });
        let (tenant, owner) = (json!({ "slug": "acme", "name": "Acme" }), json!({ "email": "a@acme.example" }));
        assert!(said(json!({ "tenant": tenant, "owner": owner, "issuer": issuer })).is_ok());
        assert!(said(json!({ "recover": { "tenant": "acme", "owner": owner } })).is_ok());
        for part in [json!({}), json!({ "tenant": tenant }), json!({ "tenant": tenant, "issuer": issuer })] {
            let said = said(part).unwrap_err();
            assert_eq!(said.matches("`tenant`, `owner` and `issuer`").count(), 1, "{said}");
        }
        let no_owner = said(json!({ "recover": { "tenant": "acme" } })).unwrap_err();
        assert_eq!(no_owner, "`recover.owner` is required");
        let wrong = json!({ "tenant": { "slug": "7" }, "owner": { "email": "x" }, "issuer": issuer });
        let why = said(wrong).unwrap_err();
        assert!(
            why.contains("`tenant.slug`") && why.contains("`tenant.name`") && why.contains("`owner.email`"),
            "{why}"
        );
    }
}
