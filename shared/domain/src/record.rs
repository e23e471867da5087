//! What the records of the product have in common: a member, a role, and whatever else has a version and an audit chain.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::id::{RoleId, TenantId, UserId};
use crate::member::Member;
use crate::policy::Action;
use crate::policy::eval::Entity;
use crate::problem::Problem;
use crate::time::Time;

/// One thing that the product keeps. A change of it is decided, numbered and put on record in the same way as of any other.
pub trait Record: Clone + PartialEq + Serialize {
    /// What a request wants to become of it.
    type Edit;

    /// Whose audit chain its events make.
    fn subject(&self) -> Subject;

    fn meta(&self) -> &Meta;

    fn meta_mut(&mut self) -> &mut Meta;

    /// Makes an edit, as far as what it refers to exists.
    ///
    /// # Errors
    /// The first thing that does not exist. The caller is told of it only if the decision lets them make the edit.
    fn apply(&mut self, edit: &Self::Edit, catalog: &Catalog) -> Result<(), Problem>;

    /// Whether a new record fits among the others of its tenant.
    ///
    /// # Errors
    /// Why not. The caller is told only if the decision lets them make the record.
    fn fits(&self, _: &Catalog) -> Result<(), Problem> {
        Ok(())
    }

    /// What a change amounts to: all of it has to be allowed.
    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>>;

    /// The record as policies know it.
    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity;

    /// What a change does to the tenant.
    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally;

    /// Sets what follows from a change, once the record has its new version.
    fn settle(&mut self, _before: Option<&Self>) {}
}

/// A change of a record.
pub enum Change<'a, R: Record> {
    Create(&'a R),
    /// An edit, and what it makes of the record as far as that can be.
    Update {
        before: &'a R,
        after: &'a R,
        edit: &'a R::Edit,
    },
    Delete(&'a R),
}

/// What each record has, beside what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// 1 for a new record, and raised by one with every change; the `etag`.
    pub version: u64,
    /// The hash of the event that made this version: the head of the record's audit chain.
    pub head: String,
    pub created_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    pub updated_at: Time,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<Actor>,
}

impl Meta {
    /// That of a record which is not written yet.
    pub fn new(now: Time) -> Self {
        Self { version: 0, head: String::new(), created_at: now, created_by: None, updated_at: now, updated_by: None }
    }
}

/// Who did something, as they were called then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub user: UserId,
    pub name: String,
    pub email: String,
}

impl From<&Member> for Actor {
    fn from(member: &Member) -> Self {
        Self { user: member.user, name: member.label(), email: member.email.clone() }
    }
}

/// One record in its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "lowercase")]
pub enum Subject {
    Member(UserId),
    Role(RoleId),
}

impl Subject {
    /// What it is called in errors.
    pub fn kind(self) -> &'static str {
        match self {
            Subject::Member(_) => "member",
            Subject::Role(_) => "role",
        }
    }
}

/// What a change does to its tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many owners the tenant gains or loses.
    pub owners: i64,
    /// Whether the tenant's rules change: its catalog gets a new version.
    pub rules: bool,
}

/// What a request says of an attribute: nothing, that it goes, or what it becomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<T> Patch<T> {
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(value) => Patch::Set(f(value)),
        }
    }

    /// What a list becomes, if anything: to clear it is to empty it.
    pub fn value_or_default(self) -> Option<T>
    where
        T: Default,
    {
        match self {
            Patch::Keep => None,
            Patch::Clear => Some(T::default()),
            Patch::Set(value) => Some(value),
        }
    }

    pub fn is_keep(&self) -> bool {
        matches!(self, Patch::Keep)
    }

    /// Makes the change of an attribute.
    pub fn apply(&self, attribute: &mut Option<T>)
    where
        T: Clone,
    {
        match self {
            Patch::Keep => {}
            Patch::Clear => *attribute = None,
            Patch::Set(value) => *attribute = Some(value.clone()),
        }
    }
}

impl<T> Patch<Option<T>> {
    /// To set nothing is to clear.
    pub fn flatten(self) -> Patch<T> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear | Patch::Set(None) => Patch::Clear,
            Patch::Set(Some(value)) => Patch::Set(value),
        }
    }
}
