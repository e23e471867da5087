//! The secret that holds the signing keys, in Secrets Manager or in the Parameter Store.
//!
//! These are two calls of two services, so the code makes them itself: the SDK for Systems Manager alone takes longer to compile than
//! everything else.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_types::body::SdkBody;
use domain::Problem;
use http_body_util::{BodyExt, Limited};
use lambda_http::http::{Request, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::table::client::{Connections, connections};

/// How long one try waits for an answer, and how many tries there are.
const ATTEMPT: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// The longest answer, in bytes. A secret has 64 KiB at most.
const LONGEST: usize = 128 * 1024;

/// A secret, with the right of this function to it.
pub struct Secret {
    connections: Connections,
    endpoint: String,
    region: String,
    /// The ARN of a secret, or of a parameter.
    arn: String,
    /// The name of the parameter, if it is one: the service takes no ARN of what it writes.
    parameter: Option<String>,
    credentials: Credentials,
}

impl Secret {
    /// The secret that `SIGNING_SECRET` names, at the endpoint that `AWS_ENDPOINT_URL_SIGNING_SECRET` names.
    ///
    /// # Errors
    /// A setting is missing.
    pub fn from_env() -> Result<Self, String> {
        let variable =
            |name: &str| std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"));
        let token = std::env::var("AWS_SESSION_TOKEN").ok();
        let arn = variable("SIGNING_SECRET")?;
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_parameter = parts.get(2) == Some(&"ssm");
        let name = parts.get(5).and_then(|resource| resource.strip_prefix("parameter")).filter(|_| is_parameter);
        Ok(Self {
            parameter: name.map(str::to_owned),
            connections: connections()?,
            endpoint: variable("AWS_ENDPOINT_URL_SIGNING_SECRET")?,
            region: variable("AWS_REGION")?,
            arn,
            credentials: Credentials::new(
                variable("AWS_ACCESS_KEY_ID")?,
                variable("AWS_SECRET_ACCESS_KEY")?,
                token,
                None,
                "environment",
            ),
        })
    }

    /// The text of the secret; `None` before the first one is written.
    ///
    /// # Errors
    /// [`Problem::Unavailable`], [`Problem::Internal`].
    pub async fn read(&self) -> Result<Option<String>, Problem> {
        let (target, body) = match &self.parameter {
            Some(name) => ("AmazonSSM.GetParameter", json!({ "Name": name, "WithDecryption": true })),
            None => ("secretsmanager.GetSecretValue", json!({ "SecretId": self.arn })),
        };
        match self.call(target, &body).await {
            Ok(answer) => {
                let text = answer["SecretString"].as_str().or(answer["Parameter"]["Value"].as_str());
                Ok(text.map(str::to_owned))
            }
            Err(Refused::Service(kind, _)) if ["ResourceNotFoundException", "ParameterNotFound"].contains(&&*kind) => {
                Ok(None)
            }
            Err(why) => Err(why.into()),
        }
    }

    /// Replaces the text of the secret.
    ///
    /// # Errors
    /// As [`Secret::read`]; then the text may be written or not.
    pub async fn write(&self, text: &str) -> Result<(), Problem> {
        let (target, body) = match &self.parameter {
            Some(name) => (
                "AmazonSSM.PutParameter",
                json!({ "Name": name, "Value": text, "Type": "SecureString", "Overwrite": true }),
            ),
            // The token lets the service know a repeated call.
            None => (
                "secretsmanager.PutSecretValue",
                json!({ "SecretId": self.arn, "SecretString": text, "ClientRequestToken": Uuid::new_v4().to_string() }),
            ),
        };
        self.call(target, &body).await.map(drop).map_err(Problem::from)
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

    /// One try, in the protocol of both services: JSON 1.1, signed.
    async fn attempt(&self, target: &str, body: &str) -> Result<Value, Refused> {
        let defect = |why: String| Refused::Service("request".to_owned(), why);
        let service = if self.parameter.is_some() { "ssm" } else { "secretsmanager" };
        let mut request = Request::post(&self.endpoint)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(SdkBody::from(body))
            .map_err(|why| defect(why.to_string()))?;
        let identity = self.credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
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
        // The answer to a refusal has no part of the secret.
        let kind = answer["__type"].as_str().unwrap_or("no code").rsplit('#').next().unwrap_or_default().to_owned();
        let message = answer["message"].as_str().or(answer["Message"].as_str()).unwrap_or("no message").to_owned();
        match status {
            500.. => Err(Refused::Connection(format!("{kind}: {message}"))),
            _ => Err(Refused::Service(kind, message)),
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Connection(why) => Problem::Unavailable(format!("the signing secret: {why}")),
            Refused::Service(kind, _) if kind == "ThrottlingException" => Problem::TooManyRequests(1),
            Refused::Service(kind, why) => Problem::Internal(format!("the signing secret: {kind}: {why}")),
        }
    }
}
