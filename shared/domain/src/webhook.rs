//! A webhook: where a tenant wants to hear of the changes of its records.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::event::{Deed, Event};
use crate::id::{TenantId, WebhookId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The most webhooks that a tenant has at once.
pub const MAX_WEBHOOKS: usize = 20;

/// The longest URL of a webhook, in characters.
pub const MAX_URL: usize = 2_000;

/// The longest time that the secret before the last one signs, too, in seconds: 7 days.
pub const MAX_OVERLAP: i64 = 7 * 24 * 60 * 60;

/// The kinds of records of whose changes a webhook hears.
pub const KINDS: [&str; 15] = [
    "domain",
    "group",
    "issuer",
    "job",
    "join-request",
    "key",
    "label",
    "member",
    "policy",
    "reading",
    "role",
    "session",
    "tenant",
    "thing",
    "webhook",
];

/// Whether a webhook hears of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookStatus"))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Enabled,
    /// Somebody has disabled it.
    Disabled,
    /// Nothing could be delivered for 5 days.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub id: WebhookId,
    pub tenant: TenantId,
    pub name: String,
    /// An `https://` URL.
    pub url: String,
    /// Those of [`KINDS`] that it hears of. If there is none, it hears of all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub kinds: BTreeSet<String>,
    /// The kinds of changes that it hears of. If there is none, it hears of all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub deeds: BTreeSet<Deed>,
    pub status: Status,
    /// Since when it has this status.
    pub status_since: Time,
    /// The newest first. There are two for a while after a rotation: then both sign.
    pub secrets: Vec<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_at: Option<Time>,
    /// When somebody last asked for a test delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested_at: Option<Time>,
    /// When somebody last asked to deliver again what had failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<Time>,
    #[serde(flatten)]
    pub meta: Meta,
}

/// The secret of a webhook, encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub sealed: String,
    /// Until when it signs, in seconds since the epoch. The newest one has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

impl Webhook {
    /// The secrets that sign now, the newest first.
    pub fn live_secrets(&self, now: Time) -> impl Iterator<Item = &Secret> {
        self.secrets.iter().filter(move |secret| secret.until.is_none_or(|until| until > now.seconds()))
    }

    /// Whether it hears of a change.
    pub fn hears_of(&self, event: &Event) -> bool {
        self.status == Status::Enabled
            && (self.kinds.is_empty() || self.kinds.contains(&event.subject.kind))
            && (self.deeds.is_empty() || self.deeds.contains(&event.deed))
    }
}

/// What happens to a webhook. Parts that an edit does not mention stay.
#[derive(Clone, Debug)]
pub enum WebhookEdit {
    Set {
        name: Option<String>,
        url: Option<String>,
        kinds: Option<BTreeSet<String>>,
        deeds: Option<BTreeSet<Deed>>,
        status: Option<Status>,
        at: Time,
    },
    /// It gets another secret. The one before signs until `overlap`, too, in seconds since the epoch.
    Rotate { sealed: String, overlap: i64, at: Time },
    /// The next delivery is a test.
    Test(Time),
    /// What has failed is delivered again.
    Replay(Time),
}

impl Record for Webhook {
    type Edit = WebhookEdit;

    const KIND: &'static str = "webhook";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &WebhookEdit, _: &Known) -> Result<(), Problem> {
        match edit {
            WebhookEdit::Set { name, url, kinds, deeds, status, at } => {
                self.name = name.clone().unwrap_or_else(|| self.name.clone());
                self.url = url.clone().unwrap_or_else(|| self.url.clone());
                self.kinds = kinds.clone().unwrap_or_else(|| self.kinds.clone());
                self.deeds = deeds.clone().unwrap_or_else(|| self.deeds.clone());
                if let Some(status) = status.filter(|status| *status != self.status) {
                    (self.status, self.status_since) = (status, *at);
                }
            }
            WebhookEdit::Rotate { sealed, overlap, at } => {
                self.secrets.truncate(1);
                for secret in &mut self.secrets {
                    secret.until = Some(*overlap);
                }
                self.secrets.insert(0, Secret { sealed: sealed.clone(), until: None });
                self.rotated_at = Some(*at);
            }
            WebhookEdit::Test(at) => self.tested_at = Some(*at),
            WebhookEdit::Replay(at) => self.replayed_at = Some(*at),
        }
        Ok(())
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        match self.meta.version == 0 && known.tenant.counts.webhooks as usize >= MAX_WEBHOOKS {
            true => Err(Problem::LimitReached("webhooks in a tenant", MAX_WEBHOOKS)),
            false => Ok(()),
        }
    }

    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::ManageWebhooks]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let webhooks = i64::from(after.is_some()) - i64::from(before.is_some());
        Tally { webhooks, rules: webhooks != 0, ..Tally::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Author;
    use crate::{Names, Rules, Subject, Tenant};

    fn webhook() -> Webhook {
        let at = Time::from_millis(0);
        Webhook {
            id: WebhookId::new(1),
            tenant: TenantId::new(1),
            name: "CRM".to_owned(),
            url: "https://crm.example/hook".to_owned(),
            kinds: BTreeSet::new(),
            deeds: BTreeSet::new(),
            status: Status::Enabled,
            status_since: at,
            secrets: vec![Secret { sealed: "first".to_owned(), until: None }],
            rotated_at: None,
            tested_at: None,
            replayed_at: None,
            meta: Meta::new(at),
        }
    }

    fn edited(webhook: &Webhook, edit: &WebhookEdit) -> Webhook {
        let tenant = Tenant::new(TenantId::new(1), "acme", "Acme", "", Time::from_millis(0));
        let (rules, names) = (Rules::new(1, []), Names::default());
        let mut edited = webhook.clone();
        edited.apply(edit, &Known { tenant: &tenant, catalog: &rules, names: &names }).unwrap();
        edited
    }

    #[test]
    fn the_secret_before_the_last_signs_for_a_while() {
        let rotate = |sealed: &str, overlap| WebhookEdit::Rotate {
            sealed: sealed.to_owned(),
            overlap,
            at: Time::from_millis(0),
        };
        let live = |webhook: &Webhook, seconds: i64| -> Vec<String> {
            webhook.live_secrets(Time::from_millis(seconds * 1_000)).map(|it| it.sealed.clone()).collect()
        };
        let once = edited(&webhook(), &rotate("second", 100));
        assert_eq!(live(&once, 99), ["second", "first"]);
        assert_eq!(live(&once, 100), ["second"]);
        assert_eq!(live(&edited(&once, &rotate("third", 500)), 50), ["third", "second"]);
    }

    #[test]
    fn filters_choose_what_a_webhook_hears_of() {
        let event = |kind: &str, deed| Event {
            tenant: TenantId::new(1),
            subject: Subject::new(kind, 1),
            version: 1,
            deed,
            at: Time::from_millis(0),
            author: Author::Product(String::new()),
            impersonator: None,
            approver: None,
            request: String::new(),
            transaction: String::new(),
            changes: std::collections::BTreeMap::new(),
            previous: String::new(),
            salt: None,
        };
        let set = |kinds: &[&str], deeds: &[Deed], status| WebhookEdit::Set {
            name: None,
            url: None,
            kinds: Some(kinds.iter().map(|kind| (*kind).to_owned()).collect()),
            deeds: Some(deeds.iter().copied().collect()),
            status,
            at: Time::from_millis(7),
        };
        let all = webhook();
        assert!(all.hears_of(&event("member", Deed::Updated)) && all.hears_of(&event("role", Deed::Deleted)));
        let few = edited(&all, &set(&["member"], &[Deed::Created], None));
        assert!(few.hears_of(&event("member", Deed::Created)));
        assert!(!few.hears_of(&event("member", Deed::Updated)) && !few.hears_of(&event("role", Deed::Created)));
        let off = edited(&all, &set(&[], &[], Some(Status::Disabled)));
        assert!(!off.hears_of(&event("member", Deed::Created)));
        assert_eq!((off.status_since, all.status_since), (Time::from_millis(7), Time::from_millis(0)));
    }
}
