//! A tenant's own policies: in force on the next request in every dialect, and never a trap.

use local::demo::FREEZE;
use local::issuer;
use serde_json::{Value, json};
use shared::domain::{Event, Subject, role};
use shared::id::{PolicyId, TenantId};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, Reply};

const GLOBEX: TenantId = TenantId::new(2);

/// A policy that keeps everybody but owners from giving roles.
const ONLY_OWNERS: &str = r#"@notice("Ask an owner.")
forbid (principal, action == Action::"member:assign-role", resource)
unless { principal.roles.contains("owner") };"#;

async fn call(product: &Product, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
    product.users(token, ACME, (method, path), &[], body).await
}

/// Where a new policy is.
fn place(made: &Reply) -> String {
    made.header("location").unwrap().to_owned()
}

/// The events of a policy of acme, oldest first.
async fn events(product: &Product, path: &str) -> Vec<Event> {
    let id = PolicyId::from_uuid_in(path.rsplit('/').next().unwrap().parse().unwrap(), ACME).unwrap();
    let mut key = TenantKeys(ACME).event(&Subject::new("policy", id), 0);
    key.sk = "EVENT#".to_owned();
    product.store.query(&key).await.unwrap().into_iter().map(|item| decode(item).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_in_force_on_the_next_request_in_every_dialect() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let dialects = Dialects::new(&product).await;
    let [admin, user] = [role::ADMIN, role::USER];
    let write = async |method: &str, path: &str, enabled: bool| {
        let body = json!({ "name": "Only owners give roles", "text": ONLY_OWNERS, "enabled": enabled });
        let reply = call(&product, &owner, method, path, Some(body)).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.json());
        reply
    };
    let made = write("POST", "/v1/policies", true).await;
    let path = place(&made);
    let refused = async || {
        for function in FUNCTIONS {
            let reply = dialects.set_role(function, admin).await;
            assert_eq!(reply.status, 403, "{function}: {}", reply.json());
            assert!(reply.json().to_string().contains("Ask an owner."), "{function}: {}", reply.json());
        }
    };
    let allowed = async || {
        for function in FUNCTIONS {
            assert_eq!(dialects.set_role(function, admin).await.status, 200, "{function}");
            assert_eq!(dialects.set_role(function, user).await.status, 200, "{function}");
        }
    };
    refused().await;
    write("PUT", &path, false).await;
    allowed().await;
    write("PUT", &path, true).await;
    refused().await;
    assert_eq!(call(&product, &owner, "DELETE", &path, None).await.status, 204);
    allowed().await;

    // The record has what the policy said.
    let events = events(&product, &path).await;
    let deeds: Vec<_> = events.iter().map(|event| format!("{:?}", event.deed)).collect();
    assert_eq!(deeds, ["Created", "Updated", "Updated", "Deleted"]);
    assert_eq!(events[0].changes["text"].to, json!(ONLY_OWNERS));
    assert_eq!(events[1].changes.keys().collect::<Vec<_>>(), ["enabled"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_says_what_the_policy_does() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let admin = product.access("acme", "admin@acme.example").await;
    // A change of the past that it would have refused, and one that it would not.
    let path = "/v1/users/726f6c65-6361-8002-8000-000000000003";
    for change in [json!({ "roles": ["user", "auditor"] }), json!({ "first_name": "Una" })] {
        assert_eq!(call(&product, &admin, "PATCH", path, Some(change)).await.status, 200);
    }
    let body = Some(json!({ "text": ONLY_OWNERS }));
    let trial = call(&product, &owner, "POST", "/v1/policies/dry-run", body.clone()).await;
    assert_eq!(trial.status, 200, "{}", trial.json());
    let refused = json!([{ "permission": "member:assign-role", "rule": "draft-0", "notices": ["Ask an owner."] }]);
    let trial = trial.json();
    assert_eq!(trial["shuts_you_out"], false);
    let past = &trial["past"];
    assert_eq!(
        (&past["judged"], past["read"].as_u64() > Some(10)),
        (&json!(2), true),
        "the seed's are not judged: {past}"
    );
    let of_past = past["refused"].as_array().unwrap();
    assert_eq!((of_past.len(), &of_past[0]["refused"]), (1, &refused), "{past}");
    assert!(of_past[0]["event"]["changes"]["roles"].is_object(), "{past}");
    let data = trial["data"].as_array().unwrap();
    assert_eq!(data.len(), 1, "of the members, only the admin gives roles, beside the owner: {trial}");
    assert_eq!((&data[0]["email"], &data[0]["refused"]), (&json!("admin@acme.example"), &refused));
    assert_eq!(call(&product, &admin, "POST", "/v1/policies/dry-run", body).await.status, 403);

    // Nothing was written: the admin still gives roles. Then the policy does what the trial said.
    let give = json!({ "roles": ["user"] });
    let with_role = call(&product, &admin, "PATCH", path, Some(json!({ "roles": ["user", "auditor"] }))).await;
    assert_eq!(with_role.status, 200, "{}", with_role.json());
    let body = json!({ "name": "Only owners give roles", "text": ONLY_OWNERS });
    assert_eq!(call(&product, &owner, "POST", "/v1/policies", Some(body)).await.status, 201);
    assert_eq!(call(&product, &admin, "PATCH", path, Some(give.clone())).await.status, 403);
    assert_eq!(call(&product, &owner, "PATCH", path, Some(give)).await.status, 200);
}

/// Whoever may not act in the tenant at all is refused that, and an API key does nothing that its maker may not do.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_judges_everybody_who_had_to_be_allowed() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let admin = product.access("acme", "admin@acme.example").await;
    let key = json!({ "name": "Labels", "roles": ["admin"] });
    let made = call(&product, &admin, "POST", "/v1/api-keys", Some(key)).await;
    assert_eq!(made.status, 201, "{}", made.json());
    let key = made.json()["secret"].as_str().unwrap().to_owned();
    let label = call(&product, &key, "POST", "/v1/labels", Some(json!({ "name": "Keyed" }))).await;
    assert_eq!(label.status, 201, "{}", label.json());
    for action in ["label:manage", "tenant:enter"] {
        // The admin made the key. The last event is that of the label, and does not name them.
        let text = format!("forbid (principal == Member::\"2\", action == Action::\"{action}\", resource);");
        let body = Some(json!({ "text": text }));
        let trial = call(&product, &owner, "POST", "/v1/policies/dry-run?events=1", body).await.json();
        let past = &trial["past"];
        assert_eq!((&past["read"], &past["judged"]), (&json!(1), &json!(1)), "{trial}");
        assert_eq!(past["refused"][0]["event"]["subject"]["kind"], "label", "{trial}");
        let refused = json!([{ "permission": action, "rule": "draft-0", "notices": [] }]);
        assert_eq!(past["refused"][0]["refused"], refused, "{trial}");
    }
}

/// Two policies that are harmless alone can shut the owners out together. The operator breaks the glass, on record.
#[tokio::test(flavor = "multi_thread")]
async fn no_policy_locks_a_tenant_out_for_good() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let shut = json!({ "name": "Closed", "text": "forbid (principal, action, resource);" });
    let refused = call(&product, &owner, "POST", "/v1/policies", Some(shut)).await;
    assert_eq!(refused.status, 400, "{}", refused.json());
    assert!(refused.json()["message"].as_str().unwrap().contains("would keep you from changing policies"));

    // Its author makes it for another owner, and then is one no more.
    let text = r#"forbid (principal, action == Action::"policy:manage", resource) unless { principal.rank == 3 && principal.groups.isEmpty() };"#;
    let body = json!({ "name": "Only owners without groups", "text": text });
    let made = call(&product, &owner, "POST", "/v1/policies", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.json());
    let path = place(&made);
    let group = "726f6c65-6361-8005-8000-000080000001";
    assert_eq!(call(&product, &owner, "PUT", &format!("/v1/users/me/groups/{group}"), None).await.status, 200);
    assert_eq!(call(&product, &owner, "DELETE", &path, None).await.status, 403);

    let recover = json!({ "recover": { "tenant": "acme", "disable_policies": true } });
    let answer = product.server.invoke("bootstrap", &recover).await.unwrap();
    assert_eq!(answer["disabled_policies"], 1, "{answer}");
    let shown = call(&product, &owner, "GET", &path, None).await.json();
    assert_eq!((&shown["enabled"], &shown["text"]), (&json!(false), &json!(text)));
    assert_eq!(call(&product, &owner, "DELETE", &path, None).await.status, 204);
    let author = events(&product, &path).await[1].author.clone();
    assert!(format!("{author:?}").contains("recovery"), "{author:?}");
    assert_eq!(product.server.invoke("bootstrap", &recover).await.unwrap()["disabled_policies"], 0);
}

/// A policy can keep the owners of a deleted tenant from signing in, to restore it. The operator breaks the glass there, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_policies_of_a_deleted_tenant_go_out_of_force() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let body = json!({ "name": "Only owners give roles", "text": ONLY_OWNERS });
    let made = call(&product, &owner, "POST", "/v1/policies", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.json());
    assert_eq!(call(&product, &owner, "DELETE", "/v1/tenant?confirm=acme", None).await.status, 200);

    let recover = json!({ "recover": { "tenant": "acme", "disable_policies": true } });
    let answer = product.server.invoke("bootstrap", &recover).await.unwrap();
    assert_eq!(answer["disabled_policies"], 1, "{answer}");
    assert_eq!(call(&product, &owner, "POST", "/v1/tenant/restore", None).await.status, 200);
    assert_eq!(call(&product, &owner, "GET", &place(&made), None).await.json()["enabled"], false);
}

/// Who cannot sign in again takes nothing back once their session has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_leaves_its_author_the_way_in_which_they_have_signed_in() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let same = format!("context.issuer == \"{}\" && context.dialect == \"oauth\"", issuer::ISS);
    for (unless, is_refused) in [
        (r#"context.amr.contains("mfa")"#, true),
        (r#"context.issuer == "https://id.example""#, true),
        // Nobody approves that somebody signs in.
        ("principal has approver", true),
        (same.as_str(), false),
    ] {
        let text = format!("forbid (principal, action == Action::\"tenant:sign-in\", resource) unless {{ {unless} }};");
        let trial = call(&product, &owner, "POST", "/v1/policies/dry-run", Some(json!({ "text": text }))).await.json();
        assert_eq!(trial["shuts_you_out"], is_refused, "{unless}: {trial}");
        let body = |enabled: bool| Some(json!({ "name": "Sign-in", "text": text, "enabled": enabled }));
        let asleep = call(&product, &owner, "POST", "/v1/policies", body(false)).await;
        assert_eq!(asleep.status, 201, "{unless}: {}", asleep.json());
        let path = place(&asleep);
        let awake = call(&product, &owner, "PUT", &path, body(true)).await;
        assert_eq!(awake.status, if is_refused { 400 } else { 200 }, "{unless}: {}", awake.json());
        assert_eq!(awake.json().to_string().contains("in which you have signed in"), is_refused, "{}", awake.json());
        assert_eq!(call(&product, &owner, "DELETE", &path, None).await.status, 204);
        let new = call(&product, &owner, "POST", "/v1/policies", body(true)).await;
        assert_eq!(new.status, if is_refused { 400 } else { 201 }, "{unless}: {}", new.json());
    }
}

/// The demo's freeze, put into force: what reads goes on, what changes is refused, and an owner goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_lasts_until_its_time() {
    assert!(include_str!("../../../docs/policies.md").contains(FREEZE), "the demo and the page have the same text");
    let product = Product::start().await;
    let owner = product.access("globex", "owner@globex.example").await;
    let admin = product.access("globex", "user@acme.example").await;
    let globex = async |token: &str, method: &str, path: &str, body: Option<Value>| {
        product.users(token, GLOBEX, (method, path), &[], body).await
    };
    // The freeze of the demo ends in a new year; this one has not ended, and the next one has.
    for (until, status) in [("9999999999", 403), ("1", 200)] {
        let body = json!({ "name": format!("Freeze {until}"), "text": FREEZE.replace("1798761600", until) });
        let made = globex(&owner, "POST", "/v1/policies", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.json());
        let named = Some(json!({ "first_name": "Ann" }));
        assert_eq!(globex(&admin, "PATCH", "/v1/users/me", named.clone()).await.status, status, "{until}");
        let label = Some(json!({ "name": format!("Label {until}") }));
        let made_label = globex(&admin, "POST", "/v1/labels", label).await.status;
        assert_eq!(made_label, if status == 200 { 201 } else { status }, "{until}");
        for path in ["/v1/users", "/v1/sessions", "/v1/policies", "/v1/events", "/v1/api-keys"] {
            assert_eq!(globex(&admin, "GET", path, None).await.status, 200, "{path}");
        }
        assert_eq!(globex(&owner, "PATCH", "/v1/users/me", named).await.status, 200);
        let path = place(&made);
        assert_eq!(globex(&owner, "DELETE", &path, None).await.status, 204);
    }
}
