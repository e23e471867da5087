//! The change of the tenant's item, which each transaction makes or rests on.

use domain::tenant::{Counts, Seats};
use domain::{Numbers, Problem, Tenant};

use super::fence::Fact;
use super::key::TenantKeys;
use super::stored::{Written, number_of_fences};
use super::{Condition, Malformed, Transaction};

/// The change of the tenant's item, beside the tenant's own attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantChange {
    /// How many owners, groups, labels, issuers, API keys, policies, webhooks and claimed domains the tenant gains or loses.
    pub owners: i64,
    pub groups: i64,
    pub labels: i64,
    pub issuers: i64,
    pub keys: i64,
    pub domains: i64,
    pub policies: i64,
    pub webhooks: i64,
    /// How many more seats the counted members take; and how the seats are counted after it, if the seat of any member changes.
    pub seats_taken: i64,
    pub seats: Option<Seats>,
    /// Whether what decides changes, and whether a name changes.
    pub rules: bool,
    pub names: bool,
    /// The last numbers given, if they change.
    pub numbers: Option<Numbers>,
}

impl Transaction<'_> {
    /// Changes the item of the tenant as the records require, or rests on its rules. `own` is the change of the tenant's own
    /// attributes.
    pub fn tenant(&mut self, tenant: &Tenant, change: &TenantChange, own: Option<&Written>) -> Result<(), Problem> {
        let rules = Fact::rules(tenant);
        if *change == TenantChange::default() && own.is_none() {
            return self.rest_on(rules);
        }
        let key = TenantKeys(tenant.id).tenant();
        let mut same = Condition::new("catalog_version = :catalog").with(":catalog", tenant.catalog_version)?;
        let (mut set, mut add) = (Vec::new(), vec![("owners", change.owners), ("names_version", change.names.into())]);
        if change.owners < 0 {
            same = same.and(Condition::new("owners > :lost").with(":lost", -change.owners)?);
        }
        if let Some(seats) = change.seats {
            same = same.and(Condition::new("seats = :counted").with(":counted", tenant.seats)?);
            set.push(("seats", serde_dynamo::to_attribute_value(seats)));
            add.push(("seats_taken", change.seats_taken));
        }
        if let (Some(most), true) = (tenant.settings.seats, change.seats_taken > 0) {
            same =
                same.and(Condition::new("seats_taken <= :room").with(":room", i64::from(most) - change.seats_taken)?);
        }
        if change.rules {
            same = same.and(number_of_fences(tenant.fences)?);
            add.push(("catalog_version", 1));
        }
        let count = |now: u32, by: i64| u32::try_from(i64::from(now) + by).unwrap_or_default();
        let counts = Counts {
            groups: count(tenant.counts.groups, change.groups),
            labels: count(tenant.counts.labels, change.labels),
            issuers: count(tenant.counts.issuers, change.issuers),
            keys: count(tenant.counts.keys, change.keys),
            domains: count(tenant.counts.domains, change.domains),
            policies: count(tenant.counts.policies, change.policies),
            webhooks: count(tenant.counts.webhooks, change.webhooks),
        };
        // The counts have no condition of their own. Whatever changes them changes the numbers or the rules.
        if change.numbers.is_some() || counts != tenant.counts {
            same = same.and(Condition::new("numbers = :numbers").with(":numbers", &tenant.numbers)?);
            set.push(("counts", serde_dynamo::to_attribute_value(counts)));
            set.push(("numbers", serde_dynamo::to_attribute_value(change.numbers.as_ref().unwrap_or(&tenant.numbers))));
        }
        let set =
            set.into_iter().map(|(name, value)| Ok((name, value.map_err(|_| Malformed("a tenant's attribute"))?)));
        let set = set.collect::<Result<Vec<_>, Malformed>>()?;
        add.retain(|(_, by)| *by != 0);
        let images = own.and_then(|own| Some((own.before.as_ref()?, own.after.as_ref()?)));
        if let Some((before, _)) = images {
            same = same.and(Condition::new("version = :version").with(":version", before.version)?);
        }
        let items = images.map(|(before, after)| (&before.item, &after.item));
        self.update(&key, items, set, add, same)
    }
}
