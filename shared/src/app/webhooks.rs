//! Webhooks: the lists of them and of what failed, and the setting of a laptop.

use domain::id::WebhookId;
use domain::{Problem, Webhook};

use super::{App, Boxed, variable};
use crate::answer::Answer;
use crate::gate::outbox::Undelivered;
use crate::gate::{Caller, Page, webhooks};
use crate::http::call::Call;
use crate::table::Item;

/// Makes the answer from a page of webhooks.
pub type WebhookPageFn<'p> = dyn Fn(&[&Webhook], Option<String>) -> Answer + Send + Sync + 'p;

/// Makes the answer from a page of changes that could not be delivered.
pub type UndeliveredPageFn<'p> = dyn Fn(&[Undelivered], Option<String>) -> Answer + Send + Sync + 'p;

impl App {
    /// Answers with a page of the webhooks of the tenant. [`webhooks::list`] lists the errors.
    pub fn webhooks<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        page: &'a Page,
        answer: &'a WebhookPageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            webhooks::list(&self.asked(call, &check), caller, page, answer).await
        })
    }

    /// Answers with a page of the changes that could not be delivered to a webhook. [`webhooks::undelivered`] lists the errors.
    pub fn undelivered<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        webhook: Option<WebhookId>,
        page: &'a Page,
        answer: &'a UndeliveredPageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            webhooks::undelivered(&self.asked(call, &check), caller, webhook, page, answer).await
        })
    }

    /// Whether webhooks may be on the machine itself. Only `cargo run` sets it.
    ///
    /// # Errors
    /// It is not set.
    pub fn has_local_webhooks(&self) -> Result<bool, Problem> {
        variable("LOCAL_WEBHOOKS").map(|text| !text.is_empty()).map_err(Problem::Internal)
    }
}
