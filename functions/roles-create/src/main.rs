use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Role, USERS};
use shared::domain::role::{MAX_PERMISSIONS, is_name, is_permission};
use shared::domain::{self, Time};
use shared::id::RoleId;
use shared::json::{Faulty, Object, Text, Wire};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RoleCreation"))]
struct Body {
    /// Unique in the tenant without regard to case, and neither a number nor a UUID.
    name: Text<250>,
    description: Option<Text<250>>,
    /// 1 (if it is not given) or 2. A member of a lower rank can neither give the role nor change a member who holds it.
    #[cfg_attr(test, schemars(extend("enum" = [1, 2])))]
    rank: Option<i64>,
    /// Up to 200, none twice; none if it is not given.
    #[cfg_attr(test, schemars(length(max = MAX_PERMISSIONS)))]
    permissions: Option<Vec<Permission>>,
}

/// A permission that the role grants or denies.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RoleCreationPermission"))]
struct Permission {
    /// `resource:action`, of ASCII letters, digits and `._/-`, or `*` for everything.
    #[cfg_attr(test, schemars(regex(pattern = r"^(\*|[A-Za-z0-9._/-]+(:[A-Za-z0-9._/-]+)+)$")))]
    name: Text<100>,
    description: Option<Text<250>>,
    /// `true` (if it is not given) grants; `false` denies, which wins over every grant.
    access: Option<bool>,
}

impl Wire for Permission {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (name, description) = (object.required::<Text<100>>("name"), object.optional("description"));
            let access = object.optional("access");
            let read = Self { name: name?, description, access };
            if !is_permission(&read.name.0) {
                object.refuse(Fault::here(Wrong::Syntax("`resource:action` or `*`")).within("name"));
            }
            Ok(read)
        })
    }
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (name, description) = (body.required::<Text<250>>("name"), body.optional("description"));
        let (rank, permissions) = (body.optional("rank"), body.optional::<Vec<Permission>>("permissions"));
        if name.as_ref().is_ok_and(|name| !is_name(&name.0)) {
            body.refuse(Fault::here(Wrong::Syntax("a name that is neither a number nor a UUID")).within("name"));
        }
        if rank.is_some_and(|rank| !(1..=2).contains(&rank)) {
            body.refuse(Fault::here(Wrong::OutOfRange(1, 2)).within("rank"));
        }
        let mut names = BTreeSet::new();
        for (index, permission) in permissions.iter().flatten().enumerate() {
            if !names.insert(&permission.name.0) {
                let repeated = Wrong::Syntax("a name that is not there twice");
                body.refuse(Fault::here(repeated).within("name").within(index).within("permissions"));
            }
        }
        if permissions.iter().flatten().count() > MAX_PERMISSIONS {
            body.refuse(Fault::here(Wrong::TooLong(MAX_PERMISSIONS)).within("permissions"));
        }
        Ok(Self { name: name?, description, rank, permissions })
    }

    fn role(&self, id: RoleId, now: Time) -> domain::Role {
        let permission = |it: &Permission| domain::Permission {
            name: it.name.0.clone(),
            description: it.description.as_ref().map(|text| text.0.clone()),
            access: it.access.unwrap_or(true),
        };
        domain::Role {
            description: self.description.as_ref().map(|text| text.0.clone()),
            rank: if self.rank == Some(2) { 2 } else { 1 },
            permissions: self.permissions.iter().flatten().map(permission).collect(),
            ..domain::Role::new(id, &self.name.0, now)
        }
    }
}

/// `POST /v1/roles`: makes a role of the tenant's own.
///
/// Needs `role:create`, and every permission and the rank that the role gets.
async fn create_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let body = users::in_tenant(call, &caller, body, Body::read)?;
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let id = plan.number(|numbers| &mut numbers.roles)?;
        let role = plan.create(body.role(id, plan.facts().now()));
        let shown = Role::new(&role, caller.tenant);
        let place = format!("/v1/roles/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, |app, call| Box::pin(create_role(app, call)))
}

#[test]
fn description() {
    use openapi::{Operation, uuid_in_header};
    Operation::new(&USERS)
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Body::read)
        .created::<Role>()
        .describe();
}
