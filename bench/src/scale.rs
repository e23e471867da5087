//! Measures the cost of a call in tenants of several sizes, all in one table.

use local::Result;
use local::front::Latency;

use crate::bed::{Bed, Cost, Member, Tail};
use crate::cold::{BLOCK, UNCOUNTED, same};
use crate::gauge;
use crate::subjects::{self, Ours};
use crate::text::{bar, count, ms, note, number, quantile, ratio, table};

/// The most members of a tenant that are changed. They are spread over the whole tenant.
const SAMPLE: u32 = 100;

struct Measured {
    size: u32,
    members: Vec<Member>,
    wall: Vec<f64>,
    cpu: f64,
    cost: Option<Cost>,
}

pub async fn run(ours: &Ours, sizes: &[u32], calls: u32, log: &Tail) -> Result<()> {
    let bed = Bed::start(ours, true, Latency::default(), log).await?;
    let mut tenants = Vec::new();
    for size in sizes {
        let progress = bar(&format!("making a tenant of {}", count(*size)), *size as usize)?;
        let tenant = bed.tenant(&format!("of-{size}"), *size, &progress).await?;
        progress.finish_and_clear();
        // All members but the owner and the admin.
        let users = size - 2;
        let sample = users.min(SAMPLE);
        let place = |nth: u32| (u64::from(users) * u64::from(nth) / u64::from(sample)) as u32;
        let members = (0..sample).map(|nth| tenant.user(place(nth))).collect();
        tenants.push(Measured { size: *size, members, wall: vec![], cpu: 0.0, cost: None });
    }

    let subject = subjects::subject(ours)?;
    let (mut process, _) = bed.process(ours, &subject).await?;
    let mut turns = tenants.iter().map(|it| (0..it.members.len()).cycle()).collect::<Vec<_>>();
    for tenant in &mut tenants {
        for nth in 0..UNCOUNTED as usize {
            let place = nth % tenant.members.len();
            bed.call(&subject, &mut process, &mut tenant.members[place]).await?;
        }
    }
    bed.take_cost();
    let progress = bar("warm calls", calls as usize * sizes.len())?;
    for start in (0..calls).step_by(BLOCK as usize) {
        let block = BLOCK.min(calls - start);
        for (tenant, turns) in tenants.iter_mut().zip(&mut turns) {
            let before = gauge::cpu(process.pid)?;
            for place in turns.take(block as usize) {
                tenant.wall.push(ms(bed.call(&subject, &mut process, &mut tenant.members[place]).await?));
                tenant.cost = same(tenant.cost.take(), bed.take_cost())?;
            }
            tenant.cpu += ms(gauge::cpu(process.pid)? - before) / f64::from(calls);
            progress.inc(block.into());
        }
    }
    progress.finish_and_clear();
    bed.shutdown().await;

    let base = tenants.first().map_or(f64::NAN, |smallest| quantile(&smallest.wall, 0.5));
    let rows = tenants.iter().map(|it| {
        let [p50, p99] = [0.5, 0.99].map(|q| quantile(&it.wall, q));
        let cost = it.cost.clone().unwrap_or_default();
        let [read, write] = [cost.read_units, cost.write_units].map(|units| units.to_string());
        [count(it.size), number(p50), ratio(p50, base), number(p99), number(it.cpu), cost.to_string(), read, write]
    });
    let title = format!("Tenants of several sizes: {calls} warm calls in each, in turns of {BLOCK}; ms");
    let columns = ["members", "p50, wall", "ratio", "p99, wall", "CPU a call", "requests", "read units", "write units"];
    table(&title, columns, &rows.collect::<Vec<_>>());
    note(&format!(
        "All tenants are in one table, in memory; one process of `tenant-update-user-role` serves them, over TLS. Up to \
         {SAMPLE} members from all over a tenant are changed in turn. Wall time is the engine's, too; CPU is the function's."
    ));
    Ok(())
}
