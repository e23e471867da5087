use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::membership::{self, MEMBERSHIP, Success};
use shared::domain::Patch;
use shared::domain::member::change::{Fields, Groups, MemberEdit, Roles};
use shared::id::SpelledGroup;
use shared::json::{Faulty, Object, TextOrEmpty, Wire};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserOrganizationUpdate", rename_all = "camelCase"))]
struct Body {
    /// Empty clears it, like `null`.
    first_name: Patch<TextOrEmpty<250>>,
    /// Empty clears it, like `null`.
    last_name: Patch<TextOrEmpty<250>>,
    /// The number of a label.
    profession_id: Patch<i64>,
    /// 1 for a manager, 2 for a member.
    #[cfg_attr(test, schemars(with = "Option<i64>", extend("enum" = [1, 2], "x-enum-varnames" = ["MANAGER", "MEMBER"])))]
    scope: Option<Scope>,
    permissions: Patch<Permissions>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self {
            scope: body.optional("scope"),
            permissions: body.clearable("permissions"),
            first_name: body.clearable("firstName"),
            last_name: body.clearable("lastName"),
            profession_id: body.clearable("professionId"),
        })
    }

    fn update(self) -> MemberEdit {
        let permissions = match self.permissions {
            Patch::Keep => None,
            Patch::Clear => Some(Permissions { group: Patch::Clear, read: Patch::Clear, manage: Patch::Clear }),
            Patch::Set(permissions) => Some(permissions),
        };
        MemberEdit {
            first_name: self.first_name.map(|name| name.0).flatten(),
            last_name: self.last_name.map(|name| name.0).flatten(),
            profession: self.profession_id.map(Into::into),
            roles: self.scope.map(|scope| Roles::Manager(scope.manager)),
            groups: permissions.map(|it| Groups::Parts {
                primary: it.group.map(Into::into),
                read: it.read.value_or_default().map(spelled),
                manage: it.manage.value_or_default().map(spelled),
            }),
            fields: Fields { roles: "scope", groups: "permissions", profession: "professionId", ..Fields::default() },
            ..MemberEdit::default()
        }
    }
}

fn spelled(groups: Vec<i64>) -> Vec<SpelledGroup> {
    groups.into_iter().map(Into::into).collect()
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
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserOrganizationPermissionsUpdate"))]
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
        Object::read(value)?.all(|object| {
            Ok(Self {
                group: object.clearable("group"),
                read: object.clearable("read"),
                manage: object.clearable("manage"),
            })
        })
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
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (update, user) = body.all(|body| {
        let (read, user) = (Body::read(body), body.join(membership::user(call, &caller)));
        Ok((read?.update(), user?))
    })?;
    app.change(call, &caller, Reads::member(user).naming(&update), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &update);
        let view = plan.view(&member);
        Ok(Answer::json(200, &json!(Success::new(&view))).with_etag(view.version()).into())
    })
    .await
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&MEMBERSHIP, |app, call| Box::pin(update_user(app, call)))
}

#[test]
fn description() {
    openapi::Operation::new(&MEMBERSHIP)
        .path("userId", "The user's number, or `me` for the caller.", openapi::number_or_me())
        .body(Body::read)
        .answer::<Success>()
        .describe();
}
