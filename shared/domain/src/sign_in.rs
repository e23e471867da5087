//! How somebody signed in.

use serde::{Deserialize, Serialize};

/// How a person proved who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// The `iss` of the token that they showed.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// When the person proved it to the issuer, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How strongly, in the issuer's words (OpenID Connect Core, section 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// By what means (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
}
