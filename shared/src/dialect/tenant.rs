//! `tenant`: `{"status","message","data","errors"}` and `{"error","message","code"}` (seed 000).

use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::gate::View;
use crate::gate::list::MemberPage;
use crate::http::{Dialect, Paging};
use domain::Time;
use domain::problem::{Problem, listed};

pub static TENANT: Dialect = Dialect {
    name: "tenant",
    pictures: false,
    names: false,
    paging: Paging::IN_CAMEL_CASE,
    echoes_request_id: false,
    problem,
};

/// A user's role in a tenant, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantUserRoleResponse"))]
pub struct Success<'a> {
    /// The status of the answer.
    status: u16,
    message: &'static str,
    data: UserRole<'a>,
    /// Always empty.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<String>", length(max = 0)))]
    errors: [&'static str; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantUserRole"))]
struct UserRole<'a> {
    tenant_id: Uuid,
    user_id: Uuid,
    role_id: Option<Uuid>,
    role: Option<Role<'a>>,
    updated_at: Time,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantRole"))]
struct Role<'a> {
    id: Uuid,
    name: &'a str,
}

impl<'a> Success<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { status: 200, message: "Success", data: UserRole::new(view), errors: [] }
    }
}

/// A page of the users of a tenant, wrapped.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantUserRolesResponse"))]
pub struct Users<'a> {
    /// The status of the answer.
    status: u16,
    message: &'static str,
    data: Vec<UserRole<'a>>,
    /// Always empty.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<String>", length(max = 0)))]
    errors: [&'static str; 0],
    /// Leads to the next page, as the parameter `cursor`. Null on the last one.
    next_cursor: Option<&'a str>,
}

impl<'a> Users<'a> {
    pub fn new(page: &'a MemberPage) -> Self {
        let data = page.members.iter().map(UserRole::new).collect();
        Self { status: 200, message: "Success", data, errors: [], next_cursor: page.next_cursor.as_deref() }
    }
}

impl<'a> UserRole<'a> {
    fn new(view: &View<'a>) -> Self {
        let role = view.catalog.roles(&view.member.roles).next();
        Self {
            tenant_id: view.tenant.id.uuid(),
            user_id: view.member.user.uuid(),
            role_id: role.map(|role| role.id.uuid_in(view.tenant.id)),
            role: role.map(|role| Role { id: role.id.uuid_in(view.tenant.id), name: &role.name }),
            updated_at: view.member.meta.updated_at,
        }
    }
}

/// Why a request was not done.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantFailure"))]
pub struct Failure<'a> {
    /// The reason phrase of the status.
    error: &'static str,
    message: String,
    /// The status.
    code: u16,
    /// Each cause, where there are several.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [String],
}

/// `{"error": reason phrase, "message", "code": status}`, with `errors` where there are several causes.
fn problem(problem: &Problem) -> (u16, Value) {
    let status = problem.status();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let message = match problem {
        Problem::NotFound(_) => "The requested resource was not found".to_owned(),
        problem => problem.to_string(),
    };
    let errors: Vec<String> = match problem {
        Problem::Invalid(faults) if faults.len() > 1 => listed(faults),
        Problem::Forbidden(denial) if denial.notices.len() > 1 => denial.notices.clone(),
        _ => Vec::new(),
    };
    (status, json!(Failure { error: reason, message, code: status, errors: &errors }))
}
