//! `users`: the dialect of our own larger API, too (seed 001).

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::by_field;
use crate::members::View;
use crate::problem::{Problem, Reference};
use crate::time::Time;

/// A member of the tenant.
#[derive(Serialize)]
pub struct User<'a> {
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub email: &'a str,
    pub name: String,
    /// Names of roles.
    pub roles: Vec<&'a str>,
    pub is_owner: bool,
    /// A data URI of at most 256 KiB.
    pub picture: Option<&'a str>,
    pub auth_provider: &'a str,
    /// `invited`, `active` or `deactivated`
    pub status: &'static str,
    pub groups: Vec<Group<'a>>,
    pub created_at: Time,
    pub updated_at: Time,
    pub version: u64,
}

#[derive(Serialize)]
pub struct Group<'a> {
    pub id: Uuid,
    pub name: &'a str,
    pub is_admin: bool,
}

impl<'a> User<'a> {
    pub fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, picture } = *view;
        let groups = member.groups.iter().filter_map(|id| catalog.group(*id));
        Self {
            id: member.user.uuid(),
            tenant_id: tenant.id.uuid(),
            email: &member.email,
            name: member.name(),
            roles: catalog.roles(&member.roles).map(|role| role.name.as_str()).collect(),
            is_owner: member.is_owner(),
            picture,
            auth_provider: &member.auth_provider,
            status: member.status.as_str(),
            groups: groups
                .map(|group| Group {
                    id: group.id.uuid(),
                    name: &group.name,
                    is_admin: member.manages.contains(&group.id),
                })
                .collect(),
            created_at: member.created_at,
            updated_at: member.updated_at,
            version: member.version,
        }
    }
}

/// `{"code", "message", "details", "notices"}`, always all four.
pub fn problem(problem: &Problem) -> (u16, Value) {
    let details = match problem {
        Problem::Invalid(faults) => json!({ "fields": by_field(faults) }),
        Problem::Forbidden(denial) => json!({ "rule": denial.rule, "action": denial.action }),
        Problem::InvalidReference { kind: Reference::Role, values, .. } => json!({ "roles": values }),
        Problem::InvalidReference { kind: Reference::Group, values, .. } => json!({ "groups": values }),
        Problem::InvalidReference { kind: Reference::Label, values, .. } => json!({ "labels": values }),
        _ => json!({}),
    };
    let notices: &[String] = match problem {
        Problem::Forbidden(denial) => &denial.notices,
        _ => &[],
    };
    let body = json!({
        "code": problem.code(),
        "message": problem.to_string(),
        "details": details,
        "notices": notices,
    });
    (problem.status(), body)
}
