//! Text tables under version control: they show a change of decisions and answers as a diff that a person can read.

use std::fmt::Write as _;
use std::path::Path;

use domain::Time;
use domain::policy::Around;

/// The time of each decision: 2026-11-22T14:40:17Z, a Sunday.
#[allow(dead_code)] // Not every test decides.
pub fn now() -> Time {
    Time::from_millis(1_795_358_417_000)
}

#[allow(dead_code)]
pub fn around(dialect: &str) -> Around<'_> {
    Around { dialect, now: now() }
}

/// Compares `actual` with the file `name` in this folder, and fails with the lines that differ.
///
/// With `BLESS=1` in the environment the file is written instead; review its diff before it is committed.
pub fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if std::env::var_os("BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected != actual {
        let diff = diff(&expected, actual);
        panic!("{} is out of date; `BLESS=1` rewrites it\n{diff}", path.display());
    }
}

/// The lines that only one side has: `-` expected, `+` actual, each run of them under its line number.
fn diff(expected: &str, actual: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), actual.lines().collect());
    // common[i][j]: how many lines the rests from `i` and from `j` have in common.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text, mut in_run) = (0, 0, String::new(), false);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j, in_run) = (i + 1, j + 1, false);
            continue;
        }
        if !in_run {
            writeln!(text, "line {}:", i + 1).unwrap();
            in_run = true;
        }
        if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            writeln!(text, "- {}", old[i]).unwrap();
            i += 1;
        } else {
            writeln!(text, "+ {}", new[j]).unwrap();
            j += 1;
        }
    }
    text
}

#[allow(dead_code)] // Not every test makes a table.
pub fn columns(rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap()).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
