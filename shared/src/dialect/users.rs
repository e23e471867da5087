//! `users`: the dialect of our own larger API, too (seed 001).

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::by_field;
use domain::id::{TenantId, UserId, parse_uuid};
use domain::problem::{Fault, Problem, Reference, Wrong, told};
use domain::{Origin, Record, Status, Time};

use crate::gate::{Caller, View};
use crate::http::Dialect;
use crate::http::call::Call;
use crate::http::json::{Faulty, Object};

pub static USERS: Dialect = Dialect { name: "users", pictures: true, problem };

/// The tenant that the header `X-Tenant-ID` names; `None` for the UUID of anything else.
///
/// # Errors
/// The header is missing, or is no UUID.
pub fn tenant(call: &Call) -> Result<Option<TenantId>, Fault> {
    let text = call.header("x-tenant-id").ok_or(Wrong::Missing);
    let uuid = text.and_then(|text| parse_uuid(text).ok_or(Wrong::Uuid));
    uuid.map(TenantId::from_uuid).map_err(|wrong| Fault::here(wrong).within("X-Tenant-ID").within("header"))
}

/// The user whom the path names by a UUID, or the caller for `me`; `None` for the UUID of anything else.
///
/// # Errors
/// It is neither.
pub fn user(call: &Call, caller: &Caller) -> Result<Option<UserId>, Fault> {
    match call.path("id") {
        "me" => Ok(Some(caller.user)),
        _ => call.path_uuid("id").map(UserId::from_uuid),
    }
}

/// The value that `read` makes of the parts of a request which names its tenant by the header.
///
/// # Errors
/// All faults of both; 403 if the tenant is not the credential's.
pub fn in_tenant<T>(
    call: &Call,
    caller: &Caller,
    parts: Object,
    read: impl FnOnce(&mut Object) -> Result<T, Faulty>,
) -> Result<T, Problem> {
    let (value, tenant) = parts.all(|parts| {
        let (value, tenant) = (read(parts), parts.join(tenant(call)));
        Ok((value?, tenant?))
    })?;
    caller.same_tenant(tenant)?;
    Ok(value)
}

/// A member of the tenant, with their picture. The members of the object have the order of the page (seed 001).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct User<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    /// A data URI of at most 256 KiB.
    picture: Option<&'a str>,
    #[serde(flatten)]
    state: State<'a>,
}

/// A member of the tenant, as lists have them: without their picture.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ListedUser<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    #[serde(flatten)]
    state: State<'a>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct Who<'a> {
    id: Uuid,
    tenant_id: Uuid,
    email: &'a str,
    name: String,
    /// Names of roles.
    roles: Vec<&'a str>,
    is_owner: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct State<'a> {
    /// `local` for users made here.
    auth_provider: &'a str,
    status: Status,
    groups: Vec<Group<'a>>,
    created_at: Time,
    updated_at: Time,
    /// Raised by one with every change; the `etag`.
    version: u64,
}

/// A group that the member is in.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserGroup"))]
pub struct Group<'a> {
    pub id: Uuid,
    pub name: &'a str,
    /// Whether the member manages the group.
    pub is_admin: bool,
}

impl<'a> User<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { who: Who::new(view), picture: view.picture, state: State::new(view) }
    }
}

impl<'a> ListedUser<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { who: Who::new(view), state: State::new(view) }
    }
}

impl<'a> Who<'a> {
    fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        Self {
            id: member.user.uuid(),
            tenant_id: tenant.id.uuid(),
            email: &member.email,
            name: member.name(),
            roles: catalog.roles(&member.roles).map(|role| role.name.as_str()).collect(),
            is_owner: member.is_owner(),
        }
    }
}

impl<'a> State<'a> {
    fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        let groups = member.groups.iter().filter_map(|id| catalog.group(*id));
        let groups = groups.map(|group| Group {
            id: group.id.uuid_in(tenant.id),
            name: &group.name,
            is_admin: member.manages.contains(&group.id),
        });
        Self {
            auth_provider: &member.auth_provider,
            status: member.status,
            groups: groups.collect(),
            created_at: member.meta.created_at,
            updated_at: member.meta.updated_at,
            version: member.meta.version,
        }
    }
}

/// A role.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Role<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// 1 or 2; 3 for `owner`. A member of a lower rank can neither give the role nor change a member who holds it.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 3)))]
    pub rank: u8,
    pub permissions: Vec<Permission<'a>>,
    pub is_built_in: bool,
    /// Null for a built-in role.
    pub created_at: Option<Time>,
    pub updated_at: Option<Time>,
    /// Raised by one with every change; the `etag`. A built-in role stays at 1.
    pub version: u64,
}

/// A permission that a role grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "RolePermission"))]
pub struct Permission<'a> {
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// `false` for a permission that the role denies: a denial wins over every grant.
    pub access: bool,
}

impl<'a> Role<'a> {
    pub fn new(role: &'a domain::Role, tenant: TenantId) -> Self {
        let (created_at, updated_at) = role.times().unzip();
        let permissions = role.permissions.iter().map(|it| Permission {
            name: &it.name,
            description: it.description.as_deref(),
            access: it.access,
        });
        Self {
            id: role.id.uuid_in(tenant),
            number: role.id.number(),
            name: &role.name,
            description: role.description.as_deref(),
            rank: role.rank,
            permissions: permissions.collect(),
            is_built_in: role.is_built_in(),
            created_at,
            updated_at,
            version: role.shown_version(),
        }
    }
}

/// A page of members.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Users<'a> {
    pub data: Vec<ListedUser<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// A page of roles, in the order of their numbers.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Roles<'a> {
    pub data: Vec<Role<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A page of permissions, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Permissions<'a> {
    pub data: Vec<NamedPermission<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A permission that a role of the tenant grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NamedPermission<'a> {
    pub name: &'a str,
    /// The description of the first role that describes it.
    pub description: Option<&'a str>,
    /// Whether it is one of the product's own.
    pub is_built_in: bool,
}

/// A page of the permissions that a member's roles grant or deny, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserPermissions<'a> {
    pub data: Vec<UserPermission<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A permission that a role of the member grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserPermission<'a> {
    pub name: &'a str,
    /// Whether the member holds it: a denial wins over every grant.
    pub is_effective: bool,
    /// Names of the member's roles that grant it, by its name or by `*`.
    pub granted_by: Vec<&'a str>,
    /// Names of the member's roles that deny it, by its name or by `*`.
    pub denied_by: Vec<&'a str>,
}

impl<'a> UserPermission<'a> {
    pub fn new(origin: &Origin<'a>) -> Self {
        let names = |roles: &[&'a domain::Role]| roles.iter().map(|role| role.name.as_str()).collect();
        Self {
            name: &origin.permission.name,
            is_effective: origin.is_effective(),
            granted_by: names(&origin.granted_by),
            denied_by: names(&origin.denied_by),
        }
    }
}

/// Why a request was not done.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UsersFailure"))]
pub struct Failure<'a> {
    code: &'static str,
    message: String,
    details: Details<'a>,
    /// What the policies say that decided a 403.
    notices: &'a [String],
}

#[derive(Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UsersFailureDetails"))]
struct Details<'a> {
    /// What is wrong with each field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "std::collections::BTreeMap<String, String>"))]
    fields: Option<Map<String, Value>>,
    /// The rule that denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// What the rule denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// The roles that do not exist, or were named twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a [String]>,
    /// How many more there are: 20 are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

/// `{"code", "message", "details", "notices"}`, always all four.
fn problem(problem: &Problem) -> (u16, Value) {
    let mut details = Details::default();
    let mut notices: &[String] = &[];
    match problem {
        Problem::Invalid(faults) => {
            let (fields, more) = by_field(faults);
            (details.fields, details.more) = (Some(fields), more);
        }
        Problem::Forbidden(denial) => {
            details.rule = Some(&denial.rule);
            details.action = Some(denial.action);
            notices = &denial.notices;
        }
        Problem::InvalidReference { kind, values, .. } => {
            let (values, more) = told(values);
            details.more = more;
            match kind {
                Reference::Role => details.roles = Some(values),
                Reference::Group => details.groups = Some(values),
                Reference::Label => details.labels = Some(values),
            }
        }
        _ => {}
    }
    (problem.status(), json!(Failure { code: problem.code(), message: problem.to_string(), details, notices }))
}
