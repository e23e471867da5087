//! The record: pages and filters, the feed, and what `verify` finds.

mod checkpoints;
mod damage;
mod erasure;
mod exports;
mod person;
mod readings;
mod retention;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use local::seed::Seed;
use local::{demo, store};
use serde_json::{Value, json};
use shared::domain::{Event, Label, Subject, Time};
use shared::id::{LabelId, TenantId};
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

use crate::harness::{ACME, Product, USER};

const DAY: i64 = 24 * 60 * 60 * 1_000;

async fn get(product: &Product, (token, tenant): (&str, TenantId), path: &str) -> Value {
    let reply = product.users(token, tenant, ("GET", path), &[], None).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

/// All pages of a list: each as the ids of its events.
async fn pages(product: &Product, who: (&str, TenantId), path: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(product, who, &format!("{path}{cursor}")).await;
        pages.push(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

/// A tenant of long ago, with labels that were made at these times, in days before now.
async fn quiet_tenant(product: &Product, slug: &str, days: &[i64]) -> (TenantId, String) {
    let now = shared::now().millis();
    let seed = Seed { slug, members: 3, first: 1, lifelike: false };
    let bar = indicatif::ProgressBar::hidden();
    let began = Time::from_millis(now - 400 * DAY);
    seed.fill(&product.store, began, &bar, async |items| product.server.import(items)).await.unwrap();
    let owner = format!("member1@{slug}.example");
    let (tenant, _) = demo::find(&product.store, slug, &owner).await.unwrap();
    for (number, days) in (1..).zip(days) {
        let at = Time::from_millis(now - days * DAY);
        let label = Label::new(LabelId::new(number), &format!("label {number}"), at);
        product.server.import(store::record_items(tenant, &label, at).unwrap()).unwrap();
    }
    (tenant, product.access(slug, &owner).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_each_event_once_in_order_and_cost_four_queries_at_most() {
    let product = Product::start().await;
    let (tenant, token) = quiet_tenant(&product, "quiet", &[300, 299, 298, 60, 2, 1, 0]).await;
    let who = (token.as_str(), tenant);
    product.records();
    let all = pages(&product, who, "/v1/events?limit=2").await;
    let by_function = product.records().into_iter().filter(|record| record.function.is_some());
    let queries = by_function.filter(|record| record.operation == "Query").count();
    assert!(queries <= 4 * all.len() + 1, "{queries} queries for {} pages", all.len());
    assert!(all.iter().all(|page| page.len() <= 2));
    let all = all.concat();
    let times: Vec<&str> = all.iter().map(|event| event["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
    assert_eq!(ids(&all).iter().collect::<BTreeSet<_>>().len(), all.len());
    let of_labels = |events: &[Value]| events.iter().filter(|event| event["subject"]["kind"] == "label").count();
    assert_eq!(of_labels(&all), 7);
    assert!(all.len() > 10, "the tenant, its members");
    // The other way round the feed has the same, but for what is too young.
    let mut feed = Vec::new();
    let mut cursor = String::new();
    for _ in 0..30 {
        let page = get(&product, who, &format!("/v1/events?order=asc&limit=3{cursor}")).await;
        feed.extend(page["data"].as_array().unwrap().clone());
        cursor = format!("&cursor={}", page["next_cursor"].as_str().expect("there is always one"));
    }
    let mut backwards = ids(&feed);
    backwards.reverse();
    let settled: Vec<&str> = ids(&all).into_iter().filter(|id| backwards.contains(id)).collect();
    assert!(all.len() - settled.len() <= 1, "only the label of now can be too young");
    assert_eq!(BTreeSet::from_iter(settled), BTreeSet::from_iter(backwards));
    // Filters.
    let count = async |query: &str| pages(&product, who, &format!("/v1/events?limit=50{query}")).await.concat().len();
    assert_eq!(count("&subject=label").await, 7);
    assert_eq!(count(&format!("&subject=label:{}", LabelId::new(3).uuid_in(tenant))).await, 1);
    assert_eq!(count("&actor=product&action=created").await, all.len());
    assert_eq!(count("&action=deleted").await, 0);
    let at = |days: i64| Time::from_millis(shared::now().millis() - days * DAY).to_string();
    assert_eq!(count(&format!("&from={}&to={}", at(302), at(297))).await, 3);
    let until = format!("&order=asc&from={}&to={}", at(302), at(50));
    assert_eq!(count(&until).await, 4, "with an end in the past there is a last page");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_the_record_gets_each_change_once() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let who = (token.as_str(), ACME);
    let from = shared::now().to_string();
    let made = product.users(&token, ACME, ("POST", "/v1/labels"), &[], Some(json!({ "name": "Followed" }))).await;
    assert_eq!(made.status, 201);
    let first = get(&product, who, &format!("/v1/events?order=asc&from={from}")).await;
    assert_eq!(first["data"], json!([]), "it is not old enough yet");
    let newest = get(&product, who, "/v1/events?limit=5").await;
    let newest = newest["data"].as_array().unwrap();
    assert_eq!(newest[0]["changes"]["name"]["to"], "Followed");
    assert_eq!(
        newest[0]["actor"],
        json!({ "kind": "member", "id": shared::id::UserId::new(1).uuid(), "reason": null })
    );
    let (mut cursor, mut seen, began) = (first["next_cursor"].as_str().unwrap().to_owned(), Vec::new(), Instant::now());
    while began.elapsed() < Duration::from_secs(20) {
        let page = get(&product, who, &format!("/v1/events?order=asc&from={from}&cursor={cursor}")).await;
        seen.extend(page["data"].as_array().unwrap().clone());
        page["next_cursor"].as_str().unwrap().clone_into(&mut cursor);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(15));
    assert_eq!(ids(&seen), [newest[0]["id"].as_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_was_done_to_a_chain_and_an_erasure_is_nothing() {
    let product = Product::start().await;
    let token = product.access("acme", "owner@acme.example").await;
    let who = (token.as_str(), ACME);
    let path = format!("/v1/users/{}", USER.uuid());
    for name in ["Una", "Unna", "Uma"] {
        let body = json!({ "first_name": name, "metadata": { "desk": name } });
        assert_eq!(product.users(&token, ACME, ("PATCH", &path), &[], Some(body)).await.status, 200);
    }
    let verify = async || get(&product, who, &format!("{path}/events/verify")).await;
    let found = verify().await;
    assert_eq!(
        (&found["is_intact"], &found["checked"], &found["ends_with"]),
        (&json!(true), &json!(4), &json!("record"))
    );
    let of_user = get(&product, who, &format!("{path}/events?sealed=true")).await;
    let of_user = of_user["data"].as_array().unwrap();
    assert_eq!((of_user.len(), &found["head"]), (4, &of_user[0]["id"]));
    // What stands in an answer is enough to check it.
    for (event, before) in of_user.iter().zip(of_user.iter().skip(1).map(|event| &event["id"]).chain([&Value::Null])) {
        let sealed = event["sealed"].as_str().unwrap();
        assert_eq!(shared::id::sha256(sealed), event["id"]);
        assert_eq!(&event["previous"], before);
        let sealed: Value = serde_json::from_str(sealed).unwrap();
        let commitment = json!([event["salt"], "first_name", "to", event["changes"]["first_name"]["to"]]);
        let commitment = shared::id::sha256(&commitment.to_string());
        assert_eq!(sealed["changes"]["first_name"]["to"], commitment);
    }
    let keys = TenantKeys(ACME);
    let subject = Subject::new("member", USER);
    let key = keys.event(&subject, 3);
    let item = product.store.get(&key).await.unwrap().unwrap();
    let event: Event = decode(item.clone()).unwrap();
    let put = async |event: &Event| {
        let listed = keys.happened(event.at, &event.subject, event.version);
        product.store.put(encode(&key, Some(&listed), event).unwrap()).await.unwrap();
    };
    let mut edited = event.clone();
    edited.changes.get_mut("first_name").unwrap().to = json!("Eve");
    put(&edited).await;
    let found = verify().await;
    assert_eq!((&found["is_intact"], &found["checked"], &found["broken_at"]), (&json!(false), &json!(3), &json!(4)));
    // Erased values are gone, and the chain holds.
    put(&event.erased()).await;
    assert_eq!(verify().await["is_intact"], true);
    let page = get(&product, who, &format!("/v1/events?subject=member:{}", USER.uuid())).await;
    let erased = json!({ "from": null, "to": null, "is_erased": true });
    assert_eq!(page["data"][1]["changes"], json!({ "first_name": erased, "metadata": erased }));
    // The last event is gone.
    product.store.put(item).await.unwrap();
    let last = keys.event(&subject, 4);
    let client = local::dynamodb::Client::new(&product.server.dynamodb_url());
    let gone = json!({ "PK": { "S": last.pk }, "SK": { "S": last.sk } });
    client.call("DeleteItem", &json!({ "TableName": product.template.table_name(), "Key": gone })).await.unwrap();
    let found = verify().await;
    assert_eq!((&found["is_intact"], &found["checked"], &found["broken_at"]), (&json!(false), &json!(3), &json!(4)));
    // A record that was deleted.
    let made = product.users(&token, ACME, ("POST", "/v1/labels"), &[], Some(json!({ "name": "Short" }))).await.json();
    let label = made["id"].as_str().unwrap();
    let gone = product.users(&token, ACME, ("DELETE", &format!("/v1/labels/{label}")), &[], None).await;
    assert_eq!(gone.status, 204);
    let found = get(&product, who, &format!("/v1/events/verify?subject=label:{label}")).await;
    assert_eq!((&found["checked"], &found["ends_with"]), (&json!(2), &json!("deletion")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_is_verified_in_pieces() {
    let product = Product::start().await;
    let (tenant, token) = quiet_tenant(&product, "long", &[]).await;
    let at = shared::now();
    let mut items = Vec::new();
    let mut event = None::<Event>;
    for version in 1..=2_100 {
        let mut next: Event =
            decode(store::record_items(tenant, &Label::new(LabelId::new(7), "long", at), at).unwrap().pop().unwrap())
                .unwrap();
        if let Some(before) = &event {
            next = Event { version, deed: shared::domain::event::Deed::Updated, previous: before.hash(), ..next };
        }
        items.push(encode(&TenantKeys(tenant).event(&next.subject, version), None, &next).unwrap());
        event = Some(next);
    }
    product.server.import(items).unwrap();
    let (mut cursor, mut checked) = (String::new(), Vec::new());
    let found = loop {
        let path = format!("/v1/events/verify?subject=label:{}{cursor}", LabelId::new(7).uuid_in(tenant));
        let found = get(&product, (&token, tenant), &path).await;
        checked.push(found["checked"].as_u64().unwrap());
        let Some(next) = found["next_cursor"].as_str() else { break found };
        cursor = format!("&cursor={next}");
    };
    assert_eq!(checked, [1_000, 2_000, 2_100]);
    // Nothing says why the record is not there.
    assert_eq!((&found["is_intact"], &found["broken_at"]), (&json!(false), &json!(2_101)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_products_own_events_are_in_the_same_record() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let post = async |path: &str, body: Value| product.users(&owner, ACME, ("POST", path), &[], Some(body)).await;
    let role = post("/v1/roles", json!({ "name": "writer", "permissions": [{ "name": "event:write" }] })).await;
    assert_eq!(role.status, 201);
    let key = post("/v1/api-keys", json!({ "name": "billing", "roles": ["writer"] })).await.json();
    let service = key["secret"].as_str().unwrap();
    let write = async |body: &Value, headers: &[(&str, &str)]| {
        product.users(service, ACME, ("POST", "/v1/events"), headers, Some(body.clone())).await
    };
    let sent = json!({ "type": "invoice", "id": "7", "action": "sent", "user": USER.uuid(), "data": { "to": "Ann" } });
    let first = write(&sent, &[("idempotency-key", "once")]).await;
    let again = write(&sent, &[("idempotency-key", "once")]).await;
    assert_eq!((first.status, again.status, again.json()), (201, 201, first.json()));
    // The same again is another event.
    assert_eq!(write(&sent, &[]).await.json()["version"], 2);
    let paid = write(&json!({ "type": "invoice", "id": "7", "action": "paid" }), &[]).await.json();
    assert_eq!((&paid["version"], &paid["action"]), (&json!(3), &json!("paid")));
    assert_eq!(paid["actor"], json!({ "kind": "key", "id": key["id"], "reason": null }));
    assert_eq!(write(&json!({ "type": "invoice", "id": "8", "action": "sent" }), &[]).await.status, 201);
    // It may write, and read nothing.
    let read = product.users(service, ACME, ("GET", "/v1/events"), &[], None).await;
    assert_eq!((read.status, &read.json()["details"]["action"]), (403, &json!("event:read")));

    let who = (owner.as_str(), ACME);
    let of_invoice = get(&product, who, first.header("location").unwrap()).await;
    let of_invoice = of_invoice["data"].as_array().unwrap();
    let actions: Vec<&Value> = of_invoice.iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["paid", "sent", "sent"]);
    assert_eq!(of_invoice[1], as_sent(&of_invoice[1]));
    let sent = pages(&product, who, "/v1/events?subject=thing&action=sent&limit=50").await.concat();
    assert_eq!(sent.len(), 3);
    let by_key = format!("/v1/events?actor=key:{}&limit=50", key["id"].as_str().unwrap());
    let by_key = pages(&product, who, &by_key).await.concat();
    assert_eq!(by_key.len(), 4, "{by_key:?}");
    let found = get(&product, who, "/v1/events/verify?subject=thing:invoice:7").await;
    assert_eq!((&found["checked"], &found["ends_with"]), (&json!(3), &json!("record")));
    assert_eq!(found["head"], paid["id"]);
}

/// The event in which an invoice was sent, but for what differs each time.
fn as_sent(event: &Value) -> Value {
    let change = |to: Value| json!({ "from": null, "to": to, "is_erased": false });
    let mut expected = event.clone();
    expected["subject"] = json!({ "kind": "thing", "id": "invoice:7" });
    expected["version"] = json!(2);
    expected["changes"] = json!({
        "action": change(json!("sent")), "data": change(json!({ "to": "Ann" })), "member": change(json!(USER.uuid())),
    });
    expected
}
