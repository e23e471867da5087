//! The attributes that every record has, and the edit of one attribute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::problem::Problem;
use crate::time::Time;

/// The longest name of a thing, in characters.
pub const MAX_NAME: usize = 250;

/// The limits of [`Metadata`]: how many keys there are, and how many characters a key and a value have.
pub const MAX_METADATA: usize = 50;
pub const MAX_METADATA_KEY: usize = 40;
pub const MAX_METADATA_VALUE: usize = 500;

/// The longest id of a thing in another system, in characters.
pub const MAX_EXTERNAL_ID: usize = 250;

/// Texts of the tenant's own about a thing, by their keys. Rolecall keeps them and does nothing with them.
pub type Metadata = BTreeMap<String, String>;

/// The wanted changes of [`Metadata`]: each key gets a new value, or goes. Other keys stay.
pub type MetadataEdit = BTreeMap<String, Option<String>>;

/// Makes the changes.
///
/// # Errors
/// There would be too many keys.
pub fn merge(metadata: &mut Metadata, edit: &MetadataEdit) -> Result<(), Problem> {
    for (key, value) in edit {
        match value {
            Some(value) => drop(metadata.insert(key.clone(), value.clone())),
            None => drop(metadata.remove(key)),
        }
    }
    match metadata.len() > MAX_METADATA {
        true => Err(Problem::LimitReached("keys in the metadata of a thing", MAX_METADATA)),
        false => Ok(()),
    }
}

/// The attributes that every record has: version, chain, times and authors.
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
    /// For a record that is not written yet.
    pub fn new(now: Time) -> Self {
        Self { version: 0, head: String::new(), created_at: now, created_by: None, updated_at: now, updated_by: None }
    }
}

/// The person who made a change, under the name that they had then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub user: UserId,
    pub name: String,
    pub email: String,
}

/// The edit of an attribute: keep it, clear it, or set it.
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

    /// The new value of a list, if it changes. A cleared list is empty.
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

    /// The new value, if there is one.
    pub fn set(self) -> Option<T> {
        if let Patch::Set(value) = self { Some(value) } else { None }
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

/// `None` keeps the attribute.
impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Patch::Keep, Patch::Set)
    }
}

impl<T> Patch<Option<T>> {
    /// `None` clears the attribute.
    pub fn flatten(self) -> Patch<T> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear | Patch::Set(None) => Patch::Clear,
            Patch::Set(Some(value)) => Patch::Set(value),
        }
    }
}
