use serde::Deserialize;
use serde_json::{Value, json};
use shared::app::App;
use shared::call::{Answer, Call};
use shared::dialect::membership::Success;
use shared::id::UserId;
use shared::json::{self, Clearable, Faults, MAX_SAFE_INTEGER, Optional, Patch, TextOrEmpty, Wire};
use shared::members::{Fields, Groups, Roles, Target, Update, View};
use shared::problem::{Fault, Wrong};
use shared::{Dialect, Problem};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserOrganizationUpdate"))]
struct Body {
    /// Empty clears it, like `null`.
    first_name: Clearable<TextOrEmpty<250>>,
    /// Empty clears it, like `null`.
    last_name: Clearable<TextOrEmpty<250>>,
    /// The number of a label.
    profession_id: Clearable<i64>,
    /// 1 for a manager, 2 for a member.
    #[cfg_attr(test, schemars(with = "Optional<i64>", extend("enum" = [1, 2], "x-enum-varnames" = ["MANAGER", "MEMBER"])))]
    scope: Optional<Scope>,
    permissions: Clearable<Permissions>,
}

/// 1 for a manager, 2 for a member.
struct Scope {
    manager: bool,
}

impl Wire for Scope {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match i64::read(value)? {
            1 => Ok(Scope { manager: true }),
            2 => Ok(Scope { manager: false }),
            _ => Err(vec![Fault::here(Wrong::NotOneOf("1, 2"))]),
        }
    }
}

/// Numbers of groups: the primary one, those that the user may read, those that the user manages.
#[derive(Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(default, rename = "UserOrganizationPermissionsUpdate"))]
struct Permissions {
    /// The primary one, which the user may read, too.
    group: Patch<i64>,
    /// All that the user may read; those that the user manages are among them.
    read: Patch<Vec<i64>>,
    /// All that the user manages.
    manage: Patch<Vec<i64>>,
}

impl Wire for Permissions {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            group: Clearable<i64>,
            read: Clearable<Vec<i64>>,
            manage: Clearable<Vec<i64>>,
        }
        let Object { group, read, manage } = json::object(value)?;
        let mut faults = Faults::default();
        let permissions = Permissions {
            group: faults.clearable("group", group),
            read: faults.clearable("read", read),
            manage: faults.clearable("manage", manage),
        };
        if faults.0.is_empty() { Ok(permissions) } else { Err(faults.nested()) }
    }
}

/// `PATCH /users-organizations/v1/rs/users/{userId}`: updates a user in an organization (seed 003).
///
/// Names, profession, scope and groups; what is not given stays as it is.
///
/// Needs `member:update-profile`, `member:assign-role` and `member:set-groups` for what is given; anybody may change their
/// own names and profession, and give up a scope and groups of their own.
async fn update_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer_and_session(call).await?;
    let (body, write) = call.write::<Body>()?;
    let mut faults = Faults::default();
    let scope = faults.optional("scope", body.scope);
    let permissions = match faults.clearable("permissions", body.permissions) {
        Patch::Keep => None,
        Patch::Clear => Some(Permissions { group: Patch::Clear, read: Patch::Clear, manage: Patch::Clear }),
        Patch::Set(permissions) => Some(permissions),
    };
    let update = Update {
        first_name: faults.clearable("firstName", body.first_name).map(|name| name.0).flatten(),
        last_name: faults.clearable("lastName", body.last_name).map(|name| name.0).flatten(),
        profession: faults.clearable("professionId", body.profession_id),
        roles: scope.map(|scope| Roles::Manager(scope.manager)),
        groups: permissions.map(|it| Groups::Parts {
            primary: it.group,
            read: it.read.value_or_default(),
            manage: it.manage.value_or_default(),
        }),
        fields: Fields { roles: "scope", groups: "permissions", profession: "professionId" },
        ..Update::default()
    };
    let target = match call.path("userId") {
        "me" => Target::Me,
        _ => match call.path_integer("userId", -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) {
            Ok(user) => Target::User(UserId::try_from(user).ok()),
            Err(fault) => {
                faults.0.push(fault);
                Target::User(None)
            }
        },
    };
    faults.check()?;
    app.update_member(call, &caller, target, &update, &write, render).await
}

fn render(view: &View) -> Value {
    json!(Success::new(view))
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(Dialect::Membership, |app, call| Box::pin(update_user(app, call)))
}

#[test]
fn description() {
    use schemars::json_schema;
    let number = json_schema!({ "type": "integer", "minimum": -MAX_SAFE_INTEGER, "maximum": MAX_SAFE_INTEGER });
    let user = json_schema!({ "anyOf": [number, { "type": "string", "enum": ["me"] }] });
    shared::openapi::Operation::new(Dialect::Membership)
        .path("userId", "The user's number, or `me` for the caller.", user)
        .body::<Body>()
        .answer::<Success>()
        .describe();
}
