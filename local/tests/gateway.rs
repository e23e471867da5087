//! The gateway with real function processes (`examples/probe.rs`, `examples/panics.rs`) and a real engine.

#[path = "gateway/commands.rs"]
mod commands;
#[path = "gateway/cors.rs"]
mod cors;
#[path = "gateway/dynamodb.rs"]
mod dynamodb;
#[path = "gateway/log.rs"]
mod log;
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
use local::{Options, Server, Template, functions, log::Entry};
use serde_json::{Value, json};

const TEMPLATE: &str = r##"
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: main
      DefinitionBody:
        openapi: 3.0.1
        x-amazon-apigateway-cors:
          allowOrigins: [https://app.example, https://other.example]
          allowCredentials: true
          allowMethods: [GET, POST]
          allowHeaders: [authorization, if-match]
          exposeHeaders: [etag, x-request-id]
          maxAge: 60
        paths:
          "/probe/{id}":
            parameters: [{ name: id, in: path, required: true }]
            post: { operationId: probe, x-amazon-apigateway-integration: { $ref: "#/components/x-amazon-apigateway-integrations/probe" } }
        components:
          x-amazon-apigateway-integrations:
            probe:
              type: aws_proxy
              httpMethod: POST
              payloadFormatVersion: "2.0"
              credentials: !GetAtt ApiRole.Arn
              uri: !Sub "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${ProbeFunctionAliaslive}/invocations"
  ApiRole:
    Type: AWS::IAM::Role
    Properties:
      Policies: [{ PolicyDocument: { Statement: { Effect: Allow, Action: lambda:InvokeFunction, Resource: !Ref ProbeFunction.Alias } } }]
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
      Policies:
        - Statement:
            - Effect: Allow
              Action: [dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:ConditionCheckItem]
              Resource: !GetAtt Table.Arn
"##;

fn template() -> Template {
    Template::parse(TEMPLATE).unwrap()
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
    options.log = Arc::new(move |entry| match entry {
        Entry::Answered(_) => {}
        line => sink.lock().unwrap().push(line.to_string()),
    });
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

/// Waits for a condition that other processes and tasks bring about.
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

/// A process that has ended does not run, even if it is still listed because nobody has asked for its status.
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
    // From the event, `lambda_http` makes the URL that the client called.
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

/// A template whose function is the example `panics`. That function reads what all of the bundle read at their start.
fn panics() -> Template {
    let variables = "AUDIENCE: an audience, ALLOWED_ORIGINS: '', SERVICE: test, TENANT_CREATION: operator";
    let text = TEMPLATE.replace("ProbeFunction", "PanicsFunction").replace("probe", "panics");
    Template::parse(&text.replace("AUDIENCE: an audience", variables)).unwrap()
}

#[tokio::test]
async fn a_panic_is_logged_and_the_gateway_answers_for_the_process_that_ends() {
    let (server, lines) = start(|options| options.template = panics()).await;
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
    // The message holds text of a caller, so the log has only the place.
    assert!(cause.starts_with("panicked at local/examples/panics.rs:") && !cause.contains("made for"), "{cause}");
}
