//! Checkpoints: what they cover, and that an export shows whatever was done to it.

use std::fs;
use std::process::Command;

use local::verify::{Keys, verify};
use serde_json::{Value, json};
use shared::domain::{Event, Label};
use shared::id::LabelId;
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

use super::{Product, get, pages, quiet_tenant, store};

/// Runs the function until its round is done. Returns how many checkpoints it has signed.
pub async fn sign(product: &Product) -> u64 {
    let mut signed = 0;
    loop {
        let answer = product.server.invoke("checkpoints-write", &json!({})).await.unwrap();
        signed += answer["signed"].as_u64().unwrap();
        if answer["tenants"].is_null() {
            return signed;
        }
    }
}

/// The lines of an export: each event, and each checkpoint.
pub async fn export(product: &Product, who: (&str, shared::id::TenantId)) -> (Vec<Value>, Vec<Value>) {
    let events = pages(product, who, "/v1/events?limit=100&sealed=true").await.concat();
    let checkpoints = pages(product, who, "/v1/events/checkpoints?limit=2").await.concat();
    (events, checkpoints)
}

pub fn checked(events: &[Value], checkpoints: &[Value], keys: &str) -> Result<local::verify::Report, String> {
    let lines: Vec<String> = events.iter().chain(checkpoints).map(Value::to_string).collect();
    let keys = Keys::parse(keys).map_err(|why| why.to_string())?;
    verify(lines.iter().map(String::as_str), &keys).map_err(|why| why.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_shows_whatever_was_done_to_it() {
    let product = Product::start().await;
    let days: Vec<i64> = (1..=30).rev().chain([0]).collect();
    let (tenant, token) = quiet_tenant(&product, "export", &days).await;
    let who = (token.as_str(), tenant);
    // Its numbers are no ids of ours.
    let data = json!({ "user": 42, "groups": [1], "of": { "role": 2 } });
    let paid = json!({ "type": "invoice", "id": "7", "action": "paid", "data": data });
    let paid = product.users(&token, tenant, ("POST", "/v1/events"), &[], Some(paid)).await;
    assert_eq!((paid.status, &paid.json()["changes"]["data"]["to"]), (201, &data));
    let none = get(&product, who, "/v1/events/checkpoints").await;
    assert_eq!(none, json!({ "data": [], "next_cursor": null }));
    assert!(sign(&product).await >= 1);
    assert_eq!(sign(&product).await, 0, "the day is done");
    let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
    let (events, checkpoints) = export(&product, who).await;
    assert_eq!(checkpoints.len(), 1);
    let report = checked(&events, &checkpoints, &keys).unwrap();
    assert_eq!((report.events, report.checkpoints), (events.len(), 1));
    // The label of today, and what the sign-in has left.
    let newest = events.iter().filter(|event| event["at"].as_str() >= checkpoints[0]["until"].as_str()).count();
    assert_eq!(report.covered, (events.len() - newest) as u64);
    assert!(newest >= 1 && report.covered > 30);
    // Their order does not matter, and neither do doubles.
    let mut shuffled = [events.clone(), events[..5].to_vec()].concat();
    shuffled.reverse();
    assert_eq!(checked(&shuffled, &checkpoints, &keys).unwrap(), report);

    let at = events.iter().position(|event| event["changes"]["email"]["to"].is_string()).unwrap();
    let edited = |place: &str, value: Value| {
        let mut events = events.clone();
        *events[at].pointer_mut(place).unwrap() = value;
        events
    };
    for at in newest..events.len() {
        let without = [&events[..at], &events[at + 1..]].concat();
        assert!(checked(&without, &checkpoints, &keys).is_err(), "{}", events[at]);
    }
    let sealed = events[at]["sealed"].as_str().unwrap().replace("member", "label");
    // As if the values had been erased.
    let mut unsalted = edited("/changes/email/to", json!("eve@acme.example"));
    unsalted[at].as_object_mut().unwrap().remove("salt");
    for (events, wrong) in [
        (events[newest + 1..].to_vec(), "covers"),
        (edited("/changes/email/to", json!("eve@acme.example")), "`changes` are not those of `sealed`"),
        (edited("/salt", json!("00")), "`changes` are not those of `sealed`"),
        (unsalted, "`changes` is not what `sealed` says"),
        (edited("/at", events[0]["at"].clone()), "`at` is not what `sealed` says"),
        (edited("/actor/reason", json!("other")), "`actor` is not what `sealed` says"),
        (edited("/sealed", json!(sealed)), "`id` is not the hash of `sealed`"),
        (edited("/id", events[0]["id"].clone()), "`id` is not the hash of `sealed`"),
        (vec![json!({ "at": "now" })], "neither an event"),
    ] {
        let why = checked(&events, &checkpoints, &keys).unwrap_err();
        assert!(why.contains(wrong), "{why}");
    }
    let other = |place: &str, value: Value| {
        let mut checkpoint = checkpoints[0].clone();
        *checkpoint.pointer_mut(place).unwrap() = value;
        vec![checkpoint]
    };
    let signed = checkpoints[0]["signed"].as_str().unwrap();
    let last = if signed.ends_with('A') { "Q" } else { "A" };
    let forged = format!("{}{last}", &signed[..signed.len() - 1]);
    for (checkpoints, keys, wrong) in [
        (other("/signed", json!(forged)), keys.clone(), "checkpoint"),
        (other("/size", json!(7)), keys.clone(), "`size` is not what `signed` says"),
        (Vec::new(), keys.clone(), "no checkpoint"),
        (
            checkpoints.clone(),
            keys.replace("\"kid\":\"", "\"kid\":\"x"),
            "no checkpoint that one of the keys has signed",
        ),
        (checkpoints.clone(), "{}".to_owned(), "no Ed25519 key"),
    ] {
        let why = checked(&events, &checkpoints, &keys).unwrap_err();
        assert!(why.contains(wrong), "{why}");
    }

    // What the table has lost, an export has lost; and an erasure is nothing.
    let event = &events[at];
    let keys_of = TenantKeys(tenant);
    let stored: Event = serde_json::from_str(event["sealed"].as_str().unwrap()).unwrap();
    let key = keys_of.event(&stored.subject, stored.version);
    let stored: Event = decode(product.store.get(&key).await.unwrap().unwrap()).unwrap();
    let listed = keys_of.happened(stored.at, &stored.subject, stored.version);
    product.store.put(encode(&key, Some(&listed), &stored.erased()).unwrap()).await.unwrap();
    let (events, checkpoints) = export(&product, who).await;
    assert_eq!(events[at]["changes"]["email"], json!({ "from": null, "to": null, "is_erased": true }));
    assert_eq!(checked(&events, &checkpoints, &keys).unwrap(), report);
    // A forged event of long ago is in no checkpoint.
    let label = Label::new(LabelId::new(99), "forged", stored.at);
    product.server.import(store::record_items(tenant, &label, stored.at).unwrap()).unwrap();
    let (events, checkpoints) = export(&product, who).await;
    assert!(checked(&events, &checkpoints, &keys).unwrap_err().contains("covers"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_checks_pages_as_curl_writes_them() {
    let product = Product::start().await;
    let (tenant, token) = quiet_tenant(&product, "command", &[3, 2]).await;
    let who = (token.as_str(), tenant);
    sign(&product).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("export.jsonl"), folder.path().join("jwks.json"));
    let jwks = product.call("GET", "/.well-known/jwks.json", &[], "").await.json();
    fs::write(&keys, jwks.to_string()).unwrap();
    let run = || {
        let output =
            Command::new(env!("CARGO_BIN_EXE_rolecall")).arg("verify").arg(&file).arg("--keys").arg(&keys).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    };
    let events = get(&product, who, "/v1/events?limit=200&sealed=true").await;
    let checkpoints = get(&product, who, "/v1/events/checkpoints").await;
    fs::write(&file, format!("{events}\n{checkpoints}\n")).unwrap();
    let (status, said) = run();
    assert!(status == Some(0) && said.contains("checkpoints 1; the last"), "{said}");
    let to = checkpoints["data"][0]["until"].as_str().unwrap();
    let fewer = get(&product, who, &format!("/v1/events?limit=3&sealed=true&to={to}")).await;
    fs::write(&file, format!("{fewer}\n{checkpoints}\n")).unwrap();
    let (status, said) = run();
    assert!(status == Some(1) && said.starts_with("error: ") && said.lines().count() == 1, "{said}");
}

/// The key that has signed the last checkpoint can be gone soon.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_rotation_the_next_key_signs_on_the_same_day() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, _) = quiet_tenant(&product, "rotated", &[3, 2]).await;
    sign(&product).await;
    let rotated = product.server.invoke("keys-rotate", &json!({ "rotate": "now" })).await.unwrap();
    assert_eq!(rotated["rotated"], true);
    let token = product.access("rotated", "member1@rotated.example").await;
    let check = async || {
        let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
        let (events, checkpoints) = export(&product, (&token, tenant)).await;
        checked(&events, &checkpoints, &keys).map(|report| report.checkpoints)
    };
    assert!(check().await.unwrap_err().contains("no checkpoint that one of the keys has signed"));
    assert!(sign(&product).await >= 1);
    assert_eq!(check().await, Ok(2));
    assert_eq!(sign(&product).await, 0, "the day is done");
}
