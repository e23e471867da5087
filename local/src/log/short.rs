//! Lines for people: one line for each request, and below it the reasons of a failure.
//!
//! The entries of a request come by two ways, in no fixed order. The gateway reports the answer. The function's line, or the
//! gateway's reason why there is none, reports the rest. Both have the request's id.

use std::{
    collections::VecDeque,
    fmt::Write,
    time::{Duration, Instant, SystemTime},
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::{Answered, Entry};

/// The time that one half waits for the other. A function writes its line before it answers.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most characters of a text that is written as it comes.
const MAX_TEXT: usize = 600;
/// The ASCII characters that nobody can see; URLs encode them, too. `percent_encoding` always encodes all characters that are
/// not ASCII.
const INVISIBLE: &AsciiSet = &CONTROLS.add(b' ');

const RESET: &str = "\x1b[0m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";

/// Joins the log entries of one request.
pub(super) struct Short {
    colours: bool,
    /// The entries that wait for their other half, in the order of time.
    waiting: VecDeque<(Instant, Half)>,
}

pub(super) enum Half {
    Answered(Answered),
    /// The function's line about the request with this id.
    Line {
        function: String,
        request: String,
        line: Value,
    },
    /// The reason why there is no line.
    Said {
        of: String,
        request: String,
        text: String,
    },
}

impl Half {
    fn request(&self) -> &str {
        match self {
            Self::Answered(answered) => &answered.request,
            Self::Line { request, .. } | Self::Said { request, .. } => request,
        }
    }
}

impl Short {
    pub(super) fn new(colours: bool) -> Self {
        Self { colours, waiting: VecDeque::new() }
    }

    /// Returns the time at which [`Short::give_up`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| *since + PATIENCE)
    }

    /// Takes an entry, and adds to `text` the lines that are complete now.
    pub(super) fn take(&mut self, entry: Entry, now: Instant, text: &mut String) {
        let half = match entry {
            Entry::Answered(answered) if answered.function.is_none() || answered.cause.is_some() => {
                return *text += &row(&answered, None, self.colours);
            }
            Entry::Answered(answered) => Half::Answered(answered),
            Entry::Said { of, text, request: Some(request) } => Half::Said { of, request, text },
            Entry::Said { of, text: said, request: None } => return *text += &said_of(&of, &said),
            Entry::Written { function, line } => match serde_json::from_str::<Value>(&line) {
                Ok(line) if line["message"] == "request" && line["request_id"].is_string() => {
                    let request = line["request_id"].as_str().unwrap_or_default().to_owned();
                    Half::Line { function, request, line }
                }
                Ok(line) if line["level"].is_string() => return *text += &remark(&function, &line),
                _ => return *text += &said_of(&function, &line),
            },
        };
        let is_answer = |half: &Half| matches!(half, Half::Answered(_));
        let other = self
            .waiting
            .iter()
            .position(|(_, other)| is_answer(other) != is_answer(&half) && other.request() == half.request());
        match (other.and_then(|at| self.waiting.remove(at)), half) {
            (Some((_, Half::Answered(answered))), rest) | (Some((_, rest)), Half::Answered(answered)) => {
                *text += &row(&answered, Some(&rest), self.colours);
            }
            (_, half) => self.waiting.push_back((now, half)),
        }
    }

    /// Adds to `text` the entries that have waited in vain until now. `None` stands for all entries that wait.
    pub(super) fn give_up(&mut self, now: Option<Instant>, text: &mut String) {
        let is_over = |since: &Instant| now.is_none_or(|now| *since + PATIENCE <= now);
        while let Some((_, half)) = self.waiting.pop_front_if(|(since, _)| is_over(since)) {
            *text += &match half {
                Half::Answered(answered) => row(&answered, None, self.colours),
                Half::Said { of, text, .. } => said_of(&of, &text),
                // The caller of this request did not wait for its answer.
                Half::Line { function, request, line } => {
                    let answered = Answered {
                        came: SystemTime::now(),
                        method: "-".into(),
                        path: "-".into(),
                        status: line["status"].as_u64().and_then(|it| u16::try_from(it).ok()),
                        took: Duration::try_from_secs_f64(line["ms"].as_f64().unwrap_or_default() / 1e3)
                            .unwrap_or_default(),
                        cause: None,
                        request: String::new(),
                        function: Some(function.clone()),
                    };
                    row(&answered, Some(&Half::Line { function, request, line }), self.colours)
                }
            };
        }
    }
}

/// Writes `14:40:17 PATCH  /api/v1/tenant/acme/user/3 …`, and the lines below it.
pub(super) fn row(answered: &Answered, rest: Option<&Half>, colours: bool) -> String {
    let Answered { came, method, path, status, took, function, cause, .. } = answered;
    // For example `Sun, 22 Nov 2026 14:40:17 GMT`.
    let time = &httpdate::fmt_http_date(*came)[17..25];
    let (status, colour) = match status {
        None => ("gone".to_owned(), YELLOW),
        Some(status @ ..=399) => (status.to_string(), GREEN),
        Some(status @ ..=499) => (status.to_string(), YELLOW),
        Some(status) => (status.to_string(), RED),
    };
    let (ms, function) = (took.as_secs_f64() * 1e3, function.as_deref().unwrap_or("-"));
    let line = match rest {
        Some(Half::Line { line, .. }) => line,
        _ => &Value::Null,
    };
    let trips = match line["round_trips"].as_u64() {
        Some(1) => "1 trip".into(),
        Some(trips) => format!("{trips} trips"),
        None => "-".into(),
    };
    let [dim, colour, reset] = if colours { [DIM, colour, RESET] } else { [""; 3] };
    let mut text = format!(
        "{dim}{time}{reset} {method:<6} {path:<48} {colour}{status:>4}{reset} {ms:>8.1} ms {trips:>8}  {function}\n"
    );
    let below = match rest {
        Some(Half::Said { text, .. }) => vec![text.clone()],
        _ => cause.iter().cloned().chain(causes(line, answered.status.is_none_or(|it| it >= 400))).collect(),
    };
    for line in below {
        // INVARIANT: writing to a string does not fail.
        let _ = writeln!(text, "         {colour}{}{reset}", clean(&line));
    }
    text
}

/// Returns the reasons that a function's line gives for a failure, or for a slow success.
fn causes(line: &Value, failed: bool) -> Vec<String> {
    let text = |name: &str| line[name].as_str();
    let mut causes = Vec::new();
    if let Some(outcome) = text("outcome").filter(|_| failed) {
        let rule = text("rule").map(|rule| format!("the policy `{rule}` forbids it"));
        let why: Vec<_> = text("cause").map(str::to_owned).into_iter().chain(rule).collect();
        causes.push(if why.is_empty() { outcome.to_owned() } else { format!("{outcome}: {}", why.join("; ")) });
    }
    let advice = text("advice");
    if failed || advice.is_some() {
        causes.extend(line["failures"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    causes.extend(advice.map(str::to_owned));
    causes
}

/// Writes a line of a function that is not about one request, but only if it matters.
fn remark(function: &str, line: &Value) -> String {
    let level = line["level"].as_str().unwrap_or_default();
    if ["INFO", "DEBUG"].contains(&level) {
        return String::new();
    }
    const TOLD: [&str; 6] = ["_aws", "timestamp", "level", "message", "service", "function"];
    let fields = line.as_object().into_iter().flatten().filter(|(name, _)| !TOLD.contains(&name.as_str()));
    let fields = fields.map(|(name, value)| match value {
        Value::String(text) => format!(", {name}: {text}"),
        value => format!(", {name}: {value}"),
    });
    let message = line["message"].as_str().unwrap_or_default();
    said_of(function, &format!("{level} {message}{}", fields.collect::<String>()))
}

fn said_of(of: &str, text: &str) -> String {
    format!("[{of}] {}\n", clean(text))
}

/// Escapes text, so that it cannot end its line or steer the terminal.
fn clean(text: &str) -> String {
    let mut clean = String::new();
    for char in cut(text, MAX_TEXT).chars() {
        match char {
            '"' | '\'' | '\\' => clean.push(char),
            char => clean.extend(char.escape_debug()),
        }
    }
    clean
}

/// Encodes a part of a request line and cuts it, so that people can see it and it ends no line.
pub(super) fn visible(text: &str, most: usize) -> String {
    cut(&utf8_percent_encode(text, INVISIBLE).to_string(), most)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use serde_json::json;

    use super::*;

    fn answered(path: &str, status: Option<u16>) -> Answered {
        let mut answered = Answered::not_yet(&Request::put(path).body(()).unwrap(), "id");
        answered.came = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_358_417_123);
        (answered.status, answered.took) = (status, Duration::from_micros(12_340));
        answered.function = Some("users-update".into());
        answered
    }

    fn written(line: &str) -> Entry {
        Entry::Written { function: "users-update".into(), line: line.into() }
    }

    fn line(more: Value) -> Entry {
        let mut line =
            json!({ "level": "INFO", "message": "request", "request_id": "id", "round_trips": 2, "ms": 9.5 });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        written(&line.to_string())
    }

    fn told(entries: impl IntoIterator<Item = Entry>) -> String {
        let (mut short, mut text) = (Short::new(false), String::new());
        entries.into_iter().for_each(|entry| short.take(entry, Instant::now(), &mut text));
        text
    }

    const ROW: &str =
        "14:40:17 PUT    /v1/users/3                                       200     12.3 ms  2 trips  users-update\n";

    #[test]
    fn a_request_is_one_line_whichever_half_comes_first() {
        let answer = || Entry::Answered(answered("/v1/users/3?token=secret", Some(200)));
        let line = || line(json!({ "status": 200, "outcome": "ok" }));
        assert_eq!(told([answer(), line()]), ROW);
        assert_eq!(told([line(), answer()]), ROW);
        let other = Entry::Answered(Answered { request: "other".into(), ..answered("/", Some(200)) });
        assert_eq!(told([line(), other.clone(), answer()]), ROW);
        assert_eq!(told([line(), other]), "");
        let once = Entry::Answered(Answered { function: None, ..answered("/v1/users/3", Some(200)) });
        assert_eq!(told([once]), ROW.replace("2 trips  users-update", "      -  -"));
    }

    #[test]
    fn a_failure_is_told_below_in_words() {
        let below = |status, more| {
            let text = told([line(more), Entry::Answered(answered("/", Some(status)))]);
            text.lines().skip(1).map(|line| line.strip_prefix("         ").unwrap().to_owned()).collect::<Vec<_>>()
        };
        let ok = json!({ "outcome": "ok", "failures": ["GetItem: no"] });
        assert_eq!(below(200, ok), [""; 0]);
        assert_eq!(below(404, json!({ "outcome": "not_found" })), ["not_found"]);
        let denied = json!({ "outcome": "forbidden", "rule": "base.rank" });
        assert_eq!(below(403, denied), ["forbidden: the policy `base.rank` forbids it"]);
        let down =
            json!({ "outcome": "unavailable", "cause": "no time", "failures": ["GetItem: no"], "advice": "look" });
        assert_eq!(below(503, down), ["unavailable: no time", "GetItem: no", "look"]);
        let slow = json!({ "outcome": "ok", "failures": ["GetItem: no"], "advice": "slow: see `failures`" });
        assert_eq!(below(200, slow), ["GetItem: no", "slow: see `failures`"]);
        let said = Entry::Said { of: "users-update".into(), text: "timed out".into(), request: Some("id".into()) };
        let text = told([said, Entry::Answered(answered("/", Some(504)))]);
        assert!(text.ends_with("        -  users-update\n         timed out\n"), "{text}");
        let own = Answered { cause: Some("no route".into()), ..answered("/", Some(404)) };
        assert!(told([Entry::Answered(own)]).ends_with("        -  users-update\n         no route\n"));
    }

    #[test]
    fn what_waits_in_vain_is_told_alone() {
        let (mut short, mut text) = (Short::new(false), String::new());
        let start = Instant::now();
        short.take(Entry::Answered(answered("/v1/users/3", None)), start, &mut text);
        short.give_up(Some(start + PATIENCE / 2), &mut text);
        assert_eq!((text.as_str(), short.due()), ("", Some(start + PATIENCE)));
        short.give_up(Some(start + PATIENCE), &mut text);
        assert_eq!(text, ROW.replace("  200 ", " gone ").replace("2 trips", "      -"));
        text.clear();
        short.take(line(json!({ "status": 200 })), start, &mut text);
        short.give_up(None, &mut text);
        let row = ROW.replace("PUT", "-  ").replace("/v1/users/3", "-          ").replace("12.3", " 9.5");
        assert_eq!((&text[8..], short.due()), (&row[8..], None));
    }

    #[test]
    fn no_text_steers_the_terminal_or_forges_a_line() {
        // HTTP lets these characters through in a request's first line.
        let request = Request::builder().uri("/a%0A%1B[31m\u{9b}31m\u{202e}\u{85}ä").method("X-0123456789ABC");
        let told_of = Answered::not_yet(&request.body(()).unwrap(), "");
        assert_eq!(told_of.method, "X-0123456…");
        assert_eq!(told_of.path, "/a%0A%1B[31m%C2%9B31m%E2%80%AE%C2%85%C3%A4");
        let long = Answered::not_yet(&Request::builder().uri("/".repeat(9000)).body(()).unwrap(), "").path;
        assert_eq!((long.chars().count(), long.ends_with("//…")), (120, true));

        let forged = "a\n14:40:17 PUT\r\x1b[2J\u{9b}\u{202e}\u{2028}";
        let expected = r"a\n14:40:17 PUT\r\u{1b}[2J\u{9b}\u{202e}\u{2028}";
        assert_eq!(told([written(forged)]), format!("[users-update] {expected}\n"));
        let answer = || Entry::Answered(answered("/", Some(500)));
        let text = told([line(json!({ "outcome": "internal", "cause": forged })), answer()]);
        assert!(text.ends_with(&format!("\n         internal: {expected}\n")), "{text}");
        assert_eq!(told([written(&"x".repeat(9000))]).chars().count(), MAX_TEXT + "[users-update] \n".len());
    }

    #[test]
    fn what_matters_and_is_no_request_stays() {
        let line =
            |level: &str| written(&json!({ "level": level, "message": "ready", "ms": 1, "why": "x" }).to_string());
        assert_eq!(told([line("INFO"), line("DEBUG")]), "");
        assert_eq!(told([line("WARN")]), "[users-update] WARN ready, ms: 1, why: x\n");
        assert_eq!(told([line("ERROR")]), "[users-update] ERROR ready, ms: 1, why: x\n");
        for text in ["thread 'main' panicked: \"why\"", "{}", "7", "{\"message\":\"request\"}"] {
            assert_eq!(told([written(text)]), format!("[users-update] {text}\n"));
        }
        assert_eq!(told([Entry::said("dynamodb", "no")]), "[dynamodb] no\n");
    }

    #[test]
    fn colours_are_an_addition() {
        let answer = Answered { cause: Some("no".into()), ..answered("/v1/users/3", Some(500)) };
        let (plain, coloured) = (row(&answer, None, false), row(&answer, None, true));
        assert!(!plain.contains('\x1b') && coloured.contains(&format!("{RED} 500{RESET}")), "{coloured:?}");
        assert_eq!([DIM, RED, RESET].iter().fold(coloured, |text, code| text.replace(code, "")), plain);
    }
}
