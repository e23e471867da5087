//! What is around a decision.

use super::format::Value;
use super::value::record;
use crate::time::Time;

/// What is around a decision, beside who does what to whom.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The dialect's name.
    pub dialect: &'a str,
    pub now: Time,
}

impl Around<'_> {
    /// The time in the form that policies read. All of it is UTC: a function has no time zones.
    pub(super) fn time(&self) -> Value {
        let seconds = self.now.seconds();
        let days = seconds / 86_400;
        Value::Record(record([
            ("seconds", Value::Long(seconds)),
            ("hour", Value::Long(seconds % 86_400 / 3_600)),
            // The first day of 1970 was a Thursday.
            ("weekday", Value::Long((days + 3) % 7 + 1)),
        ]))
    }
}
