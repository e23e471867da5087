//! One call of each dialect, to hold all five to the same rule.

use local::token::Flaw;
use serde_json::json;
use shared::credential::Kind;
use shared::id::RoleId;

use crate::harness::{ACME, Product, Reply, USER};

/// The functions that [`Dialects`] calls: the one of each dialect that changes roles.
pub const FUNCTIONS: [&str; 5] = [
    "tenant-update-user-role",
    "users-update",
    "directory-update-user",
    "membership-update-user",
    "organization-assign-role",
];

/// The call of each dialect that makes `user@acme.example` an admin or a user, by an admin.
pub struct Dialects<'a> {
    product: &'a Product,
    access: String,
    session: String,
}

impl<'a> Dialects<'a> {
    pub async fn new(product: &'a Product) -> Self {
        let admin = ("acme", "admin@acme.example");
        Self {
            product,
            access: product.access(admin.0, admin.1).await,
            session: product.token(admin.0, admin.1, Kind::Session, Flaw::None).await,
        }
    }

    pub async fn set_role(&self, function: &str, role: RoleId) -> Reply {
        self.set_role_with(function, role, &[]).await
    }

    /// The same with further headers.
    pub async fn set_role_with(&self, function: &str, role: RoleId, further: &[(&str, &str)]) -> Reply {
        let tenant = ACME.uuid().to_string();
        let (bearer, cookie) = (format!("Bearer {}", self.access), format!("session={}", self.session));
        let admin = role == shared::domain::role::ADMIN;
        let name = if admin { "admin" } else { "user" };
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(further);
        let authorization = ("authorization", bearer.as_str());
        let (method, path, body) = match function {
            "tenant-update-user-role" => {
                headers.push(authorization);
                ("PATCH", "/api/v1/tenant/acme/user/3".to_owned(), json!({ "roleId": name }))
            }
            "users-update" => {
                headers.extend([authorization, ("x-tenant-id", tenant.as_str())]);
                ("PUT", format!("/v1/users/{}", USER.uuid()), json!({ "roles": [name] }))
            }
            "directory-update-user" => {
                headers.push(authorization);
                ("PUT", "/api/acme/v1/users/3".to_owned(), json!({ "role": if admin { 2 } else { 3 } }))
            }
            "membership-update-user" => {
                headers.extend([authorization, ("x-session-token", self.session.as_str())]);
                let body = json!({ "scope": if admin { 1 } else { 2 } });
                ("PATCH", "/main/users-organizations/v1/rs/users/3".to_owned(), body)
            }
            "organization-assign-role" => {
                headers.push(("cookie", cookie.as_str()));
                let body = json!({ "user_id": "3", "organization_id": tenant, "role_id": role.uuid_in(ACME) });
                ("PUT", "/api/v1/organizations/1/users/roles".to_owned(), body)
            }
            other => panic!("no call for {other}"),
        };
        self.product.call(method, &path, &headers, body.to_string()).await
    }
}
