//! Data that callers send reaches the table, and never a log.

use std::io::{pipe, read_to_string};
use std::sync::Arc;

use local::front::Fault;
use local::log::{Format, Writer};
use serde_json::json;

use crate::harness::{ACME, Product, USER};

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_holds_a_body_a_header_or_a_token() {
    const MARK: &str = "MARKED-BY-THE-TEST";
    let (reader, screen) = pipe().unwrap();
    let writer = Writer::start(Format::Short, false, screen).unwrap();
    let product = Product::start_with(|options| {
        let (lines, short) = (Arc::clone(&options.log), writer.sink());
        options.log = Arc::new(move |entry| {
            short(entry.clone());
            lines(entry);
        });
        for function in &mut options.template.functions {
            function.environment.insert("LOG_LEVEL".to_owned(), "debug".to_owned());
        }
    })
    .await;
    let token = product.access("acme", "admin@acme.example").await;
    let headers = [("x-marked", MARK), ("idempotency-key", MARK), ("cookie", MARK), ("user-agent", MARK)];
    let ok = product.put_user(&token, ACME, USER, &headers, json!({ "name": MARK })).await;
    assert_eq!(ok.status, 200, "{ok:?}");
    let unknown = product.put_user(&token, ACME, USER, &[], json!({ "roles": [MARK] })).await;
    assert_eq!(unknown.status, 422);
    let forged = product.put_user(&format!("{token}x"), ACME, USER, &headers, json!({ "name": MARK })).await;
    assert_eq!(forged.status, 401);
    let authorization = format!("Bearer {token}");
    let tenant = ACME.uuid().to_string();
    let headers =
        [("authorization", authorization.as_str()), ("x-tenant-id", &tenant), ("content-type", "application/json")];
    let malformed = format!("{{\"name\": \"{MARK}\", \"name\": 1");
    let path = format!("/v1/users/{}?token={MARK}", USER.uuid());
    assert_eq!(product.call("PUT", &path, &headers, malformed).await.status, 400);
    product.server.set_fault(Some(Arc::new(|_| {
        Fault::AnswerBefore(400, json!({ "__type": "com.amazon.coral.validate#ValidationException", "message": "no" }))
    })));
    let failed = product.put_user(&token, ACME, USER, &[], json!({ "name": MARK })).await;
    assert_eq!(failed.status, 500, "{failed:?}");

    product.server.shutdown().await;
    drop(writer);
    let short = read_to_string(reader).unwrap();
    let rows = short.lines().filter(|line| line.contains(" ms ")).count();
    assert_eq!(rows, 5, "one short line a request: {short}");
    let lines = product.lines.lock().unwrap().clone();
    let requests = lines.iter().filter(|line| line.contains("\"message\":\"request\"")).count();
    assert_eq!(requests, 5, "one line a request: {lines:#?}");
    let (header_and_claims, signature) = token.rsplit_once('.').unwrap();
    let claims = header_and_claims.rsplit_once('.').unwrap().1;
    for line in lines.iter().map(String::as_str).chain(short.lines()) {
        for secret in [MARK, signature, claims, "acme.example", "Uma"] {
            assert!(!line.contains(secret), "{secret} in: {line}");
        }
    }
}
