//! Replaces the placeholders `{{3 times ab}}` and `{{1 to 50}}` in `cases.json`, and writes `{{40 times x}}` for long runs.

use std::ops::RangeInclusive;

use serde_json::Value;

/// A character that is repeated this often in an answer, or more often, is written as `{{40 times x}}`.
const LONG: usize = 40;

/// Replaces `{{3 times ab}}` and `{{1 to 50}}` in a value by the text and the elements that they stand for.
pub fn spelled_out(value: &Value) -> Value {
    match value {
        Value::String(text) => repeated(text).into(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), spelled_out(value))).collect(),
        Value::Array(values) => {
            let elements = values.iter().flat_map(|value| match range(value) {
                Some((placeholder, numbers)) => numbers.map(|n| numbered(value, placeholder, n)).collect(),
                None => vec![value.clone()],
            });
            elements.map(|element| spelled_out(&element)).collect()
        }
        value => value.clone(),
    }
}

fn repeated(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, (inner, after))) = rest.split_once("{{").and_then(|(a, b)| Some((a, b.split_once("}}")?))) {
        let times = inner.split_once(" times ").and_then(|(times, what)| Some((times.parse().ok()?, what)));
        whole += before;
        whole += &times.map_or_else(|| format!("{{{{{inner}}}}}"), |(times, what)| what.repeat(times));
        rest = after;
    }
    whole + rest
}

/// Finds the first `{{1 to 50}}` in a value, outside of the lists in it.
fn range(value: &Value) -> Option<(&str, RangeInclusive<i64>)> {
    match value {
        Value::String(text) => {
            let placeholder = &text[text.find("{{")?..];
            let placeholder = &placeholder[..placeholder.find("}}")? + 2];
            let (from, to) = placeholder[2..placeholder.len() - 2].split_once(" to ")?;
            Some((placeholder, from.parse().ok()?..=to.parse().ok()?))
        }
        Value::Object(members) => members.values().find_map(range),
        _ => None,
    }
}

/// Replaces a placeholder in a value by a number.
fn numbered(value: &Value, placeholder: &str, number: i64) -> Value {
    match value {
        Value::String(text) if text == placeholder => number.into(),
        Value::String(text) => text.replace(placeholder, &number.to_string()).into(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), numbered(value, placeholder, number))).collect()
        }
        value => value.clone(),
    }
}

/// Replaces long runs in a value by placeholders such as `{{250 times x}}`.
pub fn without_runs(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            let runs = chars.chunk_by(|a, b| a == b).map(|run| match run.len() {
                LONG.. => format!("{{{{{} times {}}}}}", run.len(), run[0]),
                _ => run.iter().collect(),
            });
            runs.collect::<String>().into()
        }
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), without_runs(value))).collect(),
        Value::Array(values) => values.iter().map(without_runs).collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_repeated_is_spelled_out() {
        for (short, long) in [
            (json!("a{{3 times bc}}d{{0 times e}}"), json!("abcbcbcd")),
            (json!("{\"a\":{{2 times [}}{{2 times ]}}}"), json!("{\"a\":[[]]}")),
            (json!("x{{2 times  }}}"), json!("x  }")),
            (json!({ "a": ["{{3 times ä}}"] }), json!({ "a": ["äää"] })),
            (json!([0, "{{9 to 11}}", "r-{{1 to 2}}"]), json!([0, 9, 10, 11, "r-1", "r-2"])),
            (
                json!([{ "id": "{{1 to 2}}", "at": "p{{1 to 2}}" }]),
                json!([{ "id": 1, "at": "p1" }, { "id": 2, "at": "p2" }]),
            ),
            (json!([{ "of": ["{{1 to 2}}"] }]), json!([{ "of": [1, 2] }])),
            (json!(["{{1 to 2}}{{2 times x}}"]), json!(["1xx", "2xx"])),
        ] {
            assert_eq!(spelled_out(&short), long, "{short}");
        }
    }

    #[test]
    fn what_stands_for_something_else_stays() {
        for same in [
            json!("Bearer {{access acme admin@acme.example}}"),
            json!("{{1 to 2}}"),
            json!({ "a": "{{x times y}} {{ }} {{" }),
            json!(["{{session acme user@acme.example}}", "{{a to b}}", 1, null, true]),
        ] {
            assert_eq!(spelled_out(&same), same);
        }
    }

    #[test]
    fn long_runs_are_shortened_and_no_others() {
        let long = json!({ "a": [format!("{}{}b", "ä".repeat(40), " ".repeat(39))] });
        let short = without_runs(&long);
        assert_eq!(short, json!({ "a": [format!("{{{{40 times ä}}}}{}b", " ".repeat(39))] }));
        assert_eq!(spelled_out(&short), long);
    }
}
