//! The answer to a question about a token (RFC 7662, section 2.2).

use domain::id::TenantId;
use domain::{ApiKey, Session};
use serde::Serialize;

use crate::http::credential::{Credential, Expected, Kind};

/// What a token is good for. `active` is alone if the token is not good, whatever the reason.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Introspection {
    active: bool,
    /// `Bearer` for an access token and for an API key, `session` for a session token, `refresh_token` for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// The UUID of the member, or of the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The client that the identity provider made the first token for; or the UUID of the API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// The UUID of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<String>,
    /// The id of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
    /// Seconds since the epoch, like `iat`, `nbf` and `auth_time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    /// When the person proved to the identity provider who they are (RFC 9470, section 6.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    /// How strongly, in the identity provider's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<String>,
    /// By what means (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    /// Who acts as the member, if it is not the member (RFC 8693, section 4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor>,
}

/// Who acts as a member.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TokenActor"))]
struct Actor {
    /// Their UUID.
    sub: String,
}

impl Introspection {
    /// Of an access token or a session token that is good.
    pub fn of_token(token: &Credential, session: &Session) -> Self {
        let claims = &token.claims;
        Self {
            token_type: Some(if token.kind == Kind::Access { "Bearer" } else { "session" }),
            tid: Some(claims.tid.clone()),
            iss: Some(claims.iss.clone()),
            aud: Some(claims.aud.clone()),
            exp: Some(claims.exp),
            iat: Some(claims.iat),
            nbf: Some(claims.nbf),
            ..Self::of(session)
        }
    }

    /// Of a refresh token, by its hash. `None` if the session has another one.
    pub fn of_refresh(session: &Session, hash: &str, tenant: TenantId, expected: &Expected) -> Option<Self> {
        let refresh = session.refresh.as_ref().filter(|refresh| refresh.hash == hash)?;
        Some(Self {
            token_type: Some("refresh_token"),
            tid: Some(tenant.uuid().to_string()),
            iss: Some(expected.issuer.clone()),
            aud: Some(expected.audience.clone()),
            exp: Some(session.expires_at),
            iat: Some(refresh.since),
            ..Self::of(session)
        })
    }

    /// Of an API key that is good, or of an access token that it was given.
    pub fn of_key(key: &ApiKey, token: Option<&Credential>, expected: &Expected) -> Self {
        let id = key.id.uuid_in(key.tenant).to_string();
        Self {
            active: true,
            token_type: Some("Bearer"),
            sub: Some(id.clone()),
            client_id: Some(id),
            tid: Some(key.tenant.uuid().to_string()),
            iss: Some(expected.issuer.clone()),
            aud: Some(expected.audience.clone()),
            exp: Some(token.map_or(key.valid_until, |token| token.claims.exp)),
            iat: Some(token.map_or(key.rotated_at.unwrap_or(key.meta.created_at).seconds(), |token| token.claims.iat)),
            ..Self::default()
        }
    }

    fn of(session: &Session) -> Self {
        let how = &session.sign_in;
        Self {
            active: true,
            sub: Some(session.user.uuid().to_string()),
            client_id: Some(session.client.clone()),
            sid: Some(session.id.clone()),
            auth_time: how.auth_time,
            acr: how.acr.clone(),
            amr: how.amr.clone(),
            act: session.impersonator.as_ref().map(|by| Actor { sub: by.member.uuid().to_string() }),
            ..Self::default()
        }
    }
}
