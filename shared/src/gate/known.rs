//! What a warm function keeps in memory: rules, names, and numbers that nobody has yet. Rules and names are kept with the version at
//! which they were read, and a request uses them only if the tenant is still at that version.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use domain::id::{GroupId, Id, Kind, LabelId, TenantId};
use domain::{Group, Label, Names, Problem, Rules, Tenant};
use serde_json::json;

use super::Asked;
use crate::lock;
use crate::log::{self, Level};
use crate::table::key::{Key, TenantKeys};
use crate::table::{Table, decode};

/// A function keeps the rules of at most so many tenants. With one more it drops all others, and reads each again when needed.
const MAX_KNOWN: usize = 256;

/// A function keeps rules with at most so many bytes of text, or those of one tenant. In memory they take several times as much.
const MAX_KNOWN_BYTES: usize = 8 * 1024 * 1024;

/// A function keeps at most so many groups and labels. With more it drops all of them, and reads each again when needed.
const MAX_KNOWN_NAMES: usize = 20_000;

/// How many numbers a function takes from a counter at once.
const BLOCK: u32 = 10;

/// The tenants' rules that a warm function keeps.
#[derive(Default)]
pub struct KnownRules(Mutex<HashMap<TenantId, Arc<Rules>>>);

impl KnownRules {
    /// The rules of a tenant at its catalog's current version, from memory if the known version is the same.
    pub(super) async fn at(&self, asked: &Asked<'_>, tenant: &Tenant) -> Result<Arc<Rules>, Problem> {
        let known = lock(&self.0).get(&tenant.id).cloned();
        if let Some(rules) = known.filter(|rules| rules.version == tenant.catalog_version) {
            return Ok(rules);
        }
        let mut rules = asked.table.catalog(TenantKeys(tenant.id), tenant.catalog_version).await?;
        rules.catalog.inviters = tenant.settings.inviters;
        rules.catalog.impersonation = tenant.settings.impersonation;
        let rules = Arc::new(rules);
        for (policy, why) in rules.policies.broken() {
            log::line(
                Level::Error,
                "a tenant's policy cannot be used, so nothing is allowed there: mend it, or run `bootstrap --disable-policies`",
                &|| json!({ "request_id": asked.request, "tenant": tenant.id.number(), "policy": policy, "cause": why }),
            );
        }
        self.keep(tenant.id, rules.clone());
        Ok(rules)
    }

    fn keep(&self, tenant: TenantId, rules: Arc<Rules>) {
        let mut known = lock(&self.0);
        known.remove(&tenant);
        let bytes = known.values().map(|it| it.bytes()).sum::<usize>() + rules.bytes();
        if known.len() >= MAX_KNOWN || bytes > MAX_KNOWN_BYTES {
            known.clear();
        }
        known.insert(tenant, rules);
    }
}

/// The groups and labels that a warm function keeps, with the version of the names at which each tenant's were read.
#[derive(Default)]
pub struct KnownNames(Mutex<HashMap<TenantId, (u64, Names)>>);

impl KnownNames {
    /// These groups and labels of a tenant, those that exist. Reads only what is not in memory at the current version.
    ///
    /// Read the tenant first: the names are then at least as new as its version.
    pub(super) async fn at(
        &self,
        asked: &Asked<'_>,
        tenant: &Tenant,
        groups: &BTreeSet<GroupId>,
        labels: &BTreeSet<LabelId>,
    ) -> Result<Names, Problem> {
        let mut names = Names::default();
        if let Some((version, known)) = lock(&self.0).get(&tenant.id)
            && *version == tenant.names_version
        {
            names.groups.extend(groups.iter().filter_map(|id| Some((*id, known.groups.get(id)?.clone()))));
            names.labels.extend(labels.iter().filter_map(|id| Some((*id, known.labels.get(id)?.clone()))));
        }
        let keys = TenantKeys(tenant.id);
        let missing_groups = groups.iter().filter(|id| !names.groups.contains_key(id)).map(|id| keys.group(*id));
        let missing_labels = labels.iter().filter(|id| !names.labels.contains_key(id)).map(|id| keys.label(*id));
        let missing: Vec<Key> = missing_groups.chain(missing_labels).collect();
        if missing.is_empty() {
            return Ok(names);
        }
        let mut read = Names::default();
        for (key, item) in asked.table.get(missing).await? {
            match TenantKeys::is_group(&key) {
                true => {
                    let group: Group = decode(item)?;
                    read.groups.insert(group.id, group.name);
                }
                false => {
                    let label: Label = decode(item)?;
                    read.labels.insert(label.id, label.name);
                }
            }
        }
        names.groups.extend(read.groups.clone());
        names.labels.extend(read.labels.clone());
        let mut all = lock(&self.0);
        if all.values().map(|(_, it)| it.groups.len() + it.labels.len()).sum::<usize>() > MAX_KNOWN_NAMES {
            all.clear();
        }
        let (version, known) = all.entry(tenant.id).or_default();
        if *version < tenant.names_version {
            (*version, *known) = (tenant.names_version, Names::default());
        }
        if *version == tenant.names_version {
            known.groups.extend(read.groups);
            known.labels.extend(read.labels);
        }
        Ok(names)
    }
}

/// Numbers that this function has taken from the counters and not used yet.
#[derive(Default)]
pub struct FreshNumbers(Mutex<HashMap<u8, Vec<u32>>>);

impl FreshNumbers {
    /// Takes a number of this kind.
    pub(super) async fn reserve_one<const KIND: u8>(&self, table: Table<'_>, kind: Kind) -> Result<Id<KIND>, Problem> {
        let number = self.reserve(table, kind, 1).await?.pop();
        number.ok_or_else(|| Problem::Internal("no number was reserved".to_owned()))
    }

    /// Takes so many numbers of this kind. Nobody else gets them, also if they stay unused: changes can be made side by side.
    pub(super) async fn reserve<const KIND: u8>(
        &self,
        table: Table<'_>,
        kind: Kind,
        count: usize,
    ) -> Result<Vec<Id<KIND>>, Problem> {
        let mut numbers = self.take::<KIND>(count);
        while numbers.len() < count {
            let first = table.allocate(kind, BLOCK).await?;
            // They stand before the others, because those are used from the end.
            drop(lock(&self.0).entry(KIND).or_default().splice(..0, (first..first + BLOCK).rev()));
            numbers.extend(self.take::<KIND>(count - numbers.len()));
        }
        let id = |number: u32| Id::try_from(i64::from(number));
        let ids = numbers.into_iter().map(id).collect::<Result<_, _>>();
        ids.map_err(|_| Problem::LimitReached("ids of a kind", i32::MAX as usize))
    }

    /// At most so many of those that are left, the smallest first.
    fn take<const KIND: u8>(&self, most: usize) -> Vec<u32> {
        let mut left = lock(&self.0);
        let left = left.entry(KIND).or_default();
        left.split_off(left.len().saturating_sub(most)).into_iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::Entry;
    use domain::id::PolicyId;

    use super::*;

    /// Rules with so many bytes of text.
    fn rules(version: u64, bytes: usize) -> Arc<Rules> {
        let policy = domain::Policy { id: PolicyId::LAST, compiled: " ".repeat(bytes) };
        Arc::new(Rules::new(version, [Entry::Policy(policy)]))
    }

    #[test]
    fn a_function_keeps_rules_up_to_a_number_of_tenants_and_bytes() {
        let tenant = |number: usize| TenantId::try_from(number as i64).unwrap();
        let kept = |known: &KnownRules| lock(&known.0).len();
        let known = KnownRules::default();
        for number in 1..=MAX_KNOWN {
            known.keep(tenant(number), rules(1, 10));
        }
        known.keep(tenant(1), rules(2, 10));
        assert_eq!(kept(&known), MAX_KNOWN, "new rules take the place of old ones");
        known.keep(tenant(MAX_KNOWN + 1), rules(1, 10));
        assert_eq!(kept(&known), 1);

        known.keep(tenant(1), rules(1, MAX_KNOWN_BYTES - 10));
        assert_eq!(kept(&known), 2);
        known.keep(tenant(2), rules(1, 1));
        assert_eq!(kept(&known), 1);
        known.keep(tenant(3), rules(1, MAX_KNOWN_BYTES + 1));
        assert_eq!(kept(&known), 1, "those of one tenant are kept, however many");
    }
}
