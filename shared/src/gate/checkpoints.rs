//! Checkpoints of the record: each day the new events of a tenant go into its tree, and the root is signed.
//!
//! The work is done in pieces. Each piece writes down how far it has come, and a worker that takes over goes on there. Two workers may
//! do the same piece at once; one of them writes the next.

use std::time::Instant;

use domain::checkpoint::{Checkpoint, Covered, Statement};
use domain::id::{Kind, TenantId};
use domain::policy::{self, Action};
use domain::{Event, Problem, Tenant, Time};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::events::SETTLED_AFTER;
use super::facts::Facts;
use super::list::{Page, lost, opened, sort_key};
use super::plan::with_notices;
use super::{Asked, Caller, Reads, Who};
use crate::answer::Answer;
use crate::table::key::{self, Range, TenantKeys};
use crate::table::{Committed, Condition, Transaction, decode, encode};

/// How many tenants are covered side by side.
const LANES: u32 = 8;

/// How many events one query reads.
const PIECE: i32 = 500;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Signs a statement, under the key with the `kid`.
pub struct Signer<'a> {
    pub iss: &'a str,
    pub kid: &'a str,
    pub sign: &'a (dyn Fn(&Statement) -> Result<String, Problem> + Send + Sync),
}

/// How far the round of a day is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The end of the day before: the round covers the events before it.
    covers_to: Time,
    /// The last tenant of those that are done.
    done: u32,
}

/// The number that a counter gave last.
#[derive(Default, Deserialize)]
struct Counter {
    last: u32,
}

/// The round that is due, if one is.
///
/// # Errors
/// The table cannot be read.
pub async fn due(asked: &Asked<'_>) -> Result<Option<Round>, Problem> {
    let settled = (asked.clock)().millis() - SETTLED_AFTER * 1_000;
    let covers_to = Time::from_millis(settled - settled % DAY);
    let known: Option<Round> = asked.table.read(&key::checkpoint_round()).await?;
    let round = known.filter(|round| round.covers_to == covers_to).unwrap_or(Round { covers_to, done: 0 });
    Ok(Some(round).filter(|round| round.done < u32::MAX))
}

/// Goes on with a round until it is done, or until `until` has passed. Returns how many tenants are done in it, and how many
/// checkpoints were signed.
///
/// # Errors
/// The table cannot be read or written, or an event of a tenant cannot be read. That tenant keeps no other from its checkpoint.
pub async fn work(
    asked: &Asked<'_>,
    mut round: Round,
    signer: &Signer<'_>,
    until: Instant,
) -> Result<(u32, usize), Problem> {
    let counter: Option<Counter> = asked.table.read(&key::counter(Kind::Tenant)).await?;
    let last = counter.unwrap_or_default().last;
    let (mut signed, mut failed) = (0, None);
    while round.done < last && Instant::now() < until {
        let lanes: Vec<u32> = (round.done + 1..=last.min(round.done + LANES)).collect();
        let covered = lanes.iter().filter_map(|number| TenantId::try_from(i64::from(*number)).ok());
        let covered = join_all(covered.map(|tenant| cover(asked, TenantKeys(tenant), &round, signer, until))).await;
        for outcome in covered {
            match outcome {
                // The time is up in the midst of it.
                Ok(None) => return Ok((round.done, signed)),
                Ok(Some(count)) => signed += count,
                Err(why) => failed = failed.or(Some(why)),
            }
        }
        round.done += u32::try_from(lanes.len()).unwrap_or(LANES);
        keep_round(asked, &round).await?;
    }
    let done = round.done;
    if round.done >= last {
        keep_round(asked, &Round { done: u32::MAX, ..round }).await?;
    }
    failed.map_or(Ok((done, signed)), Err)
}

async fn keep_round(asked: &Asked<'_>, round: &Round) -> Result<(), Problem> {
    let further = Condition::new("attribute_not_exists(PK) OR covers_to < :covers_to OR done <= :done");
    let further = further.with(":covers_to", round.covers_to)?.with(":done", round.done)?;
    asked.table.put_if(encode(&key::checkpoint_round(), None, round)?, further).await.map(drop)
}

/// Covers the events of a tenant. Returns how many checkpoints were signed; `None` if the time was up.
async fn cover(
    asked: &Asked<'_>,
    keys: TenantKeys,
    round: &Round,
    signer: &Signer<'_>,
    until: Instant,
) -> Result<Option<usize>, Problem> {
    loop {
        let (tenant_key, covered_key) = (keys.tenant(), keys.covered());
        let mut found = asked.table.get([tenant_key.clone(), covered_key.clone()]).await?;
        let tenant: Option<Tenant> = found.remove(&tenant_key).map(decode).transpose()?;
        let Some(tenant) = tenant.filter(|tenant| tenant.meta.created_at < round.covers_to) else { return Ok(Some(0)) };
        let before: Covered = found.remove(&covered_key).map(decode).transpose()?.unwrap_or_default();
        if before.until >= Some(round.covers_to) {
            return Ok(Some(0));
        }
        let mut after = further(asked, keys, round.covers_to, &before).await?;
        after.turn += 1;
        let is_due = after.until.is_some() && (after.tree.size > before.signed || before.kid != signer.kid);
        let checkpoint = if is_due { Some(sign(&tenant, &mut after, signer)?) } else { None };
        let mut transaction = Transaction::new(asked.table);
        let same = Condition::new("attribute_not_exists(PK) OR turn = :turn").with(":turn", before.turn)?;
        transaction.put(encode(&covered_key, None, &after)?, Some(same))?;
        if let Some(checkpoint) = &checkpoint {
            let key = keys.checkpoint(checkpoint.says.number);
            transaction.put(encode(&key, None, checkpoint)?, Some(Condition::new("attribute_not_exists(PK)")))?;
        }
        // Another worker can have been quicker.
        let is_written = asked.table.write(transaction).await? == Committed::Yes;
        if is_written && after.until == Some(round.covers_to) {
            return Ok(Some(usize::from(checkpoint.is_some())));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}

/// Adds the next events to the tree. If there are no more before `until`, the result says so.
async fn further(asked: &Asked<'_>, keys: TenantKeys, until: Time, before: &Covered) -> Result<Covered, Problem> {
    let mut after = Covered { until: None, ..before.clone() };
    let within = Some((Time::from_millis(0).to_string(), until.to_string()));
    let range = Range { in_index: true, within, ..Range::of(keys.record()) };
    let (key, listed) = (keys.event_listed(&after.place), range.at(&after.place));
    let (items, more) = asked.table.page(&range, key.as_ref().map(|key| (key, Some(&listed))), PIECE).await?;
    for item in items {
        after.place = sort_key(&item, "GSI1SK")?;
        let event: Event = decode(item)?;
        after.tree.push(&event.hash());
    }
    after.until = Some(until).filter(|_| !more);
    Ok(after)
}

fn sign(tenant: &Tenant, covered: &mut Covered, signer: &Signer<'_>) -> Result<Checkpoint, Problem> {
    covered.number += 1;
    covered.signed = covered.tree.size;
    signer.kid.clone_into(&mut covered.kid);
    let says = Statement {
        iss: signer.iss.to_owned(),
        tenant: tenant.id.uuid().to_string(),
        number: covered.number,
        until: covered.until.ok_or_else(lost)?,
        size: covered.tree.size,
        root: covered.tree.root(),
    };
    Ok(Checkpoint { signed: (signer.sign)(&says)?, says })
}

/// One page of checkpoints, the newest first.
pub struct CheckpointPage {
    pub checkpoints: Vec<Checkpoint>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of checkpoints.
pub type CheckpointPageFn<'p> = dyn Fn(&CheckpointPage) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenant's checkpoints.
///
/// # Errors
/// [`Problem::Unauthenticated`], [`Problem::Forbidden`], [`Problem::Invalid`] (the cursor).
pub async fn list(
    asked: &Asked<'_>,
    caller: &Caller,
    page: &Page,
    answer: &CheckpointPageFn<'_>,
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown(), None).await?;
    let tenant = policy::tenant(facts.tenant().id);
    let notices = facts.allow(&Action::ReadEvents, &tenant).map_err(Problem::Forbidden)?;
    let (cursors, start) = opened(&facts, page)?;
    let range = Range { descending: true, ..Range::of(caller.keys().checkpoints()) };
    let after = start.map(|sk| range.at(&sk));
    let limit = i32::try_from(page.limit).unwrap_or(i32::MAX);
    let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), limit).await?;
    let next = items.last().filter(|_| more).map(|item| sort_key(item, "SK")).transpose()?;
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    let checkpoints = items.into_iter().map(decode).collect::<Result<_, _>>()?;
    Ok(with_notices(answer(&CheckpointPage { checkpoints, next_cursor }), &notices))
}
