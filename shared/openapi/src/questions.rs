//! Operations that ask, and change nothing.

use domain::Problem;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use shared::json::{Faulty, Object};

use crate::problems::problems;
use crate::{JSON, Operation};

impl Operation {
    /// A question with a body, which `read` reads as the schema of `T` says. Nothing is written, and the answer is `A`.
    ///
    /// # Panics
    /// As [`Operation::body`].
    pub fn question<T: JsonSchema, A: JsonSchema>(mut self, read: impl Fn(&mut Object) -> Result<T, Faulty>) -> Self {
        let schema = self.body_schema(read);
        self = self.taking(&schema);
        if let Some(dialect) = self.dialect {
            let is_of_reference = |problem: &Problem| matches!(problem, Problem::InvalidReference { .. });
            self.problems(dialect, problems().into_iter().filter(is_of_reference));
        }
        let schema = self.schema::<A>(SchemaSettings::draft2020_12().for_serialize());
        self.response(200, "Decided", Some((JSON, schema)), &["x-request-id", "cache-control"]);
        self
    }
}
