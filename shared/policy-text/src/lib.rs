//! Cedar text: checks a tenant's policies, and compiles them for functions.

mod decidable;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::thread;

use cedar_policy::{Effect, Policy, PolicySet, Schema, ValidationMode, Validator};
use domain::own_policy::MAX_TEXT;
use domain::policy::format;
use miette::Diagnostic;
use serde_json::Value;

/// The most bytes of its compiled form. The form and the text are in one item of the table, which can hold 400 KB.
pub const MAX_COMPILED_BYTES: usize = 64 * 1024;
/// The deepest nesting of brackets in it: Cedar's parser recurses, and a stack that overflows ends the process.
pub const MAX_POLICY_DEPTH: usize = 32;

/// The deepest nesting of a compiled policy: serde_json's 127 levels, less the two around the policy.
const MAX_DEPTH: usize = 125;

/// The types of policies, ours and the tenants'.
pub const SCHEMA: &str = include_str!("../../domain/policies/schema.cedarschema");

/// Why a tenant's policy text is refused. [`fmt::Display`] says it to the author, with the line and the column if there is one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    TooLong,
    TooDeep,
    /// It is no Cedar text; the parser's words.
    Syntax(String),
    Template,
    Permit,
    /// A function of an extension, which our evaluation does not have.
    Unsupported(String),
    /// It does not fit [`SCHEMA`]; the validator's words.
    Invalid(String),
    /// No statement, or one that no request can meet.
    NeverApplies(String),
    /// A decision could not answer a part of it, or would err.
    Undecidable(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refused::TooLong => {
                write!(f, "it has more than {MAX_TEXT} bytes, or more than {MAX_COMPILED_BYTES} when compiled")
            }
            Refused::TooDeep => write!(
                f,
                "its brackets, conditionals and operators nest too deep (brackets and conditionals: {MAX_POLICY_DEPTH} \
                 levels); split it into several policies"
            ),
            Refused::Syntax(why) | Refused::Invalid(why) | Refused::NeverApplies(why) | Refused::Undecidable(why) => {
                f.write_str(why)
            }
            Refused::Template => write!(
                f,
                "it is a template; write the entity itself, such as `Group::\"3\"`, in place of `?principal` and `?resource`"
            ),
            Refused::Permit => write!(
                f,
                "it permits, and a tenant's policy can only forbid; write `forbid (…) unless {{ … }};` in place of \
                 `permit (…) when {{ … }};`"
            ),
            Refused::Unsupported(_) => {
                write!(f, "functions of extensions, such as `ip`, `decimal` and `datetime`, are not known here")
            }
        }
    }
}

/// Checks and compiles a tenant's policy. It must be short and flat enough, have no templates, and only forbid.
///
/// # Errors
/// The tenant may not have this policy.
///
/// # Panics
/// The process can have no further thread.
pub fn check_text(text: &str) -> Result<String, Refused> {
    checked(text).map(|(_, compiled)| compiled)
}

/// The policies of a text that is short and flat enough and only forbids, and their compiled form.
fn checked(text: &str) -> Result<(PolicySet, String), Refused> {
    if text.len() > MAX_TEXT {
        return Err(Refused::TooLong);
    }
    // Brackets nest. Conditionals nest without brackets.
    let code = code(text);
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in code.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest + code.matches("then").count() > MAX_POLICY_DEPTH {
        return Err(Refused::TooDeep);
    }
    let set = parse(text)?;
    if set.policies().any(|policy| policy.effect() == Effect::Permit) {
        return Err(Refused::Permit);
    }
    let compiled = compiled(&set)?;
    if compiled.len() > MAX_COMPILED_BYTES { Err(Refused::TooLong) } else { Ok((set, compiled)) }
}

/// Checks and compiles a policy that a tenant is to have: as [`check_text`]; it fits [`SCHEMA`], asks for nothing that a decision does not
/// read, and overflows nowhere. So no request can make it err, and some request can meet each of its statements.
///
/// # Errors
/// The tenant may not have this policy.
///
/// # Panics
/// The process can have no further thread.
pub fn admit(text: &str) -> Result<String, Refused> {
    let (set, compiled) = checked(text)?;
    if set.is_empty() {
        return Err(Refused::NeverApplies(
            "it has no statement; write `forbid (principal, action, resource) …;`".to_owned(),
        ));
    }
    let valid = VALIDATOR.validate(&set, ValidationMode::Strict);
    if let Some(error) = valid.validation_errors().next() {
        return Err(Refused::Invalid(placed(text, error)));
    }
    if let Some(warning) = valid.validation_warnings().next() {
        return Err(Refused::NeverApplies(placed(text, warning)));
    }
    match decidable::first_fault(&set) {
        Some((start, why)) => Err(Refused::Undecidable(format!("{}{why}", place(text, start)))),
        None => Ok(compiled),
    }
}

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).expect("a test reads the schema");
    Validator::new(schema)
});

/// What Cedar says, behind the line and the column of which it says it.
fn placed(text: &str, said: &(impl Diagnostic + ?Sized)) -> String {
    let what = said.to_string();
    // Cedar numbers the statements of a text; the place says more.
    let what =
        what.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")).map_or(&*what, |(_, rest)| rest);
    let help = said.help().map(|help| format!(" ({help})")).unwrap_or_default();
    let offset = said.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
    let place = offset.map(|offset| place(text, offset)).unwrap_or_default();
    format!("{place}{what}{help}")
}

/// The line and the column of a byte, as they stand before what is said of it.
fn place(text: &str, offset: usize) -> String {
    let Some(before) = text.get(..offset) else { return String::new() };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}

/// Compiles any policy text.
///
/// # Errors
/// It is no Cedar text, or it has a template or a part that functions do not know.
///
/// # Panics
/// The process can have no further thread.
pub fn compile(text: &str) -> Result<String, Refused> {
    compiled(&parse(text)?)
}

fn parse(text: &str) -> Result<PolicySet, Refused> {
    let set = PolicySet::from_str(text).map_err(|why| Refused::Syntax(placed(text, &why)))?;
    if set.templates().next().is_some() { Err(Refused::Template) } else { Ok(set) }
}

fn compiled(set: &PolicySet) -> Result<String, Refused> {
    // Cedar makes JSON of `1 + 1 + 1` by recursion. This stack holds the longest text of that kind, in a debug build.
    let large = thread::Builder::new().stack_size(16 * 1024 * MAX_TEXT);
    let compiled = thread::scope(|scope| large.spawn_scoped(scope, || on_a_large_stack(set)).map(|it| it.join()));
    // INVARIANT: Cedar does not panic.
    compiled.expect("a thread").expect("JSON of a policy")
}

fn on_a_large_stack(set: &PolicySet) -> Result<String, Refused> {
    // Cedar numbers them as they stand in the text: policy0, policy1 and so on.
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|it| (it.id().to_string().len(), it.id().to_string()));
    let json = |it: &Policy| it.to_json().map_err(|why| Refused::Unsupported(why.to_string()));
    let policies = policies.into_iter().map(json).collect::<Result<Vec<_>, _>>()?;
    let lines: Vec<String> = policies.iter().map(Value::to_string).collect();
    let stored = format!("{{\"version\":{},\"policies\":[\n{}\n]}}", format::VERSION, lines.join(",\n"));
    match format::read(&stored) {
        Ok(_) => Ok(stored),
        Err(_) if policies.iter().any(|it| depth(it) > MAX_DEPTH) => Err(Refused::TooDeep),
        Err(why) => Err(Refused::Unsupported(why.to_string())),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The text without its strings and comments, as Cedar's lexer finds them: a bracket in a string or a comment does not count.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                while let Some(quoted) = chars.next() {
                    match quoted {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|it| !matches!(it, '\n' | '\r')).is_some() {},
            _ => code.push(char),
        }
    }
    code
}
