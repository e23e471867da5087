//! A function for the tests of the gateway: answers with its event, its environment and its process
//! id, or misbehaves.
//!
//! `?panic`, `?exit`, `?fail`, `?malformed`; `?cors` lets every page read its answer; `?sleep-ms=N`;
//! `?log=TEXT` on stdout and stderr; `?dynamodb=OPERATION` calls DynamoDB with the body and answers what it says.

use std::{collections::BTreeMap, env, process, time::Duration};

use lambda_http::{
    Body, Error, RequestExt,
    lambda_runtime::{LambdaEvent, run, service_fn},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let request = lambda_http::request::from_str(&event.payload.to_string())?;
    let query = request.query_string_parameters();
    let has = |name: &str| query.first(name).is_some();
    assert!(!has("panic"), "as the test wants");
    if has("exit") {
        process::exit(3);
    }
    if has("fail") {
        return Err("as the test wants".into());
    }
    if has("malformed") {
        return Ok(json!({ "statusCode": "many" }));
    }
    if let Some(text) = query.first("log") {
        println!("out {text}");
        eprintln!("err {text}");
    }
    if let Some(milliseconds) = query.first("sleep-ms") {
        tokio::time::sleep(Duration::from_millis(milliseconds.parse()?)).await;
    }
    if let Some(operation) = query.first("dynamodb") {
        let (status, body) = call(operation, request.body()).await?;
        return Ok(json!({ "statusCode": status, "body": body }));
    }
    let environment: BTreeMap<_, _> = env::vars().collect();
    let body = json!({
        "event": event.payload,
        "environment": environment,
        "pid": process::id(),
        "uri": request.uri().to_string(),
        "arn": event.context.invoked_function_arn,
    });
    let mut headers = json!({ "content-type": "application/json" });
    if has("cors") {
        headers["access-control-allow-origin"] = "*".into();
        headers["access-control-max-age"] = "5".into();
    }
    Ok(json!({
        "statusCode": 200,
        "headers": headers,
        "cookies": ["seen=1"],
        "body": body.to_string(),
    }))
}

async fn call(operation: &str, input: &Body) -> Result<(u16, String), Error> {
    let endpoint = env::var("AWS_ENDPOINT_URL_DYNAMODB")?;
    let address = endpoint.trim_start_matches("http://");
    let (key, input) = (env::var("AWS_ACCESS_KEY_ID")?, std::str::from_utf8(input)?);
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-date: 20260101T000000Z\r\nx-amz-target: DynamoDB_20120810.{operation}\r\ncontent-length: {}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date;x-amz-target, Signature=0\r\n\r\n{input}",
        input.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, body.into()))
}
