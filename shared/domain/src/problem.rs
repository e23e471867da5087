//! Everything that can stop a request, without HTTP. A dialect that does not answer each problem does not compile.

mod fault;
mod grant;

use std::fmt;

pub use fault::{Fault, MAX_TOLD, Place, Step, Wrong, dotted, listed, told};
pub use grant::Grant;

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The policy that decided, or [`NOT_PERMITTED`](crate::policy::NOT_PERMITTED), or
    /// [`POLICY_ERROR`](crate::policy::POLICY_ERROR).
    pub rule: String,
    pub action: &'static str,
    /// The notices of the policies that decided, for the caller.
    pub notices: Vec<String>,
}

impl Denial {
    /// The denial of what no policy decides, with what the caller is told.
    pub fn plain(rule: &str, action: &'static str, notice: &str) -> Self {
        Self { rule: rule.to_owned(), action, notices: vec![notice.to_owned()] }
    }
}

/// A kind of thing that a request can refer to and that may not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    Role,
    Group,
    Label,
}

impl Reference {
    pub fn name(self) -> &'static str {
        match self {
            Reference::Role => "role",
            Reference::Group => "group",
            Reference::Label => "label",
        }
    }
}

/// Why a request was not done. [`fmt::Display`] makes the text for the caller. Only the log gets a cause.
#[derive(Debug)]
pub enum Problem {
    /// 401: no credential, or an invalid one; the reason is for the log.
    Unauthenticated(&'static str),
    /// No token was given; the reason is for the log.
    Grant(Grant, &'static str),
    /// 400: not JSON; with the fault and its place.
    InvalidJson(String),
    /// 400
    Invalid(Vec<Fault>),
    /// 413: the body has more bytes than this.
    PayloadTooLarge(usize),
    /// 415; with the content types that are taken.
    UnsupportedMediaType(&'static str),
    /// 415: the body is compressed, or coded in another way.
    UnsupportedContentCoding,
    /// 403: the request names another tenant than the credential.
    TenantMismatch,
    /// 403
    Forbidden(Denial),
    /// 404: the named thing, or the route.
    NotFound(&'static str),
    /// 422: the request refers to something that does not exist, or refers to it twice.
    InvalidReference { kind: Reference, place: Place, values: Vec<String> },
    /// 409: the tenant would be without an owner.
    LastOwner,
    /// 422: the request adds and removes more roles and groups than one transaction can hold.
    TooManyChanges(usize),
    /// 422: the tenant, or the new thing, would have more of the named things than this.
    LimitReached(&'static str, usize),
    /// 422: the tenant does not take members with addresses of that domain.
    DomainNotAllowed,
    /// 409: another thing of this kind in the tenant has that name.
    Exists(&'static str),
    /// 409: the role is held by members.
    InUse(&'static str),
    /// 409: the answer to this `Idempotency-Key` held a secret, which is shown once; with the id of the thing that was made.
    SecretAlreadyShown(String),
    /// 412: the named thing is at another version.
    VersionMismatch(&'static str),
    /// 412: the named thing does not exist yet, so it has no version that `If-Match` could name (RFC 9110, section 13.1.1).
    NothingToMatch(&'static str),
    /// 422: the `Idempotency-Key` belongs to another request.
    IdempotencyMismatch,
    /// One of several changes that are all done or none: its place in the list, from 0, and why it was refused.
    OfChange(usize, Box<Problem>),
    /// 429, with the seconds after which another try may succeed.
    TooManyRequests(u32),
    /// 503: another try may succeed; the reason is for the log.
    Unavailable(String),
    /// 500: the reason is for the log.
    Internal(String),
}

impl Problem {
    /// The outcome in the log and in the dialects that have codes.
    pub fn code(&self) -> &'static str {
        match self {
            Problem::Unauthenticated(_) => "unauthenticated",
            Problem::Grant(grant, _) => grant.code(),
            Problem::InvalidJson(_) => "invalid_json",
            Problem::Invalid(_) => "invalid_input",
            Problem::PayloadTooLarge(_) => "payload_too_large",
            Problem::UnsupportedMediaType(_) | Problem::UnsupportedContentCoding => "unsupported_media_type",
            Problem::TenantMismatch => "tenant_mismatch",
            Problem::Forbidden(_) => "forbidden",
            Problem::NotFound(_) => "not_found",
            Problem::InvalidReference { kind: Reference::Role, .. } => "invalid_roles",
            Problem::InvalidReference { .. } | Problem::TooManyChanges(_) => "invalid_input",
            Problem::LimitReached(..) => "limit_reached",
            Problem::DomainNotAllowed => "domain_not_allowed",
            Problem::Exists(_) => "already_exists",
            Problem::InUse(_) => "in_use",
            Problem::SecretAlreadyShown(_) => "secret_already_shown",
            Problem::LastOwner => "last_owner",
            Problem::VersionMismatch(_) | Problem::NothingToMatch(_) => "version_mismatch",
            Problem::IdempotencyMismatch => "idempotency_mismatch",
            Problem::OfChange(_, why) => why.code(),
            Problem::TooManyRequests(_) => "too_many_requests",
            Problem::Unavailable(_) => "unavailable",
            Problem::Internal(_) => "internal",
        }
    }

    /// The status by the common rules. `directory` and `organization` use fewer.
    pub fn status(&self) -> u16 {
        match self {
            Problem::InvalidJson(_) | Problem::Invalid(_) => 400,
            Problem::Grant(grant, _) => grant.status(),
            Problem::Unauthenticated(_) => 401,
            Problem::TenantMismatch | Problem::Forbidden(_) => 403,
            Problem::NotFound(_) => 404,
            Problem::LastOwner | Problem::Exists(_) | Problem::InUse(_) | Problem::SecretAlreadyShown(_) => 409,
            Problem::VersionMismatch(_) | Problem::NothingToMatch(_) => 412,
            Problem::PayloadTooLarge(_) => 413,
            Problem::UnsupportedMediaType(_) | Problem::UnsupportedContentCoding => 415,
            Problem::InvalidReference { .. }
            | Problem::IdempotencyMismatch
            | Problem::TooManyChanges(_)
            | Problem::LimitReached(..)
            | Problem::DomainNotAllowed => 422,
            Problem::OfChange(_, why) => why.status(),
            Problem::TooManyRequests(_) => 429,
            Problem::Internal(_) => 500,
            Problem::Unavailable(_) => 503,
        }
    }

    /// The cause, for the log only: the answer does not show it.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Problem::Unavailable(cause) | Problem::Internal(cause) => Some(cause),
            Problem::Unauthenticated(cause) | Problem::Grant(_, cause) => Some(cause),
            Problem::OfChange(_, why) => why.cause(),
            _ => None,
        }
    }

    /// Advice for the person on call.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Problem::TooManyRequests(_) => Some(
                "without `failures`, an address or a credential asks for tokens too often: see CallsPerAddress. Else the \
                 table refused tries: see its throttle metrics and the tenant's traffic, or, after conflicts, find the \
                 callers that write to this tenant at the same time. Nothing was done",
            ),
            Problem::Unavailable(_) => Some(
                "the table gave no good answer in time. See `failures`, and check DynamoDB's health in this region and \
                 the function's connection to it. Nothing is half done, and the answer told the caller to try again \
                 with the same Idempotency-Key",
            ),
            Problem::Internal(_) => Some(
                "a defect, or a wrong deployment: see `cause`. AccessDeniedException means that the function's \
                 statements lack an action. ResourceNotFoundException means that TABLE names no table. If this began \
                 with a deployment, roll back",
            ),
            _ => None,
        }
    }

    /// The seconds after which another try may succeed.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Problem::TooManyRequests(seconds) => Some(*seconds),
            Problem::Unavailable(_) => Some(1),
            _ => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Problem::Unauthenticated(_) => f.write_str("a valid credential is required"),
            Problem::Grant(grant, _) => f.write_str(grant.text()),
            Problem::InvalidJson(why) => write!(f, "the body is not valid JSON: {why}"),
            Problem::Invalid(faults) => f.write_str(&listed(faults).join("; ")),
            Problem::PayloadTooLarge(most) => write!(f, "the body must not be larger than {most} bytes"),
            Problem::UnsupportedMediaType(taken) => write!(f, "the content type must be {taken}"),
            Problem::UnsupportedContentCoding => {
                f.write_str("the body must not be compressed: only the content coding `identity` is taken")
            }
            Problem::TenantMismatch => f.write_str("the credential is for another tenant"),
            Problem::Forbidden(denial) => match denial.notices.first() {
                Some(notice) => f.write_str(notice),
                None => write!(f, "you may not do `{}` here", denial.action),
            },
            Problem::NotFound(what) => write!(f, "the {what} was not found"),
            Problem::InvalidReference { kind, values, .. } if values.is_empty() => {
                write!(f, "at least one {} is required", kind.name())
            }
            Problem::InvalidReference { kind, values, .. } => {
                let (values, more) = told(values);
                write!(f, "unknown or repeated {}: `{}`", kind.name(), values.join("`, `"))?;
                more.map_or(Ok(()), |more| write!(f, " and {more} more"))
            }
            Problem::LastOwner => {
                f.write_str("the tenant would be left without an active owner: make somebody else owner first")
            }
            Problem::TooManyChanges(most) => {
                write!(
                    f,
                    "one request can add and remove at most {most} roles and groups together: change them in steps"
                )
            }
            Problem::LimitReached(what, most) => write!(f, "there can be at most {most} {what}"),
            Problem::DomainNotAllowed => {
                f.write_str("the tenant does not take members with addresses of this domain: see its settings")
            }
            Problem::Exists(what) if what.contains(" with ") => write!(f, "a {what} exists already"),
            Problem::Exists(what) => {
                write!(f, "a {what} of that name exists already; upper and lower case make no difference")
            }
            Problem::InUse(what) => {
                write!(
                    f,
                    "members have the {what} or will get it, directly or by a group: name another one in \
                     `reassign_to`, or wait"
                )
            }
            Problem::SecretAlreadyShown(id) => {
                write!(f, "that request made `{id}`, and only its first answer shows the secret")
            }
            Problem::VersionMismatch(what) => write!(f, "the {what} has changed since: read it again and decide anew"),
            Problem::NothingToMatch(what) => write!(f, "the {what} is not there yet: leave out `If-Match`"),
            Problem::IdempotencyMismatch => {
                f.write_str("the idempotency key was used for another request: take a new one")
            }
            Problem::OfChange(place, why) => write!(f, "`changes[{place}]`: {why}"),
            Problem::TooManyRequests(_) => f.write_str("too many requests: try again later"),
            Problem::Unavailable(_) => f.write_str("not available at the moment: try again later"),
            Problem::Internal(_) => f.write_str("an internal error"),
        }
    }
}

impl From<Vec<Fault>> for Problem {
    fn from(faults: Vec<Fault>) -> Self {
        Problem::Invalid(faults)
    }
}
