//! Reads and writes `cases.json` without loss and in one form, so that a diff shows only the parts that have changed.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Result;

/// The most characters of a line, where that is possible.
const WIDTH: usize = 120;

/// Reads the JSON of a file.
///
/// # Errors
/// The file cannot be read, or the value says less than the text: a key is repeated, or a number is not written as we write it.
pub fn read(file: &Path, shown: &str) -> Result<Value> {
    let text = fs::read_to_string(file).map_err(|why| format!("cannot read {shown}: {why}"))?;
    let value: Value = serde_json::from_str(&text).map_err(|why| format!("{shown}: {why}"))?;
    let (said, kept) = (compact(&text), value.to_string());
    if said == kept {
        return Ok(value);
    }
    let same = said.bytes().zip(kept.bytes()).take_while(|(a, b)| a == b).count();
    let near = String::from_utf8_lossy(&said.as_bytes()[same.saturating_sub(60)..(same + 20).min(said.len())]);
    Err(format!("{shown}: a repeated key, or a number such as 1e0, is lost at `{near}`: write such a body as text")
        .into())
}

/// Returns JSON text without the white space between its tokens, and with its strings as serde_json writes them.
fn compact(text: &str) -> String {
    let mut compact = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        if first == '"' {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let string = strings.next().and_then(std::result::Result::ok).unwrap_or_default();
            compact += &Value::from(string).to_string();
            length = strings.byte_offset();
        } else if !first.is_ascii_whitespace() {
            compact.push(first);
        }
        rest = &rest[length..];
    }
    compact
}

/// Writes JSON with as much on a line as fits there. Only the objects of the first `levels` levels have a line for each member.
/// `taken` is the number of characters before and behind the value on its first line.
pub fn pretty(value: &Value, indent: usize, taken: usize, levels: usize) -> String {
    let flat = flat(value);
    let is_open = levels > 0 && value.as_object().is_some_and(|members| !members.is_empty());
    if !is_open && taken + flat.chars().count() <= WIDTH {
        return flat;
    }
    let inside = indent + 2;
    // The 1 is for a comma, which may follow.
    let part = |value: &Value, before: usize| pretty(value, inside, inside + before + 1, levels.saturating_sub(1));
    let (open, parts, close): (_, Vec<String>, _) = match value {
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let name = quoted(name) + ": ";
                let value = part(value, name.chars().count());
                name + &value
            };
            ('{', members.iter().map(member).collect(), '}')
        }
        Value::Array(values) => ('[', values.iter().map(|value| part(value, 0)).collect(), ']'),
        _ => return flat,
    };
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if !is_open && inside + line.chars().count() + part.chars().count() + 3 <= WIDTH => {
                *line += &format!(", {part}");
            }
            _ => lines.push(part),
        }
    }
    let (before, after) = (" ".repeat(inside), " ".repeat(indent));
    format!("{open}\n{before}{}\n{after}{close}", lines.join(&format!(",\n{before}")))
}

fn flat(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let text = |(name, value): (&String, &Value)| format!("{}: {}", quoted(name), flat(value));
            format!("{{ {} }}", members.iter().map(text).collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(flat).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        value => value.to_string(),
    }
}

/// Writes a JSON string. It escapes all characters but visible ASCII and Latin letters: a reviewer cannot see the others, or
/// takes them for something else.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().chars().fold(String::new(), |mut json, it| {
        match it {
            ' '..='~' | 'À'..='ɏ' => json.push(it),
            it => json.extend(it.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}"))),
        }
        json
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_text(text: &str) -> std::result::Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.json");
        fs::write(&file, text).unwrap();
        read(&file, "x.json").map_err(|why| why.to_string())
    }

    #[test]
    fn what_a_value_would_not_keep_is_refused() {
        let text = " { \"\\u00e4 \\\"\" : [ 1.5 , -1e-7, \"\\u202e\", {}, [\n], null ] } ";
        assert_eq!(read_text(text), Ok(json!({ "ä \"": [1.5, -1e-7, "\u{202e}", {}, [], null] })));
        for (text, near) in [
            (r#"{"a":{"b":1,"b":1}}"#, r#"`{"a":{"b":1,"b":1}}`"#),
            (r#"{"cases":{"x":{"event":{}},"x":{"event":{}}}}"#, r#""x":{"event":{}},"x":{"event":{}}"#),
            (r#"{"a":1e0}"#, r#"`{"a":1e0}`"#),
            (r#"[1.0000000000000000001]"#, "1.0000000000000000001"),
            (r#"[-0]"#, "[-0]"),
        ] {
            let why = read_text(text).unwrap_err();
            assert!(why.starts_with("x.json: a repeated key, or a number such as 1e0, is lost at "), "{text}: {why}");
            assert!(why.contains(near), "{text}: {why}");
        }
        assert!(read_text("{").unwrap_err().starts_with("x.json: EOF"));
    }

    #[test]
    fn lines_are_filled_and_open_levels_have_a_line_for_each_member() {
        let value = json!({
            "list": [1, "b", {}],
            "cases": { "a": { "short": { "b": null } }, "c": { "long": { "text": "x".repeat(70), "n": 1, "of": { "m": "y".repeat(40) } } } },
        });
        let (x, y) = ("x".repeat(70), "y".repeat(40));
        let expected = format!(
            r#"{{
  "list": [1, "b", {{}}],
  "cases": {{
    "a": {{
      "short": {{ "b": null }}
    }},
    "c": {{
      "long": {{
        "text": "{x}", "n": 1,
        "of": {{ "m": "{y}" }}
      }}
    }}
  }}
}}"#
        );
        assert_eq!(pretty(&value, 0, 0, 3), expected);
        assert_eq!(serde_json::from_str::<Value>(&expected).unwrap(), value);
    }

    #[test]
    fn a_line_has_as_much_as_fits_and_no_more() {
        let numbers = json!({ "n": (100..200).collect::<Vec<_>>() });
        let text = pretty(&numbers, 0, 0, 0);
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        // Another `, 123` would not fit.
        assert!(text.lines().any(|line| line.len() > WIDTH - 5), "{text}");
    }

    #[test]
    fn what_nobody_sees_is_escaped() {
        let text = "Zoë \u{202e}\u{200b}漢\u{1f600}\u{308}\u{7f}\n";
        let shown = quoted(text);
        assert_eq!(shown, r#""Zoë \u202e\u200b\u6f22\ud83d\ude00\u0308\u007f\n""#);
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
