//! Checks an export of a tenant's record, with nothing but the public keys: each hash, each chain, each checkpoint.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use shared::dialect::users::{Checkpoints, ShownEvent};
use shared::domain::chain::Checked;
use shared::domain::checkpoint::{Removed, Statement, Tree};
use shared::domain::{Checkpoint, Event, Subject, Time};
use shared::gate::checkpoints::CheckpointPage;
use shared::id::{TenantId, sha256};
use shared::signing::CHECKPOINT;
use shared::table::key::TenantKeys;

use crate::Result;

/// What holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// The tenant, by its UUID, and the deployment, as the last checkpoint names them.
    pub tenant: String,
    pub iss: String,
    pub events: usize,
    pub chains: usize,
    pub checkpoints: usize,
    /// How many events the last checkpoint covers, and the time before which they are.
    pub covered: u64,
    pub until: Time,
    /// How many events are removed, and the time before which they were: the tenant keeps them no longer.
    pub removed: Option<(u64, Time)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { tenant, iss, events, chains, checkpoints, covered, until, removed } = self;
        write!(f, "all hold: tenant {tenant} of {iss}, events {events}, chains {chains}, checkpoints {checkpoints}; ")?;
        write!(f, "the last checkpoint covers {covered} events, those before {until}")?;
        match removed {
            Some((size, until)) => write!(f, "; it says that {size} of them are removed, those before {until}"),
            None => Ok(()),
        }
    }
}

/// The content of an export.
#[derive(Default)]
struct Export {
    /// By their places in the order of the record.
    events: BTreeMap<String, (String, Event)>,
    /// By their numbers: the statement, and whether one of the keys has signed it.
    checkpoints: BTreeMap<u64, (Statement, bool)>,
    tenant: Option<TenantId>,
}

/// The public keys of a deployment, by their `kid`.
#[derive(Debug)]
pub struct Keys(BTreeMap<String, VerifyingKey>);

impl Keys {
    /// Takes the Ed25519 keys of a JWK Set.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(document: &str) -> Result<Self> {
        let set: Value = serde_json::from_str(document).map_err(|_| "they are no JSON".to_owned())?;
        let key = |jwk: &Value| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(jwk["x"].as_str()?).ok()?;
            let key = VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()?;
            Some((jwk["kid"].as_str()?.to_owned(), key)).filter(|_| jwk["crv"] == "Ed25519")
        };
        let keys: BTreeMap<_, _> = set["keys"].as_array().into_iter().flatten().filter_map(key).collect();
        if keys.is_empty() { Err("there is no Ed25519 key among them".to_owned().into()) } else { Ok(Self(keys)) }
    }
}

/// Checks the lines of an export.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a str>, keys: &Keys) -> Result<Report> {
    let mut export = Export::default();
    for (number, line) in (1..).zip(lines) {
        let at = |why: String| format!("line {number}: {why}");
        let line = line.trim();
        if !line.is_empty() {
            let value = serde_json::from_str(line).map_err(|_| at("it is no JSON".to_owned()))?;
            export.take(&value, keys).map_err(at)?;
        }
    }
    let Some((last, true)) = export.checkpoints.values().next_back().cloned() else {
        let why = "no checkpoint that one of the keys has signed: nothing shows whether the last events are missing";
        return Err(why.to_owned().into());
    };
    // What the signed checkpoint calls removed may be there, and counts for nothing.
    let removed_until = last.removed.as_ref().map(|removed| removed.until);
    export.events.retain(|_, (_, event)| removed_until.is_none_or(|until| event.at >= until));
    let chains = export.check_chains(last.removed.is_some())?;
    export.check_checkpoints(chains, &last)
}

impl Export {
    /// Takes an event, a checkpoint, or a page of them.
    fn take(&mut self, value: &Value, keys: &Keys) -> std::result::Result<(), String> {
        if let (Some(page), Some(members)) = (value["data"].as_array(), value.as_object()) {
            if let Some(name) = members.keys().find(|name| !["data", "next_cursor"].contains(&name.as_str())) {
                return Err(format!("`{name}` belongs to no page"));
            }
            return page.iter().try_for_each(|value| self.take(value, keys));
        }
        if let Some(signed) = value["signed"].as_str() {
            let (says, is_signed) = read_checkpoint(signed, keys)?;
            let checkpoints = vec![Checkpoint { says: says.clone(), signed: signed.to_owned() }];
            let page = json!(Checkpoints::new(&CheckpointPage { checkpoints, next_cursor: None }));
            // The text alone proves all.
            if value.as_object().is_some_and(|members| members.len() > 1) {
                shows(value, &page["data"][0], "signed")?;
            }
            let known = self.checkpoints.insert(says.number, (says.clone(), is_signed));
            return match known.is_some_and(|(known, _)| known != says) {
                true => Err(format!("another checkpoint has the number {}", says.number)),
                false => Ok(()),
            };
        }
        let (id, event) = read_event(value)?;
        let tenant = *self.tenant.get_or_insert(event.tenant);
        if tenant != event.tenant {
            return Err("an event of another tenant".to_owned());
        }
        let place = TenantKeys(tenant).happened(event.at, &event.subject, event.version).sk;
        let known = self.events.insert(place, (id.clone(), event));
        match known.is_some_and(|(known, _)| known != id) {
            true => Err("another event has the same subject, version and time".to_owned()),
            false => Ok(()),
        }
    }

    /// Follows each chain, from its beginning or, in a shortened record, from the first event that is left of it. Returns how many there
    /// are.
    fn check_chains(&self, is_shortened: bool) -> Result<usize> {
        let mut chains: BTreeMap<(&str, &str), Vec<&Event>> = BTreeMap::new();
        for (_, event) in self.events.values() {
            let Subject { kind, id } = &event.subject;
            chains.entry((kind, id)).or_default().push(event);
        }
        for ((kind, id), events) in &mut chains {
            events.sort_by_key(|event| event.version);
            let first = events.first().filter(|first| is_shortened && first.version > 1);
            let mut checked = first.map_or_else(Checked::default, |it| Checked::after(it.version - 1, &it.previous));
            for event in events {
                let next = checked.next(event.tenant, &event.subject, event);
                next.map_err(|broken| format!("{kind} {id}: {broken}"))?;
            }
        }
        Ok(chains.len())
    }

    /// Computes the root of each checkpoint. One whose key is not there any more counts if a later one holds.
    fn check_checkpoints(&self, chains: usize, last: &Statement) -> Result<Report> {
        let removed = last.removed.as_ref();
        let tree = removed.map_or(Some(Tree::default()), Removed::tree);
        let tree = tree.ok_or("the last checkpoint does not fully describe the removed events".to_owned())?;
        let base = removed.map(|removed| (removed.until, tree.size, tree.root()));
        let tenant = self.tenant.map(|tenant| tenant.uuid().to_string());
        let (mut tree, mut events) = (tree, self.events.values().peekable());
        for (says, _) in self.checkpoints.values() {
            let wrong = |why: String| Err(format!("checkpoint {}: {why}", says.number).into());
            if tenant.as_ref().is_some_and(|tenant| *tenant != says.tenant) || says.iss != last.iss {
                return wrong("it is of another tenant".to_owned());
            }
            if says.removed.as_ref().is_some_and(|removed| !removed.is_old_enough(says.until)) {
                return wrong("it says that events are removed that are too young for that".to_owned());
            }
            // Of events that are removed it shows nothing, unless it covers just these. Which events it covers follows from its time: the
            // size of what is removed can be forged by anybody who can write the table.
            if let Some((until, size, root)) = base.as_ref().filter(|(until, ..)| says.until <= *until) {
                let is_part = match says.size == *size {
                    true => says.root == *root,
                    false => says.size < *size && says.until < *until,
                };
                if !is_part {
                    return wrong("it covers other events than those that are removed".to_owned());
                }
                continue;
            }
            while let Some((id, _)) = events.next_if(|(_, event)| event.at < says.until) {
                tree.push(id);
            }
            if tree.size != says.size {
                return wrong(format!("it covers {} events, and {} are of that time", says.size, tree.size));
            }
            if tree.root() != says.root {
                return wrong("it covers other events".to_owned());
            }
        }
        let (events, checkpoints) = (self.events.len(), self.checkpoints.len());
        let removed = removed.map(|removed| (removed.size, removed.until));
        let Statement { tenant, iss, size: covered, until, .. } = last.clone();
        Ok(Report { tenant, iss, events, chains, checkpoints, covered, until, removed })
    }
}

/// Checks that a line shows what it must, and nothing else: of itself, only the text that is hashed or signed is proved. An older line can
/// lack what is `null`.
fn shows(line: &Value, right: &Value, proved: &str) -> std::result::Result<(), String> {
    let mut names = [line, right].into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    // Without such a member, indexing gives `null`.
    match names.find(|name| line[name.as_str()] != right[name.as_str()]) {
        Some(name) => Err(format!("`{name}` is not what `{proved}` says")),
        None => Ok(()),
    }
}

/// An event whose id is the hash of what it says.
fn read_event(value: &Value) -> std::result::Result<(String, Event), String> {
    let (Some(id), Some(sealed)) = (value["id"].as_str(), value["sealed"].as_str()) else {
        return Err("neither an event with `sealed` nor a checkpoint".to_owned());
    };
    let event: Option<Event> = serde_json::from_str(sealed).ok();
    let event = event.filter(|_| sha256(sealed) == id).ok_or("`id` is not the hash of `sealed`")?;
    // The values that can name a person are what the commitments are of, if they are there.
    let mut open = Event { salt: value["salt"].as_str().map(str::to_owned), ..event.clone() };
    if open.salt.is_some() {
        for (name, change) in open.changes.iter_mut().filter(|(_, change)| change.personal) {
            change.from = value["changes"][name]["from"].clone();
            change.to = value["changes"][name]["to"].clone();
        }
    }
    if open.hash() != id {
        return Err("`changes` are not those of `sealed`".to_owned());
    }
    shows(value, &json!(ShownEvent::new(&open, event.tenant, true)), "sealed")?;
    Ok((id.to_owned(), event))
}

/// What a checkpoint says, and whether one of the keys has signed it. One of a key that is not there is not signed.
fn read_checkpoint(signed: &str, keys: &Keys) -> std::result::Result<(Statement, bool), String> {
    let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    let read = || {
        let (content, signature) = signed.rsplit_once('.')?;
        let (header, payload) = content.split_once('.')?;
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let says: Statement = serde_json::from_slice(&decode(payload)?).ok()?;
        let is_ours = header["alg"] == "EdDSA" && header["typ"] == CHECKPOINT && header.get("crit").is_none();
        let signature = Signature::from_slice(&decode(signature)?).ok()?;
        Some((keys.0.get(header["kid"].as_str()?), content, signature, says)).filter(|_| is_ours)
    };
    let (key, content, signature, says) = read().ok_or("`signed` is no signed checkpoint")?;
    match key.map(|key| key.verify_strict(content.as_bytes(), &signature)) {
        Some(Err(_)) => Err("the signature of the checkpoint is wrong".to_owned()),
        verified => Ok((says, verified.is_some())),
    }
}

#[cfg(test)]
mod tests {
    use shared::domain::Label;
    use shared::id::LabelId;
    use shared::signing::SigningKeys;
    use shared::table::decode;

    use super::*;
    use crate::store::record_items;

    const TENANT: TenantId = TenantId::new(1);

    fn on(day: u32) -> Time {
        Time::from_millis(i64::from(day) * 24 * 60 * 60 * 1_000)
    }

    /// The event of a label that was made on a day.
    fn event(day: u32) -> Event {
        let label = Label::new(LabelId::new(day), "a label", on(day));
        decode(record_items(TENANT, &label, on(day)).unwrap().pop().unwrap()).unwrap()
    }

    fn shown(event: &Event) -> Value {
        json!(ShownEvent::new(event, TENANT, true))
    }

    fn tree(ids: &[String]) -> Tree {
        let mut tree = Tree::default();
        ids.iter().for_each(|id| tree.push(id));
        tree
    }

    fn removed(until: u32, ids: &[String]) -> Option<Removed> {
        let tree = tree(ids);
        Some(Removed { until: on(until), size: tree.size, peaks: tree.peaks().to_vec() })
    }

    fn statement(number: u64, until: u32, ids: &[String], removed: Option<Removed>) -> Statement {
        let (tree, tenant) = (tree(ids), TENANT.uuid().to_string());
        let (iss, until) = ("https://rolecall.example".to_owned(), on(until));
        Statement { iss, tenant, number, until, size: tree.size, root: tree.root(), removed }
    }

    fn checked(events: &[Event], statements: [&Statement; 2]) -> std::result::Result<Report, String> {
        let (keys, public) = SigningKeys::new(1_000).unwrap();
        let sign = |says: &Statement| keys.sign_statement(says, 1_000).unwrap();
        let checkpoints = statements.map(|says| Checkpoint { says: says.clone(), signed: sign(says) });
        let page = CheckpointPage { checkpoints: checkpoints.into(), next_cursor: None };
        let lines = events.iter().map(shown).chain([json!(Checkpoints::new(&page))]);
        let lines: Vec<String> = lines.map(|line| line.to_string()).collect();
        let keys = Keys::parse(&json!({ "keys": [public] }).to_string()).unwrap();
        verify(lines.iter().map(String::as_str), &keys).map_err(|why| why.to_string())
    }

    #[test]
    fn a_forged_removal_does_not_hide_what_an_older_checkpoint_shows() {
        let events = [100, 200, 300, 400].map(event);
        let ids: Vec<String> = events.iter().map(Event::hash).collect();
        let forged: Vec<String> = (0..5).map(|number| sha256(&number.to_string())).collect();
        let honest = statement(2, 500, &ids, removed(150, &ids[..1]));
        let forged = statement(2, 500, &[&forged[..], &ids[1..]].concat(), removed(150, &forged));
        // What was kept of the oldest day shows nothing any more.
        for (until, size, is_found) in [(120, 1, false), (150, 1, true), (350, 3, true)] {
            let kept = statement(1, until, &ids[..size], None);
            let report = checked(&events[1..], [&kept, &honest]).unwrap();
            assert_eq!((report.covered, report.removed), (4, Some((1, on(150)))));
            let found = checked(&events[1..], [&kept, &forged]);
            assert_eq!(found.is_err(), is_found, "{until}: {found:?}");
        }
    }

    fn why(line: &Value, place: &str, value: Value) -> String {
        let mut line = line.clone();
        *line.pointer_mut(place).unwrap() = value;
        read_event(&line).unwrap_err()
    }

    #[test]
    fn a_line_that_shows_something_else_than_its_text_is_found() {
        let mut event = event(100);
        let line = shown(&event);
        read_event(&line).unwrap();
        for (place, value) in [
            ("/at", json!(on(101))),
            ("/subject/id", json!("other")),
            ("/version", json!(2)),
            ("/action", json!("updated")),
            ("/actor/reason", json!("other")),
            ("/actor", json!({ "kind": "product", "id": null, "reason": "seed", "approver_id": "other" })),
            ("/request_id", json!("other")),
            ("/changes/name/to", json!("other")),
            ("/changes/name/is_erased", json!(true)),
            ("/changes", json!({})),
            ("/previous", json!("other")),
        ] {
            let why = why(&line, place, value);
            assert!(why.ends_with("is not what `sealed` says"), "{place}: {why}");
        }

        // A value that can name a person is proved by the salt; without the salt there is none.
        event.salt = Some("salt".to_owned());
        event.changes.get_mut("name").unwrap().personal = true;
        let line = shown(&event);
        read_event(&line).unwrap();
        assert_eq!(why(&line, "/changes/name/to", json!("other")), "`changes` are not those of `sealed`");
        assert_eq!(why(&line, "/salt", Value::Null), "`changes` is not what `sealed` says");
        let erased = shown(&event.erased());
        read_event(&erased).unwrap();
        assert_eq!(why(&erased, "/changes/name/to", json!("other")), "`changes` is not what `sealed` says");
    }
}
