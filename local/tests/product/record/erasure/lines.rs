//! An erasure beside the exports and imports of its tenant.

use local::front::Record;
use shared::table::{Item, encode};

use super::*;

/// The export can have read the member before they were removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_waits_for_an_export_that_has_begun() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let exported = owner.does(202, "POST", "/v1/users/export", Some(json!({ "format": "jsonl" }))).await;
    let exported = job_of(&exported, ACME);
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    let erased = job_of(&erased, ACME);
    let path = format!("/v1/jobs/{}", erased.uuid_in(ACME));
    product.server.invoke("jobs-run", &record(ACME, erased)).await.unwrap_err();
    let waits = owner.does(200, "GET", &path, None).await;
    assert_eq!((&waits["state"], waits["error"].is_string()), (&json!("waiting"), true), "{waits}");

    product.server.invoke("jobs-run", &record(ACME, exported)).await.unwrap();
    product.server.invoke("jobs-sweep", &json!({ "time": "2026-01-01T00:00:00Z" })).await.unwrap();
    product.server.invoke("jobs-run", &record(ACME, erased)).await.unwrap();
    let done = owner.does(200, "GET", &path, None).await;
    assert_eq!((&done["state"], &done["error"]), (&json!("done"), &Value::Null), "{done}");
    assert!(product.member(ACME, USER).await.is_erased());
    // They were removed when the export read its members, so the part stays.
    let part = format!("/v1/jobs/{}/parts/1", exported.uuid_in(ACME));
    let part = owner.call("GET", &part, &[], None).await;
    assert!(part.status == 200 && !String::from_utf8(part.content()).unwrap().contains("user@acme.example"));
}

/// The import can have changed the member, and write down their id with the others of its piece.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_waits_for_an_import_that_has_begun() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let import = owner.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "skip" }))).await;
    let path = format!("/v1/users/import/{}", text(&import, "id"));
    let (bearer, acme) = (format!("Bearer {}", owner.1), ACME.uuid().to_string());
    let headers = [("authorization", bearer.as_str()), ("x-tenant-id", &acme), ("content-type", "text/csv")];
    let lines = "email\nother@new.example\n";
    assert_eq!(product.call("PUT", &format!("{path}/parts/1"), &headers, lines).await.status, 200);
    owner.does(202, "POST", &format!("{path}/start"), None).await;
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    let (imported, erased) = (job_of(&import, ACME), job_of(&erased, ACME));
    product.server.invoke("jobs-run", &record(ACME, erased)).await.unwrap_err();
    product.server.invoke("jobs-run", &record(ACME, imported)).await.unwrap();
    product.server.invoke("jobs-sweep", &json!({ "time": "2026-01-01T00:00:00Z" })).await.unwrap();
    product.server.invoke("jobs-run", &record(ACME, erased)).await.unwrap();
    assert!(product.member(ACME, USER).await.is_erased());
}

/// A piece reads 20 MB at most: a worker would not have the time for more.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_export_is_gone_through_in_pieces() {
    const PARTS: usize = 90;
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let exported = owner.does(202, "POST", "/v1/users/export", Some(json!({ "format": "jsonl" }))).await;
    let exported = job_of(&exported, ACME);
    product.server.invoke("jobs-run", &record(ACME, exported)).await.unwrap();
    let keys = TenantKeys(ACME);
    // One part of nine has only other people.
    let email = |number: usize| if number.is_multiple_of(9) { "" } else { "user@acme.example" };
    let text = |number| format!("{}\n{}", "x".repeat(300 * 1024), email(number));
    let part = |number| json!({ "text": text(number), "expires_at": shared::now().seconds() + 1_000 });
    let parts = (2..=PARTS).map(|number| encode(&keys.results(exported, number), None, &part(number)).unwrap());
    product.server.import(parts.collect()).unwrap();
    product.records();
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    // A worker that is slow leaves the rest to another one.
    for _ in 0..10 {
        product.server.invoke("jobs-run", &record(ACME, job_of(&erased, ACME))).await.unwrap();
    }
    assert!(product.member(ACME, USER).await.is_erased());
    // In units of 4 KB.
    let records = product.records();
    let of_piece = |piece: &[Record]| piece.iter().map(|it| it.read_units).sum::<f64>();
    let pieces: Vec<_> = records.split(|it| it.operation == "UpdateItem").map(of_piece).collect();
    let most = 20.0 * 256.0 + 50.0;
    assert!(pieces.iter().sum::<f64>() > most && pieces.iter().all(|read| *read < most), "{pieces:?}");
    let beside = product.store.query(&keys.beside_job(exported)).await.unwrap();
    let is_part = |item: &&Item| item["SK"].as_s().unwrap().starts_with("RESULTS#");
    assert_eq!(beside.iter().filter(is_part).count(), PARTS / 9);
}
