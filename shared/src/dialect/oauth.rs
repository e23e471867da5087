//! `oauth`: tokens, as OAuth 2.0 has them (RFC 6749, token exchange by RFC 8693).

mod approval;
mod impersonation;
mod introspection;
mod join_wish;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::id::{TenantId, parse_uuid};
use domain::problem::{Fault, Grant, Problem, Wrong};
use lambda_http::http::header;
use serde::Serialize;
use serde_json::{Value, json};

use crate::gate::sessions::Target;
use crate::http::assertion::{MAX_TOKEN, Shown};
use crate::http::call::Call;
use crate::http::json::{Faulty, Object, Verbatim, Wire};
use crate::http::{Dialect, Paging};

pub use approval::{Approval, ShownApproval};
pub use impersonation::Impersonation;
pub use introspection::Introspection;
pub use join_wish::{JoinWish, ShownWish};

pub static OAUTH: Dialect = Dialect {
    name: "oauth",
    pictures: false,
    names: false,
    paging: Paging::IN_SNAKE_CASE,
    echoes_request_id: false,
    problem,
};

/// The most bytes of a body: a token of an identity provider, percent-encoded, and the other fields.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest text of another field than a token, in characters.
const MAX_TEXT: usize = 500;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What `subject_token_type` can be, for its fault.
const TOKEN_TYPES: &str = "the token types `id_token`, `access_token` and `jwt`, as URNs";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// RFC 6749, section 5.2. What is wrong with a request is 400.
fn problem(problem: &Problem) -> (u16, Value) {
    let (status, error) = match problem {
        Problem::Grant(grant, _) => (problem.status(), grant.code()),
        Problem::Unauthenticated(_) => (401, "invalid_token"),
        Problem::Forbidden(_) | Problem::TenantMismatch => (403, "access_denied"),
        Problem::TooManyRequests(_) | Problem::Unavailable(_) => (problem.status(), "temporarily_unavailable"),
        Problem::Internal(_) => (500, "server_error"),
        Problem::NotFound(_)
        | Problem::PayloadTooLarge(_)
        | Problem::LimitReached(..)
        | Problem::SecretAlreadyShown(_)
        | Problem::IdempotencyMismatch
        | Problem::NothingToMatch(_) => (problem.status(), "invalid_request"),
        _ => (400, "invalid_request"),
    };
    let error_description = problem.to_string();
    (status, json!(Failure { error, error_description }))
}

/// Why no token was given.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "OauthFailure"))]
pub struct Failure {
    /// `invalid_request`, `invalid_target`, `invalid_grant`, `invalid_client`, `unsupported_grant_type`, `access_denied`,
    /// `temporarily_unavailable` or `server_error`.
    error: &'static str,
    error_description: String,
}

/// The members of a request, for the API reference; [`TokenRequest`] reads them.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, serde::Deserialize)]
#[schemars(rename = "TokenRequest")]
#[allow(dead_code, reason = "only its schema is used")]
pub struct TokenForm {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`, `refresh_token` or `client_credentials`.
    grant_type: String,
    /// For an exchange: the token of an identity provider, or a session token of ours.
    subject_token: Option<String>,
    /// What that is: `urn:ietf:params:oauth:token-type:id_token`, `…:access_token` or `…:jwt`.
    subject_token_type: Option<String>,
    /// The tenant to sign in to: its slug or its UUID. Not needed if the person is known in one tenant only.
    audience: Option<String>,
    /// The same, if there is no `audience`.
    resource: Option<String>,
    /// The `nonce` that the identity provider was given.
    nonce: Option<String>,
    /// The secret of an invitation.
    invitation: Option<String>,
    /// `true` if the session token comes as a cookie. Only for pages of an allowed origin, and in JSON.
    cookie: Option<bool>,
    /// For `refresh_token`.
    refresh_token: Option<String>,
    /// For `client_credentials`: the UUID of an API key. Not needed, because the key says it. Both can be in the header
    /// `Authorization: Basic …` instead.
    client_id: Option<String>,
    /// The API key.
    client_secret: Option<String>,
}

/// The members of a request that accepts an invitation, for the API reference; [`Exchange::of_invitation`] reads them.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema, serde::Deserialize)]
#[schemars(rename = "InvitationAcceptance")]
#[allow(dead_code, reason = "only its schema is used")]
pub struct Acceptance {
    /// The secret of the invitation. It says which tenant invites.
    invitation: String,
    /// The token of an identity provider that the tenant trusts, or a session token of ours.
    subject_token: String,
    /// What that is: `urn:ietf:params:oauth:token-type:id_token`, `…:access_token` or `…:jwt`.
    subject_token_type: String,
    /// The `nonce` that the identity provider was given.
    nonce: Option<String>,
    /// `true` if the session token comes as a cookie. Only for pages of an allowed origin, and in JSON.
    cookie: Option<bool>,
}

/// A request for tokens.
#[derive(Debug)]
pub enum TokenRequest {
    Exchange(Exchange),
    /// With the refresh token.
    Refresh(String),
    Client(Client),
}

/// An API key, for an access token (RFC 6749, section 4.4).
#[derive(Debug)]
pub struct Client {
    pub id: Option<String>,
    pub secret: String,
}

/// `true` or `false`, or the same as a text.
struct Flag(bool);

impl Wire for Flag {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::Bool(is_set) => Ok(Self(is_set)),
            Value::String(text) if ["true", "false"].contains(&text.as_str()) => Ok(Self(text == "true")),
            _ => Err(vec![Fault::here(Wrong::NotOneOf("`true`, `false`"))]),
        }
    }
}

/// A token of an identity provider, or of ours, for a session in a tenant.
#[derive(Debug)]
pub struct Exchange {
    pub token: String,
    pub shown: Shown,
    pub target: Target,
    pub nonce: Option<String>,
    /// The secret of an invitation: the person accepts it.
    pub invitation: Option<String>,
    /// Whether the session token comes as a cookie.
    pub cookie: bool,
}

impl TokenRequest {
    /// # Errors
    /// The faults of the body, or [`Problem::Grant`].
    pub fn read(call: &Call) -> Result<Self, Problem> {
        let basic = call.header(header::AUTHORIZATION).and_then(Client::basic);
        let request = call.form(MAX_BODY)?.all(|body| Self::read_from(body, basic))?;
        request.ok_or(Problem::Grant(Grant::UnsupportedType, "unknown"))
    }

    /// `None` if the `grant_type` is not one of ours.
    fn read_from(body: &mut Object, basic: Option<Client>) -> Result<Option<Self>, Faulty> {
        let Verbatim::<MAX_TEXT>(grant) = body.required("grant_type")?;
        match grant.as_str() {
            TOKEN_EXCHANGE => Exchange::read(body).map(|exchange| Some(Self::Exchange(exchange))),
            "refresh_token" => {
                let Verbatim::<MAX_TEXT>(token) = body.required("refresh_token")?;
                Ok(Some(Self::Refresh(token)))
            }
            "client_credentials" => Client::read(body, basic).map(|client| Some(Self::Client(client))),
            _ => Ok(None),
        }
    }
}

impl Client {
    fn read(body: &mut Object, basic: Option<Self>) -> Result<Self, Faulty> {
        let id = body.optional("client_id").map(|Verbatim::<MAX_TEXT>(id)| id);
        if let Some(basic) = basic {
            // RFC 6749, section 2.3: a client shows itself in one way.
            if body.optional::<Verbatim<MAX_TEXT>>("client_secret").is_some() {
                body.refuse(Fault::here(Wrong::Syntax("left out: `Authorization` has it")).within("client_secret"));
            }
            return Ok(basic);
        }
        let Verbatim::<MAX_TEXT>(secret) = body.required("client_secret")?;
        Ok(Self { id, secret })
    }

    /// RFC 6749, section 2.3.1. Neither a UUID nor a key has a character that would be percent-encoded.
    fn basic(header: &str) -> Option<Self> {
        let (scheme, encoded) = header.trim().split_once(' ')?;
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| Self { id: Some(id.to_owned()), secret: secret.to_owned() })
    }
}

/// The members of a request about a token: to end its session (RFC 7009), or to ask about it (RFC 7662).
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TokenQuestion"))]
pub struct ShownToken {
    /// An access token, a session token or a refresh token of ours.
    pub token: String,
    /// Not needed: a token says what it is.
    #[allow(dead_code, reason = "for the API reference")]
    token_type_hint: Option<String>,
}

impl ShownToken {
    /// # Errors
    /// The faults of the body.
    pub fn read(call: &Call) -> Result<Self, Problem> {
        Ok(call.form(MAX_BODY)?.all(|body| {
            let token = body.required("token");
            let hint = body.optional("token_type_hint").map(|Verbatim::<MAX_TEXT>(hint)| hint);
            let Verbatim::<MAX_TOKEN>(token) = token?;
            Ok(Self { token, token_type_hint: hint })
        })?)
    }
}

/// The answer to a revocation: nothing (RFC 7009, section 2.2). An empty object is easier to read for a client than no content.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Revoked {}

impl Exchange {
    /// A token exchange that accepts an invitation.
    ///
    /// # Errors
    /// The faults of the body.
    pub fn of_invitation(call: &Call) -> Result<Self, Problem> {
        Ok(call.form(MAX_BODY)?.all(|body| {
            let exchange = Self::read(body)?;
            if exchange.invitation.is_none() {
                body.refuse(Fault::here(Wrong::Missing).within("invitation"));
            }
            Ok(exchange)
        })?)
    }

    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let token = body.required("subject_token");
        let kind = body.required("subject_token_type");
        let shown = kind.and_then(|Verbatim::<MAX_TEXT>(kind)| {
            let wrong = Wrong::NotOneOf(TOKEN_TYPES);
            body.join(Shown::parse(&kind).ok_or(Fault::here(wrong).within("subject_token_type").within("body")))
        });
        let text = |body: &mut Object, name| body.optional(name).map(|Verbatim::<MAX_TEXT>(text)| text);
        let (audience, resource) = (text(body, "audience"), text(body, "resource"));
        let (nonce, invitation) = (text(body, "nonce"), text(body, "invitation"));
        let requested = text(body, "requested_token_type");
        if requested.is_some_and(|requested| requested != ACCESS_TOKEN) {
            body.refuse(Fault::here(Wrong::NotOneOf(ACCESS_TOKEN)).within("requested_token_type"));
        }
        if body.optional::<Verbatim<MAX_TOKEN>>("actor_token").is_some() {
            body.refuse(Fault::here(Wrong::Syntax("left out: nobody can act as another")).within("actor_token"));
        }
        let cookie = body.optional("cookie").is_some_and(|Flag(is_set)| is_set);
        let Verbatim::<MAX_TOKEN>(token) = token?;
        let target = audience.or(resource).map_or(Target::Only, named);
        Ok(Self { token, shown: shown?, target, nonce, invitation, cookie })
    }
}

/// The tenant that a request names by its UUID or its slug.
fn named(tenant: String) -> Target {
    match parse_uuid(&tenant) {
        Some(uuid) => TenantId::from_uuid(uuid).map_or(Target::Slug(tenant), Target::Tenant),
        None => Target::Slug(tenant),
    }
}

/// A JWK Set (RFC 7517).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Jwks {
    /// The current key, the next one before it signs, and the one before as long as its tokens live.
    keys: Vec<Jwk>,
}

/// A public key (RFC 7517).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[allow(dead_code, reason = "the document is kept as text")]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#use: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

/// Where tokens come from (RFC 8414).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ServerMetadata"))]
pub struct Metadata {
    issuer: String,
    token_endpoint: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    jwks_uri: String,
    grant_types_supported: [&'static str; 3],
    /// None: Rolecall has no login page. Identity providers sign people in.
    response_types_supported: Vec<&'static str>,
    /// Only a machine shows a credential of its own: an API key.
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
}

impl Metadata {
    pub fn new(issuer: &str) -> Self {
        let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
        Self {
            issuer: issuer.to_owned(),
            token_endpoint: at("/oauth/token"),
            revocation_endpoint: at("/oauth/revoke"),
            introspection_endpoint: at("/oauth/introspect"),
            jwks_uri: at("/.well-known/jwks.json"),
            grant_types_supported: [TOKEN_EXCHANGE, "refresh_token", "client_credentials"],
            response_types_supported: Vec::new(),
            token_endpoint_auth_methods_supported: ["none", "client_secret_basic", "client_secret_post"],
            revocation_endpoint_auth_methods_supported: ["none"],
        }
    }
}

/// The tokens of a session.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Tokens {
    /// For the `Authorization` header, for 10 minutes.
    pub access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    pub token_type: &'static str,
    /// How long the access token lives, in seconds.
    pub expires_in: i64,
    /// For the header `x-session-token` or the cookie `session`. Not there if it comes as a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// Gives new tokens once, and another refresh token with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

impl Tokens {
    pub fn new(access_token: String, expires_in: i64) -> Self {
        Self {
            access_token,
            issued_token_type: None,
            token_type: "Bearer",
            expires_in,
            session_token: None,
            refresh_token: None,
        }
    }

    /// The same as the answer to a token exchange (RFC 8693, section 2.2.1).
    pub fn exchanged(self) -> Self {
        Self { issued_token_type: Some(ACCESS_TOKEN), ..self }
    }
}
