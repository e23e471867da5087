//! The check of an audit chain: versions from 1 without a gap, each linked to the one before, the last to the record.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::{Deed, Event};
use crate::id::TenantId;
use crate::record::{Record, Subject};

/// The first version at which a chain is broken.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub version: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "the audit chain is broken at version {}", self.version)
    }
}

impl std::error::Error for Broken {}

/// How far a chain is checked, from its beginning or from the first event that is left of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The last version that was checked.
    pub version: u64,
    /// The last version that retention has removed; 0 if all events are left.
    #[serde(default)]
    pub removed: u64,
    /// The hash of the last event.
    pub head: String,
    /// Whether that event is the deletion of the record.
    pub is_ended: bool,
}

impl Checked {
    /// A chain of which the events up to this version, with this hash, are removed.
    pub fn after(version: u64, head: &str) -> Self {
        Self { version, removed: version, head: head.to_owned(), is_ended: false }
    }

    /// How many events were checked.
    pub fn events(&self) -> u64 {
        self.version - self.removed
    }

    /// Checks the next event.
    ///
    /// # Errors
    /// It is not the next one.
    pub fn next(&mut self, tenant: TenantId, subject: &Subject, event: &Event) -> Result<(), Broken> {
        let version = self.version + 1;
        let is_first = event.deed == Deed::Created;
        let own = (event.tenant, &event.subject, event.version) == (tenant, subject, version);
        if self.is_ended || !own || is_first != (version == 1) || event.previous != self.head {
            return Err(Broken { version });
        }
        *self = Self { version, head: event.hash(), is_ended: event.deed == Deed::Deleted, ..*self };
        Ok(())
    }

    /// Checks that the chain ends with the record at this version and with this head.
    ///
    /// # Errors
    /// The version at which it does not.
    pub fn ends_with(&self, version: u64, head: &str) -> Result<(), Broken> {
        match (self.is_ended, self.version == version && self.head == head) {
            (true, _) => Err(Broken { version: self.version }),
            (false, true) => Ok(()),
            (false, false) => Err(Broken { version }),
        }
    }
}

/// Checks all events of a record, oldest first.
///
/// # Errors
/// The first version at which the chain is broken.
pub fn verify_chain<R: Record>(tenant: TenantId, record: &R, events: &[Event]) -> Result<(), Broken> {
    let meta = record.meta();
    checked(tenant, &record.subject(), events)?.ends_with(meta.version, &meta.head)
}

/// Checks all events of a record that was deleted, oldest first: the last event is the deletion.
///
/// # Errors
/// The first version at which that does not hold.
pub fn verify_ended_chain(tenant: TenantId, subject: &Subject, events: &[Event]) -> Result<(), Broken> {
    let checked = checked(tenant, subject, events)?;
    if checked.is_ended { Ok(()) } else { Err(Broken { version: checked.version.max(1) }) }
}

fn checked(tenant: TenantId, subject: &Subject, events: &[Event]) -> Result<Checked, Broken> {
    let mut checked = Checked::default();
    events.iter().try_for_each(|event| checked.next(tenant, subject, event))?;
    Ok(checked)
}
