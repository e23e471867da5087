//! Answers with what is held on one person.

use domain::id::UserId;

use super::{App, Boxed};
use crate::answer::Answer;
use crate::gate::Caller;
use crate::gate::personal::{self, PersonalFn};
use crate::http::call::Call;
use crate::table::Item;

impl App {
    /// Answers with all that the tenant holds on a person. [`personal::personal`] lists the errors.
    pub fn personal<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        user: Option<UserId>,
        answer: &'a PersonalFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            personal::personal(&self.asked(call, &check), caller, user, answer).await
        })
    }
}
