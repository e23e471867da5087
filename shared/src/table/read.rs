//! Reading: items by their keys, and the items of a partition.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity};
use domain::{Entry, Problem, Rules};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use super::key::{INDEX, Key, Range, TenantKeys};
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

    /// Reads the value of one item, strongly consistent, if there is the item.
    pub async fn read<T: DeserializeOwned>(self, key: &Key) -> Result<Option<T>, Problem> {
        Ok(self.get([key.clone()]).await?.remove(key).map(decode).transpose()?)
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
                    return Err(Problem::TooManyRequests(1));
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
        let range = Range::of(tenant.catalog());
        loop {
            let (items, next) = self.query(&range, None, start).await?;
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
        let (items, _) = self.query(&Range::of(prefix.clone()), Some(1), None).await?;
        Ok(!items.is_empty())
    }

    /// The items of a range that come behind the item `after`, `most` of them at most; and whether there may be more. In the index,
    /// `after` has two keys: in the table, and in the index.
    pub async fn page(
        self,
        range: &Range,
        after: Option<(&Key, Option<&Key>)>,
        most: i32,
    ) -> Result<(Vec<Item>, bool), Problem> {
        let start = after.map(|(key, listed)| {
            let listed = listed.map(|key| [("GSI1PK", &key.pk), ("GSI1SK", &key.sk)]);
            let attributes = [("PK", &key.pk), ("SK", &key.sk)].into_iter().chain(listed.into_iter().flatten());
            attributes.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.clone()))).collect()
        });
        let (items, next) = self.query(range, Some(most), start).await?;
        Ok((items, next.is_some()))
    }

    /// One page of a range, and the start of the next page, if there may be one. The table is read strongly consistent. The index
    /// cannot be: it lags behind the table by some milliseconds.
    async fn query(
        self,
        range: &Range,
        most: Option<i32>,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), Problem> {
        let Range { prefix: Key { pk, sk }, in_index, descending, within } = range;
        let (index, of_partition, name) = match in_index {
            true => (Some(INDEX.to_owned()), "GSI1PK = :pk", "GSI1SK"),
            false => (None, "PK = :pk", "SK"),
        };
        let (condition, bounds) = match within {
            Some((first, last)) => (
                format!("{of_partition} AND {name} BETWEEN :first AND :last"),
                vec![(":pk", pk), (":first", first), (":last", last)],
            ),
            // DynamoDB takes no empty text there.
            None if sk.is_empty() => (of_partition.to_owned(), vec![(":pk", pk)]),
            None => (format!("{of_partition} AND begins_with({name}, :sk)"), vec![(":pk", pk), (":sk", sk)]),
        };
        let output = self
            .retry("Query", || async {
                let request = self.client.query().table_name(self.name).set_index_name(index.clone());
                let request = request.consistent_read(!in_index).scan_index_forward(!descending).set_limit(most);
                let request = request.key_condition_expression(&condition);
                let values = bounds.iter().map(|(name, text)| ((*name).to_owned(), AttributeValue::S((*text).clone())));
                let values = values.collect();
                let request = request.set_expression_attribute_values(Some(values));
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                request.set_exclusive_start_key(start.clone()).send().await.map_err(|why| failure(&why))
            })
            .await?;
        self.meter.read(output.consumed_capacity.as_slice());
        Ok((output.items.unwrap_or_default(), output.last_evaluated_key))
    }
}
