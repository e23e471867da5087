//! The dialects: the form of a member in each, and the answer of each to every problem.

pub mod authzen;
pub mod cloudevent;
pub mod directory;
pub mod members;
pub mod membership;
pub mod oauth;
pub mod organization;
pub mod tenant;
pub mod users;

use domain::problem::{Fault, dotted, told};
use serde_json::{Map, Value};

pub use authzen::AUTHZEN;
pub use directory::DIRECTORY;
pub use membership::MEMBERSHIP;
pub use oauth::OAUTH;
pub use organization::ORGANIZATION;
pub use tenant::TENANT;
pub use users::USERS;

use crate::http::Dialect;

/// All dialects, for tests and tools. A function links only its own.
pub const ALL: [&Dialect; 7] = [&TENANT, &USERS, &DIRECTORY, &MEMBERSHIP, &ORGANIZATION, &AUTHZEN, &OAUTH];

/// The faults of each field, or of the `body` as a whole, up to the number that an answer lists; and the number of the others.
fn by_field(faults: &[Fault]) -> (Map<String, Value>, Option<usize>) {
    let (told, more) = told(faults);
    (told.iter().map(|fault| (dotted(&fault.place), fault.wrong.to_string().into())).collect(), more)
}
