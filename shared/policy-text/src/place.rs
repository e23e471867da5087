//! Where something stands in a text.

use std::fmt;
use std::iter::repeat_n;

use miette::Diagnostic;

/// A place in a text, counted from 1. [`fmt::Display`] gives it as it stands before what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    /// The place of a byte.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line: before.matches('\n').count() + 1, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)
    }
}

/// What Cedar says, behind the line and the column of which it says it. Its advice is behind that; else ours.
pub(crate) fn placed(text: &str, said: &(impl Diagnostic + ?Sized), advice: &str) -> String {
    let offset = said.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let place = offset.map(|offset| Place::of(text, offset).to_string()).unwrap_or_default();
    let help = said.help().map(|help| format!(" ({})", unnumbered(&help.to_string())));
    let help = help.unwrap_or_else(|| format!("; {advice}"));
    format!("{place}{}{help}", unnumbered(&said.to_string()))
}

/// Cedar numbers the statements of a text; the place says more.
fn unnumbered(said: &str) -> &str {
    said.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")).map_or(said, |(_, rest)| rest)
}

/// The text with blanks in place of its strings and comments, as Cedar's lexer finds them: a bracket there does not count. Each other
/// byte keeps its place.
pub(crate) fn code(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((_, char)) = chars.next() {
        match char {
            '"' => {
                while let Some((_, quoted)) = chars.next() {
                    match quoted {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                while chars.next_if(|(_, it)| !matches!(it, '\n' | '\r')).is_some() {}
            }
            _ => code.push(char),
        }
        let end = chars.peek().map_or(text.len(), |(offset, _)| *offset);
        code.extend(repeat_n(' ', end - code.len()));
    }
    code
}

#[test]
fn what_is_no_code_is_blank() {
    for (text, wanted) in [
        ("a \"(\" b", "a     b"),
        ("a \"\\\"(\" b", "a       b"),
        ("a // (ü\nb", "a       \nb"),
        ("ü \"ü\" / \"", "ü      /  "),
    ] {
        assert_eq!(code(text), wanted, "{text}");
        assert_eq!(code(text).len(), text.len());
    }
}
