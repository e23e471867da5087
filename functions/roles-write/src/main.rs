use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Role, USERS};
use shared::domain::meta::{MAX_EXTERNAL_ID, MAX_NAME};
use shared::domain::role::{MAX_PERMISSIONS, is_name, is_permission};
use shared::domain::{self, Patch, RoleEdit};
use shared::id::RoleId;
use shared::json::{Faulty, MetadataPatch, Object, Text, Wire, Within};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// The fields of a role that a client can set, beside the name.
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RoleFields {
    description: Patch<Text<MAX_NAME>>,
    /// 1 or 2; 1 for a new role, if it is not given. A member of a lower rank can neither give the role nor change a member who
    /// holds it.
    #[cfg_attr(test, schemars(extend("enum" = [1, 2])))]
    rank: Option<Within<1, 2>>,
    /// Up to 200, none twice: all that the role grants and denies.
    #[cfg_attr(test, schemars(length(max = MAX_PERMISSIONS)))]
    permissions: Option<Vec<Permission>>,
    /// Whether new members get it, if the request names no role. At most one role is the default.
    is_default: Option<bool>,
    /// Texts of your own, by your own keys. A key that is not given stays; `null` removes one.
    metadata: Option<MetadataPatch>,
    /// The role's id in another system; unique in the tenant.
    external_id: Patch<Text<MAX_EXTERNAL_ID>>,
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

impl RoleFields {
    fn read(body: &mut Object) -> Self {
        let read = Self {
            description: body.clearable("description"),
            rank: body.optional("rank"),
            permissions: body.optional("permissions"),
            is_default: body.optional("is_default"),
            metadata: body.optional("metadata"),
            external_id: body.clearable("external_id"),
        };
        let mut names = BTreeSet::new();
        for (index, permission) in read.permissions.iter().flatten().enumerate() {
            if !names.insert(&permission.name.0) {
                let repeated = Wrong::Syntax("a name that is listed only once");
                body.refuse(Fault::here(repeated).within("name").within(index).within("permissions"));
            }
        }
        if read.permissions.iter().flatten().count() > MAX_PERMISSIONS {
            body.refuse(Fault::here(Wrong::TooLong(MAX_PERMISSIONS)).within("permissions"));
        }
        read
    }

    fn edit(self, name: Option<RoleName>) -> RoleEdit {
        let permission = |it: Permission| domain::Permission {
            name: it.name.0,
            description: it.description.map(|text| text.0),
            access: it.access.unwrap_or(true),
        };
        RoleEdit {
            name: name.map(|RoleName(Text(name))| name),
            description: self.description.map(|text| text.0),
            rank: self.rank.map(|rank| if rank.0 == 2 { 2 } else { 1 }),
            permissions: self.permissions.map(|permissions| permissions.into_iter().map(permission).collect()),
            default: self.is_default,
            metadata: self.metadata.unwrap_or_default().0,
            external_id: self.external_id.map(|id| id.0),
            retirement: None,
        }
    }
}

/// A name that is neither a number nor a UUID, because these name roles, too.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "Text<MAX_NAME>", inline))]
struct RoleName(Text<MAX_NAME>);

impl Wire for RoleName {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let name = Text::<MAX_NAME>::read(value)?;
        match is_name(&name.0) {
            true => Ok(Self(name)),
            false => Err(vec![Fault::here(Wrong::Syntax("a name that is neither a number nor a UUID"))]),
        }
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RoleCreation"))]
struct Creation {
    /// Unique in the tenant without regard to case, and neither a number nor a UUID.
    name: RoleName,
    #[cfg_attr(test, schemars(flatten))]
    fields: RoleFields,
}

impl Creation {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (name, fields) = (body.required("name"), RoleFields::read(body));
        Ok(Self { name: name?, fields })
    }
}

/// The fields to change. Those that are not given stay.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RolePatch"))]
struct Changes {
    /// Unique in the tenant without regard to case, and neither a number nor a UUID.
    name: Option<RoleName>,
    #[cfg_attr(test, schemars(flatten))]
    fields: RoleFields,
}

impl Changes {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { name: body.optional("name"), fields: RoleFields::read(body) })
    }
}

/// `POST /v1/roles`: makes a role of the tenant's own.
///
/// Needs `role:create`, and every permission and the rank that the role gets.
async fn create_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let Creation { name, fields } = users::in_tenant(call, &caller, body, Creation::read)?;
    let edit = fields.edit(Some(name));
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let id = plan.number(|numbers| &mut numbers.roles)?;
        let role = plan.create(domain::Role::new(id, "", plan.facts().now()), &edit);
        plan.only_default(&role);
        let shown = Role::new(&role, caller.tenant);
        let place = format!("/v1/roles/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PATCH /v1/roles/{id}`: changes a role of the tenant's own. The change counts for its holders from the next request on.
///
/// Needs `role:update`, the rank of the role before and after, and every permission that a holder gains by the change. For
/// another rank it needs all permissions over members, and for another name `*`.
async fn update_role(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (changes, id) = users::in_tenant(call, &caller, body, |body| {
        let (changes, id) = (Changes::read(body), body.join(call.path_uuid("id")));
        Ok((changes?, id?))
    })?;
    let edit = changes.fields.edit(changes.name);
    let id = RoleId::from_uuid_in(id, caller.tenant);
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let role = plan.update(plan.facts().role(id)?, &edit);
        plan.only_default(&role);
        let shown = Role::new(&role, caller.tenant);
        Ok(Answer::json(200, &json!(shown)).with_etag(shown.version).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/roles" => Box::pin(create_role(app, call)),
        _ => Box::pin(update_role(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    let tenant = "The tenant's UUID: the credential's.";
    Operation::new(&USERS)
        .route("POST /v1/roles")
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .body(Creation::read)
        .created::<Role>()
        .describe();
    Operation::new(&USERS)
        .route("PATCH /v1/roles/{id}")
        .path("id", "The role's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .body(Changes::read)
        .limited()
        .named()
        .answer::<Role>()
        .describe();
}
