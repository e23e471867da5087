//! The secret that holds the signing keys, in Secrets Manager or in the Parameter Store.

use domain::Problem;
use serde_json::json;
use uuid::Uuid;

use super::{Refused, Service, variable};

/// A secret, with the right of this function to it.
pub struct Secret {
    service: Service,
    /// The ARN of a secret, or of a parameter.
    arn: String,
    /// The name of the parameter, if it is one: the service takes no ARN of what it writes.
    parameter: Option<String>,
}

impl Secret {
    /// The secret that `SIGNING_SECRET` names, at the endpoint that `AWS_ENDPOINT_URL_SIGNING_SECRET` names.
    ///
    /// # Errors
    /// A setting is missing.
    pub fn from_env() -> Result<Self, String> {
        let arn = variable("SIGNING_SECRET")?;
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        let is_parameter = parts.get(2) == Some(&"ssm");
        let name = parts.get(5).and_then(|resource| resource.strip_prefix("parameter")).filter(|_| is_parameter);
        let service = if is_parameter { "ssm" } else { "secretsmanager" };
        Ok(Self {
            parameter: name.map(str::to_owned),
            service: Service::from_env(service, "AWS_ENDPOINT_URL_SIGNING_SECRET", "the signing secret")?,
            arn,
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
        match self.service.call(target, &body).await {
            Ok(answer) => {
                let text = answer["SecretString"].as_str().or(answer["Parameter"]["Value"].as_str());
                Ok(text.map(str::to_owned))
            }
            Err(Refused::Service(kind, _)) if ["ResourceNotFoundException", "ParameterNotFound"].contains(&&*kind) => {
                Ok(None)
            }
            Err(why) => Err(self.service.problem(why)),
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
        self.service.call(target, &body).await.map(drop).map_err(|why| self.service.problem(why))
    }
}
