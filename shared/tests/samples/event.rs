//! An event of API Gateway.

use serde_json::{Value, json};

/// An event for a write.
pub fn event() -> Value {
    json!({
        "version": "2.0",
        "routeKey": "PUT /v1/users/{id}",
        "rawPath": "/main/v1/users/7",
        "rawQueryString": "a=1",
        "headers": {
            "content-type": "application/json",
            "host": "rolecall.execute-api.eu-north-1.amazonaws.com",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            "x-tenant-id": "8",
        },
        "requestContext": {
            "domainName": "rolecall.execute-api.eu-north-1.amazonaws.com",
            "http": { "method": "PUT", "path": "/main/v1/users/7", "sourceIp": "192.0.2.1" },
            "requestId": "request-1",
            "stage": "main",
        },
        "pathParameters": { "id": "7" },
        "body": "{\"it\":1}",
        "isBase64Encoded": false,
    })
}
