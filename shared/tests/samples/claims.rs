//! The claims of a good token.

use serde_json::{Value, json};
use shared::id::{TenantId, UserId};

/// When the token is shown, in seconds since the epoch.
pub const NOW: i64 = 1_800_000_000;

pub fn claims() -> Value {
    json!({
        "iss": "https://rolecall.example",
        "aud": "rolecall",
        "sub": UserId::new(42).uuid(),
        "tid": TenantId::new(1).uuid(),
        "slug": "acme",
        "sid": "session-1",
        "exp": NOW + 60,
        "iat": NOW - 60,
        "nbf": NOW - 60,
        "typ": "access",
    })
}
