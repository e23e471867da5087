//! Changes on their way to webhooks: real functions, the queue of the laptop, and receivers that behave badly.

mod failures;
mod receiver;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use local::front::Fault;
use serde_json::{Value, json};
use shared::id::TenantId;

use crate::harness::{ACME, NewTenant, Product, Reply, eventually, turn};
use receiver::{Manner, Received, Receiver};

/// The queue of deliveries.
fn queue() -> String {
    local::queues::arn("WebhookQueue")
}

async fn call(product: &Product, token: &str, tenant: TenantId, method: &str, path: &str, body: Value) -> Reply {
    let body = Some(body).filter(|body| !body.is_null());
    product.users(token, tenant, (method, path), &[], body).await
}

/// Makes a webhook, and returns its path and its secret.
async fn make(product: &Product, tenant: &NewTenant, body: Value) -> (String, String) {
    let made = call(product, &tenant.owner_token, tenant.id, "POST", "/v1/webhooks", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    (format!("/v1/webhooks/{}", made["id"].as_str().unwrap()), made["secret"].as_str().unwrap().to_owned())
}

/// Waits until the queue is empty.
async fn delivered(product: &Product) {
    eventually(|| product.server.queues().depth(&queue()) == 0).await;
}

fn metadata(number: usize) -> Value {
    json!({ "metadata": { "number": number.to_string() } })
}

/// The first delivery of each id, by record; and panics if another delivery with the id is not the same.
fn firsts(received: &[Received]) -> BTreeMap<String, Vec<(String, Value)>> {
    let (mut seen, mut by_record) = (BTreeMap::new(), BTreeMap::<String, Vec<(String, Value)>>::new());
    for delivery in received {
        let event: Value = serde_json::from_str(&delivery.body).unwrap();
        assert_eq!(event["id"], delivery.id.as_str());
        match seen.get(&delivery.id) {
            Some(before) => assert_eq!(before, &delivery.body),
            None => {
                seen.insert(delivery.id.clone(), delivery.body.clone());
                let record = event["subject"].as_str().unwrap().to_owned();
                by_record.entry(record).or_default().push((delivery.id.clone(), event));
            }
        }
    }
    by_record
}

/// A thousand changes of twenty members reach a receiver that fails in all ways, while both functions are killed again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_arrive_in_order_whatever_the_receiver_does() {
    let _turn = turn().await;
    let product = Product::start().await;
    product.server.set_variable("WEBHOOK_PAUSES", "0,0,1");
    let tenant = product.new_tenant("outbox", 22).await;
    let mut receiver = Receiver::start(Manner::Unreliable).await;
    let wanted = json!({ "name": "All", "url": receiver.url(), "kinds": ["member"], "changes": ["updated"] });
    let (_, secret) = make(&product, &tenant, wanted).await;

    let change = async |place: u32| {
        for number in 0..50 {
            let path = format!("/v1/users/{}", tenant.member(place + 2).uuid());
            let reply = call(&product, &tenant.owner_token, tenant.id, "PATCH", &path, metadata(number)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    };
    let kill = async {
        for _ in 0..15 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for function in ["events-publish", "webhooks-deliver"] {
                product.kill(function);
            }
            receiver.restart().await;
        }
    };
    tokio::join!(join_all((0..20).map(change)), kill);
    eventually(|| receiver.failures.load(Ordering::Relaxed) > 100).await;
    receiver.behave();
    delivered(&product).await;

    let received = receiver.received();
    let by_record = firsts(&received);
    assert_eq!(by_record.len(), 20);
    for (record, events) in &by_record {
        let numbers: Vec<&str> =
            events.iter().map(|(_, it)| it["data"]["changes"]["metadata"]["to"]["number"].as_str().unwrap()).collect();
        let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        assert_eq!(numbers, expected, "{record}");
        let sequences: Vec<&str> = events.iter().map(|(_, it)| it["sequence"].as_str().unwrap()).collect();
        assert!(sequences.is_sorted(), "{record}: {sequences:?}");
    }
    for delivery in &received {
        assert!(delivery.is_signed_by(&secret), "{delivery:?}");
    }
    // The bus has heard of each, too.
    let ids: BTreeSet<String> = by_record.values().flatten().map(|(id, _)| id.clone()).collect();
    let entries = product.server.queues().entries();
    let on_bus = entries.iter().filter_map(|entry| {
        let detail: Value = serde_json::from_str(entry["Detail"].as_str()?).ok()?;
        detail["id"].as_str().map(str::to_owned)
    });
    assert!(ids.is_subset(&on_bus.collect()));
}

/// The publisher is killed at its first request, at its second, and so on.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_dies_at_any_request_loses_nothing() {
    let product = Product::start().await;
    let tenant = product.new_tenant("dying", 3).await;
    let receiver = Receiver::start(Manner::Good).await;
    let wanted = json!({ "name": "All", "url": receiver.url(), "kinds": ["member"], "changes": ["updated"] });
    make(&product, &tenant, wanted).await;
    delivered(&product).await;
    let path = format!("/v1/users/{}", tenant.member(2).uuid());
    let mut deaths = 0;
    loop {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        product.server.set_fault(Some(Arc::new(move |request| {
            let is_publisher = request.function.as_deref() == Some("events-publish");
            if is_publisher && counted.fetch_add(1, Ordering::Relaxed) >= deaths {
                // It tries again until it is killed.
                let error = json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" });
                return Fault::AnswerBefore(500, error);
            }
            Fault::None
        })));
        let changed = call(&product, &tenant.owner_token, tenant.id, "PATCH", &path, metadata(deaths)).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let wanted = format!("\"number\":\"{deaths}\"");
        let arrives = || receiver.received().iter().any(|delivery| delivery.body.contains(&wanted));
        let dies = || sent.load(Ordering::Relaxed) > deaths;
        eventually(|| dies() || arrives()).await;
        let is_dead = dies();
        if is_dead {
            product.kill("events-publish");
        }
        product.server.set_fault(None);
        eventually(arrives).await;
        if !is_dead {
            break;
        }
        deaths += 1;
        assert!(deaths < 50, "it comes to its end");
    }
    assert!(deaths >= 3, "{deaths}");
    let by_record = firsts(&receiver.received());
    let events = by_record.values().flatten().map(|(_, event)| &event["data"]["changes"]["metadata"]["to"]["number"]);
    let numbers: Vec<String> = events.map(|number| number.as_str().unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..=deaths).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_for_a_while_after_a_rotation() {
    let product = Product::start().await;
    let tenant = product.new_tenant("rotation", 2).await;
    let receiver = Receiver::start(Manner::Good).await;
    let (path, first) =
        make(&product, &tenant, json!({ "name": "A", "url": receiver.url(), "kinds": ["group"] })).await;
    let owner = tenant.owner_token.as_str();
    let group = async |name: &str| {
        let made = call(&product, owner, tenant.id, "POST", "/v1/groups", json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{made:?}");
    };
    let rotate = async |overlap: u32| {
        let path = format!("{path}/rotate");
        let rotated = call(&product, owner, tenant.id, "POST", &path, json!({ "overlap": overlap })).await;
        rotated.json()["secret"].as_str().unwrap().to_owned()
    };
    group("one").await;
    eventually(|| receiver.received().len() == 1).await;
    let second = rotate(3_600).await;
    group("two").await;
    eventually(|| receiver.received().len() == 2).await;
    let third = rotate(0).await;
    group("three").await;
    eventually(|| receiver.received().len() == 3).await;
    let signers =
        |place: usize| [&first, &second, &third].map(|secret| receiver.received()[place].is_signed_by(secret));
    assert_eq!(signers(0), [true, false, false]);
    assert_eq!(signers(1), [true, true, false]);
    assert_eq!(signers(2), [false, false, true]);
    // No answer, no item and no line of the log shows a secret.
    let all = call(&product, owner, tenant.id, "GET", "/v1/webhooks", Value::Null).await;
    let sent = product.items().await.iter().map(Value::to_string).collect::<String>();
    let sent = sent + &product.lines.lock().unwrap().concat();
    for secret in [first, second, third] {
        let text = String::from_utf8(all.bytes.to_vec()).unwrap();
        assert!(
            !text.contains(&secret) && !sent.contains(&secret) && !sent.contains(secret.trim_start_matches("whsec_"))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_and_a_replay_are_delivered_when_somebody_asks() {
    let product = Product::start().await;
    let tenant = product.new_tenant("replay", 2).await;
    let receiver = Receiver::start(Manner::Gone).await;
    let body = json!({ "name": "A", "url": receiver.url(), "kinds": ["group"] });
    let (path, secret) = make(&product, &tenant, body).await;
    let owner = tenant.owner_token.as_str();
    for name in ["one", "two"] {
        call(&product, owner, tenant.id, "POST", "/v1/groups", json!({ "name": name })).await;
    }
    // A receiver that is gone wants nothing more: the webhook is disabled, and what was on its way is among the failures.
    let shown = async || call(&product, owner, tenant.id, "GET", &path, Value::Null).await.json();
    let failures = async || {
        let list = call(&product, owner, tenant.id, "GET", &format!("{path}/failures"), Value::Null).await;
        list.json()["data"].as_array().unwrap().clone()
    };
    for _ in 0..600 {
        if failures().await.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((failures().await.len(), &shown().await["status"]), (2, &json!("failed")));
    call(&product, owner, tenant.id, "POST", "/v1/groups", json!({ "name": "unheard" })).await;

    receiver.behave();
    let before = receiver.received().len();
    assert_eq!(call(&product, owner, tenant.id, "POST", &format!("{path}/test"), Value::Null).await.status, 202);
    eventually(|| receiver.received().len() == before + 1).await;
    let test = receiver.received()[before].clone();
    let event: Value = serde_json::from_str(&test.body).unwrap();
    assert!(test.is_signed_by(&secret) && event["type"] == "rolecall.test", "{event}");
    assert_eq!(call(&product, owner, tenant.id, "POST", &format!("{path}/replay"), Value::Null).await.status, 202);
    eventually(|| receiver.received().len() == before + 3).await;
    let names: BTreeSet<String> = receiver.received()[before + 1..]
        .iter()
        .map(|it| {
            serde_json::from_str::<Value>(&it.body).unwrap()["data"]["changes"]["name"]["to"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(names, ["one", "two"].map(str::to_owned).into());
    delivered(&product).await;
    assert_eq!(failures().await, Vec::<Value>::new());
    // Enabled again, it hears of what comes.
    let body = json!({ "status": "enabled" });
    assert_eq!(call(&product, owner, tenant.id, "PATCH", &path, body).await.status, 200);
    call(&product, owner, tenant.id, "POST", "/v1/groups", json!({ "name": "heard" })).await;
    eventually(|| receiver.received().len() == before + 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_no_success_and_is_not_followed() {
    let product = Product::start().await;
    product.server.set_variable("WEBHOOK_PAUSES", "60");
    let tenant = product.new_tenant("redirect", 2).await;
    let elsewhere = Receiver::start(Manner::Good).await;
    let receiver = Receiver::start(Manner::Redirect(elsewhere.url())).await;
    make(&product, &tenant, json!({ "name": "A", "url": receiver.url(), "kinds": ["group"] })).await;
    call(&product, &tenant.owner_token, tenant.id, "POST", "/v1/groups", json!({ "name": "one" })).await;
    eventually(|| receiver.failures.load(Ordering::Relaxed) == 1).await;
    eventually(|| product.lines.lock().unwrap().iter().any(|line| line.contains("status 307"))).await;
    assert!(elsewhere.received().is_empty());
    // No line has the URL: it can hold a secret of the receiver's.
    assert!(!product.lines.lock().unwrap().iter().any(|line| line.contains(&receiver.url())));
}

/// On AWS only public hosts are called.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_on_the_machine_itself_is_for_laptops() {
    let product = Product::start().await;
    product.server.set_variable("LOCAL_WEBHOOKS", "");
    let token = product.access("acme", "owner@acme.example").await;
    for url in ["http://127.0.0.1:9/", "http://localhost:9/"] {
        let body = json!({ "name": "A", "url": url });
        let refused = call(&product, &token, ACME, "POST", "/v1/webhooks", body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        assert_eq!(refused.json()["details"]["fields"]["url"], "must be an `https://` URL of a public host");
    }
}

/// `.ci/secrets` starts a server that speaks the protocols of SQS and EventBridge, and names its URL and that of a queue. Here this test is
/// the poller of the queue.
#[tokio::test(flavor = "multi_thread")]
async fn the_queue_and_the_bus_can_be_those_of_another_server() {
    let peer = std::env::var("QUEUE_PEER").unwrap_or_default();
    let Some((url, queue)) = peer.split_once(' ') else { return };
    let product = Product::start().await;
    for (name, value) in [
        ("AWS_ENDPOINT_URL_SQS", url),
        ("AWS_ENDPOINT_URL_EVENTS", url),
        ("WEBHOOK_QUEUE", queue),
        ("EVENT_BUS", "default"),
        ("WEBHOOK_PAUSES", "1"),
    ] {
        product.server.set_variable(name, value);
    }
    // It may be running already, because of the demo's changes.
    product.kill("events-publish");
    let tenant = product.new_tenant("peers", 2).await;
    let receiver = Receiver::start(Manner::FirstFails).await;
    let (_, secret) = make(&product, &tenant, json!({ "name": "A", "url": receiver.url(), "kinds": ["group"] })).await;
    let made = call(&product, &tenant.owner_token, tenant.id, "POST", "/v1/groups", json!({ "name": "one" })).await;
    assert_eq!(made.status, 201, "{made:?}");

    let ask = async |operation: &str, body: Value| {
        let signature =
            "AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
        let request = hyper::Request::post(url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{operation}"))
            .header("authorization", signature)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let answer = product.client.request(request).await.unwrap().into_body().collect().await.unwrap();
        serde_json::from_slice::<Value>(&answer.to_bytes()).unwrap_or_default()
    };
    for failures in [1, 0] {
        let receive = async {
            loop {
                let received = ask("ReceiveMessage", json!({ "QueueUrl": queue, "AttributeNames": ["All"] })).await;
                match received["Messages"].get(0) {
                    Some(message) => break message.clone(),
                    None => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        // If the queue has not taken the pause, the message comes again after 30 s.
        let received = tokio::time::timeout(Duration::from_secs(90), receive).await;
        let message = received.unwrap_or_else(|_| panic!("no message: {:#?}", product.lines.lock().unwrap()));
        let record = json!({
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
        });
        let answer = product.server.invoke("webhooks-deliver", &json!({ "Records": [record] })).await.unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), failures, "{answer}");
        if failures == 0 {
            ask("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"] })).await;
        }
    }
    assert_eq!(receiver.received().len(), 1);
    assert!(receiver.received()[0].is_signed_by(&secret));
}
