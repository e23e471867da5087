//! The operator's view: one line a request, from which the metrics come, too.

use std::io::{pipe, read_to_string};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use local::front::Fault;
use local::log::{Format, Writer};
use serde_json::{Value, json};
use shared::domain::role;

use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, USER, turn};

impl Product {
    /// The lines that requests have left since the last call, each with the name of its function, oldest first.
    fn requests(&self) -> Vec<(String, Value)> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        let lines = lines.iter().filter_map(|line| {
            let (name, line) = line.strip_prefix('[')?.split_once("] ")?;
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "request").then(|| (name.to_owned(), line))
        });
        lines.collect()
    }

    async fn one_request(&self) -> Value {
        // A line takes another way than the answer, so it may come later.
        let found = || self.lines.lock().unwrap().iter().any(|line| line.contains(r#""message":"request""#));
        crate::harness::eventually(found).await;
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0).1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_leaves_one_line_with_all_that_one_looks_for() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    for function in FUNCTIONS {
        for (role, cold) in [(role::ADMIN, 1), (role::USER, 0)] {
            let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
            product.records();
            let reply = calls.set_role_with(function, role, &[("x-amzn-trace-id", trace)]).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let line = product.one_request().await;
            let records = product.records();
            let mine: Vec<_> = records.iter().filter(|it| it.function.as_deref() == Some(function)).collect();
            // The keys are read before the first request.
            let mine = &mine[cold..];
            let expected = json!({
                "level": "INFO", "service": "rolecall", "function": function, "trace": trace,
                "request_id": reply.header("x-request-id"), "tenant": 1, "caller": 2, "status": 200, "outcome": "ok",
                "faults": 0, "denials": 0, "cold": cold, "throttles": 0, "restarts": 0, "round_trips": mine.len(),
                "read_units": mine.iter().map(|it| it.read_units).sum::<f64>(),
                "write_units": mine.iter().map(|it| it.write_units).sum::<f64>(),
            });
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&line[name], value, "{name}: {line:#}");
            }
            assert!(mine.iter().all(|it| it.trace.as_deref() == Some(trace)), "the trace goes on: {mine:#?}");
            let ms = |name: &str| line[name].as_f64().unwrap_or_else(|| panic!("{name}: {line:#}"));
            assert!(ms("ms") >= ms("table_ms") + ms("pauses_ms"), "{line:#}");
            assert_eq!(line["init_ms"].is_number(), cold == 1);
            assert!(line["dialect"].is_string() && line["timestamp"].is_string());
            assert!(line.get("advice").is_none() || ms("ms") > 500.0, "{line:#}");
        }
    }
}

/// A trace that a client sends comes back in Lambda's own header, and so in the environment of the SDK.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_none_gets_into_no_log_and_to_no_table() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let long = format!("Root=1-5759e988-bd862e3fe1be46a994272793;Lineage={}", "a".repeat(4000));
    for trace in ["ann@acme.example", "Root=1-0-0", "Root=1-5759e988-bd862e3fe1be46a994272793;By=ann", &long] {
        product.records();
        let headers = [("x-amzn-trace-id", trace)];
        let reply = product.put_user(&token, ACME, USER, &headers, json!({ "roles": ["user"] })).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let line = product.one_request().await;
        assert_eq!(line.get("trace"), None, "{line:#}");
        let records = product.records();
        let mine: Vec<_> = records.iter().filter(|it| it.function.is_some()).collect();
        assert!(!mine.is_empty() && mine.iter().all(|it| it.trace.is_none()), "{trace}: {mine:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_caller_and_a_denied_one_say_so() {
    let product = Product::start().await;
    let user = product.access("acme", "user@acme.example").await;
    let body = json!({ "roles": ["admin"] });
    let unknown = product.put_user("no.token.atall", ACME, USER, &[], body.clone()).await;
    assert_eq!(unknown.status, 401);
    let line = product.one_request().await;
    assert_eq!((&line["outcome"], &line["level"]), (&json!("unauthenticated"), &json!("INFO")));
    assert!(line["cause"].is_string() && line.get("tenant").is_none() && line.get("caller").is_none(), "{line:#}");

    let denied = product.put_user(&user, ACME, USER, &[], body).await;
    assert_eq!(denied.status, 403);
    let line = product.one_request().await;
    assert_eq!((&line["outcome"], &line["denials"], &line["caller"]), (&json!("forbidden"), &json!(1), &json!(3)));
    assert!(line["rule"].is_string(), "{line:#}");
}

/// The output of `cargo run`, without the time of the day and the milliseconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_one_line_a_request_and_why_it_failed() {
    let (reader, screen) = pipe().unwrap();
    let writer = Writer::start(Format::Short, false, screen).unwrap();
    let product = Product::start_with(|options| options.log = writer.sink()).await;
    let admin = product.access("acme", "admin@acme.example").await;
    let user = product.access("acme", "user@acme.example").await;
    let body = json!({ "roles": ["admin"] });
    for (token, status) in [(admin.as_str(), 200), ("no.token.atall", 401), (&user, 403)] {
        assert_eq!(product.put_user(token, ACME, USER, &[], body.clone()).await.status, status);
        // Its role has changed.
        let again = json!({ "roles": ["user"] });
        if status == 200 {
            assert_eq!(product.put_user(token, ACME, USER, &[], again).await.status, status);
        }
    }
    assert_eq!(product.call("GET", "/openapi.json", &[], "").await.status, 200);
    assert_eq!(product.call("GET", "/openapi", &[], "").await.status, 404);
    product.server.shutdown().await;
    drop(writer);
    let told = read_to_string(reader).unwrap();
    let steady = |line: &str| -> String {
        let (request, rest) = line.split_once(" ms ").unwrap_or((line, ""));
        let request: Vec<&str> = request.split_whitespace().collect();
        let rest: Vec<&str> = rest.split_whitespace().collect();
        match rest.is_empty() {
            true => line.to_owned(),
            false => [&request[1..request.len() - 1], &rest].concat().join(" "),
        }
    };
    let path = format!("PUT /v1/users/{}", USER.uuid());
    let expected = [
        &format!("{path} 200 4 trips users-update"),
        &format!("{path} 200 2 trips users-update"),
        &format!("{path} 401 0 trips users-update"),
        "         unauthenticated: ",
        &format!("{path} 403 1 trip users-update"),
        "         forbidden: the policy `",
        "GET /openapi.json 200 0 trips docs-openapi",
        "GET /openapi 404 - -",
        "         the template has no such route; `routes` lists all",
    ];
    let told: Vec<String> = told.lines().map(steady).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected) && (told == expected || expected.starts_with(' ')), "{told} for {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_took_several_tries_say_why() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let left = std::sync::atomic::AtomicU32::new(2);
    let kind = "com.amazonaws.dynamodb.v20120810#ThrottlingException";
    product.server.set_fault(Some(Arc::new(move |request| {
        use std::sync::atomic::Ordering::Relaxed;
        let hit = request.operation == "TransactWriteItems";
        match hit && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            true => Fault::AnswerBefore(400, json!({ "__type": kind, "message": "Rate exceeded" })),
            false => Fault::None,
        }
    })));
    let reply = product.put_user(&token, ACME, USER, &[], json!({ "roles": ["admin"] })).await;
    assert_eq!(reply.status, 200);
    let line = product.one_request().await;
    assert_eq!((&line["throttles"], &line["outcome"]), (&json!(2), &json!("ok")));
    assert_eq!(line["failures"], json!(["TransactWriteItems: ThrottlingException: Rate exceeded"]));
    assert!(line["pauses_ms"].as_f64().unwrap() > 0.0, "{line:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_level_says_whether_each_try_at_the_table_is_told() {
    for (level, tries) in [("debug", 4), ("info", 0)] {
        let product = Product::start_with(|options| {
            for function in &mut options.template.functions {
                function.environment.insert("LOG_LEVEL".to_owned(), level.to_owned());
            }
        })
        .await;
        let token = product.access("acme", "admin@acme.example").await;
        let reply = product.put_user(&token, ACME, USER, &[], json!({ "roles": ["admin"] })).await;
        assert_eq!(reply.status, 200);
        let id = json!(reply.header("x-request-id"));
        let lines = || -> Vec<Value> {
            let lines = product.lines.lock().unwrap();
            let lines = lines.iter().filter_map(|line| serde_json::from_str(line.split_once("] ")?.1).ok());
            lines.filter(|line: &Value| line["request_id"] == id).collect()
        };
        let of = |message: &str| lines().iter().filter(|line| line["message"] == message).count();
        crate::harness::eventually(|| of("request") == 1).await;
        assert_eq!(of("table"), tries, "{level}: {:#?}", lines());
    }
}

/// Ten seconds without a table: the log names the function and the tenant, gives advice, and shows the end of the outage.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_ten_seconds_explains_itself() {
    let _turn = turn().await;
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    let names = FUNCTIONS;
    for name in &names {
        assert_eq!(calls.set_role(name, role::USER).await.status, 200);
    }
    product.requests();
    let least = Instant::now() + Duration::from_secs(10);
    let kind = "com.amazonaws.dynamodb.v20120810#InternalServerError";
    product.server.set_fault(Some(Arc::new(move |request| match request.function.is_some() {
        true => Fault::AnswerBefore(500, json!({ "__type": kind, "message": "Internal server error" })),
        false => Fault::None,
    })));
    let during = join_all(names.iter().map(|name| calls.set_role(name, role::ADMIN))).await;
    let statuses: Vec<u16> = during.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [503; 5], "a function has 10 s, of which it keeps 300 ms for the answer");
    let mut lines = product.requests();
    lines.sort_by_key(|(name, _)| names.iter().position(|it| it == name));
    assert_eq!(lines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    for (name, line) in lines {
        let expected = json!({
            "level": "ERROR", "function": name, "tenant": 1, "caller": 2, "status": 503, "outcome": "unavailable",
            "faults": 1, "failures": ["BatchGetItem: InternalServerError: Internal server error"],
        });
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&line[member], value, "{member}: {line:#}");
        }
        assert!(line["advice"].as_str().unwrap().contains("check DynamoDB's health"), "{line:#}");
        assert!(line["round_trips"].as_u64().unwrap() > 5, "it went on trying: {line:#}");
    }

    tokio::time::sleep_until(least.into()).await;
    product.server.set_fault(None);
    for name in &names {
        assert_eq!(calls.set_role(name, role::ADMIN).await.status, 200);
    }
    for (_, line) in product.requests() {
        assert_eq!((&line["outcome"], &line["faults"]), (&json!("ok"), &json!(0)), "{line:#}");
    }
}
