//! The webhooks of a tenant: who makes one, sees it, and gives it a new secret.

use std::collections::BTreeSet;

use domain::event::Deed;
use domain::id::WebhookId;
use domain::policy::Action;
use domain::problem::{Fault, Wrong};
use domain::webhook::{self, Status, WebhookEdit};
use domain::{Meta, Problem, Webhook, policy};

use super::facts::{Facts, Unseen};
use super::outbox::Undelivered;
use super::{Asked, Caller, Page, Plan, Reading, Reads, Who, list};
use crate::answer::Answer;
use crate::table::key::Range;
use crate::table::{decode, key_of};
use crate::webhook::Secret;

/// What a request says of a webhook.
#[derive(Clone, Debug, Default)]
pub struct WebhookFields {
    pub name: Option<String>,
    pub url: Option<String>,
    pub kinds: Option<BTreeSet<String>>,
    pub deeds: Option<BTreeSet<Deed>>,
    pub status: Option<Status>,
}

impl WebhookFields {
    /// A URL that is called on a laptop only.
    fn faults(&self, is_laptop: bool) -> Vec<Fault> {
        let is_local = self.url.as_ref().is_some_and(|url| !url.starts_with("https://"));
        let wrong = Wrong::Syntax("an `https://` URL of a public host");
        (is_local && !is_laptop).then(|| Fault::here(wrong).within("url").within("body")).into_iter().collect()
    }
}

/// A page of the webhooks of the tenant, in the order of their numbers, for who may manage them.
///
/// # Errors
/// As those of [`read`](super::read), and [`Problem::Invalid`] (the cursor).
pub async fn list(
    asked: &Asked<'_>,
    caller: &Caller,
    page: &Page,
    answer: &(dyn Fn(&[&Webhook], Option<String>) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown(), None).await?;
    facts.may_manage_webhooks(&policy::tenant(caller.tenant))?;
    let most = i32::try_from(webhook::MAX_WEBHOOKS).unwrap_or(i32::MAX);
    let (items, _) = asked.table.page(&Range::of(caller.keys().webhooks()), None, most).await?;
    let all = items.into_iter().map(decode).collect::<Result<Vec<Webhook>, _>>()?;
    let number = |webhook: &&Webhook| webhook.id.number();
    let (shown, next) = list::page_of(&facts, page, all.iter(), number, |text| text.parse().ok())?;
    Ok(answer(&shown, next))
}

/// A page of the changes that could not be delivered to a webhook, the oldest first, for who may manage webhooks.
///
/// # Errors
/// As those of [`list`], and [`Problem::NotFound`].
pub async fn undelivered(
    asked: &Asked<'_>,
    caller: &Caller,
    webhook: Option<WebhookId>,
    page: &Page,
    answer: &(dyn Fn(&[Undelivered], Option<String>) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::webhook(webhook), None).await?;
    let Unseen(webhook) = facts.webhook()?;
    facts.may_manage_webhooks(&facts.entity(webhook))?;
    let (cursors, start) = list::opened(&facts, page)?;
    let range = Range::of(caller.keys().all_undelivered(webhook.id));
    let (after, most) = (start.map(|sk| range.at(&sk)), i32::try_from(page.limit).unwrap_or(i32::MAX));
    let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), most).await?;
    let last = items.last().map(key_of).transpose()?.filter(|_| more);
    let next = last.map(|key| cursors.seal(&key.sk)).transpose()?;
    Ok(answer(&items.into_iter().map(decode).collect::<Result<Vec<_>, _>>()?, next))
}

impl Facts {
    fn may_manage_webhooks(&self, resource: &policy::eval::Entity) -> Result<Vec<String>, Problem> {
        self.allow(&Action::ManageWebhooks, resource).map_err(Problem::Forbidden)
    }
}

impl<'f> Reading<'f> {
    /// A webhook, if the caller may manage webhooks.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub fn see_webhook(&mut self, Unseen(webhook): Unseen<'f, Webhook>) -> Result<&'f Webhook, Problem> {
        self.notices.extend(self.facts.may_manage_webhooks(&self.facts.entity(webhook))?);
        Ok(webhook)
    }
}

impl<'f> Plan<'f> {
    /// Makes a webhook that has a name and a URL.
    ///
    /// # Errors
    /// The tenant has given all numbers, or the machine has no random bytes.
    pub fn make_webhook(&mut self, new: &WebhookFields, secret: &Secret, is_laptop: bool) -> Result<Webhook, Problem> {
        let (id, now) = (self.number(|numbers| &mut numbers.webhooks)?, self.facts().now());
        let tenant = self.facts().tenant();
        let sealed = secret.sealed(&tenant.cursor_secret, (tenant.id, id))?;
        let webhook = Webhook {
            id,
            tenant: tenant.id,
            name: String::new(),
            url: String::new(),
            kinds: BTreeSet::new(),
            deeds: BTreeSet::new(),
            status: Status::Enabled,
            status_since: now,
            secrets: vec![webhook::Secret { sealed, until: None }],
            rotated_at: None,
            tested_at: None,
            replayed_at: None,
            meta: Meta::new(now),
        };
        self.refuse_for(&new.faults(is_laptop));
        Ok(self.create(webhook, &self.setting(new)))
    }

    /// Changes a webhook.
    pub fn set_webhook(&mut self, before: Unseen<'f, Webhook>, fields: &WebhookFields, is_laptop: bool) -> Webhook {
        self.refuse_for(&fields.faults(is_laptop));
        self.update(before, &self.setting(fields))
    }

    fn setting(&self, fields: &WebhookFields) -> WebhookEdit {
        let WebhookFields { name, url, kinds, deeds, status } = fields.clone();
        WebhookEdit::Set { name, url, kinds, deeds, status, at: self.facts().now() }
    }

    /// Gives a webhook another secret. The one before signs, too, for `overlap` seconds.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn rotate_webhook(
        &mut self,
        before: Unseen<'f, Webhook>,
        secret: &Secret,
        overlap: i64,
    ) -> Result<Webhook, Problem> {
        let (Unseen(webhook), tenant, at) = (&before, self.facts().tenant(), self.facts().now());
        let sealed = secret.sealed(&tenant.cursor_secret, (tenant.id, webhook.id))?;
        Ok(self.update(before, &WebhookEdit::Rotate { sealed, overlap: at.seconds() + overlap, at }))
    }

    /// Has a webhook get a test delivery, also if it is not enabled.
    pub fn test_webhook(&mut self, before: Unseen<'f, Webhook>) -> Webhook {
        self.update(before, &WebhookEdit::Test(self.facts().now()))
    }

    /// Has a webhook get again what could not be delivered, also if it is not enabled.
    pub fn replay_webhook(&mut self, before: Unseen<'f, Webhook>) -> Webhook {
        self.update(before, &WebhookEdit::Replay(self.facts().now()))
    }
}
