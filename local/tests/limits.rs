//! The limits of DynamoDB over its protocol, in the front or in the engine behind it. A request within a limit passes, and a request
//! beyond it gets AWS's error.

use std::path::PathBuf;

use local::{
    Options, Server, Template,
    dynamodb::{CallError, Client},
};
use serde_json::{Value, json};

const TEMPLATE: &str = r#"
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: PK, AttributeType: S }, { AttributeName: SK, AttributeType: S }, { AttributeName: GSI1PK, AttributeType: S }, { AttributeName: GSI1SK, AttributeType: S }]
      KeySchema: [{ AttributeName: PK, KeyType: HASH }, { AttributeName: SK, KeyType: RANGE }]
      GlobalSecondaryIndexes:
        - IndexName: GSI1
          KeySchema: [{ AttributeName: GSI1PK, KeyType: HASH }, { AttributeName: GSI1SK, KeyType: RANGE }]
          Projection: { ProjectionType: ALL }
"#;

const HASH: &str =
    "One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes";
const RANGE: &str = "One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes";
const EMPTY: &str = "cannot contain an empty string value";
const ITEM: &str = "maximum allowed size";
const EXPRESSION: &str = "Expression size has exceeded the maximum allowed size";

/// A table and a client of its own for a test.
struct Bed {
    server: Server,
    client: Client,
    table: String,
}

impl Bed {
    async fn start() -> Self {
        let template = Template::parse(TEMPLATE).unwrap();
        let table = template.table_name().to_owned();
        let server = Server::start(Options::new(template, PathBuf::new())).await.unwrap();
        Self { client: Client::new(&server.dynamodb_url()), server, table }
    }

    async fn call(&self, operation: &str, body: Value) -> Result<Value, CallError> {
        self.client.call(operation, &body).await
    }

    async fn assert_taken(&self, operation: &str, body: Value) {
        self.call(operation, body).await.unwrap();
    }

    async fn assert_refused(&self, operation: &str, body: Value, kind: &str, message: &str) {
        let start: String = body.to_string().chars().take(200).collect();
        let refused = self.call(operation, body).await.expect_err(&start);
        assert!(refused.kind == kind && refused.message.contains(message), "{start}: {refused}");
    }

    async fn assert_invalid(&self, operation: &str, body: Value, message: &str) {
        self.assert_refused(operation, body, "ValidationException", message).await;
    }

    fn put(&self, item: Value) -> Value {
        json!({ "TableName": self.table, "Item": item })
    }

    fn at(&self, key: Value) -> Value {
        json!({ "TableName": self.table, "Key": key })
    }

    fn update(&self, expression: &str, values: Value) -> Value {
        with(
            self.at(key("updated", "1")),
            json!({ "UpdateExpression": expression, "ExpressionAttributeValues": values }),
        )
    }

    fn batch_write(&self, requests: impl IntoIterator<Item = Value>) -> Value {
        json!({ "RequestItems": { &self.table: requests.into_iter().collect::<Vec<_>>() } })
    }
}

/// A string of so many bytes.
fn s(bytes: usize) -> Value {
    json!({ "S": "x".repeat(bytes) })
}

fn key(pk: &str, sk: &str) -> Value {
    json!({ "PK": { "S": pk }, "SK": { "S": sk } })
}

fn sized(pk: usize, sk: usize) -> Value {
    json!({ "PK": s(pk), "SK": s(sk) })
}

fn listed(pk: usize, sk: usize) -> Value {
    with(key("listed", "1"), json!({ "GSI1PK": s(pk), "GSI1SK": s(sk) }))
}

fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

fn transaction(parts: impl IntoIterator<Item = Value>) -> Value {
    json!({ "TransactItems": parts.into_iter().collect::<Vec<_>>() })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_table_have_their_bytes() {
    let bed = Bed::start().await;
    bed.assert_taken("PutItem", bed.put(sized(2048, 1024))).await;
    // 341 characters of three bytes, and one.
    bed.assert_taken("PutItem", bed.put(key("cjk", &("漢".repeat(341) + "x")))).await;
    bed.assert_invalid("PutItem", bed.put(key("cjk", &("漢".repeat(341) + "xx"))), RANGE).await;
    for (wrong, message) in
        [(sized(2049, 1), HASH), (sized(1, 1025), RANGE), (sized(0, 1), EMPTY), (sized(1, 0), EMPTY)]
    {
        bed.assert_invalid("PutItem", bed.put(wrong.clone()), message).await;
        for operation in ["GetItem", "DeleteItem", "UpdateItem"] {
            bed.assert_invalid(operation, bed.at(wrong.clone()), message).await;
        }
        let keys = json!({ "RequestItems": { &bed.table: { "Keys": [wrong] } } });
        bed.assert_invalid("BatchGetItem", keys, message).await;
        bed.assert_invalid("BatchWriteItem", bed.batch_write([json!({ "PutRequest": { "Item": wrong } })]), message)
            .await;
    }
    for wrong in [sized(2049, 1), sized(1, 1025)] {
        for part in [json!({ "Put": bed.put(wrong.clone()) }), json!({ "Delete": bed.at(wrong) })] {
            bed.assert_refused(
                "TransactWriteItems",
                transaction([part]),
                "TransactionCanceledException",
                "[ValidationError]",
            )
            .await;
        }
    }
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_index_have_their_bytes() {
    let bed = Bed::start().await;
    let too_long = |attribute: &str, actual: usize, most: usize| {
        format!(
            "One or more parameter values were invalid: Size limit exceeded for Index Key {attribute} Actual Size: {actual} bytes \
             Max Size: {most} bytes IndexName: GSI1"
        )
    };
    bed.assert_taken("PutItem", bed.put(listed(2048, 1024))).await;
    for (item, message) in [
        (listed(2049, 1), too_long("GSI1PK", 2049, 2048)),
        (listed(1, 1025), too_long("GSI1SK", 1025, 1024)),
        (with(key("alone", "1"), json!({ "GSI1SK": s(1025) })), too_long("GSI1SK", 1025, 1024)),
        (listed(0, 1), EMPTY.to_owned()),
        (listed(1, 0), EMPTY.to_owned()),
    ] {
        bed.assert_invalid("PutItem", bed.put(item.clone()), &message).await;
        let request = json!({ "PutRequest": { "Item": item } });
        bed.assert_invalid("BatchWriteItem", bed.batch_write([request]), &message).await;
    }

    // The values that an update sets, by name or placeholder, anywhere in it; not names and operands.
    let message = too_long("GSI1SK", 1025, 1024);
    let values = json!({ ":a": s(1), ":b": s(1025) });
    bed.assert_invalid("UpdateItem", bed.update("SET GSI1PK=:a,GSI1SK=:b", values.clone()), &message).await;
    let named = with(
        bed.update("REMOVE note SET #p = :a , #s = :b", values.clone()),
        json!({ "ExpressionAttributeNames": { "#p": "GSI1PK", "#s": "GSI1SK" } }),
    );
    bed.assert_invalid("UpdateItem", named.clone(), &message).await;
    let legacy = json!({ "AttributeUpdates": { "GSI1SK": { "Action": "PUT", "Value": s(1025) } } });
    bed.assert_invalid("UpdateItem", with(bed.at(key("updated", "1")), legacy), &message).await;
    bed.assert_taken("UpdateItem", bed.update("SET GSI1PK = :a, note = :b", values)).await;
    bed.assert_taken("UpdateItem", bed.update("SET GSI1PK = :a, GSI1SK = :b", json!({ ":a": s(2048), ":b": s(1024) })))
        .await;

    // In a transaction, the part has this reason, and nothing is written.
    let within = json!({ "Put": bed.put(key("not-written", "1")) });
    for part in [json!({ "Put": bed.put(listed(1, 1025)) }), json!({ "Update": named })] {
        let whole = transaction([within.clone(), part]);
        bed.assert_refused("TransactWriteItems", whole, "TransactionCanceledException", "[None, ValidationError]")
            .await;
    }
    let found = bed.call("GetItem", bed.at(key("not-written", "1"))).await.unwrap();
    assert_eq!(found.get("Item"), None);
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_has_400_kib_with_its_attributes_names() {
    let bed = Bed::start().await;
    // PK, SK and a are 5 bytes, their values beside `a` 2.
    let item = |bytes: usize| with(key("k", "s"), json!({ "a": s(bytes - 7) }));
    bed.assert_taken("PutItem", bed.put(item(409_600))).await;
    bed.assert_invalid("PutItem", bed.put(item(409_601)), ITEM).await;
    let request = json!({ "PutRequest": { "Item": item(409_601) } });
    bed.assert_invalid("BatchWriteItem", bed.batch_write([request]), ITEM).await;
    bed.assert_invalid("UpdateItem", bed.update("SET a = :a", json!({ ":a": s(409_600) })), ITEM).await;
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_has_100_items_4_mib_each_item_once_and_a_token_of_36_characters() {
    let bed = Bed::start().await;
    let put =
        |n: usize, bytes: usize| json!({ "Put": bed.put(with(key(&n.to_string(), "s"), json!({ "a": s(bytes) }))) });
    let get = |n: usize| json!({ "Get": bed.at(key(&n.to_string(), "s")) });
    bed.assert_taken("TransactWriteItems", transaction((0..100).map(|n| put(n, 1)))).await;
    bed.assert_invalid("TransactWriteItems", transaction((0..101).map(|n| put(n, 1))), "less than or equal to 100")
        .await;
    bed.assert_taken("TransactGetItems", transaction((0..100).map(get))).await;
    bed.assert_invalid("TransactGetItems", transaction((0..101).map(get)), "less than or equal to 100").await;
    bed.assert_taken("TransactWriteItems", transaction((0..10).map(|n| put(n, 400_000)))).await;
    bed.assert_invalid("TransactWriteItems", transaction((0..11).map(|n| put(n, 400_000))), "4MB limit").await;

    let twice = "cannot include multiple operations on one item";
    let delete = json!({ "Delete": bed.at(key("1", "s")) });
    bed.assert_invalid("TransactWriteItems", transaction([put(1, 1), delete]), twice).await;
    bed.assert_invalid("TransactGetItems", transaction([get(1), get(1)]), twice).await;

    let token = |token: &str| with(transaction([put(1, 1)]), json!({ "ClientRequestToken": token }));
    bed.assert_taken("TransactWriteItems", token(&"x".repeat(36))).await;
    bed.assert_invalid("TransactWriteItems", token(&"x".repeat(37)), "less than or equal to 36").await;
    bed.assert_invalid("TransactWriteItems", token(""), "greater than or equal to 1").await;
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_100_keys_or_25_writes_each_item_once() {
    let bed = Bed::start().await;
    let keys = |keys: Vec<Value>| json!({ "RequestItems": { &bed.table: { "Keys": keys } } });
    let numbered = |count: usize| (0..count).map(|n| key(&n.to_string(), "s"));
    let puts = |count: usize| bed.batch_write(numbered(count).map(|item| json!({ "PutRequest": { "Item": item } })));
    bed.assert_taken("BatchGetItem", keys(numbered(100).collect())).await;
    bed.assert_invalid("BatchGetItem", keys(numbered(101).collect()), "less than or equal to 100").await;
    bed.assert_taken("BatchWriteItem", puts(25)).await;
    bed.assert_invalid("BatchWriteItem", puts(26), "length less than or equal to 25").await;

    let twice = "Provided list of item keys contains duplicates";
    bed.assert_invalid("BatchGetItem", keys(vec![key("1", "s"), key("1", "s")]), twice).await;
    let requests =
        [json!({ "PutRequest": { "Item": key("1", "s") } }), json!({ "DeleteRequest": { "Key": key("1", "s") } })];
    bed.assert_invalid("BatchWriteItem", bed.batch_write(requests), twice).await;
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_with_16_mib_and_the_keys_that_are_left() {
    let bed = Bed::start().await;
    let numbered = |n: usize| key(&n.to_string(), "s");
    // 41 items of a little more than 400,000 bytes are below 16 MiB, 42 are above.
    for n in 0..45 {
        bed.assert_taken("PutItem", bed.put(with(numbered(n), json!({ "a": s(400_000) })))).await;
    }
    let keys: Vec<Value> = (0..45).map(numbered).collect();
    let answer = bed.call("BatchGetItem", json!({ "RequestItems": { &bed.table: { "Keys": keys } } })).await.unwrap();
    let count = |list: &Value| list.as_array().map(Vec::len);
    assert_eq!(count(&answer["Responses"][&bed.table]), Some(41));
    assert_eq!(count(&answer["UnprocessedKeys"][&bed.table]["Keys"]), Some(4));
    bed.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_has_4_kib() {
    let bed = Bed::start().await;
    let padded = |text: &str, bytes: usize| text.to_owned() + &" ".repeat(bytes - text.len());
    let condition = |pk: &str, bytes: usize| {
        let condition = padded("attribute_not_exists(PK)", bytes);
        with(bed.put(key(pk, "s")), json!({ "ConditionExpression": condition }))
    };
    bed.assert_taken("PutItem", condition("a", 4096)).await;
    bed.assert_invalid("PutItem", condition("b", 4097), EXPRESSION).await;
    bed.assert_invalid("TransactWriteItems", transaction([json!({ "Put": condition("b", 4097) })]), EXPRESSION).await;
    let values = json!({ ":v": s(1) });
    bed.assert_taken("UpdateItem", bed.update(&padded("SET a = :v", 4096), values.clone())).await;
    bed.assert_invalid("UpdateItem", bed.update(&padded("SET a = :v", 4097), values.clone()), EXPRESSION).await;
    let query = |bytes: usize| {
        json!({
            "TableName": bed.table,
            "KeyConditionExpression": padded("PK = :v", bytes),
            "ExpressionAttributeValues": values,
        })
    };
    bed.assert_taken("Query", query(4096)).await;
    bed.assert_invalid("Query", query(4097), EXPRESSION).await;
    bed.server.shutdown().await;
}
