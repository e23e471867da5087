//! Lists of groups, labels and policies, in the order of their names.

use std::collections::HashMap;

use domain::id::{GroupId, Kind, LabelId, PolicyId};
use domain::policy::{self, Action};
use domain::{Catalog, Group, Label, OwnPolicy, Problem, Record, Tenant};
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
    named(asked, (caller, None), wanted, page, &key, |group: &Group| !group.retiring, answer).await
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
    named(asked, (caller, None), wanted, page, &key, |_: &Label| true, answer).await
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
    let needs = Some(Action::ReadPolicies);
    named(asked, (caller, needs), wanted, page, &key, |_: &OwnPolicy| true, answer).await
}

async fn named<T: Record + DeserializeOwned>(
    asked: &Asked<'_>,
    (caller, needs): (&Caller, Option<Action<'_>>),
    wanted: &NamedList,
    page: &Page,
    key: &(dyn Fn(u32) -> Key + Sync),
    is_shown: fn(&T) -> bool,
    answer: &NamedPageFn<'_, T>,
) -> Result<Answer, Problem> {
    let lookup = Reads::lookup(None, T::KIND, wanted.external_id.clone());
    let facts = Facts::read(asked, &Who::Caller(caller), &lookup, None).await?;
    if let Some(action) = needs {
        facts.allow(&action, &policy::tenant(caller.tenant)).map_err(Problem::Forbidden)?;
    }
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
    let matches = |thing: &&T| is_shown(thing);
    let shown = |thing| Shown { tenant: facts.tenant(), catalog: facts.catalog(), thing };
    let things = things.iter().filter(matches).map(shown).collect();
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    Ok(answer(&NamedPage { things, next_cursor }))
}
