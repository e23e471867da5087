//! The wish of a person to join a tenant. They have proved an address at a domain that the tenant has verified, and somebody must let
//! them in.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{DomainId, JoinRequestId, MembershipId, TenantId, UserId};
use crate::member::Member;
use crate::meta::Meta;
use crate::policy::Action;
use crate::policy::eval::Entity;
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// It is deleted once the person is let in: they are a member then. A refused one stays, so the person can neither ask again nor join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    pub id: JoinRequestId,
    pub tenant: TenantId,
    /// The address that the issuer has verified; one request for each in a tenant.
    pub email: String,
    /// As whom the person signs in from then on.
    pub issuer: String,
    pub subject: String,
    /// By which domain they ask.
    pub domain: DomainId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<Time>,
    #[serde(flatten)]
    pub meta: Meta,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinRequestEdit {
    Ask,
    Refuse(Time),
}

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "JoinRequestStatus"))]
pub enum State {
    Pending,
    Refused,
}

impl State {
    pub const ALL: [Self; 2] = [Self::Pending, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Refused => "refused",
        }
    }
}

impl JoinRequest {
    pub fn state(&self) -> State {
        if self.refused_at.is_some() { State::Refused } else { State::Pending }
    }
}

impl Record for JoinRequest {
    type Edit = JoinRequestEdit;

    const KIND: &'static str = "join-request";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &JoinRequestEdit, _: &Known) -> Result<(), Problem> {
        if let JoinRequestEdit::Refuse(at) = edit {
            self.refused_at.get_or_insert(*at);
        }
        Ok(())
    }

    /// Who may invite people decides. What the person gets is a change of its own.
    fn actions<'a>(_: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::Invite(catalog.inviters)]
    }

    /// The person before they are a member.
    fn entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        let person = Member::new(MembershipId::LAST, tenant, UserId::LAST, &self.email, self.meta.created_at);
        Member { deleted_at: Some(self.meta.created_at), ..person }.entity(tenant, catalog)
    }

    fn tally(_: Option<&Self>, _: Option<&Self>) -> Tally {
        Tally::default()
    }
}
