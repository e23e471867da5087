use shared::problem::Problem;
use shared::{Answer, Call};

const DOCUMENT: &str = include_str!("../../../openapi.json");
const GZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// `GET /openapi.json`: the OpenAPI document of all calls.
///
/// For generators, gateways and tools, and for the page at `/docs`. Anybody may read it.
fn document(call: &Call) -> Result<Answer, Problem> {
    let answer = match call.accepts("gzip") {
        true => Answer::new(200, "application/json", GZIP.into()).with_header("content-encoding", "gzip"),
        false => Answer::new(200, "application/json", DOCUMENT.into()),
    };
    Ok(answer.with_header("cache-control", "no-cache").with_header("vary", "accept-encoding"))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve_public(document)
}

#[test]
fn description() {
    use schemars::json_schema;
    let object = json_schema!({ "type": "object" });
    let document = json_schema!({
        "type": "object",
        "description": "An OpenAPI document (OpenAPI Specification 3.1).",
        "required": ["openapi", "info", "paths"],
        "properties": { "openapi": { "type": "string" }, "info": object, "paths": object },
        "additionalProperties": true,
    });
    openapi::Operation::public("docs", "This reference: a page for people, a document for machines.")
        .content("application/json", "The document", document, &["cache-control", "content-encoding", "vary"])
        .describe();
}
