//! `membership`: `{"data"}` and `{"error": {"code", "message", "details"}}` (seed 003).

use serde::Serialize;
use serde_json::{Value, json};

use super::by_field;
use crate::members::View;
use crate::model::role;
use crate::problem::{Problem, dotted};
use crate::time::Time;

/// A user in an organization.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserOrganization {
    user_id: u32,
    organization_id: u32,
    /// 1 manages, 2 is a member.
    scope: u8,
    permissions: Permissions,
    deleted_at: Option<Time>,
    updated_at: Time,
    created_at: Time,
}

/// Numbers of groups.
#[derive(Serialize)]
struct Permissions {
    group: Option<u32>,
    read: Vec<u32>,
    manage: Vec<u32>,
}

impl UserOrganization {
    pub fn new(view: &View) -> Self {
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
            updated_at: member.updated_at,
            created_at: member.created_at,
        }
    }
}

/// `{"error": {"code", "message", "details"}}`, `details` by field.
pub fn problem(problem: &Problem) -> (u16, Value) {
    let details = match problem {
        Problem::Invalid(faults) => by_field(faults),
        Problem::InvalidReference { place, values, .. } => json!({ dotted(place): values }),
        Problem::Forbidden(denial) => json!({ "rule": denial.rule, "notices": denial.notices }),
        _ => json!({}),
    };
    (
        problem.status(),
        json!({ "error": { "code": problem.code(), "message": problem.to_string(), "details": details } }),
    )
}
