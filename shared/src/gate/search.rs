//! Searches: which members may do something, and what a member may do. The code that answers single questions decides on each result.

use std::collections::BTreeSet;

use domain::id::{RoleId, UserId};
use domain::policy::Action;
use domain::problem::{Fault, Wrong};
use domain::role::{EVERYTHING, USER};
use domain::{Member, Problem, Rules, Status};

use super::facts::Facts;
use super::list::scan::Scan;
use super::list::{Filters, MemberList, Sort, Source, opened, page_of};
use super::{Asked, Caller, Page, Question, Reading, Reads, Who};
use crate::table::key::{Range, TenantKeys};

/// What a token of a search must be.
pub const WRONG_TOKEN: &str = "the `next_token` of a page of this search";

/// From how many roles and groups one page follows the edges. If more of them give a permission, a search reads all members instead.
const MAX_EDGES: usize = 50;

/// The members who may do something, in the order of their numbers; and the cursor to the next page. `question` is asked about each;
/// without one nobody is found.
///
/// A page costs what it returns, if the thing is one of the product's: the roles that grant the permission lead to the members, and
/// so do the groups that confer these roles. Otherwise members are read in their order, four pages' worth at most for one page.
///
/// # Errors
/// [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller may not ask what others may do), [`Problem::Invalid`] (the cursor).
pub async fn subjects(
    asked: &Asked<'_>,
    caller: &Caller,
    question: Option<&Question>,
    page: &Page,
) -> Result<(Vec<UserId>, Option<String>), Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::questions(question), None).await?;
    let reading = Reading::new(&facts);
    reading.may_ask_of(None)?;
    let (cursors, start) = opened(&facts, page).map_err(in_page)?;
    let Some(question) = question else { return Ok((Vec::new(), None)) };
    let wanted = MemberList { sort: Sort::Id, statuses: vec![Status::Active], ..MemberList::default() };
    let filters = Filters::of(&wanted, facts.catalog());
    let may = |member: &Member| {
        facts.allow(&Action::Check, &facts.entity(member)).is_ok()
            && reading.decide_on(member, question).is_ok_and(|decided| decided.decided.is_ok())
    };
    let scan = Scan { table: asked.table, keys: caller.keys(), filters: &filters, page };
    let mut found = Vec::new();
    let next = scan.page(&question.sources(facts.rules(), caller.keys()), start, may, &mut found).await?;
    let next = next.map(|place| cursors.seal(&place)).transpose()?;
    Ok((found.iter().map(|member| member.user).collect(), next))
}

/// The place of a wrong token in the request.
fn in_page(why: Problem) -> Problem {
    match why {
        Problem::Invalid(_) => {
            let fault = Fault::here(Wrong::Syntax(WRONG_TOKEN));
            vec![fault.within("token").within("page").within("body")].into()
        }
        other => other,
    }
}

impl Question {
    /// Where the members come from who can be an answer.
    fn sources(&self, rules: &Rules, keys: TenantKeys) -> Vec<Source> {
        let all = vec![Source::Members(Range::of(keys.members()))];
        let Some(permission) = self.of_product() else { return all };
        let grants = |names: BTreeSet<&str>| names.contains(permission) || names.contains(EVERYTHING);
        let granting = rules.all_roles().filter(|role| grants(role.names(true)));
        let granting: BTreeSet<RoleId> = granting.map(|role| role.id).collect();
        let confer = rules.standings().filter(|(_, standing)| !standing.confers.is_disjoint(&granting));
        let groups: Vec<_> = confer.map(|(group, _)| *group).collect();
        // Who has only roles of the tenant's own counts as a user, too: no edges lead to all of those.
        if granting.contains(&USER) || granting.len() + groups.len() > MAX_EDGES {
            return all;
        }
        let edges = granting.iter().map(|role| keys.holders(*role)).chain(groups.iter().map(|it| keys.members_of(*it)));
        let edges: Vec<Range> = edges.map(Range::of).collect();
        if edges.is_empty() { Vec::new() } else { vec![Source::Edges(edges)] }
    }
}

/// Which actions of a thing's type a member may do.
pub struct Actions {
    /// The question about one of them.
    question: Question,
    /// The type and the id of the thing.
    thing: (String, String),
}

impl Actions {
    /// `question` names the subject, and what the service says of it; its action does not count.
    pub fn new(question: Question, thing: (String, String)) -> Self {
        Self { question, thing }
    }

    /// What it takes to answer.
    pub fn reads(&self, caller: &Caller) -> Reads {
        let any = Question::actions_on(&self.thing.0).first().copied().unwrap_or_default();
        Reads::questions([&self.question.about(any, &self.thing, caller.tenant)])
    }
}

impl Reading<'_> {
    /// A page of the actions that a member may do to a thing, in the order of their names: those of a type of the tenant's own, or the
    /// permissions that begin with the type; and the cursor to the next page.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: the caller may not ask what that member may do. [`Problem::Invalid`]: the cursor.
    pub fn actions(&self, asked: &Actions, page: &Page) -> Result<(Vec<String>, Option<String>), Problem> {
        let (kind, tenant) = (&asked.thing.0, self.facts.tenant().id);
        let subject = self.may_ask_of(asked.question.subject())?;
        let may = |subject: &Member, name: &str| {
            let question = asked.question.about(name, &asked.thing, tenant);
            self.decide_on(subject, &question).is_ok_and(|decision| decision.decided.is_ok())
        };
        let named = self.facts.catalog().all_permissions().into_iter();
        let named = named.filter_map(|permission| permission.name.strip_prefix(kind)?.strip_prefix(':'));
        let names: BTreeSet<&str> = named.chain(Question::actions_on(kind).iter().copied()).collect();
        let allowed = names.into_iter().filter(|name| subject.is_some_and(|subject| may(subject, name)));
        page_of(self.facts, page, allowed.map(str::to_owned), String::clone, |text| Some(text.to_owned()))
            .map_err(in_page)
    }
}
