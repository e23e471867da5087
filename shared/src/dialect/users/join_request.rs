//! Requests to join: what a request says of them, and what an answer shows.

use domain::id::TenantId;
use domain::join_request::State;
#[cfg(feature = "openapi")]
use domain::member::change::{MAX_GROUPS, MAX_ROLES};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::{JoinRequest, MemberEdit, Record, Time};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::invitation::{giving, roles_and_groups};
use crate::gate::NamedList;
use crate::gate::list::NamedPage;
use crate::http::json::{Faulty, Object, Text, Wire};

/// What somebody gets who is let in.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinApproval"))]
pub struct JoinApproval {
    /// 1 to 50 names or UUIDs of roles, none twice. Without it, the person gets the roles of the domain.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_ROLES), extend("uniqueItems" = true)))]
    roles: Option<Vec<Text<MAX_NAME>>>,
    /// The UUIDs of groups, none twice.
    #[cfg_attr(feature = "openapi", schemars(length(max = MAX_GROUPS), extend("uniqueItems" = true)))]
    groups: Option<Vec<Uuid>>,
}

impl JoinApproval {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (roles, groups) = roles_and_groups(object);
        Ok(Self { roles, groups })
    }

    pub fn edit(self, tenant: TenantId) -> MemberEdit {
        giving((self.roles, self.groups), tenant)
    }
}

/// The names of the states.
const STATES: &str = "pending, refused";

struct Named(State);

impl Wire for Named {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let state = State::ALL.into_iter().find(|state| value.as_str() == Some(state.as_str()));
        state.map(Self).ok_or_else(|| vec![Fault::here(Wrong::NotOneOf(STATES))])
    }
}

/// The filters of a list.
pub fn wanted_join_requests(query: &mut Object) -> (Option<State>, NamedList) {
    let state = query.optional("status").map(|Named(state)| state);
    let beginning = query.optional::<Text<MAX_NAME>>("q").map(|Text(text)| text);
    (state, NamedList { beginning, descending: false, external_id: None })
}

/// Somebody who asks to join. Once they are let in, they are a user, and the request is gone.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinRequest"))]
pub struct ShownJoinRequest<'a> {
    pub id: Uuid,
    /// The address that the issuer has verified.
    email: &'a str,
    issuer: &'a str,
    status: State,
    /// By which domain they ask. It can have been given up.
    domain_id: Uuid,
    created_at: Time,
    refused_at: Option<Time>,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownJoinRequest<'a> {
    pub fn new(request: &'a JoinRequest) -> Self {
        Self {
            id: request.id.uuid_in(request.tenant),
            email: &request.email,
            issuer: &request.issuer,
            status: request.state(),
            domain_id: request.domain.uuid_in(request.tenant),
            created_at: request.meta.created_at,
            refused_at: request.refused_at,
            version: request.shown_version(),
        }
    }
}

/// A page of those who ask to join, in the order of their addresses.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinRequestList"))]
pub struct JoinRequests<'a> {
    data: Vec<ShownJoinRequest<'a>>,
    /// Leads to the next page, as the parameter `cursor`. Null on the last one.
    next_cursor: Option<&'a str>,
}

impl<'a> JoinRequests<'a> {
    pub fn new(page: &'a NamedPage<'a, JoinRequest>) -> Self {
        let data = page.things.iter().map(|shown| ShownJoinRequest::new(shown.thing)).collect();
        Self { data, next_cursor: page.next_cursor.as_deref() }
    }
}
