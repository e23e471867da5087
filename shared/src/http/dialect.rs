//! The parts of a dialect.

use domain::Problem;
use serde_json::Value;

use crate::answer::Answer;

/// A dialect. Each is one file in `dialect/`.
#[derive(Debug)]
pub struct Dialect {
    pub name: &'static str,
    /// Whether answers show the member's picture. If so, the one read includes it.
    pub pictures: bool,
    /// Whether answers show the names of the member's groups and label.
    pub names: bool,
    /// The status and the body of the answer to a request that was not done.
    pub problem: fn(&Problem) -> (u16, Value),
}

impl Dialect {
    /// The answer to a request that was not done.
    pub fn problem(&self, problem: &Problem) -> Answer {
        let (status, body) = (self.problem)(problem);
        let answer = Answer::json(status, &body);
        match (problem.retry_after(), problem) {
            (Some(seconds), _) => answer.with_header("retry-after", seconds.to_string()),
            // RFC 6750, section 3: every 401 names the credential that it wants.
            (None, Problem::Unauthenticated(_)) => answer.with_header("www-authenticate", "Bearer"),
            // RFC 9110, section 15.5.16: a 415 for the coding lists the accepted ones.
            (None, Problem::UnsupportedContentCoding) => answer.with_header("accept-encoding", "identity"),
            _ => answer,
        }
    }
}
