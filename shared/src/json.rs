//! Reading a body strictly: absent, `null` and a value are three things, and all that is wrong is reported at once.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::id::parse_uuid;
use crate::problem::{Fault, Problem, Step, Wrong};

/// Reads a body that must be one JSON object. A repeated key at any depth and trailing text are no JSON here.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let value = read_exactly(body).map_err(|why| Problem::InvalidJson(explain(&why)))?;
    if !value.is_object() {
        return Err(Problem::Invalid(vec![Fault::here(Wrong::Type("an object")).within("body")]));
    }
    // A wire type takes any value for each of its fields, see `Field`.
    serde_json::from_value(value).map_err(|why| Problem::Internal(format!("a wire type refused an object: {why}")))
}

/// What serde_json says without what the caller sent.
fn explain(why: &serde_json::Error) -> String {
    let what = match why.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "a key is repeated",
        _ => "a syntax error",
    };
    format!("{what} at line {} column {}", why.line(), why.column())
}

/// A JSON value without repeated keys. In the place of its floats it gets these, in the order of the text.
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

// ---- Numbers
//
// To JSON a number is an integer if it has no fraction, however it is written. serde_json makes a rounded float of `1.0`, as
// of what is next to it, and an error of `1e400`. So these are found before, and read here. (Its feature
// `arbitrary_precision` would keep each number of all our dependencies as text, and take an object with a certain key for one.)

/// The same, and of its numbers those that are integers as such. One too large for an `i64` is the largest or smallest of
/// these, and a fraction is any fraction: no field takes either.
fn read_exactly(text: &[u8]) -> serde_json::Result<Value> {
    let floats = floats(text);
    let mut text = Cow::Borrowed(text);
    for (place, _) in &floats {
        // Any other float that is as long, so that places in the text stay, but for `-0`, which is one already.
        if let [one, point, zeros @ ..] = &mut text.to_mut()[place.clone()]
            && !zeros.is_empty()
        {
            (*one, *point) = (b'1', b'.');
            zeros.fill(b'0');
        }
    }
    read_with(&text, floats.into_iter().map(|(_, value)| value).collect())
}

/// The numbers that serde_json would make floats of: where they are and what they are.
fn floats(text: &[u8]) -> Vec<(Range<usize>, Value)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let rest = &text[at..];
        at += match byte {
            b'"' => 1 + length_of_string(&rest[1..]),
            b'-' | b'0'..=b'9' => {
                let part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(part).count();
                let number = std::str::from_utf8(&rest[..length]).ok().and_then(float);
                found.extend(number.map(|number| (at..at + length, number)));
                length
            }
            _ => 1,
        };
    }
    found
}

/// How long the rest of a string is, its closing quote included.
fn length_of_string(rest: &[u8]) -> usize {
    let mut escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}

/// What a number is that serde_json would make a float of; `None` for another one, and for what is no number.
fn float(text: &str) -> Option<Value> {
    if text != "-0" && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()) {
        return None;
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let no_zeros_before = whole == "0" || !whole.starts_with('0');
    let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if ![whole, fraction, power].into_iter().all(is_number) || !no_zeros_before {
        return None;
    }
    let overflow = if exponent.starts_with('-') { i64::MIN } else { i64::MAX };
    let exponent: i64 = exponent.parse().unwrap_or(overflow);

    // The number is `significant` times ten to the power of `exponent`.
    let all = [whole, fraction].concat();
    let significant = all.trim_end_matches('0');
    let exponent =
        exponent.saturating_add((all.len() - significant.len()) as i64).saturating_sub(fraction.len() as i64);
    let significant = significant.trim_start_matches('0');
    Some(match usize::try_from(exponent) {
        _ if significant.is_empty() => 0.into(),
        Err(_) => 0.5.into(),
        // An `i64` has at most 19 digits.
        Ok(zeros @ ..19) => {
            format!("{sign}{significant}{}", "0".repeat(zeros)).parse().unwrap_or(too_large(sign)).into()
        }
        Ok(_) => too_large(sign).into(),
    })
}

fn too_large(sign: &str) -> i64 {
    if sign.is_empty() { i64::MAX } else { i64::MIN }
}

/// A type that a value in a body is read as.
pub trait Wire: Sized {
    fn read(value: Value) -> Result<Self, Vec<Fault>>;
}

fn wrong<T>(wrong: Wrong) -> Result<T, Vec<Fault>> {
    Err(vec![Fault::here(wrong)])
}

/// A field of a wire type, of which `P` tells whether it must be there. Deserialising one never fails: what is wrong with it
/// is kept until all fields are read.
#[derive(Debug)]
pub struct Field<T, P> {
    said: Said<T>,
    presence: PhantomData<P>,
}

/// A field that must have a value.
pub type Required<T> = Field<T, Must>;

/// A field that may be absent, but not `null`.
pub type Optional<T> = Field<T, May>;

/// A field that may be absent, or `null` to clear it.
pub type Clearable<T> = Field<T, MayClear>;

/// Whether a field must be there, and may be `null`.
pub trait Presence {
    const REQUIRED: bool;
    const NULLABLE: bool;
}

#[derive(Debug)]
pub enum Must {}
#[derive(Debug)]
pub enum May {}
#[derive(Debug)]
pub enum MayClear {}

impl Presence for Must {
    const REQUIRED: bool = true;
    const NULLABLE: bool = false;
}

impl Presence for May {
    const REQUIRED: bool = false;
    const NULLABLE: bool = false;
}

impl Presence for MayClear {
    const REQUIRED: bool = false;
    const NULLABLE: bool = true;
}

#[derive(Debug)]
enum Said<T> {
    Nothing,
    Null,
    Value(T),
    Wrong(Vec<Fault>),
}

impl<T, P> Default for Field<T, P> {
    fn default() -> Self {
        Self { said: Said::Nothing, presence: PhantomData }
    }
}

impl<'de, T: Wire, P> Deserialize<'de> for Field<T, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = match Value::deserialize(deserializer)? {
            Value::Null => Said::Null,
            value => T::read(value).map_or_else(Said::Wrong, Said::Value),
        };
        Ok(Self { said, presence: PhantomData })
    }
}

/// What a request says of an attribute: nothing, that it goes, or what it becomes.
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

    /// What a list becomes, if anything: to clear it is to empty it.
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
}

impl<T> Patch<Option<T>> {
    /// To set nothing is to clear.
    pub fn flatten(self) -> Patch<T> {
        match self {
            Patch::Keep => Patch::Keep,
            Patch::Clear | Patch::Set(None) => Patch::Clear,
            Patch::Set(Some(value)) => Patch::Set(value),
        }
    }
}

/// Collects what is wrong with a request while its parts are read.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    fn keep(&mut self, name: &'static str, faults: Vec<Fault>) {
        self.0.extend(faults.into_iter().map(|fault| fault.within(name).within("body")));
    }

    /// Where the field has no value, the result is `None` and [`Faults::check`] fails.
    pub fn required<T>(&mut self, name: &'static str, field: Required<T>) -> Option<T> {
        self.value(name, field.said)
    }

    pub fn optional<T>(&mut self, name: &'static str, field: Optional<T>) -> Option<T> {
        match field.said {
            Said::Nothing => None,
            said => self.value(name, said),
        }
    }

    pub fn clearable<T>(&mut self, name: &'static str, field: Clearable<T>) -> Patch<T> {
        match field.said {
            Said::Nothing => Patch::Keep,
            Said::Null => Patch::Clear,
            said => self.value(name, said).map_or(Patch::Keep, Patch::Set),
        }
    }

    fn value<T>(&mut self, name: &'static str, said: Said<T>) -> Option<T> {
        match said {
            Said::Value(value) => return Some(value),
            Said::Nothing => self.keep(name, vec![Fault::here(Wrong::Missing)]),
            Said::Null => self.keep(name, vec![Fault::here(Wrong::Null)]),
            Said::Wrong(faults) => self.keep(name, faults),
        }
        None
    }

    /// Something wrong that no single field shows.
    pub fn add(&mut self, place: impl IntoIterator<Item = &'static str>, wrong: Wrong) {
        self.0.push(Fault { place: place.into_iter().map(Step::from).collect(), wrong });
    }

    /// For an object inside the body: its faults without the `body` in front, which the object itself will get.
    pub fn nested(mut self) -> Vec<Fault> {
        self.0.iter_mut().for_each(|fault| drop(fault.place.remove(0)));
        self.0
    }

    /// 400 if anything was wrong.
    pub fn check(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::Invalid(self.0)) }
    }
}

/// Text of 1 to `MAX` characters, some of them visible: trimmed, in Unicode's normal form C, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Wire for Text<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
        let text: String = text.trim().nfc().collect();
        if text.chars().any(is_control) {
            wrong(Wrong::ControlCharacter)
        } else if is_blank(&text) {
            wrong(Wrong::Empty)
        } else if text.chars().count() > MAX {
            wrong(Wrong::TooLong(MAX))
        } else {
            Ok(Self(text))
        }
    }
}

/// Control characters, and those of Unicode that turn the direction of all text up to their end: with them, a name reads as
/// another, and so does what stands around it. The marks U+061C, U+200E and U+200F stay: they move no letter, and names of
/// Arabic and Hebrew letters beside digits or points need them.
fn is_control(it: char) -> bool {
    it.is_control() || matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether nothing of a text is to be seen: spaces, and what Unicode lets be ignored where it cannot be shown
/// (`Default_Ignorable_Code_Point`), such as joiners, marks of direction, fillers, variation selectors and tags.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|it| {
        it.is_whitespace()
            || matches!(it,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
    })
}

/// The same, or nothing for an empty text.
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

impl Wire for Uuid {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
        parse_uuid(text.trim()).map_or_else(|| wrong(Wrong::Uuid), Ok)
    }
}

/// Elements are read like fields that must have a value.
impl<T: Wire> Wire for Vec<T> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::Array(values) = value else { return wrong(Wrong::Type("an array")) };
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::Null => faults.push(Fault::here(Wrong::Null).within(Step::Index(index))),
                value => match T::read(value) {
                    Ok(value) => read.push(value),
                    Err(wrong) => faults.extend(wrong.into_iter().map(|fault| fault.within(Step::Index(index)))),
                },
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}

/// An object is read as the wire type `T`, which then says for itself what is wrong with its fields.
pub fn object<T: DeserializeOwned>(value: Value) -> Result<T, Vec<Fault>> {
    if !value.is_object() {
        return wrong(Wrong::Type("an object"));
    }
    serde_json::from_value(value).map_err(|_| vec![Fault::here(Wrong::Type("an object"))])
}
