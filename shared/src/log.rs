//! The log of a function: lines of JSON with codes and numbers, without names, addresses, tokens or bodies.
//!
//! `serve/line.rs` makes the line of each request.

use std::io::Write;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Error,
    Warn,
    Info,
    /// Every try at the table.
    Debug,
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let levels = [("error", Self::Error), ("warn", Self::Warn), ("info", Self::Info), ("debug", Self::Debug)];
        let found = levels.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(_, level)| level).ok_or_else(|| format!("`{text}` is no log level: error, warn, info or debug"))
    }
}

/// The function that writes.
#[derive(Debug)]
pub struct Source {
    /// The name of the deployment: every stack's metrics are its own.
    pub service: String,
    pub function: String,
    /// Lines below this level are not written.
    pub level: Level,
}

static SOURCE: OnceLock<Source> = OnceLock::new();

/// The function that writes, once it is known.
pub fn source() -> Option<&'static Source> {
    SOURCE.get()
}

/// Sets the function that writes, once, at the start of a process. Nothing is written before.
pub fn start(source: Source) {
    let _ = SOURCE.set(source); // A process is one function.
}

/// Writes a line beside those of requests. `fields` is called only if the level is on; it is `dyn` so that this compiles once.
pub fn line(level: Level, message: &str, fields: &dyn Fn() -> Value) {
    let Some(source) = SOURCE.get().filter(|source| level <= source.level) else { return };
    let mut line = json!({
        "timestamp": crate::now(), "level": level, "message": message,
        "service": source.service, "function": source.function,
    });
    if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields()) {
        line.extend(fields);
    }
    write(&line);
}

/// Writes one line.
pub fn write(line: &impl Serialize) {
    // INVARIANT: all keys are strings.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    // One call writes the whole line. If that fails, there is nowhere to report it.
    let _ = std::io::stdout().lock().write_all(&text);
}

/// Milliseconds, to the microsecond.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
