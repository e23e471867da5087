//! All that a tenant holds on a person.

use domain::join_request::State;
use domain::member::invitation::Invitation;
use domain::{JoinRequest, Time};
use serde::Serialize;

use super::sessions::ShownSession;
use super::{ListedKey, Sessions, User};
use crate::gate::personal::Personal;
use crate::table::stored::Identity;

/// All that the tenant holds on a person, beside the events that tell of them.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PersonalData<'a> {
    /// With the picture.
    user: User<'a>,
    /// When they signed in or came back last, as far as it is known.
    last_seen: Option<Time>,
    /// When they were removed. Null for a member.
    removed_at: Option<Time>,
    invitation: Option<HeldInvitation>,
    /// Those that live.
    sessions: Vec<ShownSession<'a>>,
    /// Those that the person has made and that have not ended.
    api_keys: Vec<ListedKey<'a>>,
    /// As whom issuers know the person.
    identities: Vec<HeldIdentity<'a>>,
    /// If the person has asked to join: before they came in by another way, or after they were removed.
    join_request: Option<HeldJoinRequest<'a>>,
}

/// As whom an issuer knows the person.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct HeldIdentity<'a> {
    /// The `iss` of its tokens.
    issuer: &'a str,
    /// The `sub` in its tokens.
    subject: &'a str,
}

/// How the person has asked to join.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct HeldJoinRequest<'a> {
    email: &'a str,
    issuer: &'a str,
    subject: &'a str,
    status: State,
    created_at: Time,
    refused_at: Option<Time>,
}

/// How the person was invited.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct HeldInvitation {
    made_at: Time,
    expires_at: Time,
    ended_at: Option<Time>,
    accepted: bool,
}

impl HeldInvitation {
    fn new(invitation: &Invitation) -> Self {
        Self {
            made_at: invitation.made_at,
            expires_at: Time::from_millis(invitation.expires_at.saturating_mul(1_000)),
            ended_at: invitation.ended_at,
            accepted: invitation.accepted,
        }
    }
}

impl<'a> HeldIdentity<'a> {
    fn new(Identity { issuer, subject, .. }: &'a Identity) -> Self {
        Self { issuer, subject }
    }
}

impl<'a> HeldJoinRequest<'a> {
    fn new(request: &'a JoinRequest) -> Self {
        Self {
            email: &request.email,
            issuer: &request.issuer,
            subject: &request.subject,
            status: request.state(),
            created_at: request.meta.created_at,
            refused_at: request.refused_at,
        }
    }
}

impl<'a> PersonalData<'a> {
    pub fn new(personal: &'a Personal<'a>) -> Self {
        Self {
            user: User::new(&personal.view),
            last_seen: personal.view.member.last_seen,
            removed_at: personal.view.member.deleted_at,
            invitation: personal.view.member.invitation.as_ref().map(HeldInvitation::new),
            sessions: Sessions::new(&personal.sessions).sessions,
            api_keys: personal.keys.iter().map(ListedKey::new).collect(),
            identities: personal.identities.iter().map(HeldIdentity::new).collect(),
            join_request: personal.join_request.as_ref().map(HeldJoinRequest::new),
        }
    }
}
