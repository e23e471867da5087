//! Retention: the oldest events go, and what is left can be checked as before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use local::dynamodb::Client;
use local::front::Fault;
use local::verify::{Keys, Report, verify};
use serde_json::{Value, json};
use shared::domain::checkpoint::Covered;
use shared::domain::{Event, Subject, Time};
use shared::id::{JobId, LabelId, TenantId, UserId};
use shared::table::key::{self, Key, TenantKeys};
use shared::table::{decode, encode};

use super::checkpoints::sign;
use super::exports::run_job;
use super::{DAY, Product, get, ids, pages, quiet_tenant};

async fn call(product: &Product, (token, tenant): (&str, TenantId), at: (&str, &str), body: Option<Value>) -> u16 {
    product.users(token, tenant, at, &[], body).await.status
}

async fn delete(product: &Product, key: &Key) {
    let key = json!({ "PK": { "S": key.pk }, "SK": { "S": key.sk } });
    let client = Client::new(&product.server.dynamodb_url());
    client.call("DeleteItem", &json!({ "TableName": product.template.table_name(), "Key": key })).await.unwrap();
}

/// The round of the day begins again for this tenant.
async fn begin_again(product: &Product, tenant: TenantId) {
    let key = TenantKeys(tenant).covered();
    let covered: Covered = decode(product.store.get(&key).await.unwrap().unwrap()).unwrap();
    product.store.put(encode(&key, None, &Covered { until: None, ..covered }).unwrap()).await.unwrap();
    delete(product, &key::checkpoint_round()).await;
}

/// Does that round, and returns how many checkpoints it has signed.
async fn sign_again(product: &Product, tenant: TenantId) -> u64 {
    begin_again(product, tenant).await;
    sign(product).await
}

fn checked(events: &[Value], checkpoints: &[Value], keys: &Keys) -> Result<Report, String> {
    let lines: Vec<String> = events.iter().chain(checkpoints).map(Value::to_string).collect();
    verify(lines.iter().map(String::as_str), keys).map_err(|why| why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_shortened_record_still_shows_whatever_was_done_to_it() {
    let product = Product::start_with(|options| options.sources = false).await;
    let days: Vec<i64> = (1..=260).rev().collect();
    let (tenant, token) = quiet_tenant(&product, "kept", &days).await;
    let who = (token.as_str(), tenant);
    let label = |number: u32| LabelId::new(number).uuid_in(tenant).to_string();
    // Two chains that go on behind what is removed: a member's, and that of a label of 200 days ago, which ends.
    let me = get(&product, who, "/v1/users/me").await["id"].as_str().unwrap().to_owned();
    let member = UserId::from_uuid(me.parse().unwrap()).unwrap();
    assert_eq!(call(&product, who, ("PATCH", "/v1/users/me"), Some(json!({ "first_name": "Olga" }))).await, 200);
    assert_eq!(call(&product, who, ("DELETE", &format!("/v1/labels/{}", label(61))), None).await, 204);
    assert!(sign(&product).await >= 1);
    let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
    let keys = Keys::parse(&keys).unwrap();
    let all = pages(&product, who, "/v1/events?limit=200&sealed=true").await.concat();
    let first = pages(&product, who, "/v1/events/checkpoints?limit=10").await.concat();
    assert_eq!((first.len(), &first[0]["removed"]), (1, &Value::Null));
    assert_eq!(checked(&all, &first, &keys).unwrap().removed, None);

    let set = async |token: &str, days: Value| {
        let body = json!({ "settings": { "retention_days": days } });
        call(&product, (token, tenant), ("PATCH", "/v1/tenant"), Some(body)).await
    };
    let admin = product.access("kept", "member2@kept.example").await;
    assert_eq!((set(&admin, json!(90)).await, set(&token, json!(89)).await), (403, 400));
    assert_eq!(sign_again(&product, tenant).await, 0, "without the setting all events are kept");
    assert_eq!(set(&token, json!(90)).await, 200);
    assert_eq!(sign_again(&product, tenant).await, 1);

    // The checkpoint says what is removed before anything is.
    let checkpoints = pages(&product, who, "/v1/events/checkpoints?limit=10").await.concat();
    let (removed, until) = (&checkpoints[0]["removed"], checkpoints[0]["removed"]["until"].as_str().unwrap());
    let until: Time = serde_json::from_value(json!(until)).unwrap();
    // A round begins some minutes after the end of its day.
    assert!(matches!((shared::now().millis() - until.millis()) / DAY, 90 | 91), "{until}");
    let is_old = |event: &&Value| event["at"].as_str() < removed["until"].as_str();
    let old = all.iter().filter(is_old).count();
    assert!(old > 160 && removed["size"] == json!(old), "{removed}");
    let before = pages(&product, who, "/v1/events?limit=200&sealed=true").await.concat();
    let report = checked(&before, &checkpoints, &keys).unwrap();
    assert_eq!(report.removed, Some((old as u64, until)));

    // The removal is a job, and on record.
    run_job(&product, tenant, 1).await;
    let path = JobId::new(1).uuid_in(tenant);
    let job = get(&product, who, &format!("/v1/jobs/{path}")).await;
    assert_eq!((&job["kind"], &job["state"], &job["done"]), (&json!("remove_events"), &json!("done"), &json!(old)));
    let of_job = get(&product, who, &format!("/v1/events?subject=job:{path}")).await;
    let began = &of_job["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(began["actor"], json!({ "kind": "product", "id": null, "reason": "retention" }));
    assert_eq!(began["changes"]["task"]["to"], json!({ "kind": "remove_events", "until": removed["until"] }));
    let left = pages(&product, who, "/v1/events?limit=200&sealed=true").await.concat();
    assert_eq!(left.iter().filter(is_old).count(), 0);
    let kept: Vec<&str> = before.iter().filter(|event| !is_old(event)).map(|it| it["id"].as_str().unwrap()).collect();
    assert!(ids(&left).ends_with(&kept), "what is not too old stays");

    // Each chain is checked from where it begins now.
    let chain = async |of: &str| {
        let found = get(&product, who, &format!("/v1/events/verify?subject={of}")).await;
        ["is_intact", "checked", "removed_to", "ends_with"].map(|name| found[name].clone())
    };
    let (of_member, of_ended) = (format!("member:{me}"), format!("label:{}", label(61)));
    assert_eq!(chain(&of_member).await, [json!(true), json!(1), json!(1), json!("record")]);
    assert_eq!(chain(&of_ended).await, [json!(true), json!(1), json!(1), json!("deletion")]);
    assert_eq!(
        chain(&format!("label:{}", label(1))).await,
        [json!(true), json!(0), json!(1), json!("record")],
        "all its events are removed"
    );
    let young = format!("label:{}", label(250));
    assert_eq!(chain(&young).await, [json!(true), json!(1), Value::Null, json!("record")]);
    let (keys_of, subject) = (TenantKeys(tenant), Subject::new("member", member));
    let event = keys_of.event(&subject, 2);
    let item = product.store.get(&event).await.unwrap().unwrap();
    delete(&product, &event).await;
    let found = get(&product, who, &format!("/v1/events/verify?subject={of_member}")).await;
    assert_eq!((&found["is_intact"], &found["broken_at"]), (&json!(false), &json!(2)), "a lost end");
    let edited = Event { request: "edited".to_owned(), ..decode(item.clone()).unwrap() };
    let listed = keys_of.happened(edited.at, &subject, 2);
    product.store.put(encode(&event, Some(&listed), &edited).unwrap()).await.unwrap();
    assert_eq!(chain(&of_member).await[0], json!(false), "an edit");
    product.store.put(item).await.unwrap();
    assert_eq!(chain(&of_member).await[0], json!(true));

    // And so is the whole, elsewhere.
    let report = checked(&left, &checkpoints, &keys).unwrap();
    assert_eq!((report.events, report.checkpoints, report.removed), (left.len(), 2, Some((old as u64, until))));
    let covered_to = checkpoints[0]["until"].as_str();
    let newest = left.iter().filter(|event| event["at"].as_str() >= covered_to).count();
    assert!(left.len() - newest > 80);
    for at in newest..left.len() {
        let without = [&left[..at], &left[at + 1..]].concat();
        assert!(checked(&without, &checkpoints, &keys).is_err(), "{}", left[at]);
    }
    assert!(checked(&left[..newest], &checkpoints, &keys).is_err(), "more than the checkpoint says is removed");
    assert!(checked(&left, &first, &keys).is_err(), "the checkpoint before says nothing of a removal");
    let mut moved = left.clone();
    let (one, other) = (moved[newest]["at"].clone(), moved[newest + 1]["at"].clone());
    for (at, time, before) in [(newest, &other, &one), (newest + 1, &one, &other)] {
        let line = moved[at].to_string().replace(before.as_str().unwrap(), time.as_str().unwrap());
        moved[at] = serde_json::from_str(&line).unwrap();
        moved[at]["id"] = json!(shared::id::sha256(moved[at]["sealed"].as_str().unwrap()));
    }
    assert!(checked(&moved, &checkpoints, &keys).is_err(), "another order");

    // There is nothing more to remove on that day, and without the setting never again.
    assert_eq!(sign_again(&product, tenant).await, 0);
    assert_eq!(set(&token, Value::Null).await, 200);
    assert_eq!(sign_again(&product, tenant).await, 0);
    assert_eq!(product.tenant(tenant).await.numbers.jobs, 1);
}

/// A worker stops in the middle, and the next one goes on. Meanwhile each chain can be checked.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_goes_on_where_a_worker_has_stopped() {
    let product = Product::start_with(|options| options.sources = false).await;
    let days: Vec<i64> = (0..450).map(|number| 120 + number % 200).collect();
    let (tenant, token) = quiet_tenant(&product, "halfway", &days).await;
    let who = (token.as_str(), tenant);
    let body = json!({ "settings": { "retention_days": 90 } });
    assert_eq!(call(&product, who, ("PATCH", "/v1/tenant"), Some(body)).await, 200);
    sign(&product).await;
    let chain = async |number: u32| {
        let of = LabelId::new(number).uuid_in(tenant);
        get(&product, who, &format!("/v1/events/verify?subject=label:{of}")).await["is_intact"].clone()
    };
    let broken = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "by the test" });
    let deletions = AtomicU32::new(0);
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_work = request.function.as_deref() == Some("jobs-run") && request.operation == "DeleteItem";
        let is_late = is_work && deletions.fetch_add(1, Ordering::Relaxed) >= 250;
        if is_late { Fault::AnswerBefore(400, broken.clone()) } else { Fault::None }
    })));
    let keys = json!({ "PK": { "S": format!("TENANT#{tenant}") }, "SK": { "S": "JOB#0000000001" } });
    let record = json!({ "Records": [{ "dynamodb": { "Keys": keys } }] });
    product.server.invoke("jobs-run", &record).await.unwrap_err();
    product.server.set_fault(None);
    let left = pages(&product, who, "/v1/events?limit=200&subject=label").await.concat();
    assert!(!left.is_empty() && left.len() < 450, "it has stopped in the middle: {}", left.len());
    for number in 1..=450 {
        assert_eq!(chain(number).await, json!(true), "label {number}");
    }
    product.server.invoke("jobs-sweep", &json!({ "time": shared::now() })).await.unwrap();
    run_job(&product, tenant, 1).await;
    let job = get(&product, who, &format!("/v1/jobs/{}", JobId::new(1).uuid_in(tenant))).await;
    assert_eq!(job["state"], "done");
    let left = pages(&product, who, "/v1/events?limit=200").await.concat();
    assert!(left.iter().all(|event| event["subject"]["kind"] != "label"), "{left:?}");
    assert_eq!(chain(1).await, json!(true));

    // With the tenant goes what is kept of its chains.
    let starts = async || {
        let of_labels = Key { sk: "LABEL#".to_owned(), ..TenantKeys(tenant).starts() };
        product.store.query(&of_labels).await.unwrap().len()
    };
    assert_eq!(starts().await, 450);
    assert_eq!(call(&product, who, ("DELETE", "/v1/tenant?confirm=halfway"), None).await, 200);
    product.server.invoke("jobs-sweep", &json!({ "time": "2099-01-01T00:00:00Z" })).await.unwrap();
    run_job(&product, tenant, 2).await;
    assert_eq!(starts().await, 0);
    assert!(product.store.get(&TenantKeys(tenant).tenant()).await.unwrap().is_none());
}

/// While the events that are too old are counted, the owner decides to keep events for longer. Only those that are still too old go.
#[tokio::test(flavor = "multi_thread")]
async fn a_longer_retention_in_the_middle_of_a_count_begins_another_one() {
    let product = Product::start_with(|options| options.sources = false).await;
    let days: Vec<i64> = (0..700).map(|number| 120 + number % 200).collect();
    let (tenant, token) = quiet_tenant(&product, "longer", &days).await;
    let who = (token.as_str(), tenant);
    let keep = async |days: u32| {
        let body = json!({ "settings": { "retention_days": days } });
        assert_eq!(call(&product, who, ("PATCH", "/v1/tenant"), Some(body)).await, 200);
    };
    sign(&product).await;
    keep(90).await;
    // The first piece counts 500 events, and some of them are younger than 200 days. The second piece fails.
    let broken = json!({ "__type": "com.amazonaws.dynamodb.v20120810#ValidationException", "message": "by the test" });
    let queries = AtomicU32::new(0);
    begin_again(&product, tenant).await;
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_count = request.function.as_deref() == Some("checkpoints-write") && request.operation == "Query";
        let is_late = is_count && queries.fetch_add(1, Ordering::Relaxed) >= 2;
        if is_late { Fault::AnswerBefore(400, broken.clone()) } else { Fault::None }
    })));
    product.server.invoke("checkpoints-write", &json!({})).await.unwrap_err();
    product.server.set_fault(None);
    let covered: Covered = decode(product.store.get(&TenantKeys(tenant).covered()).await.unwrap().unwrap()).unwrap();
    assert_eq!(covered.growing.unwrap().tree.size, 500);

    keep(200).await;
    assert_eq!(sign_again(&product, tenant).await, 1);
    let all = pages(&product, who, "/v1/events?limit=200&sealed=true").await.concat();
    let checkpoints = pages(&product, who, "/v1/events/checkpoints?limit=10").await.concat();
    let removed = &checkpoints[0]["removed"];
    let old = all.iter().filter(|event| event["at"].as_str() < removed["until"].as_str()).count();
    assert!((300..500).contains(&old) && removed["size"] == json!(old), "{removed}");
    let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
    let keys = Keys::parse(&keys).unwrap();
    checked(&all, &checkpoints, &keys).unwrap();
    run_job(&product, tenant, 1).await;
    let left = pages(&product, who, "/v1/events?limit=200&sealed=true").await.concat();
    assert_eq!(checked(&left, &checkpoints, &keys).unwrap().removed.unwrap().0, old as u64);
}
