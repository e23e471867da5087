//! An erasure beside the exports and imports of its tenant.

use aws_sdk_dynamodb::types::AttributeValue;
use local::front::Record;
use shared::domain::Time;
use shared::table::{Item, encode};

use super::*;

async fn start(status: u16, owner: &By<'_>, import: &Value) -> Value {
    owner.does(status, "POST", &format!("/v1/users/import/{}/start", text(import, "id")), None).await
}

/// The item of the first part of an import.
async fn part(product: &Product, import: JobId) -> Item {
    product.store.get(&TenantKeys(ACME).part(import, 1)).await.unwrap().expect("a part")
}

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
    assert_eq!(send(&owner, &import, "email\nother@new.example\n").await.status, 200);
    start(202, &owner, &import).await;
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

/// The client was told that the new text is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_replaced_meanwhile_is_not_lost() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let import = owner.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "skip" }))).await;
    let lines = "email\nuser@acme.example\n";
    assert_eq!(send(&owner, &import, lines).await.status, 200);
    let erased = owner.does(202, "DELETE", &format!("/v1/users/{}?erase=true", USER.uuid()), None).await;
    let erased = record(ACME, job_of(&erased, ACME));
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_write = request.function.as_deref() == Some("jobs-run") && request.operation != "Query";
        if !is_write || !request.body.to_string().contains("PART#") {
            return Fault::None;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Fault::throttled()
    })));
    let replace = async {
        eventually(|| tries.load(Ordering::Relaxed) > 0).await;
        assert_eq!(send(&owner, &import, &format!("{lines}kept@new.example\n")).await.status, 200);
        product.server.set_fault(None);
    };
    let (outcome, ()) = tokio::join!(product.server.invoke("jobs-run", &erased), replace);
    outcome.unwrap_err();
    product.server.invoke("jobs-sweep", &json!({ "time": "2026-01-01T00:00:00Z" })).await.unwrap();
    product.server.invoke("jobs-run", &erased).await.unwrap();
    let left = part(&product, job_of(&import, ACME)).await["text"].as_s().unwrap().clone();
    assert!(left.contains("kept@new.example") && !left.contains("user@acme.example"), "{left}");
    assert!(product.member(ACME, USER).await.is_erased());
}

/// It would come to the same place again and again.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_if_a_part_has_fewer_lines_than_were_counted() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let import = owner.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "skip" }))).await;
    let id = job_of(&import, ACME);
    assert_eq!(send(&owner, &import, "email\none@new.example\ntwo@new.example\n").await.status, 200);
    start(202, &owner, &import).await;
    let mut short = part(&product, id).await;
    short.insert("text".to_owned(), AttributeValue::S("email\none@new.example\n".to_owned()));
    product.store.put(short).await.unwrap();
    product.server.invoke("jobs-run", &record(ACME, id)).await.unwrap_err();
    let waits = job(&product, ACME, id).await;
    assert_eq!((waits.state, waits.progress.done, waits.progress.results), (State::Waiting, 1, 1), "{waits:?}");
}

/// An erasure finds the parts by the job.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_open_for_a_day_and_is_not_gone_before_its_parts() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let import = owner.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "skip" }))).await;
    let id = job_of(&import, ACME);
    let lines = "email\nother@new.example\n";
    assert_eq!(send(&owner, &import, lines).await.status, 200);
    let mut made = job(&product, ACME, id).await;
    let of_part: i64 = part(&product, id).await["expires_at"].as_n().unwrap().parse().unwrap();
    assert!(made.expires_at.is_some_and(|of_job| of_job >= of_part), "{made:?}, {of_part}");

    made.meta.created_at = Time::from_millis(made.meta.created_at.millis() - super::super::DAY);
    product.store.put(encode(&TenantKeys(ACME).job(id), None, &made).unwrap()).await.unwrap();
    let late = [send(&owner, &import, lines).await.json(), start(422, &owner, &import).await];
    for refused in late {
        let told = "there can be at most 24 hours between the making of an import and its parts or its start: make a new \
                    import";
        assert_eq!((&refused["code"], &refused["message"]), (&json!("limit_reached"), &json!(told)));
    }
    assert_eq!(job(&product, ACME, id).await, made, "nothing is written");
}

/// The job needs the address as long as it goes on: the key may call from some networks only.
#[tokio::test(flavor = "multi_thread")]
async fn no_event_has_the_address_of_a_client() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let key = json!({ "name": "HR", "roles": ["admin"], "networks": ["127.0.0.0/8"] });
    let key = owner.does(201, "POST", "/v1/api-keys", Some(key)).await;
    let machine = By(&product, text(&key, "secret").to_owned());
    let begun = [
        machine.does(202, "POST", "/v1/users/export", Some(json!({ "format": "jsonl" }))).await,
        machine.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "skip" }))).await,
    ];
    assert_eq!(send(&machine, &begun[1], "email\nother@new.example\n").await.status, 200);
    start(202, &machine, &begun[1]).await;
    let address = job(&product, ACME, job_of(&begun[0], ACME)).await.progress.address.expect("that of the client");
    for begun in &begun {
        let id = job_of(begun, ACME);
        assert_eq!(job(&product, ACME, id).await.progress.address.as_ref(), Some(&address));
        product.server.invoke("jobs-run", &record(ACME, id)).await.unwrap();
        let done = job(&product, ACME, id).await;
        assert_eq!((done.state, &done.progress.error), (State::Done, &None));
        let failed = done.progress.outcomes.map_or(0, |outcomes| outcomes.failed);
        assert_eq!((failed, done.progress.results), (0, 1), "the key was good from there");
    }
    let left = product.items().await.into_iter().map(|item| item.to_string());
    let left: Vec<String> = left.filter(|item| item.contains("JOB#")).collect();
    assert!(left.len() > 5 && left.iter().all(|item| !item.contains(&address)), "{address} in {left:#?}");
}
