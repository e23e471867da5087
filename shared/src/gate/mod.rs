//! The one way to the table: read, decide, write.
//!
//! All facts of a decision are conditions of the transaction that writes. If one of them no longer holds, the request starts
//! again from the read. So each committed change was allowed by facts that were true at that moment.
//!
//! A function plans which record changes into what. The record names the actions of that change. The gate decides on each
//! action, checks the facts again in the transaction, numbers the version, chains the event, and writes.

pub mod api_keys;
mod approvals;
pub mod bootstrap;
pub mod budget;
mod caller;
pub mod checkpoints;
mod conditions;
mod cursor;
mod decisions;
mod deletion;
pub mod domains;
mod erasure;
pub mod events;
pub mod exports;
mod facts;
pub mod imports;
pub mod invitations;
pub mod issuers;
pub mod jobs;
pub mod join_requests;
mod known;
pub mod list;
pub mod outbox;
mod people;
pub mod personal;
mod picture;
mod plan;
pub mod policies;
mod principal;
mod reads;
mod removal;
mod replay;
mod retention;
pub mod search;
mod seats;
pub mod sessions;
mod several;
mod things;
pub mod tokens;
pub mod webhooks;

use std::time::{Duration, Instant};

use domain::{Problem, Time};

use crate::answer::Answer;
use crate::table::fence::Fact;
use crate::table::meter::Meter;
use crate::table::{CONTENDED, Committed, Item, Pause, Table, Transaction};

pub(crate) use approvals::{Approver, not_approved};
pub use caller::Caller;
pub(crate) use caller::{KeyProof, Proof};
pub(crate) use conditions::names_tag;
pub use conditions::{Conditions, Idempotency, IfMatch};
pub use decisions::{Decision, MAX_QUESTIONS, Question, Subject};
pub use deletion::Deletion;
pub use erasure::WithoutLines;
pub use exports::PartFn;
pub use facts::{Facts, Unseen, View};
pub use known::{FreshNumbers, KnownNames, KnownRules};
pub use list::{MemberList, NamedList, NamedPageFn, Page, PageFn, TenantPageFn};
pub use picture::{MAX_DATA_URI, MAX_PICTURE, NewPicture};
pub use plan::{Plan, Reading, Step};
pub use principal::Who;
pub use reads::Reads;
pub use replay::{REMEMBER_SECONDS, Recorded};
pub use seats::SEATS;

use plan::Allowed;

/// The parts of a request that the gate needs.
pub struct Asked<'a> {
    pub request: &'a str,
    /// The name of the dialect, for policies.
    pub dialect: &'static str,
    /// Whether the answer shows the pictures of members. If so, the one read includes them.
    pub pictures: bool,
    /// Whether the answer shows the names of members' groups and labels.
    pub names: bool,
    pub clock: fn() -> Time,
    pub meter: &'a Meter,
    /// When the answer must be on its way.
    pub deadline: Instant,
    pub table: Table<'a>,
    pub rules: &'a KnownRules,
    pub known_names: &'a KnownNames,
    pub numbers: &'a FreshNumbers,
    /// Given if the keys are old. Then the one read includes the keys.
    pub verify_again: Option<&'a VerifyAgain<'a>>,
}

/// Takes the item of the keys, if there is one, and says whether the caller's tokens are good with them.
pub type VerifyAgain<'a> = dyn Fn(Option<&Item>) -> Result<(), Problem> + Send + Sync + 'a;

/// Plans the changes of records, and makes the answer. The caller gets the answer once the changes are allowed and done.
pub type PlanFn<'p> = dyn Fn(&mut Plan) -> Result<Step, Problem> + Send + Sync + 'p;

/// Makes the answer from records that the caller may see.
pub type ReadFn<'p> = dyn Fn(&mut Reading) -> Result<Answer, Problem> + Send + Sync + 'p;

/// Makes a change, if the caller may.
///
/// # Errors
/// In this order, the first that applies: [`Problem::Unauthenticated`] (the session has ended), [`Problem::Forbidden`] (the
/// caller is no active member), [`Problem::IdempotencyMismatch`], [`Problem::Invalid`] (the approval does not count),
/// [`Problem::NotFound`], [`Problem::Forbidden`], a refusal of the plan or of a record, [`Problem::LastOwner`], [`Problem::VersionMismatch`].
pub async fn change(
    asked: &Asked<'_>,
    who: &Who<'_>,
    reads: &Reads,
    conditions: &Conditions,
    plan: &PlanFn<'_>,
) -> Result<Answer, Problem> {
    let mut pause = Pause::default();
    // The version was compared when the first half was allowed.
    let mut if_match = conditions.if_match.as_ref();
    loop {
        let started = Instant::now();
        let mut facts = Facts::read(asked, who, reads, conditions.idempotency.as_ref()).await?;
        if let Some(answer) = facts.replay(conditions.idempotency.as_ref())? {
            // The process that made the change may have died before the change was in force.
            put_in_force(asked.table, facts.facts()).await?;
            return Ok(answer);
        }
        let decide = |facts: &Facts| {
            facts.is_approval_unused()?;
            decide(facts, plan, if_match, conditions.idempotency.as_ref())
        };
        let mut decided = decide(&facts);
        if let Ok((_, allowed)) = &decided
            && facts.wants_numbers()
        {
            // Without a number, it is refused for its size, too.
            transaction(asked.table, &facts, allowed)?;
            facts.take_numbers(asked).await?;
            decided = decide(&facts);
        }
        let (is_half, allowed) = match decided {
            Ok(decided) => decided,
            // The facts are no snapshot. A twin of this request can have been done between two of them: then it is the reason.
            Err(_) if facts.is_answered_since(asked.table, conditions.idempotency.as_ref()).await? => continue,
            Err(refusal) => return Err(refusal),
        };
        match commit(asked, &facts, &allowed, started).await? {
            Committed::Yes if is_half => if_match = None,
            Committed::Yes => return Ok(allowed.answer),
            Committed::Taken(what) => return Err(Problem::Exists(what)),
            Committed::Moved { .. } => {
                asked.meter.restarted();
                if !pause.wait(CONTENDED, asked.meter, asked.deadline).await {
                    let why = "the record, the caller or the tenant changed during each of our tries";
                    return Err(Problem::Unavailable(why.to_owned()));
                }
            }
        }
    }
}

/// Makes a change that has no answer: no caller waits for one.
///
/// # Errors
/// As those of [`change`].
async fn change_unanswered(
    asked: &Asked<'_>,
    who: &Who<'_>,
    reads: &Reads,
    plan: &(dyn Fn(&mut Plan) -> Result<(), Problem> + Send + Sync),
) -> Result<(), Problem> {
    let plan = |planned: &mut Plan| plan(planned).map(|()| Answer::empty(204).into());
    change(asked, who, reads, &Conditions::default(), &plan).await.map(drop)
}

/// Plans the change over these facts, and decides on it. Returns whether it is the first half of a change.
fn decide(
    facts: &Facts,
    plan: &PlanFn<'_>,
    if_match: Option<&IfMatch>,
    idempotency: Option<&Idempotency>,
) -> Result<(bool, Allowed), Problem> {
    let mut planned = Plan::new(facts);
    let (is_half, answer) = match plan(&mut planned)? {
        Step::Answer(answer) => (false, answer),
        Step::Half => (true, Answer::empty(204)),
    };
    Ok((is_half, planned.decide(if_match, idempotency.filter(|_| !is_half), answer)?))
}

/// Answers as [`change`] would, and changes nothing.
///
/// # Errors
/// As those of [`change`], but for what only the write finds out.
async fn judge(asked: &Asked<'_>, who: &Who<'_>, reads: &Reads, plan: &PlanFn<'_>) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, who, reads, None).await?;
    decide(&facts, plan, None, None).map(|(_, allowed)| allowed.answer)
}

/// Answers a read, if the caller may see the result.
///
/// # Errors
/// In this order, the first that applies: [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active
/// member), [`Problem::NotFound`], [`Problem::Forbidden`].
pub async fn read(asked: &Asked<'_>, caller: &Caller, reads: &Reads, answer: &ReadFn<'_>) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), reads, None).await?;
    let mut reading = Reading::new(&facts);
    let answer = answer(&mut reading)?;
    Ok(reading.answer(answer))
}

/// Writes the whole change or nothing, and only if all facts that were read still hold. Then puts in force those changed facts
/// that other requests rest on. `started` is when the try began.
async fn commit(asked: &Asked<'_>, facts: &Facts, allowed: &Allowed, started: Instant) -> Result<Committed, Problem> {
    // Whoever follows the record waits for so long.
    let deadline = asked.deadline.min(started + Duration::from_secs(events::COMMITTED_WITHIN));
    let table = Table { deadline, ..asked.table };
    let transaction = transaction(table, facts, allowed)?;
    if !transaction.is_empty() {
        match table.write(transaction).await? {
            Committed::Yes => {}
            Committed::Moved { in_doubt: true } if is_on_record(table, allowed).await? => {}
            moved => return Ok(moved),
        }
    }
    put_in_force(table, allowed.changed.iter().cloned()).await?;
    Ok(Committed::Yes)
}

/// The items of a change, and the facts that must still hold.
///
/// # Errors
/// [`Problem::LimitReached`]: they are more than a transaction takes.
fn transaction<'a>(table: Table<'a>, facts: &Facts, allowed: &Allowed) -> Result<Transaction<'a>, Problem> {
    let mut transaction = Transaction::new(table);
    if !allowed.written.is_empty() {
        for written in &allowed.written {
            transaction.write(written)?;
        }
        if let Some(begins) = &allowed.begins {
            begins.write(&mut transaction)?;
        }
        let begins = |fact: &Fact| allowed.begins.as_ref().is_some_and(|begins| begins.member() == fact.item);
        let changed =
            |fact: &Fact| begins(fact) || allowed.written.iter().any(|written| written.key() == Some(&fact.item));
        for fact in facts.principal().rests_on().iter().filter(|fact| !changed(fact)) {
            transaction.rest_on(fact.clone())?;
        }
        let own = allowed.written.iter().find(|written| written.is_of_tenant());
        transaction.tenant(facts.tenant(), &allowed.tenant, own)?;
        facts.use_approval(&mut transaction)?;
    }
    if let Some(accepts) = &allowed.accepts {
        accepts.write(&mut transaction)?;
    }
    for person in &allowed.persons {
        transaction.person(person)?;
    }
    for item in &allowed.items {
        transaction.put(item.clone(), None)?;
    }
    if let Some((item, condition)) = allowed.record()? {
        transaction.put(item, Some(condition))?;
    }
    transaction.fits()?;
    Ok(transaction)
}

/// Raises the fences of changed facts. After that no request can commit on the older facts. See [`fence`](crate::table::fence).
async fn put_in_force(table: Table<'_>, facts: impl IntoIterator<Item = Fact>) -> Result<(), Problem> {
    for fact in facts.into_iter().filter(|fact| fact.fences > 0) {
        table.raise_fences(&fact).await?;
    }
    Ok(())
}

/// Whether this very transaction wrote the change: events name their transaction.
async fn is_on_record(table: Table<'_>, allowed: &Allowed) -> Result<bool, Problem> {
    let Some(written) = allowed.written.first() else { return Ok(false) };
    let found: Option<domain::Event> = table.read(&written.event_key()).await?;
    Ok(found.is_some_and(|found| found.transaction == written.event.transaction))
}
