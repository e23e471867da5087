//! How people come into a tenant.

use domain::id::JoinRequestId;
use domain::member::invitation::State;
use domain::{JoinRequest, MemberEdit, Problem, join_request};
use serde_json::Value;

use super::{App, Boxed};
use crate::answer::Answer;
use crate::gate::domains::{self, ShownDomain};
use crate::gate::invitations::{self, Invitees};
use crate::gate::{Caller, Conditions, NamedList, NamedPageFn, Page, PageFn, View, join_requests, list};
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

    /// Answers with the domains that the caller's tenant claims. [`domains::list`] lists the errors.
    pub fn domains<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        answer: &'a (dyn Fn(&[ShownDomain]) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            domains::list(&self.asked(call, &check), caller, answer).await
        })
    }

    /// Answers with a page of those who ask to join. [`list::join_requests`] lists the errors.
    pub fn join_requests<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: (Option<join_request::State>, &'a NamedList),
        page: &'a Page,
        answer: &'a NamedPageFn<'a, JoinRequest>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            list::join_requests(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Lets somebody in who asks to join. [`join_requests::approve`] lists the errors.
    pub fn approve<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        (id, edit): (Option<JoinRequestId>, &'a MemberEdit),
        conditions: &'a Conditions,
        answer: &'a (dyn Fn(&View) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            join_requests::approve(&self.asked(call, &check), caller, (id, edit), conditions, answer).await
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
