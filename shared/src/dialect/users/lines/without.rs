//! Lines of an import without those of a person.

use domain::job::Format;
use serde_json::Value;

use super::cells::unguarded;
use super::without_mark;

/// The line that stands for one that was taken out: it fails.
const NOBODY: &str = "{}";

/// The lines with an empty one in the place of each that `names` a person, or `None` if there is no such line. There are as many as
/// before, because the job of the import counts them.
pub fn without(format: Format, text: &str, names: &dyn Fn(&str) -> bool) -> Option<String> {
    let text = without_mark(text);
    match format {
        Format::Jsonl => {
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            // A line that is no JSON fails anyway, and can have the person in it.
            let is_theirs = |line: &&str| serde_json::from_str(line).map_or(true, |value| is_named(&value, names));
            let left = lines.iter().map(|line| if is_theirs(line) { NOBODY } else { *line });
            let is_any = lines.iter().any(is_theirs);
            is_any.then(|| left.map(|line| line.to_owned() + "\n").collect())
        }
        Format::Csv => rows_without(text, names),
    }
}

fn rows_without(text: &str, names: &dyn Fn(&str) -> bool) -> Option<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let mut is_any = false;
    // The text was read once before, when the part was taken: each row is sound.
    for row in reader.records().flatten() {
        let is_theirs = row.iter().map(unguarded).any(names);
        is_any |= is_theirs;
        let cell = |cell| if is_theirs { "" } else { cell };
        writer.write_record(row.iter().map(cell)).ok()?;
    }
    let bytes = writer.into_inner().ok().filter(|_| is_any)?;
    String::from_utf8(bytes).ok()
}

/// Whether any text in a value names the person.
fn is_named(value: &Value, names: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => names(text),
        Value::Array(values) => values.iter().any(|value| is_named(value, names)),
        Value::Object(members) => members.values().any(|value| is_named(value, names)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn the_lines_of_a_person_are_empty_and_as_many() {
        let names = |text: &str| text.trim().eq_ignore_ascii_case("ann@x.example");
        for (format, text) in [
            (
                Format::Csv,
                "\u{feff}email,first_name\r\nben@x.example,Ben\r\nAnn@x.example,\"Ann,\n A.\"\r\nc@x.example,\r\n",
            ),
            (Format::Csv, "email\nben@x.example\nann@x.example\nc@x.example\n"),
            (
                Format::Jsonl,
                "\u{feff}{\"email\":\"ben@x.example\"}\n\n{\"email\":\"ann@X.example\",\"name\":\"Ann\"}\n{\"email\":\"c@x.example\"}\n",
            ),
        ] {
            let left = without(format, text, &names).unwrap();
            assert!(!left.to_lowercase().contains("ann"), "{left}");
            let (before, after) = (lines(format, text).unwrap(), lines(format, &left).unwrap());
            assert_eq!(after.len(), 3);
            assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
            assert_eq!(after[1].as_ref().unwrap(), &serde_json::json!({}));
            assert_eq!(without(format, &left, &names), None);
        }
        assert!(without(Format::Jsonl, "ann@x.example\n", &names).is_some_and(|left| left == "{}\n"));
        let with_plus = |text: &str| text == "+ann@x.example";
        let left = without(Format::Csv, "email\n'+ann@x.example\n", &with_plus);
        assert!(left.is_some_and(|left| !left.contains("ann")));
    }
}
