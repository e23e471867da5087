//! What becomes of changes outside: which webhooks hear of one, and the state of its deliveries.
//!
//! The function that publishes reads the events of the table's stream, and the one that delivers reads them again. No other code takes
//! an event out of the table for somebody outside.

use domain::id::{TenantId, WebhookId, sha256};
use domain::webhook::{Status, WebhookEdit};
use domain::{Event, Problem, Record, Subject, Tenant, Time, Webhook};
use serde::{Deserialize, Serialize};

use super::{Asked, Plan, Reads, Unseen, Who};
use crate::table::key::{self, Key, Range, TenantKeys};
use crate::table::{Condition, decode, encode};
use crate::webhook::Secret;

/// How long a webhook may fail before it is disabled, in seconds: 5 days.
pub const FAILS_FOR: i64 = 5 * 24 * 60 * 60;

/// How long after a failed delivery an outage is over, if no other one fails, in seconds: 2 days. A delivery is tried for 24 hours, with
/// pauses of 5 hours at most, so what goes on to fail fails more often.
const OVER_AFTER: i64 = 2 * 24 * 60 * 60;

/// How often the time of the last failure is written, in seconds: once an hour.
const NOTED_EVERY: i64 = 60 * 60;

/// After how many attempts a change is given up, at the latest. The queue drops what it hands out more often than its
/// `maxReceiveCount` says, and nobody could deliver that again. `local/tests/bundle.rs` compares the two. With the pauses of the
/// template, 24 hours have about 90.
pub const ATTEMPTS: usize = 150;

/// How long a change can be delivered again that could not be delivered, in seconds: 30 days.
const KEPT_FOR: i64 = 30 * 24 * 60 * 60;

/// How many webhooks one query reads: more than a tenant can have.
const AT_ONCE: i32 = 1_000;

/// How many undelivered changes one query reads.
const REPLAYED_AT_ONCE: i32 = 100;

/// A change on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub tenant: TenantId,
    pub webhook: WebhookId,
    pub subject: Subject,
    pub version: u64,
    /// The id of the event: the same for all webhooks and in each delivery.
    pub id: String,
    /// Why somebody asked for it. Then it goes to a webhook that is not enabled, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asking>,
}

/// Why somebody asks for a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asking {
    Test,
    Replay,
}

impl Delivery {
    fn of(event: &Event, webhook: WebhookId, asked: Option<Asking>) -> Self {
        Self {
            tenant: event.tenant,
            webhook,
            subject: event.subject.clone(),
            version: event.version,
            id: event.hash(),
            asked,
        }
    }

    /// What keeps its order: the deliveries of one record's changes to one webhook. A test is in a group of its own: it waits behind none
    /// of the failures that it is to explain.
    pub fn group(&self) -> String {
        let subject = sha256(&format!("{}#{}", self.subject.kind, self.subject.id));
        let test = if self.asked == Some(Asking::Test) { "-test" } else { "" };
        // SQS takes 128 characters, and this has 59 at most.
        format!("{}-{}-{}{test}", self.tenant, self.webhook, &subject[..32])
    }
}

/// The changes whose events are in these items, in the order of the keys: those of one record in the order in which they were made.
pub async fn changes(asked: &Asked<'_>, keys: Vec<Key>) -> Result<Vec<Event>, Problem> {
    let keys: Vec<Key> = keys.into_iter().filter(|key| key::event_at(key).is_some()).collect();
    let mut found = asked.table.get(keys.iter().cloned()).await?;
    let items = keys.iter().filter_map(|key| found.remove(key));
    Ok(items.map(decode).collect::<Result<_, _>>()?)
}

/// The webhooks of a tenant.
pub async fn webhooks(asked: &Asked<'_>, tenant: TenantId) -> Result<Vec<Webhook>, Problem> {
    let (items, _) = asked.table.page(&Range::of(TenantKeys(tenant).webhooks()), None, AT_ONCE).await?;
    Ok(items.into_iter().map(decode).collect::<Result<_, _>>()?)
}

/// The deliveries that a change makes. `webhooks` are those of the tenant.
pub fn deliveries(event: &Event, webhooks: &[Webhook]) -> Vec<Delivery> {
    // A test tells of itself already.
    let hearing = webhooks.iter().filter(|it| it.hears_of(event) && !asks_for(event, it, "tested_at"));
    let tested = webhooks.iter().filter(|webhook| asks_for(event, webhook, "tested_at"));
    let heard = hearing.map(|webhook| Delivery::of(event, webhook.id, None));
    heard.chain(tested.map(|webhook| Delivery::of(event, webhook.id, Some(Asking::Test)))).collect()
}

/// The webhook whose undelivered changes somebody wants to be delivered again by this change of it.
pub fn replayed<'w>(event: &Event, webhooks: &'w [Webhook]) -> Option<&'w Webhook> {
    webhooks.iter().find(|webhook| asks_for(event, webhook, "replayed_at"))
}

fn asks_for(event: &Event, webhook: &Webhook, what: &str) -> bool {
    event.subject == webhook.subject() && event.changes.contains_key(what)
}

/// A change that could not be delivered.
#[derive(Serialize, Deserialize)]
pub struct Undelivered {
    pub delivery: Delivery,
    /// When that was given up, and why.
    pub at: Time,
    pub why: String,
    /// Until when it is kept, in seconds since the epoch.
    pub expires_at: i64,
}

/// The first changes that could not be delivered to a webhook by a time, in the order in which that was given up; each with its item.
pub async fn undelivered(asked: &Asked<'_>, webhook: &Webhook, by: Time) -> Result<Vec<(Key, Delivery)>, Problem> {
    let range = Range::of(TenantKeys(webhook.tenant).all_undelivered(webhook.id));
    let (items, _) = asked.table.page(&range, None, REPLAYED_AT_ONCE).await?;
    let mut found = Vec::new();
    for item in items {
        let key = crate::table::key_of(&item)?;
        let Undelivered { delivery, at, .. } = decode(item)?;
        if at > by {
            break;
        }
        let asked = delivery.asked.or(Some(Asking::Replay));
        found.push((key, Delivery { asked, ..delivery }));
    }
    Ok(found)
}

/// Forgets that changes could not be delivered: they are on their way again.
pub async fn forget(asked: &Asked<'_>, keys: &[Key]) -> Result<(), Problem> {
    asked.table.clear(keys).await
}

/// What a delivery needs.
pub struct Addressed {
    pub webhook: Webhook,
    pub event: Event,
    /// Each of them signs.
    pub secrets: Vec<Secret>,
    failing: Failing,
    /// Whether its tenant is not deleted.
    is_live: bool,
}

/// Since when nothing can be delivered to a webhook, in seconds since the epoch; `None` once something could be.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Failing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// When a delivery failed last, give or take an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
}

impl Failing {
    /// Since when deliveries fail, if one fails now. An outage of long ago is another one: since then there was nothing to deliver.
    fn since(&self, now: i64) -> i64 {
        let is_over = self.failed_at.is_some_and(|at| at + OVER_AFTER <= now);
        self.since.filter(|_| !is_over).unwrap_or(now)
    }
}

/// What a delivery needs; `None` if its webhook, its tenant or its event is gone for good.
pub async fn addressed(asked: &Asked<'_>, delivery: &Delivery) -> Result<Option<Addressed>, Problem> {
    let keys = TenantKeys(delivery.tenant);
    let places = [
        keys.tenant(),
        keys.webhook(delivery.webhook),
        keys.event(&delivery.subject, delivery.version),
        keys.failing(delivery.webhook),
    ];
    let mut found = asked.table.get(places.clone()).await?;
    let [tenant, webhook, event, failing] = places.map(|key| found.remove(&key));
    let (Some(tenant), Some(webhook), Some(event)) = (tenant, webhook, event) else { return Ok(None) };
    let (tenant, webhook): (Tenant, Webhook) = (decode(tenant)?, decode(webhook)?);
    let now = (asked.clock)();
    if tenant.is_live_or_restorable(now).is_err() {
        return Ok(None);
    }
    let of = (tenant.id, webhook.id);
    let live = webhook.live_secrets(now);
    let secrets = live.map(|it| Secret::open(&it.sealed, &tenant.cursor_secret, of)).collect::<Result<_, _>>()?;
    let failing = failing.map(decode).transpose()?.unwrap_or_default();
    Ok(Some(Addressed { webhook, event: decode(event)?, secrets, failing, is_live: tenant.is_live().is_ok() }))
}

impl Addressed {
    /// Whether the delivery is to be made.
    pub fn is_wanted(&self, delivery: &Delivery) -> bool {
        self.is_live && (self.webhook.status == Status::Enabled || delivery.asked.is_some())
    }

    /// For how many seconds nothing could be delivered, before this attempt.
    pub fn fails_for(&self, now: Time) -> i64 {
        now.seconds() - self.failing.since(now.seconds())
    }

    /// Keeps that a delivery has succeeded.
    pub async fn succeeded(&self, asked: &Asked<'_>) -> Result<(), Problem> {
        let Some(since) = self.failing.since else { return Ok(()) };
        // Another delivery can have failed meanwhile; then the next one that succeeds finds it.
        let same = Condition::new("since = :since").with(":since", since)?;
        self.keep(asked, &Failing::default(), same).await
    }

    /// Keeps that a delivery has failed. Disables the webhook if the receiver is gone, or if nothing could be delivered for 5 days.
    pub async fn failed(&self, asked: &Asked<'_>, is_gone: bool) -> Result<(), Problem> {
        let now = (asked.clock)().seconds();
        let since = self.failing.since(now);
        // Since somebody enabled it again, it has another chance.
        let is_long = since.max(self.webhook.status_since.seconds()) + FAILS_FOR <= now;
        let why = match is_gone {
            true => Some("its receiver is gone"),
            false => is_long.then_some("nothing could be delivered for 5 days"),
        };
        match why.filter(|_| self.webhook.status == Status::Enabled) {
            Some(why) => disable(asked, &self.webhook, why).await,
            None => self.note_failure(asked, since, now).await,
        }
    }

    /// Writes down since when deliveries fail, and that one has failed now. If one has succeeded meanwhile, it writes nothing.
    async fn note_failure(&self, asked: &Asked<'_>, since: i64, now: i64) -> Result<(), Problem> {
        let same = match self.failing.since {
            Some(known) if known == since && self.failing.failed_at.is_some_and(|at| now < at + NOTED_EVERY) => {
                return Ok(());
            }
            Some(known) => Condition::new("since = :since").with(":since", known)?,
            None => Condition::new("attribute_not_exists(since)"),
        };
        self.keep(asked, &Failing { since: Some(since), failed_at: Some(now) }, same).await
    }

    async fn keep(&self, asked: &Asked<'_>, failing: &Failing, condition: Condition) -> Result<(), Problem> {
        let key = TenantKeys(self.webhook.tenant).failing(self.webhook.id);
        asked.table.put_if(encode(&key, None, failing)?, condition).await.map(drop)
    }
}

/// Disables a webhook, unless somebody has changed its URL or its status since it was read. The event of that change says why.
async fn disable(asked: &Asked<'_>, webhook: &Webhook, why: &str) -> Result<(), Problem> {
    let who = Who::Product(webhook.tenant, why.to_owned());
    let fail =
        |at| WebhookEdit::Set { name: None, url: None, kinds: None, deeds: None, status: Some(Status::Failed), at };
    let plan = |plan: &mut Plan| {
        let facts = plan.facts();
        let Unseen(fresh) = facts.webhook()?;
        let is_same = fresh.url == webhook.url && fresh.status_since == webhook.status_since;
        if is_same && fresh.status == Status::Enabled {
            plan.update(Unseen(fresh), &fail(facts.now()));
        }
        Ok(())
    };
    super::change_unanswered(asked, &who, &Reads::webhook(Some(webhook.id)), &plan).await
}

/// Keeps a change that could not be delivered, for 30 days.
pub async fn give_up(asked: &Asked<'_>, delivery: &Delivery, why: &str) -> Result<(), Problem> {
    let now: Time = (asked.clock)();
    let key = TenantKeys(delivery.tenant).undelivered(delivery.webhook, now, &delivery.id);
    let kept = Undelivered {
        // A test that is delivered again is still one.
        delivery: Delivery { asked: delivery.asked.filter(|it| *it == Asking::Test), ..delivery.clone() },
        at: now,
        why: why.to_owned(),
        expires_at: now.seconds() + KEPT_FOR,
    };
    // A repetition of this attempt finds it there.
    asked.table.put_if(encode(&key, None, &kept)?, Condition::new("attribute_not_exists(PK)")).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_waits_behind_no_other_delivery() {
        let delivery = |asked| Delivery {
            tenant: TenantId::LAST,
            webhook: WebhookId::LAST,
            subject: Subject::new("webhook", WebhookId::LAST),
            version: 7,
            id: String::new(),
            asked,
        };
        let group = |asked| delivery(asked).group();
        assert_eq!(group(None), group(Some(Asking::Replay)));
        assert_ne!(group(None), group(Some(Asking::Test)));
        assert!(group(Some(Asking::Test)).len() <= 128, "the most that SQS takes");
    }

    #[test]
    fn an_outage_of_long_ago_is_over() {
        let since = |failed_at, now| Failing { since: Some(1_000), failed_at }.since(now);
        let late = 1_000 + FAILS_FOR;
        assert_eq!(Failing::default().since(late), late);
        assert_eq!(since(Some(late - OVER_AFTER + 1), late), 1_000);
        assert_eq!(since(Some(late - OVER_AFTER), late), late);
        assert_eq!(since(None, late), 1_000, "an item of before has no time of the last failure");
    }

    /// The demo writes the first form.
    #[test]
    fn both_forms_of_the_item_are_read() {
        for item in [r#"{"since":5}"#, r#"{"since":5,"failed_at":7}"#] {
            let read: Failing = serde_json::from_str(item).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), item);
        }
    }
}
