//! The bus of the deployment, in EventBridge, on which each change is published.

use domain::Problem;
use serde_json::{Value, json};

use super::{Service, variable};

/// The most entries of one call.
const AT_ONCE: usize = 10;

/// The most bytes of the details of one call, so of one detail, too: 256 KiB less what is beside them.
const BYTES: usize = 250_000;

/// The source of all entries.
const SOURCE: &str = "rolecall";

/// A change on the bus.
pub struct Published {
    kind: String,
    detail: String,
    /// In seconds since the epoch.
    at: i64,
    /// Whether the change was too large.
    pub is_shortened: bool,
}

impl Published {
    /// The entry of a CloudEvent. The bus refuses one that is too large, and no later one would get past it. So the entry of such
    /// a change has null in place of its `changes`, and says so: `GET /v1/events` shows them.
    pub fn new(mut event: Value, kind: String, at: i64) -> Self {
        let detail = event.to_string();
        if detail.len() <= BYTES {
            return Self { kind, detail, at, is_shortened: false };
        }
        if let Some(Value::Object(data)) = event.get_mut("data") {
            data.insert("changes".to_owned(), Value::Null);
            data.insert("is_shortened".to_owned(), true.into());
        }
        Self { kind, detail: event.to_string(), at, is_shortened: true }
    }
}

pub struct Bus {
    service: Service,
    /// Its name or its ARN.
    name: String,
}

impl Bus {
    /// The bus that `EVENT_BUS` names, at the endpoint that `AWS_ENDPOINT_URL_EVENTS` names. `None` if the deployment has none.
    ///
    /// # Errors
    /// A setting is missing.
    pub fn from_env() -> Result<Option<Self>, String> {
        let name = variable("EVENT_BUS")?;
        let service = Service::from_env("events", "AWS_ENDPOINT_URL_EVENTS", "the event bus")?;
        Ok(Some(Self { service, name }).filter(|bus| !bus.name.is_empty()))
    }

    /// Publishes changes.
    ///
    /// # Errors
    /// Not all of them were taken.
    pub async fn publish(&self, changes: &[Published]) -> Result<(), Problem> {
        let mut rest = changes;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |change: &&Published| {
                bytes += change.detail.len();
                bytes <= BYTES
            };
            let (changes, later) = rest.split_at(rest.iter().take(AT_ONCE).take_while(fits).count().max(1));
            rest = later;
            let entry = |change: &Published| {
                json!({
                    "Source": SOURCE,
                    "DetailType": change.kind,
                    "Detail": change.detail,
                    "Time": change.at,
                    "EventBusName": self.name,
                })
            };
            let body = json!({ "Entries": changes.iter().map(entry).collect::<Vec<Value>>() });
            let answer = self.service.call("AWSEvents.PutEvents", &body).await;
            let answer = answer.map_err(|why| self.service.problem(why))?;
            let mut refused =
                answer["Entries"].as_array().into_iter().flatten().filter(|it| it["ErrorCode"].is_string());
            if let Some(refused) = refused.next() {
                return Err(Problem::Unavailable(format!("the event bus: {}", refused["ErrorCode"])));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_is_too_large_goes_without_its_values() {
        let event = |length: usize| {
            let changes = json!({ "name": "x".repeat(length) });
            json!({ "id": "0", "subject": "role:1", "data": { "action": "updated", "changes": changes } })
        };
        let beside = event(0).to_string().len();
        let entry = |length: usize| Published::new(event(length), "rolecall.role.updated".to_owned(), 7);
        let whole = entry(BYTES - beside);
        assert_eq!((whole.detail.len(), whole.is_shortened), (BYTES, false));
        let short = entry(BYTES - beside + 1);
        let expected = json!({
            "id": "0", "subject": "role:1", "data": { "action": "updated", "changes": null, "is_shortened": true },
        });
        assert_eq!(serde_json::from_str::<Value>(&short.detail).unwrap(), expected);
        assert!(short.is_shortened);
    }
}
