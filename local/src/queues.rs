//! The part of SQS and EventBridge: FIFO queues in memory with the operations that functions use, and a bus that keeps its last entries.
//!
//! A queue hands out messages of a group in their order: behind one that is out, none. What was sent is gone when the server ends; then
//! the stream of the table is read again from its beginning, and all is published anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use serde_json::{Value, json};
use shared::lock;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::template::{ACCOUNT, REGION};

/// The beginnings of the names of the services' operations.
pub(crate) const QUEUES: &str = "AmazonSQS.";
pub(crate) const BUS: &str = "AWSEvents.";

/// How long a queue knows the id of a message.
const KNOWN: Duration = Duration::from_secs(5 * 60);

/// How many entries the bus keeps.
const ENTRIES: usize = 10_000;

/// Returns the ARN and the URL of the queue that a resource of the template stands for.
pub fn arn(resource: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{resource}")
}

pub fn url(resource: &str) -> String {
    format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{resource}")
}

/// The queues and the bus of a server.
#[derive(Default)]
pub struct Queues {
    state: Mutex<State>,
    /// Tells of each message that may be handed out.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Each by its ARN.
    queues: BTreeMap<String, Queue>,
    entries: VecDeque<Value>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    known: HashMap<String, Instant>,
    /// How many messages it has taken.
    taken: u64,
}

struct Message {
    id: String,
    group: String,
    body: String,
    sent: u128,
    /// From when on it may be handed out.
    visible: Instant,
    receives: u32,
    receipt: String,
}

/// A request that cannot be carried out, in the form of both services.
fn refuse(kind: &str, message: &str) -> Value {
    json!({ "__type": kind, "message": message })
}

/// The IAM actions and the resources that a request needs.
pub(crate) fn need(target: &str, body: &Value) -> (String, String) {
    match target.strip_prefix(QUEUES) {
        Some(operation) => {
            let resource = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).map_or("*".into(), arn);
            (format!("sqs:{}", operation.trim_end_matches("Batch")), resource)
        }
        None => {
            let bus = body["Entries"][0]["EventBusName"].as_str().unwrap_or("*");
            ("events:PutEvents".to_owned(), format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{bus}"))
        }
    }
}

impl Queues {
    /// Carries out a request. Returns the answer, or an error in the service's form.
    pub(crate) fn answer(&self, target: &str, body: &Value) -> Result<Value, Value> {
        let mut state = lock(&self.state);
        if target == "AWSEvents.PutEvents" {
            let entries = body["Entries"].as_array().cloned().unwrap_or_default();
            let ids = entries.iter().map(|_| json!({ "EventId": uuid::Uuid::new_v4() })).collect::<Vec<_>>();
            state.entries.extend(entries);
            let excess = state.entries.len().saturating_sub(ENTRIES);
            state.entries.drain(..excess);
            return Ok(json!({ "FailedEntryCount": 0, "Entries": ids }));
        }
        let name = body["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
        let name = name.ok_or_else(|| refuse("MissingParameter", "QueueUrl is required"))?;
        let queue = state.queues.entry(arn(name)).or_default();
        let answer = match target {
            "AmazonSQS.SendMessageBatch" => queue.send(body["Entries"].as_array().map_or(&[], Vec::as_slice)),
            "AmazonSQS.ChangeMessageVisibility" => queue.postpone(body),
            _ => Err(refuse("UnsupportedOperation", "not an operation that the functions use")),
        };
        drop(state);
        self.changed.notify_waiters();
        answer
    }

    /// The entries that the bus has taken, the oldest first.
    pub fn entries(&self) -> Vec<Value> {
        lock(&self.state).entries.iter().cloned().collect()
    }

    /// How many messages a queue holds, those that are out too.
    pub fn depth(&self, queue: &str) -> usize {
        lock(&self.state).queues.get(queue).map_or(0, |queue| queue.messages.len())
    }

    /// Waits for messages, and hands out up to `most` of them, in the form in which Lambda gives them to a function. They come again after
    /// `hidden`, unless they are [deleted](Queues::delete).
    pub(crate) async fn receive(&self, queue: &str, most: usize, hidden: Duration) -> Vec<Value> {
        loop {
            let changed = self.changed.notified();
            let (messages, next) =
                lock(&self.state).queues.entry(queue.to_owned()).or_default().receive(queue, most, hidden);
            if !messages.is_empty() {
                return messages;
            }
            match next {
                Some(next) => tokio::select! { () = changed => {}, () = sleep_until(next) => {} },
                None => changed.await,
            }
        }
    }

    /// Lets messages be handed out again at once.
    pub(crate) fn show(&self, queue: &str, ids: &BTreeSet<&str>) {
        if let Some(queue) = lock(&self.state).queues.get_mut(queue) {
            let shown = queue.messages.iter_mut().filter(|message| ids.contains(message.id.as_str()));
            shown.for_each(|message| message.visible = Instant::now());
        }
        self.changed.notify_waiters();
    }

    /// Takes messages out of a queue, by their ids.
    pub(crate) fn delete(&self, queue: &str, ids: &BTreeSet<&str>) {
        if let Some(queue) = lock(&self.state).queues.get_mut(queue) {
            queue.messages.retain(|message| !ids.contains(message.id.as_str()));
        }
        self.changed.notify_waiters();
    }
}

impl Queue {
    fn send(&mut self, entries: &[Value]) -> Result<Value, Value> {
        let now = Instant::now();
        self.known.retain(|_, at| at.elapsed() < KNOWN);
        let mut sent = Vec::new();
        for entry in entries {
            let text = |name: &str| entry[name].as_str().map(str::to_owned);
            let (Some(body), Some(group), Some(known)) =
                (text("MessageBody"), text("MessageGroupId"), text("MessageDeduplicationId"))
            else {
                return Err(refuse("MissingParameter", "a FIFO queue needs a group and a deduplication id"));
            };
            let id = uuid::Uuid::new_v4().to_string();
            sent.push(json!({ "Id": entry["Id"], "MessageId": id }));
            if self.known.insert(known, now).is_some() {
                continue;
            }
            self.taken += 1;
            let sent =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
            let message = Message { id, group, body, sent, visible: now, receives: 0, receipt: String::new() };
            self.messages.push_back(message);
        }
        Ok(json!({ "Successful": sent, "Failed": [] }))
    }

    fn postpone(&mut self, body: &Value) -> Result<Value, Value> {
        let (receipt, seconds) = (body["ReceiptHandle"].as_str(), body["VisibilityTimeout"].as_u64());
        let message = self.messages.iter_mut().find(|message| Some(message.receipt.as_str()) == receipt);
        let (Some(message), Some(seconds)) = (message, seconds) else {
            return Err(refuse("ReceiptHandleIsInvalid", "no message has that receipt"));
        };
        message.visible = Instant::now() + Duration::from_secs(seconds);
        Ok(json!({}))
    }

    /// Messages that may be handed out now, and the time at which the next one may.
    fn receive(&mut self, arn: &str, most: usize, hidden: Duration) -> (Vec<Value>, Option<Instant>) {
        let (now, mut blocked, mut next) = (Instant::now(), BTreeSet::new(), None::<Instant>);
        let mut records = Vec::new();
        for message in &mut self.messages {
            if blocked.contains(&message.group) {
                continue;
            }
            if message.visible > now {
                blocked.insert(message.group.clone());
                next = Some(next.map_or(message.visible, |next| next.min(message.visible)));
            } else if records.len() < most {
                message.visible = now + hidden;
                message.receives += 1;
                message.receipt = uuid::Uuid::new_v4().to_string();
                records.push(json!({
                    "messageId": message.id,
                    "receiptHandle": message.receipt,
                    "body": message.body,
                    "attributes": {
                        "ApproximateReceiveCount": message.receives.to_string(),
                        "SentTimestamp": message.sent.to_string(),
                        "MessageGroupId": message.group,
                    },
                    "eventSource": "aws:sqs",
                    "eventSourceARN": arn,
                    "awsRegion": REGION,
                }));
            }
        }
        (records, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(queues: &Queues, messages: &[(&str, &str)]) {
        let entries: Vec<_> = messages
            .iter()
            .map(|(group, id)| json!({ "Id": id, "MessageBody": id, "MessageGroupId": group, "MessageDeduplicationId": id }))
            .collect();
        let body = json!({ "QueueUrl": url("Q"), "Entries": entries });
        assert_eq!(queues.answer("AmazonSQS.SendMessageBatch", &body).unwrap()["Failed"], json!([]));
    }

    async fn received(queues: &Queues, most: usize) -> Vec<Value> {
        queues.receive(&arn("Q"), most, Duration::from_secs(60)).await
    }

    fn bodies(records: &[Value]) -> Vec<&str> {
        records.iter().map(|record| record["body"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_group_keeps_its_order() {
        let queues = Queues::default();
        sent(&queues, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a1")]);
        assert_eq!(queues.depth(&arn("Q")), 3, "a double is dropped");
        let first = received(&queues, 1).await;
        assert_eq!(bodies(&first), ["a1"]);
        // Behind a message that is out, none of its group is handed out.
        assert_eq!(bodies(&received(&queues, 10).await), ["b1"]);
        let receipt = &first[0]["receiptHandle"];
        let body = json!({ "QueueUrl": url("Q"), "ReceiptHandle": receipt, "VisibilityTimeout": 1 });
        queues.answer("AmazonSQS.ChangeMessageVisibility", &body).unwrap();
        let before = Instant::now();
        let again = received(&queues, 10).await;
        assert_eq!(bodies(&again), ["a1", "a2"]);
        assert!(before.elapsed() >= Duration::from_millis(990));
        assert_eq!(again[0]["attributes"]["ApproximateReceiveCount"], "2");
        queues.delete(&arn("Q"), &[again[0]["messageId"].as_str().unwrap()].into());
        queues.show(&arn("Q"), &[again[1]["messageId"].as_str().unwrap()].into());
        assert_eq!(bodies(&received(&queues, 10).await), ["a2"]);
        assert_eq!(queues.depth(&arn("Q")), 2);
    }
}
