//! Approving a change that another member makes, and showing the approval.

use domain::Problem;
use domain::id::UserId;
use domain::problem::Denial;
use serde_json::json;

use super::{App, Boxed};
use crate::answer::Answer;
use crate::dialect::oauth::{Approval, ShownApproval};
use crate::dialect::users::in_tenant;
use crate::gate::{Approver, Caller, Proof, Reads, not_approved};
use crate::http::call::{Call, MAX_BODY};
use crate::http::credential::{self, Approved, Claims, Credential, Holder, Keys, Kind};

impl App {
    /// Answers a member who approves a change that another member will make. Nothing is written: whether both may make it is decided
    /// when it is made.
    ///
    /// # Errors
    /// The faults of the request, and those of [`App::read`].
    pub fn give_approval<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let caller = self.bearer(call).await?;
            let asked = in_tenant(call, &caller, call.body(MAX_BODY)?, Approval::read)?;
            let own = caller.oneself()?;
            let user = UserId::from_uuid(asked.user_id);
            let keys = self.signing_keys(call).await?;
            self.read(call, &caller, Reads::member(user).unshown(), &|reading| {
                let facts = reading.facts();
                let by = reading.see(facts.member(user)?)?.member.user;
                if by == own {
                    return Err(Problem::Forbidden(of_oneself()));
                }
                let (now, lasts) = (facts.now().seconds(), asked.seconds());
                let whose = (own.uuid().to_string(), caller.session().to_owned());
                let claims = self.claims(facts.tenant(), whose, Kind::Approval, (now, now + lasts));
                let approves = Some(Approved { by: by.uuid().to_string(), change: asked.change() });
                let (aud, started) = (self.expected.of_approvals().audience, Some(caller.since()));
                let approval = keys.sign(&Claims { aud, started, approves, ..claims }, APPROVAL)?;
                Ok(Answer::json(200, &json!(ShownApproval { approval, expires_in: lasts })).uncached())
            })
            .await
        })
    }

    /// The caller, with who has approved what the request asks for, if it says so in `x-approval`.
    pub(super) async fn with_approval(&self, call: &Call, caller: Caller) -> Result<Caller, Problem> {
        let Some(token) = call.header("x-approval") else { return Ok(caller) };
        let kid = credential::kid(token).map_err(|_| not_approved())?;
        let keys = self.keys_with(call, &kid).await?;
        let expected = self.expected.of_approvals();
        let shown = credential::verify(token, Kind::Approval, &keys, &expected, (self.clock)());
        let Credential { holder, tenant, session, issued, claims, .. } = shown.map_err(|_| not_approved())?;
        let own = caller.member().map(|user| user.uuid().to_string());
        match (holder, &claims.approves) {
            (Holder::Member(member), Some(approved))
                if tenant == caller.tenant
                    && own.as_ref() == Some(&approved.by)
                    && call.change_asked().as_ref() == Some(&approved.change) =>
            {
                let proof = Proof { token: token.to_owned(), session, issued };
                caller.approved(Approver { member, proof, expires: claims.exp })
            }
            _ => Err(not_approved()),
        }
    }

    /// Whether the approval is still good with the keys that were just read.
    pub(super) fn verify_approval_again(&self, caller: &Caller, keys: &Keys) -> Result<(), Problem> {
        let Some(approver) = caller.approver() else { return Ok(()) };
        let verified = credential::verify_signature(&approver.proof.token, keys, &self.expected.of_approvals());
        verified.map(drop).map_err(|_| not_approved())
    }
}

/// The client of an approval.
const APPROVAL: &str = "approval";

fn of_oneself() -> Denial {
    Denial::plain("own-approval", "tenant:enter", "Another member must approve what you do.")
}
