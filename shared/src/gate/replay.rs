//! Answers on record: a repeated request under an `Idempotency-Key` gets the first answer again, and changes nothing.

use domain::{Problem, Time};
use serde::{Deserialize, Serialize};

use super::Idempotency;
use crate::answer::Answer;

/// How long an answer under an `Idempotency-Key` is kept: 24 hours.
pub const REMEMBER_SECONDS: i64 = 24 * 60 * 60;

/// The longest body of an answer that is kept, in bytes: an item has room for 400 KB. Of a longer one only the status and the headers are
/// kept.
const MAX_BODY: usize = 384 * 1024;

/// The first answer to a request that had an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// SHA-256 of the request, in hex: see [`Idempotency`].
    pub fingerprint: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Empty if the answer held a secret.
    pub body: String,
    /// The id of the thing whose secret the answer held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_of: Option<String>,
    /// Seconds since the epoch; the table's TTL attribute. TTL deletes late, so a reader compares it, too.
    pub expires_at: i64,
}

impl Recorded {
    pub(super) fn new(asked: &Idempotency, answer: &Answer, now: Time) -> Self {
        let body = match answer.secret_of {
            None if answer.body.len() <= MAX_BODY => String::from_utf8_lossy(&answer.body).into_owned(),
            _ => String::new(),
        };
        Self {
            fingerprint: asked.fingerprint.clone(),
            status: answer.status,
            headers: answer.headers.clone(),
            body,
            secret_of: answer.secret_of.clone(),
            expires_at: now.seconds() + asked.kept,
        }
    }

    /// Gives the first answer again.
    ///
    /// # Errors
    /// [`Problem::IdempotencyMismatch`], [`Problem::SecretAlreadyShown`].
    pub(super) fn replay(&self, asked: &Idempotency) -> Result<Answer, Problem> {
        if asked.fingerprint != self.fingerprint {
            return Err(Problem::IdempotencyMismatch);
        }
        if let Some(id) = &self.secret_of {
            return Err(Problem::SecretAlreadyShown(id.clone()));
        }
        let body = if self.body.is_empty() { lambda_http::Body::Empty } else { self.body.as_str().into() };
        let answer = Answer { status: self.status, headers: self.headers.clone(), body, secret_of: None };
        Ok(answer.with_header("idempotent-replayed", "true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fingerprint: &str) -> Idempotency {
        Idempotency { key: "k".to_owned(), fingerprint: fingerprint.to_owned(), kept: REMEMBER_SECONDS }
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_request_only() {
        let answer = Answer::json(201, &serde_json::json!({ "id": 7 })).with_etag(1);
        let recorded = Recorded::new(&asked("a"), &answer, Time::from_millis(5_000));
        assert_eq!(recorded.expires_at, 5 + 24 * 60 * 60);
        assert_eq!(recorded.replay(&asked("a")).unwrap(), answer.with_header("idempotent-replayed", "true"));
        assert!(matches!(recorded.replay(&asked("b")), Err(Problem::IdempotencyMismatch)));
        let empty = Recorded::new(&asked("a"), &Answer::empty(204), Time::from_millis(0));
        assert_eq!(empty.replay(&asked("a")).unwrap().body, lambda_http::Body::Empty);
        let refusal = Answer::json(404, &serde_json::json!({ "code": "not_found" }));
        let recorded = Recorded::new(&asked("a"), &refusal, Time::from_millis(0));
        assert_eq!(recorded.replay(&asked("a")).unwrap(), refusal.with_header("idempotent-replayed", "true"));
    }

    #[test]
    fn an_answer_without_room_is_kept_without_its_body() {
        let answer = |length| Answer::json(200, &serde_json::json!("x".repeat(length - 2))).with_etag(7);
        let again = |length| {
            let recorded = Recorded::new(&asked("a"), &answer(length), Time::from_millis(0));
            recorded.replay(&asked("a")).unwrap()
        };
        assert_eq!(again(MAX_BODY), answer(MAX_BODY).with_header("idempotent-replayed", "true"));
        let longer = answer(MAX_BODY + 1).with_header("idempotent-replayed", "true");
        assert_eq!(again(MAX_BODY + 1), Answer { body: lambda_http::Body::Empty, ..longer });
    }

    #[test]
    fn a_secret_is_shown_once_and_kept_nowhere() {
        let answer = Answer::json(201, &serde_json::json!({ "id": 7, "secret": "s3cr3t" })).secret("7");
        let recorded = Recorded::new(&asked("a"), &answer, Time::from_millis(0));
        assert!(!serde_json::to_string(&recorded).unwrap().contains("s3cr3t"));
        assert!(matches!(recorded.replay(&asked("a")), Err(Problem::SecretAlreadyShown(id)) if id == "7"));
        assert!(matches!(recorded.replay(&asked("b")), Err(Problem::IdempotencyMismatch)));
    }
}
