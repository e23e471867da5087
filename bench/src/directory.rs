//! Measures lists, lookups, writes and decisions of our own API in tenants of several sizes, through the gateway.

use std::time::Instant;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::front::Latency;
use local::template::Function;
use local::{Result, functions, template};
use serde_json::{Value, json};
use shared::domain::role;

use crate::bed::{Bed, Cost, Tail, Tenant};
use crate::cold::{BLOCK, UNCOUNTED, same};
use crate::subjects::Ours;
use crate::text::{bar, count, ms, note, number, quantile, ratio, table};

/// The beginnings of the paths of all calls.
const PATHS: [&str; 3] = ["/v1/users", "/v1/check", "/access/v1"];

/// A call: method, path, body. `{id}` is the UUID of a member from all over the tenant, `{nth}` the place of that member, `{new}`
/// a number that no call has had before, `{user}` the UUID of the role `user`.
const CALLS: [(&str, &str, &str); 15] = [
    ("GET", "/v1/users?limit=50", ""),
    ("GET", "/v1/users?limit=50&sort=-name", ""),
    ("GET", "/v1/users?limit=50&sort=email", ""),
    ("GET", "/v1/users?limit=50&sort=id", ""),
    ("GET", "/v1/users?limit=50&role=user", ""),
    ("GET", "/v1/users?limit=50&q=mem", ""),
    ("GET", "/v1/users?email=member{nth}@{slug}.example", ""),
    ("GET", "/v1/users/{id}", ""),
    ("GET", "/v1/users/me", ""),
    ("GET", "/v1/users/{id}/permissions", ""),
    ("PATCH", "/v1/users/{id}", r#"{"name": "Member {new}"}"#),
    ("PATCH", "/v1/users/{id}", r#"{"metadata": {"seen": "{new}"}}"#),
    ("PUT", "/v1/users/{id}/roles/{user}", ""),
    ("POST", "/v1/check", r#"{"subject": "{id}", "action": "read", "resource": {"type": "invoice", "id": "{new}"}}"#),
    (
        "POST",
        "/access/v1/search/subject",
        r#"{"subject": {"type": "user"}, "action": {"name": "member:read"}, "resource": {"type": "invoice", "id": "7"}}"#,
    ),
];

/// The number in the address and the name of an owner.
const FIRST: u32 = 10_000_001;

/// Pages of lists are full in a tenant of so many members.
const LEAST: u32 = 100;

struct Measured {
    size: u32,
    tenant: Tenant,
    /// For each call.
    wall: Vec<Vec<f64>>,
    cost: Vec<Option<Cost>>,
}

type Http = Client<HttpConnector, Full<Bytes>>;

pub async fn run(ours: &Ours, sizes: &[u32], calls: u32, log: &Tail) -> Result<()> {
    let called = |function: &&Function| {
        function.routes.iter().any(|route| PATHS.iter().any(|path| route.path.starts_with(path)))
    };
    let called = ours.template.functions.iter().filter(called).map(|function| function.name.as_str());
    functions::build(&template::find_root()?, called, true)?;
    let bed = Bed::start(ours, true, Latency::default(), log).await?;
    let mut tenants = Vec::new();
    let mut sizes: Vec<u32> = sizes.iter().copied().filter(|size| *size >= LEAST).collect();
    sizes.sort_unstable();
    // The largest comes first. So the numbers of all members have as many digits, and their items are equally long.
    for size in sizes.iter().rev() {
        let progress = bar(&format!("making a tenant of {}", count(*size)), *size as usize)?;
        let tenant = bed.tenant_from(FIRST, &format!("of-{size:08}"), *size, &progress).await?;
        progress.finish_and_clear();
        let cost = CALLS.iter().map(|_| None).collect();
        tenants.push(Measured { size: *size, tenant, wall: vec![Vec::new(); CALLS.len()], cost });
    }
    tenants.reverse();
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let progress = bar("calls", calls as usize * sizes.len() * CALLS.len())?;
    let mut new = 1_000_000;
    for (place, call) in CALLS.iter().enumerate() {
        for it in &tenants {
            for _ in 0..UNCOUNTED {
                new += 1;
                one(&bed, &client, &it.tenant, it.size, call, new).await?;
            }
        }
        bed.take_cost();
        for start in (0..calls).step_by(BLOCK as usize) {
            for it in &mut tenants {
                for _ in 0..BLOCK.min(calls - start) {
                    new += 1;
                    it.wall[place].push(one(&bed, &client, &it.tenant, it.size, call, new).await?);
                    let cost = same_but_for_keys(it.cost[place].take(), bed.take_cost());
                    it.cost[place] = cost.map_err(|why| format!("{} {}: {why}", call.0, call.1))?;
                }
                progress.inc(BLOCK.into());
            }
        }
    }
    progress.finish_and_clear();
    bed.shutdown().await;

    let mut rows = Vec::new();
    for (place, (method, path, body)) in CALLS.iter().enumerate() {
        let costs: Vec<&Cost> = tenants.iter().filter_map(|it| it.cost[place].as_ref()).collect();
        if costs.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("{method} {path} costs more in one tenant than in another: {costs:?}").into());
        }
        let p50 = |it: &Measured| quantile(&it.wall[place], 0.5);
        let cost = costs.first().map(|cost| (*cost).clone()).unwrap_or_default();
        let [read, write] = [cost.read_units, cost.write_units].map(|units| units.to_string());
        let call = format!("`{method} {path}` {body}").trim_end().to_owned();
        let [first, last] = [tenants.first(), tenants.last()].map(|it| it.map_or(f64::NAN, p50));
        rows.push([call, number(first), number(last), ratio(last, first), cost.to_string(), read, write]);
    }
    let [first, last] = [sizes.first(), sizes.last()].map(|size| size.map_or_else(String::new, |size| count(*size)));
    let title =
        format!("Lists, lookups, writes and decisions: {calls} warm calls of each, in turns of {BLOCK}; p50, wall, ms");
    table(&title, ["call", &first, &last, "ratio", "requests", "read units", "write units"], &rows);
    note("Each call goes through the gateway of `cargo run`, and all tenants are in one table, in memory.");
    Ok(())
}

/// The same as [`same`], but a call may cost one read unit more than others: once in 30 s a process reads the keys again that verify
/// tokens.
fn same_but_for_keys(before: Option<Cost>, cost: Cost) -> Result<Option<Cost>> {
    let Some(before) = before else { return Ok(Some(cost)) };
    let (less, more) = if before.read_units <= cost.read_units { (before, cost) } else { (cost, before) };
    let keys = if more.read_units > less.read_units { 1.0 } else { 0.0 };
    same(Some(Cost { read_units: more.read_units - keys, ..more }), less)
}

/// Makes one call. Returns how long it took.
async fn one(
    bed: &Bed,
    client: &Http,
    tenant: &Tenant,
    size: u32,
    (method, path, body): &(&str, &str, &str),
    new: u32,
) -> Result<f64> {
    // As many members of each tenant, spread over the whole of it: a member whom no call has met costs the machine's caches more, and
    // a large tenant would have more of those.
    let apart = (size - 2) / (LEAST - 2);
    let place = new % (LEAST - 2) * apart;
    let fill = |text: &str| {
        let text = text.replace("{id}", &tenant.user_id(place).uuid().to_string()).replace("{slug}", tenant.slug());
        let text = text.replace("{user}", &role::USER.uuid_in(tenant.id()).to_string());
        text.replace("{nth}", &(FIRST + place + 2).to_string()).replace("{new}", &new.to_string())
    };
    let path = fill(path);
    let body = if body.is_empty() { String::new() } else { fill(body) };
    let method: Method = method.parse().map_err(|_| format!("{method} is no method"))?;
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", bed.server.url()))
        .header("authorization", tenant.authorization())
        .header("x-tenant-id", tenant.id().uuid().to_string());
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let reply = client.request(request).await.map_err(|error| format!("no answer of the gateway: {error}"))?;
    let status = reply.status().as_u16();
    let answer = reply.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let took = ms(started.elapsed());
    if status >= 300 {
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_else(|_| json!(null));
        return Err(format!("{path}: {status} {answer}").into());
    }
    Ok(took)
}
