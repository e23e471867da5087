//! The event of a success once more, by an API key in place of the person.

use local::Server;
use local::store::Store;
use local::template::Function;
use serde_json::Value;
use shared::api_key;
use shared::domain::api_key::Secret;
use shared::domain::{ApiKey, role};
use shared::id::{KeyId, TenantId, UserId};
use shared::table::key::TenantKeys;
use shared::table::{decode, encode};

/// Has a function answer to the API key of the demo's owner. Only what belongs to a person may be refused, and what the first call has
/// ended.
///
/// # Errors
/// It takes no key, or fails.
pub async fn answered(server: &Server, store: &Store, function: &Function, event: &Value) -> Result<(), String> {
    let (tenant, id, maker) = (TenantId::new(1), KeyId::new(1), Some(UserId::new(1)));
    let text = api_key::text("local", (tenant, "acme"), (id, maker), &"x".repeat(43));
    let place = TenantKeys(tenant).api_key(id);
    let Some(item) = store.get(&place).await.map_err(|why| why.to_string())? else { return Ok(()) };
    let demo: ApiKey = decode(item).map_err(|why| why.to_string())?;
    let secret = Secret { hash: shared::signing::hash(&text), until: demo.valid_until };
    let (roles, secrets) = ([role::OWNER].into(), vec![secret]);
    let key = ApiKey { roles, secrets, maker, ended: false, ..demo };
    store.put(encode(&place, None, &key).map_err(|why| why.to_string())?).await.map_err(|why| why.to_string())?;
    let mut event = event.clone();
    event["cookies"] = Value::Null;
    event["headers"]["authorization"] = format!("Bearer {text}").into();
    let answer = server.invoke(&function.name, &event).await.map_err(|why| why.to_string())?;
    match answer["statusCode"].as_u64() {
        Some(200..=299 | 403 | 404 | 409 | 412 | 422) => Ok(()),
        _ => Err(format!("by an API key: {answer}")),
    }
}
