//! The record of a tenant.

use std::time::Instant;

use domain::Problem;
use serde_json::{Value, json};

use super::{App, Boxed};
use crate::answer::Answer;
use crate::gate::checkpoints::{self, CheckpointPageFn, Signer};
use crate::gate::events::{self, EventList, EventPageFn, VerifiedFn};
use crate::gate::{Asked, Caller, Page};
use crate::http::call::Call;
use crate::table::{Item, key};

impl App {
    /// Answers with a page of the tenant's record. [`events::list`] lists the errors.
    pub fn events<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a EventList,
        page: &'a Page,
        answer: &'a EventPageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            events::list(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with what the check of a chain finds. [`events::verify`] lists the errors.
    pub fn verified<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a EventList,
        page: &'a Page,
        answer: &'a VerifiedFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            events::verify(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with a page of the checkpoints of the record. [`checkpoints::list`] lists the errors.
    pub fn checkpoints<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        page: &'a Page,
        answer: &'a CheckpointPageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            checkpoints::list(&self.asked(call, &check), caller, page, answer).await
        })
    }

    /// Covers the events of the day before with checkpoints, as far as that is due and there is time.
    pub(crate) async fn write_checkpoints(&self, asked: &Asked<'_>, until: Instant) -> Result<Value, Problem> {
        let Some(due) = checkpoints::due(asked).await? else { return Ok(json!({ "signed": 0 })) };
        let ours: Option<Item> = asked.table.get([key::jwks()]).await?.remove(&key::jwks());
        let (keys, now) = (self.signing.keys(ours.as_ref()).await?, (asked.clock)().seconds());
        let kid = keys.kid(now).unwrap_or_default();
        let sign = |statement: &_| keys.sign_statement(statement, now);
        let signer = Signer { iss: &self.expected.issuer, kid, sign: &sign };
        let (tenants, signed) = checkpoints::work(asked, due, &signer, until).await?;
        Ok(json!({ "tenants": tenants, "signed": signed }))
    }
}
