//! A look at the record is on record if the tenant says so.

use serde_json::{Value, json};
use shared::id::{LabelId, TenantId};

use super::{Product, get, quiet_tenant};

async fn of_readings(product: &Product, who: (&str, TenantId)) -> Vec<Value> {
    get(product, who, "/v1/events?subject=reading&limit=200").await["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_look_is_on_record_with_who_and_what_and_only_if_the_tenant_says_so() {
    let product = Product::start().await;
    let (tenant, owner) = quiet_tenant(&product, "watched", &[3, 2]).await;
    let admin = product.access("watched", "member2@watched.example").await;
    let user = product.access("watched", "member3@watched.example").await;
    let set = async |token: &str, on: bool| {
        let body = json!({ "settings": { "record_reads": on } });
        product.users(token, tenant, ("PATCH", "/v1/tenant"), &[], Some(body)).await.status
    };
    assert_eq!(of_readings(&product, (&owner, tenant)).await, Vec::<Value>::new(), "off by default");
    assert_eq!((set(&admin, true).await, set(&owner, true).await), (403, 200));

    let me = get(&product, (&admin, tenant), "/v1/users/me").await["id"].as_str().unwrap().to_owned();
    let label = format!("label:{}", LabelId::new(1).uuid_in(tenant));
    let paths = [
        (
            "/v1/events?action=created&actor=product&limit=1".to_owned(),
            "events",
            json!({ "action": "created", "actor": "product" }),
        ),
        ("/v1/users/me/events".to_owned(), "events", json!({ "subject": format!("member:{me}") })),
        (format!("/v1/events/verify?subject={label}"), "chain", json!({ "subject": label })),
        ("/v1/users/me/events/verify".to_owned(), "chain", json!({ "subject": format!("member:{me}") })),
        ("/v1/events/checkpoints".to_owned(), "checkpoints", json!({})),
    ];
    for (path, ..) in &paths {
        get(&product, (&admin, tenant), path).await;
    }
    // Who may not look leaves nothing.
    assert_eq!(product.users(&user, tenant, ("GET", "/v1/events"), &[], None).await.status, 403);
    let mut found = of_readings(&product, (&owner, tenant)).await;
    let own = found.iter().position(|event| event["actor"]["id"] != json!(me)).map(|at| found.remove(at));
    assert_eq!(own.unwrap()["changes"]["filters"]["to"], json!({ "subject": "reading" }), "this look, too");
    assert_eq!(found.len(), paths.len(), "{found:?}");
    for (path, of, filters) in &paths {
        let is_it =
            |event: &&Value| event["changes"]["of"]["to"] == json!(of) && event["changes"]["filters"]["to"] == *filters;
        let event = found.iter().find(is_it).unwrap_or_else(|| panic!("{path}: {found:?}"));
        assert_eq!(event["actor"], json!({ "kind": "member", "id": me, "reason": null }));
        // It is an event like others.
        let subject = format!("reading:{}", event["subject"]["id"].as_str().unwrap());
        let checked = get(&product, (&owner, tenant), &format!("/v1/events/verify?subject={subject}")).await;
        assert_eq!((&checked["is_intact"], &checked["checked"]), (&json!(true), &json!(1)));
        assert_eq!(checked["ends_with"], "open");
    }

    let before = of_readings(&product, (&owner, tenant)).await.len();
    assert_eq!(set(&owner, false).await, 200);
    get(&product, (&admin, tenant), "/v1/events").await;
    assert_eq!(of_readings(&product, (&owner, tenant)).await.len(), before);
}

/// A policy that leaves labels to owners.
const DRAFT: &str = r#"forbid (principal, action == Action::"label:manage", resource) unless { principal.rank == 3 };"#;

/// A trial of a policy shows events. A further page of its members shows none.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_on_the_past_is_a_look() {
    let product = Product::start().await;
    let (tenant, owner) = quiet_tenant(&product, "tried", &[1]).await;
    let try_out = async |query: &str| {
        let path = format!("/v1/policies/dry-run?limit=1{query}");
        let reply = product.users(&owner, tenant, ("POST", &path), &[], Some(json!({ "text": DRAFT }))).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    let looks = async || -> Vec<Value> {
        let found = of_readings(&product, (&owner, tenant)).await.into_iter();
        found.filter(|event| event["changes"]["of"]["to"] == "dry-run").collect()
    };
    try_out("").await;
    assert_eq!(looks().await, Vec::<Value>::new(), "off by default");
    let body = json!({ "settings": { "record_reads": true } });
    assert_eq!(product.users(&owner, tenant, ("PATCH", "/v1/tenant"), &[], Some(body)).await.status, 200);

    let first = try_out("").await;
    let found = looks().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0]["actor"]["kind"], &found[0]["changes"]["filters"]["to"]), (&json!("member"), &json!({})));
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(try_out(&format!("&cursor={cursor}")).await["past"]["read"], 0);
    assert_eq!(looks().await.len(), 1);
    assert_eq!(try_out("&events=1").await["past"]["read"], 1);
    assert_eq!(looks().await.len(), 2);
}

/// What cannot be written down is not shown.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_waits_for_the_event() {
    let product = Product::start().await;
    let (tenant, owner) = quiet_tenant(&product, "strict", &[1]).await;
    let body = json!({ "settings": { "record_reads": true } });
    assert_eq!(product.users(&owner, tenant, ("PATCH", "/v1/tenant"), &[], Some(body)).await.status, 200);
    let broken = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "by the test" });
    product.server.set_fault(Some(std::sync::Arc::new(move |request| {
        let shows = matches!(request.function.as_deref(), Some("events-get" | "policies-dry-run"));
        let is_note = shows && request.operation == "PutItem";
        if is_note { local::front::Fault::AnswerBefore(400, broken.clone()) } else { local::front::Fault::None }
    })));
    let reply = product.users(&owner, tenant, ("GET", "/v1/events"), &[], None).await;
    assert!(reply.status >= 500 && reply.json()["data"].is_null(), "{reply:?}");
    let draft = Some(json!({ "text": DRAFT }));
    let reply = product.users(&owner, tenant, ("POST", "/v1/policies/dry-run"), &[], draft).await;
    assert!(reply.status >= 500 && reply.json()["past"].is_null(), "{reply:?}");
}
