//! Lists of what has a name: groups, labels and policies.

use domain::{Group, Label, OwnPolicy};

use super::{App, Boxed};
use crate::answer::Answer;
use crate::gate::policies::TrialFn;
use crate::gate::{self, Caller, NamedList, NamedPageFn, Page};
use crate::http::call::Call;
use crate::table::Item;

impl App {
    /// Answers with a page of the tenant's groups. [`gate::list::groups`] lists the errors.
    pub fn groups<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a NamedList,
        page: &'a Page,
        answer: &'a NamedPageFn<'a, Group>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::list::groups(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with a page of the tenant's labels. [`gate::list::labels`] lists the errors.
    pub fn labels<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a NamedList,
        page: &'a Page,
        answer: &'a NamedPageFn<'a, Label>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::list::labels(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with a page of the tenant's own policies. [`gate::list::policies`] lists the errors.
    pub fn policies<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a NamedList,
        page: &'a Page,
        answer: &'a NamedPageFn<'a, OwnPolicy>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::list::policies(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with what a draft of a policy would refuse. [`gate::policies::try_out`] lists the errors.
    pub fn try_policy<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        draft: (&'a str, usize),
        page: &'a Page,
        answer: &'a TrialFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::policies::try_out(&self.asked(call, &check), caller, draft, page, answer).await
        })
    }
}
