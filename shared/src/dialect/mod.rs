//! The five ways to speak: what a member looks like in each, and what each says of every problem.

pub mod directory;
pub mod membership;
pub mod organization;
pub mod tenant;
pub mod users;

use serde_json::{Map, Value};

use crate::call::Answer;
use crate::problem::{Fault, Problem, dotted, told};

/// What is wrong with each field, or with the `body` as a whole, as far as it is told, and how much more is wrong.
fn by_field(faults: &[Fault]) -> (Map<String, Value>, Option<usize>) {
    let (told, more) = told(faults);
    (told.iter().map(|fault| (dotted(&fault.place), fault.wrong.to_string().into())).collect(), more)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Tenant,
    Users,
    Directory,
    Membership,
    Organization,
}

impl Dialect {
    pub const ALL: [Dialect; 5] =
        [Dialect::Tenant, Dialect::Users, Dialect::Directory, Dialect::Membership, Dialect::Organization];

    pub fn name(self) -> &'static str {
        match self {
            Dialect::Tenant => "tenant",
            Dialect::Users => "users",
            Dialect::Directory => "directory",
            Dialect::Membership => "membership",
            Dialect::Organization => "organization",
        }
    }

    /// The answer to a request that was not done.
    pub fn problem(self, problem: &Problem) -> Answer {
        let (status, body): (u16, Value) = match self {
            Dialect::Tenant => tenant::problem(problem),
            Dialect::Users => users::problem(problem),
            Dialect::Directory => directory::problem(problem),
            Dialect::Membership => membership::problem(problem),
            Dialect::Organization => organization::problem(problem),
        };
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
