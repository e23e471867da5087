//! The part of Secrets Manager: the two operations that functions use, over a table of its own beside the template's. The engine
//! keeps that table where it keeps everything else: in memory, or in a file that only its owner may use. No statement of a
//! function reaches it.

use serde_json::{Value, json};

use crate::{
    Result,
    dynamodb::{Client, Engine},
    template::{ACCOUNT, REGION},
};

/// The beginning of the names of the service's operations.
pub(crate) const SERVICE: &str = "secretsmanager.";

const TABLE: &str = "rolecall-secrets";

/// Returns the ARN of the secret that a resource of the template stands for.
pub fn arn(resource: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{resource}")
}

/// Makes the table, if it does not exist.
pub(crate) async fn ensure_table(engine: &Engine) -> Result<()> {
    let table = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{ "AttributeName": "arn", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "arn", "KeyType": "HASH" }],
        "BillingMode": "PAY_PER_REQUEST",
    });
    match Client::of(engine).call("CreateTable", &table).await {
        Err(error) if error.kind != "ResourceInUseException" => Err(error.into()),
        _ => Ok(()),
    }
}

/// The IAM action and the resource that a request needs.
pub(crate) fn need(operation: &str, body: &Value) -> (String, String) {
    (format!("secretsmanager:{operation}"), body["SecretId"].as_str().unwrap_or("*").to_owned())
}

/// Carries out a request. Returns the answer, or an error in the service's form.
pub(crate) async fn answer(engine: &Engine, operation: &str, body: &Value) -> std::result::Result<Value, Value> {
    let refuse = |kind: &str, message: &str| Err(json!({ "__type": kind, "Message": message }));
    let Some(arn) = body["SecretId"].as_str() else {
        return refuse("ValidationException", "SecretId is required");
    };
    let client = Client::of(engine);
    let failed =
        |error: crate::dynamodb::CallError| json!({ "__type": "InternalServiceError", "Message": error.to_string() });
    match (operation, body["SecretString"].as_str()) {
        ("GetSecretValue", _) => {
            let input = json!({ "TableName": TABLE, "Key": { "arn": { "S": arn } }, "ConsistentRead": true });
            let item = client.call("GetItem", &input).await.map_err(failed)?;
            match item["Item"]["text"]["S"].as_str() {
                Some(text) => {
                    Ok(json!({ "ARN": arn, "Name": arn, "SecretString": text, "VersionStages": ["AWSCURRENT"] }))
                }
                None => refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value"),
            }
        }
        ("PutSecretValue", Some(text)) => {
            let input = json!({ "TableName": TABLE, "Item": { "arn": { "S": arn }, "text": { "S": text } } });
            client.call("PutItem", &input).await.map_err(failed)?;
            Ok(json!({ "ARN": arn, "Name": arn, "VersionStages": ["AWSCURRENT"] }))
        }
        _ => refuse("UnknownOperationException", "not an operation that the functions use"),
    }
}
