//! Fuzz tests over HTTP: the bodies of each dialect, and cursors. Whatever a caller sends, the answer is one that `openapi.json`
//! describes, and no function fails.

#[path = "../../../shared/domain/tests/common/fuzz.rs"]
mod fuzzing;

use std::cell::{Cell, RefCell};

use fuzzing::fuzz;
use local::cases::Cases;
use local::{template, token};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::harness::{ACME, Product, Reply, the_template};

/// A call that was recorded, with JSON in its body.
#[derive(Clone)]
struct Recorded {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Recorded {
    async fn send(&self, product: &Product, body: String) -> Reply {
        let Self { method, path, headers, .. } = self;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        product.call(method, path, &headers, body).await
    }
}

/// Of so many inputs, some succeed: more than one product's, because a change can take the callers' rights away.
const MANY: u32 = 3_000;

/// All of them, of the functions that a dialect has.
fn recorded(of_dialect: impl Fn(&str) -> bool) -> Vec<Value> {
    let root = template::find_root().unwrap();
    let names: Vec<String> = the_template().functions.iter().map(|function| function.name.clone()).collect();
    let names = names.into_iter().filter(|name| of_dialect(name) && root.join("events").join(name).exists());
    let cases = names.flat_map(|name| Cases::load(&root, &name).unwrap().all().unwrap());
    let is_json = |event: &Value| event["body"].as_str().is_some_and(|it| serde_json::from_str::<Value>(it).is_ok());
    // Some have a path or a query as the gateway decodes it, which nobody can send.
    let can_be_sent = |event: &Value| Recorded::of(event).path.parse::<hyper::Uri>().is_ok();
    // A request to join is put into the table past the numbers of the tenant, as that of a domain that nobody has claimed.
    let is_of_product = |event: &Value| !event.to_string().contains("{{join_request");
    let events = cases.map(|case| case.event).filter(|event| event["routeKey"].is_string());
    events.filter(|event| is_json(event) && can_be_sent(event) && is_of_product(event)).collect()
}

impl Recorded {
    /// With tokens that are good now.
    fn of(event: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let query = text(&event["rawQueryString"]);
        let path = text(&event["rawPath"]);
        let path = path.strip_prefix("/main").unwrap_or(&path);
        let sent = ["authorization", "content-type", "x-tenant-id", "x-session-token", "cookie", "origin"];
        let header = |name: &&str| Some(((*name).to_owned(), event["headers"][*name].as_str()?.to_owned()));
        let cookies = event["cookies"].as_array().into_iter().flatten().map(|it| ("cookie".to_owned(), text(it)));
        Self {
            method: text(&event["requestContext"]["http"]["method"]),
            path: if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") },
            headers: sent.iter().filter_map(header).chain(cookies).collect(),
            body: serde_json::from_str(&text(&event["body"])).unwrap(),
        }
    }
}

/// JSON that no field wants, or that few do, as it is written.
fn odd() -> impl Strategy<Value = String> {
    let written = [
        "null",
        "true",
        "0",
        "-0",
        "-1",
        "1",
        "3",
        "1.5",
        "1e400",
        "9007199254740993",
        "123456789012345678901234567890",
        "\"\"",
        "\" \"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"admin\"",
        "\"owner\"",
        "\"*\"",
        "\"me\"",
        "\"A\u{30a}\"",
        "\"\u{202e}a\"",
        "[]",
        "[null]",
        "{}",
        "{\"id\":1}",
        "{\"a\":1,\"a\":2}",
        "\"726f6c65-6361-8004-8000-000000000002\"",
        "\"726f6c65-6361-8002-8000-000000000003\"",
        "\"726f6c65-6361-8005-8000-000100000001\"",
        "\"a@b.example\"",
    ];
    prop_oneof![
        6 => select(written.to_vec()).prop_map(str::to_owned),
        2 => "\\PC{0,40}".prop_map(|text| Value::from(text).to_string()),
        1 => (1..70_000_usize).prop_map(|times| format!("\"{}\"", "x".repeat(times))),
        1 => (1..300_usize, any::<bool>()).prop_map(|(times, list)| match list {
            true => format!("{}1{}", "[".repeat(times), "]".repeat(times)),
            false => format!("{}1{}", "{\"a\":".repeat(times), "}".repeat(times)),
        }),
        1 => (1..1_500_usize).prop_map(|times| format!("[{}]", vec!["\"a\""; times].join(","))),
    ]
}

/// Places, and what comes there.
type Edits = Vec<(Index, String)>;

/// The first place stands for the call, the others for members of its body with what comes there; then for bytes of it.
fn change() -> impl Strategy<Value = (Index, Edits, Edits)> {
    let bytes = prop_oneof![3 => Just(Vec::new()), 1 => vec((any::<Index>(), "[\\PC\"{}\\[\\],:]{0,2}"), 1..3)];
    (any::<Index>(), vec((any::<Index>(), odd()), 0..4), bytes)
}

/// Every place in a value.
fn places(of: &Value, at: &str, into: &mut Vec<String>) {
    into.push(at.to_owned());
    match of {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{at}/{index}"), into));
        }
        Value::Object(members) => {
            for (name, member) in members {
                places(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), into);
            }
        }
        _ => {}
    }
}

fn changed(body: &Value, members: Edits, bytes: Edits) -> String {
    let mut body = body.clone();
    // Marks, because a value cannot be written in each of these ways.
    for (number, (at, _)) in members.iter().enumerate() {
        let mut all = Vec::new();
        places(&body, "", &mut all);
        if let Some(place) = body.pointer_mut(&all[at.index(all.len())]) {
            *place = format!("<{number}>").into();
        }
    }
    let mut text = body.to_string();
    for (number, (_, written)) in members.iter().enumerate() {
        text = text.replace(&format!("\"<{number}>\""), written);
    }
    for (at, other) in bytes {
        let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let width = text[at..].chars().next().map_or(0, char::len_utf8);
        text.replace_range(at..at + width, &other);
    }
    text
}

/// A product whose data last for a while: what callers write may lock out those who come later.
struct Renewed<T> {
    make: fn(&Runtime, &Product, &[Value]) -> Vec<T>,
    events: Vec<Value>,
    left: Cell<u32>,
    now: RefCell<Option<(Product, Vec<T>)>>,
    /// The last one, because the product ends in it.
    runtime: Runtime,
}

impl<T> Renewed<T> {
    fn new(events: Vec<Value>, make: fn(&Runtime, &Product, &[Value]) -> Vec<T>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { make, events, left: Cell::new(0), now: RefCell::new(None), runtime }
    }

    fn with<R>(&self, then: impl AsyncFnOnce(&Product, &[T]) -> R) -> R {
        if self.left.get() == 0 {
            let product = self.runtime.block_on(Product::start());
            let made = (self.make)(&self.runtime, &product, &self.events);
            let _in_it = self.runtime.enter();
            self.now.replace(Some((product, made)));
            self.left.set(1_000);
        }
        self.left.set(self.left.get() - 1);
        let now = self.now.borrow();
        let (product, made) = now.as_ref().unwrap();
        self.runtime.block_on(then(product, made))
    }
}

fn with_tokens(runtime: &Runtime, product: &Product, events: &[Value]) -> Vec<Recorded> {
    let expected = token::expected(&product.template).unwrap();
    let fill = |event: &Value| {
        let filled = token::fill(&product.store, &expected, event.clone(), shared::now());
        runtime.block_on(filled).ok().map(|event| Recorded::of(&event))
    };
    events.iter().filter_map(fill).collect()
}

fn fuzz_bodies(of_dialect: impl Fn(&str) -> bool) {
    let events = recorded(of_dialect);
    assert!(!events.is_empty());
    let product = Renewed::new(events, with_tokens);
    let (done, refused) = (Cell::new(0), Cell::new(0));
    // As they were recorded, some of them succeed. Else all would fail for another reason than the body.
    let succeeds = product.with(async |product, calls| {
        for call in calls {
            if call.send(product, call.body.to_string()).await.status < 300 {
                return true;
            }
        }
        false
    });
    assert!(succeeds, "no recorded call");
    fuzz(&change(), |(call, members, bytes)| {
        product.with(async |product, calls| {
            let call = &calls[call.index(calls.len())];
            let Recorded { method, path, body, .. } = call;
            let body = changed(body, members, bytes);
            // Compares the answer with `openapi.json`, too.
            let reply = call.send(product, body.clone()).await;
            let line = || product.lines.lock().unwrap().last().cloned();
            assert!(reply.status < 500, "{method} {path} {body}: {reply:?} {:?}", line());
            let count = if reply.status < 300 { &done } else { &refused };
            count.set(count.get() + 1);
        });
    });
    // Among a few inputs of a machine that is busy, none may be one that succeeds.
    let (done, refused) = (done.get(), refused.get());
    assert!((done > 0 || refused < MANY) && refused > 0, "{done} done, {refused} refused");
}

#[test]
fn bodies_of_tenant() {
    fuzz_bodies(|name| name.starts_with("tenant-update-user-role"));
}

#[test]
fn bodies_of_directory() {
    fuzz_bodies(|name| name.starts_with("directory-"));
}

#[test]
fn bodies_of_membership() {
    fuzz_bodies(|name| name.starts_with("membership-"));
}

#[test]
fn bodies_of_organization() {
    fuzz_bodies(|name| name.starts_with("organization-"));
}

/// Without those that sign in, which may be asked only so often, and those that name another host to be called.
#[test]
fn bodies_of_users() {
    let others = [
        "tenant-update-user-role",
        "sessions-create",
        "tokens-introspect",
        "authzen-evaluate",
        "issuers-write",
        "webhooks-write",
    ];
    let prefixes = ["directory-", "membership-", "organization-"];
    fuzz_bodies(|name| !others.contains(&name) && !prefixes.iter().any(|prefix| name.starts_with(prefix)));
}

#[test]
fn bodies_of_authzen() {
    fuzz_bodies(|name| name == "authzen-evaluate");
}

/// A cursor leads on in the list that gave it, and anything else is refused.
#[test]
fn cursors() {
    let lists = ["/v1/users?limit=1", "/v1/users?limit=1&sort=-email", "/v1/roles?limit=1", "/v1/groups?limit=1"];
    let product = Renewed::new(Vec::new(), |runtime, product, _| {
        runtime.block_on(async { vec![format!("Bearer {}", product.access("acme", "owner@acme.example").await)] })
    });
    let edits = vec((any::<Index>(), "[A-Za-z0-9_-]{0,2}"), 0..3);
    fuzz(&(select(lists.to_vec()), select(lists.to_vec()), edits), |(first, second, edits)| {
        product.with(async |product, bearers| {
            let tenant = ACME.uuid().to_string();
            let headers = [("authorization", bearers[0].as_str()), ("x-tenant-id", tenant.as_str())];
            let page = product.call("GET", first, &headers, "").await;
            let cursor = page.json()["next_cursor"].as_str().map(str::to_owned).unwrap_or_else(|| panic!("{page:?}"));
            let mut other = cursor.clone();
            for (at, text) in edits {
                let at = at.index(other.len());
                other.replace_range(at..(at + text.len()).min(other.len()), &text);
            }
            let next = product.call("GET", &format!("{second}&cursor={other}"), &headers, "").await;
            let expected = if first == second && other == cursor { 200 } else { 400 };
            assert_eq!(next.status, expected, "{first} {second} {other}: {next:?}");
        });
    });
}
