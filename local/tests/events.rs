//! Has the real functions answer every case of `events/`, each on fresh demo data in a real engine, and compares with
//! the answers recorded there. `BLESS=1` records these anew: review the diff.
//!
//! It compares each answer with `openapi.json`, too. It writes the IAM actions that each function used to `target/actions.json`;
//! `.ci/` compares them with the actions that the deployed template grants. With `RIE`, the path of AWS's runtime interface
//! emulator, the emulator runs the functions, and replays only successes: the other cases differ from these in nothing that
//! concerns it.

#[path = "events/by_key.rs"]
mod by_key;
#[path = "events/check.rs"]
mod check;
#[path = "openapi/described.rs"]
mod described;
#[path = "events/mask.rs"]
mod mask;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioExecutor;
use local::cases::{Case, Cases, SUCCESS};
use local::dynamodb::Client;
use local::store::Store;
use local::template::{Function, Kind};
use local::{Options, Server, Template, demo, functions, server, template, token};
use serde::Serialize;
use serde_json::{Value, json};
use shared::domain::Time;
use shared::domain::{Difference, Event};
use shared::table::decode;
use shared::table::key::Key;
use tokio::task::JoinSet;

use check::{check, is_event};
use described::Described;
use mask::{is_random, mask};

/// The time of the demo data, in milliseconds since the epoch.
const SEEDED: i64 = 1_705_308_300_000;

/// The number of events that are replayed at the same time.
const LANES: usize = 2;

/// An answer in its recorded form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: Value,
    /// The changes that the audit events of the record list, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<BTreeMap<String, Difference>>,
}

/// The answers to the cases of each function.
type Recorded = Arc<Mutex<BTreeMap<String, BTreeMap<String, Value>>>>;

/// The IAM actions that each function used.
type Actions = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_gets_its_answer() {
    let root = template::find_root().unwrap();
    let mut template = Template::load(&root.join("template.yaml")).unwrap();
    // The origin that events name.
    server::for_this_machine(&mut template, 3000, &[]);
    let template = template;
    let names = || template.functions.iter().map(|it| it.name.as_str());
    let bin_dir = functions::build(&root, names(), true).unwrap();
    let cases: BTreeMap<_, _> = names().map(|name| (name.to_owned(), Cases::load(&root, name).unwrap())).collect();
    let all =
        cases.iter().flat_map(|(name, cases)| cases.all().unwrap().into_iter().map(move |case| (name.clone(), case)));
    let only = std::env::var("FUNCTION").ok();
    let emulated = std::env::var_os("RIE").is_some();
    let all: Vec<_> = all
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only.split(',').any(|only| only == name)))
        .filter(|(_, case)| !emulated || case.name.starts_with(SUCCESS))
        .collect();
    assert!(!all.is_empty());

    let described = Arc::new(Described::committed());
    let queue = Arc::new(Mutex::new(all.into_iter()));
    let (actions, recorded) = (Actions::default(), Recorded::default());
    let mut lanes = JoinSet::new();
    for _ in 0..LANES {
        let (queue, template, bin_dir) = (Arc::clone(&queue), template.clone(), bin_dir.clone());
        let (actions, recorded, described) = (Arc::clone(&actions), Arc::clone(&recorded), Arc::clone(&described));
        lanes.spawn(async move {
            let mut failed = Vec::new();
            let next = || queue.lock().unwrap().next();
            while let Some((name, case)) = next() {
                let function = template.function(&name).unwrap();
                match replay(&template, &bin_dir, function, &case, &actions, &described).await {
                    Ok(answer) => drop(recorded.lock().unwrap().entry(name).or_default().insert(case.name, answer)),
                    Err(why) => failed.push(format!("{name}, {}: {why}", case.name)),
                }
            }
            failed
        });
    }
    let failed = lanes.join_all().await.concat();
    if blessing() {
        let recorded = recorded.lock().unwrap();
        recorded.iter().for_each(|(name, answers)| cases[name].write(answers).unwrap());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));

    if only.is_some() || emulated {
        return;
    }
    let mut actions = std::mem::take(&mut *actions.lock().unwrap());
    for function in &template.functions {
        let granted = function.statements.iter().flat_map(|it| it.actions.clone()).collect();
        let used = actions.entry(function.name.clone()).or_default();
        assert_eq!(used, &granted, "what {} uses and is granted", function.name);
    }
    fs::write(bin_dir.join("../actions.json"), serde_json::to_string_pretty(&actions).unwrap()).unwrap();
}

fn blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// The answer to a case, if it is the recorded one or is recorded now.
async fn replay(
    template: &Template,
    bin_dir: &Path,
    function: &Function,
    case: &Case,
    actions: &Actions,
    described: &Described,
) -> Result<Value, String> {
    let log = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&log);
    let mut options = Options::new(template.clone(), bin_dir.into());
    options.record = true;
    options.sources = false;
    options.log = Arc::new(move |line| *sink.lock().unwrap() += &format!("\n{line}"));
    let server = Server::start(options).await.unwrap();
    let store = Store::new(&server.dynamodb_url(), template.table_name()).unwrap();
    server.import(demo::items(Time::from_millis(SEEDED)).unwrap()).unwrap();
    demo::finish(&store).await.unwrap();
    let expected = token::expected(template).unwrap();
    let started = shared::now();
    let event = token::fill(&store, &expected, case.event.clone(), started).await;
    let event = event.map_err(|why| why.to_string())?;
    for (of, first) in &case.after {
        let first = token::fill(&store, &expected, first.clone(), started).await.map_err(|why| why.to_string())?;
        let answer = server.invoke(of, &first).await.map_err(|why| why.to_string())?;
        // What the product itself invokes answers without a status.
        assert!(answer["statusCode"].as_u64().is_none_or(|status| status < 300), "{answer}");
        server.take_records();
    }

    let before = items(&server, template).await;
    let answer = match std::env::var_os("RIE") {
        Some(emulator) => Ok(emulate(&emulator, &server, function, bin_dir, &event).await?),
        None => server.invoke(&function.name, &event).await,
    };
    let after = items(&server, template).await;
    let mut audited: Vec<&Key> = after.keys().filter(|key| is_event(key) && !before.contains_key(key)).collect();
    audited.sort_by_key(|key| &key.sk);
    let several = audited.iter().any(|key| key.pk != audited[0].pk);
    let mut changes: Option<BTreeMap<String, Difference>> = None;
    for key in audited {
        let event: Event = decode(store.get(key).await.unwrap().unwrap()).unwrap();
        let changes = changes.get_or_insert_default();
        let is_erased = event.is_erased();
        for (mut name, mut change) in event.changes {
            // Commitments cover random salts.
            if is_erased && change.personal {
                (change.from, change.to) = (json!("<commitment>"), json!("<commitment>"));
            }
            if several {
                let id = if is_random(&event.subject.id) { "<id>" } else { &event.subject.id };
                name = format!("{} {id}: {name}", event.subject.kind);
            }
            let from = changes.remove(&name).map_or(change.from, |earlier| earlier.from);
            changes.insert(name, Difference { from, to: change.to, personal: false });
        }
    }
    let by_function = server.take_records().into_iter().filter(|record| record.function.is_some());
    let mut operations = Vec::new();
    for record in by_function {
        actions.lock().unwrap().entry(function.name.clone()).or_default().extend(record.actions);
        operations.push(record.operation);
    }
    let takes_key = function.kind == Some(Kind::Credential) && event["headers"]["x-session-token"].is_null();
    if case.name == SUCCESS && takes_key && std::env::var_os("RIE").is_none() {
        by_key::answered(&server, &store, function, &event).await?;
        let mut actions = actions.lock().unwrap();
        let used = server.take_records().into_iter().filter(|record| record.function.is_some());
        actions.entry(function.name.clone()).or_default().extend(used.flat_map(|record| record.actions));
    }
    server.shutdown().await;
    let may = &case.round_trips;
    // Of two calls at once, either comes first.
    let in_any_order = |calls: &[String]| {
        let mut calls = calls.to_vec();
        calls.sort_unstable();
        calls
    };
    let first = may.get(..operations.len()).map(in_any_order);
    if first != Some(in_any_order(&operations)) {
        return Err(format!("it took the round trips {operations:?}, and `roundTrips` of its cases.json are {may:?}"));
    }

    let answer = answer.map_err(|why| format!("{why}{}", log.lock().unwrap()))?;
    for change in changes.iter_mut().flat_map(BTreeMap::values_mut) {
        mask(&mut change.from, started);
        mask(&mut change.to, started);
        // The table keeps a map in no order.
        change.from.sort_all_objects();
        change.to.sort_all_objects();
    }
    let log = log.lock().unwrap().clone();
    if function.kind == Some(Kind::Product) {
        let mut answer = answer;
        mask(&mut answer, started);
        return recorded_or(case, json!({ "answer": answer, "changes": changes }), &log);
    }
    let body = body_of(&answer)?;
    let mut answer = Answer {
        status_code: serde_json::from_value(answer["statusCode"].clone()).unwrap(),
        headers: serde_json::from_value(answer["headers"].clone()).unwrap(),
        body: serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
        changes,
    };
    let route = event["routeKey"].as_str().unwrap();
    let media_type = answer.headers.get("content-type").map(String::as_str);
    // The reference is made of the recorded answers, so they cannot be compared now.
    if !blessing() {
        described.body(route, answer.status_code, media_type, &body)?;
        described.headers(route, answer.status_code, answer.headers.keys().map(String::as_str))?;
    }
    mask(&mut answer.body, started);
    shorten(&mut answer, body.len());
    let answered = serde_json::to_value(&answer).unwrap();
    // AuthZEN lets the caller name the request; `odd-request-id` has a name that is none.
    let sent = event["headers"]["x-request-id"].as_str().filter(|id| !id.contains(' '));
    let request_id = sent.or(event["requestContext"]["requestId"].as_str()).unwrap();
    // A list shows several records; tokens and an empty object show none.
    let is_list = ["", "/data", "/data/invites"].iter().any(|it| answer.body.pointer(it).is_some_and(Value::is_array));
    let shows_none = is_list || answer.body.get("access_token").is_some() || answer.body == json!({});
    check((answer.status_code, shows_none), &answer.headers, request_id, &before, after)
        .map_err(|why| format!("{why}: {answered:#}{log}"))?;
    recorded_or(case, answered, &log)
}

/// The answer, if it is the recorded one or is recorded now.
fn recorded_or(case: &Case, answered: Value, log: &str) -> Result<Value, String> {
    match &case.answer {
        _ if blessing() => Ok(answered),
        Some(recorded) if *recorded == answered => Ok(answered),
        Some(recorded) => Err(format!("answered {answered:#} instead of {recorded:#}{log}")),
        None => Err(format!("no answer is recorded, and it answered {answered:#}{log}")),
    }
}

/// Starts a function once the Runtime API listens, as on AWS. The emulator does not wait for that, and our smallest functions
/// sometimes start sooner.
const WHEN_IT_LISTENS: &str =
    r#"until : <>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}"; do :; done 2>/dev/null; exec "$0""#;

/// Has AWS's emulator start a function and hand it an event.
async fn emulate(
    emulator: &OsStr,
    server: &Server,
    function: &Function,
    bin_dir: &Path,
    event: &Value,
) -> Result<Value, String> {
    let (address, runtime_api) = (free_address(), free_address());
    let url = server.dynamodb_url();
    let mut command = functions::command(Path::new(emulator), function, "person", bin_dir, &url);
    command.args(["--log-level", "error", "--runtime-interface-emulator-address", &address]);
    command.args(["--runtime-api-address", &runtime_api]);
    command.args(["/bin/bash", "-c", WHEN_IT_LISTENS]).arg(bin_dir.join(&function.name));
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let answer = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let url = format!("http://{address}/2015-03-31/functions/function/invocations");
            let request = hyper::Request::post(url).body(Full::<Bytes>::from(event.to_string())).unwrap();
            match client.request(request).await {
                Ok(answer) => break answer.into_body().collect().await.unwrap().to_bytes(),
                // It does not listen yet.
                Err(why) if why.is_connect() && process.try_wait().unwrap().is_none() => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(why) => panic!("{why:?}; the emulator: {:?}", process.try_wait()),
            }
        }
    });
    let answer = answer.await.map_err(|_| "no answer from the emulator".to_owned())?;
    process.kill().await.unwrap();
    serde_json::from_slice(&answer).map_err(|why| format!("{why}: {}", String::from_utf8_lossy(&answer)))
}

/// An address to listen on, each time another. Its port is below the ports of outgoing connections (from 32768 on Linux): one of
/// those could be taken before the emulator listens on it.
///
/// It is free if nobody answers there. A listener that tried it would be inherited by each process that the other lane starts at
/// that moment, until that process has become another program: it would take the first call, and reset it.
fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let address = format!("127.0.0.1:{}", NEXT.fetch_add(1, Ordering::Relaxed));
        if std::net::TcpStream::connect(&address).is_err() {
            return address;
        }
    }
}

/// The whole table.
async fn items(server: &Server, template: &Template) -> HashMap<Key, Value> {
    let scan = json!({ "TableName": template.table_name(), "ConsistentRead": true });
    let client = Client::new(&server.dynamodb_url());
    let page = client.call("Scan", &scan).await.unwrap();
    assert!(page["LastEvaluatedKey"].is_null(), "it fits in one page");
    let items = page["Items"].as_array().unwrap().iter();
    let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    let key = |item: &Value| Key { pk: text(item, "PK"), sk: text(item, "SK") };
    items.map(|item| (key(item), item.clone())).collect()
}

/// The body in the form that a client gets.
fn body_of(answer: &Value) -> Result<Vec<u8>, String> {
    let body = match &answer["body"] {
        Value::Null => "",
        body => body.as_str().ok_or("the body is no text")?,
    };
    if answer["isBase64Encoded"] != true {
        return Ok(body.as_bytes().to_vec());
    }
    let mut body = BASE64_STANDARD.decode(body).map_err(|why| why.to_string())?;
    if answer["headers"]["content-encoding"] == "gzip" {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(&*body).read_to_end(&mut text).map_err(|why| why.to_string())?;
        body = text;
    }
    Ok(body)
}

/// Shortens bodies that are files of the repository or images. Replaces a nonce, and a cursor in a header, which differ each
/// time.
fn shorten(answer: &mut Answer, size: usize) {
    if let Some(document) = answer.body.as_object_mut().filter(|body| body.contains_key("openapi")) {
        document.retain(|name, _| ["openapi", "info"].contains(&name.as_str()));
        document.insert("paths".to_owned(), json!({}));
    }
    if let Some(cookie) = answer.headers.get_mut("set-cookie")
        && let Some((name, rest)) = cookie.split_once('=')
        && let Some((token, rest)) = rest.split_once(';')
        && !token.is_empty()
    {
        *cookie = format!("{name}=<token>;{rest}");
    }
    let link = answer.headers.get_mut("link");
    let parts =
        link.as_ref().and_then(|link| link.split_once("cursor=")).map(|(start, rest)| (start, rest.split_once('>')));
    if let Some((start, Some((_, end)))) = parts {
        let masked = format!("{start}cursor=<cursor>>{end}");
        link.into_iter().for_each(|link| link.clone_from(&masked));
    }
    let policy = answer.headers.get_mut("content-security-policy");
    let nonce = policy.as_ref().and_then(|policy| Some(policy.split_once("'nonce-")?.1.split_once('\'')?.0.to_owned()));
    if let (Some(policy), Some(nonce), Value::String(page)) = (policy, nonce, &mut answer.body) {
        (*policy, *page) = (policy.replace(&nonce, "<nonce>"), page.replace(&nonce, "<nonce>"));
    }
    let is_file = |it: &String| it.starts_with("text/javascript") || it.starts_with("image/");
    let is_file = answer.headers.get("content-type").is_some_and(is_file);
    if let (true, Value::String(file)) = (is_file, &mut answer.body) {
        *file = format!("<{size} bytes>");
    }
}
