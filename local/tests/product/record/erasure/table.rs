//! An erasure in a table with much in it, or with little left.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::domain::job::Task;
use shared::domain::{Difference, Event, Subject};
use shared::table::encode;
use shared::table::fence::FENCES;

use super::*;

/// Retention has removed the event that says who was the first to write something down of a thing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_names_who_wrote_the_first_event_of_a_thing_that_is_removed() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let (user, token) = newcomer(&product, &owner).await;
    let they = By(&product, token);
    let invoice = |action: &str| Some(json!({ "type": "invoice", "id": "5", "action": action }));
    they.does(201, "POST", "/v1/events", invoice("opened")).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let until = shared::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    owner.does(201, "POST", "/v1/events", invoice("paid")).await;
    let removal = Job::new(JobId::new(900), Task::RemoveEvents { until }, shared::now());
    product.store.put_all(store::record_items(ACME, &removal, shared::now()).unwrap()).await.unwrap();
    product.server.invoke("jobs-run", &record(ACME, removal.id)).await.unwrap();
    let (keys, thing) = (TenantKeys(ACME), Subject::new("thing", "invoice:5"));
    assert_eq!(product.store.get(&keys.event(&thing, 1)).await.unwrap(), None);
    assert!(product.store.get(&keys.event(&thing, 2)).await.unwrap().is_some());

    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", user.uuid()), None).await;
    product.server.invoke("jobs-run", &record(ACME, job_of(&erased, ACME))).await.unwrap();
    assert!(product.member(ACME, user).await.is_erased());
    assert_eq!(naming(&product).await, Vec::<String>::new());
    let verified = get(&product, (owner.1.as_str(), ACME), "/v1/events/verify?subject=thing:invoice:5").await;
    assert_eq!((&verified["is_intact"], &verified["removed_to"]), (&json!(true), &json!(1)), "{verified}");
}

/// Else a request that has read the names before could still commit.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_puts_the_rules_in_force_that_it_renews() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let tenant = TenantKeys(ACME).tenant();
    let mut fenced = product.store.get(&tenant).await.unwrap().unwrap();
    fenced.insert("fences".to_owned(), AttributeValue::N(FENCES.to_string()));
    product.store.put(fenced).await.unwrap();
    let before = product.tenant(ACME).await.catalog_version;
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    product.server.invoke("jobs-run", &record(ACME, job_of(&erased, ACME))).await.unwrap();
    let version = product.tenant(ACME).await.catalog_version;
    assert!(version > before && product.member(ACME, USER).await.is_erased());
    let version = AttributeValue::N(version.to_string());
    for number in 0..FENCES {
        let fence = product.store.get(&tenant.fence(number)).await.unwrap();
        assert_eq!(fence.as_ref().and_then(|it| it.get("version")), Some(&version), "fence {number}");
    }
}

/// The most memory that the worker has had, in bytes.
#[cfg(target_os = "linux")]
fn peak(product: &Product) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    };
    product.server.pids("jobs-run").into_iter().map(of).max().expect("a worker")
}

/// A function has 256 MB. The chain is read a page at a time, of a MB at most.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_large_events_needs_no_more_memory_than_a_page() {
    const EVENTS: u64 = 150;
    const SIZE: usize = 300 * 1_024;
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let exported = owner.does(202, "POST", "/v1/users/export", Some(json!({ "format": "jsonl" }))).await;
    product.server.invoke("jobs-run", &record(ACME, job_of(&exported, ACME))).await.unwrap();
    let before = peak(&product);
    let first = product.events(ACME, USER).await.remove(0);
    // Without a place in the index: only the chain itself has them.
    let large = |number: u64| {
        let note = Difference { from: Value::Null, to: json!({ "note": "x".repeat(SIZE) }), personal: true };
        let changes = [("metadata".to_owned(), note)].into();
        let event = Event { version: 1_000 + number, salt: Some("salt".to_owned()), changes, ..first.clone() };
        encode(&TenantKeys(ACME).event(&event.subject, event.version), None, &event).unwrap()
    };
    for number in 0..EVENTS {
        product.server.import(vec![large(number)]).unwrap();
    }
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    for _ in 0..10 {
        product.server.invoke("jobs-run", &record(ACME, job_of(&erased, ACME))).await.unwrap();
    }
    assert!(product.member(ACME, USER).await.is_erased());
    let more = peak(&product).saturating_sub(before);
    let all = EVENTS * SIZE as u64;
    assert!(more < all * 3 / 4, "{more} bytes more, of {all}");
    for item in product.store.query(&TenantKeys(ACME).events_of(&first.subject)).await.unwrap() {
        let event: Event = decode(item).unwrap();
        assert_eq!(event.salt, None, "{}", event.version);
    }
}
