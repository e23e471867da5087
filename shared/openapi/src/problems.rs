//! Problems: which operations can have each, what it means, and an example.

use domain::member::change::MAX_EDGES;
use domain::policy::{NOT_PERMITTED, POLICY_ERROR};
use domain::problem::{Denial, Fault, Grant, MAX_TOLD, Place, Problem, Reference, Step, Wrong};
use shared::call::MAX_BODY;

/// Which operations can have a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Any,
    /// Those that write.
    Writes,
    /// Those that take a body.
    Bodies,
    /// Those that change a member.
    Members,
    /// Those that make something.
    New,
    /// Those that give something a name, an address or an id that only one may have.
    Named,
    /// Those that make something more, where there is a limit.
    Limited,
    /// Those that delete a role.
    OldRoles,
    /// Those that show a secret.
    Secrets,
    /// Those that give tokens.
    Tokens,
    /// Those that make several changes, all or none.
    Several,
}

pub(crate) fn scope_of(problem: &Problem) -> Scope {
    match problem {
        Problem::Unauthenticated(_)
        | Problem::Invalid(_)
        | Problem::TenantMismatch
        | Problem::Forbidden(_)
        | Problem::NotFound(_)
        | Problem::TooManyRequests(_)
        | Problem::Unavailable(_)
        | Problem::Internal(_) => Scope::Any,
        Problem::VersionMismatch(_) | Problem::IdempotencyMismatch => Scope::Writes,
        Problem::InvalidJson(_)
        | Problem::PayloadTooLarge(_)
        | Problem::UnsupportedMediaType(_)
        | Problem::UnsupportedContentCoding => Scope::Bodies,
        Problem::InvalidReference { .. } | Problem::LastOwner | Problem::TooManyChanges(_) => Scope::Members,
        Problem::LimitReached(..) => Scope::Limited,
        Problem::Exists(_) | Problem::DomainNotAllowed => Scope::Named,
        Problem::NothingToMatch(_) => Scope::New,
        Problem::InUse(_) => Scope::OldRoles,
        Problem::SecretAlreadyShown(_) => Scope::Secrets,
        Problem::Grant(..) => Scope::Tokens,
        Problem::OfChange(..) => Scope::Several,
    }
}

/// The cause of a problem, for readers of the reference.
pub(crate) fn meaning(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unauthenticated(_) => "there is no credential, or it is not valid",
        Problem::Grant(Grant::InvalidToken, _) => "the shown token is not good here, whatever is wrong with it",
        Problem::Grant(Grant::InvalidTarget, _) => "no tenant is named, and the person is not known in exactly one",
        Problem::Grant(Grant::UnsupportedType, _) => "there is no such way to get a token",
        Problem::Grant(Grant::InvalidRefresh, _) => "the refresh token is not good, or its session has ended",
        Problem::Grant(Grant::InvalidClient, _) => "the API key is not good",
        Problem::Grant(Grant::Denied, _) => "the person is no active member of the tenant",
        Problem::Grant(Grant::Waits, _) => "the person asks to join, and nobody has let them in yet",
        Problem::Grant(Grant::AtOnce, _) => "the person need not ask, because they can sign in",
        Problem::InvalidJson(_) => "the body is not JSON, or has a key twice",
        Problem::Invalid(_) => "something is missing, or not what it must be",
        Problem::PayloadTooLarge(_) => "the body is too large",
        Problem::UnsupportedMediaType(_) => "the content type is not `application/json`",
        Problem::UnsupportedContentCoding => "the body is in another content coding than `identity`",
        Problem::TenantMismatch => "the credential is for another tenant",
        Problem::Forbidden(_) => "the caller may not do this",
        Problem::NotFound(crate::FILE) => "there is no such file",
        Problem::NotFound(_) => "there is no such record in the tenant",
        Problem::InvalidReference { .. } => "a role, group or label does not exist, or a role is named twice",
        Problem::LastOwner => "the tenant would be left without an owner",
        Problem::TooManyChanges(_) => "more roles and groups change than one request can change",
        Problem::LimitReached(..) => "there would be more than there can be",
        Problem::DomainNotAllowed => "the tenant does not take members with addresses of that domain",
        Problem::Exists(what) if what.contains("running") => "another one is under way",
        Problem::Exists(_) => "another one has that name",
        Problem::InUse(_) => "the role is held by members",
        Problem::SecretAlreadyShown(_) => "the first answer held a secret, which is shown once",
        Problem::NothingToMatch(_) => "there is no version yet that `If-Match` could name",
        Problem::VersionMismatch(_) => "the record has another version than `If-Match` names",
        Problem::IdempotencyMismatch => "the `Idempotency-Key` was used for another request",
        Problem::OfChange(..) => "a change of several that are done together was refused, so none of them was made",
        Problem::TooManyRequests(_) => "there are too many requests",
        Problem::Unavailable(_) => "the table gave no good answer in time",
        Problem::Internal(_) => "a failure of ours",
    }
}

/// A cause for the log. No answer to a client holds it.
pub const CAUSE: &str = "secret cause";

fn place(steps: &[&'static str]) -> Place {
    steps.iter().map(|step| Step::from(*step)).collect()
}

fn fault(steps: &[&'static str], wrong: Wrong) -> Fault {
    Fault { place: place(steps), wrong }
}

fn denial(rule: &str, notices: &[&str]) -> Problem {
    let notices = notices.iter().map(|notice| (*notice).to_owned()).collect();
    Problem::Forbidden(Denial { rule: rule.to_owned(), action: "member:assign-role", notices })
}

fn reference(kind: Reference, field: &'static str, values: &[&str]) -> Problem {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Problem::InvalidReference { kind, place: place(&["body", field]), values }
}

/// Faults as the functions report them.
pub fn faults() -> Vec<Fault> {
    vec![
        fault(&["body", "role_id"], Wrong::Missing),
        fault(&["body", "name"], Wrong::Null),
        fault(&["body"], Wrong::Type("an object")),
        fault(&["body", "name"], Wrong::Type("a string")),
        fault(&["body", "groups"], Wrong::Type("an array")),
        fault(&["path", "id"], Wrong::Type("an integer")),
        fault(&["body", "name"], Wrong::Empty),
        fault(&["body", "roles"], Wrong::TooLong(50)),
        fault(&["body", "name"], Wrong::ControlCharacter),
        fault(&["body", "name"], Wrong::HiddenCharacter),
        fault(&["body", "role_id"], Wrong::Uuid),
        fault(&["header", "X-Tenant-ID"], Wrong::Missing),
        fault(&["path", "userId"], Wrong::OutOfRange(-9007199254740991, 9007199254740991)),
        fault(&["body", "role"], Wrong::NotOneOf("1 OWNER, 2 ADMIN, 3 USER")),
        fault(&["header", "if-match"], Wrong::Syntax("`*` or a list of quoted entity tags")),
        fault(&["body", "organization_id"], Wrong::Differs("`organization_id` of the path")),
        fault(&["body"], Wrong::NothingOf("`name` and `roles`")),
        fault(&["body", "text"], Wrong::Policy("line 2, column 8: unexpected token `then`".to_owned())),
        Fault { place: vec!["body".into(), "groups".into(), Step::Index(1), "id".into()], wrong: Wrong::Missing },
        Fault {
            place: vec!["body".into(), "permissions".into(), "read".into(), Step::Index(0)],
            wrong: Wrong::Type("an integer"),
        },
    ]
}

/// Every problem at least once, as functions and dialects know it.
pub fn problems() -> Vec<Problem> {
    let mut problems = vec![
        Problem::Unauthenticated(CAUSE),
        Problem::Grant(Grant::InvalidToken, CAUSE),
        Problem::Grant(Grant::InvalidTarget, CAUSE),
        Problem::Grant(Grant::UnsupportedType, CAUSE),
        Problem::Grant(Grant::InvalidRefresh, CAUSE),
        Problem::Grant(Grant::InvalidClient, CAUSE),
        Problem::Grant(Grant::Denied, CAUSE),
        Problem::Grant(Grant::Waits, CAUSE),
        Problem::Grant(Grant::AtOnce, CAUSE),
        Problem::InvalidJson("unexpected character at line 1 column 2".to_owned()),
        Problem::PayloadTooLarge(MAX_BODY),
        // The problem with a header comes first: the first one describes the status.
        Problem::UnsupportedContentCoding,
        Problem::UnsupportedMediaType("`application/json`"),
        Problem::TenantMismatch,
        denial(NOT_PERMITTED, &[]),
        denial(POLICY_ERROR, &[]),
        denial("outranked", &["The member outranks you."]),
        denial("outranked", &["The member outranks you.", "The role outranks you."]),
        Problem::NotFound("user"),
        Problem::NotFound("version of the API"),
        reference(Reference::Role, "roles", &[]),
        reference(Reference::Role, "roles", &["pilot"]),
        reference(Reference::Role, "roles", &["pilot", "user"]),
        reference(Reference::Group, "groups", &["7", "9"]),
        reference(Reference::Group, "groups", &["7"; MAX_TOLD + 4]),
        reference(Reference::Label, "professionId", &["7"]),
        Problem::LastOwner,
        Problem::LimitReached("roles in a tenant", 500),
        Problem::DomainNotAllowed,
        Problem::Exists("role"),
        Problem::Exists("member with this address"),
        Problem::InUse("role"),
        Problem::SecretAlreadyShown("7".to_owned()),
        Problem::TooManyChanges(MAX_EDGES),
        Problem::VersionMismatch("member"),
        Problem::NothingToMatch("role"),
        Problem::IdempotencyMismatch,
        Problem::OfChange(3, Box::new(Problem::VersionMismatch("member"))),
        Problem::OfChange(0, Box::new(Problem::Exists("member with this address"))),
        Problem::TooManyRequests(1),
        Problem::Unavailable(CAUSE.to_owned()),
        Problem::Internal(CAUSE.to_owned()),
    ];
    problems.extend(faults().into_iter().map(|fault| Problem::Invalid(vec![fault])));
    problems.push(Problem::Invalid(vec![
        fault(&["body", "user_id"], Wrong::Missing),
        fault(&["body", "role_id"], Wrong::Uuid),
        fault(&["path", "id"], Wrong::Type("an integer")),
    ]));
    let of_many = |index| Fault { place: vec!["body".into(), "roles".into(), Step::Index(index)], wrong: Wrong::Null };
    problems.push(Problem::Invalid((0..MAX_TOLD + 4).map(of_many).collect()));
    problems
}
