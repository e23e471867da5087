//! Fuzz tests over HTTP: the bodies of each dialect, cursors, and the filters of the record. Whatever a caller sends, the
//! answer is one that `openapi.json` describes, and no function fails.

#[path = "../../../shared/domain/tests/common/fuzz.rs"]
mod fuzzing;
mod lists;

use std::cell::{Cell, RefCell};

use fuzzing::fuzz;
use local::cases::Cases;
use local::{template, token};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::harness::{ACME, Product, Reply, the_template};

const FORM: &str = "application/x-www-form-urlencoded";

/// A call that was recorded, with JSON or a form in its body.
#[derive(Clone)]
struct Recorded {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    /// Of a form its fields.
    body: Value,
    is_form: bool,
}

impl Recorded {
    async fn send(&self, product: &Product, body: String) -> Reply {
        let Self { method, path, headers, .. } = self;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = if self.is_form { form(&body) } else { body };
        product.call(method, path, &headers, body).await
    }
}

/// An object as a form. Another text stays as it is.
fn form(text: &str) -> String {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(text) else { return text.to_owned() };
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = fields.iter().map(|(name, it)| format!("{}={}", encoded(name), encoded(&value(it))));
    fields.collect::<Vec<_>>().join("&")
}

fn is_form(event: &Value) -> bool {
    event["headers"]["content-type"] == FORM
}

/// What the body of an event says; `None` if it is neither JSON nor a form.
fn content(event: &Value) -> Option<Value> {
    let text = event["body"].as_str()?;
    if !is_form(event) {
        return serde_json::from_str(text).ok();
    }
    let fields = text.split('&').filter_map(|field| field.split_once('='));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Value::Object(fields.map(|(name, value)| (name.to_owned(), decoded(value).into())).collect()))
}

/// Of so many inputs, some succeed: more than one product's, because a change can take the callers' rights away.
const MANY: u32 = 3_000;

/// All of them, of the functions that a dialect has.
fn recorded(of_dialect: impl Fn(&str) -> bool) -> Vec<Value> {
    let root = template::find_root().unwrap();
    let names: Vec<String> = the_template().functions.iter().map(|function| function.name.clone()).collect();
    let names = names.into_iter().filter(|name| of_dialect(name) && root.join("events").join(name).exists());
    let cases = names.flat_map(|name| Cases::load(&root, &name).unwrap().all().unwrap());
    // Some have a path or a query as the gateway decodes it, which nobody can send.
    let can_be_sent = |event: &Value| Recorded::of(event).path.parse::<hyper::Uri>().is_ok();
    // A request to join is put into the table past the numbers of the tenant, as that of a domain that nobody has claimed.
    let is_of_product = |event: &Value| !event.to_string().contains("{{join_request");
    // Who is invited anew can no longer accept the invitation before.
    let mut invited = false;
    let is_first =
        move |event: &Value| !event.to_string().contains("{{invitation") || !std::mem::replace(&mut invited, true);
    let events = cases.map(|case| case.event).filter(|event| event["routeKey"].is_string());
    let events = events.filter(|event| content(event).is_some() && can_be_sent(event) && is_of_product(event));
    events.filter(is_first).collect()
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
            body: content(event).unwrap(),
            is_form: is_form(event),
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
    /// Whether the table's stream leads anywhere.
    sources: bool,
    left: Cell<u32>,
    now: RefCell<Option<(Product, Vec<T>)>>,
    /// The last one, because the product ends in it.
    runtime: Runtime,
}

impl<T> Renewed<T> {
    fn new(events: Vec<Value>, sources: bool, make: fn(&Runtime, &Product, &[Value]) -> Vec<T>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { make, events, sources, left: Cell::new(0), now: RefCell::new(None), runtime }
    }

    fn with<R>(&self, then: impl AsyncFnOnce(&Product, &[T]) -> R) -> R {
        if self.left.get() == 0 {
            let product = self.runtime.block_on(Product::start_with(|options| options.sources = self.sources));
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

/// In a tenant in which people may act as members.
fn with_tokens(runtime: &Runtime, product: &Product, events: &[Value]) -> Vec<Recorded> {
    let set = runtime.block_on(async {
        let owner = product.access("acme", "owner@acme.example").await;
        let body = json!({ "settings": { "impersonation": true } });
        product.users(&owner, ACME, ("PATCH", "/v1/tenant"), &[], Some(body)).await
    });
    assert_eq!(set.status, 200, "{set:?}");
    let expected = token::expected(&product.template).unwrap();
    let fill = |event: &Value| {
        let filled = token::fill(&product.store, &expected, event.clone(), shared::now());
        runtime.block_on(filled).ok().map(|event| Recorded::of(&event))
    };
    events.iter().filter_map(fill).collect()
}

fn fuzz_bodies(of_dialect: impl Fn(&str) -> bool) {
    fuzz_bodies_with(true, of_dialect);
}

fn fuzz_bodies_with(sources: bool, of_dialect: impl Fn(&str) -> bool) {
    let events = recorded(of_dialect);
    assert!(!events.is_empty());
    let product = Renewed::new(events, sources, with_tokens);
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

/// The functions of `oauth`, whose callers have no session yet or ask about one.
const OAUTH: [&str; 2] = ["sessions-create", "tokens-introspect"];

/// The functions that take the name of another host.
const OF_HOSTS: [&str; 2] = ["issuers-write", "webhooks-write"];

#[test]
fn bodies_of_users() {
    let others = [&OAUTH[..], &OF_HOSTS, &["tenant-update-user-role", "authzen-evaluate"]].concat();
    let prefixes = ["directory-", "membership-", "organization-"];
    fuzz_bodies(|name| !others.contains(&name) && !prefixes.iter().any(|prefix| name.starts_with(prefix)));
}

/// Without the stream nothing fetches the keys of issuers, and nothing calls a webhook.
#[test]
fn bodies_with_other_hosts() {
    fuzz_bodies_with(false, |name| OF_HOSTS.contains(&name));
}

/// Forms and JSON: tokens for tokens, their end, invitations that are accepted, sessions as members, approvals, and
/// introspection. The address of the tests may ask as often as it likes, and each credential 100 times a minute.
#[test]
fn bodies_of_oauth() {
    fuzz_bodies_with(false, |name| OAUTH.contains(&name));
}

#[test]
fn bodies_of_authzen() {
    fuzz_bodies(|name| name == "authzen-evaluate");
}
