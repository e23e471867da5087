//! Measures a decision: our function `check` in tenants of several sizes, and Cerbos.
//!
//! Both answer whether somebody may read an invoice. Cerbos is told in each request which roles they have; our function reads that.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use local::Result;
use local::front::Latency;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::bed::{Bed, Cost, Tail, Tenant};
use crate::cold::{UNCOUNTED, same};
use crate::gauge;
use crate::subjects::{self, Ours};
use crate::text::{bar, count, ms, note, number, quantile, table};

/// How long Cerbos may take to start.
const START: Duration = Duration::from_secs(30);

/// One row of the table.
struct Measured {
    name: String,
    wall: Vec<f64>,
    cpu: f64,
    cost: Option<Cost>,
}

pub async fn run(sizes: &[u32], calls: u32, log: &Tail) -> Result<()> {
    let ours = subjects::ours(subjects::CHECK)?;
    let cerbos = subjects::cerbos()?;
    let bed = Bed::start(&ours, true, Latency::default(), log).await?;
    let mut measured = Vec::new();
    let sizes = [sizes.iter().min(), sizes.iter().max()];
    for size in sizes.into_iter().flatten() {
        let progress = bar(&format!("making a tenant of {}", count(*size)), *size as usize)?;
        let tenant = bed.tenant(&format!("asks-{size}"), *size, &progress).await?;
        progress.finish_and_clear();
        for (whom, place) in [("themselves", None), ("another member", Some(size / 2))] {
            let name = format!("**Rolecall**, about {whom}, in a tenant of {}", count(*size));
            measured.push(of_ours(&bed, &ours, &tenant, place, (name, calls)).await?);
        }
    }
    measured.push(of_cerbos(&bed, &cerbos, calls).await?);
    bed.shutdown().await;
    let rows = measured.iter().map(|it| {
        let [p50, p99] = [0.5, 0.99].map(|q| number(quantile(&it.wall, q)));
        let cost = it.cost.clone().unwrap_or_default();
        let units = it.cost.as_ref().map_or_else(String::new, |cost| cost.read_units.to_string());
        [it.name.clone(), p50, p99, number(it.cpu), cost.to_string(), units]
    });
    let title = format!("A decision: {calls} warm calls of each; ms");
    table(&title, ["", "p50, wall", "p99, wall", "CPU a call", "requests", "read units"], &rows.collect::<Vec<_>>());
    note(
        "Each is one process with a core of its own. Ours verifies a token, reads the tenant and the members from an engine in memory on \
         this machine, over TLS, and evaluates all policies; its wall time is the engine's, too. Cerbos evaluates one policy over the \
         roles that the request names, and reads nothing; it is asked by HTTP with JSON.",
    );
    Ok(())
}

/// Asks our function about the caller, or about the member at a place.
async fn of_ours(
    bed: &Bed,
    ours: &Ours,
    tenant: &Tenant,
    place: Option<u32>,
    (name, calls): (String, u32),
) -> Result<Measured> {
    let subject = subjects::subject(ours)?;
    let (mut process, _) = bed.process(ours, &subject).await?;
    let whom = place.map_or(tenant.caller(), |place| tenant.user_id(place.saturating_sub(2)));
    let mut event = bed.event.clone();
    let body = json!({ "subject": whom.uuid(), "action": "member:read" }).to_string();
    event["headers"]["authorization"] = tenant.authorization().into();
    event["headers"]["x-tenant-id"] = tenant.id().uuid().to_string().into();
    event["headers"]["content-length"] = body.len().to_string().into();
    event["body"] = body.into();
    let mut measured = Measured { name, wall: Vec::new(), cpu: 0.0, cost: None };
    let mut before = Duration::ZERO;
    let progress = bar(&measured.name, calls as usize)?;
    for call in 0..UNCOUNTED + calls {
        if call == UNCOUNTED {
            bed.take_cost();
            before = gauge::cpu(process.pid)?;
        }
        let (answer, took) = bed.send(&subject, &mut process, event.clone()).await?;
        if answer["statusCode"] != 200 || !answer["body"].as_str().is_some_and(|body| body.contains("\"allowed\":true"))
        {
            return Err(format!("{}: {answer}", measured.name).into());
        }
        if call >= UNCOUNTED {
            measured.wall.push(ms(took));
            measured.cost = same(measured.cost.take(), bed.take_cost())?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    measured.cpu = ms(gauge::cpu(process.pid)? - before) / f64::from(calls);
    process.end().await;
    Ok(measured)
}

/// Asks Cerbos, once it answers.
async fn of_cerbos(
    bed: &Bed,
    (program, policies): &(std::path::PathBuf, std::path::PathBuf),
    calls: u32,
) -> Result<Measured> {
    let [http, grpc] = [free_address()?, free_address()?];
    let settings = [
        format!("server.httpListenAddr={http}"),
        format!("server.grpcListenAddr={grpc}"),
        "storage.driver=disk".to_owned(),
        format!("storage.disk.directory={}", policies.display()),
        "telemetry.disabled=true".to_owned(),
    ];
    let mut command = Command::new(program);
    command.args(["server", "--log-level=error"]).args(settings.iter().map(|setting| format!("--set={setting}")));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let child: Child = child.map_err(|error| format!("Cerbos: {error}"))?;
    let pid = child.id().ok_or_else(|| "Cerbos has ended".to_owned())?;
    if let Some(apart) = &bed.apart {
        apart.put(pid)?;
    }
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let body = json!({
        "requestId": "1",
        "principal": { "id": "1", "roles": ["admin"] },
        "resources": [{ "actions": ["read"], "resource": { "kind": "invoice", "id": "7" } }],
    });
    let ask = async || -> Result<Duration> {
        let request =
            Request::post(format!("http://{http}/api/check/resources")).header("content-type", "application/json");
        let request = request.body(Full::from(body.to_string())).map_err(|error| error.to_string())?;
        let started = Instant::now();
        let reply = client.request(request).await.map_err(|error| format!("Cerbos: {error}"))?;
        let answer = reply.into_body().collect().await.map_err(|error| format!("Cerbos: {error}"))?.to_bytes();
        let took = started.elapsed();
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        match answer["results"][0]["actions"]["read"] == "EFFECT_ALLOW" {
            true => Ok(took),
            false => Err(format!("Cerbos: {answer}").into()),
        }
    };
    let started = Instant::now();
    while let Err(why) = ask().await {
        if started.elapsed() > START {
            return Err(why);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for _ in 0..UNCOUNTED {
        ask().await?;
    }
    let mut wall = Vec::new();
    let before = gauge::cpu(pid)?;
    for _ in 0..calls {
        wall.push(ms(ask().await?));
    }
    let cpu = ms(gauge::cpu(pid)? - before) / f64::from(calls);
    Ok(Measured { name: "Cerbos 0.51, told the roles".to_owned(), wall, cpu, cost: None })
}

/// An address of this machine where nothing listens.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(listener.map_err(|error| format!("no free port: {error}"))?)
}
