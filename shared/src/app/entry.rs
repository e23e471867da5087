//! How people come into a tenant.

use domain::Problem;
use domain::member::invitation::State;
use serde_json::Value;

use super::{App, Boxed};
use crate::answer::Answer;
use crate::gate::invitations::{self, Invitees};
use crate::gate::{Caller, Conditions, Page, PageFn, View, list};
use crate::http::call::Call;
use crate::table::Item;

/// What became of each address.
pub type Lines = Vec<Result<Value, Problem>>;

impl App {
    /// Invites people, each by a change of its own. [`invitations::invite`] lists the errors.
    pub fn invite<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        invitees: &'a Invitees<'a>,
        conditions: &'a Conditions,
        shown: &'a (dyn Fn(&View, &str) -> Value + Send + Sync),
    ) -> Boxed<'a, Lines> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            invitations::invite(&self.asked(call, &check), caller, invitees, conditions, shown).await
        })
    }

    /// Answers with a page of those who are or were invited. [`list::invitations`] lists the errors.
    pub fn invitations<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        state: Option<State>,
        page: &'a Page,
        answer: &'a PageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            list::invitations(&self.asked(call, &check), caller, state, page, answer).await
        })
    }
}
