//! The identity providers of a tenant's own.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shared::domain::{Event, Subject};
use shared::id::TenantId;
use shared::table::decode;
use shared::table::key::TenantKeys;

use super::provider::Provider;
use super::{exchange, me, refresh, text};
use crate::harness::{ACME, Product, Reply};

const GLOBEX: TenantId = TenantId::new(2);

struct Owner<'a> {
    product: &'a Product,
    access: String,
    tenant: TenantId,
}

impl<'a> Owner<'a> {
    async fn of(product: &'a Product, slug: &str, tenant: TenantId) -> Self {
        let access = product.access(slug, &format!("owner@{slug}.example")).await;
        Self { product, access, tenant }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.product.users(&self.access, self.tenant, (method, path), &[], body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_trusts_an_issuer_of_its_own() {
    let product = Product::start().await;
    let provider = Provider::start().await;
    let (acme, globex) = (Owner::of(&product, "acme", ACME).await, Owner::of(&product, "globex", GLOBEX).await);
    let token = || provider.id_token("1", "user@acme.example");
    let refused = |reply: Reply| (reply.status, reply.json()["error"].as_str().unwrap_or_default().to_owned());
    assert_eq!(refused(exchange(&product, &token(), "acme").await), (400, "invalid_request".to_owned()));

    let new = json!({ "iss": provider.iss, "audiences": ["app"], "domains": ["acme.example"] });
    let made = acme.call("POST", "/v1/issuers", Some(new.clone())).await;
    assert_eq!(made.status, 201, "{}", made.json());
    let path = made.header("location").unwrap().to_owned();
    assert_eq!(path, format!("/v1/issuers/{}", provider.id()));
    assert_eq!(acme.call("POST", "/v1/issuers", Some(new.clone())).await.status, 409);
    provider.is_fetched(&product).await;
    let shown = acme.call("GET", &path, None).await.json();
    assert_eq!((&shown["keys"]["ids"], &shown["keys"]["failing_since"]), (&json!(["1"]), &Value::Null));

    // It says nothing in another tenant, and nobody there sees it.
    let tokens = exchange(&product, &token(), "acme").await;
    assert_eq!(tokens.status, 200, "{}", tokens.json());
    let tokens = tokens.json();
    assert_eq!(me(&product, text(&tokens, "access_token")).await.json()["email"], "user@acme.example");
    // Nobody makes a tenant by it, which would not trust it.
    let founded = Some(json!({ "slug": "founded", "name": "Founded" }));
    let founded = product.users(text(&tokens, "access_token"), ACME, ("POST", "/v1/tenants"), &[], founded).await;
    assert_eq!((founded.status, &founded.json()["details"]["rule"]), (403, &json!("founder-issuer")));
    // Nor does it show in which other tenants the person is.
    let tenants = async || {
        let list = product.users(text(&tokens, "access_token"), ACME, ("GET", "/v1/tenants"), &[], None).await.json();
        list["data"].as_array().unwrap().iter().map(|it| text(it, "slug").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tenants().await, ["acme"]);
    let foreign = provider.id_token("1", "user@globex.example");
    assert_eq!(refused(exchange(&product, &foreign, "globex").await), (400, "invalid_request".to_owned()));
    assert_eq!(globex.call("GET", &path, None).await.status, 404);
    let listed = globex.call("GET", "/v1/issuers", None).await.json();
    assert_eq!((&listed["issuers"], &listed["of_deployment"][0]["iss"]), (&json!([]), &json!(local::issuer::ISS)));

    // Its keys are fetched anyway: a change of the entry, and another tenant that trusts it, are no reason to fetch them again.
    let fetched = provider.fetched.load(Ordering::SeqCst);
    assert_eq!(globex.call("POST", "/v1/issuers", Some(new.clone())).await.status, 201);
    assert_eq!(exchange(&product, &token(), "globex").await.status, 200);
    // Both tenants know the `sub` now, each by an entry of its own. A token that is good for one entry proves nothing to the other tenant.
    assert_eq!(tenants().await, ["acme"]);
    let to_globex = json!({
        "grant_type": super::EXCHANGE, "subject_token": text(&tokens, "session_token"), "subject_token_type": super::JWT,
        "audience": "globex",
    });
    assert_eq!(refused(super::post(&product, to_globex).await), (400, "invalid_request".to_owned()));
    let only_others = acme.call("PATCH", &path, Some(json!({ "clients": ["another"] }))).await;
    assert_eq!((only_others.status, &only_others.json()["version"]), (200, &json!(2)));
    product.server.invoke("issuers-fetch", &json!({ "time": "2026-11-28T00:00:00Z" })).await.unwrap();
    assert_eq!(provider.fetched.load(Ordering::SeqCst), fetched);
    let other_client = provider.id_token_of("1", "user@acme.example", &json!({ "azp": "app" }));
    assert_eq!(exchange(&product, &other_client, "acme").await.status, 400, "only `another` may");
    assert_eq!(acme.call("PATCH", &path, Some(json!({ "clients": [] }))).await.status, 200);

    // A key that leaked counts no more, from the next request on, though its issuer still publishes it.
    assert_eq!(acme.call("DELETE", &format!("{path}/keys/1"), None).await.status, 204);
    assert_eq!(exchange(&product, &token(), "acme").await.status, 400);
    assert_eq!(exchange(&product, &foreign, "globex").await.status, 200, "another tenant's refusals are its own");
    assert_eq!(acme.call("PATCH", &path, Some(json!({ "refused_keys": [] }))).await.status, 200);
    let next = refresh(&product, text(&tokens, "refresh_token")).await;
    assert_eq!(next.status, 200, "{}", next.json());

    // Its end: no sign-in and no refresh from the next request on. Tokens of the session expire.
    assert_eq!(acme.call("DELETE", &path, None).await.status, 204);
    assert_eq!(acme.call("GET", &path, None).await.status, 404);
    assert_eq!(refused(exchange(&product, &token(), "acme").await), (400, "invalid_request".to_owned()));
    let last = refresh(&product, text(&next.json(), "refresh_token")).await;
    assert_eq!(refused(last), (400, "invalid_grant".to_owned()));
    let switched = json!({
        "grant_type": super::EXCHANGE, "subject_token": text(&next.json(), "session_token"), "subject_token_type": super::JWT,
    });
    assert_eq!(refused(super::post(&product, switched).await), (400, "invalid_request".to_owned()));

    // Each change is on record.
    let subject = Subject::new("issuer", format!("{}.2", provider.id()));
    let mut events = Vec::new();
    for version in 1..=6 {
        let event = product.store.get(&TenantKeys(ACME).event(&subject, version)).await.unwrap();
        events.push(decode::<Event>(event.unwrap_or_else(|| panic!("no event {version}"))).unwrap());
    }
    assert_eq!(events[3].changes["refused_keys"].to, json!(["1"]));
    assert_eq!(provider.fetched.load(Ordering::SeqCst), fetched, "the stream had time to tell of each change");
    let again = acme.call("POST", "/v1/issuers", Some(new)).await;
    assert_eq!(again.status, 201, "{}", again.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_owners_manage_issuers_and_only_the_operator_those_of_the_deployment() {
    let product = Product::start().await;
    let admin = Owner { access: product.access("acme", "admin@acme.example").await, product: &product, tenant: ACME };
    let owner = Owner::of(&product, "acme", ACME).await;
    let path = format!("/v1/issuers/{}", shared::id::issuer_uuid(local::issuer::ISS));
    let new = json!({ "iss": "https://id-0.acme.example", "audiences": ["app"] });
    for (method, path, body) in [
        ("GET", "/v1/issuers", None),
        ("GET", path.as_str(), None),
        ("POST", "/v1/issuers", Some(new.clone())),
        ("PATCH", path.as_str(), Some(json!({ "audiences": ["x"] }))),
        ("DELETE", path.as_str(), None),
        ("DELETE", &format!("{path}/keys/demo"), None),
    ] {
        let refusal = admin.call(method, path, body.clone()).await;
        assert_eq!(refusal.status, 403, "{method} {path}: {}", refusal.json());
        let (status, rule) = match method {
            "GET" => (200, Value::Null),
            "POST" => (201, Value::Null),
            _ => (403, json!("issuer-of-deployment")),
        };
        let answer = owner.call(method, path, body).await;
        assert_eq!((answer.status, answer.json()["details"]["rule"].clone()), (status, rule), "{method} {path}");
    }
    // With the one of the demo.
    for place in 1..19 {
        let new = json!({ "iss": format!("https://id-{place}.acme.example"), "audiences": ["app"] });
        assert_eq!(owner.call("POST", "/v1/issuers", Some(new)).await.status, 201, "{place}");
    }
    let more = json!({ "iss": "https://more.acme.example", "audiences": ["app"] });
    let over = owner.call("POST", "/v1/issuers", Some(more.clone())).await;
    assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")), "{}", over.json());
    let first = format!("/v1/issuers/{}", shared::id::issuer_uuid("https://id-0.acme.example"));
    assert_eq!(owner.call("DELETE", &first, None).await.status, 204);
    assert_eq!(owner.call("POST", "/v1/issuers", Some(more)).await.status, 201);
}
