//! What the asking service says of a question, for the tenant's own policies: they can only forbid, so it can only narrow.
//!
//! No schema knows the names, so they are tags. Each value is a set of texts, and a whole number is a number, too.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::eval::Entity;
use super::format::{Record, Uid, Value};
use super::value::record;

/// The parts of a question that can have properties.
const PARTS: [&str; 4] = ["subject", "action", "resource", "request"];

/// The properties of a question, by their part: `subject`, `action`, `resource`, and `request` for the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties([Tags; PARTS.len()]);

/// Properties by their names. Those of an object within another have the names of both, with a dot between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    texts: Record,
    numbers: Record,
}

impl Properties {
    pub fn new([subject, action, resource, request]: [Tags; PARTS.len()]) -> Self {
        Self([subject, action, resource, request])
    }

    /// The same with other properties of the subject. These win: the table knows them.
    pub fn with_subject<'a>(&self, known: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        let mut all = self.clone();
        let subject = &mut all.0[0];
        for (name, value) in known {
            subject.set(name, value);
        }
        all
    }

    /// The attributes of the context: `resource.getTag("status")`, `numbers.resource.getTag("amount")`.
    pub(super) fn context(&self) -> Vec<(&'static str, Value)> {
        let entity = |kind, part| Value::Entity { uid: Uid::new(kind, part) };
        let numbers = record(PARTS.map(|part| (part, entity(NUMBERS, part))));
        PARTS.map(|part| (part, entity(TEXTS, part))).into_iter().chain([("numbers", Value::Record(numbers))]).collect()
    }

    /// The entities that have the tags.
    pub(super) fn entities(&self) -> Vec<Entity> {
        let entity = |kind, part: &str, tags: &Record| Entity {
            tags: tags.clone(),
            ..Entity::new(Uid::new(kind, part), Record::new(), [].into())
        };
        let parts = PARTS.iter().zip(&self.0);
        parts
            .flat_map(|(part, tags)| [entity(TEXTS, part, &tags.texts), entity(NUMBERS, part, &tags.numbers)])
            .collect()
    }
}

/// The types of the entities.
const TEXTS: &str = "Properties";
const NUMBERS: &str = "Numbers";

/// The most values of a part of a question, and the longest name of one in characters. One body can ask a hundred questions with the same
/// properties, so that each value can be in memory a hundred times.
pub const MAX_VALUES: usize = 100;
pub const MAX_NAME: usize = 250;
/// The largest number that policies can calculate with, without its sign. A larger one is only a text.
pub const MAX_NUMBER: u64 = 1 << 53;

impl Tags {
    /// Reads the members of a JSON object; `None` if there are more than [`MAX_VALUES`], or a name is longer than [`MAX_NAME`]. A policy
    /// cannot see `null`, a fraction that is not written as a text, nor a list or an object within a list.
    pub fn read(members: &Map<String, Json>) -> Option<Self> {
        let mut tags = Self::default();
        let mut left = MAX_VALUES;
        members.iter().try_for_each(|(name, value)| tags.add(name, value, &mut left)).map(|()| tags)
    }

    /// `None` if the name is too long, or there are more values than are left.
    fn add(&mut self, name: &str, value: &Json, left: &mut usize) -> Option<()> {
        if name.chars().count() > MAX_NAME {
            return None;
        }
        if let Json::Object(members) = value {
            let mut inner = members.iter();
            return inner.try_for_each(|(inner, value)| self.add(&format!("{name}.{inner}"), value, left));
        }
        let values: BTreeSet<Value> = match value {
            Json::Array(values) => values.iter().filter_map(text).collect(),
            value => text(value).into_iter().collect(),
        };
        *left = left.checked_sub(values.len().max(1))?;
        if value.is_array() || !values.is_empty() {
            self.texts.insert(Cow::Owned(name.to_owned()), Value::Set(values));
        }
        // So policies can add and subtract what is in a request, and nothing overflows.
        if let Some(number) = value.as_i64().filter(|number| number.unsigned_abs() <= MAX_NUMBER) {
            self.numbers.insert(Cow::Owned(name.to_owned()), Value::Long(number));
        }
        Some(())
    }

    /// One text in place of whatever has that name.
    fn set(&mut self, name: &str, value: &str) {
        self.numbers.remove(name);
        self.texts.insert(Cow::Owned(name.to_owned()), Value::Set([Value::String(value.to_owned())].into()));
    }
}

fn text(value: &Json) -> Option<Value> {
    match value {
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Bool(it) => Some(Value::String(it.to_string())),
        Json::Number(number) => number.as_i64().map(|number| Value::String(number.to_string())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_cannot_make_more_of_its_properties_than_it_has() {
        let read = |json: Json| Tags::read(json.as_object().unwrap());
        let many = |count: usize| json!((0..count).map(|it| (format!("p{it}"), json!(it))).collect::<Map<_, _>>());
        assert!(read(many(MAX_VALUES)).is_some());
        assert_eq!(read(many(MAX_VALUES + 1)), None);
        assert_eq!(read(json!({ "within": many(MAX_VALUES + 1) })), None);
        assert!(read(json!({ "list": (0..MAX_VALUES).collect::<Vec<_>>() })).is_some());
        assert_eq!(read(json!({ "list": (0..=MAX_VALUES).collect::<Vec<_>>() })), None);
        assert!(read(json!({ "n".repeat(MAX_NAME): 1 })).is_some());
        assert_eq!(read(json!({ "n".repeat(MAX_NAME): { "a": 1 } })), None);
    }
}
