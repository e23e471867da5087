//! A label of members: their profession.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{LabelId, TenantId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The most labels of a tenant.
pub const MAX_LABELS: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub id: LabelId,
    /// Unique among the labels of the tenant without regard to case.
    pub name: String,
    #[serde(flatten)]
    pub meta: Meta,
}

/// The wanted change of a label. A part that it does not mention stays.
#[derive(Debug, Default)]
pub struct LabelEdit {
    pub name: Option<String>,
}

impl Label {
    /// A label that is not written yet.
    pub fn new(id: LabelId, name: &str, now: Time) -> Self {
        Self { id, name: name.to_owned(), meta: Meta::new(now) }
    }
}

impl Record for Label {
    type Edit = LabelEdit;

    const KIND: &'static str = "label";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &LabelEdit, _: &Known) -> Result<(), Problem> {
        if let Some(name) = &edit.name {
            self.name.clone_from(name);
        }
        Ok(())
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        match self.meta.version == 0 && known.tenant.counts.labels as usize >= MAX_LABELS {
            true => Err(Problem::LimitReached("labels in a tenant", MAX_LABELS)),
            false => Ok(()),
        }
    }

    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::ManageLabels]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::named("Label", self.id, tenant)
    }

    /// A label that is gone can be given no more, so that is a change of the rules.
    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        Tally {
            rules: after.is_none(),
            names: before.is_some() && before.map(|label| &label.name) != after.map(|label| &label.name),
            labels: i64::from(after.is_some()) - i64::from(before.is_some()),
            ..Tally::default()
        }
    }
}
