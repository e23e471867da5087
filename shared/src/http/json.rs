//! Strict JSON: absent, `null` and a value are three things, and an answer tells all faults of a request at once.

mod list;
mod names;
mod number;
mod query;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use domain::id::parse_uuid;
use domain::meta::{MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE};
use domain::problem::{Fault, Problem, Step, Wrong};
use domain::text::{has_hidden, is_blank, is_control};
use domain::{MetadataEdit, Patch};

pub(crate) use list::list_of_body;
pub use names::{Domain, Iss, Several, Slug, Visible};
pub use query::{Count, Digits, is_integer};

/// serde_json's message, without the text that the caller sent.
fn explain(why: &serde_json::Error) -> String {
    let what = match why.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "a key is repeated",
        _ => "a syntax error",
    };
    format!("{what} at line {} column {}", why.line(), why.column())
}

/// Reads a JSON value and refuses repeated keys. It puts these numbers in place of the floats, in the order of the text.
#[derive(Clone, Copy)]
struct Strict<'a>(&'a RefCell<std::vec::IntoIter<Value>>);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(self.0.borrow_mut().next().unwrap_or_else(|| it.into()))
    }
    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.insert(key, map.next_value_seed(self)?).is_some() {
                return Err(de::Error::custom("repeated key"));
            }
        }
        Ok(object.into())
    }
}

fn read_with(text: &[u8], floats: Vec<Value>) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict(&RefCell::new(floats.into_iter())).deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Whether bytes are JSON without repeated keys.
pub(crate) fn read_strict(bytes: &[u8]) -> Option<Value> {
    read_with(bytes, Vec::new()).ok()
}

/// Reads a JSON value without repeated keys, and its numbers exactly. An integer that is too large for an `i64` becomes the
/// largest or smallest `i64`, and each fraction becomes 0.5: no type takes either.
pub(crate) fn read_exactly(text: &[u8]) -> serde_json::Result<Value> {
    let floats = number::floats(text);
    let mut text = Cow::Borrowed(text);
    for (place, _) in &floats {
        // serde_json reads another float of the same length, so that places in the text stay. `-0` is a float already.
        if let [one, point, zeros @ ..] = &mut text.to_mut()[place.clone()]
            && !zeros.is_empty()
        {
            (*one, *point) = (b'1', b'.');
            zeros.fill(b'0');
        }
    }
    read_with(&text, floats.into_iter().map(|(_, value)| value).collect())
}

/// A type that a value of a body can have.
pub trait Wire: Sized {
    fn read(value: Value) -> Result<Self, Vec<Fault>>;
}

fn wrong<T>(wrong: Wrong) -> Result<T, Vec<Fault>> {
    Err(vec![Fault::here(wrong)])
}

/// One JSON object of a request. Its readers take members by name and collect the faults, so that one answer tells all of
/// them. Members that nobody reads are ignored.
#[derive(Debug)]
pub struct Object {
    /// The part of the request that the object is; `None` for an object inside of another value.
    part: Option<&'static str>,
    members: Map<String, Value>,
    faults: Vec<Fault>,
}

/// A value is missing or wrong. Only the [`Object`] that has kept the fault makes one.
#[derive(Debug)]
pub struct Faulty(());

impl Object {
    /// Reads a body that must be one JSON object. A repeated key at any depth and trailing text make it malformed.
    pub fn of_body(body: &[u8]) -> Result<Self, Problem> {
        let value = read_exactly(body).map_err(|why| Problem::InvalidJson(explain(&why)))?;
        Ok(Self::of(value, Some("body"))?)
    }

    /// Reads the event of a function that the operator invokes.
    pub fn of_event(event: &Value) -> Result<Self, Problem> {
        Ok(Self::of(event.clone(), Some("body"))?)
    }

    /// The object of a request without a body. It has no members, and only collects faults of other parts.
    pub(crate) fn empty() -> Self {
        Self { part: None, members: Map::new(), faults: Vec::new() }
    }

    fn of(value: Value, part: Option<&'static str>) -> Result<Self, Vec<Fault>> {
        let mut object = Self { part, members: Map::new(), faults: Vec::new() };
        match value {
            Value::Object(members) => object.members = members,
            _ => object.refuse(Fault::here(Wrong::Type("an object"))),
        }
        if object.is_sound() { Ok(object) } else { Err(object.faults) }
    }

    /// Returns the value that `read` makes of the members, or all faults.
    pub fn all<T>(mut self, read: impl FnOnce(&mut Self) -> Result<T, Faulty>) -> Result<T, Vec<Fault>> {
        match read(&mut self) {
            Ok(read) if self.faults.is_empty() => Ok(read),
            _ => Err(self.faults),
        }
    }

    /// Takes a member that must be there.
    pub fn required<T: Wire>(&mut self, name: &'static str) -> Result<T, Faulty> {
        self.take(name).and_then(T::read).map_err(|faults| self.refuse_all(name, faults))
    }

    fn take(&mut self, name: &str) -> Result<Value, Vec<Fault>> {
        match self.members.remove(name) {
            None => wrong(Wrong::Missing),
            Some(Value::Null) => wrong(Wrong::Null),
            Some(value) => Ok(value),
        }
    }

    fn refuse_all(&mut self, name: &'static str, faults: Vec<Fault>) -> Faulty {
        faults.into_iter().for_each(|fault| self.refuse(fault.within(name)));
        Faulty(())
    }

    /// Takes a member that may be absent, but not `null`. A wrong one is `None`, too, and then [`Object::all`] fails.
    pub fn optional<T: Wire>(&mut self, name: &'static str) -> Option<T> {
        if self.members.contains_key(name) { self.required(name).ok() } else { None }
    }

    /// Takes a member that may be absent, or `null` to clear it. A wrong one is kept, and then [`Object::all`] fails.
    pub fn clearable<T: Wire>(&mut self, name: &'static str) -> Patch<T> {
        match self.members.get(name) {
            None => Patch::Keep,
            Some(Value::Null) => Patch::Clear,
            Some(_) => self.required(name).map_or(Patch::Keep, Patch::Set),
        }
    }

    /// Adds a fault that no single member shows. Its place begins within the object.
    pub fn refuse(&mut self, fault: Fault) {
        self.faults.push(match self.part {
            Some(part) => fault.within(part),
            None => fault,
        });
    }

    /// Takes a value from elsewhere in the request, such as a header. Its fault joins those of the object.
    pub fn join<T>(&mut self, value: Result<T, Fault>) -> Result<T, Faulty> {
        value.map_err(|fault| {
            self.faults.push(fault);
            Faulty(())
        })
    }

    /// Whether no fault was found yet.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}

/// For an object inside of another value: `Object::read(value)?.all(…)`.
impl Wire for Object {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Self::of(value, None)
    }
}

/// Text of 1 to `MAX` characters: trimmed, in Unicode's normal form C, without control characters. It has a visible character, and
/// hidden ones only where a script or an emoji needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Wire for Text<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        read_text(value, MAX).map(Self)
    }
}

// No part of `Text`, so that no function compiles it again for each length.
fn read_text(value: Value, max: usize) -> Result<String, Vec<Fault>> {
    let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
    let text: String = text.trim().nfc().collect();
    if text.chars().any(is_control) {
        wrong(Wrong::ControlCharacter)
    } else if is_blank(&text) {
        wrong(Wrong::Empty)
    } else if has_hidden(&text) {
        wrong(Wrong::HiddenCharacter)
    } else if text.chars().count() > max {
        wrong(Wrong::TooLong(max))
    } else {
        Ok(text)
    }
}

/// A text of at most `MAX` characters, as it is: an id of somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verbatim<const MAX: usize>(pub String);

impl<const MAX: usize> Wire for Verbatim<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
        if text.chars().count() > MAX { wrong(Wrong::TooLong(MAX)) } else { Ok(Self(text)) }
    }
}

/// The members of an object, whatever they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent))]
pub struct Members(pub Map<String, Value>);

impl Wire for Members {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => wrong(Wrong::Type("an object")),
        }
    }
}

/// A [`Text`], or `None` for an empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextOrEmpty<const MAX: usize>(pub Option<String>);

impl<const MAX: usize> Wire for TextOrEmpty<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match Text::<MAX>::read(value) {
            Err(faults) if faults[0].wrong == Wrong::Empty => Ok(Self(None)),
            read => read.map(|text| Self(Some(text.0))),
        }
    }
}

/// An e-mail address of 3 to 254 characters: something, an `@`, and a domain, without spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(pub String);

impl Wire for Address {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let address = read_text(value, MAX_ADDRESS)?;
        let is_domain = |domain: &str| {
            domain.split('.').all(|label| {
                let is_plain = label.chars().all(|it| it.is_alphanumeric() || it == '-');
                is_plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
            })
        };
        let is_local = |local: &str| !local.is_empty() && local.chars().all(|it| !it.is_whitespace() && it != '@');
        match address.rsplit_once('@') {
            Some((local, domain)) if is_local(local) && is_domain(domain) => Ok(Self(address)),
            _ => wrong(Wrong::Syntax("an e-mail address")),
        }
    }
}

/// The longest e-mail address, in characters (RFC 5321, with the erratum 1690).
pub const MAX_ADDRESS: usize = 254;

/// The wanted changes of metadata: `{"key": "new value", "other": null}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataPatch(pub MetadataEdit);

impl Wire for MetadataPatch {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::Object(members) = value else { return wrong(Wrong::Type("an object")) };
        let (mut read, mut faults) = (MetadataEdit::new(), Vec::new());
        let many = members.len() > MAX_METADATA;
        for (name, value) in members {
            let key = read_text(Value::String(name.clone()), MAX_METADATA_KEY);
            let value = match value {
                Value::Null => Ok(None),
                value => TextOrEmpty::<MAX_METADATA_VALUE>::read(value).map(|text| Some(text.0.unwrap_or_default())),
            };
            match (key, value) {
                (Ok(key), Ok(value)) => {
                    if read.insert(key, value).is_some() {
                        faults.push(Fault::here(Wrong::Syntax("given only once")).within(Step::Name(name.into())));
                    }
                }
                (key, value) => {
                    let wrong = key.err().into_iter().chain(value.err()).flatten();
                    faults.extend(wrong.map(|fault| fault.within(Step::Name(name.clone().into()))));
                }
            }
        }
        if many {
            faults = vec![Fault::here(Wrong::TooLong(MAX_METADATA))];
        }
        if faults.is_empty() { Ok(Self(read)) } else { Err(faults) }
    }
}

/// The largest integer that JavaScript can hold.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// An integer that JavaScript can hold.
impl Wire for i64 {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::Number(number) if number.is_f64() => wrong(Wrong::Type("an integer")),
            Value::Number(number) => match number.as_i64() {
                Some(number) if (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&number) => Ok(number),
                _ => wrong(Wrong::OutOfRange(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)),
            },
            _ => wrong(Wrong::Type("an integer")),
        }
    }
}

/// An integer within these bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within<const LEAST: u32, const MOST: u32>(pub u32);

impl<const LEAST: u32, const MOST: u32> Wire for Within<LEAST, MOST> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let number = u32::try_from(i64::read(value)?).ok().filter(|number| (LEAST..=MOST).contains(number));
        number.map_or_else(|| wrong(Wrong::OutOfRange(LEAST.into(), MOST.into())), |number| Ok(Self(number)))
    }
}

impl Wire for bool {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        value.as_bool().map_or_else(|| wrong(Wrong::Type("a boolean")), Ok)
    }
}

impl Wire for Uuid {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
        parse_uuid(text.trim()).map_or_else(|| wrong(Wrong::Uuid), Ok)
    }
}
