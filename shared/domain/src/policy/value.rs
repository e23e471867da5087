//! Values of entities and contexts, as policies read them.

use std::borrow::Cow;

use super::format::{Record, Uid, Value};
use crate::id::GroupId;

pub(crate) fn long(rank: u8) -> Value {
    Value::Long(i64::from(rank))
}

pub(crate) fn record(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Record {
    pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()
}

pub(crate) fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

pub(crate) fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Set(texts.into_iter().map(string).collect())
}

pub(crate) fn groups<'a>(ids: impl IntoIterator<Item = &'a GroupId>) -> Value {
    Value::Set(ids.into_iter().map(|id| Value::Entity { uid: Uid::new("Group", id) }).collect())
}
