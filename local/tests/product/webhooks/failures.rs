//! What becomes of deliveries that fail: who waits for them, when a webhook is disabled for them, and how many come again at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::{Subject, Time, Webhook};
use shared::gate::outbox::{Delivery, Failing, Undelivered};
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
    // Its last delivery failed 20 days ago.
    let (keys, now) = (TenantKeys(tenant.id), shared::now());
    let webhook: Webhook = decode(product.store.get(&keys.webhook(FIRST)).await.unwrap().unwrap()).unwrap();
    let webhook = Webhook { status_since: Time::from_millis(now.millis() - 60 * DAY * 1_000), ..webhook };
    product.store.put(encode(&keys.webhook(FIRST), None, &webhook).unwrap()).await.unwrap();
    let failing = json!({ "since": now.seconds() - 30 * DAY, "failed_at": now.seconds() - 20 * DAY });
    product.store.put(encode(&keys.failing(FIRST), None, &failing).unwrap()).await.unwrap();
    does(&product, &tenant, ("POST", "/v1/groups"), json!({ "name": "one" }), 201).await;
    comes(async || {
        let failing = product.store.get(&keys.failing(FIRST)).await.unwrap().unwrap();
        decode::<Failing>(failing).unwrap().since >= Some(now.seconds())
    })
    .await;
    assert_eq!(does(&product, &tenant, ("GET", &path), Value::Null, 200).await["status"], "enabled");
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
