//! A function like those of the bundle, but for its defect: `?panic` in its path's id.

use serde_json::json;
use shared::{Answer, Dialect};

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Users, |_, call| {
        Box::pin(async move {
            let id = call.path("id");
            assert!(id != "panic", "made for {id}");
            Ok(Answer::json(200, &json!({ "pid": std::process::id() })))
        })
    })
}
