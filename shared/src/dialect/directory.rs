//! `directory`: `{"data", "errors"}`, numbers for ids and enums (seed 002).

mod filters;
mod invites;
#[cfg(feature = "openapi")]
mod schema;

use serde::Serialize;
use serde_json::{Value, json};

use crate::gate::View;
use crate::gate::list::MemberPage;
use crate::http::call::Call;
use crate::http::json::Wire;
use crate::http::{Dialect, Paging};
use domain::Time;
use domain::id::RoleId;
use domain::problem::{Fault, Problem, Wrong, listed};
use domain::{Actor, Language, role};

pub static DIRECTORY: Dialect =
    Dialect { name: "directory", pictures: true, names: true, paging: PAGING, echoes_request_id: false, problem };

/// Clients of this API count pages, from 1.
const PAGING: Paging = Paging { limit: "take", has_numbers: true, ..Paging::IN_SNAKE_CASE };

pub use filters::{KEYS, MAX_FILTER, ORDERS, wanted};
pub use invites::{Invite, InvitesCreation, WrappedInvites};

/// Checks the version in the path.
///
/// # Errors
/// 404: there is no such version.
pub fn version(call: &Call) -> Result<(), Problem> {
    match call.path("version") {
        "v1" | "v1.0" => Ok(()),
        _ => Err(Problem::NotFound("version of the API")),
    }
}

/// `ENUM tenant_user_role` as it is sent: by number or by name, in any case.
pub struct Role(pub RoleId);

impl Role {
    pub(crate) const NAMED: [(i64, &str, RoleId); 3] =
        [(1, "OWNER", role::OWNER), (2, "ADMIN", role::ADMIN), (3, "USER", role::USER)];
}

impl Wire for Role {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        one_of(value, Self::NAMED, "1 OWNER, 2 ADMIN, 3 USER").map(Role)
    }
}

/// The built-in role that a value names.
fn built_in(value: Value) -> Result<RoleId, Vec<Fault>> {
    Role::read(value).map(|role| role.0)
}

/// `ENUM tenant_user_status` as it is sent: by number or by name, in any case.
pub struct Status(pub domain::Status);

impl Status {
    pub(crate) const NAMED: [(i64, &str, domain::Status); 2] =
        [(1, "ACTIVE", domain::Status::Active), (2, "DEACTIVE", domain::Status::Deactivated)];
}

impl Wire for Status {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        one_of(value, Self::NAMED, "1 ACTIVE, 2 DEACTIVE").map(Status)
    }
}

fn one_of<T, const N: usize>(value: Value, named: [(i64, &str, T); N], what: &'static str) -> Result<T, Vec<Fault>> {
    let (number, name) = (value.as_i64(), value.as_str().map(str::trim));
    let found = named.into_iter().find(|(known, known_name, _)| {
        number == Some(*known) || name.is_some_and(|name| name.eq_ignore_ascii_case(known_name))
    });
    found.map(|(_, _, it)| it).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf(what))])
}

/// `DTO_response_wrap`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_response_wrap"))]
pub struct Wrap<'a> {
    data: User<'a>,
    /// Always empty.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<String>", length(max = 0)))]
    errors: [&'static str; 0],
}

impl<'a> Wrap<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { data: User::new(view), errors: [] }
    }
}

/// `DTO_response_wrap` of a page. Its users come without their pictures, which would cost up to 64 read units each.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_response_wrap_page"))]
pub struct Users<'a> {
    data: Vec<User<'a>>,
    /// Always empty.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<String>", length(max = 0)))]
    errors: [&'static str; 0],
    /// Leads to the next page, as the parameter `cursor`. Null on the last one.
    next_cursor: Option<&'a str>,
}

impl<'a> Users<'a> {
    pub fn new(page: &'a MemberPage) -> Self {
        let data = page.members.iter().map(User::new).collect();
        Self { data, errors: [], next_cursor: page.next_cursor.as_deref() }
    }
}

/// `DTO_user`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_user"))]
struct User<'a> {
    tenant_user: TenantUser<'a>,
    created_by: Option<ReferenceUser<'a>>,
    last_updated_by: Option<ReferenceUser<'a>>,
    language: Option<TranslationLanguage>,
    id: u32,
    email: &'a str,
    given_name: Option<&'a str>,
    family_name: Option<&'a str>,
    full_name: String,
    profile_pic: Option<&'a str>,
    created: Time,
    last_updated: Time,
    display_absolute_time: bool,
}

/// `DTO_tenant_user`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_tenant_user"))]
struct TenantUser<'a> {
    groups: Vec<ReferenceIsAdmin<'a>>,
    id: u32,
    tenant_id: u32,
    user_id: u32,
    /// `ENUM tenant_user_role`: 1 OWNER, 2 ADMIN, 3 USER.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = [1, 2, 3], "x-enum-varnames" = ["OWNER", "ADMIN", "USER"])))]
    role: u8,
    /// `ENUM tenant_user_status`: 0 UNKNOWN, for an invitation, 1 ACTIVE, 2 DEACTIVE.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = [0, 1, 2], "x-enum-varnames" = ["UNKNOWN", "ACTIVE", "DEACTIVE"])))]
    status: u8,
    /// When the user last signed in or refreshed a session.
    last_seen: Option<Time>,
}

/// `DTO_reference_is_admin`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_reference_is_admin"))]
struct ReferenceIsAdmin<'a> {
    is_admin: bool,
    id: u32,
    label: &'a str,
}

/// `DTO_reference_user`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_reference_user"))]
struct ReferenceUser<'a> {
    profile_pic: Option<&'a str>,
    email: &'a str,
    id: u32,
    label: &'a str,
}

/// `DTO_translation_language`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_translation_language"))]
struct TranslationLanguage {
    id: u32,
    name: &'static str,
    code: &'static str,
    icon: Option<&'static str>,
    /// Spelt as the page does.
    icon_sqare: Option<&'static str>,
}

impl<'a> User<'a> {
    fn new(view: &View<'a>) -> Self {
        let View { tenant, member, picture, .. } = *view;
        Self {
            tenant_user: TenantUser {
                groups: groups(view),
                id: member.id.number(),
                tenant_id: tenant.id.number(),
                user_id: member.user.number(),
                role: role_number(member.built_in_role()),
                status: status_number(member.status),
                last_seen: member.last_seen,
            },
            created_by: member.meta.created_by.as_ref().map(ReferenceUser::new),
            last_updated_by: member.meta.updated_by.as_ref().map(ReferenceUser::new),
            language: member.language.as_deref().and_then(Language::by_code).map(|it| TranslationLanguage {
                id: it.id,
                name: it.name,
                code: it.code,
                icon: None,
                icon_sqare: None,
            }),
            id: member.user.number(),
            email: &member.email,
            given_name: member.first_name.as_deref().map(str::trim_end),
            family_name: member.last_name.as_deref(),
            full_name: member.name(),
            profile_pic: picture,
            created: member.meta.created_at,
            last_updated: member.meta.updated_at,
            display_absolute_time: member.absolute_time,
        }
    }
}

impl<'a> ReferenceUser<'a> {
    fn new(actor: &'a Actor) -> Self {
        Self { profile_pic: None, email: &actor.email, id: actor.user.number(), label: &actor.name }
    }
}

fn groups<'a>(view: &View<'a>) -> Vec<ReferenceIsAdmin<'a>> {
    view.groups()
        .map(|(id, label)| ReferenceIsAdmin { is_admin: view.member.manages.contains(&id), id: id.number(), label })
        .collect()
}

/// `ENUM tenant_user_role`: 1 owner, 2 admin, 3 user.
fn role_number(built_in: RoleId) -> u8 {
    match built_in {
        role::OWNER => 1,
        role::ADMIN => 2,
        _ => 3,
    }
}

/// `ENUM tenant_user_status`, which has no word for an invitation.
fn status_number(status: domain::Status) -> u8 {
    match status {
        domain::Status::Invited => 0,
        domain::Status::Active => 1,
        domain::Status::Deactivated => 2,
    }
}

/// Why a request was not done.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_response_wrap_error"))]
pub struct Failure<'a> {
    /// Always null.
    data: (),
    errors: &'a [String],
}

/// `{"data": null, "errors": […]}`. This API knows no 409 and no 422: those are 400.
fn problem(problem: &Problem) -> (u16, Value) {
    let status = match problem.status() {
        409 | 422 => 400,
        status => status,
    };
    let errors: Vec<String> = match problem {
        Problem::Invalid(faults) => listed(faults),
        Problem::Forbidden(denial) if !denial.notices.is_empty() => denial.notices.clone(),
        problem => vec![problem.to_string()],
    };
    (status, json!(Failure { data: (), errors: &errors }))
}
