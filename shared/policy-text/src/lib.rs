//! Cedar text: checks a tenant's policies, and compiles them for functions.

mod decidable;
mod place;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::thread;

use cedar_policy::{Effect, Policy, PolicySet, Schema, ValidationMode, ValidationWarning, Validator};
use domain::own_policy::MAX_TEXT;
use domain::policy::format;
use serde_json::Value;

pub use place::Place;
use place::{code, placed};

/// The most bytes of its compiled form. The form and the text are in one item of the table, which can hold 400 KB.
pub const MAX_COMPILED_BYTES: usize = 64 * 1024;
/// The deepest nesting of brackets in it: Cedar's parser recurses, and a stack that overflows ends the process.
pub const MAX_POLICY_DEPTH: usize = 32;

/// The deepest nesting of a compiled policy: serde_json's 127 levels, less the two around the policy.
const MAX_DEPTH: usize = 125;

/// The types of policies, ours and the tenants'.
pub const SCHEMA: &str = include_str!("../../domain/policies/schema.cedarschema");

/// What is said beside Cedar's own words, if it gives no advice.
const OF_SYNTAX: &str = "write each statement as `forbid (principal, action, resource) when { … } unless { … };`";
const OF_SCHEMA: &str = "use the names and the types of the schema of policies, `schema.cedarschema`";
const OF_SCOPE: &str = "name a principal, an action and a resource that go together, and a condition that can be true";
const OF_LETTERS: &str = "use letters that look like no others";

/// Why a tenant's policy text is refused. [`fmt::Display`] says it to the author, with the line and the column if there is one place, and
/// what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    TooLong,
    TooDeep(Place),
    /// It is no Cedar text; the parser's words.
    Syntax(String),
    Template(Place),
    Permit(Place),
    /// A function of an extension, which our evaluation does not have.
    Unsupported(Place),
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
            Refused::TooDeep(place) => write!(
                f,
                "{place}its brackets, conditionals and operators nest too deep (brackets and conditionals: \
                 {MAX_POLICY_DEPTH} levels); split it into several policies"
            ),
            Refused::Syntax(why) | Refused::Invalid(why) | Refused::NeverApplies(why) | Refused::Undecidable(why) => {
                f.write_str(why)
            }
            Refused::Template(place) => write!(
                f,
                "{place}it is a template; write the entity itself, such as `Group::\"3\"`, in place of `?principal` \
                 and `?resource`"
            ),
            Refused::Permit(place) => write!(
                f,
                "{place}it permits, and a tenant's policy can only forbid; write `forbid (…) unless {{ … }};` in place \
                 of `permit (…) when {{ … }};`"
            ),
            Refused::Unsupported(place) => write!(
                f,
                "{place}functions of extensions, such as `ip`, `decimal` and `datetime`, are not known here; compare \
                 texts and whole numbers, and times with `context.now`"
            ),
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
    if let Some(offset) = too_deep(&code(text)) {
        return Err(Refused::TooDeep(Place::of(text, offset)));
    }
    let set = parse(text)?;
    let permits = set.policies().filter(|policy| policy.effect() == Effect::Permit);
    if let Some(offset) = permits.map(start).min() {
        return Err(Refused::Permit(Place::of(text, offset)));
    }
    let compiled = compiled(text, &set)?;
    if compiled.len() > MAX_COMPILED_BYTES { Err(Refused::TooLong) } else { Ok((set, compiled)) }
}

/// Where brackets nest too deep, or conditionals, which nest without brackets: in bytes.
fn too_deep(code: &str) -> Option<usize> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_POLICY_DEPTH {
            return Some(offset);
        }
        deepest = deepest.max(depth);
    }
    code.match_indices("then").nth(MAX_POLICY_DEPTH - deepest).map(|(offset, _)| offset)
}

/// Where a statement begins, in bytes.
fn start(policy: &Policy) -> usize {
    policy.as_ref().loc().map_or(0, |loc| loc.start())
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
        return Err(Refused::Invalid(placed(text, error, OF_SCHEMA)));
    }
    if let Some(warning) = valid.validation_warnings().next() {
        let is_of_scope =
            matches!(warning, ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_));
        let advice = if is_of_scope { OF_SCOPE } else { OF_LETTERS };
        return Err(Refused::NeverApplies(placed(text, warning, advice)));
    }
    match decidable::first_fault(&set) {
        Some((start, why)) => Err(Refused::Undecidable(format!("{}{why}", Place::of(text, start)))),
        None => Ok(compiled),
    }
}

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA).expect("a test reads the schema");
    Validator::new(schema)
});

/// Compiles any policy text.
///
/// # Errors
/// It is no Cedar text, or it has a template or a part that functions do not know.
///
/// # Panics
/// The process can have no further thread.
pub fn compile(text: &str) -> Result<String, Refused> {
    compiled(text, &parse(text)?)
}

fn parse(text: &str) -> Result<PolicySet, Refused> {
    let set = PolicySet::from_str(text).map_err(|why| Refused::Syntax(placed(text, &why, OF_SYNTAX)))?;
    let templates = set.templates().map(|template| template.as_ref().loc().map_or(0, |loc| loc.start()));
    match templates.min() {
        Some(offset) => Err(Refused::Template(Place::of(text, offset))),
        None => Ok(set),
    }
}

fn compiled(text: &str, set: &PolicySet) -> Result<String, Refused> {
    // Cedar makes JSON of `1 + 1 + 1` by recursion. This stack holds the longest text of that kind, in a debug build.
    let large = thread::Builder::new().stack_size(16 * 1024 * MAX_TEXT);
    let compiled = thread::scope(|scope| large.spawn_scoped(scope, || on_a_large_stack(text, set)).map(|it| it.join()));
    // INVARIANT: Cedar does not panic.
    compiled.expect("a thread").expect("JSON of a policy")
}

fn on_a_large_stack(text: &str, set: &PolicySet) -> Result<String, Refused> {
    // Cedar numbers them as they stand in the text: policy0, policy1 and so on.
    let mut policies: Vec<_> = set.policies().collect();
    policies.sort_by_key(|it| (it.id().to_string().len(), it.id().to_string()));
    let stored =
        |lines: &[String]| format!("{{\"version\":{},\"policies\":[\n{}\n]}}", format::VERSION, lines.join(",\n"));
    let mut lines = Vec::new();
    for policy in policies {
        let place = Place::of(text, start(policy));
        let json = policy.to_json().map_err(|_| Refused::Unsupported(place))?;
        let line = [json.to_string()];
        // One after the other, to know which of them cannot be read.
        match format::read(&stored(&line)) {
            Ok(_) => lines.extend(line),
            Err(_) if depth(&json) > MAX_DEPTH => return Err(Refused::TooDeep(place)),
            Err(_) => return Err(Refused::Unsupported(place)),
        }
    }
    Ok(stored(&lines))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a text when a tenant is to have it.
    fn said(text: &str) -> String {
        admit(text).expect_err(text).to_string()
    }

    const FIRST: &str = "forbid (principal, action, resource)\nwhen { context.now.hour > 7 };\n";

    #[test]
    fn each_refusal_says_where_and_what_to_write() {
        let is_placed = |text: &str, place: &str, advice: &str| {
            let said = said(text);
            assert!(said.starts_with(&format!("{place}: ")), "{text}: {said}");
            assert!(said.contains(advice), "{text}: {said}");
        };
        let after = |second: &str| format!("{FIRST}  {second}");
        is_placed(&after("permit (principal, action, resource);"), "line 3, column 3", "write `forbid (…) unless");
        is_placed(
            &after("forbid (principal == ?principal, action, resource);"),
            "line 3, column 3",
            "write the entity itself",
        );
        let extension = after("forbid (principal, action, resource) when { ip(\"::1\").isLoopback() };");
        is_placed(&extension, "line 3, column 3", "texts and whole numbers");
        let operators = format!("forbid (principal, action, resource) when {{ {}true }};", "true && ".repeat(61));
        is_placed(&after(&operators), "line 3, column 3", "split it into several policies");
        let scope = "forbid (principal, action, resource) when { ";
        let (nested, column) = (format!("{scope}{}", "(".repeat(40)), scope.len() + MAX_POLICY_DEPTH);
        is_placed(&nested, &format!("line 1, column {column}"), "split it into several policies");
        let conditionals = format!("{scope}\n{}true }};", "if true then true else ".repeat(40));
        // The condition's own bracket is a level.
        let column = "if true then true else ".len() * (MAX_POLICY_DEPTH - 1) + "if true ".len() + 1;
        is_placed(&conditionals, &format!("line 2, column {column}"), "split it into several policies");

        is_placed(&after("forbid (principal, action, resource) when { 1 < };"), "line 3, column 51", OF_SYNTAX);
        is_placed(&after("forbid (principal, action, resource) when { false };"), "line 3, column 3", OF_SCOPE);
        let typed = after("forbid (principal, action == Action::\"member:read\", resource) when { principal.rank };");
        is_placed(&typed, "line 3, column 72", OF_SCHEMA);
        let odd = after("forbid (principal, action, resource) when { principal.roles.contains(\"p\u{430}y\") };");
        let said = said(&odd);
        assert!(said.starts_with("line 3, column ") && said.ends_with(OF_LETTERS), "{said}");
    }

    /// What Cedar itself advises is not said twice.
    #[test]
    fn the_advice_of_the_parser_stays() {
        let said = said("forbid (principal, action == Action::\"member:red\", resource);");
        assert!(said.contains("(did you mean `Action::\"member:read\"`?)") && !said.contains(OF_SCHEMA), "{said}");
        let said = self::said("forbid (principal, action, resource) when { principal.rank == \"a\" };");
        assert!(!said.contains("policy0"), "{said}");
    }
}
