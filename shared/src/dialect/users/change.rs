//! The changes of one user: what a call does, and a line of a batch or of an import.

use domain::id::{GroupId, RoleId, TenantId, UserId};
use domain::member::change::{Fields, Groups, Roles};
use domain::{MemberEdit, Problem, Status};
use serde_json::{Value, json};

use super::{ListedUser, User, UserFields};
use crate::answer::Answer;
use crate::gate::{Plan, Reads, View};
use crate::http::json::{Address, Faulty, Object};

/// A user to add. Without `status` they are invited; without `roles` they get the role of new members.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserCreation {
    /// The address of the person; unique in the tenant without regard to case. Who has it in another tenant is the same user.
    email: Address,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    fields: UserFields,
}

impl UserCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (email, fields) = (body.required("email"), UserFields::read(body));
        Ok(Self { email: email?, fields })
    }

    /// What the request says, and no more.
    pub(super) fn plain_edit(self, tenant: TenantId) -> MemberEdit {
        MemberEdit { email: Some(self.email.0), ..self.fields.edit(tenant) }
    }

    pub fn edit(self, tenant: TenantId) -> MemberEdit {
        let edit = self.plain_edit(tenant);
        MemberEdit { roles: edit.roles.or(Some(Roles::Default)), status: edit.status.or(Some(Status::Invited)), ..edit }
    }
}

/// The fields to change. Those that are not given stay.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserPatch {
    /// The user's address in this tenant.
    email: Option<Address>,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    fields: UserFields,
}

impl UserPatch {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { email: body.optional("email"), fields: UserFields::read(body) })
    }

    pub fn edit(self, tenant: TenantId) -> MemberEdit {
        MemberEdit { email: self.email.map(|email| email.0), ..self.fields.edit(tenant) }
    }
}

/// How the user is in the group.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GroupMembership {
    /// Whether the user manages the group. It stays if it is not given.
    pub is_admin: Option<bool>,
}

impl GroupMembership {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { is_admin: body.optional("is_admin") })
    }
}

/// The edit that gives or takes one role. `None` is an id that cannot exist.
pub fn roles(change: fn(Option<RoleId>) -> Roles, role: Option<RoleId>) -> MemberEdit {
    MemberEdit {
        roles: Some(change(role)),
        fields: Fields { roles: "role", ..Fields::default() },
        ..MemberEdit::default()
    }
}

/// The edit that puts a user into a group, or takes them out. `None` is an id that cannot exist.
pub fn joining(
    change: fn(Option<GroupId>, Option<bool>) -> Groups,
    group: Option<GroupId>,
    as_admin: Option<bool>,
) -> MemberEdit {
    MemberEdit {
        groups: Some(change(group, as_admin)),
        fields: Fields { groups: "group", ..Fields::default() },
        ..MemberEdit::default()
    }
}

/// A change of one user. `None` in place of a user is an id that cannot be anybody's.
#[derive(Clone, Debug)]
pub enum Change {
    Create(Box<MemberEdit>),
    Update(Option<UserId>, Box<MemberEdit>),
    Remove(Option<UserId>),
    Restore(Option<UserId>),
}

impl Change {
    /// What it takes to plan the change.
    pub fn reads(&self) -> Reads {
        match self {
            Change::Create(edit) => Reads::person(edit.email.as_deref().unwrap_or_default()).naming(edit),
            Change::Update(user, edit) => Reads::member(*user).naming(edit),
            Change::Remove(user) => Reads::member(*user).unshown(),
            Change::Restore(user) => Reads::member(*user),
        }
    }

    /// Plans the change, and makes its answer. A batch and a job show users as lists do: without their pictures.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn plan(&self, plan: &mut Plan, is_listed: bool) -> Result<Answer, Problem> {
        let shown =
            |view: &View| -> Value { if is_listed { json!(ListedUser::new(view)) } else { json!(User::new(view)) } };
        let (status, member) = match self {
            Change::Create(edit) => (201, plan.add_member(edit)?),
            Change::Update(user, edit) => (200, plan.update(plan.facts().member(*user)?, edit)),
            Change::Restore(user) => (200, plan.restore(plan.facts().removed(*user)?)),
            Change::Remove(user) => {
                plan.remove_member(plan.facts().member(*user)?);
                return Ok(Answer::empty(204));
            }
        };
        let view = plan.view(&member);
        let answer = Answer::json(status, &shown(&view)).with_etag(view.version());
        Ok(match status {
            201 => answer.with_header("location", format!("/v1/users/{}", member.user.uuid())),
            _ => answer,
        })
    }
}
