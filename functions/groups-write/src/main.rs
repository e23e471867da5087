use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, ShownGroup, USERS};
use shared::domain::group::MAX_CONFERRED;
use shared::domain::meta::{MAX_EXTERNAL_ID, MAX_NAME};
use shared::domain::{Group, GroupEdit, Patch};
use shared::id::GroupId;
use shared::json::{Faulty, MetadataPatch, Object, Text};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

/// The fields of a group that a client can set, beside the name.
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct GroupFields {
    description: Patch<Text<MAX_NAME>>,
    /// Up to 50 names or UUIDs of roles, none twice, without `owner`: all that the group confers on its members.
    #[cfg_attr(test, schemars(length(max = MAX_CONFERRED), extend("uniqueItems" = true)))]
    confers: Option<Vec<Text<MAX_NAME>>>,
    /// Texts of your own, by your own keys. A key that is not given stays; `null` removes one.
    metadata: Option<MetadataPatch>,
    /// The group's id in another system; unique in the tenant.
    external_id: Patch<Text<MAX_EXTERNAL_ID>>,
}

impl GroupFields {
    fn read(body: &mut Object) -> Self {
        let read = Self {
            description: body.clearable("description"),
            confers: body.optional("confers"),
            metadata: body.optional("metadata"),
            external_id: body.clearable("external_id"),
        };
        if read.confers.as_ref().is_some_and(|roles| roles.len() > MAX_CONFERRED) {
            body.refuse(Fault::here(Wrong::TooLong(MAX_CONFERRED)).within("confers"));
        }
        read
    }

    fn edit(self, name: Option<Text<MAX_NAME>>) -> GroupEdit {
        GroupEdit {
            name: name.map(|name| name.0),
            description: self.description.map(|text| text.0),
            confers: self.confers.map(|roles| roles.into_iter().map(|role| role.0).collect()),
            metadata: self.metadata.unwrap_or_default().0,
            external_id: self.external_id.map(|id| id.0),
            retirement: None,
        }
    }
}

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "GroupCreation"))]
struct Creation {
    /// Unique among the groups of the tenant without regard to case.
    name: Text<MAX_NAME>,
    #[cfg_attr(test, schemars(flatten))]
    fields: GroupFields,
}

impl Creation {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (name, fields) = (body.required("name"), GroupFields::read(body));
        Ok(Self { name: name?, fields })
    }
}

/// The fields to change. Those that are not given stay.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "GroupPatch"))]
struct Changes {
    /// Unique among the groups of the tenant without regard to case.
    name: Option<Text<MAX_NAME>>,
    #[cfg_attr(test, schemars(flatten))]
    fields: GroupFields,
}

impl Changes {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { name: body.optional("name"), fields: GroupFields::read(body) })
    }
}

/// `POST /v1/groups`: makes a group.
///
/// Needs `group:manage`, and every permission and the rank of the roles that it confers.
async fn create_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let Creation { name, fields } = users::in_tenant(call, &caller, body, Creation::read)?;
    let edit = fields.edit(Some(name));
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let id = plan.number(|numbers| &mut numbers.groups)?;
        let group = plan.create(Group::new(id, "", plan.facts().now()), &edit);
        let shown = ShownGroup::new(&plan.shown(&group));
        let place = format!("/v1/groups/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PATCH /v1/groups/{id}`: changes a group.
///
/// Needs `group:manage`. A change of the roles that it confers needs every permission that a member of the group gains by it,
/// and the rank of the roles before and after.
async fn update_group(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (changes, id) = users::in_tenant(call, &caller, body, |body| {
        let (changes, id) = (Changes::read(body), body.join(call.path_uuid("id")));
        Ok((changes?, id?))
    })?;
    let edit = changes.fields.edit(changes.name);
    app.change(call, &caller, Reads::group(GroupId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let group = plan.update(plan.facts().group()?, &edit);
        let shown = plan.shown(&group);
        Ok(Answer::json(200, &json!(ShownGroup::new(&shown))).with_etag(shown.version()).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/groups" => Box::pin(create_group(app, call)),
        _ => Box::pin(update_group(app, call)),
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
        .route("POST /v1/groups")
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .body(Creation::read)
        .created::<ShownGroup>()
        .describe();
    Operation::new(&USERS)
        .route("PATCH /v1/groups/{id}")
        .path("id", "The group's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", tenant, uuid_in_header())
        .body(Changes::read)
        .limited()
        .named()
        .answer::<ShownGroup>()
        .describe();
}
