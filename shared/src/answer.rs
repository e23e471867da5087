//! The answer of a handler.

use std::collections::BTreeMap;

use lambda_http::Body;
use lambda_http::http::header;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A status, headers and a body. The dialect made the body; the runtime adds the request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    /// The id of the new thing, if the body holds a secret. A secret is shown once, so no record keeps such a body.
    pub secret_of: Option<String>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into())
    }

    pub fn new(status: u16, content_type: &str, body: Body) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE.to_string(), content_type.to_owned())],
            body,
            secret_of: None,
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Empty, secret_of: None }
    }

    /// Marks an answer that holds a secret of the thing with this id.
    pub fn secret(mut self, id: impl Into<String>) -> Self {
        self.secret_of = Some(id.into());
        self
    }

    /// The version of the record that the answer shows.
    pub fn with_etag(self, version: u64) -> Self {
        self.with_header(header::ETAG.as_str(), format!("\"{version}\""))
    }

    /// Nobody may keep the answer: it is true now, and only now.
    pub fn uncached(self) -> Self {
        self.with_header(header::CACHE_CONTROL.as_str(), "no-store")
    }

    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// The form that API Gateway takes: payload format 2.0.
impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers: BTreeMap<_, _> = self.headers.iter().map(|(name, value)| (name, value)).collect();
        let mut answer = serializer.serialize_struct("Answer", 4)?;
        answer.serialize_field("statusCode", &self.status)?;
        answer.serialize_field("headers", &headers)?;
        answer.serialize_field("body", &self.body)?;
        answer.serialize_field("isBase64Encoded", &matches!(self.body, Body::Binary(_)))?;
        answer.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_what_api_gateway_takes() {
        let answer = Answer::json(201, &json!({ "it": 1 })).with_header("x-request-id", "1");
        assert_eq!(
            json!(answer),
            json!({
                "statusCode": 201,
                "headers": { "content-type": "application/json", "x-request-id": "1" },
                "body": "{\"it\":1}",
                "isBase64Encoded": false,
            })
        );
        let binary = json!(Answer::new(200, "text/javascript", Body::from(&b"\xff\x00"[..])));
        assert_eq!((&binary["body"], &binary["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
    }
}
