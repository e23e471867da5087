//! The parts of a dialect.

use domain::Problem;
use domain::problem::Grant;
use serde_json::Value;

use crate::answer::Answer;
use crate::http::call::DEFAULT_LIMIT;

/// How clients of a dialect ask for the pages of a list. The parameters `cursor` and `page` have these names in all
/// dialects.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    /// The parameter for the most things that a page has.
    pub limit: &'static str,
    /// How many that are if a client does not say.
    pub default: usize,
    /// Whether clients may ask for a `page` by its number.
    pub has_numbers: bool,
    /// What `cursor` must be: the fault of a wrong one. It names the member of the answer that leads to the next page.
    pub cursor: &'static str,
}

impl Paging {
    pub const IN_SNAKE_CASE: Self = Self {
        limit: "limit",
        default: DEFAULT_LIMIT,
        has_numbers: false,
        cursor: "the `next_cursor` of a page of this list",
    };
    pub const IN_CAMEL_CASE: Self = Self { cursor: "the `nextCursor` of a page of this list", ..Self::IN_SNAKE_CASE };
}

/// A dialect. Each is one file in `dialect/`.
#[derive(Debug)]
pub struct Dialect {
    pub name: &'static str,
    /// Whether answers show the member's picture. If so, the one read includes it.
    pub pictures: bool,
    /// Whether answers show the names of the member's groups and label.
    pub names: bool,
    pub paging: Paging,
    /// Whether an answer carries the `x-request-id` of the request, if there is one.
    pub echoes_request_id: bool,
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
            // RFC 6749, section 5.2.
            (None, Problem::Grant(Grant::InvalidClient, _)) => answer.with_header("www-authenticate", "Basic"),
            // RFC 9110, section 15.5.16: a 415 for the coding lists the accepted ones.
            (None, Problem::UnsupportedContentCoding) => answer.with_header("accept-encoding", "identity"),
            _ => answer,
        }
    }
}
