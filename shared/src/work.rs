//! One invocation that no caller has made: the table's stream, or a schedule.

mod outbox;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::{Duration, Instant};

use domain::Problem;
use futures_util::future::join_all;
use lambda_http::LambdaEvent;
use serde_json::{Value, json};

use crate::app::{App, Boxed};
use crate::dialect::users::{self, operator};
use crate::gate::{Asked, bootstrap, domains, issuers, jobs};
use crate::log::{self, Level};
use crate::table::key::{self, Key};
use crate::table::meter::Meter;

/// The time that we keep for the log before Lambda ends the function.
const RESERVE: Duration = Duration::from_secs(1);

/// A worker takes no further piece after this part of its time, so that the last one comes to its end.
const PART: f64 = 0.5;

/// Fetches take longer than pieces at most: one request of an issuer after another, 6 s in all.
const PART_OF_FETCHES: f64 = 0.8;

/// How many issuers are asked for their keys at once.
const ISSUERS_AT_ONCE: usize = 16;

/// How long the keys of an issuer can fail to come before somebody is told, in seconds.
const STALE: i64 = 60 * 60;

/// Fetches the keys of an issuer: a JWK Set, and for how many seconds it is good.
pub type Fetch = dyn Fn(&str) -> Pin<Box<dyn Future<Output = Result<(String, i64), String>> + Send>> + Send + Sync;

/// Looks for the texts of a DNS record of the type TXT.
pub type Look = dyn Fn(&str) -> Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>> + Send + Sync;

pub struct Work {
    pub(crate) request_id: String,
    pub(crate) event: Value,
    pub(crate) started: Instant,
    /// When the work must be done.
    pub(crate) deadline: Instant,
    pub(crate) meter: Meter,
}

impl Work {
    pub(crate) fn new(event: LambdaEvent<Value>) -> Self {
        let LambdaEvent { payload: event, context } = event;
        let started = Instant::now();
        let left = context.deadline().duration_since(std::time::SystemTime::now()).unwrap_or_default();
        Self {
            meter: Meter::of(&context.request_id),
            request_id: context.request_id,
            event,
            started,
            deadline: started + left.saturating_sub(RESERVE),
        }
    }

    /// When this part of the time has passed.
    fn until(&self, part: f64) -> Instant {
        self.started + (self.deadline - self.started).mul_f64(part)
    }

    /// The keys of the items that the records of a stream are about, each once.
    fn keys(&self) -> Vec<Key> {
        let records = self.event["Records"].as_array().into_iter().flatten();
        let text = |record: &Value, name: &str| record["dynamodb"]["Keys"][name]["S"].as_str().map(str::to_owned);
        let keys: BTreeSet<_> = records.filter_map(|record| Some((text(record, "PK")?, text(record, "SK")?))).collect();
        keys.into_iter().map(|(pk, sk)| Key { pk, sk }).collect()
    }
}

impl App {
    /// Works on each job that a record of the table's stream is about. While a job is not done, its progress is the next record.
    ///
    /// # Errors
    /// A job could not go on: it waits for the sweep.
    pub fn work<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move {
            let until = work.until(PART);
            let asked = self.asked_by_product(work);
            let mut outcome = Ok(Value::Null);
            for (tenant, job) in work.keys().iter().filter_map(key::job_at) {
                // One job that fails keeps no other from going on.
                let worked = jobs::work(&asked, (tenant, job), &users::LINES, until).await;
                outcome = outcome.and_then(|nothing| worked.map(|()| nothing));
            }
            outcome
        })
    }

    /// Lets each job run again that waits or has stalled.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub fn sweep<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move {
            // The time of the schedule, which the event has.
            let at = serde_json::from_value(work.event["time"].clone()).unwrap_or_else(|_| (self.clock)());
            jobs::sweep(&self.asked_by_product(work), at).await.map(|()| Value::Null)
        })
    }

    /// Does what the operator of the deployment asks for, and answers.
    ///
    /// # Errors
    /// The faults of the event, and those of [`bootstrap::carry_out`].
    pub fn bootstrap<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move {
            let request = operator::request(&work.event)?;
            bootstrap::carry_out(&self.asked_by_product(work), &request).await
        })
    }

    /// Makes the rotation of the signing keys that is due; a new key in place of all others if the event says `{"rotate": "now"}`.
    ///
    /// # Errors
    /// The table or the secret cannot be read or written, or another rotation is under way. A later run makes it good.
    pub fn rotate<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move { self.rotate_keys(&self.asked_by_product(work), work.event["rotate"] == "now").await })
    }

    /// Covers the events of the day before with checkpoints, as far as that is due and there is time. A later run goes on.
    ///
    /// # Errors
    /// The table cannot be read or written, or there is no key that signs.
    pub fn checkpoint<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move {
            let until = work.until(PART);
            self.write_checkpoints(&self.asked_by_product(work), until).await
        })
    }

    /// Fetches the keys of the issuers that the records of the table's stream are about, or of those that are due.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub fn fetch<'a>(&'a self, work: &'a Work, fetch: &'a Fetch) -> Boxed<'a, Value> {
        Box::pin(async move {
            let asked = self.asked_by_product(work);
            let issuers = match work.event["Records"].is_array() {
                true => issuers::named(&asked, work.keys()).await?,
                false => issuers::due(&asked, (self.clock)()).await?,
            };
            let until = work.until(PART_OF_FETCHES);
            let mut fetched = 0;
            // Several at once: those that do not answer keep the others waiting no longer than one of them.
            for issuers in issuers.chunks(ISSUERS_AT_ONCE) {
                if Instant::now() >= until {
                    break;
                }
                let fetches = issuers.iter().map(|iss| self.fetch_of(&asked, work, iss, fetch));
                join_all(fetches).await.into_iter().collect::<Result<(), _>>()?;
                fetched += issuers.len();
            }
            Ok(json!({ "fetched": fetched }))
        })
    }

    async fn fetch_of(&self, asked: &Asked<'_>, work: &Work, iss: &str, fetch: &Fetch) -> Result<(), Problem> {
        let (known, now) = (issuers::known(asked, iss).await?, (self.clock)().seconds());
        // Keys of the future were put in by hand.
        if known.as_ref().is_some_and(|known| known.fetched_at > now) {
            return Ok(());
        }
        let fetched = fetch(iss).await;
        let why = fetched.as_ref().err().cloned();
        let failed_since = issuers::keep(asked, iss, known, fetched.ok()).await?;
        let Some((why, since)) = why.zip(failed_since) else { return Ok(()) };
        let (level, text) = match since + STALE <= now {
            true => (Level::Error, "the keys of an issuer are stale"),
            false => (Level::Warn, "the keys of an issuer cannot be fetched"),
        };
        let fields = || json!({ "request_id": work.request_id, "issuer": iss, "cause": why, "since": since });
        log::line(level, text, &fields);
        Ok(())
    }

    /// Looks for the claimed domains that are due, several at once.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub fn look_for_domains<'a>(&'a self, work: &'a Work, look: &'a Look) -> Boxed<'a, Value> {
        Box::pin(async move {
            let asked = self.asked_by_product(work);
            let due = domains::due(&asked, (self.clock)()).await?;
            let found = join_all(due.iter().map(|wanted| look(&wanted.domain.record()))).await;
            let mut seen = 0;
            for (wanted, found) in due.iter().zip(found) {
                seen += usize::from(domains::keep(&asked, wanted, found).await?);
            }
            Ok(json!({ "looked_for": due.len(), "found": seen }))
        })
    }

    pub(super) fn asked_by_product<'a>(&'a self, work: &'a Work) -> Asked<'a> {
        self.asked_as(&work.request_id, "product", &work.meter, work.deadline)
    }
}
