//! Lists of groups, labels and policies in the order of their names, and of requests to join in that of their addresses.

use std::collections::HashMap;

use domain::id::{GroupId, JoinRequestId, Kind, LabelId, PolicyId};
use domain::join_request::State;
use domain::policy::Action;
use domain::{Catalog, Group, JoinRequest, Label, OwnPolicy, Problem, Record, Tenant};
use serde::de::DeserializeOwned;

use super::{Page, opened, sort_key};
use crate::answer::Answer;
use crate::gate::facts::Facts;
use crate::gate::{Asked, Caller, Reads, Who};
use crate::table::decode;
use crate::table::key::{Key, Range};
use crate::table::stored::Reference;

/// Which groups, labels or policies a client asks for.
#[derive(Clone, Debug)]
pub struct NamedList {
    /// The beginning of the name, without regard to case and accents.
    pub beginning: Option<String>,
    pub descending: bool,
    pub external_id: Option<String>,
}

/// A group, a label or a policy, with what an answer shows of it.
#[derive(Clone, Copy)]
pub struct Shown<'a, T> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) catalog: &'a Catalog,
    pub(crate) thing: &'a T,
}

impl<T: Record> Shown<'_, T> {
    pub fn version(&self) -> u64 {
        self.thing.shown_version()
    }
}

/// One page of groups, labels or policies, in the order of their names.
pub struct NamedPage<'a, T> {
    pub things: Vec<Shown<'a, T>>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of groups, labels or policies.
pub type NamedPageFn<'p, T> = dyn Fn(&NamedPage<T>) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenant's groups. Every active member may know them.
///
/// # Errors
/// [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active member), [`Problem::Invalid`] (the cursor).
pub async fn groups(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &NamedList,
    page: &Page,
    answer: &NamedPageFn<'_, Group>,
) -> Result<Answer, Problem> {
    let key = |number| caller.keys().group(GroupId::new(number));
    named(
        asked,
        caller,
        wanted,
        page,
        &Things { needs: |_| Ok(()), key: &key, are_shown: &|group: &Group| !group.retiring },
        answer,
    )
    .await
}

/// Answers with a page of the tenant's labels. Every active member may know them.
///
/// # Errors
/// As those of [`groups`].
pub async fn labels(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &NamedList,
    page: &Page,
    answer: &NamedPageFn<'_, Label>,
) -> Result<Answer, Problem> {
    let key = |number| caller.keys().label(LabelId::new(number));
    named(asked, caller, wanted, page, &Things { needs: |_| Ok(()), key: &key, are_shown: &|_: &Label| true }, answer)
        .await
}

/// Answers with a page of the tenant's own policies.
///
/// # Errors
/// As those of [`groups`]; [`Problem::Forbidden`] also if the caller may not see policies.
pub async fn policies(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &NamedList,
    page: &Page,
    answer: &NamedPageFn<'_, OwnPolicy>,
) -> Result<Answer, Problem> {
    let key = |number| caller.keys().own_policy(PolicyId::new(number));
    let needs: Needs = |facts| facts.may_do(&Action::ReadPolicies);
    named(asked, caller, wanted, page, &Things { needs, key: &key, are_shown: &|_: &OwnPolicy| true }, answer).await
}

/// Answers with a page of those who ask to join; of those in one state, if one is given.
///
/// # Errors
/// As those of [`groups`]; [`Problem::Forbidden`] also if the caller may not invite people.
pub async fn join_requests(
    asked: &Asked<'_>,
    caller: &Caller,
    (state, wanted): (Option<State>, &NamedList),
    page: &Page,
    answer: &NamedPageFn<'_, JoinRequest>,
) -> Result<Answer, Problem> {
    let key = |number| caller.keys().join_request(JoinRequestId::new(number));
    let are_shown = |request: &JoinRequest| state.is_none_or(|state| request.state() == state);
    let needs: Needs = |facts| facts.may_see_join_requests().map(drop);
    named(asked, caller, wanted, page, &Things { needs, key: &key, are_shown: &are_shown }, answer).await
}

/// Who may see the things of a list.
type Needs = fn(&Facts) -> Result<(), Problem>;

/// The things of a list.
struct Things<'t, T> {
    needs: Needs,
    /// Where one is, by its number.
    key: &'t (dyn Fn(u32) -> Key + Sync),
    are_shown: &'t (dyn Fn(&T) -> bool + Sync),
}

async fn named<T: Record + DeserializeOwned>(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &NamedList,
    page: &Page,
    Things { needs, key, are_shown }: &Things<'_, T>,
    answer: &NamedPageFn<'_, T>,
) -> Result<Answer, Problem> {
    let lookup = Reads::lookup(None, T::KIND, wanted.external_id.clone());
    let facts = Facts::read(asked, &Who::Caller(caller), &lookup, None).await?;
    needs(&facts)?;
    let (cursors, start) = opened(&facts, page)?;
    let beginning = wanted.beginning.as_deref().unwrap_or_default();
    let (mut numbers, mut next) = (Vec::new(), None);
    match &wanted.external_id {
        Some(_) => numbers.extend(facts.found()),
        None => {
            let prefix = caller.keys().names(T::KIND, beginning);
            let range = Range { descending: wanted.descending, ..Range::of(prefix) };
            let after = start.map(|sk| range.at(&sk));
            let limit = i32::try_from(page.limit).unwrap_or(i32::MAX);
            let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), limit).await?;
            for item in items {
                next = Some(sort_key(&item, "SK")?).filter(|_| more);
                // A number in a name's item is that of a thing of this kind; the type of the id makes no difference.
                let reference: Reference<{ Kind::User as u8 }> = decode(item)?;
                numbers.push(reference.number.number());
            }
        }
    }
    let mut items = match numbers.is_empty() {
        true => HashMap::new(),
        false => asked.table.get(numbers.iter().map(|number| key(*number))).await?,
    };
    let items = numbers.iter().filter_map(|number| items.remove(&key(*number)));
    let things: Vec<T> = items.map(decode).collect::<Result<_, _>>()?;
    let matches = |thing: &&T| are_shown(thing);
    let shown = |thing| Shown { tenant: facts.tenant(), catalog: facts.catalog(), thing };
    let things = things.iter().filter(matches).map(shown).collect();
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    Ok(answer(&NamedPage { things, next_cursor }))
}
