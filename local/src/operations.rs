//! DynamoDB's operations: requests as they come over HTTP, carried out in the embedded engine.

use std::result::Result;

use dynoxide::{
    Database, DynoxideError,
    auth_material::{self, AuthMaterial},
};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, HeaderValue},
};
use serde_json::json;

/// The services of which the engine has operations.
const SERVICES: [&str; 2] = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."];
const MEDIA_TYPE: &str = "application/x-amz-json-1.0";

/// Carries out a request, and blocks until the engine has answered.
pub(crate) fn answer(database: &Database, request: &Request<Bytes>) -> Response<Bytes> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE).and_then(|it| it.split(';').next()).unwrap_or_default().trim();
    let is_json = [MEDIA_TYPE, "application/json"].iter().any(|known| known.eq_ignore_ascii_case(media_type));
    if request.method() != Method::POST || request.uri().path() != "/" || !is_json {
        return amazon(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n");
    }
    let target = header(HeaderName::from_static("x-amz-target")).unwrap_or_default();
    let run = SERVICES.iter().find_map(|service| operation(target.strip_prefix(service)?));
    let Some(run) = run else {
        let unknown = json!({ "__type": "com.amazon.coral.service#UnknownOperationException" });
        return amazon(StatusCode::BAD_REQUEST, unknown.to_string());
    };
    let material = AuthMaterial {
        authorization: header(AUTHORIZATION),
        query: request.uri().query().unwrap_or_default(),
        has_date_header: header(HeaderName::from_static("x-amz-date")).or(header(DATE)).is_some(),
    };
    if let Some(refusal) = auth_material::validate(material) {
        return amazon(StatusCode::BAD_REQUEST, refusal);
    }
    match run(database, request.body()) {
        Ok(output) => amazon(StatusCode::OK, output),
        Err(error) => {
            let status = StatusCode::from_u16(error.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            amazon(status, error.to_json())
        }
    }
}

/// Makes an answer in DynamoDB's form.
pub(crate) fn amazon(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    let id = format!("{:032X}", fastrand::u128(..));
    headers.extend(HeaderValue::from_str(&id).map(|id| (HeaderName::from_static("x-amzn-requestid"), id)));
    reply
}

/// A function that carries out one operation: it takes JSON and returns JSON.
type Run = fn(&Database, &[u8]) -> Result<Vec<u8>, DynoxideError>;

fn operation(name: &str) -> Option<Run> {
    macro_rules! operations {
        ($($name:literal $method:ident,)*) => {
            match name {
                $($name => |database, input| {
                    let output = database.$method(serde_json::from_slice(input).map_err(unreadable)?)?;
                    serde_json::to_vec(&output).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
                },)*
                _ => return None,
            }
        };
    }
    let run: Run = operations! {
        "BatchExecuteStatement" batch_execute_statement,
        "BatchGetItem" batch_get_item,
        "BatchWriteItem" batch_write_item,
        "CreateTable" create_table,
        "DeleteItem" delete_item,
        "DeleteTable" delete_table,
        "DescribeStream" describe_stream,
        "DescribeTable" describe_table,
        "DescribeTimeToLive" describe_time_to_live,
        "ExecuteStatement" execute_statement,
        "ExecuteTransaction" execute_transaction,
        "GetItem" get_item,
        "GetRecords" get_records,
        "GetShardIterator" get_shard_iterator,
        "ListStreams" list_streams,
        "ListTables" list_tables,
        "ListTagsOfResource" list_tags_of_resource,
        "PutItem" put_item,
        "Query" query,
        "Scan" scan,
        "SearchVectors" search_vectors,
        "TagResource" tag_resource,
        "TransactGetItems" transact_get_items,
        "TransactWriteItems" transact_write_items,
        "UntagResource" untag_resource,
        "UpdateItem" update_item,
        "UpdateTable" update_table,
        "UpdateTimeToLive" update_time_to_live,
    };
    Some(run)
}

/// Parts of serde's messages for which DynamoDB says `ValidationException`: no member has another JSON type.
const INVALID: [&str; 4] = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];

/// Makes DynamoDB's error for an input that does not fit the operation's type. The engine marks the messages of its own types.
fn unreadable(error: serde_json::Error) -> DynoxideError {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _place)| message);
    match message.split_once(':') {
        Some(("VALIDATION" | "VALIDATION_REQUEST" | "VALIDATION_AS_READ", why)) => {
            DynoxideError::ValidationException(why.into())
        }
        Some(("SERIALIZATION" | "SERIALIZATION_AS_READ", why)) => DynoxideError::SerializationException(why.into()),
        _ if INVALID.iter().any(|words| message.contains(words)) => DynoxideError::ValidationException(message.into()),
        _ => DynoxideError::SerializationException(message.into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_input_that_is_none_has_dynamodb_s_class_of_error() {
        let database = Database::memory().unwrap();
        let put = |value: &str| format!(r#"{{"TableName": "none", "Item": {{"PK": {value}}}}}"#);
        for (input, kind) in [
            ("", "SerializationException"),
            ("{", "SerializationException"),
            (r#"{"TableName": 1, "Item": {}}"#, "SerializationException"),
            ("{}", "ValidationException"),
            (&put(r#"{"S": 1}"#), "SerializationException"),
            (&put(r#"{"NULL": false}"#), "ValidationException"),
            (&put("{}"), "ValidationException"),
            (&put(r#"{"S": "a"}"#), "ResourceNotFoundException"),
        ] {
            let request = Request::post("/")
                .header(CONTENT_TYPE, MEDIA_TYPE)
                .header("x-amz-target", "DynamoDB_20120810.PutItem")
                .header("x-amz-date", "20260101T000000Z")
                .header(AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0");
            let answer = answer(&database, &request.body(Bytes::from(input.to_owned())).unwrap());
            let body: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{input}: {body}");
            assert_eq!(body["__type"].as_str().unwrap().rsplit('#').next().unwrap(), kind, "{input}: {body}");
            assert!(!body.to_string().contains("VALIDATION") && !body.to_string().contains("SERIALIZATION"), "{body}");
        }
    }

    #[test]
    fn only_a_signed_post_of_json_is_a_request() {
        let database = Database::memory().unwrap();
        let signature = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0";
        let all = [
            ("content-type", MEDIA_TYPE),
            ("x-amz-target", "DynamoDB_20120810.ListTables"),
            ("x-amz-date", "20260101T000000Z"),
            ("authorization", signature),
        ];
        let ask = |method: Method, path: &str, left_out: &str| {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in all.iter().filter(|(name, _)| *name != left_out) {
                request = request.header(*name, *value);
            }
            let answer = answer(&database, &request.body(Bytes::from_static(b"{}")).unwrap());
            (answer.status().as_u16(), String::from_utf8(answer.into_body().to_vec()).unwrap())
        };
        assert_eq!(ask(Method::POST, "/", ""), (200, r#"{"TableNames":[]}"#.to_owned()));
        for (method, path, left_out) in [
            (Method::GET, "/", ""),
            (Method::OPTIONS, "/", ""),
            (Method::POST, "/a", ""),
            (Method::POST, "/", "content-type"),
        ] {
            assert_eq!(ask(method.clone(), path, left_out).0, 404, "{method} {path} {left_out}");
        }
        for (left_out, kind) in [
            ("x-amz-target", "UnknownOperationException"),
            ("authorization", "MissingAuthenticationTokenException"),
            ("x-amz-date", "IncompleteSignatureException"),
        ] {
            let (status, body) = ask(Method::POST, "/", left_out);
            assert!(status == 400 && body.contains(kind), "{status} {body}");
        }
    }
}
