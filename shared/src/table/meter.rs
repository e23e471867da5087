//! Counts what one request costs.

use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_dynamodb::types::ConsumedCapacity;
use serde_json::json;

use crate::lock;
use crate::log::{self, Level};

/// Counts what one request costs.
#[derive(Debug)]
pub struct Meter {
    request: String,
    cost: Mutex<Cost>,
}

/// The cost of one request, and its failures on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    pub round_trips: u32,
    pub read_units: f64,
    pub write_units: f64,
    /// Tries that the table refused: it had no capacity, or another transaction held an item.
    pub throttles: u32,
    /// How often the request started again from its read.
    pub restarts: u32,
    /// Time spent waiting for the table's answers.
    pub table: Duration,
    /// Time spent waiting between tries.
    pub pauses: Duration,
    /// Why tries failed, also if a later try succeeded: AWS's codes and messages, each once.
    pub failures: Vec<String>,
}

impl Meter {
    /// Counts for a request of this id.
    pub fn of(request: impl Into<String>) -> Self {
        Self { request: request.into(), cost: Mutex::default() }
    }

    /// The cost up to now. It never waits for the lock, because a panic may ask while the count is locked.
    pub fn cost(&self) -> Cost {
        self.cost.try_lock().map_or_else(|_| Cost::default(), |cost| cost.clone())
    }

    /// Counts a try at the table that took so long, whether it succeeded or not.
    pub(super) fn tried(&self, operation: &str, took: Duration) {
        log::line(
            Level::Debug,
            "table",
            &|| json!({ "request_id": self.request, "operation": operation, "ms": log::millis(took) }),
        );
        let mut cost = lock(&self.cost);
        cost.round_trips += 1;
        cost.table += took;
    }

    pub(super) fn failed(&self, why: &str, throttled: bool) {
        let mut cost = lock(&self.cost);
        cost.throttles += u32::from(throttled);
        if !cost.failures.iter().any(|known| known == why) {
            cost.failures.push(why.to_owned());
        }
    }

    /// Counts a wait between two tries.
    pub(super) fn paused(&self, wait: Duration) {
        lock(&self.cost).pauses += wait;
    }

    /// Counts a new start of the request from its read.
    pub fn restarted(&self) {
        lock(&self.cost).restarts += 1;
    }

    pub(super) fn read(&self, consumed: &[ConsumedCapacity]) {
        lock(&self.cost).read_units += consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
    }

    pub(super) fn wrote(&self, consumed: &[ConsumedCapacity]) {
        lock(&self.cost).write_units += consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
    }
}
