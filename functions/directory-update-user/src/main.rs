use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::directory::{self, DIRECTORY, Role, Status, Wrap};
use shared::domain::Patch;
use shared::domain::member::change::{Fields, Groups, MemberEdit, Roles};
use shared::id::UserId;
use shared::json::{Faulty, Object, Wire};
use shared::problem::Fault;
use shared::{Answer, App, Call, Problem, Reads};

/// `DTO_tenant_user_update`
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "DTO_tenant_user_update"))]
struct Body {
    /// The groups that the member is in from now on; `null` for none. A manager of a group that stays still manages it.
    groups: Patch<Vec<Reference>>,
    /// Replaces the built-in role; the tenant's own roles stay.
    role: Option<Role>,
    status: Option<Status>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { groups: body.clearable("groups"), role: body.optional("role"), status: body.optional("status") })
    }

    fn update(self) -> MemberEdit {
        let groups = self.groups.value_or_default();
        MemberEdit {
            roles: self.role.map(|role| Roles::BuiltIn(role.0)),
            status: self.status.map(|status| status.0),
            groups: groups.map(|groups| Groups::Exactly(groups.into_iter().map(|group| group.id.into()).collect())),
            fields: Fields { groups: "groups", ..Fields::default() },
            ..MemberEdit::default()
        }
    }
}

/// `DTO_reference`: the rest of it is read-only.
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "DTO_reference"))]
struct Reference {
    id: i64,
}

impl Wire for Reference {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| Ok(Self { id: object.required("id")? }))
    }
}

/// `PUT /api/{tenant}/{version}/users/{id}`: updates a user's role, groups and status on a tenant (seed 002).
///
/// What is not given stays as it is.
///
/// Needs the role `admin` or `owner`, and `member:set-groups`, `member:assign-role` and `member:set-status` for what is given.
async fn update_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    directory::version(call)?;
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (update, id) = body.all(|body| {
        let (read, id) = (Body::read(body), body.join(call.path_digits("id")));
        Ok((read?.update(), id?))
    })?;
    caller.same_slug(call.path("tenant"))?;
    // No user has a number that is too large for an id: 404.
    let user = UserId::parse(id);
    app.change(call, &caller, Reads::member(user).naming(&update), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &update);
        let view = plan.view(&member);
        Ok(Answer::json(200, &json!(Wrap::new(&view))).with_etag(view.version()).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&DIRECTORY, |app, call| Box::pin(update_user(app, call)))
}

#[test]
fn description() {
    openapi::Operation::new(&DIRECTORY)
        .directory()
        .path("id", "The user's number.", openapi::int32())
        .body(Body::read)
        .answer::<Wrap>()
        .describe();
}
