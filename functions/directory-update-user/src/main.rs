use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call};
use shared::dialect::directory::{Role, Status, User};
use shared::id::UserId;
use shared::json::{self, Clearable, Faults, Optional, Required, Wire};
use shared::members::{Fields, Groups, Roles, Target, Update, View};
use shared::problem::Fault;
use shared::{Dialect, Problem};

/// `DTO_tenant_user_update`
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    groups: Clearable<Vec<Reference>>,
    role: Optional<Role>,
    status: Optional<Status>,
}

/// `DTO_reference`: the rest of it is read-only.
struct Reference {
    id: i64,
}

impl Wire for Reference {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            id: Required<i64>,
        }
        let mut faults = Faults::default();
        let id = faults.required("id", json::object::<Object>(value)?.id);
        id.map(|id| Reference { id }).ok_or_else(|| faults.nested())
    }
}

/// `PUT /api/{tenant}/{version}/users/{id}`: replaces a member's groups, built-in role and status, as far as they are
/// given (seed 002). The version is `v1` or `v1.0`.
///
/// Needs the role `admin` or `owner`, and `member:set-groups`, `member:assign-role` and `member:set-status` for what is given.
async fn update_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    if !matches!(call.path("version"), "v1" | "v1.0") {
        return Err(Problem::NotFound("version of the API"));
    }
    let caller = app.bearer(call).await?;
    let (body, write) = call.write::<Body>()?;
    let mut faults = Faults::default();
    let groups = faults.clearable("groups", body.groups);
    let role = faults.optional("role", body.role);
    let status = faults.optional("status", body.status);
    // A number that is too large for an id is nobody's: not found.
    let user = call.path_digits("id").map_err(|fault| faults.0.push(fault)).ok().and_then(UserId::parse);
    faults.check()?;
    caller.same_slug(call.path("tenant"))?;

    let update = Update {
        roles: role.map(|role| Roles::BuiltIn(role.0)),
        status: status.map(|status| status.0),
        groups: groups
            .value_or_default()
            .map(|groups| Groups::Exactly(groups.into_iter().map(|group| group.id).collect())),
        fields: Fields { groups: "groups", ..Fields::default() },
        ..Update::default()
    };
    let target = Target::User(user);
    app.update_member(call, &caller, target, &update, &write, render).await
}

fn render(view: &View) -> Value {
    json!({ "data": User::new(view), "errors": [] })
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Directory, |app, call| Box::pin(update_user(app, call)))
}
