//! One invocation that no caller has made: the table's stream, or a schedule.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lambda_http::LambdaEvent;
use serde_json::Value;

use crate::app::{App, Boxed};
use crate::gate::{Asked, jobs};
use crate::table::key::{self, Key};
use crate::table::meter::Meter;

/// The time that we keep for the log before Lambda ends the function.
const RESERVE: Duration = Duration::from_secs(1);

/// A worker takes no further piece after this part of its time, so that the last one comes to its end.
const PART: f64 = 0.5;

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
    pub fn work<'a>(&'a self, work: &'a Work) -> Boxed<'a, ()> {
        Box::pin(async move {
            let until = work.started + (work.deadline - work.started).mul_f64(PART);
            let asked = self.asked_by_product(work);
            let mut outcome = Ok(());
            for (tenant, job) in work.keys().iter().filter_map(key::job_at) {
                // One job that fails keeps no other from going on.
                outcome = outcome.and(jobs::work(&asked, tenant, job, until).await);
            }
            outcome
        })
    }

    /// Lets each job run again that waits or has stalled.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub fn sweep<'a>(&'a self, work: &'a Work) -> Boxed<'a, ()> {
        Box::pin(async move {
            // The time of the schedule, which the event has.
            let at = serde_json::from_value(work.event["time"].clone()).unwrap_or_else(|_| (self.clock)());
            jobs::sweep(&self.asked_by_product(work), at).await
        })
    }

    fn asked_by_product<'a>(&'a self, work: &'a Work) -> Asked<'a> {
        self.asked_as(&work.request_id, "product", &work.meter, work.deadline)
    }
}
