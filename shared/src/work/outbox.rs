//! Changes on their way out: from the table's stream to the queue and the bus, and from the queue to the receivers.

use std::collections::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::pin::Pin;
use std::sync::OnceLock;

use domain::id::TenantId;
use domain::{Event, Problem, Webhook};
use futures_util::future::join_all;
use lambda_http::http::{Request, header};
use serde_json::{Value, json};

use super::Work;
use crate::app::{App, Boxed, variable};
use crate::dialect::cloudevent;
use crate::gate::Asked;
use crate::gate::outbox::{self, Addressed, Asking, Delivery};
use crate::log::{self, Level};
use crate::services::{Bus, Message, Published, Queue};

/// How long deliveries of a change are tried, in seconds: 24 hours.
const TRIED_FOR: i64 = 24 * 60 * 60;

/// How many times a request to deliver again reads what could not be delivered: 100 changes each time. Other changes wait behind it in the
/// stream, so what is left stays among the failures until somebody asks again.
const REPLAY_PASSES: usize = 10;

/// The status by which a receiver says that it wants nothing more (Standard Webhooks).
const GONE: u16 = 410;

/// Sends a request to a receiver, and gives the status of its answer.
pub type Post = dyn Fn(Request<Vec<u8>>) -> Pin<Box<dyn Future<Output = Result<u16, String>> + Send>> + Send + Sync;

static QUEUE: OnceLock<Queue> = OnceLock::new();
static BUS: OnceLock<Option<Bus>> = OnceLock::new();

/// What was made at the first use, and keeps its connections.
fn kept<T>(place: &'static OnceLock<T>, make: fn() -> Result<T, String>) -> Result<&'static T, Problem> {
    match place.get() {
        Some(kept) => Ok(kept),
        None => make().map(|made| place.get_or_init(|| made)).map_err(Problem::Internal),
    }
}

/// The text of a change in a message of the queue. Nothing takes a message twice within five minutes: what somebody asks for again has
/// another id.
fn message(delivery: &Delivery, cause: &str) -> Message {
    let asked = delivery.asked.map_or(String::new(), |_| format!("-{cause}"));
    Message {
        group: delivery.group(),
        id: format!("{}-{}{asked}", delivery.webhook, delivery.id),
        body: json!(delivery).to_string(),
    }
}

/// The entry of a change on the bus.
fn entry(work: &Work, change: &Event) -> Published {
    let kind = cloudevent::kind(change);
    let published = Published::new(cloudevent::of(change, &kind), kind, change.at.seconds());
    if published.is_shortened {
        log::line(
            Level::Warn,
            "a change is too large for the bus, and is there without its values",
            &|| json!({ "request_id": work.request_id, "tenant": change.tenant, "event": change.hash() }),
        );
    }
    published
}

/// A message that the queue has handed out.
struct Received {
    id: String,
    receipt: String,
    /// Which attempt this is, from 1.
    attempt: usize,
    /// When it was sent to the queue, in seconds since the epoch.
    sent: i64,
    delivery: Delivery,
}

impl Received {
    /// `None` for what we have not sent.
    fn read(record: &Value) -> Option<(String, Self)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let number = |name: &str| record["attributes"][name].as_str()?.parse::<i64>().ok();
        let received = Self {
            id: text(&record["messageId"])?,
            receipt: text(&record["receiptHandle"])?,
            attempt: usize::try_from(number("ApproximateReceiveCount")?).ok()?,
            sent: number("SentTimestamp")? / 1_000,
            delivery: serde_json::from_str(record["body"].as_str()?).ok()?,
        };
        Some((received.delivery.group(), received))
    }
}

/// What follows from an attempt.
enum Outcome {
    Done,
    Again,
}

impl App {
    /// Publishes the changes that the records of the table's stream are about: a message for each webhook that hears of one, and an entry
    /// on the bus.
    ///
    /// # Errors
    /// The table, the queue or the bus does not answer. Then all is published again: a receiver knows doubles by their id.
    pub fn publish<'a>(&'a self, work: &'a Work) -> Boxed<'a, Value> {
        Box::pin(async move {
            let asked = self.asked_by_product(work);
            let changes = outbox::changes(&asked, work.keys()).await?;
            let mut known: HashMap<TenantId, Vec<Webhook>> = HashMap::new();
            let (mut messages, mut replays) = (Vec::new(), Vec::new());
            for change in &changes {
                let webhooks = match known.entry(change.tenant) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(outbox::webhooks(&asked, change.tenant).await?),
                };
                let cause = change.version.to_string();
                messages.extend(outbox::deliveries(change, webhooks).iter().map(|it| message(it, &cause)));
                replays.extend(outbox::replayed(change, webhooks).map(|webhook| (webhook.clone(), change)));
            }
            // The bus comes first: as long as it fails, nothing is sent to receivers again and again.
            if let Some(bus) = kept(&BUS, Bus::from_env)? {
                let published: Vec<_> = changes.iter().map(|change| entry(work, change)).collect();
                bus.publish(&published).await?;
            }
            let queue = kept(&QUEUE, Queue::from_env)?;
            queue.send(&messages).await?;
            let mut sent = messages.len();
            for (webhook, change) in replays {
                // What is sent is forgotten before the next ones are: a function that is stopped goes on behind them.
                for _ in 0..REPLAY_PASSES {
                    let (keys, again): (Vec<_>, Vec<_>) =
                        outbox::undelivered(&asked, &webhook, change.at).await?.into_iter().unzip();
                    if keys.is_empty() {
                        break;
                    }
                    let cause = change.version.to_string();
                    let again: Vec<_> = again.iter().map(|delivery| message(delivery, &cause)).collect();
                    queue.send(&again).await?;
                    outbox::forget(&asked, &keys).await?;
                    sent += again.len();
                }
            }
            Ok(json!({ "changes": changes.len(), "messages": sent }))
        })
    }

    /// Delivers the changes that the queue has handed out. Those of one record to one webhook are delivered in their order: behind one
    /// that has failed, none is tried.
    ///
    /// The answer names the messages that must come again.
    ///
    /// # Errors
    /// A setting is missing.
    pub fn deliver<'a>(&'a self, work: &'a Work, post: &'a Post) -> Boxed<'a, Value> {
        Box::pin(async move {
            let pauses = variable("WEBHOOK_PAUSES").map_err(Problem::Internal)?;
            let pauses: Result<Vec<i64>, _> = pauses.split(',').map(str::parse).collect();
            let pauses = pauses.map_err(|why| Problem::Internal(format!("WEBHOOK_PAUSES: {why}")))?;
            let queue = kept(&QUEUE, Queue::from_env)?;
            let mut groups: BTreeMap<String, Vec<Received>> = BTreeMap::new();
            for record in work.event["Records"].as_array().into_iter().flatten() {
                match Received::read(record) {
                    Some((group, received)) => groups.entry(group).or_default().push(received),
                    None => log::line(
                        Level::Error,
                        "a message that is none of ours",
                        &|| json!({ "request_id": work.request_id, "message": record["messageId"] }),
                    ),
                }
            }
            let asked = self.asked_by_product(work);
            let courier = Courier { asked: &asked, work, queue, post, pauses: &pauses };
            let failed = join_all(groups.values().map(|group| courier.in_order(group))).await;
            let failed = failed.into_iter().flatten().map(|id| json!({ "itemIdentifier": id }));
            Ok(json!({ "batchItemFailures": failed.collect::<Vec<_>>() }))
        })
    }
}

/// Who makes the deliveries of an invocation.
struct Courier<'a> {
    asked: &'a Asked<'a>,
    work: &'a Work,
    queue: &'a Queue,
    post: &'a Post,
    /// The seconds before the second attempt, the third and so on; the last one counts for all that follow.
    pauses: &'a [i64],
}

impl Courier<'_> {
    /// Delivers the messages of one group. Returns the ids of those that must come again.
    async fn in_order(&self, group: &[Received]) -> Vec<String> {
        let mut again = Vec::new();
        for received in group {
            let outcome = match again.is_empty() {
                true => self.attempt(received).await,
                // It comes again as soon as the one before is delivered.
                false => Ok((Outcome::Again, 0)),
            };
            let postponed = match outcome {
                Ok((Outcome::Done, _)) => continue,
                Ok((Outcome::Again, seconds)) => self.queue.postpone(&received.receipt, seconds).await,
                Err(why) => Err(why),
            };
            // Then it comes again when the queue thinks that this function has died.
            if let Err(why) = postponed {
                self.log(received, "a delivery could not be attempted", why.cause().unwrap_or(why.code()));
            }
            again.push(received.id.clone());
        }
        again
    }

    /// Makes one attempt. Returns after how many seconds there must be another one.
    async fn attempt(&self, received: &Received) -> Result<(Outcome, i64), Problem> {
        let Received { delivery, attempt, sent, .. } = received;
        let Some(addressed) = outbox::addressed(self.asked, delivery).await? else { return Ok((Outcome::Done, 0)) };
        if !addressed.is_wanted(delivery) {
            outbox::give_up(self.asked, delivery, "the webhook was not enabled, or the tenant was deleted").await?;
            return Ok((Outcome::Done, 0));
        }
        let why = match self.request(&addressed, delivery) {
            Ok(request) => match (self.post)(request).await {
                Ok(200..=299) => return addressed.succeeded(self.asked).await.map(|()| (Outcome::Done, 0)),
                Ok(status) => (format!("status {status}"), status == GONE),
                Err(why) => (why, false),
            },
            Err(why) => (why, false),
        };
        let (why, is_gone) = why;
        self.log(received, "a delivery has failed", &why);
        addressed.failed(self.asked, is_gone).await?;
        let now = (self.asked.clock)();
        let age = now.seconds() - sent;
        let is_late = age >= TRIED_FOR || *attempt >= outbox::ATTEMPTS;
        // A test tells how it is now.
        if is_late || is_gone || delivery.asked == Some(Asking::Test) {
            outbox::give_up(self.asked, delivery, &why).await?;
            return Ok((Outcome::Done, 0));
        }
        let pause = pause(self.pauses, *attempt, addressed.fails_for(now), age);
        // Not all that failed together come again together.
        Ok((Outcome::Again, pause + fastrand::i64(0..=pause / 5)))
    }

    /// The request of a delivery, signed as Standard Webhooks says: once with each secret that is good.
    fn request(&self, addressed: &Addressed, delivery: &Delivery) -> Result<Request<Vec<u8>>, String> {
        let kind = match delivery.asked {
            Some(Asking::Test) => "rolecall.test".to_owned(),
            _ => cloudevent::kind(&addressed.event),
        };
        let (id, body) = (delivery.id.as_str(), cloudevent::of(&addressed.event, &kind).to_string());
        let now = (self.asked.clock)().seconds();
        let signatures: Vec<_> = addressed.secrets.iter().map(|secret| secret.signature(id, now, &body)).collect();
        let request = Request::post(&addressed.webhook.url)
            .header(header::CONTENT_TYPE, cloudevent::MEDIA_TYPE)
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signatures.join(" "));
        request.body(body.into_bytes()).map_err(|_| "no URL".to_owned())
    }

    /// A URL can hold a secret of the receiver's, so no line has one.
    fn log(&self, received: &Received, text: &str, why: &str) {
        let Delivery { tenant, webhook, .. } = received.delivery;
        log::line(Level::Warn, text, &|| {
            json!({
                "request_id": self.work.request_id, "tenant": tenant, "webhook": webhook,
                "delivery": received.delivery.id, "attempt": received.attempt, "cause": why,
            })
        });
    }
}

/// How long the next attempt waits, in seconds. The queue counts an attempt, too, when a message only waited behind another one: so the
/// pauses grow no faster than the webhook fails.
///
/// A webhook that takes all other changes does not fail. So a change that it always refuses waits for a tenth of its own age, too.
fn pause(pauses: &[i64], attempt: usize, fails_for: i64, age: i64) -> i64 {
    let mut total = 0;
    let passed = pauses.iter().take_while(|pause| {
        total += **pause;
        total <= fails_for
    });
    let step = passed.count().min(attempt.saturating_sub(1));
    let longest = pauses.last().copied().unwrap_or_default();
    pauses.get(step).copied().unwrap_or(longest).max(longest.min(age / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_the_attempts_and_no_faster_than_the_webhook_fails() {
        let pause = |attempt, fails_for| pause(&[5, 30, 120], attempt, fails_for, 40);
        // A message that fails each time.
        assert_eq!(
            [(1, 0), (2, 5), (3, 36), (4, 160), (9, 9_000)].map(|(at, of)| pause(at, of)),
            [5, 30, 120, 120, 120]
        );
        // One that has waited behind another, and meets a webhook that works again.
        assert_eq!(pause(8, 0), 5);
        // A new one, while the webhook has failed for long.
        assert_eq!(pause(1, 9_000), 5);
        assert_eq!(super::pause(&[], 3, 0, 9_000), 0);
    }

    /// Other changes are delivered meanwhile, so the webhook does not fail.
    #[test]
    fn a_change_that_is_always_refused_waits_longer_and_longer() {
        let pauses = [5_i64, 30, 120, 600, 1_800, 3_600, 7_200, 14_400];
        assert_eq!([0, 59, 600, 80_000].map(|age| pause(&pauses, 9, 0, age)), [5, 5, 60, 8_000]);
        assert_eq!(pause(&[1, 2], 9, 0, 80_000), 2, "no longer than the longest pause");
        let (mut age, mut attempts) = (0, 0);
        while age < TRIED_FOR {
            attempts += 1;
            age += pause(&pauses, attempts, 0, age);
        }
        assert!(attempts < outbox::ATTEMPTS, "{attempts}");
    }
}
