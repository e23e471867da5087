//! Keys of audit events.

use domain::{Record, Subject, Thing, Time};

use super::{Key, TenantKeys, named};

/// The sort key of the end of a chain.
const HEAD: &str = "HEAD";

impl TenantKeys {
    /// The event that made `version` of a record.
    pub fn event(self, subject: &Subject, version: u64) -> Key {
        Key { sk: format!("EVENT#{version:010}"), ..self.events_of(subject) }
    }

    /// The partition and the prefix of the sort keys of a record's events, in the order of their versions.
    pub fn events_of(self, subject: &Subject) -> Key {
        Key::new(self.of(subject), "EVENT#")
    }

    /// Where the index lists the tenant's events by time. A partition for each month or day would spread nothing: all events of a
    /// moment would be in the same one.
    pub fn happened(self, at: Time, subject: &Subject, version: u64) -> Key {
        Key { sk: format!("{at}#{}#{version}", named(subject)), ..self.record() }
    }

    /// The partition of the index that lists the tenant's events.
    pub fn record(self) -> Key {
        Key::new(format!("{}#EVENTS", self.partition()), "")
    }

    /// What is kept of the events of a chain that are removed.
    pub fn start(self, subject: &Subject) -> Key {
        Key { sk: named(subject), ..self.starts() }
    }

    /// The partition of the starts of all chains.
    pub fn starts(self) -> Key {
        Key::new(format!("{}#STARTS", self.partition()), "")
    }

    /// The end of the chain that a start is of, if no record has it.
    pub fn head_of_start(self, start: &Key) -> Option<Key> {
        self.head_beside(&Key::new(format!("{}#{}", self.partition(), start.sk), ""))
    }

    /// The end of the chain of a thing of the product's own.
    pub fn thing(self, name: &str) -> Key {
        Key { sk: HEAD.to_owned(), ..self.events_of(&Subject::new(Thing::KIND, name)) }
    }

    /// The end of the chain that an event is of, if no record has it.
    pub fn head_beside(self, event: &Key) -> Option<Key> {
        let is_of_thing = event.pk.starts_with(&self.events_of(&Subject::new(Thing::KIND, "")).pk);
        is_of_thing.then(|| Key::new(event.pk.clone(), HEAD))
    }

    /// A checkpoint of the tenant's record.
    pub fn checkpoint(self, number: u64) -> Key {
        Key { sk: format!("CHECKPOINT#{number:010}"), ..self.checkpoints() }
    }

    /// The partition of all checkpoints, and the prefix of their sort keys.
    pub fn checkpoints(self) -> Key {
        Key::new(format!("{}#CHECKPOINTS", self.partition()), "CHECKPOINT#")
    }

    /// How far the events are in the tree of which checkpoints are made.
    pub fn covered(self) -> Key {
        Key { sk: "COVERED".to_owned(), ..self.checkpoints() }
    }

    /// The event that the index lists under this sort key.
    pub fn event_listed(self, sk: &str) -> Option<Key> {
        let (of, version) = sk.split_once('#')?.1.rsplit_once('#')?;
        let version: u64 = version.parse().ok()?;
        Some(Key::new(format!("{}#{of}", self.partition()), format!("EVENT#{version:010}")))
    }
}

/// How far the round of a day's checkpoints is.
pub fn checkpoint_round() -> Key {
    Key::new("CONFIG", "CHECKPOINTS")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    #[test]
    fn a_listed_event_leads_to_itself() {
        let keys = TenantKeys(TenantId::new(1));
        for subject in [Subject::new("member", 42), Subject::new("issuer", "9b2.1"), Subject::new("thing", "invoice:7")]
        {
            let listed = keys.happened(Time::from_millis(1_705_308_300_000), &subject, 12);
            assert_eq!(keys.event_listed(&listed.sk), Some(keys.event(&subject, 12)));
            let head = keys.head_beside(&keys.event(&subject, 12));
            assert_eq!(head, Some(keys.thing(&subject.id)).filter(|_| subject.kind == "thing"));
            assert_eq!(keys.head_of_start(&keys.start(&subject)), head);
        }
        assert_eq!(keys.event_listed("2024-01"), None);
    }
}
