//! What becomes of deliveries that fail: who waits for them, when they are given up, when a webhook is disabled for them, and how
//! many come again at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::{Subject, Time, Webhook};
use shared::gate::outbox::{ATTEMPTS, Delivery, Failing, Undelivered};
use shared::id::{TenantId, WebhookId};
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

use super::receiver::{Manner, Receiver};
use super::{call, delivered, make};
use crate::harness::{NewTenant, Product, eventually};

/// The first webhook of a tenant.
const FIRST: WebhookId = WebhookId::new(1);

const DAY: i64 = 24 * 60 * 60;

/// Waits for a condition that takes questions to the product.
async fn comes(condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time");
}

/// Makes a webhook that hears of one kind, and returns its path.
async fn hears_of(product: &Product, tenant: &NewTenant, kind: &str, receiver: &Receiver) -> String {
    make(product, tenant, json!({ "name": "A", "url": receiver.url(), "kinds": [kind] })).await.0
}

async fn does(product: &Product, tenant: &NewTenant, (method, path): (&str, &str), body: Value, status: u16) -> Value {
    let reply = call(product, &tenant.owner_token, tenant.id, method, path, body).await;
    assert_eq!(reply.status, status, "{reply:?}");
    reply.json()
}

/// How many changes could not be delivered.
async fn undelivered(product: &Product, tenant: TenantId) -> usize {
    product.store.query(&TenantKeys(tenant).all_undelivered(FIRST)).await.unwrap().len()
}

/// Changes the first webhook of a tenant behind the product's back.
async fn set(product: &Product, tenant: TenantId, change: impl FnOnce(&mut Webhook)) {
    let key = TenantKeys(tenant).webhook(FIRST);
    let mut webhook: Webhook = decode(product.store.get(&key).await.unwrap().unwrap()).unwrap();
    change(&mut webhook);
    product.store.put(encode(&key, None, &webhook).unwrap()).await.unwrap();
}

/// Makes the first webhook of a tenant an old one: deliveries to it began to fail so many days ago, and the last one so many days ago.
async fn has_failed(product: &Product, tenant: TenantId, (since, last): (i64, i64)) -> Time {
    let now = shared::now();
    let long_ago = Time::from_millis(now.millis() - 60 * DAY * 1_000);
    set(product, tenant, |webhook| webhook.status_since = long_ago).await;
    let failing = json!({ "since": now.seconds() - since * DAY, "failed_at": now.seconds() - last * DAY });
    product.store.put(encode(&TenantKeys(tenant).failing(FIRST), None, &failing).unwrap()).await.unwrap();
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_does_not_wait_for_the_failure_that_it_explains() {
    let product = Product::start().await;
    product.server.set_variable("WEBHOOK_PAUSES", "600");
    // It can be running already, because of the demo's changes.
    product.kill("webhooks-deliver");
    let tenant = product.new_tenant("waiting", 2).await;
    let receiver = Receiver::start(Manner::FirstFails).await;
    // It hears of its own creation, and that fails.
    let path = hears_of(&product, &tenant, "webhook", &receiver).await;
    eventually(|| receiver.failures.load(Ordering::Relaxed) == 1).await;
    does(&product, &tenant, ("POST", &format!("{path}/test")), Value::Null, 202).await;
    eventually(|| receiver.received().len() == 1).await;
    let event: Value = serde_json::from_str(&receiver.received()[0].body).unwrap();
    assert_eq!(event["type"], "rolecall.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_while_the_tenant_is_deleted_is_among_the_failures() {
    let product = Product::start().await;
    product.server.set_variable("WEBHOOK_PAUSES", "1");
    product.kill("webhooks-deliver");
    let tenant = product.new_tenant("away", 2).await;
    let receiver = Receiver::start(Manner::Redirect("http://127.0.0.1:9/".to_owned())).await;
    let path = hears_of(&product, &tenant, "group", &receiver).await;
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "one" }), 201).await;
    eventually(|| receiver.failures.load(Ordering::Relaxed) > 0).await;
    does(&product, &tenant, ("DELETE", "/v1/tenant?confirm=away"), Value::Null, 200).await;
    comes(async || undelivered(&product, tenant.id).await == 1).await;
    delivered(&product).await;
    does(&product, &tenant, ("POST", "/v1/tenant/restore"), Value::Null, 200).await;
    receiver.behave();
    does(&product, &tenant, ("POST", &format!("{path}/replay")), Value::Null, 202).await;
    eventually(|| receiver.received().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_long_ago_does_not_disable_a_quiet_webhook() {
    let product = Product::start().await;
    let tenant = product.new_tenant("quiet", 2).await;
    let receiver = Receiver::start(Manner::Redirect("http://127.0.0.1:9/".to_owned())).await;
    let path = hears_of(&product, &tenant, "group", &receiver).await;
    let now = has_failed(&product, tenant.id, (30, 20)).await;
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "one" }), 201).await;
    comes(async || {
        let failing = product.store.get(&TenantKeys(tenant.id).failing(FIRST)).await.unwrap().unwrap();
        decode::<Failing>(failing).unwrap().since >= Some(now.seconds())
    })
    .await;
    assert_eq!(does(&product, &tenant, ("GET", &path), Value::Null, 200).await["status"], "enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_webhook_and_the_record_tell_why_one_was_disabled() {
    let product = Product::start().await;
    let tenant = product.new_tenant("silent", 2).await;
    let receiver = Receiver::start(Manner::Redirect("http://127.0.0.1:9/".to_owned())).await;
    let other = Receiver::start(Manner::Good).await;
    let path = hears_of(&product, &tenant, "group", &receiver).await;
    hears_of(&product, &tenant, "webhook", &other).await;
    has_failed(&product, tenant.id, (6, 1)).await;
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "one" }), 201).await;
    let heard = || {
        let events = other.received().into_iter().map(|it| serde_json::from_str::<Value>(&it.body).unwrap());
        events.filter(|event| event["type"] == "rolecall.webhook.updated").collect::<Vec<_>>()
    };
    eventually(|| !heard().is_empty()).await;
    let event = heard().remove(0);
    assert_eq!(event["subject"], path.replace("/v1/webhooks/", "webhook:"));
    assert_eq!(event["data"]["actor"]["kind"], "product");
    assert_eq!(event["data"]["actor"]["reason"], "nothing could be delivered for 5 days");
    assert_eq!(event["data"]["changes"]["status"]["to"], "failed");
    assert_eq!(does(&product, &tenant, ("GET", &path), Value::Null, 200).await["status"], "failed");
    let record = format!("/v1/events?subject={}", event["subject"].as_str().unwrap());
    let record = does(&product, &tenant, ("GET", &record), Value::Null, 200).await;
    assert_eq!(record["data"][0], event["data"]);
}

/// That other changes are delivered meanwhile does not keep it in the queue, which would drop it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_always_refused_is_given_up_and_those_behind_it_are_delivered() {
    let product = Product::start().await;
    product.server.set_variable("WEBHOOK_PAUSES", "0");
    product.kill("webhooks-deliver");
    let tenant = product.new_tenant("refusing", 2).await;
    let receiver = Receiver::start(Manner::Refuses(r#""to":"refused""#.to_owned())).await;
    let path = hears_of(&product, &tenant, "group", &receiver).await;
    let group = does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "refused" }), 201).await;
    let group = format!("/v1/groups/{}", group["id"].as_str().unwrap());
    does(&product, &tenant, ("PATCH", &group), json!({ "name": "renamed" }), 200).await;
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "other" }), 201).await;
    comes(async || undelivered(&product, tenant.id).await == 1).await;
    delivered(&product).await;
    assert_eq!(receiver.received().len(), 2);
    assert!(receiver.failures.load(Ordering::Relaxed) <= ATTEMPTS);
    receiver.behave();
    does(&product, &tenant, ("POST", &format!("{path}/replay")), Value::Null, 202).await;
    eventually(|| receiver.received().len() == 3).await;
    assert!(receiver.received()[2].body.contains(r#""to":"refused""#));
}

/// A webhook may have been made on a laptop, and a name may lead elsewhere than when it was registered.
#[tokio::test(flavor = "multi_thread")]
async fn no_delivery_goes_to_a_private_address() {
    let product = Product::start().await;
    let tenant = product.new_tenant("inward", 2).await;
    let receiver = Receiver::start(Manner::Good).await;
    hears_of(&product, &tenant, "group", &receiver).await;
    product.server.set_variable("LOCAL_WEBHOOKS", "");
    product.server.set_variable("WEBHOOK_PAUSES", "600");
    product.kill("webhooks-deliver");
    let url = receiver.url();
    for (url, why) in [
        (url.clone(), "not https"),
        (url.replace("http://", "https://"), "a private address"),
        (url.replace("http://127.0.0.1", "https://localhost"), "the name has no public address"),
    ] {
        set(&product, tenant.id, |webhook| webhook.url = url).await;
        does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": why }), 201).await;
        let is_refused = |line: &String| line.contains("a delivery has failed") && line.contains(why);
        eventually(|| product.lines.lock().unwrap().iter().any(is_refused)).await;
    }
    assert!(receiver.received().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_during_a_delivery_that_fails_is_kept() {
    let product = Product::start().await;
    let tenant = product.new_tenant("repaired", 2).await;
    let (receiver, other) = (Receiver::start(Manner::GoneLate).await, Receiver::start(Manner::Good).await);
    let path = hears_of(&product, &tenant, "group", &receiver).await;
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "one" }), 201).await;
    eventually(|| receiver.failures.load(Ordering::Relaxed) == 1).await;
    does(&product, &tenant, ("PATCH", &path), json!({ "url": other.url() }), 200).await;
    receiver.behave();
    comes(async || undelivered(&product, tenant.id).await == 1).await;
    assert_eq!(does(&product, &tenant, ("GET", &path), Value::Null, 200).await["status"], "enabled");
    does(&product, &tenant, ("POST", &format!("{path}/replay")), Value::Null, 202).await;
    eventually(|| other.received().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_deliver_again_takes_a_thousand_changes() {
    let product = Product::start().await;
    let tenant = product.new_tenant("many", 2).await;
    let receiver = Receiver::start(Manner::Good).await;
    let path = hears_of(&product, &tenant, "job", &receiver).await;
    let at = shared::now();
    // Changes of groups that are gone: their messages are taken, and nothing is delivered.
    let failures = (1..=1_050).map(|number| {
        let (subject, id) = (Subject::new("group", number), format!("{number:064}"));
        let delivery = Delivery { tenant: tenant.id, webhook: FIRST, subject, version: 1, id, asked: None };
        let key = TenantKeys(tenant.id).undelivered(FIRST, at, &delivery.id);
        let failure = Undelivered { delivery, at, why: "status 500".to_owned(), expires_at: at.seconds() + DAY };
        encode(&key, None, &failure).unwrap()
    });
    product.server.import(failures.collect()).unwrap();
    let replay = format!("{path}/replay");
    for left in [50, 0] {
        does(&product, &tenant, ("POST", &replay), Value::Null, 202).await;
        comes(async || undelivered(&product, tenant.id).await <= left).await;
        delivered(&product).await;
        assert_eq!(undelivered(&product, tenant.id).await, left);
    }
}
