//! The gateway with real function processes (`examples/probe.rs`, `examples/panics.rs`) and a real engine.

#[path = "gateway/ports.rs"]
mod ports;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, body::Bytes};
use hyper_util::{client::legacy::Client as HttpClient, rt::TokioExecutor};
use local::{Options, Server, Template, dynamodb::Client, front::Fault, functions};
use serde_json::{Value, json};

const TEMPLATE: &str = r#"
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: main
      CorsConfiguration:
        AllowOrigins: [https://app.example, https://other.example]
        AllowCredentials: true
        AllowMethods: [GET, POST]
        AllowHeaders: [authorization, if-match]
        ExposeHeaders: [etag, x-request-id]
        MaxAge: 60
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: PK, AttributeType: S }, { AttributeName: SK, AttributeType: S }, { AttributeName: GSI1PK, AttributeType: S }]
      KeySchema: [{ AttributeName: PK, KeyType: HASH }, { AttributeName: SK, KeyType: RANGE }]
      GlobalSecondaryIndexes:
        - IndexName: GSI1
          KeySchema: [{ AttributeName: GSI1PK, KeyType: HASH }]
          Projection: { ProjectionType: ALL }
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
      TimeToLiveSpecification: { AttributeName: expires_at, Enabled: true }
  ProbeFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: probe
      Description: Answer with the event
      Timeout: 2
      MemorySize: 256
      Environment: { Variables: { TABLE: !Ref Table, ISSUER: an issuer, AUDIENCE: an audience } }
      Events: { Http: { Type: HttpApi, Properties: { Method: POST, Path: "/probe/{id}" } } }
      Policies:
        - Statement:
            - Effect: Allow
              Action: [dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:ConditionCheckItem]
              Resource: !GetAtt Table.Arn
"#;

fn template() -> Template {
    Template::parse(TEMPLATE, &BTreeMap::new()).unwrap()
}

/// The folder of the built examples.
fn bin_dir() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let built = functions::cargo().args(["build", "--workspace", "--examples"]).status().unwrap();
        assert!(built.success());
        let binary = Path::new(env!("CARGO_BIN_EXE_rolecall"));
        binary.parent().unwrap().join("examples")
    };
    BUILT.get_or_init(build).clone()
}

/// A server and the lines that it has logged.
async fn start(change: impl FnOnce(&mut Options)) -> (Server, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let mut options = Options::new(template(), bin_dir());
    options.log = Arc::new(move |line| sink.lock().unwrap().push(line.into()));
    change(&mut options);
    (Server::start(options).await.unwrap(), lines)
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

async fn send(request: Request<Full<Bytes>>) -> Reply {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let reply = client.request(request).await.unwrap();
    let (parts, body) = reply.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()),
    }
}

async fn post(server: &Server, path: &str, body: impl Into<Bytes>) -> Reply {
    let request = Request::post(server.url() + path).body(Full::new(body.into()));
    send(request.unwrap()).await
}

fn message(text: &str) -> Value {
    json!({ "message": text })
}

/// Waits for what other processes and tasks bring about.
async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in time");
}

fn kill(pid: u32, with: &str) -> bool {
    let mut command = Command::new("kill");
    let killed = command.args([with, &pid.to_string()]).stderr(Stdio::null()).status();
    killed.unwrap().success()
}

/// One that has ended and is still listed, as nobody has asked for its status yet, is not.
fn is_alive(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8(output.stdout).unwrap();
    !state.trim().is_empty() && !state.starts_with('Z')
}

#[tokio::test]
async fn a_request_goes_through_a_function_and_back() {
    let (server, _) = start(|_| {}).await;
    let request = Request::post(server.url() + "/main/probe/a%20b?x=1&x=2")
        .header("cookie", "a=1; b=2")
        .body(Full::from("hello"));
    let reply = send(request.unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["set-cookie"], "seen=1");
    let event = &reply.body["event"];
    assert_eq!(event["routeKey"], "POST /probe/{id}");
    assert_eq!(event["pathParameters"], json!({ "id": "a b" }));
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2" }));
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["body"], "hello");
    assert_eq!(event["requestContext"]["requestId"], reply.headers["apigw-requestid"].to_str().unwrap());
    assert_eq!(reply.body["arn"], "arn:aws:lambda:us-east-1:000000000000:function:probe");
    // What `lambda_http` makes of the event is the URL that the client called.
    assert_eq!(reply.body["uri"], server.url() + "/main/probe/a%20b?x=1&x=2");

    let environment = &reply.body["environment"];
    assert_eq!(environment["TABLE"], "rolecall");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_NAME"], "probe");
    assert_eq!(environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"], "256");
    assert_eq!(environment["AWS_ENDPOINT_URL_DYNAMODB"], server.dynamodb_url());
    assert_eq!(environment.get("HOME"), None, "nothing of this machine's environment");

    let again = post(&server, "/probe/1", "").await;
    assert_eq!(again.body["pid"], reply.body["pid"], "one process serves one request after another");
    assert_eq!(again.body["event"]["rawPath"], "/main/probe/1");
    server.shutdown().await;
}

#[tokio::test]
async fn two_requests_at_a_time_take_two_processes() {
    let (server, _) = start(|_| {}).await;
    let (one, two) =
        tokio::join!(post(&server, "/probe/1?sleep-ms=500", ""), post(&server, "/probe/2?sleep-ms=500", ""));
    assert_ne!(one.body["pid"], two.body["pid"]);
    assert_eq!(server.pids("probe").len(), 2);
    let pids = server.pids("probe");
    server.shutdown().await;
    assert!(!pids.into_iter().any(is_alive), "no process outlives the server");
}

#[tokio::test]
async fn a_function_without_a_free_process_is_unavailable() {
    let (server, _) = start(|options| options.max_processes = 1).await;
    let (one, two) =
        tokio::join!(post(&server, "/probe/1?sleep-ms=500", ""), post(&server, "/probe/2?sleep-ms=500", ""));
    let mut answers =
        [&one, &two].map(|reply| (reply.status, reply.headers.get("retry-after").map(|it| it.as_bytes())));
    answers.sort_unstable();
    assert_eq!(answers, [(200, None), (503, Some(&b"1"[..]))]);
    server.shutdown().await;
}

#[tokio::test]
async fn an_invocation_ends_at_the_timeout_of_the_template() {
    let (server, lines) = start(|options| options.template.functions[0].timeout = Duration::from_secs(1)).await;
    let first = post(&server, "/probe/1", "").await;
    let reply = post(&server, "/probe/1?sleep-ms=60000", "").await;
    assert_eq!((reply.status, reply.body), (504, message("Endpoint request timed out")));
    assert_eq!(lines.lock().unwrap().as_slice(), ["[probe] task timed out after 1.00 seconds"]);
    let next = post(&server, "/probe/1", "").await;
    assert_eq!(next.status, 200);
    assert_ne!(next.body["pid"], first.body["pid"]);
    server.shutdown().await;
}

#[tokio::test]
async fn failures_are_502_and_the_next_request_succeeds() {
    let (server, lines) = start(|_| {}).await;
    for (how, log) in [
        ("panic", "as the test wants"),
        ("fail", "as the test wants"),
        ("exit", "runtime exited: exit status: 3"),
        ("malformed", "malformed answer: statusCode \"many\" is not a status"),
    ] {
        let reply = post(&server, &format!("/probe/1?{how}"), "").await;
        assert_eq!((reply.status, reply.body), (502, message("Internal Server Error")), "{how}");
        eventually(|| lines.lock().unwrap().iter().any(|line| line.contains(log))).await;
        lines.lock().unwrap().clear();
        assert_eq!(post(&server, "/probe/1", "").await.status, 200, "after {how}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_killed_process_is_replaced() {
    let (server, lines) = start(|_| {}).await;
    let first = post(&server, "/probe/1", "").await.body["pid"].as_u64().unwrap() as u32;
    assert_eq!(server.pids("probe"), [first]);
    assert!(kill(first, "-9"));
    eventually(|| server.pids("probe").is_empty()).await;
    let second = post(&server, "/probe/1", "").await;
    assert_eq!(second.status, 200);

    let second = second.body["pid"].as_u64().unwrap() as u32;
    let (reply, ()) = tokio::join!(post(&server, "/probe/1?log=begun&sleep-ms=60000", ""), async {
        let has_begun = || lines.lock().unwrap().iter().any(|line| line.ends_with("begun"));
        eventually(has_begun).await;
        assert!(kill(second, "-9"));
    });
    assert_eq!(reply.status, 502);
    assert_eq!(post(&server, "/probe/1", "").await.status, 200);
    server.shutdown().await;
}

#[tokio::test]
async fn output_is_logged_under_the_name_of_the_function() {
    let (server, lines) = start(|_| {}).await;
    post(&server, "/probe/1?log=hello", "").await;
    let has = |line: &str| lines.lock().unwrap().iter().any(|logged| logged == line);
    eventually(|| has("[probe] out hello") && has("[probe] err hello")).await;
    server.shutdown().await;
}

#[tokio::test]
async fn the_gateway_answers_what_no_function_gets() {
    let (server, _) = start(|_| {}).await;
    let reply = post(&server, "/nothing", "").await;
    assert_eq!((reply.status, reply.body), (404, message("Not Found")));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert!(reply.headers.contains_key("apigw-requestid"));

    let reply = post(&server, "/probe/1", vec![b'x'; 10 * 1024 * 1024 + 1]).await;
    assert_eq!((reply.status, reply.body), (413, message("Request Entity Too Large")));

    let request = Request::post(server.url() + "/probe/1").header("x-long", "x".repeat(10_240));
    let reply = send(request.body(Full::default()).unwrap()).await;
    assert_eq!((reply.status, reply.body), (431, message("Request Header Fields Too Large")));
    assert!(server.pids("probe").is_empty());
    server.shutdown().await;
}

/// The CORS headers of an answer.
fn cors(reply: &Reply) -> BTreeMap<&str, &str> {
    let headers = reply.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let headers = headers.filter_map(|(name, value)| Some((name.strip_prefix("access-control-")?, value)));
    headers.collect()
}

#[tokio::test]
async fn the_gateway_answers_preflights_itself() {
    let (server, _) = start(|_| {}).await;
    let preflight = async |path: &str, headers: &[(&str, &str)]| {
        let request = Request::options(server.url() + path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let reply = send(request.body(Full::default()).unwrap()).await;
        assert_eq!((reply.status, &reply.body, reply.headers.get("content-type")), (204, &json!(""), None), "{path}");
        reply
    };
    let method = ("access-control-request-method", "POST");
    for path in ["/main/probe/1", "/no-route"] {
        let reply = preflight(path, &[("origin", "https://app.example"), method]).await;
        let expected = [
            ("allow-credentials", "true"),
            ("allow-headers", "authorization,if-match"),
            ("allow-methods", "GET,POST"),
            ("allow-origin", "https://app.example"),
            ("max-age", "60"),
        ];
        assert_eq!(cors(&reply), BTreeMap::from(expected));
    }
    for headers in [
        &[("origin", "https://foreign.example"), method][..],
        &[("origin", "https://app.example.foreign.example"), method],
        &[("origin", "null"), method],
        &[("origin", "https://app.example")],
        &[method],
    ] {
        assert_eq!(cors(&preflight("/probe/1", headers).await), BTreeMap::new(), "{headers:?}");
    }
    assert!(server.pids("probe").is_empty());
    server.shutdown().await;

    let (server, _) = start(|options| options.template.cors = None).await;
    let request = Request::options(server.url() + "/probe/1").header("origin", "https://app.example");
    assert_eq!(send(request.body(Full::default()).unwrap()).await.status, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_what_functions_answer() {
    let (server, _) = start(|_| {}).await;
    let from = async |origin: &str, path: &str| {
        let request = Request::post(server.url() + path).header("origin", origin);
        send(request.body(Full::default()).unwrap()).await
    };
    let expected = BTreeMap::from([
        ("allow-credentials", "true"),
        ("allow-origin", "https://other.example"),
        ("expose-headers", "etag,x-request-id"),
    ]);
    // A function's own do not count.
    for path in ["/probe/1", "/probe/1?cors"] {
        let reply = from("https://other.example", path).await;
        assert_eq!((reply.status, cors(&reply)), (200, expected.clone()), "{path}");
        let reply = from("https://foreign.example", path).await;
        assert_eq!((reply.status, cors(&reply)), (200, BTreeMap::new()), "{path}");
    }
    let reply = from("https://other.example", "/nothing").await;
    assert_eq!((reply.status, cors(&reply)), (404, BTreeMap::new()), "the gateway's own answers are not shared");
    server.shutdown().await;
}

#[tokio::test]
async fn the_gateway_and_its_functions_let_the_gateways_own_pages_in_and_agree_on_others() {
    let text = TEMPLATE.replace("ISSUER:", "ALLOWED_ORIGINS: 'https://app.example,https://other.example', ISSUER:");
    let (server, _) = start(|options| options.template = Template::parse(&text, &BTreeMap::new()).unwrap()).await;
    let port = server.url().rsplit_once(':').unwrap().1.to_owned();
    let told = post(&server, "/probe/1", "").await.body["environment"]["ALLOWED_ORIGINS"].as_str().unwrap().to_owned();
    let told: Vec<_> = told.split(',').collect();
    let own = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{port}"));
    assert!(own.iter().all(|origin| told.contains(&origin.as_str())), "{told:?}");
    let foreign = [format!("https://127.0.0.1:{port}"), "http://localhost:1".to_owned(), "http://localhost".to_owned()];
    for origin in told.iter().copied().chain(foreign.iter().map(String::as_str)) {
        let request = Request::options(server.url() + "/probe/1");
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        let reply = send(request.body(Full::default()).unwrap()).await;
        let allowed = told.contains(&origin).then_some(origin);
        assert_eq!(cors(&reply).get("allow-origin").copied(), allowed, "{origin}");
    }
    server.shutdown().await;
}

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

#[tokio::test]
async fn a_taken_port_is_named() {
    let (server, _) = start(|_| {}).await;
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let mut options = Options::new(template(), bin_dir());
    options.port = port;
    let error = Server::start(options).await.err().unwrap().to_string();
    assert_eq!(error, format!("port {port} is taken, choose another with --port"));
    server.shutdown().await;
}

/// Runs `rolecall` with the test's template; returns whether it succeeded, its output and its
/// errors.
fn rolecall(arguments: &[&str]) -> (bool, String, String) {
    let folder = std::env::temp_dir().join(format!("rolecall-{}-{}", arguments[0], std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("template.yaml"), TEMPLATE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_rolecall")).args(arguments).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn routes_lists_the_template() {
    let expected = (true, "POST  /probe/{id}  probe  Answer with the event\n".into(), String::new());
    assert_eq!(rolecall(&["routes"]), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn invoke_runs_one_function_on_one_event() {
    let (server, _) = start(|_| {}).await;
    let event = std::env::temp_dir().join(format!("rolecall-event-{}.json", std::process::id()));
    let template = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/event.json")).unwrap();
    let (url, bin_dir) = (server.dynamodb_url(), bin_dir());
    let invoke = |query: &str, more: &[&str]| {
        std::fs::write(&event, template.replace("{query}", query)).unwrap();
        let (event, bin_dir) = (event.to_str().unwrap(), bin_dir.to_str().unwrap());
        let arguments = ["invoke", "probe", "--event", event, "--bin-dir", bin_dir, "--dynamodb", &url];
        rolecall(&[&arguments, more].concat())
    };
    let (succeeded, output, errors) = invoke("log=hello", &[]);
    assert!(succeeded, "{errors}");
    let answer: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["statusCode"], 200);
    assert!(errors.contains("[probe] out hello"), "{errors}");

    let (succeeded, output, errors) = invoke("exit", &[]);
    assert_eq!((succeeded, output.as_str()), (false, ""));
    assert!(errors.ends_with("error: `probe` has not answered\n"), "{errors}");

    let (succeeded, output, _) = invoke("exit", &["--print"]);
    let printed: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((succeeded, &printed["rawQueryString"]), (true, &json!("exit")));
    server.shutdown().await;
    std::fs::remove_file(event).unwrap();
}

#[tokio::test]
async fn a_panic_is_logged_and_the_gateway_answers_for_the_process_that_ends() {
    let text = TEMPLATE.replace("ProbeFunction", "PanicsFunction").replace("probe", "panics");
    let text = text.replace("AUDIENCE: an audience", "AUDIENCE: an audience, ALLOWED_ORIGINS: '', SERVICE: test");
    let (server, lines) = start(|options| options.template = Template::parse(&text, &BTreeMap::new()).unwrap()).await;
    let before = post(&server, "/panics/1", "").await;
    let panicked = post(&server, "/panics/panic", "").await;
    let after = post(&server, "/panics/1", "").await;

    assert_eq!((before.status, panicked.status, after.status), (200, 502, 200));
    assert_ne!(before.body["pid"], after.body["pid"], "no state of a process that panicked is used again");
    let lines = lines.lock().unwrap().clone();
    let line = |index: usize| -> Value {
        let lines = lines.iter().filter_map(|line| line.strip_prefix("[panics] {"));
        let mut lines = lines.map(|line| serde_json::from_str(&format!("{{{line}")).unwrap());
        lines.by_ref().filter(|line: &Value| line["message"] == "request").nth(index).unwrap()
    };
    assert_eq!((&line(0)["cold"], &line(1)["cold"], &line(2)["cold"]), (&json!(1), &json!(0), &json!(1)));
    assert_eq!((&line(1)["level"], &line(1)["faults"]), (&json!("ERROR"), &json!(1)));
    assert_eq!(line(1)["request_id"], panicked.headers["apigw-requestid"].to_str().unwrap());
    let cause = line(1)["cause"].as_str().unwrap().to_owned();
    // What it was about is a caller's, so only where it happened is told.
    assert!(cause.starts_with("panicked at local/examples/panics.rs:") && !cause.contains("made for"), "{cause}");
}
