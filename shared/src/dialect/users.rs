//! `users`: the dialect of our own larger API, too (seed 001).

mod api_key;
mod batch;
mod change;
mod check;
mod claimed;
mod event;
mod fields;
mod invitation;
mod issuer;
mod job;
mod join_request;
mod lines;
mod noted;
pub mod operator;
mod personal;
mod picture;
mod policy;
mod sessions;
mod things;
mod webhook;

use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::by_field;
use domain::id::{TenantId, UserId, parse_uuid};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Problem, Reference, Wrong, told};
use domain::{Metadata, Status, Time};

use crate::answer::Answer;
use crate::gate::jobs::Lines;
use crate::gate::{Caller, NamedList, View, exports};
use crate::http::call::Call;
use crate::http::json::{Faulty, Object, Text};
use crate::http::{Dialect, Paging};

pub use api_key::{ApiKeyCreation, ApiKeyRotation, ApiKeys, KeyWithSecret, ListedKey};
pub use batch::{Answered, Answers, Batch, MAX_ANSWER, MAX_BATCH, MAX_RECORDED, MAX_TOGETHER};
pub use change::{Change, GroupMembership, UserCreation, UserPatch, joining, roles};
pub(crate) use check::tags;
pub use check::{Check, Explanation, MAX_THING_ID, ShownDecision};
pub use claimed::{Claimed, ClaimedDomains, DomainClaim, DomainPatch};
pub(crate) use event::shown_subject;
pub use event::{
    ChainCheck, Checkpoints, EVENT_ORDERS, EVENT_SCOPES, Events, NewEventExport, ShownEvent, of_member, wanted_events,
    wanted_subject,
};
pub use fields::{STATUSES, UserFields, UserStatus};
pub use invitation::{
    Invitations, InvitationsCreation, InvitationsMade, Invitee, InviteeWithSecret, NewLink, ShownInvitation, addresses,
    state,
};
pub use issuer::{IssuerUpdate, IssuerWithKeys, Issuers, NewIssuer, ShownIssuer};
pub use job::{ShownJob, deletion};
pub use join_request::{JoinApproval, JoinRequests, ShownJoinRequest, wanted_join_requests};
pub use lines::{ImportedLines, MAX_PART, NewExport, NewImport, SentPart};
pub use noted::EventCreation;
pub use personal::PersonalData;
pub use picture::{DataUri, MAX_PICTURE_BODY, image};
pub use policy::{CedarText, NewPolicy, Policies, ShownPolicy, ShownTrial};
pub use sessions::Sessions;
pub use things::*;
pub use webhook::{
    ShownWebhook, WebhookCreation, WebhookFailures, WebhookRotation, WebhookUpdate, WebhookWithSecret, Webhooks,
};

/// The lines of imports and exports.
pub const LINES: Lines = Lines {
    read: lines::edits,
    user: lines::line,
    without: lines::without,
    record: exports::events::Lines { wanted: event::listed, write: event::record_line },
};

pub static USERS: Dialect = Dialect {
    name: "users",
    pictures: true,
    names: true,
    paging: Paging::IN_SNAKE_CASE,
    echoes_request_id: false,
    problem,
};

/// The tenant that the header `X-Tenant-ID` names; `None` for the UUID of anything else.
///
/// # Errors
/// The header is missing, or is no UUID.
pub fn tenant(call: &Call) -> Result<Option<TenantId>, Fault> {
    let text = call.header("x-tenant-id").ok_or(Wrong::Missing);
    let uuid = text.and_then(|text| parse_uuid(text).ok_or(Wrong::Uuid));
    uuid.map(TenantId::from_uuid).map_err(|wrong| Fault::here(wrong).within("X-Tenant-ID").within("header"))
}

/// The user whom the path names by a UUID, or the caller for `me`; `None` for the UUID of anything else, and for an API key.
///
/// # Errors
/// It is neither.
pub fn user(call: &Call, caller: &Caller) -> Result<Option<UserId>, Fault> {
    match call.path("id") {
        "me" => Ok(caller.member()),
        _ => call.path_uuid("id").map(UserId::from_uuid),
    }
}

/// The answer that shows a member.
pub fn shown(view: &View) -> Answer {
    Answer::json(200, &json!(User::new(view))).with_etag(view.version())
}

/// The answer that shows a new member.
pub fn made(view: &View) -> Answer {
    let place = format!("/v1/users/{}", view.member.user.uuid());
    Answer::json(201, &json!(User::new(view))).with_etag(view.version()).with_header("location", place)
}

/// The value that `read` makes of the parts of a request which names its tenant by the header.
///
/// # Errors
/// All faults of both; 403 if the tenant is not the credential's.
pub fn in_tenant<T>(
    call: &Call,
    caller: &Caller,
    parts: Object,
    read: impl FnOnce(&mut Object) -> Result<T, Faulty>,
) -> Result<T, Problem> {
    let (value, tenant) = parts.all(|parts| {
        let (value, tenant) = (read(parts), parts.join(tenant(call)));
        Ok((value?, tenant?))
    })?;
    caller.same_tenant(tenant)?;
    Ok(value)
}

/// A parameter that is `true` or `false`, and `false` if it is not there.
pub fn flag(query: &mut Object, name: &'static str) -> bool {
    let text = query.optional::<Text<MAX_NAME>>(name).map(|Text(text)| text);
    match text.as_deref() {
        Some("true") => true,
        None | Some("false") => false,
        Some(_) => {
            query.refuse(Fault::here(Wrong::NotOneOf("true, false")).within(name));
            false
        }
    }
}

/// The orders of groups and labels.
pub const NAMED_SORTS: &str = "name, -name";

/// The filter and the order of a list of groups or labels.
pub fn named(query: &mut Object) -> NamedList {
    let beginning = query.optional::<Text<MAX_NAME>>("q").map(|Text(text)| text);
    let sort = query.optional::<Text<MAX_NAME>>("sort").map(|Text(text)| text);
    if sort.as_ref().is_some_and(|sort| !matches!(sort.as_str(), "name" | "-name")) {
        query.refuse(Fault::here(Wrong::NotOneOf(NAMED_SORTS)).within("sort"));
    }
    NamedList { beginning, descending: sort.as_deref() == Some("-name"), external_id: None }
}

/// A member of the tenant, with their picture. The members of the object have the order of the page (seed 001).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct User<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    /// A data URI of at most 256 KiB.
    picture: Option<&'a str>,
    #[serde(flatten)]
    state: State<'a>,
}

/// A member of the tenant, as lists have them: without their picture.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ListedUser<'a> {
    #[serde(flatten)]
    who: Who<'a>,
    #[serde(flatten)]
    state: State<'a>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct Who<'a> {
    id: Uuid,
    tenant_id: Uuid,
    email: &'a str,
    name: String,
    /// Names of roles.
    roles: Vec<&'a str>,
    is_owner: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct State<'a> {
    /// `local` for users made here.
    auth_provider: &'a str,
    status: Status,
    groups: Vec<Group<'a>>,
    first_name: Option<&'a str>,
    last_name: Option<&'a str>,
    /// The profession.
    label: Option<UserLabel<'a>>,
    /// An ISO 639-1 code.
    language: Option<&'a str>,
    /// Texts of your own, by your own keys.
    metadata: &'a Metadata,
    /// The member's id in another system.
    external_id: Option<&'a str>,
    created_at: Time,
    updated_at: Time,
    /// Raised by one with every change; the `etag`.
    version: u64,
}

/// A group that the member is in.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserGroup"))]
pub struct Group<'a> {
    pub id: Uuid,
    pub name: &'a str,
    /// Whether the member manages the group.
    pub is_admin: bool,
    /// Whether it is the member's primary group.
    pub is_primary: bool,
}

/// The label of a member.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct UserLabel<'a> {
    id: Uuid,
    name: &'a str,
}

impl<'a> User<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { who: Who::new(view), picture: view.picture, state: State::new(view) }
    }
}

impl<'a> ListedUser<'a> {
    pub fn new(view: &View<'a>) -> Self {
        Self { who: Who::new(view), state: State::new(view) }
    }
}

impl<'a> Who<'a> {
    fn new(view: &View<'a>) -> Self {
        let View { tenant, member, catalog, .. } = *view;
        Self {
            id: member.user.uuid(),
            tenant_id: tenant.id.uuid(),
            email: &member.email,
            name: member.name(),
            roles: catalog.roles(&member.roles).map(|role| role.name.as_str()).collect(),
            is_owner: member.is_owner(),
        }
    }
}

impl<'a> State<'a> {
    fn new(view: &View<'a>) -> Self {
        let View { tenant, member, names, .. } = *view;
        let groups = view.groups().map(|(id, name)| Group {
            id: id.uuid_in(tenant.id),
            name,
            is_admin: member.manages.contains(&id),
            is_primary: member.primary_group == Some(id),
        });
        let label = member
            .profession
            .and_then(|id| Some(UserLabel { id: id.uuid_in(tenant.id), name: names.labels.get(&id)? }));
        Self {
            auth_provider: &member.auth_provider,
            status: member.status,
            groups: groups.collect(),
            first_name: member.first_name.as_deref().map(str::trim_end),
            last_name: member.last_name.as_deref(),
            label,
            language: member.language.as_deref(),
            metadata: &member.metadata,
            external_id: member.external_id.as_deref(),
            created_at: member.meta.created_at,
            updated_at: member.meta.updated_at,
            version: member.meta.version,
        }
    }
}

/// Why a request was not done.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UsersFailure"))]
pub struct Failure<'a> {
    code: &'static str,
    message: String,
    details: Details<'a>,
    /// What the policies say that decided a 403.
    notices: &'a [String],
}

#[derive(Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UsersFailureDetails"))]
struct Details<'a> {
    /// What is wrong with each field.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "std::collections::BTreeMap<String, String>"))]
    fields: Option<Map<String, Value>>,
    /// The rule that denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// What the rule denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// The roles that do not exist, or were named twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a [String]>,
    /// How many more there are: 20 are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
    /// The place of the refused change among those that are made all or none, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<usize>,
}

/// `{"code", "message", "details", "notices"}`, always all four.
fn problem(problem: &Problem) -> (u16, Value) {
    let (change, why) = match problem {
        Problem::OfChange(place, why) => (Some(*place), &**why),
        why => (None, why),
    };
    let mut details = Details { change, ..Details::default() };
    let mut notices: &[String] = &[];
    match why {
        Problem::Invalid(faults) => {
            let (fields, more) = by_field(faults);
            (details.fields, details.more) = (Some(fields), more);
        }
        Problem::Forbidden(denial) => {
            details.rule = Some(&denial.rule);
            details.action = Some(denial.action);
            notices = &denial.notices;
        }
        Problem::InvalidReference { kind, values, .. } => {
            let (values, more) = told(values);
            details.more = more;
            match kind {
                Reference::Role => details.roles = Some(values),
                Reference::Group => details.groups = Some(values),
                Reference::Label => details.labels = Some(values),
            }
        }
        _ => {}
    }
    (problem.status(), json!(Failure { code: problem.code(), message: problem.to_string(), details, notices }))
}
