//! The limits of DynamoDB that the embedded engine lacks, in AWS's words: the bytes of an index's keys, and an empty
//! `ClientRequestToken`.
//!
//! The engine itself has the others, and `tests/limits.rs` checks that it has: bytes of the table's keys, empty keys, the size
//! of an item, the number, size and repetitions of the parts of a transaction or a batch, the length of a token and of
//! expressions. An update is judged only by the values that it assigns directly (`SET a = :a`), not by the values that it would
//! make from an item's present attributes. Nobody checks conditions of queries, PartiQL, and the 4 MB of a `TransactGetItems`,
//! which no function uses.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use crate::{
    Template,
    conflicts::{cancelled, exception},
    iam,
};

/// An attribute that is a key of an index, and the most bytes that it may have.
struct IndexKey {
    index: String,
    attribute: String,
    bytes: usize,
}

pub(crate) struct Limits {
    table: String,
    keys: Vec<IndexKey>,
}

impl Limits {
    pub(crate) fn new(template: &Template) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let indexes = template.table["GlobalSecondaryIndexes"].as_array().into_iter().flatten();
        let keys = indexes.flat_map(|index| {
            let keys = index["KeySchema"].as_array().into_iter().flatten();
            keys.map(move |key| IndexKey {
                index: text(&index["IndexName"]),
                attribute: text(&key["AttributeName"]),
                bytes: if key["KeyType"] == "HASH" { 2048 } else { 1024 },
            })
        });
        Self { table: template.table_name().into(), keys: keys.collect() }
    }

    /// Checks a request before the engine gets it.
    ///
    /// # Errors
    ///
    /// DynamoDB's answer to a request that exceeds a limit.
    pub(crate) fn check(&self, operation: &str, body: &Value) -> Result<(), Value> {
        let refused = |message: &str| Err(exception("ValidationException", message));
        match operation {
            "PutItem" | "UpdateItem" => self.excess(&body["TableName"], body).map_or(Ok(()), |why| refused(&why)),
            "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                let mut excess = tables.flat_map(|(table, requests)| {
                    let requests = requests.as_array().into_iter().flatten();
                    requests.filter_map(|request| self.excess(&table.as_str().into(), &request["PutRequest"]))
                });
                excess.next().map_or(Ok(()), |why| refused(&why))
            }
            "TransactWriteItems" if body["ClientRequestToken"] == "" => refused(
                "1 validation error detected: Value '' at 'clientRequestToken' failed to satisfy constraint: Member must have \
                 length greater than or equal to 1",
            ),
            "TransactWriteItems" => {
                let parts = iam::parts(body).map(|(_, part)| self.excess(&part["TableName"], part));
                let reasons: Vec<_> = parts.map(|why| why.map(|why| ("ValidationError", why))).collect();
                if reasons.iter().any(Option::is_some) { Err(cancelled(&reasons)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// Returns the message about the first index key in a write that is too long.
    fn excess(&self, table: &Value, write: &Value) -> Option<String> {
        // The name of the table may be an ARN.
        if table.as_str()?.rsplit('/').next()? != self.table {
            return None;
        }
        let put = write["Item"].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value));
        let written: Vec<_> = put.chain(assigned(write)).collect();
        self.keys.iter().find_map(|IndexKey { index, attribute, bytes }| {
            let mut sizes = written.iter().filter(|(name, _)| name == attribute).map(|(_, value)| size(value));
            let size = sizes.find(|size| size > bytes)?;
            Some(format!(
                "One or more parameter values were invalid: Size limit exceeded for Index Key {attribute} Actual Size: {size} \
                 bytes Max Size: {bytes} bytes IndexName: {index}"
            ))
        })
    }
}

/// Returns the attributes that an update sets to a value of the request: by `#a = :a`, or by `AttributeUpdates`.
fn assigned(update: &Value) -> Vec<(&str, &Value)> {
    let mut expression = update["UpdateExpression"].as_str().unwrap_or_default();
    let mut tokens = Vec::new();
    while let Some(first) = expression.chars().next() {
        let word = expression.find(|c: char| c.is_whitespace() || "=,()+-".contains(c)).unwrap_or(expression.len());
        let (token, rest) = expression.split_at(word.max(first.len_utf8()));
        tokens.extend(Some(token).filter(|token| !token.trim().is_empty()));
        expression = rest;
    }
    let of_expression = tokens.windows(3).enumerate().filter_map(|(at, token)| {
        let &[name, "=", value] = token else { return None };
        let is_all = !matches!(tokens.get(at + 3), Some(&("+" | "-")));
        let name = update["ExpressionAttributeNames"][name].as_str().unwrap_or(name);
        Some((name, update["ExpressionAttributeValues"].get(value)?)).filter(|_| is_all)
    });
    let legacy = update["AttributeUpdates"].as_object().into_iter().flatten();
    let of_legacy = legacy.filter_map(|(name, update)| Some((name.as_str(), update.get("Value")?)));
    of_expression.chain(of_legacy).collect()
}

/// Returns the bytes of a string or binary value. A number is never too long for a key.
fn size(value: &Value) -> usize {
    let binary = || BASE64_STANDARD.decode(value["B"].as_str()?).ok().map(|bytes| bytes.len());
    value["S"].as_str().map(str::len).or_else(binary).unwrap_or_default()
}
