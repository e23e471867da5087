//! `organization`: an assignment with its role, and errors as FastAPI makes them (seed 004).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::gate::View;
use crate::http::Dialect;
use domain::Time;
use domain::id::{TenantId, permission_uuid};
use domain::problem::{Fault, Problem, Step, Wrong, told};

pub static ORGANIZATION: Dialect = Dialect { name: "organization", pictures: false, names: false, problem };

/// A user's role in an organization.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationRole"))]
pub struct Assignment<'a> {
    /// The membership's.
    id: Uuid,
    created_at: Time,
    updated_at: Time,
    user_id: Uuid,
    organization_id: Uuid,
    role_id: Option<Uuid>,
    role: Option<Role<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "OrganizationRole"))]
struct Role<'a> {
    id: Uuid,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    name: &'a str,
    /// Null for a built-in role.
    organization_id: Option<Uuid>,
    permissions: Vec<Permission<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "OrganizationPermission"))]
struct Permission<'a> {
    id: Uuid,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    name: &'a str,
    description: Option<&'a str>,
    /// Whether the role grants the permission, or denies it.
    access: bool,
}

impl<'a> Assignment<'a> {
    pub fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        let role = catalog.roles(&member.roles).next();
        Self {
            id: member.id.uuid(),
            created_at: member.meta.created_at,
            updated_at: member.meta.updated_at,
            user_id: member.user.uuid(),
            organization_id: tenant.id.uuid(),
            role_id: role.map(|role| role.id.uuid_in(tenant.id)),
            role: role.map(|role| Role::new(role, tenant.id)),
        }
    }
}

impl<'a> Role<'a> {
    fn new(role: &'a domain::Role, tenant: TenantId) -> Self {
        let (created_at, updated_at) = role.times().unzip();
        let permissions = role.permissions.iter().map(|permission| Permission {
            id: permission_uuid(&permission.name),
            created_at,
            updated_at,
            name: &permission.name,
            description: permission.description.as_deref(),
            access: permission.access,
        });
        Self {
            id: role.id.uuid_in(tenant),
            created_at,
            updated_at,
            name: &role.name,
            organization_id: (!role.is_built_in()).then(|| tenant.uuid()),
            permissions: permissions.collect(),
        }
    }
}

/// Why a request was not done.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "OrganizationFailure"))]
pub struct Failure {
    detail: String,
}

/// What is wrong with a request.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "HTTPValidationError"))]
pub struct Invalid<'a> {
    detail: Vec<Cause<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ValidationError"))]
struct Cause<'a> {
    /// The way to it: a part of the request, then names and places in lists.
    loc: &'a [Step],
    msg: String,
    r#type: &'static str,
}

const BODY: &[Step] = &[Step::Name(Cow::Borrowed("body"))];
const KEY: &[Step] = &[Step::Name(Cow::Borrowed("header")), Step::Name(Cow::Borrowed("idempotency-key"))];

/// `{"detail": [{"loc", "msg", "type"}]}` for whatever is wrong with the request, else `{"detail": "…"}`.
fn problem(problem: &Problem) -> (u16, Value) {
    let causes = match problem {
        Problem::InvalidJson(why) => {
            vec![Cause { loc: BODY, msg: format!("JSON decode error: {why}"), r#type: "json_invalid" }]
        }
        Problem::Invalid(faults) => {
            let (told, more) = told(faults);
            let more = more.map(|more| value_error(BODY, &format_args!("and {more} more")));
            told.iter().map(cause).chain(more).collect()
        }
        Problem::InvalidReference { place, .. } => vec![value_error(place, problem)],
        Problem::IdempotencyMismatch => vec![value_error(KEY, problem)],
        Problem::TooManyChanges(_) | Problem::LimitReached(..) | Problem::DomainNotAllowed => {
            vec![value_error(BODY, problem)]
        }
        _ => return (problem.status(), json!(Failure { detail: problem.to_string() })),
    };
    (422, json!(Invalid { detail: causes }))
}

fn value_error<'a>(loc: &'a [Step], wrong: &dyn fmt::Display) -> Cause<'a> {
    Cause { loc, msg: format!("Value error, {wrong}"), r#type: "value_error" }
}

/// The names of types are those that pydantic gives.
fn cause(fault: &Fault) -> Cause<'_> {
    let (kind, message) = match &fault.wrong {
        Wrong::Missing => ("missing", "Field required".to_owned()),
        Wrong::Null | Wrong::Type("a string") => ("string_type", "Input should be a valid string".to_owned()),
        Wrong::Type("an object") => {
            ("model_attributes_type", "Input should be a valid dictionary or object".to_owned())
        }
        Wrong::Uuid => ("uuid_parsing", "Input should be a valid UUID".to_owned()),
        wrong => return value_error(&fault.place, wrong),
    };
    Cause { loc: &fault.place, msg: message, r#type: kind }
}
