//! What can be wrong with a value of a request.

use std::fmt;

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
                write!(f, "must not have control characters, nor those that turn the direction of text")
            }
            Wrong::HiddenCharacter => write!(f, "must not have characters that nobody sees"),
            Wrong::Uuid => write!(f, "must be a UUID"),
            Wrong::OutOfRange(least, most) => write!(f, "must be from {least} to {most}"),
            Wrong::NotOneOf(what) => write!(f, "must be one of {what}"),
            Wrong::Syntax(what) => write!(f, "must be {what}"),
            Wrong::Differs(what) => write!(f, "must be the same as {what}"),
            Wrong::NothingOf(what) => write!(f, "must have at least one of {what}"),
        }
    }
}
