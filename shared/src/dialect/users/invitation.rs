//! Invitations: what a request says of them, and what an answer shows.

use std::collections::BTreeSet;

use domain::id::{Spelled, TenantId};
use domain::member::change::{Fields, Groups, MAX_GROUPS, MAX_ROLES, Roles};
use domain::member::invitation::{Inviter, LASTS, MAX_INVITED, MAX_LASTS, State};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::{MemberEdit, Problem, Time};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

#[cfg(feature = "openapi")]
use super::Failure;
use super::{Group, problem};
use crate::gate::list::MemberPage;
use crate::gate::{Facts, View};
use crate::http::json::{Address, Faulty, Object, Text, Wire, Within};

/// How long an invitation is good, in seconds.
type Lasts = Within<60, { MAX_LASTS as u32 }>;

/// People to invite.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "InvitationsCreation"))]
pub struct InvitationsCreation {
    /// 1 to 100 addresses, none twice.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_INVITED), extend("uniqueItems" = true)))]
    emails: Vec<Address>,
    /// 1 to 50 names or UUIDs of roles, none twice. Without it, each person gets the role of new members.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<MAX_NAME>>>,
    /// The UUIDs of groups, none twice.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_GROUPS), extend("uniqueItems" = true)))]
    groups: Option<Vec<Uuid>>,
    /// How long the invitations are good, in seconds: 7 days if you do not say, 30 days at most.
    expires_in: Option<Lasts>,
}

/// The addresses of one request: 1 to 100, none twice.
///
/// # Errors
/// They are missing, or are no list of addresses.
pub fn addresses(object: &mut Object, name: &'static str) -> Result<Vec<Address>, Faulty> {
    let emails: Vec<Address> = object.required(name)?;
    let mut seen = BTreeSet::new();
    for (index, Address(email)) in emails.iter().enumerate() {
        if !seen.insert(email.to_lowercase()) {
            let repeated = Wrong::Syntax("an address that is listed only once");
            object.refuse(Fault::here(repeated).within(index).within(name));
        }
    }
    if emails.is_empty() {
        object.refuse(Fault::here(Wrong::Empty).within(name));
    }
    if emails.len() > MAX_INVITED {
        object.refuse(Fault::here(Wrong::TooLong(MAX_INVITED)).within(name));
    }
    Ok(emails)
}

/// What a new member gets: the names or UUIDs of roles, and the UUIDs of groups.
pub(super) type RolesAndGroups = (Option<Vec<Text<MAX_NAME>>>, Option<Vec<Uuid>>);

/// The roles and groups of a body.
pub(super) fn roles_and_groups(object: &mut Object) -> RolesAndGroups {
    let (roles, groups): RolesAndGroups = (object.optional("roles"), object.optional("groups"));
    if roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
        object.refuse(Fault::here(Wrong::TooLong(MAX_ROLES)).within("roles"));
    }
    let mut seen = BTreeSet::new();
    for (index, group) in groups.iter().flatten().enumerate() {
        if !seen.insert(group) {
            let repeated = Wrong::Syntax("a group that is listed only once");
            object.refuse(Fault::here(repeated).within(index).within("groups"));
        }
    }
    if groups.as_ref().is_some_and(|groups| groups.len() > MAX_GROUPS) {
        object.refuse(Fault::here(Wrong::TooLong(MAX_GROUPS)).within("groups"));
    }
    (roles, groups)
}

/// The edit that gives them.
pub(super) fn giving((roles, groups): RolesAndGroups, tenant: TenantId) -> MemberEdit {
    let given = |roles: Vec<Text<MAX_NAME>>| Roles::Exactly(roles.into_iter().map(|role| role.0).collect());
    let groups = groups.filter(|groups| !groups.is_empty());
    let spelled = |groups: Vec<Uuid>| groups.into_iter().map(|group| Spelled::uuid(group, tenant)).collect();
    MemberEdit {
        roles: roles.map(given),
        groups: groups.map(|groups| Groups::Exactly(spelled(groups))),
        fields: Fields { roles: "roles", groups: "groups", ..Fields::default() },
        ..MemberEdit::default()
    }
}

impl InvitationsCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let emails = addresses(object, "emails");
        let (roles, groups) = roles_and_groups(object);
        let expires_in = object.optional("expires_in");
        Ok(Self { emails: emails?, roles, groups, expires_in })
    }

    /// The addresses, what each person gets, and how long the invitations are good.
    pub fn wanted(self, tenant: TenantId) -> (Vec<String>, MemberEdit, i64) {
        let emails = self.emails.into_iter().map(|Address(email)| email).collect();
        let edit = giving((self.roles, self.groups), tenant);
        let edit = MemberEdit { roles: edit.roles.or(Some(Roles::Default)), ..edit };
        (emails, edit, self.expires_in.map_or(LASTS, |Within(seconds)| seconds.into()))
    }
}

/// The wish for another secret.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "InvitationRenewal"))]
pub struct NewLink {
    /// How long the invitation is good from now on, in seconds: 7 days if you do not say, 30 days at most.
    expires_in: Option<Lasts>,
}

impl NewLink {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { expires_in: object.optional("expires_in") })
    }

    /// How long it is good, in seconds.
    pub fn lasts(self) -> i64 {
        self.expires_in.map_or(LASTS, |Within(seconds)| seconds.into())
    }
}

/// The names of the states.
const STATES: &str = "pending, expired, accepted, revoked";

struct Named(State);

impl Wire for Named {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let state = State::ALL.into_iter().find(|state| value.as_str() == Some(state.as_str()));
        state.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf(STATES))])
    }
}

/// The wanted state of a list.
pub fn state(query: &mut Object) -> Option<State> {
    query.optional("status").map(|Named(state)| state)
}

/// Who has sent an invitation: a user, or an API key. Null if it was the operator of the deployment, or nobody has sent one yet.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Inviter"))]
pub struct InvitedBy {
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
}

/// An invitation, without its secret.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Invitation"))]
pub struct ShownInvitation<'a> {
    /// The id of the invited user.
    pub id: Uuid,
    email: &'a str,
    /// `revoked` for each invitation that nobody can accept any more, because it was taken back, or the user was made active,
    /// deactivated or removed.
    status: State,
    /// Names of the roles that the user has.
    roles: Vec<&'a str>,
    groups: Vec<Group<'a>>,
    invited_by: Option<InvitedBy>,
    created_at: Time,
    /// Null if no secret is good: `resend` makes one.
    expires_at: Option<Time>,
    /// When it was accepted or revoked.
    ended_at: Option<Time>,
    /// That of the user, raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownInvitation<'a> {
    pub fn new(view: &View<'a>, now: Time) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        let invitation = member.invitation.as_ref();
        let by = |inviter: Inviter| match inviter {
            Inviter::Member(user) => InvitedBy { user_id: Some(user.uuid()), api_key_id: None },
            Inviter::Key(key, _) => InvitedBy { user_id: None, api_key_id: Some(key.uuid_in(tenant.id)) },
        };
        let groups = view.groups().map(|(id, name)| Group {
            id: id.uuid_in(tenant.id),
            name,
            is_admin: member.manages.contains(&id),
            is_primary: member.primary_group == Some(id),
        });
        Self {
            id: member.user.uuid(),
            email: &member.email,
            status: member.invitation_state(now).unwrap_or(State::Revoked),
            roles: catalog.roles(&member.roles).map(|role| role.name.as_str()).collect(),
            groups: groups.collect(),
            invited_by: invitation.and_then(|it| it.inviter).map(by),
            created_at: invitation.map_or(member.meta.created_at, |it| it.made_at),
            expires_at: member.open_invitation().map(|it| Time::from_millis(it.expires_at.saturating_mul(1_000))),
            ended_at: invitation.and_then(|it| it.ended_at).filter(|_| !member.is_invited()),
            version: member.meta.version,
        }
    }
}

/// A page of invitations.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "InvitationList"))]
pub struct Invitations<'a> {
    data: Vec<ShownInvitation<'a>>,
    /// Leads to the next page, as the parameter `cursor`. Null on the last one.
    next_cursor: Option<&'a str>,
}

impl<'a> Invitations<'a> {
    pub fn new(page: &'a MemberPage) -> Self {
        let data = page.members.iter().map(|view| ShownInvitation::new(view, page.facts.now())).collect();
        Self { data, next_cursor: page.next_cursor.as_deref() }
    }
}

/// An invitation with its secret.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "InvitationWithSecret"))]
pub struct InviteeWithSecret<'a> {
    #[serde(flatten)]
    pub invitation: ShownInvitation<'a>,
    /// What the person shows who accepts. No answer shows it again.
    pub secret: &'a str,
}

impl<'a> InviteeWithSecret<'a> {
    pub fn new(view: &View<'a>, facts: &Facts, secret: &'a str) -> Self {
        Self { invitation: ShownInvitation::new(view, facts.now()), secret }
    }
}

/// What became of one address.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Invitee"))]
pub struct Invitee<'a> {
    email: &'a str,
    /// Whether the person is invited now.
    invited: bool,
    invitation: Option<ShownInvitation<'a>>,
    /// What the person shows who accepts. No answer shows it again.
    secret: Option<&'a str>,
    /// Why the person is not invited; or that the secret was shown before.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Failure>"))]
    error: Option<Value>,
}

impl<'a> Invitee<'a> {
    /// Somebody who is invited.
    pub fn new(view: &View<'a>, now: Time, secret: &'a str) -> Self {
        let invitation = Some(ShownInvitation::new(view, now));
        Self { email: &view.member.email, invited: true, invitation, secret: Some(secret), error: None }
    }

    /// An address that got no secret.
    fn refused(email: &'a str, why: &Problem) -> Self {
        let invited = matches!(why, Problem::SecretAlreadyShown(_));
        Self { email, invited, invitation: None, secret: None, error: Some(problem(why).1) }
    }
}

/// What became of each address, in the order of the request.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Invitees"))]
pub struct InvitationsMade {
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<Invitee>"))]
    data: Vec<Value>,
}

impl InvitationsMade {
    pub fn new(emails: &[String], lines: Vec<Result<Value, Problem>>) -> Self {
        let line = |(email, line): (&String, Result<Value, Problem>)| {
            line.unwrap_or_else(|why| json!(Invitee::refused(email, &why)))
        };
        Self { data: emails.iter().zip(lines).map(line).collect() }
    }
}
