//! Failures around the product: no acknowledged change is lost, none happens twice, none is half done.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hyper::StatusCode;
use local::front::{Fault, FaultHook};
use local::store::Store;
use local::token::{self, Flaw};
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Event, Member, Subject, verify_chain};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, Reply, USER, bin_dir, eventually, the_template, turn};

/// Fails requests of one operation: a fault for the first, the second and so on. Later requests go through.
fn faults(operation: &'static str, plan: Vec<Fault>) -> FaultHook {
    let count = AtomicU32::new(0);
    Arc::new(move |request| {
        if request.operation != operation || request.function.is_none() {
            return Fault::None;
        }
        plan.get(count.fetch_add(1, Ordering::Relaxed) as usize).cloned().unwrap_or(Fault::None)
    })
}

fn always(fault: Fault) -> FaultHook {
    Arc::new(move |request| if request.function.is_some() { fault.clone() } else { Fault::None })
}

fn error(kind: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "made by the test" })
}

fn cancelled(reasons: &[&str]) -> Value {
    let reasons: Vec<Value> = reasons.iter().map(|code| json!({ "Code": code })).collect();
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled",
        "CancellationReasons": reasons,
    })
}

async fn rename(product: &Product, name: &str) -> Reply {
    let token = product.access("acme", "admin@acme.example").await;
    product.put_user(&token, ACME, USER, &[], json!({ "name": name })).await
}

/// One change was made, and nothing else.
async fn assert_done_once(product: &Product, reply: &Reply) {
    assert_eq!(reply.status, 200, "{reply:?}\n{:#?}", product.lines.lock().unwrap());
    assert_eq!(reply.header("etag"), Some("\"2\""));
    assert_eq!(product.events(ACME, USER).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_is_asked_for_again_and_the_change_made_once() {
    for lost in [Fault::DropAfter, Fault::AnswerAfter(500, error("InternalServerError"))] {
        let product = Product::start().await;
        product.server.set_fault(Some(faults("TransactWriteItems", vec![lost])));
        assert_done_once(&product, &rename(&product, "Lost Once").await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_with_the_engines_memory_of_it_is_found_on_record() {
    let product = Product::start().await;
    // The engine did the write. Asked again, it knows only that the member has changed.
    let forgotten = Fault::AnswerBefore(400, cancelled(&["ConditionalCheckFailed", "None", "None", "None", "None"]));
    product.server.set_fault(Some(faults("TransactWriteItems", vec![Fault::DropAfter, forgotten])));
    assert_done_once(&product, &rename(&product, "Lost Twice").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttles_and_conflicts_are_waited_out() {
    let conflict = Fault::AnswerBefore(400, cancelled(&["None", "TransactionConflict"]));
    let product = Product::start().await;
    product.server.set_fault(Some(faults("TransactWriteItems", vec![Fault::throttled(), conflict])));
    assert_done_once(&product, &rename(&product, "Patient").await).await;
    product.server.set_fault(Some(faults("BatchGetItem", vec![Fault::throttled()])));
    assert_eq!(rename(&product, "Patient Too").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_left_unprocessed_are_read_again() {
    let product = Product::start().await;
    let left = AtomicU32::new(1);
    product.server.set_fault(Some(Arc::new(move |request| {
        let session = request.function.is_some() && request.body.to_string().contains("SESSION#");
        if session && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Fault::AnswerBefore(
                200,
                json!({ "Responses": {}, "UnprocessedKeys": request.body["RequestItems"] }),
            );
        }
        Fault::None
    })));
    assert_done_once(&product, &rename(&product, "In Parts").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_a_503_in_each_dialect_that_says_when_to_come_back_and_nothing_else() {
    let down = Fault::AnswerBefore(500, error("InternalServerError"));
    let throttled = Fault::AnswerBefore(400, error("ThrottlingException"));
    let _turn = turn().await;
    for (fault, status) in [(down, StatusCode::SERVICE_UNAVAILABLE), (throttled, StatusCode::TOO_MANY_REQUESTS)] {
        let product = Product::start_with(|options| {
            for function in &mut options.template.functions {
                function.timeout = Duration::from_secs(4);
            }
        })
        .await;
        let calls = Dialects::new(&product).await;
        // The function is warm and knows the keys, so the request's own read meets the outage.
        for function in FUNCTIONS {
            assert_eq!(calls.set_role(function, shared::domain::role::USER).await.status, 200);
        }
        product.server.set_fault(Some(always(fault)));
        let names = FUNCTIONS;
        let replies = join_all(names.iter().map(|name| calls.set_role(name, shared::domain::role::ADMIN))).await;
        for (name, reply) in names.iter().zip(replies) {
            assert_eq!(reply.status, status.as_u16(), "{name}: {reply:?}");
            assert_eq!(reply.header("retry-after"), Some("1"), "{name}");
            let body = String::from_utf8(reply.bytes.to_vec()).unwrap();
            assert!(!body.contains("made by the test") && !body.contains("Exception"), "{name}: {body}");
        }
        product.server.set_fault(None);
        assert_eq!(product.events(ACME, USER).await.len(), 1, "nothing was written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_read_at_init_are_read_for_the_first_request() {
    let product = Product::start().await;
    let denied = Fault::AnswerBefore(400, error("ValidationException"));
    product.server.set_fault(Some(faults("BatchGetItem", vec![denied])));
    assert_done_once(&product, &rename(&product, "First").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_functions_leave_nothing_half_done() {
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let mut acknowledged = 0;
    let mut killed = 0;
    while killed < 20 {
        let writes = async {
            let names = (0..4).map(|_| json!({ "name": format!("Name {}", fastrand::u32(..)), "roles": ["user"] }));
            let bodies = names.map(|body| product.put_user(&token, ACME, USER, &[], body));
            join_all(bodies).await
        };
        let kills = async {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..15))).await;
            for pid in product.server.pids("users-update") {
                let status =
                    Command::new("kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
                killed += usize::from(status.success());
            }
        };
        let (replies, ()) = tokio::join!(writes, kills);
        for reply in replies {
            assert!(matches!(reply.status, 200 | 502 | 503), "{reply:?}");
            acknowledged += usize::from(reply.status == 200);
        }
    }
    // Its chain is checked, too: each version has its event, each event its version.
    let events = product.events(ACME, USER).await;
    let versions = product.member(ACME, USER).await.meta.version as usize;
    assert_eq!(events.len(), versions);
    assert!(versions > acknowledged, "{versions} versions for {acknowledged} changes acknowledged after the first");
    assert_eq!(rename(&product, "Well Again").await.status, 200);
}

/// The binary, as a person starts it.
struct Running {
    child: Child,
    url: String,
    dynamodb: String,
}

impl Running {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rolecall"))
            .args(["serve", "--port", "0", "--dynamodb-port", "0", "--data"])
            .arg(data)
            .arg("--bin-dir")
            .arg(bin_dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (mut url, mut dynamodb) = (String::new(), String::new());
        for line in lines.by_ref() {
            if let Some(found) = line.strip_prefix("API ") {
                url = found.trim().to_owned();
            }
            if let Some(found) = line.strip_prefix("DynamoDB ") {
                dynamodb = found.trim().to_owned();
                break;
            }
        }
        // The rest is read, too, as a terminal does.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url, dynamodb }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_lost_nothing_that_it_acknowledged() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let template = the_template();
    let expected = token::expected(&template).unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for _ in 0..5 {
        let mut running = Running::start(&data);
        let store = Store::new(&running.dynamodb, template.table_name()).unwrap();
        let token = async || {
            let admin = ("acme", "admin@acme.example");
            token::issue(&store, &expected, admin, Kind::Access, 600, Flaw::None, shared::now()).await.unwrap()
        };
        let token = token().await;
        let client = Arc::new(crate::harness::http_client());
        let done = Arc::new(std::sync::Mutex::new(Vec::new()));
        let writers = (0..4).map(|_| {
            let (client, done, token, url) = (client.clone(), done.clone(), token.clone(), running.url.clone());
            tokio::spawn(async move {
                loop {
                    let name = format!("n{:016x}", fastrand::u64(..));
                    let request = hyper::Request::put(format!("{url}/v1/users/{}", USER.uuid()))
                        .header("authorization", format!("Bearer {token}"))
                        .header("x-tenant-id", ACME.uuid().to_string())
                        .header("content-type", "application/json")
                        .body(http_body_util::Full::from(json!({ "name": name }).to_string()))
                        .unwrap();
                    // No answer: the server is gone.
                    let Ok(reply) = client.request(request).await else { return };
                    if reply.status() == StatusCode::OK {
                        done.lock().unwrap().push(name);
                    }
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let enough = 10 + fastrand::usize(..20);
        eventually(|| done.lock().unwrap().len() >= enough).await;
        running.child.kill().unwrap();
        running.child.wait().unwrap();
        join_all(writers).await;
        acknowledged.append(&mut done.lock().unwrap());
    }

    let mut running = Running::start(&data);
    let store = Store::new(&running.dynamodb, template.table_name()).unwrap();
    let keys = TenantKeys(ACME);
    let member: Member = decode(store.get(&keys.member(USER)).await.unwrap().unwrap()).unwrap();
    let mut chain = keys.event(&Subject::new("member", USER), 0);
    chain.sk = "EVENT#".to_owned();
    let events = store.query(&chain).await.unwrap();
    let events: Vec<Event> = events.into_iter().map(|item| decode(item).unwrap()).collect();
    verify_chain(ACME, &member, &events).unwrap();
    let recorded: Vec<&str> = events.iter().filter_map(|event| event.changes.get("first_name")?.to.as_str()).collect();
    for name in &acknowledged {
        let times = recorded.iter().filter(|recorded| *recorded == name).count();
        assert_eq!(times, 1, "{name} was acknowledged");
    }
    running.child.kill().unwrap();
    running.child.wait().unwrap();
}
