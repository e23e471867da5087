//! The attributes that every record has, and the edit of one attribute.

use serde::{Deserialize, Serialize};

use crate::id::UserId;
use crate::time::Time;

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
    /// `None` clears the attribute.
    pub fn flatten(self) -> Patch<T> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear | Patch::Set(None) => Patch::Clear,
            Patch::Set(Some(value)) => Patch::Set(value),
        }
    }
}
