//! Time. Callers pass it as an argument; this code never reads a clock.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A moment in UTC, to the millisecond, written as RFC 3339: `2026-11-22T14:40:17.000Z`. The text sorts as the moments do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

/// The last millisecond of the year 9999, past which RFC 3339 has no years.
const LAST: i64 = 253_402_300_799_999;

impl Time {
    /// `millis` since the epoch. A value before the epoch or past the year 9999 becomes the first or last moment between them.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(0, LAST))
    }

    pub fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, as JWT claims and DynamoDB's TTL count them.
    pub fn seconds(self) -> i64 {
        self.0 / 1000
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp(self.seconds()).map_err(|_| fmt::Error)?;
        let (date, (hour, minute, second)) = (time.date(), time.to_hms());
        // `Date` writes itself as 2026-11-22.
        write!(f, "{date}T{hour:02}:{minute:02}:{second:02}.{:03}Z", self.0 % 1000)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        let millis = time.unix_timestamp_nanos() / 1_000_000;
        i64::try_from(millis).map(Self::from_millis).map_err(de::Error::custom)
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
