//! The five ways to speak: what a member looks like in each, and what each says of every problem.

pub mod directory;
pub mod membership;
pub mod organization;
pub mod tenant;
pub mod users;

use domain::problem::{Fault, dotted, told};
use serde_json::{Map, Value};

pub use directory::DIRECTORY;
pub use membership::MEMBERSHIP;
pub use organization::ORGANIZATION;
pub use tenant::TENANT;
pub use users::USERS;

use crate::http::Dialect;

/// All of them, for what holds of each. A function links only its own.
pub const ALL: [&Dialect; 5] = [&TENANT, &USERS, &DIRECTORY, &MEMBERSHIP, &ORGANIZATION];

/// What is wrong with each field, or with the `body` as a whole, as far as it is told, and how much more is wrong.
fn by_field(faults: &[Fault]) -> (Map<String, Value>, Option<usize>) {
    let (told, more) = told(faults);
    (told.iter().map(|fault| (dotted(&fault.place), fault.wrong.to_string().into())).collect(), more)
}
