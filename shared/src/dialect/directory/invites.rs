//! Invitations of this dialect: `DTO_user_invite`.

use domain::member::change::{Fields, Groups, MAX_GROUPS, Roles};
#[cfg(feature = "openapi")]
use domain::member::invitation::MAX_INVITED;
use domain::problem::{Fault, Wrong};
use domain::{MemberEdit, Problem, Time};
use serde::Serialize;
use serde_json::Value;

use super::{Role, groups, role_number};
use crate::dialect::users::addresses;
use crate::gate::{SEATS, View};
use crate::http::json::{Address, Faulty, Object};

/// `DTO_user_invite_create`
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_user_invite_create"))]
pub struct InvitesCreation {
    /// 1 to 100 addresses, none twice.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_INVITED), extend("uniqueItems" = true)))]
    emails: Vec<Address>,
    /// The numbers of groups that each person gets.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_GROUPS)))]
    group_ids: Option<Vec<i64>>,
    /// Without it, each person gets the role of new members.
    tenant_role: Option<Role>,
}

impl InvitesCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let emails = addresses(object, "emails");
        let (group_ids, tenant_role) = (object.optional::<Vec<i64>>("group_ids"), object.optional("tenant_role"));
        if group_ids.as_ref().is_some_and(|groups| groups.len() > MAX_GROUPS) {
            object.refuse(Fault::here(Wrong::TooLong(MAX_GROUPS)).within("group_ids"));
        }
        Ok(Self { emails: emails?, group_ids, tenant_role })
    }

    /// The addresses, and what each person gets.
    pub fn wanted(self) -> (Vec<String>, MemberEdit) {
        let emails = self.emails.into_iter().map(|Address(email)| email).collect();
        let groups = self.group_ids.filter(|groups| !groups.is_empty());
        let edit = MemberEdit {
            roles: Some(self.tenant_role.map_or(Roles::Default, |role| Roles::Exactly(vec![role.0.to_string()]))),
            groups: groups.map(|groups| Groups::Exactly(groups.into_iter().map(Into::into).collect())),
            fields: Fields { roles: "tenant_role", groups: "group_ids", ..Fields::default() },
            ..MemberEdit::default()
        };
        (emails, edit)
    }
}

/// `DTO_user_invite`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_user_invite"))]
pub struct Invite<'a> {
    /// The number of the invited user.
    id: u32,
    email: &'a str,
    tenant_id: u32,
    /// `ENUM tenant_user_role`: 1 OWNER, 2 ADMIN, 3 USER.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = [1, 2, 3], "x-enum-varnames" = ["OWNER", "ADMIN", "USER"])))]
    tenant_role: u8,
    group_ids: Vec<u32>,
    created: Time,
    expires: Option<Time>,
    /// What the person shows who accepts. No answer shows it again.
    secret: &'a str,
}

impl<'a> Invite<'a> {
    pub fn new(view: &View<'a>, secret: &'a str) -> Self {
        let View { tenant, member, .. } = *view;
        let invitation = member.invitation.as_ref();
        Self {
            id: member.user.number(),
            email: &member.email,
            tenant_id: tenant.id.number(),
            tenant_role: role_number(member.built_in_role()),
            group_ids: groups(view).into_iter().map(|group| group.id).collect(),
            created: invitation.map_or(member.meta.created_at, |it| it.made_at),
            expires: invitation.map(|it| Time::from_millis(it.expires_at.saturating_mul(1_000))),
            secret,
        }
    }
}

/// `DTO_user_invites`
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_user_invites"))]
struct Invites {
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<Invite>"))]
    invites: Vec<Value>,
    /// How many addresses got no invitation, because the tenant has no seat left.
    capped_amount: usize,
}

/// `DTO_response_wrap` of invitations.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "DTO_response_wrap_invites"))]
pub struct WrappedInvites {
    data: Invites,
    /// Why other addresses got no invitation: each begins with the address.
    errors: Vec<String>,
}

impl WrappedInvites {
    pub fn new(emails: &[String], lines: Vec<Result<Value, Problem>>) -> Self {
        let mut wrapped = Self { data: Invites { invites: Vec::new(), capped_amount: 0 }, errors: Vec::new() };
        for (email, line) in emails.iter().zip(lines) {
            match line {
                Ok(invite) => wrapped.data.invites.push(invite),
                Err(Problem::LimitReached(SEATS, _)) => wrapped.data.capped_amount += 1,
                Err(why) => wrapped.errors.push(format!("{email}: {why}")),
            }
        }
        wrapped
    }
}
