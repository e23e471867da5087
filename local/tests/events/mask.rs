//! Puts names in the place of what differs each time: times, random ids, tokens, cursors.

use serde_json::{Value, json};
use shared::domain::Time;

use crate::SEEDED;

/// No time in seconds that an event writes is later: the year 2100.
const FAR: i64 = 4_102_444_800;

/// Whether it is a random UUID, such as the id of a session.
pub fn is_random(text: &str) -> bool {
    shared::id::parse_uuid(text).is_some_and(|uuid| uuid.get_version_num() == 4)
}

fn is_hash(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Puts `<seeded>`, `<now>` and `<settled>` in the place of the demo data's time, of times since `started` and of the minute before, and `<cursor>` in the place of
/// cursors, which a secret of the tenant seals.
pub fn mask(value: &mut Value, started: Time) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| mask(value, started)),
        Value::Object(members) => {
            for name in ["next_cursor", "nextCursor", "next_token"] {
                if let Some(Value::String(cursor)) = members.get_mut(name).filter(|it| **it != "") {
                    *cursor = "<cursor>".into();
                }
            }
            // The hashes of events cover random salts.
            for name in ["id", "previous", "head", "salt", "root"] {
                if let Some(Value::String(hash)) = members.get_mut(name).filter(|it| is_hash(it)) {
                    *hash = "<hash>".into();
                }
            }
            if let Some(sealed) = members.get_mut("sealed") {
                *sealed = "<sealed>".into();
            }
            // The end of yesterday.
            if let Some(until) = members.get_mut("until").filter(|it| it.is_string()) {
                *until = "<midnight>".into();
            }
            // A key that was made for this server.
            if members.contains_key("kid") {
                for name in ["kid", "x"] {
                    members.entry(name).and_modify(|value| *value = format!("<{name}>").into());
                }
            }
            let random: Vec<String> = members.keys().filter(|name| is_random(name)).cloned().collect();
            for (name, place) in random.iter().zip(1..) {
                let value = members.remove(name).unwrap_or_default();
                members.insert(format!("<id {place}>"), value);
            }
            members.values_mut().for_each(|value| mask(value, started));
        }
        // Times in seconds since the epoch.
        Value::Number(number) if number.as_i64().is_some_and(|it| (started.seconds()..FAR).contains(&it)) => {
            *value = "<seconds>".into();
        }
        Value::String(text) if is_random(text) => *text = "<id>".into(),
        Value::String(text) if text.starts_with("ey") && text.matches('.').count() == 2 => *text = "<token>".into(),
        Value::String(text) if text.starts_with("rt_") => *text = "<refresh token>".into(),
        Value::String(text) if text.starts_with("rk_") => *text = "<key>".into(),
        Value::String(text) if text.starts_with("whsec_") => *text = "<secret>".into(),
        Value::String(text) if text.starts_with("inv_") => *text = "<secret>".into(),
        Value::String(text) if text.starts_with("rolecall-domain-verification=") => *text = "<challenge>".into(),
        Value::String(text) => {
            let time = serde_json::from_value::<Time>(json!(text)).ok();
            match time.filter(|time| time.to_string() == *text) {
                Some(time) if time.millis() == SEEDED => *text = "<seeded>".into(),
                Some(time) if (started..=shared::now()).contains(&time) => *text = "<now>".into(),
                // The end of an export of the record.
                Some(time) if (started.millis() - 60_000..started.millis()).contains(&time.millis()) => {
                    *text = "<settled>".into();
                }
                // The end of a session, counted from now.
                Some(time) if time > shared::now() && time.seconds() < FAR => *text = "<later>".into(),
                _ => {}
            }
        }
        _ => {}
    }
}
