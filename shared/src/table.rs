//! The one table: what is read in one `BatchGetItem` and written in one `TransactWriteItems`, counted and retried.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ConsumedCapacity, Delete, KeysAndAttributes, Put, ReturnConsumedCapacity,
    TransactWriteItem, Update,
};
use futures_util::future::join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::fence::{FENCES, Fact};
use crate::id::Uuid;
use crate::key::{self, Key, TenantKeys};
use crate::lock;
use crate::log::{self, Level};
use crate::model::{Catalog, Entry};
use crate::problem::Problem;

pub type Item = HashMap<String, AttributeValue>;

/// How long to wait for one answer of the table before asking again.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// With less time left than this, another try would only be cut off.
const LEAST: Duration = Duration::from_millis(50);

/// The most items that DynamoDB takes in one transaction.
const MAX_ITEMS: usize = 100;

/// The most roles and groups that one change of a member can add and remove. Left are seven items: the member, the caller, the
/// tenant, the event, the idempotency record, and two that may come.
pub const MAX_EDGES: usize = MAX_ITEMS - 7;

/// Counts what one request costs.
#[derive(Debug)]
pub struct Meter {
    request: String,
    cost: Mutex<Cost>,
}

/// What one request has cost, and what went wrong on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    pub round_trips: u32,
    pub read_units: f64,
    pub write_units: f64,
    /// Tries that the table turned away: for want of capacity, or in conflict with another transaction.
    pub throttles: u32,
    /// How often the request started again from its read.
    pub restarts: u32,
    /// Time spent waiting for the table's answers.
    pub table: Duration,
    /// Time spent waiting between tries.
    pub pauses: Duration,
    /// Why tries failed, also those that a later one made good: AWS's codes and messages, each once.
    pub failures: Vec<String>,
}

impl Meter {
    /// Counts for a request of this id.
    pub fn of(request: impl Into<String>) -> Self {
        Self { request: request.into(), cost: Mutex::default() }
    }

    /// What has been counted up to now. Never waits, since a panic may ask while somebody counts.
    pub fn cost(&self) -> Cost {
        self.cost.try_lock().map_or_else(|_| Cost::default(), |cost| cost.clone())
    }

    /// A try at the table, good or not, that took so long.
    fn tried(&self, operation: &str, took: Duration) {
        log::line(
            Level::Debug,
            "table",
            &|| json!({ "request_id": self.request, "operation": operation, "ms": log::millis(took) }),
        );
        let mut cost = lock(&self.cost);
        cost.round_trips += 1;
        cost.table += took;
    }

    fn failed(&self, why: &str, throttled: bool) {
        let mut cost = lock(&self.cost);
        cost.throttles += u32::from(throttled);
        if !cost.failures.iter().any(|known| known == why) {
            cost.failures.push(why.to_owned());
        }
    }

    /// The request starts again from its read.
    pub fn restarted(&self) {
        lock(&self.cost).restarts += 1;
    }

    fn read(&self, consumed: &[ConsumedCapacity]) {
        lock(&self.cost).read_units += consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
    }

    fn wrote(&self, consumed: &[ConsumedCapacity]) {
        lock(&self.cost).write_units += consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
    }
}

/// The table, for one request.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub client: &'a Client,
    pub name: &'a str,
    pub meter: &'a Meter,
    pub deadline: Instant,
}

/// What became of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum Committed {
    Yes,
    /// A condition did not hold: what the request was based on has changed, and nothing was written; unless `in_doubt`,
    /// when an earlier try of the same call got no answer.
    Moved {
        in_doubt: bool,
    },
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
    /// Reads the items under `keys`, strongly consistent, in one round trip. What does not exist is not in the result.
    pub async fn get(self, keys: impl IntoIterator<Item = Key>) -> Result<HashMap<Key, Item>, Problem> {
        let mut found = HashMap::new();
        let mut wanted: Vec<Key> = keys.into_iter().collect();
        let mut pause = Pause::default();
        while !wanted.is_empty() {
            let keys = wanted.iter().map(|key| key_attributes(key).into()).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let keys = keys.map_err(internal)?;
            let output = self
                .retry("BatchGetItem", || async {
                    let request = self.client.batch_get_item().request_items(self.name, keys.clone());
                    let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    request.send().await.map_err(|why| failure(&why))
                })
                .await?;
            self.meter.read(output.consumed_capacity());
            let items = output.responses.unwrap_or_default().remove(self.name).unwrap_or_default();
            for item in items {
                found.insert(key_of(&item)?, item);
            }
            // What DynamoDB had no capacity for.
            let left = output.unprocessed_keys.unwrap_or_default().remove(self.name);
            let left = left.map(|left| left.keys).unwrap_or_default();
            wanted = left.iter().map(key_of).collect::<Result<_, _>>()?;
            if !wanted.is_empty() {
                self.meter.failed("BatchGetItem left keys unprocessed", true);
                if !pause.wait(STARVED, self.meter, self.deadline).await {
                    return Err(Problem::TooManyRequests);
                }
            }
        }
        Ok(found)
    }

    /// Reads all catalog entries of a tenant, in one round trip as far as they fit in 1 MB.
    ///
    /// `version` must have been read *before*: then the entries are at least as new as it says, and whoever compares it
    /// with the tenant's can never take old entries for new ones. Read in parallel, they could be older than it.
    pub async fn catalog(self, tenant: TenantKeys, version: u64) -> Result<Catalog, Problem> {
        let Key { pk, sk } = tenant.catalog();
        let mut entries: Vec<Entry> = Vec::new();
        let mut start = None;
        loop {
            let output = self
                .retry("Query", || async {
                    let request = self.client.query().table_name(self.name).consistent_read(true);
                    let request = request.key_condition_expression("PK = :pk AND begins_with(SK, :sk)");
                    let request = request.expression_attribute_values(":pk", AttributeValue::S(pk.clone()));
                    let request = request.expression_attribute_values(":sk", AttributeValue::S(sk.clone()));
                    let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    request.set_exclusive_start_key(start.clone()).send().await.map_err(|why| failure(&why))
                })
                .await?;
            self.meter.read(output.consumed_capacity.as_slice());
            for item in output.items.unwrap_or_default() {
                entries.push(decode(item)?);
            }
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(Catalog::new(version, entries));
            }
        }
    }

    /// Writes all or nothing, in one round trip.
    ///
    /// A `ClientRequestToken` makes a try safe to repeat: as long as its outcome is unknown it is made again with the same
    /// token, for which DynamoDB answers what became of the first. Where it no longer knows (another engine took over), a
    /// condition fails that our own write has made false: [`Committed::Moved`] then has `in_doubt`, and the caller looks for
    /// proof.
    pub async fn write(self, mut transaction: Transaction<'_>) -> Result<Committed, Problem> {
        let (mut token, mut in_doubt, mut detours) = (token(), false, 0);
        let mut pause = Pause::default();
        loop {
            let outcome = self.attempt("TransactWriteItems", self.transact(&transaction.items, &token)).await;
            let failure = match outcome {
                Ok(true) => return Ok(Committed::Yes),
                Ok(false) => return Ok(Committed::Moved { in_doubt }),
                Err(failure) => failure,
            };
            if let (Failure::Conflict(_, places), false) = (&failure, in_doubt) {
                // Nothing was done, so the next try is a transaction of its own.
                if detours < FENCES && transaction.take_next_fences(places)? {
                    (token, detours) = (self::token(), detours + 1);
                    self.note("TransactWriteItems", failure);
                    continue;
                }
                if let Some(fact) = transaction.contended(places) {
                    self.note("TransactWriteItems", failure);
                    self.put_up_fences(fact).await?;
                    return Ok(Committed::Moved { in_doubt });
                }
            }
            in_doubt |= matches!(failure, Failure::Unknown(_));
            self.pause_after(failure, "TransactWriteItems", &mut pause).await?;
        }
    }

    /// One try. Whether it was done; not so if a condition did not hold.
    async fn transact(self, items: &[TransactWriteItem], token: &str) -> Result<bool, Failure> {
        let request = self.client.transact_write_items().set_transact_items(Some(items.to_vec()));
        let request = request.client_request_token(token).return_consumed_capacity(ReturnConsumedCapacity::Total);
        match request.send().await {
            Ok(output) => {
                self.meter.wrote(output.consumed_capacity());
                Ok(true)
            }
            Err(why) => match why.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons().iter();
                    cancelled_for(&reasons.map(|reason| reason.code().unwrap_or("None")).collect::<Vec<_>>())
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                    Err(Failure::Unknown("the transaction is still in progress".to_owned()))
                }
                _ => Err(failure(&why)),
            },
        }
    }

    /// Puts up the fences of a fact, unless somebody has. See [`fence`](crate::fence).
    async fn put_up_fences(self, fact: Fact) -> Result<(), Problem> {
        let condition = Condition::new("attribute_exists(PK) AND (attribute_not_exists(fences) OR fences = :none)");
        let condition = condition.with(":none", 0)?.with(":number", FENCES)?;
        self.set(&fact.item, "fences = :number", condition).await
    }

    /// Raises every fence of a fact to the fact's version, at once. See [`fence`](crate::fence).
    pub async fn raise_fences(self, fact: &Fact) -> Result<(), Problem> {
        let raise = async |number| {
            let condition = Condition::new("attribute_not_exists(version) OR version < :version");
            let condition = condition.with(":version", fact.version)?;
            self.set(&fact.item.fence(number), "version = :version", condition).await
        };
        join_all((0..fact.fences).map(raise)).await.into_iter().collect()
    }

    /// Sets attributes of one item where a condition holds; where it does not, somebody else has done it.
    async fn set(self, key: &Key, what: &str, condition: Condition) -> Result<(), Problem> {
        let (expression, values) = (condition.expression, condition.named());
        self.retry("UpdateItem", || async {
            let request = self.client.update_item().table_name(self.name).set_key(Some(key_attributes(key).into()));
            let request = request.update_expression(format!("SET {what}")).condition_expression(expression);
            let request = request.set_expression_attribute_values(values.clone());
            match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
                Ok(output) => self.meter.wrote(output.consumed_capacity.as_slice()),
                Err(why) if why.code() == Some("ConditionalCheckFailedException") => {}
                Err(why) => return Err(failure(&why)),
            }
            Ok(())
        })
        .await
    }

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

/// The longest wait for an item that others write at the same time, and are soon done with. With a longer one whoever came
/// first would come last.
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
        lock(&meter.cost).pauses += wait;
        self.0 = (self.0 * 2).min(STARVED);
        true
    }
}

/// What the codes of a cancelled transaction mean.
fn cancelled_for(codes: &[&str]) -> Result<bool, Failure> {
    if codes.contains(&"ConditionalCheckFailed") {
        return Ok(false);
    }
    let passing = ["None", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let why = format!("transaction cancelled: {}", codes.join(", "));
    if !codes.iter().all(|code| passing.contains(code)) {
        return Err(Failure::Fatal(why));
    }
    let conflicts = codes.iter().enumerate().filter(|(_, code)| **code == "TransactionConflict");
    match conflicts.map(|(place, _)| place).collect::<Vec<_>>() {
        places if places.is_empty() => Err(Failure::Throttled(why)),
        places => Err(Failure::Conflict(why, places)),
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
    pub expression: &'static str,
    pub values: Vec<(&'static str, AttributeValue)>,
}

impl Condition {
    pub fn new(expression: &'static str) -> Self {
        Self { expression, values: Vec::new() }
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

/// The items of one transaction.
pub struct Transaction<'a> {
    table: &'a str,
    items: Vec<TransactWriteItem>,
    /// The facts that it rests on, each with the place of its item, and the fence that is there if the fact has any.
    facts: Vec<(usize, Fact, u32)>,
}

/// A new `ClientRequestToken`, of 36 characters.
fn token() -> String {
    Uuid::new_v4().to_string()
}

impl<'a> Transaction<'a> {
    pub fn new(table: Table<'a>) -> Self {
        Self { table: table.name, items: Vec::new(), facts: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Commits only if the fact is still at the version that was read. See [`fence`](crate::fence).
    pub fn rest_on(&mut self, fact: Fact) -> Result<(), Problem> {
        let fence = fastrand::u32(..FENCES);
        let item = self.resting_on(&fact, fence)?;
        self.facts.push((self.items.len(), fact, fence));
        self.items.push(item);
        Ok(())
    }

    fn resting_on(&self, fact: &Fact, fence: u32) -> Result<TransactWriteItem, Problem> {
        let version = AttributeValue::N(fact.version.to_string());
        let item = TransactWriteItem::builder();
        Ok(match fact.fences {
            0 => {
                let check = ConditionCheck::builder().table_name(self.table);
                let check = check.set_key(Some(key_attributes(&fact.item).into()));
                let check = check.condition_expression("#version = :version");
                let check = check.expression_attribute_names("#version", fact.attribute);
                let check = check.expression_attribute_values(":version", version);
                item.condition_check(check.build().map_err(internal)?).build()
            }
            fences => {
                let update = Update::builder().table_name(self.table);
                let update = update.set_key(Some(key_attributes(&fact.item.fence(fence % fences)).into()));
                let update = update.update_expression("SET version = :version");
                let update = update.condition_expression("attribute_not_exists(version) OR version <= :version");
                let update = update.expression_attribute_values(":version", version);
                item.update(update.build().map_err(internal)?).build()
            }
        })
    }

    /// Takes the next fence where others have the one that was taken. Whether that is all that stands in the way.
    fn take_next_fences(&mut self, conflicts: &[usize]) -> Result<bool, Problem> {
        let fenced = |place: &usize| self.facts.iter().any(|(at, fact, _)| at == place && fact.fences > 0);
        if conflicts.is_empty() || !conflicts.iter().all(fenced) {
            return Ok(false);
        }
        for index in 0..self.facts.len() {
            let (place, fact, fence) = &self.facts[index];
            if conflicts.contains(place) {
                let (place, next) = (*place, fence + 1);
                self.items[place] = self.resting_on(&fact.clone(), next)?;
                self.facts[index].2 = next;
            }
        }
        Ok(true)
    }

    /// A fact without fences that others hold.
    fn contended(&self, conflicts: &[usize]) -> Option<Fact> {
        let mut contended = self.facts.iter().filter(|(place, fact, _)| fact.fences == 0 && conflicts.contains(place));
        contended.next().map(|(_, fact, _)| fact.clone())
    }

    /// Makes of the item `from` the item `to`, attribute by attribute: what it does not mention stays.
    pub fn change(&mut self, key: &Key, from: &Item, to: &Item, condition: Condition) -> Result<(), Problem> {
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        let all: BTreeMap<_, _> = from.iter().chain(to).collect();
        for (index, (name, _)) in all.into_iter().filter(|(name, _)| from.get(*name) != to.get(*name)).enumerate() {
            names.insert(format!("#a{index}"), name.clone());
            match to.get(name) {
                Some(value) => {
                    values.insert(format!(":a{index}"), value.clone());
                    set.push(format!("#a{index} = :a{index}"));
                }
                None => removed.push(format!("#a{index}")),
            }
        }
        let clause = |verb: &str, parts: Vec<String>| match parts.is_empty() {
            true => String::new(),
            false => format!("{verb} {} ", parts.join(", ")),
        };
        let update = Update::builder()
            .table_name(self.table)
            .set_key(Some(key_attributes(key).into()))
            .update_expression(clause("SET", set) + &clause("REMOVE", removed))
            .set_expression_attribute_names(Some(names))
            .condition_expression(condition.expression);
        values.extend(condition.named().unwrap_or_default());
        let update = update.set_expression_attribute_values(Some(values)).build().map_err(internal)?;
        self.items.push(TransactWriteItem::builder().update(update).build());
        Ok(())
    }

    /// Adds `by` to a number of an item.
    pub fn add(&mut self, key: &Key, name: &str, by: i64, condition: Condition) -> Result<(), Problem> {
        let update = Update::builder()
            .table_name(self.table)
            .set_key(Some(key_attributes(key).into()))
            .update_expression("ADD #n :by")
            .expression_attribute_names("#n", name)
            .condition_expression(condition.expression)
            .set_expression_attribute_values(condition.named())
            .expression_attribute_values(":by", AttributeValue::N(by.to_string()));
        self.items.push(TransactWriteItem::builder().update(update.build().map_err(internal)?).build());
        Ok(())
    }

    pub fn check(&mut self, key: &Key, condition: Condition) -> Result<(), Problem> {
        let check = ConditionCheck::builder()
            .table_name(self.table)
            .set_key(Some(key_attributes(key).into()))
            .condition_expression(condition.expression)
            .set_expression_attribute_values(condition.named());
        self.items.push(TransactWriteItem::builder().condition_check(check.build().map_err(internal)?).build());
        Ok(())
    }

    pub fn put(&mut self, item: Item, condition: Option<Condition>) -> Result<(), Problem> {
        let mut put = Put::builder().table_name(self.table).set_item(Some(item));
        if let Some(condition) = condition {
            put = put.condition_expression(condition.expression);
            if !condition.values.is_empty() {
                put = put.set_expression_attribute_values(condition.named());
            }
        }
        self.items.push(TransactWriteItem::builder().put(put.build().map_err(internal)?).build());
        Ok(())
    }

    pub fn delete(&mut self, key: &Key) -> Result<(), Problem> {
        let delete = Delete::builder().table_name(self.table).set_key(Some(key_attributes(key).into()));
        self.items.push(TransactWriteItem::builder().delete(delete.build().map_err(internal)?).build());
        Ok(())
    }
}
