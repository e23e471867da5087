use serde_json::json;
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Label, USERS};
use shared::domain::meta::MAX_NAME;
use shared::domain::{self, LabelEdit};
use shared::id::LabelId;
use shared::json::{Faulty, Object, Text};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "LabelName"))]
struct Body {
    /// Unique among the labels of the tenant without regard to case.
    name: Text<MAX_NAME>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { name: body.required("name")? })
    }

    fn edit(self) -> LabelEdit {
        LabelEdit { name: Some(self.name.0) }
    }
}

/// `POST /v1/labels`: makes a label.
///
/// Needs `label:manage`.
async fn create_label(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let edit = users::in_tenant(call, &caller, body, Body::read)?.edit();
    app.change(call, &caller, Reads::none(), &conditions, &|plan| {
        let id = plan.number(|numbers| &mut numbers.labels)?;
        let label = plan.create(domain::Label::new(id, "", plan.facts().now()), &edit);
        let shown = Label::new(&plan.shown(&label));
        let place = format!("/v1/labels/{}", shown.id);
        Ok(Answer::json(201, &json!(shown)).with_etag(shown.version).with_header("location", place).into())
    })
    .await
}

/// `PATCH /v1/labels/{id}`: renames a label.
///
/// Needs `label:manage`.
async fn rename_label(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (edit, id) = users::in_tenant(call, &caller, body, |body| {
        let (read, id) = (Body::read(body), body.join(call.path_uuid("id")));
        Ok((read?.edit(), id?))
    })?;
    app.change(call, &caller, Reads::label(LabelId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        let label = plan.update(plan.facts().label()?, &edit);
        let shown = plan.shown(&label);
        Ok(Answer::json(200, &json!(Label::new(&shown))).with_etag(shown.version()).into())
    })
    .await
}

/// `DELETE /v1/labels/{id}`: deletes a label. Users who have it are left without a label.
///
/// Needs `label:manage`.
async fn delete_label(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let conditions = call.conditions()?;
    let id = users::in_tenant(call, &caller, call.parts(), |parts| parts.join(call.path_uuid("id")))?;
    app.change(call, &caller, Reads::label(LabelId::from_uuid_in(id, caller.tenant)), &conditions, &|plan| {
        plan.delete(plan.facts().label()?);
        Ok(Answer::empty(204).into())
    })
    .await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "POST /v1/labels" => Box::pin(create_label(app, call)),
        "PATCH /v1/labels/{id}" => Box::pin(rename_label(app, call)),
        _ => Box::pin(delete_label(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, uuid_in_header};
    let operation = |route| {
        let operation = Operation::new(&USERS).route(route);
        operation.header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
    };
    let of_label = |route| operation(route).path("id", "The label's UUID.", schema_of::<shared::id::Uuid>());
    operation("POST /v1/labels").body(Body::read).created::<Label>().describe();
    of_label("PATCH /v1/labels/{id}").body(Body::read).answer::<Label>().describe();
    of_label("DELETE /v1/labels/{id}").write().deleted().describe();
}
