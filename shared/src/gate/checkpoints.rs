//! Checkpoints of the record: each day the new events of a tenant go into its tree, and the root is signed.
//!
//! The work is done in pieces. Each piece writes down how far it has come, and a worker that takes over goes on there. Two workers may
//! do the same piece at once; one of them writes the next.

use std::collections::BTreeMap;
use std::time::Instant;

use domain::checkpoint::{Checkpoint, Covered, Statement, Tree};
use domain::id::{Kind, TenantId};
use domain::{Event, Problem, Tenant, Time};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use super::events::{EventList, enter};
use super::list::{Page, lost, opened, sort_key};
use super::plan::with_notices;
use super::{Asked, Caller, retention};
use crate::answer::Answer;
use crate::table::key::{self, Range, TenantKeys};
use crate::table::{Committed, Condition, Transaction, decode, encode};

/// How many tenants are covered side by side.
const LANES: u32 = 8;

/// How many events one query reads.
const PIECE: i32 = 500;

/// How long after the end of a day its round begins, in milliseconds. A checkpoint is for good, so the wait is longer than for others
/// who follow the record.
const MARGIN: i64 = 5 * 60 * 1_000;

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
    /// The `kid` of the key that signs in it.
    #[serde(default)]
    kid: String,
    /// The last tenant of those that are done.
    done: u32,
}

/// The number that a counter gave last.
#[derive(Default, Deserialize)]
struct Counter {
    last: u32,
}

/// The keys that the rotation has made, each with the time at which it is taken out, if it signs no more: a part of the item of the public
/// keys.
#[derive(Default, Deserialize)]
struct Made {
    #[serde(default)]
    made: BTreeMap<String, Option<i64>>,
}

/// A round that is not done, and the last tenant of all.
pub struct Due {
    round: Round,
    last: u32,
}

/// The round that is due, if one is. Once a key signs no more, the round is due again: the last checkpoints get the signature of the
/// next key before the one that has signed them is taken out.
///
/// # Errors
/// The table cannot be read.
pub async fn due(asked: &Asked<'_>) -> Result<Option<Due>, Problem> {
    let settled = (asked.clock)().millis() - MARGIN;
    let covers_to = Time::from_millis(settled - settled % DAY);
    let (round, counter, keys) = (key::checkpoint_round(), key::counter(Kind::Tenant), key::jwks());
    let mut found = asked.table.get([round.clone(), counter.clone(), keys.clone()]).await?;
    let counter: Option<Counter> = found.remove(&counter).map(decode).transpose()?;
    let known: Option<Round> = found.remove(&round).map(decode).transpose()?;
    let keys: Option<Made> = found.remove(&keys).map(decode).transpose()?;
    let keys = keys.unwrap_or_default().made;
    let known = known.filter(|round| round.covers_to == covers_to && keys.get(&round.kid) == Some(&None));
    let round = known.unwrap_or(Round { covers_to, kid: String::new(), done: 0 });
    let last = counter.unwrap_or_default().last;
    Ok(Some(Due { round, last }).filter(|due| due.round.done < due.last))
}

/// Goes on with a round until it is done, or until `until` has passed. Returns how many tenants are done in it, and how many
/// checkpoints were signed.
///
/// # Errors
/// The table cannot be read or written, or an event of a tenant cannot be read. That tenant keeps no other from its checkpoint.
pub async fn work(
    asked: &Asked<'_>,
    Due { mut round, last }: Due,
    signer: &Signer<'_>,
    until: Instant,
) -> Result<(u32, usize), Problem> {
    // What is done is done under another key.
    if round.kid != signer.kid {
        round = Round { kid: signer.kid.to_owned(), done: 0, ..round };
    }
    let (mut signed, mut failed) = (0, None);
    while round.done < last && Instant::now() < until {
        let end = last.min(round.done + LANES);
        let numbers = (round.done + 1..=end).filter_map(|number| TenantId::try_from(i64::from(number)).ok());
        let mut left: Vec<TenantKeys> = numbers.map(TenantKeys).collect();
        while !left.is_empty() {
            let pieces = begun(asked, left, round.covers_to, signer.kid).await?;
            let read = join_all(pieces.into_iter().map(|piece| piece.read(asked, round.covers_to))).await;
            let written = join_all(read.into_iter().map(|piece| write(asked, piece, signer))).await;
            left = Vec::new();
            for outcome in written {
                match outcome {
                    Ok(Written { keys, is_done: false, .. }) => left.push(keys),
                    Ok(Written { is_signed, .. }) => signed += usize::from(is_signed),
                    // The next run begins with these tenants again.
                    Err(why) if why.retry_after().is_some() => return Err(why),
                    Err(why) => failed = failed.or(Some(why)),
                }
            }
            if !left.is_empty() && Instant::now() >= until {
                return failed.map_or(Ok((round.done, signed)), Err);
            }
        }
        round.done = end;
        keep_round(asked, &round).await?;
    }
    failed.map_or(Ok((round.done, signed)), Err)
}

async fn keep_round(asked: &Asked<'_>, round: &Round) -> Result<(), Problem> {
    let further = "attribute_not_exists(PK) OR covers_to < :covers_to OR done <= :done OR kid <> :kid";
    let further = Condition::new(further).with(":covers_to", round.covers_to)?.with(":done", round.done)?;
    let further = further.with(":kid", &round.kid)?;
    asked.table.put_if(encode(&key::checkpoint_round(), None, round)?, further).await.map(drop)
}

/// A piece of the events of a tenant.
struct Piece {
    keys: TenantKeys,
    tenant: Tenant,
    before: Covered,
    after: Covered,
}

/// What became of a piece.
struct Written {
    keys: TenantKeys,
    /// Whether all events of the round are covered.
    is_done: bool,
    is_signed: bool,
}

/// The next pieces of these tenants, as far as they are not done, or are done under another key.
async fn begun(asked: &Asked<'_>, tenants: Vec<TenantKeys>, until: Time, kid: &str) -> Result<Vec<Piece>, Problem> {
    let mut found = asked.table.get(tenants.iter().flat_map(|keys| [keys.tenant(), keys.covered()])).await?;
    let mut pieces = Vec::new();
    for keys in tenants {
        let tenant: Option<Tenant> = found.remove(&keys.tenant()).map(decode).transpose()?;
        let before: Option<Covered> = found.remove(&keys.covered()).map(decode).transpose()?;
        let before = before.unwrap_or_default();
        let is_due = before.until < Some(until) || (before.until == Some(until) && before.kid != kid);
        // The tenant can be gone.
        if let Some(tenant) = tenant.filter(|it| it.meta.created_at < until && is_due) {
            pieces.push(Piece { keys, tenant, after: before.clone(), before });
        }
    }
    Ok(pieces)
}

impl Piece {
    /// Adds the next events to the tree, and behind them those that are too old to the tree of these. If there are no more before
    /// `until`, the result says so.
    async fn read(mut self, asked: &Asked<'_>, until: Time) -> Result<Self, Problem> {
        let (keys, after) = (self.keys, &mut self.after);
        let mut more = add_further(asked, keys, (&mut after.tree, &mut after.place), until).await?;
        if !more && let Some((mut old, target)) = after.take_growing(self.tenant.keeps_events_from(until)) {
            more = add_further(asked, keys, (&mut old.tree, &mut old.place), target).await?;
            match more {
                true => after.growing = Some(old),
                false => after.old = old,
            }
        }
        after.until = Some(until).filter(|_| !more);
        after.turn += 1;
        Ok(self)
    }
}

/// Adds the events behind a place to a tree, as many as a query reads. Returns whether there may be more before `until`.
async fn add_further(
    asked: &Asked<'_>,
    keys: TenantKeys,
    (tree, place): (&mut Tree, &mut String),
    until: Time,
) -> Result<bool, Problem> {
    let within = Some((Time::from_millis(0).to_string(), until.to_string()));
    let range = Range { in_index: true, within, ..Range::of(keys.record()) };
    let (key, listed) = (keys.event_listed(place), range.at(place));
    let (items, more) = asked.table.page(&range, key.as_ref().map(|key| (key, Some(&listed))), PIECE).await?;
    for item in items {
        *place = sort_key(&item, "GSI1SK")?;
        let event: Event = decode(item)?;
        tree.push(&event.hash());
    }
    Ok(more)
}

/// Writes down how far the events are covered and, if all are, a checkpoint. If another worker was quicker, it writes nothing. Then a
/// job begins to remove the events that are removed by the checkpoint.
async fn write(asked: &Asked<'_>, piece: Result<Piece, Problem>, signer: &Signer<'_>) -> Result<Written, Problem> {
    let Piece { keys, tenant, before, mut after } = piece?;
    let is_new = after.tree.size > before.signed || after.has_older() || before.kid != signer.kid;
    let is_signed = after.until.is_some() && is_new;
    let mut transaction = Transaction::new(asked.table);
    if is_signed {
        let checkpoint = sign(&tenant, &mut after, signer)?;
        let key = keys.checkpoint(checkpoint.says.number);
        transaction.put(encode(&key, None, &checkpoint)?, Some(Condition::new("attribute_not_exists(PK)")))?;
    }
    transaction.put(encode(&keys.covered(), None, &after)?, Some(at_turn(before.turn)?))?;
    let is_written = asked.table.write(transaction).await? == Committed::Yes;
    if is_written && after.until.is_some() {
        remove(asked, keys, &mut after).await?;
    }
    Ok(Written { keys, is_done: is_written && after.until.is_some(), is_signed: is_written && is_signed })
}

fn at_turn(turn: u64) -> Result<Condition, Problem> {
    Ok(Condition::new("attribute_not_exists(PK) OR turn = :turn").with(":turn", turn)?)
}

/// Lets a job remove what the last checkpoint says is removed, unless one has begun. If it cannot, the round of the next day does.
async fn remove(asked: &Asked<'_>, keys: TenantKeys, covered: &mut Covered) -> Result<(), Problem> {
    let until = covered.removed.as_ref().map(|removed| removed.until);
    let Some(until) = until.filter(|until| covered.removed_until < Some(*until)) else { return Ok(()) };
    retention::start(asked, keys, until).await?;
    let turn = covered.turn;
    (covered.removed_until, covered.turn) = (Some(until), turn + 1);
    asked.table.put_if(encode(&keys.covered(), None, covered)?, at_turn(turn)?).await.map(drop)
}

fn sign(tenant: &Tenant, covered: &mut Covered, signer: &Signer<'_>) -> Result<Checkpoint, Problem> {
    covered.number += 1;
    covered.signed = covered.tree.size;
    covered.removed = covered.removing();
    signer.kid.clone_into(&mut covered.kid);
    // Who can write the table cannot have us sign that events were removed which a tenant must keep.
    let until = covered.until.ok_or_else(lost)?;
    if covered.removed.as_ref().is_some_and(|removed| !removed.is_old_enough(until)) {
        return Err(Problem::Internal("events that are too young for any retention are to be removed".to_owned()));
    }
    let says = Statement {
        iss: signer.iss.to_owned(),
        tenant: tenant.id.uuid().to_string(),
        number: covered.number,
        until,
        size: covered.tree.size,
        root: covered.tree.root(),
        removed: covered.removed.clone(),
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
    let (facts, notices) = enter(asked, caller, "checkpoints", &EventList::default()).await?;
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
