//! Parameters behind the `?`. Each is a text.

use domain::Time;
use domain::id::Id;
use domain::problem::{Fault, Step, Wrong};
use serde_json::{Map, Value};

use super::{Object, Text, Wire, wrong};

/// The longest text of a parameter that has no narrower limit, in characters.
const MAX_PARAMETER: usize = 250;

impl Object {
    /// The parameters behind the `?` of a request, as texts. A parameter that is there twice is a fault. Only the one
    /// that `several` names may be: it is an array of texts.
    pub(crate) fn of_query(query: &str, several: Option<&str>) -> Self {
        Self::of_pairs("query", query.as_bytes(), several)
    }

    /// The fields of a body that is a form (`application/x-www-form-urlencoded`), as texts.
    pub(crate) fn of_form(body: &[u8]) -> Self {
        Self::of_pairs("body", body, None)
    }

    fn of_pairs(part: &'static str, pairs: &[u8], several: Option<&str>) -> Self {
        let mut object = Self { part: Some(part), members: Map::new(), faults: Vec::new() };
        for (name, value) in form_urlencoded::parse(pairs) {
            let value = Value::from(value.into_owned());
            if several == Some(&*name) {
                match object.members.get_mut(&*name).and_then(Value::as_array_mut) {
                    Some(values) => values.push(value),
                    None => drop(object.members.insert(name.into_owned(), vec![value].into())),
                }
            } else if object.members.insert(name.to_string(), value).is_some() {
                let name = Step::Name(name.into_owned().into());
                object.refuse(Fault::here(Wrong::Syntax("given at most once")).within(name));
            }
        }
        object
    }
}

/// The decimal digits of an integer from 1 to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<const MAX: usize>(pub usize);

impl<const MAX: usize> Wire for Count<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let digits = value.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(number @ 1..) if number <= MAX => Ok(Self(number)),
            _ => wrong(Wrong::OutOfRange(1, MAX as i64)),
        }
    }
}

/// A moment, as RFC 3339 writes it.
impl Wire for Time {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let syntax = Wrong::Syntax("a time such as `2026-11-22T14:40:17Z`");
        serde_json::from_value(value).or_else(|_| wrong(syntax))
    }
}

/// An integer of any size in its one spelling, as text: an id that may be out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits(pub String);

impl Wire for Digits {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Text(text) = Text::<MAX_PARAMETER>::read(value)?;
        if is_integer(&text) { Ok(Self(text)) } else { wrong(Wrong::Type("an integer")) }
    }
}

impl Digits {
    /// The id with this number; `None` if it is out of range.
    pub fn id<const KIND: u8>(&self) -> Option<Id<KIND>> {
        Id::try_from(self.0.parse::<i64>().ok()?).ok()
    }
}

/// Whether a text is an integer of any size in its one spelling: `08`, `1.0` and `-0` are none.
pub fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_spelled_so = text == "0" || !digits.is_empty() && !digits.starts_with('0');
    is_spelled_so && digits.bytes().all(|byte| byte.is_ascii_digit())
}
