//! Lists: pages of the members whom the caller may see, and of the tenant's groups, labels, roles and permissions.
//!
//! A page costs what it returns, in a tenant of any size: one query, and one more read if the query finds edges; twice
//! that for the beginning of a text, and a query for each of several groups or roles. A filter that no key serves makes
//! pages short. For one page, the gate reads [`PAGES`] pages' worth of items at most, in a few queries.
//!
//! A page that a client asks for by its number is whole: it costs all pages before it, too. If the gate would have to
//! read more than [`MAX_COUNTED`] items, it refuses the page.

mod invitations;
mod known;
mod named;
pub(super) mod scan;
mod tenants;

use std::collections::BTreeSet;

use domain::id::{GroupId, RoleId, UserId};
use domain::policy::Action;
use domain::role::USER;
use domain::{Catalog, Member, Problem, Record, Status, policy};

use super::Reads;
use super::cursor::Cursors;
use super::facts::{Facts, View};
use super::plan::with_notices;
use super::{Asked, Caller, Who};
use crate::answer::Answer;
use crate::table::Item;
use crate::table::key::{Range, TenantKeys, folded};

pub use invitations::invitations;
pub(super) use known::page_of;
pub use named::{NamedList, NamedPage, NamedPageFn, Shown, groups, join_requests, labels, policies};
pub use tenants::{OwnTenant, TenantPage, TenantPageFn, tenants};

use scan::Scan;

/// How many pages' worth of items the gate reads for one page.
const PAGES: usize = 4;

/// How many items the gate reads for a page that has a number.
pub const MAX_COUNTED: usize = 1000;

/// What the number of a page must be, if the gate would have to read more than [`MAX_COUNTED`] items.
pub const NOT_COUNTED: &str = "a page within the first 1000 members: use `cursor` for later pages";

/// A page that a client asks for.
#[derive(Clone, Debug)]
pub struct Page {
    /// How many things it has at most.
    pub limit: usize,
    /// Its number, from 1, if the client counts pages: then there is no cursor.
    pub number: Option<usize>,
    /// Where it begins: the next cursor of the page before.
    pub cursor: Option<String>,
    /// What a cursor must be, in the words of the dialect.
    pub cursor_is: &'static str,
    /// The list with its filters and its order. A cursor is good for one list only.
    pub list: String,
}

/// The order of members. Those with the same name come in no particular order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Name,
    Email,
    Id,
}

/// Which members a client asks for. All filters must match. Of several values of a filter, one must; no value is no
/// filter.
#[derive(Clone, Debug, Default)]
pub struct MemberList {
    pub sort: Sort,
    pub descending: bool,
    /// A role by its UUID, number or name.
    pub role: Option<String>,
    /// Built-in roles: see [`Member::built_in_role`].
    pub built_in: Vec<RoleId>,
    /// Groups; `None` for an id that cannot exist in the tenant.
    pub groups: Vec<Option<GroupId>>,
    pub statuses: Vec<Status>,
    /// The whole address.
    pub email: Option<String>,
    pub external_id: Option<String>,
    /// The beginning of the name or of the address, without regard to case; in names without regard to accents, too.
    pub beginning: Option<String>,
}

impl MemberList {
    /// The group, if only its members are read.
    fn only_group(&self) -> Option<GroupId> {
        let is_by_id = self.sort == Sort::Id && self.email.is_none() && self.external_id.is_none();
        if let ([Some(group)], true) = (self.groups.as_slice(), is_by_id) { Some(*group) } else { None }
    }
}

/// One page of members.
pub struct MemberPage<'a> {
    pub facts: &'a Facts,
    pub members: Vec<View<'a>>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of members whom the caller may see.
pub type PageFn<'p> = dyn Fn(&MemberPage) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenant's members.
///
/// # Errors
/// In this order, the first that applies: [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active member,
/// or may not list members), [`Problem::Invalid`] (the cursor, or the number of the page).
pub async fn members(
    asked: &Asked<'_>,
    caller: &Caller,
    wanted: &MemberList,
    page: &Page,
    answer: &PageFn<'_>,
) -> Result<Answer, Problem> {
    let lookup = Reads::lookup(wanted.email.clone(), Member::KIND, wanted.external_id.clone());
    let mut facts = Facts::read(asked, &Who::Caller(caller), &lookup, None).await?;
    let tenant = policy::tenant(facts.tenant().id);
    // In another order the gate would read other members, too, and the number of pages would tell how many there are.
    let mut notices = facts.allow(&Action::List(wanted.only_group()), &tenant).map_err(Problem::Forbidden)?;
    let (cursors, start) = opened(&facts, page)?;

    let role = wanted.role.as_ref().map(|role| facts.catalog().role_spelled(role, facts.tenant().id));
    let mut found = Vec::new();
    let groups: BTreeSet<GroupId> = wanted.groups.iter().flatten().copied().collect();
    let next = match role {
        // Nobody has a role or a group that does not exist.
        Some(None) => None,
        _ if groups.is_empty() && !wanted.groups.is_empty() => None,
        role => {
            let role = role.flatten().map(|role| role.id);
            let filters = Filters { wanted, role, groups, catalog: facts.catalog() };
            let sources = filters.sources(caller.keys(), facts.found().map(UserId::new));
            let visible = |member: &Member| match facts.allow(&Action::Read, &facts.entity(member)) {
                Ok(said) => {
                    notices.extend(said);
                    true
                }
                Err(_) => false,
            };
            let scan = Scan { table: asked.table, keys: caller.keys(), filters: &filters, page };
            scan.page(&sources, start, visible, &mut found).await?
        }
    };
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    if asked.names {
        facts.read_names(asked, &found).await?;
    }
    let members = found.iter().map(|member| facts.view(member)).collect();
    Ok(with_notices(answer(&MemberPage { facts: &facts, members, next_cursor }), &notices))
}

/// Where members come from.
pub(super) enum Source {
    /// The items of members.
    Members(Range),
    /// Items that lead to members: those of all ranges together, in order.
    Edges(Vec<Range>),
    /// One member.
    One(UserId),
}

pub(super) struct Filters<'a> {
    wanted: &'a MemberList,
    role: Option<RoleId>,
    groups: BTreeSet<GroupId>,
    catalog: &'a Catalog,
}

impl<'a> Filters<'a> {
    /// Those without a role and without groups.
    pub(super) fn of(wanted: &'a MemberList, catalog: &'a Catalog) -> Self {
        Self { wanted, role: None, groups: BTreeSet::new(), catalog }
    }

    /// The sources whose members can match, in the order of the list.
    fn sources(&self, keys: TenantKeys, found: Option<UserId>) -> Vec<Source> {
        let MemberList { sort, descending, built_in, email, external_id, beginning, .. } = self.wanted;
        let range = |prefix, in_index| Range { in_index, descending: *descending, ..Range::of(prefix) };
        if email.is_some() || external_id.is_some() {
            return found.map(Source::One).into_iter().collect();
        }
        let beginning = beginning.as_deref().unwrap_or_default();
        let by_name = || Source::Members(range(keys.listed_from(beginning), true));
        let by_email = || Source::Edges(vec![range(keys.emails(beginning), false)]);
        // Who has only roles of the tenant's own counts as a user, too: no edges lead to all of those.
        let holders = |role: &RoleId| if *role == USER { None } else { Some(range(keys.holders(*role), false)) };
        let built_in: Option<Vec<Range>> = built_in.iter().collect::<BTreeSet<_>>().into_iter().map(holders).collect();
        match (sort, self.role, built_in) {
            (Sort::Id, ..) if !self.groups.is_empty() => {
                vec![Source::Edges(self.groups.iter().map(|group| range(keys.members_of(*group), false)).collect())]
            }
            (Sort::Id, Some(role), _) => vec![Source::Edges(vec![range(keys.holders(role), false)])],
            (Sort::Id, None, Some(edges)) if !edges.is_empty() => vec![Source::Edges(edges)],
            (Sort::Id, ..) => vec![Source::Members(range(keys.members(), false))],
            (Sort::Name, ..) if beginning.is_empty() => vec![by_name()],
            (Sort::Email, ..) if beginning.is_empty() => vec![by_email()],
            // Those who match by the other text come last.
            (Sort::Name, ..) => vec![by_name(), by_email()],
            (Sort::Email, ..) => vec![by_email(), by_name()],
        }
    }

    fn match_member(&self, member: &Member) -> bool {
        let MemberList { built_in, statuses, email, external_id, beginning, .. } = self.wanted;
        let is_in = |group: &GroupId| member.groups.contains(group) && !self.catalog.is_retiring(*group);
        member.is_present()
            && self.role.is_none_or(|role| member.roles.contains(&role))
            && (built_in.is_empty() || built_in.contains(&member.built_in_role()))
            && (self.groups.is_empty() || self.groups.iter().any(is_in))
            && (statuses.is_empty() || statuses.contains(&member.status))
            && email.as_ref().is_none_or(|email| member.email.to_lowercase() == email.to_lowercase())
            && (external_id.is_none() || member.external_id == *external_id)
            && beginning.as_ref().is_none_or(|text| by_name(member, text) || by_email(member, text))
    }

    /// Whether an earlier source has the member, too.
    fn is_repeated(&self, member: &Member, source: usize) -> bool {
        let beginning = self.wanted.beginning.as_deref().unwrap_or_default();
        source > 0
            && if self.wanted.sort == Sort::Name { by_name(member, beginning) } else { by_email(member, beginning) }
    }
}

fn by_name(member: &Member, beginning: &str) -> bool {
    folded(&member.label()).starts_with(&folded(beginning))
}

fn by_email(member: &Member, beginning: &str) -> bool {
    member.email.to_lowercase().starts_with(&beginning.to_lowercase())
}

pub(super) fn sort_key(item: &Item, name: &str) -> Result<String, Problem> {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    text.cloned().ok_or_else(|| Problem::Internal(format!("an item without {name}")))
}

/// The cursors of a list, and the place where the wanted page begins.
pub(super) fn opened<'a>(facts: &Facts, page: &'a Page) -> Result<(Cursors<'a>, Option<String>), Problem> {
    let cursors = Cursors::new(&facts.tenant().cursor_secret, &page.list, page.cursor_is);
    let start = page.cursor.as_ref().map(|cursor| cursors.open(cursor)).transpose()?;
    Ok((cursors, start))
}

/// A defect: we have sealed a place that is none.
pub(super) fn lost() -> Problem {
    Problem::Internal("a cursor of ours with no place".to_owned())
}
