//! `tenant`: `{"status","message","data","errors"}` and `{"error","message","code"}` (seed 000).

use lambda_http::http::StatusCode;
use serde_json::{Value, json};

use crate::problem::Problem;

/// `{"error": reason phrase, "message", "code": status}`, with `errors` where there are several causes.
pub fn problem(problem: &Problem) -> (u16, Value) {
    let status = problem.status();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let message = match problem {
        Problem::NotFound(_) => "The requested resource was not found".to_owned(),
        problem => problem.to_string(),
    };
    let mut body = json!({ "error": reason, "message": message, "code": status });
    if let Problem::Invalid(faults) = problem
        && faults.len() > 1
    {
        body["errors"] = faults.iter().map(|fault| Value::from(fault.to_string())).collect();
    }
    (status, body)
}
