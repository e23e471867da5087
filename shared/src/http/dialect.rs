//! What makes a dialect.

use domain::Problem;
use serde_json::Value;

use crate::answer::Answer;

/// A way to speak: each is one file in `dialect/`.
#[derive(Debug)]
pub struct Dialect {
    pub name: &'static str,
    /// Whether answers show the member's picture, which is then read along.
    pub pictures: bool,
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
            // RFC 6750, section 3: every 401 says how to do better.
            (None, Problem::Unauthenticated(_)) => answer.with_header("www-authenticate", "Bearer"),
            // RFC 9110, section 15.5.16: a 415 for the coding says which are taken.
            (None, Problem::UnsupportedContentCoding) => answer.with_header("accept-encoding", "identity"),
            _ => answer,
        }
    }
}
