//! The cursors of lists, and the filters of the record.

use std::cell::Cell;

use local::seed::Seed;
use local::{demo, issuer, store};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use shared::domain::event::Deed;
use shared::domain::{Event, JoinRequest, Meta, Subject, Time};
use shared::id::{DomainId, JoinRequestId, TenantId};
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};
use tokio::runtime::Runtime;

use super::{Product, Renewed, Reply, fuzz};

/// Each has more than one page.
const LISTS: [&str; 16] = [
    "/v1/users?limit=1",
    "/v1/users?limit=1&sort=-email",
    "/v1/roles?limit=1",
    "/v1/permissions?limit=1",
    "/v1/groups?limit=1",
    "/v1/labels?limit=1",
    "/v1/policies?limit=1",
    "/v1/webhooks?limit=1",
    "/v1/invitations?limit=1",
    "/v1/join-requests?limit=1",
    "/v1/events?limit=1",
    "/v1/events?limit=1&order=asc",
    "/v1/events?limit=1&subject=member",
    "/v1/events?limit=1&action=created&sealed=true",
    "/v1/events/checkpoints?limit=1",
    "/v1/events/verify?subject=thing:order:1",
];

/// How many events of one thing there are: more than one request checks.
const EVENTS: u64 = 1_002;

/// An owner of a tenant whose lists have several pages.
struct Caller {
    tenant: TenantId,
    token: String,
}

impl Caller {
    async fn get(&self, product: &Product, path: &str) -> Reply {
        product.users(&self.token, self.tenant, ("GET", path), &[], None).await
    }

    async fn make(&self, product: &Product, path: &str, body: Value) {
        let made = product.users(&self.token, self.tenant, ("POST", path), &[], Some(body)).await;
        assert!(made.status < 300, "{path}: {made:?}");
    }
}

fn with_pages(runtime: &Runtime, product: &Product, _: &[Value]) -> Vec<Caller> {
    vec![runtime.block_on(fill(product))]
}

/// Makes a tenant of some days ago, with two of everything that a page can be short of.
async fn fill(product: &Product) -> Caller {
    let began = Time::from_millis(shared::now().millis() - 3 * 24 * 60 * 60 * 1_000);
    let seed = Seed { slug: "pages", members: 3, first: 1, lifelike: false };
    let bar = indicatif::ProgressBar::hidden();
    seed.fill(&product.store, began, &bar, async |items| product.server.import(items)).await.unwrap();
    let owner = "member1@pages.example";
    let (tenant, _) = demo::find(&product.store, "pages", owner).await.unwrap();
    // On one day each key signs a checkpoint of its own.
    sign(product).await;
    product.server.invoke("keys-rotate", &json!({ "rotate": "now" })).await.unwrap();
    sign(product).await;

    let caller = Caller { tenant, token: product.access("pages", owner).await };
    let text = r#"forbid (principal, action == Action::"label:manage", resource);"#;
    for number in 1..3 {
        let name = format!("Number {number}");
        caller.make(product, "/v1/groups", json!({ "name": name })).await;
        caller.make(product, "/v1/labels", json!({ "name": name })).await;
        caller.make(product, "/v1/policies", json!({ "name": name, "text": text, "enabled": false })).await;
        let webhook = json!({ "name": name, "url": "https://hooks.example", "status": "disabled" });
        caller.make(product, "/v1/webhooks", webhook).await;
        caller.make(product, "/v1/invitations", json!({ "emails": [format!("invited{number}@x.example")] })).await;
        let request = JoinRequest {
            id: JoinRequestId::new(number),
            tenant,
            email: format!("asks{number}@x.example"),
            issuer: issuer::ISS.to_owned(),
            subject: format!("asks{number}"),
            domain: DomainId::new(1),
            refused_at: None,
            meta: Meta::new(shared::now()),
        };
        product.server.import(store::record_items(tenant, &request, shared::now()).unwrap()).unwrap();
    }
    caller.make(product, "/v1/events", json!({ "type": "order", "id": "1", "action": "made" })).await;
    lengthen(product, tenant).await;
    caller
}

async fn sign(product: &Product) {
    while !product.server.invoke("checkpoints-write", &json!({})).await.unwrap()["tenants"].is_null() {}
}

/// Adds events to the one of the thing.
async fn lengthen(product: &Product, tenant: TenantId) {
    let (keys, subject) = (TenantKeys(tenant), Subject::new("thing", "order:1"));
    let first = product.store.get(&keys.event(&subject, 1)).await.unwrap().unwrap();
    let mut last: Event = decode(first).unwrap();
    let mut items = Vec::new();
    for version in 2..=EVENTS {
        last = Event { version, previous: last.hash(), deed: Deed::Updated, ..last };
        let listed = keys.happened(last.at, &subject, version);
        items.push(encode(&keys.event(&subject, version), Some(&listed), &last).unwrap());
    }
    product.server.import(items).unwrap();
}

/// A cursor leads on in the list that gave it, and anything else is refused.
#[test]
fn cursors() {
    let product = Renewed::new(Vec::new(), false, with_pages);
    let edits = vec((any::<Index>(), "[A-Za-z0-9_-]{0,2}"), 0..3);
    fuzz(&(select(LISTS.to_vec()), select(LISTS.to_vec()), edits, any::<bool>()), |(first, other, edits, own)| {
        product.with(async |product, callers| {
            let second = if own { first } else { other };
            let page = callers[0].get(product, first).await;
            let cursor = page.json()["next_cursor"].as_str().map(str::to_owned);
            let cursor = cursor.unwrap_or_else(|| panic!("{first}: {page:?}"));
            let mut other = cursor.clone();
            for (at, text) in edits {
                let at = at.index(other.len());
                other.replace_range(at..(at + text.len()).min(other.len()), &text);
            }
            let next = callers[0].get(product, &format!("{second}&cursor={other}")).await;
            let expected = if first == second && other == cursor { 200 } else { 400 };
            assert_eq!(next.status, expected, "{first} {second} {other}: {next:?}");
        });
    });
}

// ---- Filters

/// A parameter of the record, as it is written: one that is good, or another.
fn parameter() -> impl Strategy<Value = (&'static str, String)> {
    let good = [
        ("subject", "member"),
        ("subject", "thing"),
        ("subject", "thing:order:1"),
        ("subject", "role:726f6c65-6361-8004-8000-000000000002"),
        ("actor", "product"),
        ("actor", "member:726f6c65-6361-8002-8000-000000000003"),
        ("actor", "key:726f6c65-6361-8002-8000-000000000003"),
        ("action", "created"),
        ("action", "updated"),
        ("action", "made"),
        ("from", "2020-01-01T00:00:00Z"),
        ("from", "2999-01-01T00:00:00Z"),
        ("to", "2020-01-01T00:00:00Z"),
        ("to", "2999-01-01T00:00:00Z"),
        ("order", "asc"),
        ("order", "desc"),
        ("sealed", "true"),
        ("sealed", "false"),
        ("limit", "2"),
    ];
    let odd = [
        "",
        "%00",
        "%ff",
        "%",
        "+",
        "-1",
        "0",
        "201",
        "member:",
        ":1",
        "member:%23",
        "thing:EVENT%23",
        "product:1",
        "key:1",
        "-0001-01-01T00:00:00Z",
        "9999-12-31T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2026-11-22T14:40:17.123456789%2B02:00",
    ];
    let names = ["subject", "actor", "action", "from", "to", "order", "sealed", "limit"];
    let encoded = |text: String| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
    let value = prop_oneof![
        3 => select(odd.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,12}".prop_map(encoded),
        1 => "[a-z:#-]{0,300}".prop_map(encoded),
    ];
    prop_oneof![
        3 => select(good.to_vec()).prop_map(|(name, value)| (name, value.to_owned())),
        1 => (select(names.to_vec()), value),
    ]
}

/// Whether the answer to a list may have an event.
fn fits(event: &Value, path: &str, parameters: &[(&str, String)]) -> bool {
    parameters.iter().all(|(name, value)| match *name {
        // The list of a member has no such filter.
        "subject" => !path.ends_with("/v1/events") || event["subject"]["kind"].as_str() == value.split(':').next(),
        "action" => event["action"] == *value,
        "actor" if value == "product" => event["actor"]["kind"] == "product",
        "from" => !value.starts_with("2999"),
        "to" => !value.starts_with("2020"),
        _ => true,
    })
}

/// A filter is kept to, whatever stands beside it, and a faulty parameter is named.
#[test]
fn filters_of_the_record() {
    let product = Renewed::new(Vec::new(), false, with_pages);
    let (listed, refused) = (Cell::new(0), Cell::new(0));
    let paths = ["/v1/events", "/v1/users/me/events"];
    fuzz(&(select(paths.to_vec()), vec(parameter(), 0..5)), |(path, parameters)| {
        product.with(async |product, callers| {
            let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let query = query.join("&");
            let reply = callers[0].get(product, &format!("{path}?{query}")).await;
            let answer = reply.json();
            let count = if reply.status == 200 { &listed } else { &refused };
            count.set(count.get() + 1);
            if reply.status != 200 {
                let fields = answer["details"]["fields"].as_object().unwrap_or_else(|| panic!("{query}: {reply:?}"));
                let is_sent = |field: &String| parameters.iter().any(|(name, _)| name == field);
                assert!(reply.status == 400 && !fields.is_empty() && fields.keys().all(is_sent), "{query}: {answer}");
                return;
            }
            let events = answer["data"].as_array().unwrap();
            assert!(events.iter().all(|event| fits(event, path, &parameters)), "{path}?{query}: {answer}");
            let times: Vec<_> = events.iter().map(|event| event["at"].as_str().unwrap()).collect();
            let is_feed = parameters.iter().any(|(name, value)| (*name, value.as_str()) == ("order", "asc"));
            let in_order = if is_feed { times.is_sorted() } else { times.is_sorted_by(|one, other| one >= other) };
            assert!(in_order, "{path}?{query}: {times:?}");
        });
    });
    assert!(listed.get() > 0 && refused.get() > 0, "{} listed, {} refused", listed.get(), refused.get());
}
