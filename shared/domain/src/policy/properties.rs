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
            subject.remove(name);
            subject.add(name, &Json::from(value.as_str()));
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

impl Tags {
    /// Reads the members of a JSON object. A policy cannot see `null`, a fraction that is not written as a text, nor a list or an object
    /// within a list.
    pub fn read(members: &Map<String, Json>) -> Self {
        let mut tags = Self::default();
        for (name, value) in members {
            tags.add(name, value);
        }
        tags
    }

    fn add(&mut self, name: &str, value: &Json) {
        let text = |value: &Json| match value {
            Json::String(text) => Some(Value::String(text.clone())),
            Json::Bool(it) => Some(Value::String(it.to_string())),
            Json::Number(number) => number.as_i64().map(|number| Value::String(number.to_string())),
            _ => None,
        };
        let values: BTreeSet<Value> = match value {
            Json::Object(members) => {
                return members.iter().for_each(|(inner, value)| self.add(&format!("{name}.{inner}"), value));
            }
            Json::Array(values) => values.iter().filter_map(text).collect(),
            value => text(value).into_iter().collect(),
        };
        let name = || Cow::Owned(name.to_owned());
        if value.is_array() || !values.is_empty() {
            self.texts.insert(name(), Value::Set(values));
        }
        if let Some(number) = value.as_i64() {
            self.numbers.insert(name(), Value::Long(number));
        }
    }

    fn remove(&mut self, name: &str) {
        self.texts.remove(name);
        self.numbers.remove(name);
    }
}
