//! Keys of webhooks, and of what becomes of their deliveries. All are in the tenant's own partition: they go when the tenant goes.

use domain::id::{TenantId, WebhookId};
use domain::{Record, Time, Webhook};

use super::{Key, TenantKeys, numbered};

impl TenantKeys {
    pub fn webhook(self, webhook: WebhookId) -> Key {
        Key { sk: numbered(Webhook::KIND, webhook.number()), ..self.webhooks() }
    }

    /// The partition and the prefix of the sort keys of all webhooks.
    pub fn webhooks(self) -> Key {
        Key::new(self.partition(), "WEBHOOK#")
    }

    /// Since when nothing can be delivered to a webhook.
    pub fn failing(self, webhook: WebhookId) -> Key {
        Key::new(self.partition(), numbered("FAILING", webhook.number()))
    }

    /// A change that could not be delivered to a webhook.
    pub fn undelivered(self, webhook: WebhookId, at: Time, id: &str) -> Key {
        let all = self.all_undelivered(webhook);
        Key { sk: format!("{}{at}#{id}", all.sk), ..all }
    }

    /// The partition of all such changes, and the prefix of their sort keys.
    pub fn all_undelivered(self, webhook: WebhookId) -> Key {
        Key::new(self.partition(), format!("{}#", numbered("UNDELIVERED", webhook.number())))
    }
}

/// The tenant of an event's item.
pub fn event_at(key: &Key) -> Option<TenantId> {
    let (tenant, _) = key.pk.strip_prefix("TENANT#")?.split_once('#')?;
    TenantId::parse(tenant).filter(|_| key.sk.starts_with("EVENT#"))
}
