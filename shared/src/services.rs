//! Other services of AWS than the table: one call of each, or two.
//!
//! The code makes the calls itself: the SDK for one such service takes longer to compile than everything else.

mod bus;
mod queue;
mod secret;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::body::SdkBody;
use domain::Problem;
use http_body_util::{BodyExt, Limited};
use lambda_http::http::{Request, header};
use serde_json::Value;

use crate::table::client::{Connections, connections};

pub use bus::{Bus, Published};
pub use queue::{Message, Queue};
pub use secret::Secret;

/// How long one try waits for an answer, and how many tries there are.
const ATTEMPT: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// The longest answer, in bytes. A secret has 64 KiB at most.
const LONGEST: usize = 128 * 1024;

/// A service, with the rights of this function.
pub struct Service {
    connections: Connections,
    endpoint: String,
    region: String,
    name: &'static str,
    /// What it is called in a cause.
    what: &'static str,
    /// The version of its JSON protocol.
    version: &'static str,
    credentials: Credentials,
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}

impl Service {
    /// The service at the endpoint that a variable names.
    ///
    /// # Errors
    /// A setting is missing.
    fn from_env(name: &'static str, endpoint: &str, what: &'static str) -> Result<Self, String> {
        let token = std::env::var("AWS_SESSION_TOKEN").ok();
        let (id, key) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
        Ok(Self {
            connections: connections()?,
            endpoint: variable(endpoint)?,
            region: variable("AWS_REGION")?,
            name,
            what,
            version: if name == "sqs" { "1.0" } else { "1.1" },
            credentials: Credentials::new(id, key, token, None, "environment"),
        })
    }

    async fn call(&self, target: &str, body: &Value) -> Result<Value, Refused> {
        let mut tries = 1;
        loop {
            let answer = tokio::time::timeout(ATTEMPT, self.attempt(target, &body.to_string())).await;
            match answer.unwrap_or_else(|_| Err(Refused::Connection("no answer in time".to_owned()))) {
                Err(Refused::Connection(_)) if tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    /// One try, in the protocol of all these services: JSON, signed.
    async fn attempt(&self, target: &str, body: &str) -> Result<Value, Refused> {
        let defect = |why: String| Refused::Service("request".to_owned(), why);
        let mut request = Request::post(&self.endpoint)
            .header(header::CONTENT_TYPE, format!("application/x-amz-json-{}", self.version))
            .header("x-amz-target", target)
            .body(SdkBody::from(body))
            .map_err(|why| defect(why.to_string()))?;
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|why| defect(why.to_string()))?
            .into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new("POST", &self.endpoint, headers, SignableBody::Bytes(body.as_bytes()));
        let signable = signable.map_err(|why| defect(why.to_string()))?;
        let (instructions, _) = sign(signable, &parameters).map_err(|why| defect(why.to_string()))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let answer = self.connections.request(request).await;
        let answer = answer.map_err(|_| Refused::Connection("no connection".to_owned()))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await;
        let body = body.map_err(|_| Refused::Connection("an unreadable answer".to_owned()))?.to_bytes();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            return Ok(answer);
        }
        // The answer to a refusal has no part of what was sent.
        let kind = answer["__type"].as_str().unwrap_or("no code").rsplit('#').next().unwrap_or_default().to_owned();
        let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or("no message").to_owned();
        match status {
            500.. => Err(Refused::Connection(format!("{kind}: {message}"))),
            _ => Err(Refused::Service(kind, message)),
        }
    }
}

impl Service {
    /// Why a call failed, for the log.
    fn problem(&self, refused: Refused) -> Problem {
        let what = self.what;
        match refused {
            Refused::Connection(why) => Problem::Unavailable(format!("{what}: {why}")),
            Refused::Service(kind, _) if kind.contains("Throttl") => Problem::TooManyRequests(1),
            Refused::Service(kind, why) => Problem::Internal(format!("{what}: {kind}: {why}")),
        }
    }
}

/// Why a call failed.
enum Refused {
    /// Another try may succeed.
    Connection(String),
    /// The code and the message of the service.
    Service(String, String),
}
