//! The laptop's DynamoDB refuses what AWS would refuse, so that a test sees it before a deployment does.

use std::path::PathBuf;
use std::sync::Arc;

use local::dynamodb::Client;
use local::{Options, Server, Template, template};
use serde_json::{Value, json};

fn key(pk: &str, sk: &str) -> Value {
    json!({ "PK": { "S": pk }, "SK": { "S": sk } })
}

fn item(pk: &str, sk: &str, more: Value) -> Value {
    let mut item = key(pk, sk);
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

/// A put, alone or as the only part of a transaction.
fn puts(item: Value) -> [(&'static str, Value); 2] {
    [
        ("PutItem", json!({ "TableName": "rolecall", "Item": item })),
        ("TransactWriteItems", json!({ "TransactItems": [{ "Put": { "TableName": "rolecall", "Item": item } }] })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_would_refuse_is_refused() {
    let template = Template::load(&template::find_root().unwrap().join("template.yaml")).unwrap();
    let options = Options { log: Arc::new(|_| ()), ..Options::new(template, PathBuf::new()) };
    let server = Server::start(options).await.unwrap();
    let client = Client::new(&server.dynamodb_url());

    let check = |number: usize| json!({ "ConditionCheck": { "TableName": "rolecall", "Key": key("P", &number.to_string()), "ConditionExpression": "attribute_not_exists(PK)" } });
    let update = |expression: &str, values: Value, names: Value| {
        json!({
            "TableName": "rolecall", "Key": key("U", "U"), "UpdateExpression": expression,
            "ExpressionAttributeValues": values, "ExpressionAttributeNames": names,
        })
    };
    let indexed = |pk: usize, sk: usize| json!({ "GSI1PK": { "S": text(pk) }, "GSI1SK": { "S": text(sk) } });
    let batch = |count: usize| {
        let keys: Vec<_> = (0..count).map(|number| key("P", &number.to_string())).collect();
        json!({ "RequestItems": { "rolecall": { "Keys": keys } } })
    };
    let writes = |count: usize| {
        let put = |number: usize| json!({ "PutRequest": { "Item": key("P", &number.to_string()) } });
        json!({ "RequestItems": { "rolecall": (0..count).map(put).collect::<Vec<_>>() } })
    };
    let transaction = |parts: Vec<Value>| json!({ "TransactItems": parts });
    let token = |length: usize| json!({ "TransactItems": [check(1)], "ClientRequestToken": text(length) });
    let big = |number: usize| json!({ "Put": { "TableName": "rolecall", "Item": item("B", &number.to_string(), json!({ "x": { "S": text(390_000) } })) } });

    let mut cases: Vec<(&str, Value, bool)> = Vec::new();
    for (item, fits) in [
        (key(&text(2048), "S"), true),
        (key(&text(2049), "S"), false),
        (key("P", &text(1024)), true),
        (key("P", &text(1025)), false),
        (key("P", ""), false),
        (key("", "S"), false),
        (key("P", &"é".repeat(513)), false),
        (item("P", "S", indexed(2048, 1024)), true),
        (item("P", "S", indexed(2049, 10)), false),
        (item("P", "S", indexed(10, 1025)), false),
        (item("P", "S", json!({ "GSI1PK": { "S": "" }, "GSI1SK": { "S": "x" } })), false),
        (item("P", "S", json!({ "GSI1PK": { "N": "1" }, "GSI1SK": { "S": "x" } })), false),
        // Names count, too: PK, SK, x, and their values.
        (item("P", "S", json!({ "x": { "S": text(400 * 1024 - 7) } })), true),
        (item("P", "S", json!({ "x": { "S": text(400 * 1024 - 6) } })), false),
    ] {
        cases.extend(puts(item).map(|(operation, body)| (operation, body, fits)));
    }
    for (expression, values, names, fits) in [
        ("SET GSI1PK = :p, GSI1SK = :s", json!({ ":p": { "S": "p" }, ":s": { "S": text(1024) } }), Value::Null, true),
        ("SET GSI1PK = :p, GSI1SK = :s", json!({ ":p": { "S": "p" }, ":s": { "S": text(1025) } }), Value::Null, false),
        (
            "SET #p = :p, #s = :s",
            json!({ ":p": { "S": text(2049) }, ":s": { "S": "s" } }),
            json!({ "#p": "GSI1PK", "#s": "GSI1SK" }),
            false,
        ),
        ("SET x = :x", json!({ ":x": { "S": text(400 * 1024) } }), Value::Null, false),
    ] {
        let mut update = update(expression, values, names);
        update.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        cases.push(("UpdateItem", update.clone(), fits));
        cases.push(("TransactWriteItems", transaction(vec![json!({ "Update": update })]), fits));
    }
    let long = format!("attribute_not_exists(PK) OR {}", vec!["attribute_not_exists(PK)"; 160].join(" OR "));
    cases.extend([
        ("TransactWriteItems", transaction((0..100).map(check).collect()), true),
        ("TransactWriteItems", transaction((0..101).map(check).collect()), false),
        ("TransactWriteItems", transaction(vec![check(1), check(1)]), false),
        ("TransactWriteItems", transaction((0..10).map(big).collect()), true),
        ("TransactWriteItems", transaction((0..11).map(big).collect()), false),
        ("TransactWriteItems", token(36), true),
        ("TransactWriteItems", token(37), false),
        ("TransactWriteItems", token(0), false),
        ("BatchGetItem", batch(100), true),
        ("BatchGetItem", batch(101), false),
        ("BatchGetItem", json!({ "RequestItems": { "rolecall": { "Keys": [key("P", "1"), key("P", "1")] } } }), false),
        ("BatchWriteItem", writes(25), true),
        ("BatchWriteItem", writes(26), false),
        ("PutItem", json!({ "TableName": "rolecall", "Item": key("L", "L"), "ConditionExpression": long }), false),
    ]);

    let mut wrong = Vec::new();
    for (operation, body, fits) in cases {
        let answer = client.call(operation, &body).await;
        let refused = matches!(&answer, Err(error) if error.kind == "ValidationException"
            || error.kind == "TransactionCanceledException" && error.message.contains("ValidationError"));
        if answer.is_ok() != fits || refused == fits {
            wrong.push(format!("{operation} {:.300}: {answer:.300?}", body.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
