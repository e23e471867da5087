//! Measures our function beside the peers: cold starts, warm calls, memory, size, capacity.

use local::Result;
use local::front::Latency;

use crate::bed::{Bed, Cost, Member, Tail};
use crate::gauge;
use crate::subjects::{Ours, Subject};
use crate::text::{bar, median, ms, note, number, quantile, ratio, spread, table};

/// The number of calls of one subject in a row, before the next subject has its turn.
pub const BLOCK: u32 = 25;
/// The number of calls that a process answers before its warm calls count. Just-in-time compilers need some.
pub const UNCOUNTED: u32 = 100;

/// The measurements of one subject. Times are in ms.
#[derive(Default)]
struct Measured {
    init: Vec<f64>,
    init_cpu: Vec<f64>,
    first: Vec<f64>,
    first_cpu: Vec<f64>,
    /// Of the init and the first answer together.
    cold_cpu: Vec<f64>,
    warm: Vec<f64>,
    /// Of one call.
    warm_cpu: f64,
    memory: [f64; 2],
    init_cost: Option<Cost>,
    first_cost: Option<Cost>,
    warm_cost: Option<Cost>,
}

pub async fn run(ours: &Ours, subjects: &[Subject], cold: u32, warm: u32, log: &Tail) -> Result<()> {
    let bed = Bed::start(ours, true, Latency::default(), log).await?;
    let tenant = bed.tenant("bench", 2 + subjects.len() as u32, &indicatif::ProgressBar::hidden()).await?;
    let mut members: Vec<Member> = (0..).take(subjects.len()).map(|place| tenant.user(place)).collect();
    let mut measured: Vec<Measured> = subjects.iter().map(|_| Measured::default()).collect();

    // The subjects take turns, so that other work of the machine affects all of them equally. The order is random, so that no
    // subject always comes after the same other one.
    let mut rng = fastrand::Rng::with_seed(1);
    let mut turns: Vec<usize> = (0..subjects.len()).collect();
    let progress = bar("cold starts", cold as usize * subjects.len())?;
    for _ in 0..cold {
        rng.shuffle(&mut turns);
        for &at in &turns {
            start(&bed, ours, &subjects[at], &mut members[at], &mut measured[at]).await?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    let mut processes = Vec::new();
    for (subject, member) in subjects.iter().zip(&mut members) {
        let (mut process, _) = bed.process(ours, subject).await?;
        if subject.verifies {
            bed.refuses_forgery(subject, &mut process, &tenant).await?;
        }
        for _ in 0..UNCOUNTED {
            bed.call(subject, &mut process, member).await?;
        }
        processes.push(process);
    }
    bed.take_cost();
    let progress = bar("warm calls", warm as usize * subjects.len())?;
    for start in (0..warm).step_by(BLOCK as usize) {
        let calls = BLOCK.min(warm - start);
        rng.shuffle(&mut turns);
        for &at in &turns {
            let (subject, process) = (&subjects[at], &mut processes[at]);
            let (member, measured) = (&mut members[at], &mut measured[at]);
            let before = gauge::cpu(process.pid)?;
            for _ in 0..calls {
                measured.warm.push(ms(bed.call(subject, process, member).await?));
                measured.warm_cost = same(measured.warm_cost.take(), bed.take_cost())?;
            }
            measured.warm_cpu += ms(gauge::cpu(process.pid)? - before) / f64::from(warm);
            measured.memory = gauge::memory(process.pid)?;
            progress.inc(calls.into());
        }
    }
    progress.finish_and_clear();
    bed.shutdown().await;
    print(subjects, &measured, cold, warm);
    Ok(())
}

/// Measures one cold start, and ends the process.
async fn start(bed: &Bed, ours: &Ours, subject: &Subject, member: &mut Member, measured: &mut Measured) -> Result<()> {
    bed.take_cost();
    let (mut process, init) = bed.process(ours, subject).await?;
    let init_cpu = gauge::cpu(process.pid)?;
    measured.init_cost = same(measured.init_cost.take(), bed.take_cost())?;
    let first = bed.call(subject, &mut process, member).await?;
    let cold_cpu = gauge::cpu(process.pid)?;
    measured.first_cost = same(measured.first_cost.take(), bed.take_cost())?;
    process.end().await;
    measured.init.push(ms(init));
    measured.init_cpu.push(ms(init_cpu));
    measured.first.push(ms(first));
    measured.first_cpu.push(ms(cold_cpu - init_cpu));
    measured.cold_cpu.push(ms(cold_cpu));
    Ok(())
}

/// Returns the cost of a call. It must be the same as the cost of the call before it.
pub fn same(before: Option<Cost>, cost: Cost) -> Result<Option<Cost>> {
    match before {
        Some(before) if before != cost => Err(format!("a call costs {cost:?}, the one before it {before:?}").into()),
        _ => Ok(Some(cost)),
    }
}

fn print(subjects: &[Subject], measured: &[Measured], cold: u32, warm: u32) {
    let rows = || subjects.iter().map(|subject| subject.name.clone()).zip(measured);
    let Some(ours) = measured.first() else { return };

    let cold_rows = rows().map(|(name, it)| {
        let times = [&it.init, &it.first, &it.init_cpu, &it.first_cpu, &it.cold_cpu].map(|values| spread(values));
        let [init, first, init_cpu, first_cpu, cold_cpu] = times;
        [name, init, first, init_cpu, first_cpu, cold_cpu, ratio(median(&it.cold_cpu), median(&ours.cold_cpu))]
    });
    let title = format!("Cold start: {cold} processes of each, in turns; ms, median (p10–p90)");
    let columns = ["", "init, wall", "first answer, wall", "init, CPU", "first answer, CPU", "both, CPU", "CPU ratio"];
    table(&title, columns, &cold_rows.collect::<Vec<_>>());

    let warm_rows = rows().map(|(name, it)| {
        let [p50, p99] = [0.5, 0.99].map(|q| number(quantile(&it.warm, q)));
        let [now, peak] = it.memory.map(number);
        [name, p50, p99, number(it.warm_cpu), ratio(it.warm_cpu, ours.warm_cpu), now, peak]
    });
    let title = format!("Warm: {warm} calls of one process of each, in turns of {BLOCK}; ms and MB");
    let columns = ["", "p50, wall", "p99, wall", "CPU a call", "CPU ratio", "memory after", "memory at most"];
    table(&title, columns, &warm_rows.collect::<Vec<_>>());

    let costs = rows().flat_map(|(name, it)| {
        let when = [("init", &it.init_cost), ("first call", &it.first_cost), ("warm call", &it.warm_cost)];
        when.map(|(when, cost)| {
            let cost = cost.clone().unwrap_or_default();
            let [read, write] = [cost.read_units, cost.write_units].map(|units| units.to_string());
            [name.clone(), when.to_owned(), cost.to_string(), read, write]
        })
    });
    let costs: Vec<_> = costs.filter(|[_, _, requests, ..]| !requests.is_empty()).collect();
    table("DynamoDB: the same in every call", ["", "", "requests", "read units", "write units"], &costs);

    let sizes = subjects.iter().flat_map(|subject| {
        let row = |(what, bytes): &(&str, [usize; 2])| {
            let [zip, unpacked] = bytes.map(|bytes| number(bytes as f64 / 1e6));
            [subject.name.clone(), (*what).to_owned(), zip, unpacked]
        };
        subject.sizes.iter().map(row)
    });
    let title = "Deployed: MB of 10^6 bytes, without what Lambda provides";
    table(title, ["", "", "zip", "unpacked"], &sizes.collect::<Vec<_>>());
    note(&NOTES.replace("UNCOUNTED", &UNCOUNTED.to_string()));
}

const NOTES: &str = "\
Each call is one API Gateway event. It gives a member the other of two roles, in turn `admin` and `user`, and each answer is \
checked. *Init* lasts from the start of the process until it asks for work, *first answer* from then until the answer; its \
CPU counts until the process asks for work again. CPU is the process's own clock: user and system, all threads. *Ratio* is to \
the first row. DynamoDB is an engine in memory on this machine. It is behind TLS with a certificate of an authority that each \
client is told to trust, beside those that it trusts by default (our function embeds Amazon's, and takes this one in their \
place). The table has no stream and no TTL: they cost a caller nothing on AWS, and much in that engine. The measured process \
has a core of its own, so that the engine does not empty its caches between calls. Warm processes took UNCOUNTED calls before \
those that count. Node runs on the smallest loop over the Runtime API with its standard library, Python on AWS's \
`awslambdaric`, with its modules compiled beforehand. The sizes have neither the parts that Lambda provides of both, nor \
compiled modules.";
