//! Compares the version of a record in an answer with the audit events that were written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use shared::table::key::Key;

pub fn is_event(key: &Key) -> bool {
    key.sk.starts_with("EVENT#")
}

/// The versions in each audit chain: its record has had them.
fn chains(items: &HashMap<Key, Value>) -> BTreeMap<&str, BTreeSet<u64>> {
    let mut chains: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for key in items.keys().filter(|key| is_event(key)) {
        let version = key.sk["EVENT#".len()..].parse().unwrap();
        chains.entry(key.pk.as_str()).or_default().insert(version);
    }
    chains
}

/// Checks the rules for every answer, recorded or not. `before` and `after` are the whole table; `is_list` says whether the
/// body is a list.
///
/// # Errors
/// The rule that is broken.
pub fn check(
    (status, is_list): (u16, bool),
    headers: &BTreeMap<String, String>,
    request_id: &str,
    before: &HashMap<Key, Value>,
    mut after: HashMap<Key, Value>,
) -> Result<(), &'static str> {
    let header = |name: &str| headers.get(name).map(String::as_str);
    if header("x-request-id") != Some(request_id) {
        return Err("`x-request-id` is not that of the event");
    }
    if status >= 500 {
        return Err("a failure of the function");
    }
    let is_done = (200..300).contains(&status);
    let (old, new) = (chains(before), chains(&after));
    if new.values().any(|versions| !versions.iter().copied().eq(1..=versions.len() as u64)) {
        return Err("an audit chain has not the versions from 1 on");
    }
    // An answer with an `etag` shows a record, which has as many versions as audit events: the changed record, else any.
    let changed = new.iter().filter(|(record, versions)| old.get(*record) != Some(versions));
    let changed: BTreeSet<String> = changed.map(|(_, versions)| format!("\"{}\"", versions.len())).collect();
    let unchanged = || old.values().map(|versions| format!("\"{}\"", versions.len())).collect();
    let may = if changed.is_empty() { unchanged() } else { changed.clone() };
    // A tag of content, such as a picture, is no number.
    let is_version = |etag: &str| etag.trim_matches('"').parse::<u64>().is_ok();
    match header("etag") {
        Some(etag) if is_version(etag) && !may.contains(etag) => return Err("`etag` and audit events differ"),
        // A list shows several records.
        None if !changed.is_empty() && [200, 201].contains(&status) && !is_list => {
            return Err("a record was changed, and the answer has no `etag`");
        }
        _ => {}
    }
    if !is_done && !changed.is_empty() {
        return Err("it was refused and done");
    }
    // How often somebody has called is no record. A refused call counts, too.
    after.retain(|key, _| !key.pk.starts_with("BUDGET#"));
    let mut before = before.clone();
    // Nor is when a member was last seen.
    for item in before.values_mut().chain(after.values_mut()) {
        item.as_object_mut().map(|item| item.remove("last_seen"));
    }
    if is_done {
        after.retain(|key, _| !key.pk.contains("#IDEMPOTENCY#"));
        // A case that came first may have left some.
        before.retain(|key, _| !key.pk.contains("#IDEMPOTENCY#"));
    }
    match changed.is_empty() && before != after {
        true => Err("something was written and nothing audited"),
        false => Ok(()),
    }
}

#[test]
fn an_answer_fits_what_was_written() {
    let items = |keys: &[(&str, &str)]| -> HashMap<Key, Value> {
        keys.iter().map(|(pk, sk)| (Key { pk: (*pk).to_owned(), sk: (*sk).to_owned() }, Value::Null)).collect()
    };
    let before = items(&[("A", "EVENT#01"), ("B", "EVENT#01"), ("A", "RECORD")]);
    let read: &[(&str, &str)] = &[];
    let (updated, created, kept) = (&[("A", "EVENT#02")], &[("C", "EVENT#01")], &[("#IDEMPOTENCY#", "x")]);
    let (gap, twice, silent) = (&[("A", "EVENT#03")], &[("A", "EVENT#02"), ("A", "EVENT#03")], &[("C", "RECORD")]);
    for (status, etag, written, expected) in [
        (200, Some("1"), read, Ok(())),
        (200, None, read, Ok(())),
        (404, None, read, Ok(())),
        (200, Some("2"), updated, Ok(())),
        (200, Some("3"), twice, Ok(())),
        (201, Some("1"), created, Ok(())),
        (204, None, updated, Ok(())),
        (200, Some("1"), kept, Ok(())),
        (200, Some("2"), read, Err("`etag` and audit events differ")),
        (200, Some("1"), updated, Err("`etag` and audit events differ")),
        (200, Some("3"), updated, Err("`etag` and audit events differ")),
        (201, Some("2"), created, Err("`etag` and audit events differ")),
        (200, Some("2"), twice, Err("`etag` and audit events differ")),
        (200, None, updated, Err("a record was changed, and the answer has no `etag`")),
        (201, None, created, Err("a record was changed, and the answer has no `etag`")),
        (200, Some("3"), gap, Err("an audit chain has not the versions from 1 on")),
        (403, None, updated, Err("it was refused and done")),
        (200, Some("1"), silent, Err("something was written and nothing audited")),
        (403, None, kept, Err("something was written and nothing audited")),
        (500, None, read, Err("a failure of the function")),
    ] {
        let mut headers = BTreeMap::from([("x-request-id".to_owned(), "id".to_owned())]);
        headers.extend(etag.map(|etag| ("etag".to_owned(), format!("\"{etag}\""))));
        let mut after = before.clone();
        after.extend(items(written));
        let found = check((status, false), &headers, "id", &before, after.clone());
        assert_eq!(found, expected, "{status} {etag:?} {written:?}");
        let another = check((status, false), &headers, "another", &before, after.clone());
        assert_eq!(another, Err("`x-request-id` is not that of the event"));
        let no_etag = Err("a record was changed, and the answer has no `etag`");
        let of_list = if found == no_etag { Ok(()) } else { found };
        assert_eq!(check((status, true), &headers, "id", &before, after), of_list, "{status} {etag:?} {written:?}");
    }
}
