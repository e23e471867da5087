//! A function like those of the bundle, with a defect: it panics if the id in its path is `panic`.

use serde_json::json;
use shared::Answer;

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&shared::dialect::USERS, |_, call| {
        Box::pin(async move {
            let id = call.path("id");
            assert!(id != "panic", "made for {id}");
            Ok(Answer::json(200, &json!({ "pid": std::process::id() })))
        })
    })
}
