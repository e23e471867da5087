//! Acting as another member: a session of theirs, for somebody else.

use domain::id::{UserId, Uuid};
use domain::session::IMPERSONATED_BY_DEFAULT;
use lambda_http::http::header;

use super::sign_in::shortened;
use super::tokens::Signed;
use super::{App, Boxed};
use crate::answer::Answer;
use crate::dialect::oauth::Impersonation;
use crate::dialect::users::in_tenant;
use crate::gate::sessions::Acts;
use crate::gate::{Plan, Reads};
use crate::http::call::{Call, MAX_BODY};
use crate::http::json::Within;

impl App {
    /// Begins a session of a member in which the caller acts as them.
    ///
    /// # Errors
    /// The faults of the request, and those of [`App::change`].
    pub fn impersonate<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let caller = self.bearer(call).await?;
            let (body, conditions) = (call.body(MAX_BODY)?, call.conditions()?);
            let (asked, id) = in_tenant(call, &caller, body, |body| {
                let (asked, id) = (Impersonation::read(body), body.join(call.path_uuid("id")));
                Ok((asked?, id?))
            })?;
            let acts = Acts {
                id: Uuid::new_v4().to_string(),
                reason: &asked.reason.0,
                seconds: asked.seconds.map_or(IMPERSONATED_BY_DEFAULT, |Within(seconds)| seconds),
                issuer: &self.expected.issuer,
                device: call.header(header::USER_AGENT).map(|device| shortened(device).to_owned()),
            };
            let (user, keys) = (UserId::from_uuid(id), self.signing_keys(call).await?);
            self.change(call, &caller, Reads::member(user).unshown(), &conditions, &|plan: &mut Plan| {
                let session = plan.impersonate(plan.facts().member(user)?, &caller, &acts)?;
                let (tenant, now) = (plan.facts().tenant(), plan.facts().now().seconds());
                let signed = Signed { tenant, user: session.user, session: &session };
                let answer = self.answer(call, &keys, &signed, None, now, false)?.uncached();
                // RFC 6749, section 5.1.
                Ok(answer.with_header(header::PRAGMA.as_str(), "no-cache").secret(session.id.clone()).into())
            })
            .await
        })
    }
}
