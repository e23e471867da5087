//! The one table: reads in one `BatchGetItem` and writes in one `TransactWriteItems`, counted and retried.
//!
//! No other module knows DynamoDB. Functions cannot reach this module: they write through the gate.

pub mod client;
pub mod fence;
mod jobs;
pub mod key;
pub mod meter;
mod read;
mod single;
pub mod stored;
pub mod tenant;
mod write;

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use key::Key;
use meter::Meter;
pub use write::{Committed, Transaction};

/// An item's attributes by name.
pub type Item = HashMap<String, AttributeValue>;

/// How long one try waits for the table's answer.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// With less time left, there is no further try: the deadline would cut it off.
const LEAST: Duration = Duration::from_millis(50);

/// The table, for one request.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub client: &'a Client,
    pub name: &'a str,
    pub meter: &'a Meter,
    pub deadline: Instant,
}

/// A failed call, sorted by what can be done about it.
enum Failure {
    /// Nothing was done, because the table had no capacity. Another try may succeed.
    Throttled(String),
    /// Nothing was done, because other transactions hold the item, or a transaction's items at these places. Another try may
    /// succeed.
    Conflict(String, Vec<usize>),
    /// The outcome is unknown. The same call again will tell it.
    Unknown(String),
    /// A defect. Another try would fail, too.
    Fatal(String),
}

impl<'a> Table<'a> {
    /// Repeats a call while another try may succeed and time is left.
    async fn retry<T, F: Future<Output = Result<T, Failure>>>(
        self,
        operation: &'static str,
        call: impl Fn() -> F,
    ) -> Result<T, Problem> {
        let mut pause = Pause::default();
        loop {
            match self.attempt(operation, call()).await {
                Ok(value) => return Ok(value),
                Err(failure) => self.pause_after(failure, operation, &mut pause).await?,
            }
        }
    }

    /// Waits for the next try, if another try may succeed and time is left.
    async fn pause_after(self, failure: Failure, operation: &str, pause: &mut Pause) -> Result<(), Problem> {
        let most = if matches!(failure, Failure::Conflict(..)) { CONTENDED } else { STARVED };
        let problem = self.note(operation, failure);
        match problem {
            Problem::Internal(_) => Err(problem),
            _ if pause.wait(most, self.meter, self.deadline).await => Ok(()),
            _ => Err(problem),
        }
    }

    /// Makes one try, of [`ATTEMPT`] at most.
    async fn attempt<T>(
        self,
        operation: &'static str,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let left = self.deadline.saturating_duration_since(started);
        let outcome = tokio::time::timeout(left.min(ATTEMPT), call).await;
        self.meter.tried(operation, started.elapsed());
        outcome.unwrap_or_else(|_| Err(Failure::Unknown("no answer in time".to_owned())))
    }

    /// Counts a failed try. Returns the problem, in case there is no further try. After [`Problem::Internal`] another try would
    /// fail, too.
    fn note(self, operation: &str, failure: Failure) -> Problem {
        let (problem, why, throttled) = match failure {
            Failure::Fatal(why) => return Problem::Internal(why),
            Failure::Conflict(why, _) | Failure::Throttled(why) => (Problem::TooManyRequests(1), why, true),
            Failure::Unknown(why) => (Problem::Unavailable(why.clone()), why, false),
        };
        self.meter.failed(&format!("{operation}: {why}"), throttled);
        problem
    }
}

/// The longest wait for an item that other requests write at the same time: each of them is soon done. With a longer wait,
/// the first caller would come last.
pub const CONTENDED: Duration = Duration::from_millis(160);
/// The longest wait for a table that has no capacity or no answer.
pub const STARVED: Duration = Duration::from_secs(1);

/// Waits between tries with full jitter: a random time below a bound that begins at 20 ms and doubles.
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(20))
    }
}

impl Pause {
    /// Waits, for `most` at the longest. Returns false at once if there is no time left for that and for another try.
    pub async fn wait(&mut self, most: Duration, meter: &Meter, deadline: Instant) -> bool {
        let wait = self.0.min(most).mul_f64(fastrand::f64());
        if Instant::now() + wait + LEAST >= deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        meter.paused(wait);
        self.0 = (self.0 * 2).min(STARVED);
        true
    }
}

/// Sorts a failed call. It keeps only codes and messages of AWS, never an item.
fn failure<E: ProvideErrorMetadata, R>(why: &SdkError<E, R>) -> Failure {
    match why {
        SdkError::ServiceError(error) => {
            let error = error.err();
            let code = error.code().unwrap_or("no code");
            let text = format!("{code}: {}", error.message().unwrap_or("no message"));
            match code {
                "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" => {
                    Failure::Throttled(text)
                }
                "TransactionConflictException" => Failure::Conflict(text, Vec::new()),
                "AccessDeniedException"
                | "ValidationException"
                | "ResourceNotFoundException"
                | "UnrecognizedClientException"
                | "IdempotentParameterMismatchException" => Failure::Fatal(text),
                _ => Failure::Unknown(text),
            }
        }
        SdkError::ConstructionFailure(_) => Failure::Fatal("a request that cannot be built".to_owned()),
        SdkError::DispatchFailure(_) => Failure::Unknown("no connection".to_owned()),
        _ => Failure::Unknown("an unreadable answer".to_owned()),
    }
}

fn internal(why: impl ToString) -> Problem {
    Problem::Internal(why.to_string())
}

fn key_attributes(key: &Key) -> [(String, AttributeValue); 2] {
    [("PK".to_owned(), AttributeValue::S(key.pk.clone())), ("SK".to_owned(), AttributeValue::S(key.sk.clone()))]
}

pub fn key_of(item: &Item) -> Result<Key, Problem> {
    match (item.get("PK"), item.get("SK")) {
        (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => Ok(Key { pk: pk.clone(), sk: sk.clone() }),
        _ => Err(internal("an item without a key")),
    }
}

impl From<Malformed> for Problem {
    fn from(why: Malformed) -> Self {
        Problem::Internal(why.to_string())
    }
}

/// An item that is no value of the named type, or a value that is no item. It does not show the content: this goes to logs.
#[derive(Debug)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an item that is no {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads the value of an item.
pub fn decode<T: DeserializeOwned>(item: Item) -> Result<T, Malformed> {
    serde_dynamo::from_item(item).map_err(|_| Malformed(std::any::type_name::<T>()))
}

/// Makes the item of a value, under `key` and, if it is listed, a key of the index.
pub fn encode<T: Serialize>(key: &Key, listed: Option<&Key>, value: &T) -> Result<Item, Malformed> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|_| Malformed(std::any::type_name::<T>()))?;
    item.extend(key_attributes(key));
    if let Some(Key { pk, sk }) = listed {
        item.insert(format!("{}PK", key::INDEX), AttributeValue::S(pk.clone()));
        item.insert(format!("{}SK", key::INDEX), AttributeValue::S(sk.clone()));
    }
    Ok(item)
}

/// A condition, and the values that it names in the form `:name`.
pub struct Condition {
    expression: String,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    pub fn new(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), values: Vec::new() }
    }

    /// Adds another condition: both must hold.
    pub fn and(mut self, other: Condition) -> Self {
        self.expression = format!("({}) AND ({})", self.expression, other.expression);
        self.values.extend(other.values);
        self
    }

    pub fn with<T: Serialize>(mut self, name: &'static str, value: T) -> Result<Self, Malformed> {
        let value = serde_dynamo::to_attribute_value(value).map_err(|_| Malformed(std::any::type_name::<T>()))?;
        self.values.push((name, value));
        Ok(self)
    }

    /// If the change is of a member's sessions, none may have begun meanwhile: a new session does not raise the version.
    fn and_sessions(self, before: &Item, after: &Item) -> Self {
        const SESSIONS: &str = "sessions";
        match (before.get(SESSIONS), after.get(SESSIONS)) {
            (old, new) if old == new => self,
            (None, _) => self.and(Self::new("attribute_not_exists(sessions)")),
            (Some(old), _) => {
                let values = vec![(":sessions", old.clone())];
                self.and(Self { expression: "sessions = :sessions".to_owned(), values })
            }
        }
    }

    /// DynamoDB refuses an empty map.
    fn named(self) -> Option<HashMap<String, AttributeValue>> {
        let named: HashMap<_, _> = self.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        (!named.is_empty()).then_some(named)
    }
}
