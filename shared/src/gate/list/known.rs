//! Lists of what is in memory: roles and permissions.

use domain::id::RoleId;
use domain::role::Permission;
use domain::{Group, Job, Origin, Problem, Role, Tenant};

use super::named::Shown;
use super::{Page, lost, opened};
use crate::gate::facts::{Facts, Unseen, View};
use crate::gate::plan::Reading;

/// One page of things that are in memory, in an order: those behind the cursor, and the cursor to the next page.
///
/// # Errors
/// [`Problem::Invalid`]: the cursor.
pub(in crate::gate) fn page_of<T, K: Ord + ToString>(
    facts: &Facts,
    page: &Page,
    things: impl Iterator<Item = T>,
    key: impl Fn(&T) -> K,
    parse: impl Fn(&str) -> Option<K>,
) -> Result<(Vec<T>, Option<String>), Problem> {
    let (cursors, start) = opened(facts, page)?;
    let start = start.map(|place| parse(&place).ok_or_else(lost)).transpose()?;
    let mut behind = things.filter(|thing| start.as_ref().is_none_or(|start| key(thing) > *start));
    let shown: Vec<T> = behind.by_ref().take(page.limit).collect();
    let next = match (behind.next(), shown.last()) {
        (Some(_), Some(last)) => Some(cursors.seal(&key(last).to_string())?),
        _ => None,
    };
    Ok((shown, next))
}

/// Every active member of a tenant may know the tenant, its groups, its roles and their permissions.
impl<'f> Reading<'f> {
    /// The group that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn group(&self) -> Result<Shown<'f, Group>, Problem> {
        self.facts.group().map(|Unseen(group)| self.facts.shown(group))
    }

    /// The job that [`Reads`] named.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn job(&self) -> Result<&'f Job, Problem> {
        self.facts.job().map(|Unseen(job)| job)
    }

    pub fn tenant(&self) -> &'f Tenant {
        self.facts.tenant()
    }

    /// A role, built in or the tenant's own.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn role(&self, role: Option<RoleId>) -> Result<&'f Role, Problem> {
        self.facts.role(role).map(|Unseen(role)| role)
    }

    /// A page of the roles, built-in ones too, in the order of their numbers; and the cursor to the next page. With an id in another
    /// system only the role that has it.
    ///
    /// # Errors
    /// [`Problem::Invalid`]: the cursor.
    pub fn roles(&self, external_id: Option<&str>, page: &Page) -> Result<(Vec<&'f Role>, Option<String>), Problem> {
        let is_wanted = |role: &&Role| external_id.is_none_or(|id| role.external_id.as_deref() == Some(id));
        let roles = self.facts.catalog().all_roles().filter(is_wanted);
        page_of(self.facts, page, roles, |role| role.id.number(), |text| text.parse().ok())
    }

    /// A page of the permissions that a member's roles grant or deny, in the order of their names; and the cursor to the next page.
    ///
    /// # Errors
    /// [`Problem::Invalid`]: the cursor.
    pub fn origins(&self, view: &View<'f>, page: &Page) -> Result<(Vec<Origin<'f>>, Option<String>), Problem> {
        let all = view.catalog.origins(&view.catalog.roles_of(view.member));
        page_of(self.facts, page, all.into_iter(), |it| it.permission.to_owned(), |text| Some(text.to_owned()))
    }

    /// A page of all permissions that a role grants or denies, in the order of their names; and the cursor to the next page.
    ///
    /// # Errors
    /// [`Problem::Invalid`]: the cursor.
    pub fn permissions(&self, page: &Page) -> Result<(Vec<&'f Permission>, Option<String>), Problem> {
        let all = self.facts.catalog().all_permissions().into_iter();
        page_of(self.facts, page, all, |permission| permission.name.clone(), |text| Some(text.to_owned()))
    }
}
