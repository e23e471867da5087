//! Writing one item at a time.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValue};
use domain::Problem;
use domain::id::Kind;

use super::key::{self, Key};
use super::{Condition, Failure, Item, Table, failure, internal, key_attributes};

/// The code of a condition that does not hold.
const UNMET: &str = "ConditionalCheckFailedException";

impl Table<'_> {
    /// Takes `count` numbers from the counter of a kind. Returns the first of them. A lost answer loses numbers, and no number is
    /// given twice.
    pub async fn allocate(self, kind: Kind, count: u32) -> Result<u32, Problem> {
        let key = key::counter(kind);
        let last = self
            .retry("UpdateItem", || async {
                let request =
                    self.client.update_item().table_name(self.name).set_key(Some(key_attributes(&key).into()));
                let request = request.update_expression("ADD #last :count").expression_attribute_names("#last", "last");
                let request = request.expression_attribute_values(":count", AttributeValue::N(count.to_string()));
                let request = request.return_values(ReturnValue::UpdatedNew);
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                let output = request.send().await.map_err(|why| failure(&why))?;
                self.meter.wrote(output.consumed_capacity.as_slice());
                Ok(output.attributes.as_ref().and_then(|it| it.get("last")).and_then(|last| last.as_n().ok()).cloned())
            })
            .await?;
        let last: Option<u32> = last.and_then(|last| last.parse().ok());
        last.and_then(|last| last.checked_sub(count)).map(|before| before + 1).ok_or_else(|| internal("no counter"))
    }

    /// Sets attributes of one item if a condition holds. Returns whether it does.
    pub async fn set(self, key: &Key, what: &str, condition: Condition) -> Result<bool, Problem> {
        let expression = condition.expression.clone();
        let values = condition.named();
        self.retry("UpdateItem", || async {
            let request = self.client.update_item().table_name(self.name).set_key(Some(key_attributes(key).into()));
            let request = request.update_expression(format!("SET {what}")).condition_expression(&expression);
            let request = request.set_expression_attribute_values(values.clone());
            let sent = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            self.held(sent.map(|output| output.consumed_capacity))
        })
        .await
    }

    /// Puts one item on which nothing rests.
    pub async fn put(self, item: Item) -> Result<(), Problem> {
        self.retry("PutItem", || async {
            let request = self.client.put_item().table_name(self.name).set_item(Some(item.clone()));
            let sent = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            self.held(sent.map(|output| output.consumed_capacity)).map(drop)
        })
        .await
    }

    /// Puts one item if a condition holds. Returns whether it does.
    pub async fn put_if(self, item: Item, condition: Condition) -> Result<bool, Problem> {
        let expression = condition.expression.clone();
        let values = condition.named();
        self.retry("PutItem", || async {
            let request = self.client.put_item().table_name(self.name).set_item(Some(item.clone()));
            let request = request.condition_expression(&expression).set_expression_attribute_values(values.clone());
            let sent = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            self.held(sent.map(|output| output.consumed_capacity))
        })
        .await
    }

    /// Whether the condition of a write held.
    fn held<E: ProvideErrorMetadata, R>(
        self,
        sent: Result<Option<ConsumedCapacity>, SdkError<E, R>>,
    ) -> Result<bool, Failure> {
        match sent {
            Ok(consumed) => self.meter.wrote(consumed.as_slice()),
            Err(why) if why.code() == Some(UNMET) => return Ok(false),
            Err(why) => return Err(failure(&why)),
        }
        Ok(true)
    }
}
