use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call};
use shared::dialect::users::User;
use shared::id::{TenantId, UserId, parse_uuid};
use shared::json::{Faults, Optional, Text};
use shared::members::{Fields, Roles, Target, Update, View};
use shared::problem::Wrong;
use shared::{Dialect, Problem};

/// The most roles that a member can be given.
const MAX_ROLES: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserUpdate"))]
#[cfg_attr(test, schemars(extend("if" = has("name"), "else" = has("roles"))))]
struct Body {
    /// A full name: what stands behind its last space is the last name.
    name: Optional<Text<250>>,
    /// 1 to 50 names or UUIDs of roles, none twice.
    #[cfg_attr(test, schemars(length(min = 1, max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Optional<Vec<Text<250>>>,
}

/// The schema of an object that has a member, for the API reference: `anyOf` would leave generators without a type.
#[cfg(test)]
fn has(name: &str) -> Value {
    json!({ "properties": { name: true }, "required": [name] })
}

/// `PUT /v1/users/{id}`: updates a user's name and roles (seed 001).
///
/// At least one of them is given; what is not stays as it is.
///
/// Needs `member:update-profile` for the name and `member:assign-role` for the roles; anybody may change their own name and
/// give up roles of their own.
async fn update_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, write) = call.write::<Body>()?;
    let mut faults = Faults::default();
    let name = faults.optional("name", body.name);
    let roles = faults.optional("roles", body.roles);
    if faults.0.is_empty() && name.is_none() && roles.is_none() {
        faults.add(["body"], Wrong::NothingOf("`name` and `roles`"));
    }
    if roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
        faults.add(["body", "roles"], Wrong::TooLong(MAX_ROLES));
    }
    let user = parse_uuid(call.path("id"));
    if user.is_none() {
        faults.add(["path", "id"], Wrong::Uuid);
    }
    let tenant = call.header("x-tenant-id");
    if tenant.and_then(parse_uuid).is_none() {
        faults.add(["header", "X-Tenant-ID"], if tenant.is_some() { Wrong::Uuid } else { Wrong::Missing });
    }
    faults.check()?;
    caller.same_tenant(tenant.and_then(parse_uuid).and_then(TenantId::from_uuid))?;

    let mut update = Update {
        roles: roles.map(|roles| Roles::Exactly(roles.into_iter().map(|role| role.0).collect())),
        fields: Fields { roles: "roles", ..Fields::default() },
        ..Update::default()
    };
    if let Some(name) = name {
        update.set_name(&name.0);
    }
    let target = Target::User(user.and_then(UserId::from_uuid));
    app.update_member(call, &caller, target, &update, &write, render).await
}

fn render(view: &View) -> Value {
    json!(User::new(view))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Users, |app, call| Box::pin(update_user(app, call)))
}

#[test]
fn description() {
    use shared::openapi::{Operation, schema_of, uuid_in_header};
    Operation::new(Dialect::Users)
        .path("id", "The user's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body::<Body>()
        .answer::<User>()
        .describe();
}
