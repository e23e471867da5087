//! The one table: what is read in one `BatchGetItem` and written in one `TransactWriteItems`, counted and retried.
//!
//! Nothing else knows DynamoDB. Functions cannot reach this module: they write by the gate.

pub mod client;
pub mod fence;
pub mod key;
pub mod meter;
mod read;
pub mod stored;
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

/// How long to wait for one answer of the table before asking again.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// With less time left than this, another try would only be cut off.
const LEAST: Duration = Duration::from_millis(50);

/// The table, for one request.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub client: &'a Client,
    pub name: &'a str,
    pub meter: &'a Meter,
    pub deadline: Instant,
}

/// What to do about a failed call.
enum Failure {
    /// Nothing was done, for want of capacity: worth another try.
    Throttled(String),
    /// Nothing was done, since other transactions have the item, or of a transaction those at these places: worth another try.
    Conflict(String, Vec<usize>),
    /// Whether anything was done is not known: the same call again will tell.
    Unknown(String),
    /// A defect: no other try is better.
    Fatal(String),
}

impl<'a> Table<'a> {
    /// Repeats a call while its failure is worth it and time is left.
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

    /// Waits for the next try, if one is worth it and time is left.
    async fn pause_after(self, failure: Failure, operation: &str, pause: &mut Pause) -> Result<(), Problem> {
        let most = if matches!(failure, Failure::Conflict(..)) { CONTENDED } else { STARVED };
        let problem = self.note(operation, failure);
        match problem {
            Problem::Internal(_) => Err(problem),
            _ if pause.wait(most, self.meter, self.deadline).await => Ok(()),
            _ => Err(problem),
        }
    }

    /// One try, for as long as one may take.
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

    /// Counts a failed try. What it comes to if there is no further one: only [`Problem::Internal`] is not worth another.
    fn note(self, operation: &str, failure: Failure) -> Problem {
        let (problem, why, throttled) = match failure {
            Failure::Fatal(why) => return Problem::Internal(why),
            Failure::Conflict(why, _) | Failure::Throttled(why) => (Problem::TooManyRequests, why, true),
            Failure::Unknown(why) => (Problem::Unavailable(why.clone()), why, false),
        };
        self.meter.failed(&format!("{operation}: {why}"), throttled);
        problem
    }
}

/// The longest wait for an item that others write at the same time, and are soon done with. With a longer wait,
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
    /// Whether there was time to wait, for `most` at the longest, and is time for another try before the deadline.
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

/// Sorts a failed call by whether it may be made again. Only codes and messages of AWS are kept, never an item.
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

fn key_of(item: &Item) -> Result<Key, Problem> {
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

/// An item that cannot be the named type, or the other way round. What it holds is not said: this goes to logs.
#[derive(Debug)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an item that is no {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// An item as the type it holds.
pub fn decode<T: DeserializeOwned>(item: Item) -> Result<T, Malformed> {
    serde_dynamo::from_item(item).map_err(|_| Malformed(std::any::type_name::<T>()))
}

/// A value as the attributes of its item, under `key` and, if it is listed, a key of the index.
pub fn encode<T: Serialize>(key: &Key, listed: Option<&Key>, value: &T) -> Result<Item, Malformed> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|_| Malformed(std::any::type_name::<T>()))?;
    item.extend(key_attributes(key));
    if let Some(Key { pk, sk }) = listed {
        item.insert(format!("{}PK", key::INDEX), AttributeValue::S(pk.clone()));
        item.insert(format!("{}SK", key::INDEX), AttributeValue::S(sk.clone()));
    }
    Ok(item)
}

/// A condition and the values that it names, `:like` so.
pub struct Condition {
    expression: String,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    pub fn new(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), values: Vec::new() }
    }

    /// And another one.
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

    /// DynamoDB refuses an empty map.
    fn named(self) -> Option<HashMap<String, AttributeValue>> {
        let named: HashMap<_, _> = self.values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        (!named.is_empty()).then_some(named)
    }
}
