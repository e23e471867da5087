//! Measures the number of calls that this machine serves through the gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use indicatif::ProgressBar;
use local::front::Latency;
use local::{Error, Result};
use tokio::task::JoinSet;

use crate::bed::{Bed, Member, Tail};
use crate::gauge;
use crate::subjects::Ours;
use crate::text::{bar, ms, note, number, quantile, table};

/// The calls of each caller that do not count, because processes start meanwhile.
const UNCOUNTED: u32 = 20;

/// A caller with its own connection. It calls again as soon as it has an answer.
struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    member: Member,
}

impl Caller {
    async fn call(&mut self) -> Result<Duration> {
        let request = Request::patch(format!("{}{}", self.url, self.member.path()))
            .header("authorization", self.member.authorization())
            .header("content-type", "application/json")
            .body(Full::from(self.member.body()))
            .map_err(|error| error.to_string())?;
        let started = Instant::now();
        let failed = |error: &dyn std::error::Error| format!("no answer of the gateway: {error}");
        let reply = self.client.request(request).await.map_err(|error| failed(&error))?;
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
        let took = started.elapsed();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        self.member.given(&status.into(), &body)?;
        Ok(took)
    }
}

/// The tenants of the callers.
#[derive(Clone, Copy)]
enum Tenants {
    /// Each caller has its own tenant, and an admin's credential there, so callers do not meet.
    OneEach,
    /// All callers have the same tenant and the same credential, so each call rests on the same facts. No two change one
    /// member.
    OneForAll,
}

pub async fn run(ours: &Ours, levels: &[u32], seconds: u64, latency: Latency, log: &Tail) -> Result<()> {
    let mut rows = Vec::new();
    let progress = bar("numbers of callers", 2 * levels.len())?;
    for tenants in [Tenants::OneEach, Tenants::OneForAll] {
        let bed = Bed::start(ours, false, latency, log).await?;
        let mut callers = start(&bed, tenants, levels.iter().copied().max().unwrap_or_default()).await?;
        let processes = || bed.server.pids(&ours.function.name);
        for level in levels {
            let some = callers.drain(..*level as usize).collect();
            let (some, _) = together(some, |calls| calls < UNCOUNTED).await?;
            let before: BTreeMap<u32, f64> = used(processes())?;
            let here = gauge::cpu(std::process::id())?;
            let started = Instant::now();
            let until = started + Duration::from_secs(seconds);
            let (some, times) = together(some, move |_| Instant::now() < until).await?;
            let took = started.elapsed();
            let here = ms(gauge::cpu(std::process::id())? - here);
            let functions: f64 =
                used(processes())?.iter().map(|(pid, cpu)| cpu - before.get(pid).unwrap_or(&0.0)).sum();
            callers.extend(some);

            let calls = times.len() as f64;
            let [p50, p99] = [0.5, 0.99].map(|q| number(quantile(&times, q)));
            let [functions, here] = [functions, here].map(|cpu| number(cpu / calls));
            let rate = number(calls / took.as_secs_f64());
            let tenants = match tenants {
                Tenants::OneEach => "one each",
                Tenants::OneForAll => "one for all",
            };
            rows.push([
                tenants.into(),
                level.to_string(),
                rate,
                p50,
                p99,
                functions,
                here,
                processes().len().to_string(),
            ]);
            progress.inc(1);
        }
        bed.shutdown().await;
    }
    progress.finish_and_clear();
    let Latency { read, write } = latency;
    let title = format!(
        "Throughput of one function through the gateway: {seconds} s each, DynamoDB takes {} ms more for a read and {} for a \
         write; ms",
        read.as_millis(),
        write.as_millis()
    );
    let columns = [
        "tenant",
        "callers",
        "calls a second",
        "p50",
        "p99",
        "CPU a call: function",
        "CPU a call: all else",
        "processes",
    ];
    table(&title, columns, &rows);
    note(&format!(
        "A caller calls `tenant-update-user-role` again as soon as it has its answer, on a connection of its own and for a \
         member of its own; each answer is 200. With *one for all* all use one tenant and one credential. {UNCOUNTED} calls of \
         each come before those that count. Callers, gateway and DynamoDB, which takes one request after the other, are one \
         process on the same cores as the functions; what they use is *all else*. Plain HTTP. One process serves one call at \
         a time."
    ));
    Ok(())
}

async fn start(bed: &Bed, tenants: Tenants, count: u32) -> Result<Vec<Caller>> {
    let hidden = ProgressBar::hidden();
    let mut members = Vec::new();
    match tenants {
        Tenants::OneEach => {
            for number in 0..count {
                members.push(bed.tenant(&format!("tenant-{number}"), 3, &hidden).await?.user(0));
            }
        }
        Tenants::OneForAll => {
            let tenant = bed.tenant("tenant", count + 2, &hidden).await?;
            members.extend((0..count).map(|place| tenant.user(place)));
        }
    }
    let client = || Client::builder(TokioExecutor::new()).build_http();
    Ok(members.into_iter().map(|member| Caller { client: client(), url: bed.server.url(), member }).collect())
}

/// Lets callers call at the same time. Each goes on while `goes_on` is true for the number of its calls.
async fn together(
    callers: Vec<Caller>,
    goes_on: impl Fn(u32) -> bool + Copy + Send + 'static,
) -> Result<(Vec<Caller>, Vec<f64>)> {
    let mut calling = JoinSet::new();
    for mut caller in callers {
        calling.spawn(async move {
            let mut times = Vec::new();
            while goes_on(times.len() as u32) {
                times.push(ms(caller.call().await?));
            }
            Ok::<_, Error>((caller, times))
        });
    }
    let (mut callers, mut all) = (Vec::new(), Vec::new());
    while let Some(caller) = calling.join_next().await {
        let (caller, times) = caller.map_err(|error| error.to_string())??;
        callers.push(caller);
        all.extend(times);
    }
    Ok((callers, all))
}

/// Returns the CPU time of processes in ms.
fn used(pids: Vec<u32>) -> Result<BTreeMap<u32, f64>> {
    pids.into_iter().map(|pid| Ok((pid, ms(gauge::cpu(pid)?)))).collect()
}
