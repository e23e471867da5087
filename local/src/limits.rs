//! AWS's limits that the embedded engine does not have: the size of an index's keys, and the length of a
//! `ClientRequestToken`. The engine itself refuses what is too large of a table's keys, items, transactions, batches and
//! expressions; `tests/limits.rs` holds all of it.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>

use serde_json::{Value, json};

use crate::iam;

/// The key attributes of a table's indexes.
pub struct Limits {
    table: String,
    /// Each with the most bytes that it may have, and what AWS says of more.
    attributes: Vec<(String, usize, &'static str)>,
}

const HASH: (usize, &str) = (2048, "Size of hashkey has exceeded the maximum size limit of2048 bytes");
const RANGE: (usize, &str) = (1024, "Aggregated size of all range keys has exceeded the size limit of 1024 bytes");

impl Limits {
    /// Those of the table that an input of `CreateTable` makes.
    pub(crate) fn new(table: &Value) -> Self {
        let indexes = table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let keys = indexes.flat_map(|index| index["KeySchema"].as_array().into_iter().flatten());
        let attributes = keys.filter_map(|key| {
            let (most, said) = if key["KeyType"] == "HASH" { HASH } else { RANGE };
            Some((key["AttributeName"].as_str()?.to_owned(), most, said))
        });
        Self { table: table["TableName"].as_str().unwrap_or_default().to_owned(), attributes: attributes.collect() }
    }

    /// DynamoDB's answer to a request that is beyond a limit.
    pub(crate) fn refusal(&self, operation: &str, body: &Value) -> Option<Value> {
        let refused = match operation {
            "PutItem" | "UpdateItem" => self.key_too_large(body),
            "BatchWriteItem" => {
                let requests = body["RequestItems"][&self.table].as_array().into_iter().flatten();
                let items = requests.map(|request| &request["PutRequest"]["Item"]);
                items.into_iter().find_map(|item| self.attribute_too_large(|name| &item[name]))
            }
            "TransactWriteItems" if body["ClientRequestToken"] == "" => Some(
                "1 validation error detected: Value '' at 'clientRequestToken' failed to satisfy constraint: Member must \
                 have length greater than or equal to 1"
                    .to_owned(),
            ),
            "TransactWriteItems" => iam::parts(body).find_map(|(_, part)| self.key_too_large(part)),
            _ => None,
        };
        refused.map(|message| json!({ "__type": "com.amazon.coral.validate#ValidationException", "message": message }))
    }

    /// What is wrong with a put, or with an update as far as it sets an attribute to a value of its own.
    fn key_too_large(&self, request: &Value) -> Option<String> {
        // The name may be an ARN.
        if request["TableName"].as_str()?.rsplit('/').next() != Some(&self.table) {
            return None;
        }
        if request.get("Item").is_some() {
            return self.attribute_too_large(|name| &request["Item"][name]);
        }
        let expression = request["UpdateExpression"].as_str()?;
        let set: Vec<(&str, &str)> = expression
            .split(',')
            .filter_map(|clause| clause.split_once('='))
            .filter_map(|(name, value)| Some((name.split_whitespace().last()?, value.split_whitespace().next()?)))
            .collect();
        self.attribute_too_large(|attribute| {
            let names = |name: &str| name == attribute || request["ExpressionAttributeNames"][name] == attribute;
            let value = set.iter().find(|(name, _)| names(name)).map_or("", |(_, value)| value);
            &request["ExpressionAttributeValues"][value]
        })
    }

    fn attribute_too_large<'a>(&self, value: impl Fn(&str) -> &'a Value) -> Option<String> {
        let bytes = |name: &str| value(name)["S"].as_str().map_or(0, str::len);
        let too_large = self.attributes.iter().find(|(name, most, _)| bytes(name) > *most);
        too_large.map(|(_, _, said)| format!("One or more parameter values were invalid: {said}"))
    }
}
