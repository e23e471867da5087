//! What the records of the product have in common: a member, a role, and whatever else has a version and an audit chain.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::id::TenantId;
use crate::meta::Meta;
use crate::policy::Action;
use crate::policy::eval::Entity;
use crate::problem::Problem;

/// One thing that the product keeps. A change of it is decided, numbered and put on record in the same way as of any other.
pub trait Record: Clone + PartialEq + Serialize {
    /// What a request wants to become of it.
    type Edit;

    /// What it is called in errors, in events and in keys of the table: a word in lower case.
    const KIND: &'static str;

    /// What tells it from others of its kind in the tenant.
    fn id(&self) -> String;

    /// Whose audit chain its events make.
    fn subject(&self) -> Subject {
        Subject::new(Self::KIND, self.id())
    }

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

/// One record in its tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// [`Record::KIND`]
    pub kind: String,
    pub id: String,
}

impl Subject {
    pub fn new(kind: &str, id: impl ToString) -> Self {
        Self { kind: kind.to_owned(), id: id.to_string() }
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
