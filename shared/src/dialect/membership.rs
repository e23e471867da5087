//! `membership`: `{"data"}` and `{"error": {"code", "message", "details"}}` (seed 003).

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::by_field;
use crate::gate::View;
use crate::http::Dialect;
use domain::Time;
use domain::problem::{Problem, dotted, told};
use domain::role;

pub static MEMBERSHIP: Dialect = Dialect { name: "membership", pictures: false, names: false, problem };

/// A user in an organization, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationResponse"))]
pub struct Success {
    data: UserOrganization,
}

impl Success {
    pub fn new(view: &View) -> Self {
        Self { data: UserOrganization::new(view) }
    }
}

/// A user in an organization.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct UserOrganization {
    user_id: u32,
    organization_id: u32,
    /// 1 for a manager, 2 for a member.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = [1, 2], "x-enum-varnames" = ["MANAGER", "MEMBER"])))]
    scope: u8,
    permissions: Permissions,
    deleted_at: Option<Time>,
    updated_at: Time,
    created_at: Time,
}

/// Numbers of groups.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationPermissions"))]
struct Permissions {
    /// The primary one.
    group: Option<u32>,
    /// Those that the user may read.
    read: Vec<u32>,
    /// Those that the user manages.
    manage: Vec<u32>,
}

impl UserOrganization {
    fn new(view: &View) -> Self {
        let member = view.member;
        Self {
            user_id: member.user.number(),
            organization_id: view.tenant.id.number(),
            scope: if member.built_in_role() == role::USER { 2 } else { 1 },
            permissions: Permissions {
                group: member.primary_group.map(|id| id.number()),
                read: member.groups.iter().map(|id| id.number()).collect(),
                manage: member.manages.iter().map(|id| id.number()).collect(),
            },
            deleted_at: member.deleted_at,
            updated_at: member.meta.updated_at,
            created_at: member.meta.created_at,
        }
    }
}

/// Why a request was not done, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "MembershipFailure"))]
pub struct Failure {
    error: Cause,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "MembershipFailureCause"))]
struct Cause {
    code: &'static str,
    message: String,
    /// What is wrong with each field, or what does not exist, and how many `more`; of a 403 the `rule` and its `notices`.
    details: Map<String, Value>,
}

/// `{"error": {"code", "message", "details"}}`, `details` by field.
fn problem(problem: &Problem) -> (u16, Value) {
    let (mut details, mut more) = (Map::new(), None);
    match problem {
        Problem::Invalid(faults) => (details, more) = by_field(faults),
        Problem::InvalidReference { place, values, .. } => {
            let (told, rest) = told(values);
            details.insert(dotted(place), json!(told));
            more = rest;
        }
        Problem::Forbidden(denial) => {
            details.insert("rule".to_owned(), json!(denial.rule));
            details.insert("notices".to_owned(), json!(denial.notices));
        }
        _ => {}
    }
    details.extend(more.map(|more| ("more".to_owned(), json!(more))));
    let error = Cause { code: problem.code(), message: problem.to_string(), details };
    (problem.status(), json!(Failure { error }))
}
