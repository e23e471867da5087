//! The refusals of OAuth 2.0.

/// Why a token was not given (RFC 6749, section 5.2; RFC 8693, section 2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// 400: the shown token is no good.
    InvalidToken,
    /// 400: no tenant is named, and there is not exactly one to choose.
    InvalidTarget,
    /// 400: no such way to get a token.
    UnsupportedType,
    /// 400: the refresh token is no good.
    InvalidRefresh,
    /// 401: the API key is no good.
    InvalidClient,
    /// 403: the person is no active member.
    Denied,
    /// 403: the person asks to join, and nobody has let them in yet.
    Waits,
    /// 409: the person asks to join, and can sign in.
    AtOnce,
}

impl Grant {
    /// The standard's code.
    pub fn code(self) -> &'static str {
        match self {
            Grant::InvalidToken | Grant::AtOnce => "invalid_request",
            Grant::InvalidTarget => "invalid_target",
            Grant::UnsupportedType => "unsupported_grant_type",
            Grant::InvalidRefresh => "invalid_grant",
            Grant::InvalidClient => "invalid_client",
            Grant::Denied | Grant::Waits => "access_denied",
        }
    }

    pub(super) fn status(self) -> u16 {
        match self {
            Grant::InvalidClient => 401,
            Grant::Denied | Grant::Waits => 403,
            Grant::AtOnce => 409,
            _ => 400,
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Grant::InvalidToken => "the token cannot begin a session here",
            Grant::InvalidTarget => "name the tenant in `audience`: its slug or its UUID",
            Grant::UnsupportedType => "`grant_type` is not one of those that are taken here",
            Grant::InvalidRefresh => "the refresh token is no longer valid: sign in again",
            Grant::InvalidClient => "the API key is not good here: ask for another",
            Grant::Denied => "you may not sign in to this tenant: ask its administrators",
            Grant::Waits => "you ask to join this tenant: sign in again once its administrators have let you in",
            Grant::AtOnce => "you need not ask to join this tenant: exchange the token at `POST /oauth/token`",
        }
    }
}
