//! The front of DynamoDB, and the table behind it.

use local::{dynamodb::Client, front::Fault};

use super::*;

#[tokio::test]
async fn functions_may_do_what_the_template_says_and_people_everything() {
    let (server, lines) = start(|options| options.record = true).await;
    let item = json!({ "TableName": "rolecall", "Item": { "PK": { "S": "a" }, "SK": { "S": "s" } } });
    let reply = post(&server, "/probe/1?dynamodb=PutItem", item.to_string()).await;
    let refusal = "User: arn:aws:sts::000000000000:assumed-role/probe/probe is not authorized to perform: \
                   dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/rolecall \
                   because no identity-based policy allows the dynamodb:PutItem action";
    let expected = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "Message": refusal });
    assert_eq!((reply.status, reply.body), (400, expected));
    assert_eq!(lines.lock().unwrap().as_slice(), [format!("[dynamodb] {refusal}")]);

    let person = Client::new(&server.dynamodb_url());
    person.call("PutItem", &item).await.unwrap();
    let key = json!({ "TableName": "rolecall", "Key": { "PK": { "S": "a" }, "SK": { "S": "s" } } });
    let reply = post(&server, "/probe/1?dynamodb=GetItem", key.to_string()).await;
    assert_eq!((reply.status, &reply.body["Item"]), (200, &item["Item"]));
    let query = json!({ "TableName": "rolecall", "IndexName": "GSI1" });
    let reply = post(&server, "/probe/1?dynamodb=Query", query.to_string()).await;
    assert!(reply.body["Message"].as_str().unwrap().contains("table/rolecall/index/GSI1"));
    let statement = json!({ "Statement": "SELECT * FROM rolecall" });
    assert_eq!(post(&server, "/probe/1?dynamodb=ExecuteStatement", statement.to_string()).await.status, 400);

    let transaction = json!({ "TransactItems": [
        { "Update": {
            "TableName": "rolecall", "Key": { "PK": { "S": "b" }, "SK": { "S": "s" } }, "UpdateExpression": "REMOVE x",
        } },
        { "ConditionCheck": {
            "TableName": "rolecall", "Key": { "PK": { "S": "a" }, "SK": { "S": "s" } }, "ConditionExpression": "attribute_exists(PK)",
        } },
    ]});
    let reply = post(&server, "/probe/1?dynamodb=TransactWriteItems", transaction.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);

    let records = server.take_records();
    let seen: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record.function.as_deref(),
                record.operation.as_str(),
                record.status,
                record.read_units,
                record.write_units,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (Some("probe"), "PutItem", Some(400), 0.0, 0.0),
            (None, "PutItem", Some(200), 0.0, 1.0),
            (Some("probe"), "GetItem", Some(200), 0.5, 0.0),
            (Some("probe"), "Query", Some(400), 0.0, 0.0),
            (Some("probe"), "ExecuteStatement", Some(400), 0.0, 0.0),
            (Some("probe"), "TransactWriteItems", Some(200), 0.0, 4.0),
        ]
    );
    let actions: Vec<_> = records[5].actions.iter().collect();
    assert_eq!(actions, ["dynamodb:ConditionCheckItem", "dynamodb:UpdateItem"]);
    assert_eq!(server.take_records(), []);
    server.shutdown().await;
}

#[tokio::test]
async fn transactions_that_overlap_conflict() {
    let (server, _) = start(|_| {}).await;
    let person = Client::new(&server.dynamodb_url());
    let part = |key: &str| {
        json!({ "Update": {
            "TableName": "rolecall", "Key": { "PK": { "S": key }, "SK": { "S": "s" } },
            "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": { ":one": { "N": "1" } },
        } })
    };
    let transactions = (0..20).map(|i| {
        let input = json!({ "TransactItems": [part("shared"), part(&format!("own-{i}"))] });
        let person = person.clone();
        tokio::spawn(async move { person.call("TransactWriteItems", &input).await })
    });
    let (mut done, mut conflicts) = (0, 0);
    for transaction in transactions.collect::<Vec<_>>() {
        match transaction.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => {
                assert_eq!(error.kind, "TransactionCanceledException");
                assert!(error.message.ends_with("[TransactionConflict, None]"), "{error}");
                conflicts += 1;
            }
        }
    }
    assert!(done > 0 && conflicts > 0, "{done} done, {conflicts} in conflict");
    let key = json!({ "TableName": "rolecall", "Key": { "PK": { "S": "shared" }, "SK": { "S": "s" } } });
    let item = person.call("GetItem", &key).await.unwrap();
    assert_eq!(item["Item"]["n"]["N"], done.to_string());
    server.shutdown().await;
}

#[tokio::test]
async fn faults_come_before_or_after_the_engine() {
    let (server, _) = start(|options| options.record = true).await;
    let person = Client::new(&server.dynamodb_url());
    let put = |key: &str| json!({ "TableName": "rolecall", "Item": { "PK": { "S": key }, "SK": { "S": "s" } } });
    let throttled = json!({ "__type": "x#ThrottlingException", "message": "slow down" });
    for (key, fault, kind, written) in [
        ("before", Fault::AnswerBefore(400, throttled.clone()), "ThrottlingException", false),
        ("after", Fault::AnswerAfter(500, throttled.clone()), "ThrottlingException", true),
        ("drop", Fault::DropAfter, "", true),
    ] {
        server.set_fault(Some(Arc::new(move |request| match request.operation.as_str() {
            "PutItem" => fault.clone(),
            _ => Fault::None,
        })));
        assert_eq!(person.call("PutItem", &put(key)).await.unwrap_err().kind, kind);
        let get = json!({ "TableName": "rolecall", "Key": { "PK": { "S": key }, "SK": { "S": "s" } } });
        let item = person.call("GetItem", &get).await.unwrap();
        assert_eq!(item.get("Item").is_some(), written, "{key}");
    }
    server.set_fault(None);
    person.call("PutItem", &put("none")).await.unwrap();
    let puts = server.take_records().into_iter().filter(|record| record.operation == "PutItem");
    let statuses: Vec<_> = puts.map(|record| (record.status, record.write_units)).collect();
    assert_eq!(statuses, [(Some(400), 0.0), (Some(500), 1.0), (None, 1.0), (Some(200), 1.0)]);
    server.shutdown().await;
}

#[tokio::test]
async fn the_table_is_the_template_s_and_outlives_the_server_in_its_folder() {
    let data = std::env::temp_dir().join(format!("rolecall-{}", std::process::id()));
    let (server, _) = start(|options| options.data = Some(data.clone())).await;
    let person = Client::new(&server.dynamodb_url());
    let name = json!({ "TableName": "rolecall" });
    let table = person.call("DescribeTable", &name).await.unwrap();
    assert_eq!(table["Table"]["GlobalSecondaryIndexes"][0]["IndexName"], "GSI1");
    assert_eq!(table["Table"]["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    let ttl = person.call("DescribeTimeToLive", &name).await.unwrap();
    assert_eq!(ttl["TimeToLiveDescription"]["TimeToLiveStatus"], "ENABLED");
    let item = json!({ "TableName": "rolecall", "Item": { "PK": { "S": "a" }, "SK": { "S": "s" } } });
    person.call("PutItem", &item).await.unwrap();

    let mut options = Options::new(template(), bin_dir());
    options.data = Some(data.clone());
    let error = Server::start(options).await.err().unwrap().to_string();
    assert_eq!(error, format!("--data: {} is in use by another gateway", data.display()));
    server.shutdown().await;

    let (server, _) = start(|options| options.data = Some(data.clone())).await;
    let key = json!({ "TableName": "rolecall", "Key": { "PK": { "S": "a" }, "SK": { "S": "s" } } });
    let found = Client::new(&server.dynamodb_url()).call("GetItem", &key).await.unwrap();
    assert_eq!(found["Item"], item["Item"]);

    // Another server takes the first one's front for its engine; its table must be the template's.
    let mut options = Options::new(template(), bin_dir());
    options.dynamodb = Some(server.dynamodb_url());
    options.template.table["GlobalSecondaryIndexes"][0]["IndexName"] = "GSI2".into();
    let error = Server::start(options).await.err().unwrap().to_string();
    assert_eq!(error, "the table `rolecall` exists without the template's index \"GSI2\"");
    server.shutdown().await;
    std::fs::remove_dir_all(data).unwrap();
}
