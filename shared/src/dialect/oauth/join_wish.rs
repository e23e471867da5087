//! What somebody says who asks to join a tenant, and what they are told.

use domain::id::Uuid;
use domain::join_request::State;
use domain::problem::{Fault, Wrong};
use domain::{JoinRequest, Time};
use serde::Serialize;
use serde_json::Value;

use super::{Exchange, MAX_TEXT, TOKEN_TYPES, named};
use crate::http::assertion::{MAX_TOKEN, Shown};
use crate::http::json::{Faulty, Object, Verbatim, Wire};

/// What a token is that somebody shows (RFC 8693, section 3).
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "SubjectTokenType", extend("enum" = ["urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"])))]
struct TokenType(#[cfg_attr(feature = "openapi", schemars(with = "String"))] Shown);

impl Wire for TokenType {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let shown = value.as_str().and_then(Shown::parse);
        shown.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf(TOKEN_TYPES))])
    }
}

/// The wish of a person to join a tenant, by an address at a domain that the tenant has verified.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinWish"))]
pub struct JoinWish {
    /// The token of an identity provider that the tenant trusts for the domain. It says that the address is verified.
    subject_token: Verbatim<MAX_TOKEN>,
    /// What that is: an ID token if you do not say.
    subject_token_type: Option<TokenType>,
    /// The tenant to join: its slug or its UUID.
    audience: Verbatim<MAX_TEXT>,
    /// The `nonce` that the identity provider was given.
    nonce: Option<Verbatim<MAX_TEXT>>,
}

impl JoinWish {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (token, kind) = (object.required("subject_token"), object.optional("subject_token_type"));
        let (audience, nonce) = (object.required("audience"), object.optional("nonce"));
        Ok(Self { subject_token: token?, subject_token_type: kind, audience: audience?, nonce })
    }

    /// The same proof as in a token exchange.
    pub fn exchange(self) -> Exchange {
        Exchange {
            token: self.subject_token.0,
            shown: self.subject_token_type.map_or(Shown::IdToken, |TokenType(shown)| shown),
            target: named(self.audience.0),
            nonce: self.nonce.map(|Verbatim(nonce)| nonce),
            invitation: None,
            cookie: false,
        }
    }
}

/// A request to join that waits, as the person sees it who asks.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinRequestMade"))]
pub struct ShownWish {
    /// Whoever may let people in finds the request by it.
    id: Uuid,
    status: State,
    /// When the person asked for the first time.
    created_at: Time,
}

impl ShownWish {
    pub fn new(request: &JoinRequest) -> Self {
        let (id, created_at) = (request.id.uuid_in(request.tenant), request.meta.created_at);
        Self { id, status: request.state(), created_at }
    }
}
