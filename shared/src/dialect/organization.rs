//! `organization`: an assignment with its role, and errors as FastAPI makes them (seed 004).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answer::Answer;
use crate::gate::{Page, View};
use crate::http::call::{Call, MAX_LIMIT};
use crate::http::json::{Address, Object, Text, Wire};
use crate::http::{Dialect, Paging};
use domain::id::{TenantId, UserId, permission_uuid};
use domain::problem::{Fault, Problem, Step, Wrong, told};
use domain::{Patch, Status, Time};

pub static ORGANIZATION: Dialect =
    Dialect { name: "organization", pictures: false, names: false, paging: PAGING, echoes_request_id: false, problem };

/// The clients of this API expect all things at once, so a page has as many as it can.
const PAGING: Paging = Paging {
    default: MAX_LIMIT,
    cursor: "the `cursor` in the header `link` of a page of this list",
    ..Paging::IN_SNAKE_CASE
};

/// The most users that one request can add or remove. A change is all or nothing, in one transaction of the table.
pub const MAX_USERS: usize = 10;

/// The page that a request asks for.
pub fn page(call: &Call, query: &mut Object) -> Page {
    Page { list: call.route.clone(), ..call.page(query) }
}

/// The answer with a page of a list: a JSON list, as the clients of this API expect it. A header leads to the next page.
pub fn listed(things: &Value, page: &Page, next_cursor: Option<&str>) -> Answer {
    let answer = shown(things);
    match next_cursor {
        Some(cursor) => answer.with_header("link", format!("<?limit={}&cursor={cursor}>; rel=\"next\"", page.limit)),
        None => answer,
    }
}

/// The answer to a GET. A cookie can prove its caller, so no page may take it for a script.
pub fn shown(body: &Value) -> Answer {
    Answer::json(200, body).with_header("x-content-type-options", "nosniff")
}

/// How an entry of a list names a user: by one of the two.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(extend("if" = has_text("email"), "else" = has_text("user_id"))))]
#[cfg_attr(feature = "openapi", schemars(extend("then" = { "not": has_text("user_id") })))]
pub struct UserName {
    /// The user's address, if there is no `user_id`.
    email: Patch<Address>,
    /// The user's UUID or number, if there is no `email`.
    user_id: Patch<Text<250>>,
}

/// The schema of an object that has a text under a name, for the API reference. It says that the object may have more,
/// because a linter takes each schema for the whole of an object unless the schema says so.
#[cfg(feature = "openapi")]
fn has_text(name: &str) -> Value {
    json!({ "properties": { name: { "type": "string" } }, "required": [name], "unevaluatedProperties": true })
}

/// A user whom a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Address(String),
    /// `None` for an id that cannot be anybody's.
    Id(Option<UserId>),
}

impl UserName {
    /// Reads the name. What is wrong with it is kept in the object.
    pub fn read(body: &mut Object) -> Self {
        let read = Self { email: body.clearable("email"), user_id: body.clearable("user_id") };
        match (&read.email, &read.user_id) {
            (Patch::Set(_), Patch::Set(_)) => {
                body.refuse(Fault::here(Wrong::Syntax("left out beside `email`")).within("user_id"));
            }
            (Patch::Set(_), _) | (_, Patch::Set(_)) => {}
            _ if body.is_sound() => body.refuse(Fault::here(Wrong::NothingOf("`email` and `user_id`"))),
            _ => {}
        }
        read
    }

    pub fn named(self) -> Named {
        match (self.email, self.user_id) {
            (Patch::Set(email), _) => Named::Address(email.0),
            (_, Patch::Set(id)) => Named::Id(UserId::parse(&id.0)),
            _ => Named::Id(None),
        }
    }
}

impl Named {
    /// The fault of an entry, at the member that names the user.
    pub fn fault(&self, index: usize, must_be: &'static str) -> Fault {
        let name = if matches!(self, Named::Address(_)) { "email" } else { "user_id" };
        Fault::here(Wrong::Syntax(must_be)).within(name).within(index).within("body")
    }

    pub fn address(&self) -> Option<&str> {
        if let Named::Address(email) = self { Some(email) } else { None }
    }

    pub fn id(&self) -> Option<UserId> {
        if let Named::Id(user) = self { *user } else { None }
    }
}

/// The ids of projects in a body. There are no projects here, and whoever limits a right to some must not get it for all.
#[derive(Debug)]
pub struct Projects;

impl Wire for Projects {
    fn read(_: Value) -> Result<Self, Vec<Fault>> {
        Err(vec![Fault::here(Wrong::Syntax(NO_PROJECTS))])
    }
}

/// What must stand in the place of projects.
pub const NO_PROJECTS: &str = "null or absent: there are no projects here";

/// A user's membership of an organization.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "OrganizationMember"))]
pub struct Membership<'a> {
    id: Uuid,
    created_at: Time,
    updated_at: Time,
    user_id: Uuid,
    organization_id: Uuid,
    email: &'a str,
    /// Whether the user is invited, and no active member yet.
    pending: bool,
    /// The member who added the user; null if no member did.
    invited_by_user_id: Option<Uuid>,
    invited_by_user_email: Option<&'a str>,
    /// One for each role that the user was given. The `id` of each is the membership's.
    roles: Vec<Assignment<'a>>,
}

impl<'a> Membership<'a> {
    pub fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        let inviter = member.meta.created_by.as_ref();
        Self {
            id: member.id.uuid(),
            created_at: member.meta.created_at,
            updated_at: member.meta.updated_at,
            user_id: member.user.uuid(),
            organization_id: tenant.id.uuid(),
            email: &member.email,
            pending: member.status == Status::Invited,
            invited_by_user_id: inviter.map(|inviter| inviter.user.uuid()),
            invited_by_user_email: inviter.map(|inviter| inviter.email.as_str()),
            roles: catalog.roles(&member.roles).map(|role| Assignment::of(view, Some(role))).collect(),
        }
    }
}

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
pub struct Role<'a> {
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
    /// The assignment of the member's first role.
    pub fn new(view: &View<'a>) -> Self {
        Self::of(view, view.catalog.roles(&view.member.roles).next())
    }

    fn of(view: &View<'a>, role: Option<&'a domain::Role>) -> Self {
        let View { tenant, member, .. } = *view;
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
    pub fn new(role: &'a domain::Role, tenant: TenantId) -> Self {
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
        Wrong::Type("an array") => ("list_type", "Input should be a valid list".to_owned()),
        // An entry of a list is an object, every other value that cannot be null a text.
        Wrong::Null if !matches!(fault.place.last(), Some(Step::Index(_))) => {
            ("string_type", "Input should be a valid string".to_owned())
        }
        Wrong::Type("a string") => ("string_type", "Input should be a valid string".to_owned()),
        Wrong::Null | Wrong::Type("an object") => {
            ("model_attributes_type", "Input should be a valid dictionary or object".to_owned())
        }
        Wrong::Uuid => ("uuid_parsing", "Input should be a valid UUID".to_owned()),
        wrong => return value_error(&fault.place, wrong),
    };
    Cause { loc: &fault.place, msg: message, r#type: kind }
}
