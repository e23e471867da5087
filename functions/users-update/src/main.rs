#[cfg(test)]
use serde_json::{Value, json};
use shared::call::MAX_BODY;
use shared::dialect::users::{self, Change, USERS, UserPatch};
use shared::domain::member::change::{Fields, MAX_ROLES, MemberEdit, Roles};
use shared::id::UserId;
use shared::json::{Faulty, Object, Text};
use shared::problem::{Fault, Wrong};
use shared::{Answer, App, Boxed, Call, Problem, Reads};

#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "UserUpdate"))]
#[cfg_attr(test, schemars(extend("if" = has("name"), "else" = has("roles"))))]
struct Body {
    /// A full name: what stands behind its last space is the last name.
    name: Option<Text<250>>,
    /// 1 to 50 names or UUIDs of roles, none twice.
    #[cfg_attr(test, schemars(length(min = 1, max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<250>>>,
}

impl Body {
    fn read(body: &mut Object) -> Result<Self, Faulty> {
        let read = Self { name: body.optional("name"), roles: body.optional("roles") };
        if body.is_sound() && read.name.is_none() && read.roles.is_none() {
            body.refuse(Fault::here(Wrong::NothingOf("`name` and `roles`")));
        }
        if read.roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
            body.refuse(Fault::here(Wrong::TooLong(MAX_ROLES)).within("roles"));
        }
        Ok(read)
    }

    fn update(self) -> MemberEdit {
        let mut update = MemberEdit {
            roles: self.roles.map(|roles| Roles::Exactly(roles.into_iter().map(|role| role.0).collect())),
            fields: Fields { roles: "roles", ..Fields::default() },
            ..MemberEdit::default()
        };
        if let Some(name) = self.name {
            update.set_name(&name.0);
        }
        update
    }
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
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (update, user) = users::in_tenant(call, &caller, body, |body| {
        let (read, user) = (Body::read(body), body.join(call.path_uuid("id")));
        Ok((read?.update(), user?))
    })?;
    let user = UserId::from_uuid(user);
    app.change(call, &caller, Reads::member(user), &conditions, &|plan| {
        let member = plan.update(plan.facts().member(user)?, &update);
        Ok(users::shown(&plan.view(&member)).into())
    })
    .await
}

/// `PATCH /v1/users/{id}`: changes a user, or with `me` the caller.
///
/// Needs `member:update-profile` for names, label and language, `member:set-identity` for the address and the external id,
/// `member:set-metadata`, `member:assign-role`, `member:set-status` and `member:set-groups` for what is given. Anybody may
/// change their own names, label and language, give up roles and groups of their own, and deactivate themselves.
async fn patch_user(app: &App, call: &Call) -> Result<Answer, Problem> {
    let caller = app.bearer(call).await?;
    let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
    let (edit, user) = users::in_tenant(call, &caller, body, |body| {
        let (read, user) = (UserPatch::read(body), body.join(users::user(call, &caller)));
        Ok((read?.edit(caller.tenant), user?))
    })?;
    let change = Change::Update(user, Box::new(edit));
    app.change(call, &caller, change.reads(), &conditions, &|plan| Ok(change.plan(plan, false)?.into())).await
}

fn answer<'a>(app: &'a App, call: &'a Call) -> Boxed<'a, Answer> {
    match call.route.as_str() {
        "PATCH /v1/users/{id}" => Box::pin(patch_user(app, call)),
        _ => Box::pin(update_user(app, call)),
    }
}

fn main() -> Result<(), lambda_http::Error> {
    shared::serve(&USERS, answer)
}

#[test]
fn description() {
    use openapi::{Operation, schema_of, user_or_me, uuid_in_header};
    Operation::new(&USERS)
        .route("PATCH /v1/users/{id}")
        .path("id", "The user's UUID, or `me` for the caller.", user_or_me())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(UserPatch::read)
        .limited()
        .named()
        .answer::<users::User>()
        .describe();
    Operation::new(&USERS)
        .route("PUT /v1/users/{id}")
        .path("id", "The user's UUID.", schema_of::<shared::id::Uuid>())
        .header("X-Tenant-ID", "The tenant's UUID: the credential's.", uuid_in_header())
        .body(Body::read)
        .answer::<users::User>()
        .describe();
}
