//! The part of API Gateway's HTTP API between a client and a function: events of requests, and responses of answers.
//!
//! Events have payload format 2.0.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use http_body_util::Full;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING},
    http::request::Parts,
};
use serde_json::{Map, Value, json};

use crate::{
    http::Reply,
    routes::{Match, decode},
    template::ACCOUNT,
};

/// Makes a request id in API Gateway's form, such as `JKJaXmPLvHcESHA=`.
pub fn request_id() -> String {
    let bytes: [u8; 11] = std::array::from_fn(|_| fastrand::u8(..));
    BASE64_STANDARD.encode(bytes)
}

/// Makes the event of payload format 2.0 for a request that `route` takes.
///
/// `address` is the client's address, `port` is the port that it called, and `now` is the time of the request.
pub fn event(
    route: &Match<'_>,
    request: &Parts,
    body: &[u8],
    request_id: &str,
    (address, port): (SocketAddr, u16),
    now: SystemTime,
) -> Value {
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut headers = join_headers(&request.headers);
    if !body.is_empty() {
        headers.insert("content-length".into(), body.len().to_string().into());
    }
    let source = address.ip().to_string();
    let forwarded_for = match headers.get("x-forwarded-for").and_then(Value::as_str) {
        Some(before) => format!("{before}, {source}"),
        None => source.clone(),
    };
    headers.insert("x-forwarded-for".into(), forwarded_for.into());
    headers.insert("x-forwarded-port".into(), port.to_string().into());
    headers.insert("x-forwarded-proto".into(), "http".into());
    headers.entry("x-amzn-trace-id").or_insert_with(|| trace_id(since_epoch.as_secs()).into());
    let header = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default();
    let domain = header("host").to_string();
    let query = request.uri.query().unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route.route_key,
        "rawPath": route.path,
        "rawQueryString": query,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": domain,
            "domainPrefix": domain.split(['.', ':']).next(),
            "http": {
                "method": request.method.as_str(),
                "path": route.path,
                "protocol": "HTTP/1.1",
                "sourceIp": source,
                "userAgent": header("user-agent"),
            },
            "requestId": request_id,
            "routeKey": route.route_key,
            "stage": route.stage,
            "time": log_time(now),
            "timeEpoch": since_epoch.as_millis() as u64,
        },
        "isBase64Encoded": false,
        "headers": headers,
    });
    // API Gateway leaves out members that would be empty.
    let cookies = cookies(&request.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    if !route.parameters.is_empty() {
        event["pathParameters"] = json!(route.parameters);
    }
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => event["body"] = text.into(),
        Err(_) => {
            event["body"] = BASE64_STANDARD.encode(body).into();
            event["isBase64Encoded"] = true.into();
        }
    }
    event
}

/// The headers that belong to one connection, and `cookie`, which has its own member in an event.
const NOT_IN_EVENTS: [&str; 9] = [
    "connection",
    "cookie",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn join_headers(headers: &HeaderMap) -> Map<String, Value> {
    let names = headers.keys().filter(|name| !NOT_IN_EVENTS.contains(&name.as_str()));
    names.map(|name| (name.to_string(), values(headers, name.as_str()).join(",").into())).collect()
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let headers = values(headers, "cookie");
    let cookies = headers.iter().flat_map(|header| header.split(';').map(str::trim));
    cookies.filter(|cookie| !cookie.is_empty()).map(String::from).collect()
}

/// Decodes the names and values of a query. The values of a repeated name are joined by commas.
pub(crate) fn query_parameters(query: &str) -> Value {
    let mut parameters: Map<String, Value> = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|text| decode(&text.replace('+', " ")));
        match parameters.get_mut(&name) {
            Some(Value::String(values)) => *values += &format!(",{value}"),
            _ => drop(parameters.insert(name, value.into())),
        }
    }
    parameters.into()
}

/// Makes an X-Ray trace id: `Root=1-5759e988-bd862e3fe1be46a994272793`.
fn trace_id(seconds: u64) -> String {
    format!("Root=1-{seconds:08x}-{:024x}", fastrand::u128(..) >> 32)
}

/// Writes a time as `22/Nov/2026:14:40:17 +0000`. The parts come from HTTP's `Sun, 22 Nov 2026 14:40:17 GMT`.
fn log_time(time: SystemTime) -> String {
    let date = httpdate::fmt_http_date(time);
    format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
}

/// Makes a response from a function's answer.
///
/// An answer without `statusCode` is itself the body of a 200, as in payload format 2.0.
///
/// # Errors
///
/// The part of the answer that API Gateway would not accept.
pub fn response(answer: &Value) -> Result<Reply, String> {
    let Some(status) = answer.get("statusCode") else {
        return Ok(crate::http::json(StatusCode::OK, answer));
    };
    let status = status
        .as_u64()
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .filter(|code| code.as_u16() >= 200)
        .ok_or_else(|| format!("statusCode {status} is not a status"))?;
    let body = match &answer["body"] {
        Value::Null => Vec::new(),
        Value::String(text) if answer["isBase64Encoded"] == true => {
            BASE64_STANDARD.decode(text).map_err(|error| format!("the body is not base64: {error}"))?
        }
        Value::String(text) => text.clone().into_bytes(),
        _ => return Err("the body is not text".into()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in object(&answer["headers"])? {
        let (name, value) = header(name, value)?;
        headers.insert(name, value);
    }
    for (name, values) in object(&answer["multiValueHeaders"])? {
        for (i, value) in values.as_array().into_iter().flatten().enumerate() {
            let (name, value) = header(name, value)?;
            if i == 0 {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
    }
    for cookie in answer["cookies"].as_array().into_iter().flatten() {
        headers.append(SET_COOKIE, header(SET_COOKIE.as_str(), cookie)?.1);
    }
    // This server itself decides how to frame the body.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(response)
}

fn object(value: &Value) -> Result<impl Iterator<Item = (&String, &Value)>, String> {
    match value {
        Value::Null | Value::Object(_) => Ok(value.as_object().into_iter().flatten()),
        _ => Err("the headers are not an object".into()),
    }
}

fn header(name: &str, value: &Value) -> Result<(HeaderName, HeaderValue), String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(format!("the header `{name}` is not text")),
    };
    let parsed = name.parse().ok().zip(HeaderValue::from_str(&text).ok());
    parsed.ok_or_else(|| format!("`{name}` is not a header"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::{Request, body::Bytes};

    use super::*;
    use crate::routes::Router;

    fn event_of(request: Request<&[u8]>) -> Value {
        let router = Router::of("main", &["POST /v1/{id}"]);
        let (parts, body) = request.into_parts();
        let route = router.find("POST", parts.uri.path()).unwrap();
        let client = ("127.0.0.1:50000".parse().unwrap(), 3000);
        event(&route, &parts, body, "id", client, UNIX_EPOCH + Duration::from_millis(1_795_358_417_123))
    }

    #[test]
    fn the_event_is_that_of_api_gateway() {
        let request = Request::post("/v1/4%202?a=1&b=x%2Cy&a=2&c=p+q&d")
            .header("Host", "127.0.0.1:3000")
            .header("User-Agent", "curl/8")
            .header("Cookie", "a=1; b=2")
            .header("Cookie", "c=3")
            .header("X-Tag", "one")
            .header("X-Tag", "two")
            .header("Connection", "close")
            .header("X-Amzn-Trace-Id", "Root=1-0-0")
            .body("{\"name\":\"Zoë\"}".as_bytes())
            .unwrap();
        let expected = json!({
            "version": "2.0",
            "routeKey": "POST /v1/{id}",
            "rawPath": "/main/v1/4 2",
            "rawQueryString": "a=1&b=x%2Cy&a=2&c=p+q&d",
            "cookies": ["a=1", "b=2", "c=3"],
            "headers": {
                "content-length": "15",
                "host": "127.0.0.1:3000",
                "user-agent": "curl/8",
                "x-amzn-trace-id": "Root=1-0-0",
                "x-forwarded-for": "127.0.0.1",
                "x-forwarded-port": "3000",
                "x-forwarded-proto": "http",
                "x-tag": "one,two",
            },
            "queryStringParameters": { "a": "1,2", "b": "x,y", "c": "p q", "d": "" },
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "127.0.0.1:3000",
                "domainPrefix": "127",
                "http": {
                    "method": "POST",
                    "path": "/main/v1/4 2",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1",
                    "userAgent": "curl/8",
                },
                "requestId": "id",
                "routeKey": "POST /v1/{id}",
                "stage": "main",
                "time": "22/Nov/2026:14:40:17 +0000",
                "timeEpoch": 1_795_358_417_123_u64,
            },
            "pathParameters": { "id": "4 2" },
            "body": "{\"name\":\"Zoë\"}",
            "isBase64Encoded": false,
        });
        assert_eq!(event_of(request), expected);
    }

    #[test]
    fn a_body_that_is_not_text_is_base64() {
        let event = event_of(Request::post("/main/v1/1").body(b"\xff\x00".as_slice()).unwrap());
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
        let event = event_of(Request::post("/main/v1/1").body(b"".as_slice()).unwrap());
        for absent in ["body", "cookies", "queryStringParameters"] {
            assert_eq!(event.get(absent), None);
        }
        let trace = event["headers"]["x-amzn-trace-id"].as_str().unwrap();
        assert_eq!((trace.len(), &trace[..16]), (40, "Root=1-6b02fed1-"), "{trace}");
    }

    #[test]
    fn answers_become_responses() {
        let reply = response(&json!({
            "statusCode": 201,
            "headers": { "Content-Type": "application/json", "x-n": 1, "content-length": "9999" },
            "multiValueHeaders": { "x-m": ["a", "b"] },
            "cookies": ["a=1", "b=2; Path=/"],
            "body": "aGk=",
            "isBase64Encoded": true,
        }))
        .unwrap();
        assert_eq!(reply.status(), 201);
        let all = |name| values(reply.headers(), name).join("|");
        assert_eq!(all("content-type"), "application/json");
        assert_eq!((all("x-n"), all("x-m"), all("set-cookie")), ("1".into(), "a|b".into(), "a=1|b=2; Path=/".into()));
        assert_eq!(all("content-length"), "");
        assert_eq!(format!("{:?}", reply.body()), format!("{:?}", Full::<Bytes>::from("hi")));
    }

    #[test]
    fn an_answer_without_status_is_the_body() {
        let reply = response(&json!({ "id": 1 })).unwrap();
        assert_eq!(
            (reply.status(), &reply.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &"application/json".parse().unwrap())
        );
    }

    #[test]
    fn answers_that_api_gateway_refuses() {
        for answer in [
            json!({ "statusCode": "many" }),
            json!({ "statusCode": 42 }),
            json!({ "statusCode": 200, "body": {} }),
            json!({ "statusCode": 200, "body": "?", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "a b": "" } }),
            json!({ "statusCode": 200, "headers": { "a": null } }),
            json!({ "statusCode": 200, "headers": "a: b" }),
        ] {
            assert!(response(&answer).is_err(), "{answer}");
        }
    }
}
