//! The capacity that operations consume, as the engine's answers count it.

use serde_json::Value;

/// The operations that read items.
pub(super) const READS: [&str; 5] = ["BatchGetItem", "GetItem", "Query", "Scan", "TransactGetItems"];

/// The operations that report the capacity that they consumed.
pub(super) const COUNTED: [&str; 10] = [
    "BatchGetItem",
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "TransactGetItems",
    "TransactWriteItems",
    "UpdateItem",
];

/// Returns the read and write units of a `ConsumedCapacity`, which is one for one table or a list for several.
pub(super) fn consumed(operation: &str, capacity: &Value) -> (f64, f64) {
    let tables = match capacity {
        Value::Array(tables) => tables.as_slice(),
        table => std::slice::from_ref(table),
    };
    let is_read = READS.contains(&operation);
    tables.iter().fold((0.0, 0.0), |(read, write), table| {
        let units = |name: &str| table[name].as_f64();
        let (reads, writes) = match (units("ReadCapacityUnits"), units("WriteCapacityUnits")) {
            (None, None) if is_read => (units("CapacityUnits"), None),
            (None, None) => (None, units("CapacityUnits")),
            split => split,
        };
        (read + reads.unwrap_or_default(), write + writes.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn capacity_is_summed_over_tables_and_kinds() {
        let one = json!({ "TableName": "t", "CapacityUnits": 1.5 });
        assert_eq!(consumed("GetItem", &one), (1.5, 0.0));
        assert_eq!(consumed("PutItem", &one), (0.0, 1.5));
        assert_eq!(consumed("BatchGetItem", &json!([one, one])), (3.0, 0.0));
        let both = json!([{ "CapacityUnits": 6.0, "ReadCapacityUnits": 2.0, "WriteCapacityUnits": 4.0 }]);
        assert_eq!(consumed("TransactWriteItems", &both), (2.0, 4.0));
        assert_eq!(consumed("DescribeTable", &Value::Null), (0.0, 0.0));
    }
}
