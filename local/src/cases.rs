//! The recorded events of a function and their answers, in `events/FUNCTION/`. The tests replay them; `invoke --case` runs one.
//!
//! `success.json` is a whole event, and `success.answer.json` is its whole answer. Every other case is an entry of
//! `cases.json`, which has only the differences:
//!
//! ```json
//! "forbidden": {
//!   "event": { "pathParameters": { "id": "2" }, "body": { "name": "Uma" } },
//!   "answer": { "statusCode": 403, "body": { "code": "forbidden" } }
//! }
//! ```
//!
//! - `event` is a JSON merge patch (RFC 7386) to the event of `success`, or of the case that `base` names: `null` removes a
//!   member. Only `body` is never merged. A text is the body itself; other JSON is written as JSON without spaces.
//! - A case may leave out the members that follow from the others: the request id, the method and path of the route with its
//!   parameters, the query's parameters, the `content-length`.
//! - An `answer` with a `statusCode` is whole, except that `content-type: application/json` and `x-request-id` may be left out.
//!   Without one it is a merge patch to the base's answer. Only `changes`, the changes in the audit event, never come from the
//!   base.
//! - In a string, `{{3 times ab}}` means `ababab`. An element of a list that contains `{{1 to 50}}` means 50 elements, each
//!   with its number.
//!
//! - `after` names a case whose event the function gets first: `case`, or `function/case` for one of another function. The case
//!   before that one comes first, too. Beside `cases`, it is that of `success`. `invoke --case` does not send them.
//!
//! `roundTrips` lists the calls to the table that a function may make when it has just started: it makes all of them, or only
//! the first ones. A case can have its own list; else it has the list of its base.

mod form;
mod patch;
mod repeat;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::form::{pretty, read};
use self::patch::{patched, shortened, whole};
use self::repeat::spelled_out;
use crate::{Error, Result};

/// The name of the case that has its own files.
pub const SUCCESS: &str = "success";
/// The names of the files of a function.
pub const FILES: [&str; 3] = ["cases.json", "success.answer.json", "success.json"];

/// The cases of a function.
#[derive(Debug, Clone)]
pub struct Cases {
    folder: PathBuf,
    /// The name of the folder in messages: `events/users-update`.
    shown: String,
    success: Case,
    document: Document,
}

/// A whole event, and the answer that was recorded for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub name: String,
    /// Placeholders in it such as `{{access acme admin@acme.example}}` stand for tokens: see [`crate::token::fill`].
    pub event: Value,
    /// It has `statusCode`, `headers`, `body`, and `changes` if the function changed something. `None` if nothing is recorded
    /// yet.
    pub answer: Option<Value>,
    /// The functions of the cases that come first, in their order, and their events.
    pub after: Vec<(String, Value)>,
    /// The calls of the table that the function may make when it has just started: all of them or the first ones.
    pub round_trips: Vec<String>,
}

/// The content of `cases.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    round_trips: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    cases: Map<String, Value>,
}

/// An entry of `cases.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(default = "success")]
    base: String,
    round_trips: Option<Vec<String>>,
    after: Option<String>,
    event: Map<String, Value>,
    answer: Option<Map<String, Value>>,
}

fn success() -> String {
    SUCCESS.to_owned()
}

impl Cases {
    /// Loads the cases of a function. `root` is the folder of the template.
    ///
    /// # Errors
    /// A file is missing, or is not as this module describes it.
    pub fn load(root: &Path, function: &str) -> Result<Self> {
        let shown = format!("events/{function}");
        let folder = root.join("events").join(function);
        let [cases, answer, event] = FILES.map(|name| (folder.join(name), format!("{shown}/{name}")));
        let document = read(&cases.0, &cases.1)?;
        let document: Document = serde_json::from_value(document).map_err(|why| format!("{}: {why}", cases.1))?;
        if document.cases.contains_key(SUCCESS) {
            return Err(format!("{}: `{SUCCESS}` has a file of its own", cases.1).into());
        }
        let answer = answer.0.exists().then(|| read(&answer.0, &answer.1)).transpose()?;
        let round_trips = document.round_trips.clone();
        let after = document.after.clone();
        let success =
            Case { name: success(), event: read(&event.0, &event.1)?, answer, after: Vec::new(), round_trips };
        let mut cases = Self { folder, shown, success, document };
        cases.success.after = after.map(|first| cases.first(&first, &[])).transpose()?.unwrap_or_default();
        Ok(cases)
    }

    /// The functions and the events of the case that comes before others, and of those before it.
    fn first(&self, name: &str, derived: &[&str]) -> Result<Vec<(String, Value)>> {
        let root = self.folder.ancestors().nth(2).unwrap_or(&self.folder);
        let own = self.folder.file_name().unwrap_or_default().to_string_lossy();
        let (function, case) = match name.split_once('/') {
            Some((function, name)) => (function.to_owned(), Self::load(root, function)?.get(name)?),
            None => (own.into_owned(), self.get_below(name, derived)?),
        };
        Ok([case.after, vec![(function, case.event)]].concat())
    }

    /// All of them, `success` first and the others in the order of the file.
    ///
    /// # Errors
    /// A case is not as this module describes it.
    pub fn all(&self) -> Result<Vec<Case>> {
        self.names().map(|name| self.get(name)).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [SUCCESS].into_iter().chain(self.document.cases.keys().map(String::as_str))
    }

    /// # Errors
    /// There is no such case, or it is not as this module describes it.
    pub fn get(&self, name: &str) -> Result<Case> {
        self.get_below(name, &[])
    }

    /// Does the same for a base. `derived` are the cases that rest on it.
    fn get_below(&self, name: &str, derived: &[&str]) -> Result<Case> {
        let at = |why: String| Error::from(format!("{}/cases.json: `{}`: {why}", self.shown, name.escape_debug()));
        if name == SUCCESS {
            return Ok(self.success.clone());
        }
        let entry = self.document.cases.get(name).ok_or_else(|| at(self.unknown(name)))?;
        let entry: Entry = serde_json::from_value(spelled_out(entry)).map_err(|why| at(why.to_string()))?;
        if derived.contains(&name) {
            return Err(at("it is its own base".to_owned()));
        }
        let base = self.get_below(&entry.base, &[derived, &[name]].concat())?;
        let event = patched(base.event, &entry.event, name).map_err(at)?;
        let answer = entry.answer.map(|answer| whole(&answer, base.answer.as_ref(), name)).transpose().map_err(at)?;
        let round_trips = entry.round_trips.unwrap_or(base.round_trips);
        let after = entry.after.map(|first| self.first(&first, &[derived, &[name]].concat())).transpose()?;
        let after = after.unwrap_or_default();
        Ok(Case { name: name.to_owned(), event, answer, after, round_trips })
    }

    fn unknown(&self, name: &str) -> String {
        let near = self.names().map(|it| (strsim::jaro_winkler(name, it), it));
        let mut near: Vec<_> = near.filter(|(similarity, _)| *similarity > 0.8).collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let list = |names: Vec<&str>| names.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
        match near.is_empty() {
            true => format!("no such case; there are {}", list(self.names().collect())),
            false => format!("no such case; similar are {}", list(near.iter().take(3).map(|it| it.1).collect())),
        }
    }

    /// Returns the text of `cases.json`, with `answers` in the place of the answers that it has.
    ///
    /// # Errors
    /// A case is not as this module describes it.
    pub fn text(&self, answers: &BTreeMap<String, Value>) -> Result<String> {
        let answer = |name: &str| match answers.get(name) {
            Some(answer) => Ok(Some(answer.clone())),
            None => self.get(name).map(|case| case.answer),
        };
        let mut document = self.document.clone();
        for (name, entry) in &mut document.cases {
            let Some(full) = answer(name)? else { continue };
            let base = answer(entry["base"].as_str().unwrap_or(SUCCESS))?;
            let short = shortened(&full, base.as_ref(), name)
                .ok_or_else(|| format!("{}/cases.json: `{name}`: its answer cannot be written: {full}", self.shown))?;
            // If both are equal, the old answer stays, so that its members keep their order.
            if entry["answer"] != short {
                entry["answer"] = short;
            }
        }
        let document = serde_json::to_value(document).map_err(|why| why.to_string())?;
        Ok(pretty(&document, 0, 0, 3) + "\n")
    }

    /// Records answers. The cases keep their order and their events.
    ///
    /// # Errors
    /// See [`Cases::text`], or a file cannot be written.
    pub fn write(&self, answers: &BTreeMap<String, Value>) -> Result<()> {
        let success = answers.get(SUCCESS).map(|answer| format!("{answer:#}\n"));
        for (name, text) in [(FILES[0], Some(self.text(answers)?)), (FILES[1], success)] {
            let Some(text) = text else { continue };
            fs::write(self.folder.join(name), text).map_err(|why| format!("{}/{name}: {why}", self.shown))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    /// Makes a folder with the cases of a function `f`. Its `cases.json` has the given cases.
    fn folder(cases: &Value) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("events/f");
        fs::create_dir_all(&folder).unwrap();
        let event = json!({
            "routeKey": "PUT /t/{id}",
            "rawPath": "/t/1",
            "headers": { "accept": "*/*" },
            "requestContext": { "http": {}, "requestId": "success-1" },
            "pathParameters": { "id": "1" },
            "body": "{}",
        });
        let answer = json!({
            "statusCode": 200,
            "headers": { "content-type": "application/json", "etag": "\"2\"", "x-request-id": "success-1" },
            "body": { "id": 1, "name": null },
            "changes": { "n": { "from": 1, "to": 2 } },
        });
        let document = json!({ "roundTrips": ["Query"], "cases": cases });
        for (name, value) in FILES.iter().zip([document, answer, event]) {
            fs::write(folder.join(name), value.to_string()).unwrap();
        }
        root
    }

    fn cases(cases: &Value) -> Cases {
        Cases::load(folder(cases).path(), "f").unwrap()
    }

    #[test]
    fn a_case_is_what_differs_from_its_base() {
        let cases = cases(&json!({
            "other": { "event": { "pathParameters": { "id": "2" } }, "answer": { "body": { "id": 2 } } },
            "third": { "base": "other", "event": { "headers": { "x": "{{2 times y}}" } } },
        }));
        let all = cases.all().unwrap();
        assert_eq!(all.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["success", "other", "third"]);
        assert_eq!(all[1].event["rawPath"], "/t/2");
        assert_eq!(all[1].answer.as_ref().unwrap()["body"], json!({ "id": 2, "name": null }));
        assert_eq!((&all[2].event["rawPath"], &all[2].event["headers"]["x"]), (&json!("/t/2"), &json!("yy")));
        assert_eq!(all[2].answer, None);
        assert_eq!(cases.get(SUCCESS).unwrap().round_trips, ["Query"]);
    }

    #[test]
    fn what_makes_no_case_is_said_in_one_line() {
        let entry = json!({ "event": {} });
        for (name, entry, expected) in [
            ("a", json!({}), "`a`: missing field `event`"),
            (
                "a",
                json!({ "event": {}, "anwser": {} }),
                "`a`: unknown field `anwser`, expected one of `base`, `roundTrips`, `after`, `event`, `answer`",
            ),
            ("a", json!({ "event": {}, "base": "a" }), "`a`: it is its own base"),
            ("a", json!({ "event": {}, "base": "forbiden" }), "`forbiden`: no such case; similar are `forbidden`"),
            ("a", json!({ "event": {}, "answer": { "status": 403 } }), "`a`: its answer has a member `status`"),
            (
                "x\ny",
                json!({ "event": {} }),
                "`x\\ny`: no such case; there are `success`, `forbidden`, `foreign-tenant`, `a`",
            ),
            ("foreign", json!({ "event": {} }), "`foreign`: no such case; similar are `foreign-tenant`, `forbidden`"),
        ] {
            let cases = cases(&json!({ "forbidden": { "event": {} }, "foreign-tenant": { "event": {} }, "a": entry }));
            assert_eq!(cases.get(name).unwrap_err().to_string(), format!("events/f/cases.json: {expected}"));
        }
        let twice = folder(&json!({ "success": entry }));
        let why = Cases::load(twice.path(), "f").unwrap_err().to_string();
        assert_eq!(why, "events/f/cases.json: `success` has a file of its own");
        let why = Cases::load(twice.path(), "g").unwrap_err().to_string();
        assert!(why.starts_with("cannot read events/g/cases.json: "), "{why}");
    }

    #[test]
    fn recording_changes_what_was_answered_and_nothing_else() {
        let root = folder(&json!({
            "z": { "event": { "body": { "b": ["{{1 to 2}}"], "a": 1 } }, "answer": { "body": { "id": 1 } } },
            "new": { "base": "z", "event": { "body": "{{3 times x}}" } },
            "a": { "event": {}, "answer": { "statusCode": 404, "body": { "id": 7 } } },
        }));
        let load = || Cases::load(root.path(), "f").unwrap();
        let text = || fs::read_to_string(root.path().join("events/f/cases.json")).unwrap();
        let before = load().all().unwrap();
        let mut new = before[0].answer.clone().unwrap();
        (new["headers"]["x-request-id"], new["body"]["name"]) = ("new-1".into(), "Uma".into());
        let mut z = before[1].answer.clone().unwrap();
        z["body"]["name"] = "{".repeat(50).into();
        load().write(&BTreeMap::from([("new".to_owned(), new.clone()), ("z".to_owned(), z.clone())])).unwrap();
        let expected = r#"{
  "roundTrips": ["Query"],
  "cases": {
    "z": {
      "event": { "body": { "b": ["{{1 to 2}}"], "a": 1 } },
      "answer": { "body": { "name": "{{50 times {}}" } }
    },
    "new": {
      "base": "z",
      "event": { "body": "{{3 times x}}" },
      "answer": { "body": { "name": "Uma" }, "changes": { "n": { "from": 1, "to": 2 } } }
    },
    "a": {
      "event": {},
      "answer": { "statusCode": 404, "body": { "id": 7 } }
    }
  }
}
"#;
        assert_eq!(text(), expected);
        let after = load().all().unwrap();
        assert_eq!([&after[1].answer, &after[2].answer], [&Some(z), &Some(new)]);
        assert_eq!([&after[0], &after[3]], [&before[0], &before[3]]);
        assert!(after.iter().zip(&before).all(|(after, before)| after.event == before.event));
        // Recording again changes nothing. If `success` gets a new answer, the other cases keep theirs: only the entries that
        // rest on `success` change.
        load().write(&BTreeMap::new()).unwrap();
        assert_eq!(text(), expected);
        let mut success = after[0].answer.clone().unwrap();
        success["body"]["id"] = 3.into();
        load().write(&BTreeMap::from([(SUCCESS.to_owned(), success.clone())])).unwrap();
        let last = load().all().unwrap();
        assert_eq!(last[0].answer, Some(success));
        assert_eq!(last[1..], after[1..]);
    }
}
