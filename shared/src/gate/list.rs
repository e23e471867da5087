//! Lists: pages of the members whom the caller may see, and of the tenant's groups, labels, roles and permissions.
//!
//! A page costs what it returns, in a tenant of any size: one query, and one more read if the query finds edges; twice that for
//! the beginning of a text. A filter that no key serves makes pages short. For one page, the gate reads [`PAGES`] pages' worth of
//! items at most, in a few queries.

mod known;
mod named;
mod scan;
mod tenants;

use domain::id::{GroupId, RoleId, UserId};
use domain::policy::Action;
use domain::{Catalog, Member, Problem, Record, Status, policy};

use super::Reads;
use super::cursor::Cursors;
use super::facts::{Facts, View};
use super::plan::with_notices;
use super::{Asked, Caller, Who};
use crate::answer::Answer;
use crate::table::Item;
use crate::table::key::{Range, TenantKeys, folded};

pub use named::{NamedList, NamedPage, NamedPageFn, Shown, groups, labels};
pub use tenants::{OwnTenant, TenantPage, TenantPageFn, tenants};

use scan::Scan;

/// How many pages' worth of items the gate reads for one page.
const PAGES: usize = 4;

/// A page that a client asks for.
#[derive(Clone, Debug)]
pub struct Page {
    /// How many things it has at most.
    pub limit: usize,
    /// Where it begins: the `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// The list with its filters and its order. A cursor is good for one list only.
    pub list: String,
}

/// The order of members. Those with the same name come in no particular order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Name,
    Email,
    Id,
}

/// Which members a client asks for. All filters must match.
#[derive(Clone, Debug)]
pub struct MemberList {
    pub sort: Sort,
    pub descending: bool,
    /// A role by its UUID, number or name.
    pub role: Option<String>,
    /// A group; `Some(None)` for an id that cannot exist in the tenant.
    pub group: Option<Option<GroupId>>,
    pub status: Option<Status>,
    /// The whole address.
    pub email: Option<String>,
    pub external_id: Option<String>,
    /// The beginning of the name or of the address, without regard to case; in names without regard to accents, too.
    pub beginning: Option<String>,
}

impl MemberList {
    /// All members, in the order of their ids.
    pub fn by_id() -> Self {
        Self {
            sort: Sort::Id,
            descending: false,
            role: None,
            group: None,
            status: None,
            email: None,
            external_id: None,
            beginning: None,
        }
    }

    /// Whether only members of the group are read.
    fn is_of_the_group(&self) -> bool {
        self.sort == Sort::Id && self.email.is_none() && self.external_id.is_none()
    }
}

/// One page of members.
pub struct MemberPage<'a> {
    pub members: Vec<View<'a>>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of members whom the caller may see.
pub type PageFn<'p> = dyn Fn(&MemberPage) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenant's members.
///
/// # Errors
/// In this order, the first that applies: [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active member,
/// or may not list members), [`Problem::Invalid`] (the cursor).
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
    let group = wanted.group.flatten().filter(|_| wanted.is_of_the_group());
    let mut notices = facts.allow(&Action::List(group), &tenant).map_err(Problem::Forbidden)?;
    let (cursors, start) = opened(&facts, page)?;

    let role = wanted.role.as_ref().map(|role| facts.catalog().role_spelled(role, facts.tenant().id));
    let mut found = Vec::new();
    let next = match (role, wanted.group) {
        // Nobody has a role or a group that does not exist.
        (Some(None), _) | (_, Some(None)) => None,
        (role, group) => {
            let role = role.flatten().map(|role| role.id);
            let filters = Filters { wanted, role, group: group.flatten(), catalog: facts.catalog() };
            let sources = filters.sources(caller.keys(), facts.found().map(UserId::new));
            let visible = |member: &Member| match facts.allow(&Action::Read, &facts.entity(member)) {
                Ok(said) => {
                    notices.extend(said);
                    true
                }
                Err(_) => false,
            };
            let scan = Scan { table: asked.table, keys: caller.keys(), filters: &filters, limit: page.limit };
            scan.page(&sources, start, visible, &mut found).await?
        }
    };
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    if asked.names {
        facts.read_names(asked, &found).await?;
    }
    let page = MemberPage { members: found.iter().map(|member| facts.view(member)).collect(), next_cursor };
    Ok(with_notices(answer(&page), &notices))
}

/// Where members come from.
enum Source {
    /// The items of members.
    Members(Range),
    /// Items that lead to members.
    Edges(Range),
    /// One member.
    One(UserId),
}

struct Filters<'a> {
    wanted: &'a MemberList,
    role: Option<RoleId>,
    group: Option<GroupId>,
    catalog: &'a Catalog,
}

impl Filters<'_> {
    /// The sources whose members can match, in the order of the list.
    fn sources(&self, keys: TenantKeys, found: Option<UserId>) -> Vec<Source> {
        let MemberList { sort, descending, email, external_id, beginning, .. } = self.wanted;
        let range = |prefix, in_index| Range { prefix, in_index, descending: *descending };
        if email.is_some() || external_id.is_some() {
            return found.map(Source::One).into_iter().collect();
        }
        let beginning = beginning.as_deref().unwrap_or_default();
        let by_name = || Source::Members(range(keys.listed_from(beginning), true));
        let by_email = || Source::Edges(range(keys.emails(beginning), false));
        match (sort, self.role, self.group) {
            (Sort::Id, _, Some(group)) => vec![Source::Edges(range(keys.members_of(group), false))],
            (Sort::Id, Some(role), None) => vec![Source::Edges(range(keys.holders(role), false))],
            (Sort::Id, None, None) => vec![Source::Members(range(keys.members(), false))],
            (Sort::Name, ..) if beginning.is_empty() => vec![by_name()],
            (Sort::Email, ..) if beginning.is_empty() => vec![by_email()],
            // Those who match by the other text come last.
            (Sort::Name, ..) => vec![by_name(), by_email()],
            (Sort::Email, ..) => vec![by_email(), by_name()],
        }
    }

    fn match_member(&self, member: &Member) -> bool {
        let MemberList { status, email, external_id, beginning, .. } = self.wanted;
        member.is_present()
            && self.role.is_none_or(|role| member.roles.contains(&role))
            && self.group.is_none_or(|group| member.groups.contains(&group) && !self.catalog.is_retiring(group))
            && status.is_none_or(|status| member.status == status)
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

fn sort_key(item: &Item, name: &str) -> Result<String, Problem> {
    let text = item.get(name).and_then(|value| value.as_s().ok());
    text.cloned().ok_or_else(|| Problem::Internal(format!("an item without {name}")))
}

/// The cursors of a list, and the place where the wanted page begins.
fn opened<'a>(facts: &Facts, page: &'a Page) -> Result<(Cursors<'a>, Option<String>), Problem> {
    let cursors = Cursors::new(&facts.tenant().cursor_secret, &page.list);
    let start = page.cursor.as_ref().map(|cursor| cursors.open(cursor)).transpose()?;
    Ok((cursors, start))
}

/// A defect: we have sealed a place that is none.
fn lost() -> Problem {
    Problem::Internal("a cursor of ours with no place".to_owned())
}
