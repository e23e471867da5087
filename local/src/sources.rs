//! Invokes functions without a caller, as AWS does: by the records of the table's stream, by messages of a queue, and by schedules.
//!
//! Records come in their order; for a source with a parallelization factor only those of one item do. A batch that fails is halved and
//! repeated. A record that fails for good is logged; on AWS it goes to a queue.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval_at, sleep, timeout},
};

use crate::{
    dynamodb::{CallError, Client, Engine},
    functions::{InvokeError, Pool},
    log::{Entry, LogSink},
    queues::Queues,
    template::{ACCOUNT, QueueSource, REGION, Source, StreamSource, Template},
};

/// How long the stream of another DynamoDB is not read if no request of ours has written: another program may write to it.
const IDLE: Duration = Duration::from_secs(1);

/// The wait before the first repetition of a record, and the longest. It doubles with each.
const AGAIN: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);

/// How long messages are hidden from other invocations of their function.
const HIDDEN: Duration = Duration::from_secs(6 * 60);

/// The work that goes on without callers. It ends when this value is dropped; invocations that are under way go on.
pub(crate) struct Sources(Vec<JoinHandle<()>>);

impl Drop for Sources {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Sources {
    /// `written` tells of each write.
    pub(crate) fn start(
        engine: &Engine,
        template: &Template,
        pool: &Arc<Pool>,
        written: &watch::Sender<()>,
        queues: &Arc<Queues>,
        log: &LogSink,
    ) -> Self {
        let mut tasks = Vec::new();
        for function in &template.functions {
            for source in &function.sources {
                let invoked = Invoked { function: function.name.clone(), pool: Arc::clone(pool), log: Arc::clone(log) };
                tasks.push(match source.clone() {
                    Source::Schedule(every) => tokio::spawn(invoked.on_schedule(every)),
                    Source::Queue(source) => tokio::spawn(invoked.empty(source, Arc::clone(queues))),
                    Source::Stream(source) => {
                        let client = Client::of(engine);
                        let (table, mut written) = (template.table_name().to_owned(), written.subscribe());
                        let idle = matches!(engine, Engine::Remote { .. }).then_some(IDLE);
                        tokio::spawn(async move { invoked.follow(&client, &table, &source, &mut written, idle).await })
                    }
                });
            }
        }
        Self(tasks)
    }
}

/// The texts of which a request has one if it writes an item that a source of the template wants. A table has many other
/// writes, and to read the stream for each of them would take more time than the write.
pub(crate) fn telling(template: &Template) -> Vec<String> {
    let sources = template.functions.iter().flat_map(|function| &function.sources);
    let streams = sources.filter_map(|source| if let Source::Stream(stream) = source { Some(stream) } else { None });
    streams
        .flat_map(|stream| {
            let mut texts = Vec::new();
            stream.patterns.iter().for_each(|pattern| texts_in(&pattern["dynamodb"]["Keys"], &mut texts));
            if texts.is_empty() { vec![String::new()] } else { texts }
        })
        .collect()
}

fn texts_in(pattern: &Value, texts: &mut Vec<String>) {
    match pattern {
        Value::Object(members) => members.values().for_each(|pattern| texts_in(pattern, texts)),
        Value::Array(alternatives) => {
            texts.extend(alternatives.iter().filter_map(|it| it.as_str().or(it["prefix"].as_str())).map(str::to_owned));
        }
        _ => {}
    }
}

/// A function that is invoked without a caller.
struct Invoked {
    function: String,
    pool: Arc<Pool>,
    log: LogSink,
}

impl Invoked {
    async fn on_schedule(self, every: Duration) {
        let mut ticks = interval_at(Instant::now() + every, every);
        loop {
            ticks.tick().await;
            // The pool logs a failure.
            let _ = self.pool.invoke(&self.function, &scheduled(&self.function)).await;
        }
    }

    /// Gives the function the messages of a queue, one batch after the other.
    async fn empty(self, source: QueueSource, queues: Arc<Queues>) {
        loop {
            let records = queues.receive(&source.queue, source.batch_size, HIDDEN).await;
            let answer = self.pool.invoke(&self.function, &json!({ "Records": records })).await;
            let mut done: BTreeSet<&str> = records.iter().filter_map(|record| record["messageId"].as_str()).collect();
            match &answer {
                Ok(answer) => {
                    for failed in answer["batchItemFailures"].as_array().into_iter().flatten() {
                        failed["itemIdentifier"].as_str().map(|id| done.remove(id));
                    }
                    queues.delete(&source.queue, &done);
                }
                // On AWS they come again once they are not hidden any more.
                Err(_) => {
                    queues.show(&source.queue, &done);
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Reads the stream when something was written, and after each `idle`.
    async fn follow(
        &self,
        client: &Client,
        table: &str,
        source: &StreamSource,
        written: &mut watch::Receiver<()>,
        idle: Option<Duration>,
    ) {
        let mut place = None;
        loop {
            match page(client, table, place.take()).await {
                Ok((records, next)) => {
                    place = next;
                    if records.is_empty() {
                        // A write that comes before the wait counts, too.
                        let heard = async {
                            // The front has ended, and this task is about to.
                            if written.changed().await.is_err() {
                                std::future::pending::<()>().await;
                            }
                        };
                        match idle {
                            Some(idle) => drop(timeout(idle, heard).await),
                            None => heard.await,
                        }
                    } else {
                        self.deliver(source, records).await;
                    }
                }
                Err(error) => {
                    (self.log)(Entry::said(&self.function, format!("the stream cannot be read: {error}")));
                    sleep(IDLE).await;
                }
            }
        }
    }

    /// Gives the function those records that a filter lets through.
    async fn deliver(&self, source: &StreamSource, records: Vec<Value>) {
        let mut partitions: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let wanted = |record: &Value| {
            source.patterns.is_empty() || source.patterns.iter().any(|pattern| matches(pattern, record))
        };
        for record in records.into_iter().filter(wanted) {
            let partition = if source.is_parallel { record["dynamodb"]["Keys"].to_string() } else { String::new() };
            partitions.entry(partition).or_default().push(record);
        }
        let partitions = partitions.into_values().map(async |records| {
            for batch in records.chunks(source.batch_size) {
                self.give(batch, source.retries).await;
            }
        });
        join_all(partitions).await;
    }

    /// Gives the function a batch. A batch that fails is halved; one record is repeated.
    fn give<'a>(&'a self, batch: &'a [Value], retries: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut pause = AGAIN;
            for _ in 0..=retries {
                match self.pool.invoke(&self.function, &json!({ "Records": batch })).await {
                    Ok(_) => return,
                    // The server is being shut down.
                    Err(InvokeError::Throttled) => return,
                    Err(_) if batch.len() > 1 => {
                        let (first, second) = batch.split_at(batch.len() / 2);
                        self.give(first, retries).await;
                        return self.give(second, retries).await;
                    }
                    Err(_) => sleep(pause).await,
                }
                pause = (pause * 2).min(LONGEST);
            }
            let keys = &batch[0]["dynamodb"]["Keys"];
            (self.log)(Entry::said(&self.function, format!("a record of the stream has failed for good: {keys}")));
        })
    }
}

/// The records behind a place in the stream, oldest first, and the place behind them. Without a place it begins at the oldest. The
/// stream has one shard.
async fn page(client: &Client, table: &str, place: Option<Value>) -> Result<(Vec<Value>, Option<Value>), CallError> {
    let call = async |operation: &str, input: Value| {
        client.call(&format!("DynamoDBStreams_20120810.{operation}"), &input).await
    };
    let place = match place {
        Some(place) => place,
        None => {
            let streams = call("ListStreams", json!({ "TableName": table })).await?;
            let arn = &streams["Streams"][0]["StreamArn"];
            let stream = call("DescribeStream", json!({ "StreamArn": arn })).await?;
            let shard = &stream["StreamDescription"]["Shards"][0]["ShardId"];
            let from = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
            call("GetShardIterator", from).await?["ShardIterator"].take()
        }
    };
    let mut page = call("GetRecords", json!({ "ShardIterator": place })).await?;
    let Value::Array(records) = page["Records"].take() else { return Ok((Vec::new(), None)) };
    Ok((records, Some(page["NextShardIterator"].take()).filter(|next| !next.is_null())))
}

/// The event of an EventBridge schedule.
fn scheduled(function: &str) -> Value {
    json!({
        "version": "0",
        "id": uuid::Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": shared::now().to_string(),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{function}")],
        "detail": {},
    })
}

/// Checks that [`matches`] understands a pattern of Lambda's event filtering.
///
/// # Errors
/// The part that it does not understand.
pub(crate) fn check(pattern: &Value) -> Result<(), String> {
    match pattern {
        Value::Object(members) => members.values().try_for_each(check),
        Value::Array(alternatives) => alternatives.iter().try_for_each(|alternative| match alternative {
            Value::String(_) => Ok(()),
            Value::Object(rule) if rule.len() == 1 && alternative["prefix"].is_string() => Ok(()),
            other => Err(format!("{other} is not supported in a pattern")),
        }),
        other => Err(format!("{other} is not supported in a pattern")),
    }
}

/// Whether a record has each member that the pattern names, with one of the texts or prefixes listed there.
fn matches(pattern: &Value, record: &Value) -> bool {
    match pattern {
        Value::Object(members) => members.iter().all(|(name, pattern)| matches(pattern, &record[name])),
        Value::Array(alternatives) => alternatives.iter().any(|alternative| match alternative["prefix"].as_str() {
            Some(prefix) => record.as_str().is_some_and(|text| text.starts_with(prefix)),
            None => alternative == record,
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_lets_its_records_through() {
        let pattern = json!({ "dynamodb": {
            "Keys": { "SK": { "S": [{ "prefix": "JOB#" }, "X"] } },
            "NewImage": { "state": { "S": ["running"] } },
        }});
        check(&pattern).unwrap();
        let record = |sk: &str, state: &str| json!({ "dynamodb": { "Keys": { "SK": { "S": sk } }, "NewImage": { "state": { "S": state } } } });
        for (sk, state, expected) in
            [("JOB#1", "running", true), ("X", "running", true), ("JOB", "running", false), ("JOB#1", "done", false)]
        {
            assert_eq!(matches(&pattern, &record(sk, state)), expected, "{sk} {state}");
        }
        assert!(!matches(&pattern, &json!({ "dynamodb": { "Keys": { "SK": { "S": "JOB#1" } } } })), "a deletion");
        for other in [json!({ "a": 1 }), json!({ "a": [1] }), json!({ "a": [{ "exists": false }] }), json!("a")] {
            assert!(check(&other).is_err(), "{other}");
        }
    }
}
