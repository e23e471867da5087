//! The bus of the deployment, in EventBridge, on which each change is published.

use domain::Problem;
use serde_json::{Value, json};

use super::{Service, variable};

/// The most entries of one call.
const AT_ONCE: usize = 10;

/// The most bytes of the details of one call: 256 KB less what is beside them.
const BYTES: usize = 200_000;

/// The source of all entries.
const SOURCE: &str = "rolecall";

/// A change on the bus.
pub struct Published {
    pub kind: String,
    pub detail: String,
    /// In seconds since the epoch.
    pub at: i64,
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
