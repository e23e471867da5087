//! The smallest Rust Lambda on DynamoDB, written as in the SDK's documentation: the default configuration, one conditional update,
//! no check of the caller.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue::{L, N, S};
use lambda_http::http::StatusCode;
use lambda_http::{Error, Request, RequestExt, Response, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = &Client::new(&config);
    let table = &std::env::var("TABLE")?;
    run(service_fn(async |request| update_role(client, table, request).await)).await
}

async fn update_role(client: &Client, table: &str, request: Request) -> Result<Response<String>, Error> {
    let path = request.path_parameters();
    let [tenant, user] = ["tenantId", "userId"].map(|name| path.first(name).unwrap_or_default());
    let body: Value = serde_json::from_slice(request.body())?;
    let role = match body["roleId"].as_str() {
        Some("admin") => "2",
        Some("user") => "3",
        _ => return answer(StatusCode::BAD_REQUEST, &json!({ "message": "roleId: admin or user" })),
    };
    let updated = client
        .update_item()
        .table_name(table)
        .key("PK", S(format!("TENANT#{}", number(tenant)?)))
        .key("SK", S(format!("MEMBER#{:010}", number(user)?)))
        .update_expression("SET #roles = :roles ADD version :one")
        .condition_expression("attribute_exists(PK)")
        .expression_attribute_names("#roles", "roles")
        .expression_attribute_values(":roles", L(vec![N(role.into())]))
        .expression_attribute_values(":one", N("1".into()))
        .send()
        .await;
    match updated {
        Ok(_) => {
            let data = json!({ "tenantId": tenant, "userId": user, "role": { "name": body["roleId"] } });
            answer(StatusCode::OK, &json!({ "status": 200, "data": data }))
        }
        Err(error) if error.as_service_error().is_some_and(|it| it.is_conditional_check_failed_exception()) => {
            answer(StatusCode::NOT_FOUND, &json!({ "message": "no such member" }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The number at the end of one of the product's UUIDs.
fn number(uuid: &str) -> Result<u32, Error> {
    let digits = uuid.rsplit('-').next().unwrap_or_default();
    Ok(u32::from_str_radix(digits, 16)?)
}

fn answer(status: StatusCode, body: &Value) -> Result<Response<String>, Error> {
    Ok(Response::builder().status(status).header("content-type", "application/json").body(body.to_string())?)
}
