//! Time, always given by the caller's clock and never read here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC, to the millisecond, written as RFC 3339: `2026-11-22T14:40:17.000Z`. The text sorts as the moments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(jiff::Timestamp);

impl Time {
    /// What the machine's clock says.
    pub fn now() -> Self {
        Self::from_millis(jiff::Timestamp::now().as_millisecond())
    }

    /// `millis` since the epoch; a value past the year 9999 is taken as that.
    pub fn from_millis(millis: i64) -> Self {
        Self(jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX))
    }

    pub fn millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Whole seconds since the epoch: what JWT claims and DynamoDB's TTL count in.
    pub fn seconds(self) -> i64 {
        self.0.as_second()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_three_digits_and_z() {
        assert_eq!(Time::from_millis(1_705_308_300_000).to_string(), "2024-01-15T08:45:00.000Z");
        assert_eq!(Time::from_millis(1_705_308_300_070).to_string(), "2024-01-15T08:45:00.070Z");
    }

    #[test]
    fn reads_what_it_wrote() {
        let time = Time::from_millis(1_705_308_300_071);
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), time);
    }
}
