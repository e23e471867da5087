//! Sessions.

use domain::Time;
use domain::id::Uuid;
use domain::member::invitation::Invitation;
use serde::Serialize;

use super::{ListedKey, User};
use crate::gate::personal::Personal;
use crate::gate::sessions::Live;

/// The sessions of a member.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SessionList"))]
pub struct Sessions<'a> {
    sessions: Vec<ShownSession<'a>>,
}

/// A session.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Session"))]
struct ShownSession<'a> {
    id: &'a str,
    user_id: Uuid,
    started_at: Time,
    /// When it ends, unless it is prolonged.
    ends_at: Time,
    /// Who has proved the member: the `iss` of the token.
    issuer: &'a str,
    /// The client of the issuer that got the token.
    client: &'a str,
    /// The browser or program, in its own words.
    device: Option<&'a str>,
    /// When the member proved it to the issuer.
    authenticated_at: Option<Time>,
    /// How strongly, in the issuer's words.
    acr: Option<&'a str>,
    /// By what means, in the issuer's words.
    amr: &'a [String],
    /// The member who acts as this one in the session. Null if it is the member.
    impersonator_id: Option<Uuid>,
    /// Why they do.
    reason: Option<&'a str>,
    /// Whether it is the session of this request.
    is_current: bool,
}

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

impl<'a> PersonalData<'a> {
    pub fn new(personal: &'a Personal<'a>) -> Self {
        Self {
            user: User::new(&personal.view),
            last_seen: personal.view.member.last_seen,
            removed_at: personal.view.member.deleted_at,
            invitation: personal.view.member.invitation.as_ref().map(HeldInvitation::new),
            sessions: Sessions::new(&personal.sessions).sessions,
            api_keys: personal.keys.iter().map(ListedKey::new).collect(),
        }
    }
}

impl<'a> Sessions<'a> {
    pub fn new(sessions: &'a [Live]) -> Self {
        let seconds = |seconds: i64| Time::from_millis(seconds.saturating_mul(1_000));
        let shown = |Live { session, ends, is_current }: &'a Live| ShownSession {
            id: &session.id,
            user_id: session.user.uuid(),
            started_at: session.meta.created_at,
            ends_at: seconds(*ends),
            issuer: &session.sign_in.issuer,
            client: &session.client,
            device: session.device.as_deref(),
            authenticated_at: session.sign_in.auth_time.map(seconds),
            acr: session.sign_in.acr.as_deref(),
            amr: &session.sign_in.amr,
            impersonator_id: session.impersonator.as_ref().map(|by| by.member.uuid()),
            reason: session.reason.as_deref(),
            is_current: *is_current,
        };
        Self { sessions: sessions.iter().map(shown).collect() }
    }
}
