//! A thing of the product that Rolecall serves, such as an invoice: what the product writes down of it is in the same record.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{Catalog, Known};
use crate::id::{TenantId, UserId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The longest type of a thing, the longest id and the longest name of what happened, in characters.
pub const MAX_TYPE: usize = 50;
pub const MAX_ID: usize = 180;
pub const MAX_ACTION: usize = 100;

/// The most bytes of what is said of an event, as JSON, and how deep it may be.
pub const MAX_DATA: usize = 16 * 1_024;
pub const MAX_DEPTH: usize = 8;

/// What happened to a thing, in the product's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub action: String,
    pub data: Option<Map<String, Value>>,
    /// The member who did it in the product.
    pub member: Option<UserId>,
}

/// A thing with what happened to it last. The table keeps only the end of its chain: what happened is in the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// The type and the id, with a `:` between them.
    #[serde(skip)]
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<UserId>,
    #[serde(flatten)]
    pub meta: Meta,
}

impl Thing {
    /// A thing of which nothing is written down yet.
    pub fn new(name: &str, now: Time) -> Self {
        Self { name: name.to_owned(), action: None, data: None, member: None, meta: Meta::new(now) }
    }
}

impl Record for Thing {
    type Edit = Happening;

    const KIND: &'static str = "thing";

    fn id(&self) -> String {
        self.name.clone()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &Happening, _: &Known) -> Result<(), Problem> {
        let Happening { action, data, member } = edit.clone();
        (self.action, self.data, self.member) = (Some(action), data, member);
        Ok(())
    }

    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::WriteEvents]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
