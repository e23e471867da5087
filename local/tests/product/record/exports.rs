//! Exports of the record by a job: whole and in order, for their caller only, and as the verifier takes them.

use std::collections::BTreeSet;

use local::verify::{Keys, verify};
use serde_json::{Value, json};
use shared::domain::Time;
use shared::id::{JobId, TenantId};

use super::checkpoints::sign;
use super::{DAY, Product, get, ids, pages, quiet_tenant};
use crate::harness::Reply;

/// Runs a job, without the stream.
pub async fn run_job(product: &Product, tenant: TenantId, number: u32) {
    let keys = json!({ "PK": { "S": format!("TENANT#{tenant}") }, "SK": { "S": format!("JOB#{number:010}") } });
    product.server.invoke("jobs-run", &json!({ "Records": [{ "dynamodb": { "Keys": keys } }] })).await.unwrap();
}

async fn post(product: &Product, (token, tenant): (&str, TenantId), body: Value) -> Reply {
    product.users(token, tenant, ("POST", "/v1/events/export"), &[], Some(body)).await
}

/// Exports the record by the job with this number. Returns the job and the parts.
async fn export(product: &Product, who: (&str, TenantId), number: u32, body: Value) -> (Value, Vec<String>) {
    let started = post(product, who, body).await;
    let path = format!("/v1/jobs/{}", JobId::new(number).uuid_in(who.1));
    assert_eq!((started.status, started.header("location")), (202, Some(path.as_str())), "{}", started.json());
    run_job(product, who.1, number).await;
    let job = get(product, who, &path).await;
    assert_eq!((&job["kind"], &job["state"], &job["error"]), (&json!("export_events"), &json!("done"), &Value::Null));
    assert_eq!(job["total"], job["done"]);
    let mut parts = Vec::new();
    for part in 1..=job["parts"].as_u64().unwrap() {
        let reply = product.users(who.0, who.1, ("GET", &format!("{path}/parts/{part}")), &[], None).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")));
        parts.push(String::from_utf8(reply.content()).unwrap());
    }
    (job, parts)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_the_record_is_whole_and_can_be_checked_elsewhere() {
    let product = Product::start_with(|options| options.sources = false).await;
    let days: Vec<i64> = (0..700).map(|number| number % 390 + 1).collect();
    let (tenant, token) = quiet_tenant(&product, "exported", &days).await;
    let who = (token.as_str(), tenant);
    sign(&product).await;
    let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
    let keys = Keys::parse(&keys).unwrap();

    let (job, parts) = export(&product, who, 1, json!({})).await;
    assert!(parts.len() >= 2, "{job}");
    let lines: Vec<&str> = parts.iter().flat_map(|part| part.lines()).collect();
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (checkpoint, events) = events.split_last().unwrap();
    assert!(checkpoint["signed"].is_string());
    assert_eq!(job["done"], json!(events.len()));
    // All that the list has of that time, the other way round.
    let of_job = get(&product, who, &format!("/v1/events?subject=job:{}", JobId::new(1).uuid_in(tenant))).await;
    let task = &of_job["data"].as_array().unwrap().last().unwrap()["changes"]["task"]["to"];
    assert_eq!(task["kind"], "export_events");
    let to = task["filters"]["to"].as_str().unwrap();
    let mut listed = pages(&product, who, &format!("/v1/events?limit=200&sealed=true&to={to}")).await.concat();
    listed.reverse();
    assert!(listed.len() > 700);
    assert_eq!(events, listed);

    let report = verify(lines.iter().copied(), &keys).unwrap();
    assert_eq!((report.events, report.checkpoints, report.removed), (events.len(), 1, None));
    for at in [0, 1, lines.len() / 2, lines.len() - 2, lines.len() - 1] {
        let without = lines.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, line)| *line);
        assert!(verify(without, &keys).is_err(), "{}", lines[at]);
    }

    // Some of it, as a table.
    let at = |days: i64| Time::from_millis(shared::now().millis() - days * DAY).to_string();
    let filters = json!({ "format": "csv", "subject": "label", "from": at(302), "to": at(97), "actor": "product" });
    let (job, parts) = export(&product, who, 2, filters).await;
    let query = format!("/v1/events?limit=200&subject=label&from={}&to={}", at(302), at(97));
    let listed = pages(&product, who, &query).await.concat();
    let rows: Vec<&str> = parts.iter().flat_map(|part| part.lines().skip(1)).collect();
    assert_eq!((job["done"].as_u64().unwrap() as usize, rows.len()), (listed.len(), listed.len()));
    let exported: BTreeSet<&str> = rows.iter().filter_map(|row| row.split(',').next()).collect();
    assert_eq!(exported, ids(&listed).into_iter().collect());
    assert!(parts.iter().all(|part| part.starts_with("id,at,subject_kind,subject_id,version,action,actor_kind,")));
    // One subject, by its own chain.
    let label = shared::id::LabelId::new(3).uuid_in(tenant);
    let (_, parts) = export(&product, who, 3, json!({ "subject": format!("label:{label}") })).await;
    let only: Value = serde_json::from_str(parts.concat().trim()).unwrap();
    assert_eq!((&only["subject"]["id"], &only["action"]), (&json!(label), &json!("created")));
    // Nothing matches: there is a part, and it has no event.
    let (job, parts) = export(&product, who, 4, json!({ "format": "csv", "action": "exploded" })).await;
    assert_eq!((&job["done"], parts.len(), parts[0].lines().count()), (&json!(0), 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_the_record_gets_no_export_of_it() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, owner) = quiet_tenant(&product, "guarded", &[5, 4]).await;
    let (admin, user) = (
        product.access("guarded", "member2@guarded.example").await,
        product.access("guarded", "member3@guarded.example").await,
    );
    let refused = post(&product, (&user, tenant), json!({})).await;
    assert_eq!((refused.status, &refused.json()["details"]["action"]), (403, &json!("event:read")));
    let (job, _) = export(&product, (&admin, tenant), 1, json!({})).await;
    let part = format!("/v1/jobs/{}/parts/1", job["id"].as_str().unwrap());
    let read = async |token: &str| product.users(token, tenant, ("GET", &part), &[], None).await.status;
    assert_eq!((read(&owner).await, read(&user).await, read(&admin).await), (403, 403, 200));

    // Once the caller may not read it any more, the parts are closed, and a job that goes on ends.
    assert_eq!(post(&product, (&admin, tenant), json!({})).await.status, 202);
    let me = get(&product, (&admin, tenant), "/v1/users/me").await;
    let path = format!("/v1/users/{}", me["id"].as_str().unwrap());
    let demoted = product.users(&owner, tenant, ("PATCH", &path), &[], Some(json!({ "roles": ["user"] }))).await;
    assert_eq!(demoted.status, 200, "{}", demoted.json());
    assert_eq!(read(&admin).await, 403);
    run_job(&product, tenant, 2).await;
    let job = get(&product, (&owner, tenant), &format!("/v1/jobs/{}", JobId::new(2).uuid_in(tenant))).await;
    assert_eq!((&job["state"], &job["parts"], job["error"].is_string()), (&json!("done"), &json!(0), true));
}
