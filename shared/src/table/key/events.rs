//! Keys of audit events.

use domain::{Subject, Time};

use super::{Key, TenantKeys, named};

impl TenantKeys {
    /// The event that made `version` of a record.
    pub fn event(self, subject: &Subject, version: u64) -> Key {
        Key { sk: format!("EVENT#{version:010}"), ..self.events_of(subject) }
    }

    /// The partition and the prefix of the sort keys of a record's events, in the order of their versions.
    pub fn events_of(self, subject: &Subject) -> Key {
        Key::new(self.of(subject), "EVENT#")
    }

    /// Where the index lists the tenant's events by time, a partition a month.
    pub fn happened(self, at: Time, subject: &Subject, version: u64) -> Key {
        Key { sk: format!("{at}#{}#{version}", named(subject)), ..self.happened_in(month_of(at)) }
    }

    /// The partition of the index that lists the tenant's events of a month.
    pub fn happened_in(self, month: u32) -> Key {
        Key::new(format!("{}#EVENTS#{:04}-{:02}", self.partition(), month / 12, month % 12 + 1), "")
    }

    /// The event that the index lists under this sort key.
    pub fn event_listed(self, sk: &str) -> Option<Key> {
        let (of, version) = sk.split_once('#')?.1.rsplit_once('#')?;
        let version: u64 = version.parse().ok()?;
        Some(Key::new(format!("{}#{of}", self.partition()), format!("EVENT#{version:010}")))
    }
}

/// 12 times the year, and the months of it that are over.
pub fn month_of(at: Time) -> u32 {
    month_in(&at.to_string()).unwrap_or_default()
}

/// The same of a text that begins with a time.
pub fn month_in(text: &str) -> Option<u32> {
    let number = |part: std::ops::Range<usize>| text.get(part).and_then(|it| it.parse::<u32>().ok());
    Some(number(0..4)? * 12 + number(5..7)?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    #[test]
    fn months_are_counted() {
        assert_eq!(month_of(Time::from_millis(1_705_308_300_000)), 2024 * 12);
        assert_eq!(month_of(Time::from_millis(1_735_603_200_000)), 2024 * 12 + 11);
        assert_eq!(month_of(Time::from_millis(1_735_689_600_000)), 2025 * 12);
        assert_eq!(month_in("2024-00-01"), None);
    }

    #[test]
    fn a_listed_event_leads_to_itself() {
        let keys = TenantKeys(TenantId::new(1));
        for subject in [Subject::new("member", 42), Subject::new("issuer", "9b2.1"), Subject::new("thing", "invoice:7")] {
            let listed = keys.happened(Time::from_millis(1_705_308_300_000), &subject, 12);
            assert_eq!(keys.event_listed(&listed.sk), Some(keys.event(&subject, 12)));
        }
        assert_eq!(keys.event_listed("2024-01"), None);
    }
}
