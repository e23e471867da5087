//! Sessions.

use domain::Time;
use domain::id::Uuid;
use serde::Serialize;

use crate::gate::sessions::Live;

/// The sessions of a member.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SessionList"))]
pub struct Sessions<'a> {
    pub(super) sessions: Vec<ShownSession<'a>>,
}

/// A session.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Session"))]
pub(super) struct ShownSession<'a> {
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
