//! Cells of a table. A program for tables takes a cell that begins like a formula as one.

/// What stands between several values of a cell.
pub const BETWEEN: &str = ";";

/// A line of CSV (RFC 4180). A cell that begins like a formula gets a `'` before it, which [`unguarded`] takes away.
pub fn row(cells: &[String]) -> String {
    let cell = |cell: &String| {
        let cell = if is_formula(cell) { format!("'{cell}") } else { cell.clone() };
        let is_plain = !cell.contains([',', '"', '\n', '\r']);
        if is_plain { cell } else { format!("\"{}\"", cell.replace('"', "\"\"")) }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n"
}

/// The cell that [`row`] was given.
pub fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(cell)
}

/// Whether a cell begins like a formula, also behind a `'`: else a text that has the `'` from the start would lose it.
fn is_formula(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Whether a text is read as it was, also as one of several values of a cell.
pub fn can_be_one_of_several(text: &str) -> bool {
    !text.contains(BETWEEN) && text.trim() == text && !is_formula(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect()
    }

    #[test]
    fn no_cell_is_a_formula() {
        let cells = ["=1+1", "+49", "-1", "@x", "\tx", "a=b", "say \"hi\"", "a,b", "=a,\"b"].map(str::to_owned);
        let text = row(&cells);
        assert_eq!(text, "'=1+1,'+49,'-1,'@x,'\tx,a=b,\"say \"\"hi\"\"\",\"a,b\",\"'=a,\"\"b\"\r\n");
        assert!(read(&text).iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t'])));
    }

    #[test]
    fn a_cell_is_read_as_it_was() {
        let cells = ["=1+1", "+49", "-1", "@x", "\tx", "'=1", "''+1", "'tis", "''", "a=b", "a;b", "=a,\"b"];
        let read = read(&row(&cells.map(str::to_owned)));
        assert_eq!(read.iter().map(|cell| unguarded(cell)).collect::<Vec<_>>(), cells);
    }

    #[test]
    fn some_texts_cannot_be_one_of_several() {
        for text in ["user", "Team Lead", "a=b", "it's"] {
            assert!(can_be_one_of_several(text), "{text}");
        }
        for text in ["user;owner", " user", "user ", "=user", "-user", "'=user"] {
            assert!(!can_be_one_of_several(text), "{text}");
        }
    }
}
