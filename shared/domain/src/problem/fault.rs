//! Faults of a request, each with its place.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// A step of the way to a value in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Step"))]
pub enum Step {
    Name(Cow<'static, str>),
    Index(usize),
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Index(index)
    }
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Step::Name(Cow::Borrowed(name))
    }
}

/// Where in a request: `body`, `path`, `header` or `cookie`, and then names and indexes.
pub type Place = Vec<Step>;

/// `permissions.read[1]`, without the part of the request; or the name of that part, if it is the whole place.
pub fn dotted(place: &[Step]) -> String {
    if place.len() <= 1 {
        return part(place).to_owned();
    }
    let mut text = String::new();
    for step in place.iter().skip(1) {
        match step {
            Step::Name(name) if text.is_empty() => text.push_str(name),
            Step::Name(name) => text.extend([".", name.as_ref()]),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The fault of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    Missing,
    /// `null`, but the field cannot be cleared.
    Null,
    /// Another JSON type than the named one.
    Type(&'static str),
    Empty,
    /// More than so many characters or elements.
    TooLong(usize),
    /// A control character, or a character that turns the direction of text.
    ControlCharacter,
    /// A character that nobody sees, where no script and no emoji needs it.
    HiddenCharacter,
    Uuid,
    /// Outside of these bounds, both included.
    OutOfRange(i64, i64),
    /// Not one of the possible values.
    NotOneOf(&'static str),
    /// Not in the named syntax.
    Syntax(&'static str),
    /// Differs from the named value.
    Differs(&'static str),
    /// One of the named fields must be there.
    NothingOf(&'static str),
    /// Cedar text that a tenant cannot have; with what is wrong, and where.
    Policy(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Wrong::Missing => write!(f, "is required"),
            Wrong::Null => write!(f, "must not be null"),
            Wrong::Type(name) => write!(f, "must be {name}"),
            Wrong::Empty => write!(f, "must not be empty"),
            Wrong::TooLong(most) => write!(f, "must not be longer than {most}"),
            Wrong::ControlCharacter => {
                write!(f, "must not have control characters or characters that turn the direction of text")
            }
            Wrong::HiddenCharacter => write!(f, "must not have invisible characters"),
            Wrong::Uuid => write!(f, "must be a UUID"),
            Wrong::OutOfRange(least, most) => write!(f, "must be from {least} to {most}"),
            Wrong::NotOneOf(what) => write!(f, "must be one of {what}"),
            Wrong::Syntax(what) => write!(f, "must be {what}"),
            Wrong::Differs(what) => write!(f, "must be the same as {what}"),
            Wrong::NothingOf(what) => write!(f, "must have at least one of {what}"),
            Wrong::Policy(why) => write!(f, "cannot be a policy of a tenant: {why}"),
        }
    }
}

/// One fault of a request, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    pub wrong: Wrong,
}

impl Fault {
    /// A fault of a whole value. The readers of the enclosing values put their steps before it.
    pub fn here(wrong: Wrong) -> Self {
        Self { place: Vec::new(), wrong }
    }

    pub fn within(mut self, step: impl Into<Step>) -> Self {
        self.place.insert(0, step.into());
        self
    }
}

/// The field and what is wrong with it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.place.len() <= 1 {
            true => write!(f, "the {} {}", part(&self.place), self.wrong),
            false => write!(f, "`{}` {}", dotted(&self.place), self.wrong),
        }
    }
}

fn part(place: &[Step]) -> &str {
    match place.first() {
        Some(Step::Name(name)) => name,
        _ => "request",
    }
}

/// How many faults, or values that do not exist, an answer lists.
pub const MAX_TOLD: usize = 20;

/// The first [`MAX_TOLD`] of them, and the number of the others, if there are any.
pub fn told<T>(all: &[T]) -> (&[T], Option<usize>) {
    match all.split_at_checked(MAX_TOLD) {
        Some((told, more)) if !more.is_empty() => (told, Some(more.len())),
        _ => (all, None),
    }
}

/// The first faults, and at the end the number of the others.
pub fn listed(faults: &[Fault]) -> Vec<String> {
    let (told, more) = told(faults);
    told.iter().map(ToString::to_string).chain(more.map(|more| format!("and {more} more"))).collect()
}
