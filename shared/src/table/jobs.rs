//! What the work of a job needs beside transactions.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use domain::id::UserId;
use domain::job::{Progress, State};
use domain::tenant::Seats;
use domain::{Problem, Tenant};
use futures_util::future::join_all;
use serde::Serialize;

use super::fence::Fact;
use super::key::{Key, TenantKeys};
use super::{Committed, Condition, Item, Malformed, Table, Transaction, failure, key_attributes};

/// The condition of a job's next turn. A job that is done is not in the index.
const NEXT_TURN: &str = "progress.turn = :before AND attribute_exists(GSI1PK)";

impl Table<'_> {
    /// How many items a partition has whose sort keys begin with the sort key of `prefix`; strongly consistent. It takes a round
    /// trip for each MB.
    pub async fn count(self, prefix: &Key) -> Result<usize, Problem> {
        let (mut count, mut start) = (0, None);
        loop {
            let output = self
                .retry("Query", || async {
                    let request = self.client.query().table_name(self.name).select(Select::Count).consistent_read(true);
                    let request = request.key_condition_expression("PK = :pk AND begins_with(SK, :sk)");
                    let [(_, pk), (_, sk)] = key_attributes(prefix);
                    let request = request.expression_attribute_values(":pk", pk).expression_attribute_values(":sk", sk);
                    let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                    request.set_exclusive_start_key(start.clone()).send().await.map_err(|why| failure(&why))
                })
                .await?;
            self.meter.read(output.consumed_capacity.as_slice());
            count += usize::try_from(output.count).unwrap_or_default();
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(count);
            }
        }
    }

    /// Deletes items on which nothing rests.
    pub async fn clear(self, keys: &[Key]) -> Result<(), Problem> {
        let delete = async |key: &Key| {
            self.retry("DeleteItem", || async {
                let request = self.client.delete_item().table_name(self.name).set_key(Some(key_attributes(key).into()));
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                let output = request.send().await.map_err(|why| failure(&why))?;
                self.meter.wrote(output.consumed_capacity.as_slice());
                Ok(())
            })
            .await
        };
        join_all(keys.iter().map(delete)).await.into_iter().collect()
    }

    /// Writes how far the seats of a tenant are counted, and `taken` more of them. Returns whether it did: if not, they are counted
    /// otherwise than when the tenant was read.
    ///
    /// A try whose answer is lost may have written. Then the next one finds other seats, and the caller reads the tenant anew.
    pub async fn set_seats(self, tenant: &Tenant, seats: Seats, taken: usize) -> Result<bool, Problem> {
        let values = HashMap::from([
            (":before".to_owned(), attribute(&tenant.seats)?),
            (":seats".to_owned(), attribute(&seats)?),
            (":taken".to_owned(), attribute(&taken)?),
        ]);
        let key = TenantKeys(tenant.id).tenant();
        self.update_if(&key, "SET seats = :seats ADD seats_taken :taken", "seats = :before", None, values).await
    }

    /// Writes how far a job is, if the job is still at the turn before. Returns whether it was: if not, another worker was quicker.
    ///
    /// A try whose answer is lost may have written. Then the next one finds another turn, and the caller reads the job anew.
    pub async fn set_progress(self, job: &Key, state: State, progress: &Progress) -> Result<bool, Problem> {
        let values = HashMap::from([
            (":progress".to_owned(), attribute(progress)?),
            (":before".to_owned(), attribute(&(progress.turn - 1))?),
            (":state".to_owned(), attribute(&state)?),
        ]);
        self.update_if(job, "SET #state = :state, progress = :progress", NEXT_TURN, Some("state"), values).await
    }

    /// The same, with the results of the turn: all or nothing. So a worker that was too slow leaves the results as they are.
    pub async fn set_results(self, job: &Key, progress: &Progress, results: Vec<Item>) -> Result<bool, Problem> {
        let mut transaction = Transaction::new(self);
        let set = vec![("state", attribute(&State::Running)?), ("progress", attribute(progress)?)];
        let condition = Condition::new(NEXT_TURN).with(":before", progress.turn - 1)?;
        transaction.update(job, None, set, Vec::new(), condition)?;
        results.into_iter().try_for_each(|item| transaction.put(item, None))?;
        Ok(self.write(transaction).await? == Committed::Yes)
    }

    /// Takes the person away from an item who made it or changed it last, if it is this one. No version is raised: who made a change
    /// is in its event.
    pub async fn remove_author(self, key: &Key, item: &Item, user: UserId) -> Result<(), Problem> {
        let number = attribute(&user)?;
        for name in ["created_by", "updated_by"] {
            let author = item.get(name).and_then(|it| it.as_m().ok());
            if author.is_some_and(|author| author.get("user") == Some(&number)) {
                let values = HashMap::from([(":user".to_owned(), number.clone())]);
                let (expression, condition) = (format!("REMOVE {name}"), format!("{name}.#user = :user"));
                self.update_if(key, &expression, &condition, Some("user"), values).await?;
            }
        }
        Ok(())
    }

    /// Gives an item another text, if it has the one that was read. Returns whether it had.
    ///
    /// A try whose answer is lost may have written. Then the next one finds another text.
    pub async fn replace_text(self, key: &Key, read: &str, new: &str) -> Result<bool, Problem> {
        let values = HashMap::from([(":read".to_owned(), attribute(&read)?), (":new".to_owned(), attribute(&new)?)]);
        self.update_if(key, "SET #text = :new", "#text = :read", Some("text"), values).await
    }

    /// Lets no function go on with what it has in memory of a tenant's roles, groups, labels and policies, and lets no request commit
    /// that has read them before.
    pub async fn renew(self, tenant: TenantKeys) -> Result<(), Problem> {
        let values = HashMap::from([(":one".to_owned(), attribute(&1)?)]);
        let expression = "ADD catalog_version :one, names_version :one";
        self.update_if(&tenant.tenant(), expression, "attribute_exists(PK)", None, values).await?;
        let renewed: Option<Tenant> = self.read(&tenant.tenant()).await?;
        match renewed {
            Some(renewed) => self.raise_fences(&Fact::rules(&renewed)).await,
            None => Ok(()),
        }
    }

    /// Changes an item if a condition holds. Returns whether it did. `named` is an attribute whose name is a word of DynamoDB: the
    /// expressions have it behind a `#`.
    async fn update_if(
        self,
        key: &Key,
        expression: &str,
        condition: &str,
        named: Option<&str>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<bool, Problem> {
        let names = named.map(|name| HashMap::from([(format!("#{name}"), name.to_owned())]));
        self.retry("UpdateItem", || async {
            let request = self.client.update_item().table_name(self.name).set_key(Some(key_attributes(key).into()));
            let request = request.update_expression(expression).condition_expression(condition);
            let request = request.set_expression_attribute_names(names.clone());
            let request = request.set_expression_attribute_values(Some(values.clone()));
            match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
                Ok(output) => self.meter.wrote(output.consumed_capacity.as_slice()),
                Err(why) if why.code() == Some("ConditionalCheckFailedException") => return Ok(false),
                Err(why) => return Err(failure(&why)),
            }
            Ok(true)
        })
        .await
    }
}

fn attribute<T: Serialize>(value: &T) -> Result<AttributeValue, Malformed> {
    serde_dynamo::to_attribute_value(value).map_err(|_| Malformed(std::any::type_name::<T>()))
}
