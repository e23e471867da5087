//! What the operator of a deployment asks for.

use domain::meta::MAX_NAME;
use domain::problem::{Fault, Problem, Wrong};
use serde_json::Value;

use super::issuer::NewIssuer;
use crate::gate::bootstrap::{NewOwner, Request};
use crate::http::json::{Address, Iss, Object, Slug, Text, Visible, Wire};

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
    /// None to take the tenant's policies out of force.
    owner: Option<NewOwner>,
}

impl Wire for Recovery {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let tenant = object.required("tenant");
            let disable_policies = object.optional("disable_policies").unwrap_or_default();
            let owner = if disable_policies { object.optional("owner") } else { Some(object.required("owner")?) };
            if disable_policies && owner.is_some() {
                object.refuse(Fault::here(Wrong::Syntax("left out beside `disable_policies`")).within("owner"));
            }
            let Slug(tenant) = tenant?;
            Ok(Self { tenant, owner })
        })
    }
}

/// Reads what the operator asks for: the first tenant or a further one, a new owner of a tenant, a way out of a tenant's policies, or
/// a change of an issuer that all tenants trust.
///
/// # Errors
/// The faults of the request.
pub fn request(event: &Value) -> Result<Request, Problem> {
    let asked = Object::of_event(event)?.all(|object| Ok(read(object)))?;
    let all = "`tenant` and `owner`, with `issuer` for the first tenant; or `recover`; or `issuer` alone";
    Ok(asked.ok_or_else(|| vec![Fault::here(Wrong::NothingOf(all)).within("body")])?)
}

fn read(object: &mut Object) -> Option<Request> {
    if let Some(Recovery { tenant, owner }) = object.optional("recover") {
        return Some(match owner {
            Some(owner) => Request::Recover { tenant, owner },
            None => Request::DisablePolicies { tenant },
        });
    }
    let issuer = object.optional("issuer").map(NewIssuer::record);
    match (object.optional("tenant"), object.optional::<NewOwner>("owner"), issuer) {
        (None, None, Some(issuer)) => Some(Request::Trust(Box::new(issuer))),
        (Some(NewTenant { slug, name }), Some(owner), issuer) => {
            if issuer.is_none() && owner.subject.is_some() && owner.issuer.is_none() {
                object.refuse(Fault::here(Wrong::Missing).within("issuer").within("owner"));
            }
            Some(Request::Tenant { slug, name, owner, issuer: issuer.map(Box::new) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_operator_asks_for_one_thing() {
        let said = |event: Value| request(&event).map(drop).map_err(|why| why.to_string());
        let issuer = json!({ "iss": "https://id.example", "audiences": ["a"] });
        let (tenant, owner) = (json!({ "slug": "acme", "name": "Acme" }), json!({ "email": "a@acme.example" }));
        assert!(said(json!({ "tenant": tenant, "owner": owner, "issuer": issuer })).is_ok());
        assert!(said(json!({ "tenant": tenant, "owner": owner })).is_ok());
        let known = json!({ "email": "a@acme.example", "subject": "1" });
        let of_whom = said(json!({ "tenant": tenant, "owner": known })).unwrap_err();
        assert_eq!(of_whom, "`owner.issuer` is required");
        assert!(said(json!({ "recover": { "tenant": "acme", "owner": owner } })).is_ok());
        for part in [json!({}), json!({ "tenant": tenant }), json!({ "tenant": tenant, "issuer": issuer })] {
            let said = said(part).unwrap_err();
            assert_eq!(said.matches("`tenant` and `owner`, with `issuer`").count(), 1, "{said}");
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
