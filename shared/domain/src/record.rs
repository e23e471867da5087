//! The trait of all records: a member, a role, and everything else with a version and an audit chain.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{TenantId, UserId};
use crate::meta::Meta;
use crate::policy::Action;
use crate::policy::eval::Entity;
use crate::problem::Problem;

/// One thing that the product keeps. The gate decides, numbers and records a change of each kind in the same way.
pub trait Record: Clone + PartialEq + Serialize {
    /// The wanted changes of a record.
    type Edit;

    /// Its name in errors, in events and in keys of the table: a word in lower case.
    const KIND: &'static str;

    /// The id among the records of this kind in the tenant.
    fn id(&self) -> String;

    /// The subject of its audit chain.
    fn subject(&self) -> Subject {
        Subject::new(Self::KIND, self.id())
    }

    fn meta(&self) -> &Meta;

    fn meta_mut(&mut self) -> &mut Meta;

    /// The version that a client can know, for `If-Match`.
    fn shown_version(&self) -> u64 {
        self.meta().version
    }

    /// Makes an edit. It leaves out parts that refer to things that do not exist.
    ///
    /// # Errors
    /// The first thing that does not exist. The caller gets this error only if the decision allows the edit.
    fn apply(&mut self, edit: &Self::Edit, known: &Known) -> Result<(), Problem>;

    /// Whether a new or changed record fits among the others of its tenant.
    ///
    /// # Errors
    /// Why not. The caller gets this error only if the decision allows the change.
    fn fits(&self, _: &Known) -> Result<(), Problem> {
        Ok(())
    }

    /// The actions of a change. The change needs permission for each of them.
    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>>;

    /// The record in the form that policies read.
    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity;

    /// A record that is not written yet, in the form that policies read.
    fn new_entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        self.entity(tenant, catalog)
    }

    /// What a change does to the tenant.
    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally;

    /// Sets attributes that follow from a change, once the record has its new version.
    fn settle(&mut self, _before: Option<&Self>) {}
}

/// A change of a record.
pub enum Change<'a, R: Record> {
    Create(&'a R),
    /// An edit, with the record before and after.
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
    /// Whether a name changes that requests may have in memory: the names get a new version.
    pub names: bool,
    /// The member whose seat changes, and by how many.
    pub seat: Option<(UserId, i64)>,
    /// How many groups, labels, issuers, API keys, policies, webhooks and claimed domains the tenant gains or loses.
    pub groups: i64,
    pub labels: i64,
    pub issuers: i64,
    pub keys: i64,
    pub webhooks: i64,
    pub domains: i64,
    pub policies: i64,
}
