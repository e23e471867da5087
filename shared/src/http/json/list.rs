//! Lists in bodies, and bodies that are lists.

use domain::problem::{Fault, Problem, Step, Wrong};
use serde_json::Value;

use super::{Wire, explain, read_exactly, wrong};

/// Reads a body that must be a list of 1 to `longest` things.
pub(crate) fn list_of_body<T: Wire>(body: &[u8], longest: usize) -> Result<Vec<T>, Problem> {
    let value = read_exactly(body).map_err(|why| Problem::InvalidJson(explain(&why)))?;
    let list = match &value {
        Value::Array(values) if values.is_empty() => wrong(Wrong::Empty),
        Value::Array(values) if values.len() > longest => wrong(Wrong::TooLong(longest)),
        _ => Wire::read(value),
    };
    let in_body = |faults: Vec<Fault>| faults.into_iter().map(|fault| fault.within("body")).collect::<Vec<_>>();
    list.map_err(|faults| in_body(faults).into())
}

/// No element may be `null`.
impl<T: Wire> Wire for Vec<T> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::Array(values) = value else { return wrong(Wrong::Type("an array")) };
        let (mut read, mut faults) = (Vec::new(), Vec::new());
        for (index, value) in values.into_iter().enumerate() {
            match value {
                Value::Null => faults.push(Fault::here(Wrong::Null).within(Step::Index(index))),
                value => match T::read(value) {
                    Ok(value) => read.push(value),
                    Err(wrong) => faults.extend(wrong.into_iter().map(|fault| fault.within(Step::Index(index)))),
                },
            }
        }
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }
}
