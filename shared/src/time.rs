//! Time, always given by the caller's clock and never read here.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A moment in UTC, to the millisecond, written as RFC 3339: `2026-11-22T14:40:17.000Z`. The text sorts as the moments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

/// The last millisecond of the year 9999, past which RFC 3339 has no years.
const LAST: i64 = 253_402_300_799_999;

impl Time {
    /// What the machine's clock says.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(i64::try_from(since.as_millis()).unwrap_or(LAST))
    }

    /// `millis` since the epoch; a value before it or past the year 9999 is taken as the first or last moment between.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LAST))
    }

    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch: what JWT claims and DynamoDB's TTL count in.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        // To the second, since what is smaller would be written without its last zeros.
        let text = DateTime::from_secs(self.seconds()).fmt(Format::DateTime).map_err(|_| fmt::Error)?;
        write!(f, "{}.{:03}Z", text.trim_end_matches('Z'), self.0 % 1000)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = DateTime::from_str(&String::deserialize(deserializer)?, Format::DateTime);
        time.map_err(de::Error::custom)?.to_millis().map(Self::from_millis).map_err(de::Error::custom)
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
