//! Reading: items by their keys, and the items of a partition.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity};
use domain::{Entry, Problem, Rules};
use futures_util::future::join_all;

use super::key::{Key, TenantKeys};
use super::{Item, Pause, STARVED, Table, decode, failure, internal, key_attributes, key_of};

/// The most keys that DynamoDB takes in one `BatchGetItem`.
const MAX_KEYS: usize = 100;

impl Table<'_> {
    /// Reads the items under `keys`, strongly consistent. Each [`MAX_KEYS`] of them take one round trip, all at the same time. A
    /// key may be there twice. An item that does not exist is not in the result.
    pub async fn get(self, keys: impl IntoIterator<Item = Key>) -> Result<HashMap<Key, Item>, Problem> {
        let keys: Vec<Key> = keys.into_iter().collect::<HashSet<_>>().into_iter().collect();
        let batches = join_all(keys.chunks(MAX_KEYS).map(|batch| self.get_batch(batch.to_vec()))).await;
        let batches: Vec<HashMap<Key, Item>> = batches.into_iter().collect::<Result<_, _>>()?;
        Ok(batches.into_iter().flatten().collect())
    }

    async fn get_batch(self, mut wanted: Vec<Key>) -> Result<HashMap<Key, Item>, Problem> {
        let mut found = HashMap::new();
        let mut pause = Pause::default();
        while !wanted.is_empty() {
            let keys = wanted.iter().map(|key| key_attributes(key).into()).collect();
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let keys = keys.map_err(internal)?;
            let output = self
                .retry("BatchGetItem", || async {
                    let request = self.client.batch_get_item().request_items(self.name, keys.clone());
                    let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    request.send().await.map_err(|why| failure(&why))
                })
                .await?;
            self.meter.read(output.consumed_capacity());
            let items = output.responses.unwrap_or_default().remove(self.name).unwrap_or_default();
            for item in items {
                found.insert(key_of(&item)?, item);
            }
            // DynamoDB had no capacity for these keys.
            let left = output.unprocessed_keys.unwrap_or_default().remove(self.name);
            let left = left.map(|left| left.keys).unwrap_or_default();
            wanted = left.iter().map(key_of).collect::<Result<_, _>>()?;
            if !wanted.is_empty() {
                self.meter.failed("BatchGetItem left keys unprocessed", true);
                if !pause.wait(STARVED, self.meter, self.deadline).await {
                    return Err(Problem::TooManyRequests);
                }
            }
        }
        Ok(found)
    }

    /// Reads all catalog entries of a tenant, in one round trip for each MB.
    ///
    /// Read `version` first: the entries are then at least that new, so a cache keyed by it never serves stale ones.
    pub async fn catalog(self, tenant: TenantKeys, version: u64) -> Result<Rules, Problem> {
        let (mut entries, mut start): (Vec<Entry>, _) = (Vec::new(), None);
        loop {
            let (items, next) = self.query(&tenant.catalog(), None, start).await?;
            for item in items {
                entries.push(decode(item)?);
            }
            start = next;
            if start.is_none() {
                return Ok(Rules::new(version, entries));
            }
        }
    }

    /// Whether a partition has an item whose sort key begins with the sort key of `prefix`; strongly consistent.
    pub async fn has_any(self, prefix: &Key) -> Result<bool, Problem> {
        let (items, _) = self.query(prefix, Some(1), None).await?;
        Ok(!items.is_empty())
    }

    /// One page of the items of a partition whose sort keys begin with the sort key of `prefix`, strongly consistent; and the
    /// start of the next page, if there may be one.
    async fn query(
        self,
        prefix: &Key,
        most: Option<i32>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), Problem> {
        let Key { pk, sk } = prefix;
        let output = self
            .retry("Query", || async {
                let request = self.client.query().table_name(self.name).consistent_read(true).set_limit(most);
                let request = request.key_condition_expression("PK = :pk AND begins_with(SK, :sk)");
                let request = request.expression_attribute_values(":pk", AttributeValue::S(pk.clone()));
                let request = request.expression_attribute_values(":sk", AttributeValue::S(sk.clone()));
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                request.set_exclusive_start_key(start.clone()).send().await.map_err(|why| failure(&why))
            })
            .await?;
        self.meter.read(output.consumed_capacity.as_slice());
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }
}
