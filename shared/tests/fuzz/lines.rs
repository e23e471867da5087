//! Fuzz tests of lines: the parts of imports, as CSV and as JSON Lines.

use std::collections::BTreeMap;

use proptest::option::weighted;
use serde_json::Map;
use shared::dialect::users::{LINES, SentPart};
use shared::domain::job::Format;

use super::*;

const ACME: TenantId = TenantId::new(1);

/// What each of some lines asks for, as text: an edit, or what is wrong.
fn read(format: Format, text: &str) -> Vec<String> {
    (LINES.read)(format, text, ACME).iter().map(|line| format!("{line:?}")).collect()
}

/// Text as people have it in tables: with what CSV must quote, and what a program for tables takes as a formula.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[\\PC]{0,12}",
        2 => "[a-z,;\"'=+@\n\r\t -]{0,8}",
        1 => select(vec!["", " ", "'", "'=1", "''-", "=1+1", "\u{feff}", "\"", "\r\n", "null"]).prop_map(str::to_owned),
    ]
}

/// The cells of a line by their columns.
type Row = BTreeMap<&'static str, String>;

fn row() -> impl Strategy<Value = Row> {
    let columns = ["first_name", "last_name", "language", "external_id", "status", "metadata.a", "metadata.B c"];
    let cells = vec(
        (
            select(columns.to_vec()),
            prop_oneof![6 => text(), 1 => select(vec!["de", "active", "INVITED"]).prop_map(str::to_owned)],
        ),
        0..5,
    );
    let email = prop_oneof![4 => "[a-z+]{1,5}@[a-z]{1,4}\\.example", 1 => text()];
    let several = |of| vec(of, 0..3).prop_map(|it: Vec<String>| it.join(";"));
    let groups = several("726f6c65-6361-8005-8000-00000001000[0-9]|[0-9a-z-]{0,4}".boxed());
    let roles = several("[a-z]{1,6}( [a-z]{1,3})?|".boxed());
    (cells, email, weighted(0.5, roles), weighted(0.3, groups)).prop_map(|(cells, email, roles, groups)| {
        let several = [("roles", roles), ("groups", groups)].into_iter().filter_map(|(name, it)| Some((name, it?)));
        cells.into_iter().chain([("email", email)]).chain(several).collect()
    })
}

/// A line as the body of `POST /v1/users`. An empty cell gives nothing.
fn object(row: &Row) -> Value {
    let mut object = Map::new();
    for (name, cell) in row.iter().filter(|(_, cell)| !cell.trim().is_empty()) {
        let several = || cell.split(';').map(str::trim).filter(|it| !it.is_empty());
        match *name {
            "roles" => drop(object.insert("roles".to_owned(), several().collect())),
            "groups" => drop(object.insert("groups".to_owned(), several().map(|id| json!({ "id": id })).collect())),
            name => match name.strip_prefix("metadata.") {
                Some(key) => object.entry("metadata").or_insert(json!({}))[key] = json!(cell),
                None => drop(object.insert(name.to_owned(), json!(cell))),
            },
        }
    }
    object.into()
}

/// Rows as CSV, with a `'` before what begins like a formula, as an export has it.
fn table(rows: &[Row]) -> String {
    let names: BTreeMap<&str, ()> = rows.iter().flat_map(BTreeMap::keys).map(|name| (*name, ())).collect();
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(names.keys()).unwrap();
    for row in rows {
        let cell = |name: &&str| {
            let cell = row.get(name).map_or("", String::as_str);
            let is_formula = cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']);
            if is_formula { format!("'{cell}") } else { cell.to_owned() }
        };
        writer.write_record(names.keys().map(cell)).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

/// A table asks for what the same lines ask for as JSON, whatever stands in its cells.
#[test]
fn fuzz_csv() {
    fuzz(&vec(row(), 1..5), |rows| {
        let lines: String = rows.iter().map(|row| object(row).to_string() + "\n").collect();
        let table = table(&rows);
        assert_eq!(read(Format::Csv, &table), read(Format::Jsonl, &lines), "{table}");
    });
}

/// A part that is taken has as many lines as the job finds in it, also without a person. A part that is not taken has a fault with a
/// place.
#[test]
fn fuzz_parts_of_imports() {
    let person = "[a-z+]{1,5}@[a-z]{1,4}\\.example";
    fuzz(
        &(vec(row(), 0..5), person, any::<Index>(), any::<bool>(), edits()),
        |(mut rows, person, at, is_csv, edits)| {
            if !rows.is_empty() {
                let at = at.index(rows.len());
                rows[at].insert("email", person.clone());
            }
            let (format, of_type) =
                if is_csv { (Format::Csv, "text/csv") } else { (Format::Jsonl, "application/jsonl") };
            let lines = || rows.iter().map(|row| object(row).to_string() + "\n").collect();
            let text = edited(&if is_csv { table(&rows) } else { lines() }, &edits);
            let call = call_with(&USERS, "", (of_type, &text));
            match SentPart::of(&call) {
                Ok(part) => {
                    let all = read(format, part.text);
                    assert!((1..=2_000).contains(&part.lines) && all.len() == part.lines, "{text}");
                    let names = |text: &str| text.trim().eq_ignore_ascii_case(&person);
                    let left = (LINES.without)(format, part.text, &names);
                    let left = left.map_or(all.clone(), |left| read(format, &left));
                    assert_eq!(left.len(), all.len(), "{text}");
                    let is_theirs = |line: &String| line.contains(&format!("email: Some(\"{person}\")"));
                    assert!(!left.iter().any(is_theirs), "{text}: {left:?}");
                    assert!(
                        left.iter().zip(&all).all(|(left, line)| left == line || left.starts_with("Err")),
                        "{text}"
                    );
                }
                Err(Problem::Invalid(faults)) => assert!(faults.iter().all(|it| !it.place.is_empty()), "{text}"),
                Err(why) => panic!("{text}: {why:?}"),
            }
        },
    );
}
