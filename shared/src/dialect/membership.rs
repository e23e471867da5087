//! `membership`: `{"data"}` and `{"error": {"code", "message", "details"}}` (seed 003).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::by_field;
use crate::gate::list::MemberPage;
use crate::gate::{Caller, Facts, View};
use crate::http::call::Call;
use crate::http::json::{MAX_SAFE_INTEGER, Object, Text};
use crate::http::{Dialect, Paging};
use domain::id::{GroupId, UserId};
use domain::member::change::{Groups, Presence, Roles};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Problem, Wrong, dotted, told};
use domain::{MemberEdit, Patch, Status, Time, role};

pub static MEMBERSHIP: Dialect = Dialect {
    name: "membership",
    pictures: false,
    names: false,
    paging: Paging::IN_CAMEL_CASE,
    echoes_request_id: false,
    problem,
};

/// What an answer can have beside the user.
pub const EXTENSIONS: &str = "actions-info";

/// The user of the path; `None` for a number that cannot be an id.
///
/// # Errors
/// It is neither `me` nor a number.
pub fn user(call: &Call, caller: &Caller) -> Result<Option<UserId>, Fault> {
    match call.path("userId") {
        "me" => Ok(caller.member()),
        _ => call.path_integer("userId", -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER).map(|user| UserId::try_from(user).ok()),
    }
}

/// Whether the client asks by `extend` for what the caller may do.
pub fn has_actions_info(query: &mut Object) -> bool {
    let extend = query.optional::<Text<MAX_NAME>>("extend").map(|Text(text)| text);
    if extend.as_ref().is_some_and(|extend| extend != EXTENSIONS) {
        query.refuse(Fault::here(Wrong::NotOneOf(EXTENSIONS)).within("extend"));
    }
    extend.is_some()
}

/// A user in an organization, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationResponse"))]
pub struct Success {
    data: UserOrganization,
}

impl Success {
    pub fn new(view: &View) -> Self {
        Self { data: UserOrganization::new(view) }
    }
}

/// A user in an organization as a read shows it, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "FoundUserOrganizationResponse"))]
pub struct Found {
    data: FoundUser,
}

impl Found {
    pub fn new(facts: &Facts, view: &View, has_actions_info: bool) -> Self {
        Self { data: FoundUser::new(facts, view, has_actions_info) }
    }
}

/// A page of the users in an organization, wrapped.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationsResponse"))]
pub struct Users<'a> {
    data: Vec<FoundUser>,
    /// Leads to the next page, as the parameter `cursor`. Null on the last one.
    next_cursor: Option<&'a str>,
}

impl<'a> Users<'a> {
    pub fn new(page: &'a MemberPage, has_actions_info: bool) -> Self {
        let data = page.members.iter().map(|view| FoundUser::new(page.facts, view, has_actions_info)).collect();
        Self { data, next_cursor: page.next_cursor.as_deref() }
    }
}

/// A user in an organization as a read shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "FoundUserOrganization"))]
struct FoundUser {
    #[serde(flatten)]
    user: UserOrganization,
    /// Only with `extend=actions-info`.
    #[serde(skip_serializing_if = "Option::is_none")]
    actions_info: Option<ActionsInfo>,
}

impl FoundUser {
    fn new(facts: &Facts, view: &View, has_actions_info: bool) -> Self {
        let actions_info = has_actions_info.then(|| ActionsInfo::new(facts, view));
        Self { user: UserOrganization::new(view), actions_info }
    }
}

/// What the caller may do with the user now. Each member says what the answer to such a request would be, at the moment
/// of the read.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationActionsInfo"))]
struct ActionsInfo {
    /// To change the names and the profession.
    update_profile: bool,
    /// The values of `scope` that the caller may give; the present one can be among them.
    #[cfg_attr(feature = "openapi", schemars(extend("items" = { "type": "integer", "enum": [1, 2] })))]
    scopes: Vec<u8>,
    /// To change `permissions`. A group that confers more than the caller may give can still be refused.
    change_permissions: bool,
    activate: bool,
    deactivate: bool,
    remove: bool,
}

impl ActionsInfo {
    fn new(facts: &Facts, view: &View) -> Self {
        let would_do = |edit: MemberEdit| facts.would_do(view, &edit);
        let same_name = view.member.first_name.clone().map_or(Patch::Clear, Patch::Set);
        let scoped = |manager| MemberEdit { roles: Some(Roles::Manager(manager)), ..MemberEdit::default() };
        let scopes = [(1, true), (2, false)].into_iter().filter(|(_, manager)| would_do(scoped(*manager)));
        let same_groups = Groups::Parts { primary: Patch::Keep, read: None, manage: None };
        let with_status = |status| MemberEdit { status: Some(status), ..MemberEdit::default() };
        let removed = Presence::Removed(facts.now());
        Self {
            update_profile: would_do(MemberEdit { first_name: same_name, ..MemberEdit::default() }),
            scopes: scopes.map(|(scope, _)| scope).collect(),
            change_permissions: would_do(MemberEdit { groups: Some(same_groups), ..MemberEdit::default() }),
            activate: would_do(with_status(Status::Active)),
            deactivate: would_do(with_status(Status::Deactivated)),
            remove: would_do(MemberEdit { presence: Some(removed), ..MemberEdit::default() }),
        }
    }
}

/// A user in an organization.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct UserOrganization {
    user_id: u32,
    organization_id: u32,
    /// 1 for a manager, 2 for a member.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = [1, 2], "x-enum-varnames" = ["MANAGER", "MEMBER"])))]
    scope: u8,
    permissions: Permissions,
    deleted_at: Option<Time>,
    updated_at: Time,
    created_at: Time,
}

/// Numbers of groups.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserOrganizationPermissions"))]
struct Permissions {
    /// The primary one.
    group: Option<u32>,
    /// Those that the user may read.
    read: Vec<u32>,
    /// Those that the user manages.
    manage: Vec<u32>,
}

impl UserOrganization {
    fn new(view: &View) -> Self {
        let member = view.member;
        // Nobody is in a group that is being deleted.
        let stays = |id: &GroupId| !view.catalog.is_retiring(*id);
        let numbers = |groups: &BTreeSet<GroupId>| groups.iter().copied().filter(stays).map(|id| id.number()).collect();
        Self {
            user_id: member.user.number(),
            organization_id: view.tenant.id.number(),
            scope: if member.built_in_role() == role::USER { 2 } else { 1 },
            permissions: Permissions {
                group: member.primary_group.filter(stays).map(|id| id.number()),
                read: numbers(&member.groups),
                manage: numbers(&member.manages),
            },
            deleted_at: member.deleted_at,
            updated_at: member.meta.updated_at,
            created_at: member.meta.created_at,
        }
    }
}

/// Why a request was not done, wrapped.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "MembershipFailure"))]
pub struct Failure {
    error: Cause,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "MembershipFailureCause"))]
struct Cause {
    code: &'static str,
    message: String,
    /// What is wrong with each field, or what does not exist, and how many `more`; of a 403 the `rule` and its `notices`.
    details: Map<String, Value>,
}

/// `{"error": {"code", "message", "details"}}`, `details` by field.
fn problem(problem: &Problem) -> (u16, Value) {
    let (mut details, mut more) = (Map::new(), None);
    match problem {
        Problem::Invalid(faults) => (details, more) = by_field(faults),
        Problem::InvalidReference { place, values, .. } => {
            let (told, rest) = told(values);
            details.insert(dotted(place), json!(told));
            more = rest;
        }
        Problem::Forbidden(denial) => {
            details.insert("rule".to_owned(), json!(denial.rule));
            details.insert("notices".to_owned(), json!(denial.notices));
        }
        _ => {}
    }
    details.extend(more.map(|more| ("more".to_owned(), json!(more))));
    let error = Cause { code: problem.code(), message: problem.to_string(), details };
    (problem.status(), json!(Failure { error }))
}
