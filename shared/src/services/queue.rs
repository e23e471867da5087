//! The queue of deliveries, in SQS. Messages of one group come in their order, one after the other.

use std::collections::HashSet;

use domain::Problem;
use serde_json::{Value, json};

use super::{Service, variable};

/// The most messages of one call.
const AT_ONCE: usize = 10;

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Messages of the same group keep their order.
    pub group: String,
    /// Of messages with the same id within five minutes, the queue takes the first.
    pub id: String,
    pub body: String,
}

pub struct Queue {
    service: Service,
    url: String,
}

impl Queue {
    /// The queue that `WEBHOOK_QUEUE` names, at the endpoint that `AWS_ENDPOINT_URL_SQS` names.
    ///
    /// # Errors
    /// A setting is missing.
    pub fn from_env() -> Result<Self, String> {
        let service = Service::from_env("sqs", "AWS_ENDPOINT_URL_SQS", "the queue of deliveries")?;
        Ok(Self { service, url: variable("WEBHOOK_QUEUE")? })
    }

    /// Sends messages, in their order.
    ///
    /// # Errors
    /// Not all of them were taken.
    pub async fn send(&self, messages: &[Message]) -> Result<(), Problem> {
        let mut rest = messages;
        while !rest.is_empty() {
            // No two of a group: if the queue took the second one only, they would not be in their order.
            let mut groups = HashSet::new();
            let count = rest.iter().take(AT_ONCE).take_while(|it| groups.insert(it.group.as_str())).count();
            let (messages, later) = rest.split_at(count);
            rest = later;
            let entry = |(place, message): (usize, &Message)| {
                json!({
                    "Id": place.to_string(),
                    "MessageBody": message.body,
                    "MessageGroupId": message.group,
                    "MessageDeduplicationId": message.id,
                })
            };
            let entries: Vec<Value> = messages.iter().enumerate().map(entry).collect();
            let body = json!({ "QueueUrl": self.url, "Entries": entries });
            let sent = self.service.call("AmazonSQS.SendMessageBatch", &body).await;
            let sent = sent.map_err(|why| self.service.problem(why))?;
            if let Some(failed) = sent["Failed"].as_array().and_then(|failed| failed.first()) {
                return Err(Problem::Unavailable(format!("the queue of deliveries: {}", failed["Code"])));
            }
        }
        Ok(())
    }

    /// Lets a message that was received come again after so many seconds.
    ///
    /// # Errors
    /// The queue does not answer, or knows no such message.
    pub async fn postpone(&self, receipt: &str, seconds: i64) -> Result<(), Problem> {
        let body = json!({ "QueueUrl": self.url, "ReceiptHandle": receipt, "VisibilityTimeout": seconds });
        let done = self.service.call("AmazonSQS.ChangeMessageVisibility", &body).await;
        done.map(drop).map_err(|why| self.service.problem(why))
    }
}
