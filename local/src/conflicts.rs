//! The conflicts between transactions, as in DynamoDB. The embedded engine has no conflicts, because it takes one request after
//! the other.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling>

use std::{
    collections::{BTreeMap, HashSet},
    sync::Mutex,
};

use serde_json::{Value, json};
use shared::lock;

use crate::iam;

const CONFLICT: &str = "Transaction is ongoing for the item";

/// The items and tokens of the transactions under way.
pub(crate) struct Conflicts {
    /// The key attributes by table name.
    keys: BTreeMap<String, Vec<String>>,
    under_way: Mutex<HashSet<Subject>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Subject {
    Item {
        table: String,
        key: Vec<String>,
    },
    /// A `ClientRequestToken`.
    Token(String),
}

/// A request under way. It ends when this value is dropped. A transaction that writes holds its items and its token until then.
pub(crate) struct UnderWay<'a> {
    conflicts: &'a Conflicts,
    subjects: Vec<Subject>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut under_way = lock(&self.conflicts.under_way);
        for subject in &self.subjects {
            under_way.remove(subject);
        }
    }
}

impl Conflicts {
    /// Watches the tables that `keys` names.
    pub(crate) fn new(keys: BTreeMap<String, Vec<String>>) -> Self {
        Self { keys, under_way: Mutex::default() }
    }

    /// Lets a request begin. It is under way until the returned value is dropped.
    ///
    /// # Errors
    ///
    /// DynamoDB's answer to a request with an item or a token that is in a transaction under way.
    pub(crate) fn enter(&self, operation: &str, body: &Value) -> Result<UnderWay<'_>, Value> {
        let mut subjects = Vec::new();
        let mut under_way = lock(&self.under_way);
        let is_under_way = |item: &Option<Subject>| item.as_ref().is_some_and(|item| under_way.contains(item));
        match operation {
            "PutItem" | "UpdateItem" | "DeleteItem" if is_under_way(&self.item(body)) => {
                return Err(exception("TransactionConflictException", CONFLICT));
            }
            "TransactWriteItems" | "TransactGetItems" if !self.keys.is_empty() => {
                let token = body["ClientRequestToken"].as_str().map(|token| Subject::Token(token.into()));
                if is_under_way(&token) {
                    let message = "The transaction with the given request token is already in progress.";
                    return Err(exception("TransactionInProgressException", message));
                }
                let items: Vec<_> = iam::parts(body).map(|(_, part)| self.item(part)).collect();
                let conflicts: Vec<_> = items.iter().map(is_under_way).collect();
                if conflicts.contains(&true) {
                    let reason = |conflict: &bool| conflict.then(|| ("TransactionConflict", CONFLICT.to_owned()));
                    return Err(cancelled(&conflicts.iter().map(reason).collect::<Vec<_>>()));
                }
                if operation == "TransactWriteItems" {
                    subjects = items.into_iter().chain([token]).flatten().collect();
                    under_way.extend(subjects.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(UnderWay { conflicts: self, subjects })
    }

    /// Returns the item of a request or of a part of a transaction, if its table is watched.
    fn item(&self, request: &Value) -> Option<Subject> {
        // The name of the table may be an ARN.
        let table = request["TableName"].as_str()?.rsplit('/').next()?;
        let attributes = request.get("Key").or(request.get("Item"))?;
        let key = self.keys.get(table)?.iter().map(|name| attributes[name].to_string());
        Some(Subject::Item { table: table.into(), key: key.collect() })
    }
}

pub(crate) fn exception(kind: &str, message: &str) -> Value {
    // The member is spelt `message` in some of DynamoDB's exceptions and `Message` in others.
    let member = if kind == "TransactionInProgressException" { "Message" } else { "message" };
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), member: message })
}

/// Makes the answer to a cancelled transaction. `reasons` has a place for each part: a code and its message, or `None`.
pub(crate) fn cancelled(reasons: &[Option<(&str, String)>]) -> Value {
    let codes: Vec<_> = reasons.iter().map(|reason| reason.as_ref().map_or("None", |(code, _)| *code)).collect();
    let reasons = reasons.iter().map(|reason| match reason {
        Some((code, message)) => json!({ "Code": code, "Message": message }),
        None => json!({ "Code": "None" }),
    });
    json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!(
            "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
            codes.join(", ")
        ),
        "CancellationReasons": reasons.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflicts() -> Conflicts {
        Conflicts::new([("t".into(), vec!["PK".into(), "SK".into()])].into())
    }

    fn key(sk: &str) -> Value {
        json!({ "SK": { "S": sk }, "PK": { "S": "p" } })
    }

    fn part(kind: &str, sk: &str) -> Value {
        json!({ kind: { "TableName": "t", "Key": key(sk) } })
    }

    #[test]
    fn items_in_a_transaction_conflict_until_it_ends() {
        let conflicts = conflicts();
        let item = json!({ "PK": { "S": "p" }, "SK": { "S": "1" }, "x": { "N": "1" } });
        let put = json!({ "Put": { "TableName": "t", "Item": item } });
        let transaction = json!({ "TransactItems": [put, part("ConditionCheck", "2")] });
        let overlapping = json!({ "TransactItems": [part("Delete", "3"), part("Update", "2")] });
        let update = |sk: &str| json!({ "TableName": "arn:aws:dynamodb:us-east-1:0:table/t", "Key": key(sk) });

        let under_way = conflicts.enter("TransactWriteItems", &transaction).ok();
        let refusal = conflicts.enter("TransactWriteItems", &overlapping).err().unwrap();
        assert_eq!(
            refusal,
            json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons \
                            [None, TransactionConflict]",
                "CancellationReasons": [{ "Code": "None" }, { "Code": "TransactionConflict", "Message": CONFLICT }],
            })
        );
        let refusal = conflicts.enter("UpdateItem", &update("1")).err().unwrap();
        assert_eq!(refusal, exception("TransactionConflictException", CONFLICT));
        assert!(conflicts.enter("UpdateItem", &update("3")).is_ok(), "a refused transaction holds nothing");
        assert!(conflicts.enter("GetItem", &update("1")).is_ok());
        drop(under_way);
        assert!(conflicts.enter("TransactWriteItems", &overlapping).is_ok());
    }

    #[test]
    fn a_token_is_in_one_transaction_at_a_time() {
        let conflicts = conflicts();
        let transaction = |sk| json!({ "ClientRequestToken": "c", "TransactItems": [part("Update", sk)] });
        let under_way = conflicts.enter("TransactWriteItems", &transaction("1")).ok();
        let refusal = conflicts.enter("TransactWriteItems", &transaction("2")).err().unwrap();
        assert!(refusal["__type"].as_str().unwrap().ends_with("#TransactionInProgressException"));
        drop(under_way);
        assert!(conflicts.enter("TransactWriteItems", &transaction("2")).is_ok());
    }

    #[test]
    fn an_engine_with_conflicts_of_its_own_is_left_alone() {
        let conflicts = Conflicts::new(BTreeMap::new());
        let transaction = json!({ "ClientRequestToken": "c", "TransactItems": [part("Update", "1")] });
        let _under_way = conflicts.enter("TransactWriteItems", &transaction).ok();
        assert!(conflicts.enter("TransactWriteItems", &transaction).is_ok());
    }
}
