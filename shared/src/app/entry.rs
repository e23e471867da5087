//! How people come into a tenant.

use domain::id::{JoinRequestId, UserId};
use domain::member::invitation::State;
use domain::problem::Grant;
use domain::{Issuer, JoinRequest, MemberEdit, Problem, join_request};
use serde_json::{Value, json};

use super::sign_in::NOT_ACTIVE;
use super::{App, Boxed};
use crate::answer::Answer;
use crate::dialect::oauth::{JoinWish, ShownWish};
use crate::gate::domains::{self, Joining, ShownDomain};
use crate::gate::invitations::{self, Accepting, Invitees, ShownSecret};
use crate::gate::sessions::{self, Trust};
use crate::gate::{Asked, Caller, Conditions, NamedList, NamedPageFn, Page, PageFn, View, join_requests, list};
use crate::http::assertion::{Proved, Unverified};
use crate::http::call::{Call, MAX_BODY};
use crate::table::Item;

/// What became of each address.
pub type Lines = Vec<Result<Value, Problem>>;

impl App {
    /// Invites people, each by a change of its own. [`invitations::invite`] lists the errors.
    pub fn invite<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        invitees: &'a Invitees<'a>,
        conditions: &'a Conditions,
        shown: &'a (dyn Fn(&View, &str) -> Value + Send + Sync),
    ) -> Boxed<'a, Lines> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            invitations::invite(&self.asked(call, &check), caller, invitees, conditions, shown).await
        })
    }

    /// Answers with the domains that the caller's tenant claims. [`domains::list`] lists the errors.
    pub fn domains<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        answer: &'a (dyn Fn(&[ShownDomain]) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            domains::list(&self.asked(call, &check), caller, answer).await
        })
    }

    /// Answers with a page of those who ask to join. [`list::join_requests`] lists the errors.
    pub fn join_requests<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: (Option<join_request::State>, &'a NamedList),
        page: &'a Page,
        answer: &'a NamedPageFn<'a, JoinRequest>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            list::join_requests(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers somebody who asks to join a tenant. That begins no session.
    ///
    /// # Errors
    /// The faults of the request, [`Problem::TooManyRequests`], and [`Problem::Grant`].
    pub fn ask_to_join<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let shown = call.body(MAX_BODY)?.all(JoinWish::read)?.exchange();
            self.spend(call, &shown.token).await?;
            let asked = self.asked_alone(call);
            let token = Unverified::read(&shown.token, shown.shown)?;
            let (trust, proved) = self.prove(&asked, &shown, &token).await?;
            let nobody = Problem::Grant(Grant::Denied, "no verified address at a domain of the issuer's");
            let joining = by_address(&trust, &proved).ok_or(nobody)?;
            let request = join_requests::wish(&asked, trust.tenant()?, &joining).await?;
            Ok(Answer::json(202, &json!(ShownWish::new(&request))).uncached())
        })
    }

    /// Lets somebody in who asks to join. [`join_requests::approve`] lists the errors.
    pub fn approve<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        (id, edit): (Option<JoinRequestId>, &'a MemberEdit),
        conditions: &'a Conditions,
        answer: &'a (dyn Fn(&View) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            join_requests::approve(&self.asked(call, &check), caller, (id, edit), conditions, answer).await
        })
    }

    /// Answers with a page of those who are or were invited. [`list::invitations`] lists the errors.
    pub fn invitations<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        state: Option<State>,
        page: &'a Page,
        answer: &'a PageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            list::invitations(&self.asked(call, &check), caller, state, page, answer).await
        })
    }
}

/// Whether an address is at one of the issuer's domains.
pub(super) fn is_of(issuer: &Issuer, email: &str) -> bool {
    email.rsplit_once('@').is_some_and(|(_, domain)| issuer.domains.contains(&domain.to_lowercase()))
}

/// Who joins by their address, if the issuer has verified it and speaks for its domain.
fn by_address<'a>(trust: &'a Trust, proved: &'a Proved) -> Option<Joining<'a>> {
    let email = proved.email.as_deref().filter(|email| is_of(&trust.issuer, email))?;
    let identity = (trust.issuer.iss.as_str(), proved.sign_in.subject.as_str());
    Some(Joining { email, identity, known: trust.known })
}

/// The member who was proved: whom the issuer's `sub` has signed in before; or else, by a verified address of one of the issuer's
/// domains, the one who has the address, or one who joins by a domain of the tenant's.
pub(super) async fn person(asked: &Asked<'_>, trust: &mut Trust, proved: &Proved) -> Result<UserId, Problem> {
    if let Some(user) = trust.known {
        return Ok(user);
    }
    let nobody = Problem::Grant(Grant::Denied, "nobody with this `sub` or this verified address");
    let Some(joining) = by_address(trust, proved) else { return Err(nobody) };
    if let Some(user) = sessions::member_at(asked, trust.tenant()?, joining.email).await? {
        return Ok(user);
    }
    trust.known = domains::join(asked, trust.tenant()?, &joining).await?;
    trust.known.ok_or(nobody)
}

/// Why somebody gets no session who is no active member. If they were removed, they ask to join, as a stranger does.
pub(super) async fn refused(asked: &Asked<'_>, trust: &Trust, proved: &Proved) -> Problem {
    let denied = Problem::Grant(Grant::Denied, NOT_ACTIVE);
    let joining = by_address(trust, proved).filter(|joining| joining.known.is_some());
    let (Some(joining), Ok(tenant)) = (joining, trust.tenant()) else { return denied };
    match join_requests::wish(asked, tenant, &joining).await {
        Ok(_) => join_requests::WAITS,
        Err(Problem::Grant(..)) => denied,
        Err(why) => why,
    }
}

/// Accepts an invitation to the tenant of a sign-in.
pub(super) async fn accept(
    asked: &Asked<'_>,
    trust: &Trust,
    secret: &str,
    identity: (&str, &str),
    verified: Option<&str>,
) -> Result<UserId, Problem> {
    let tenant = trust.tenant()?;
    let shown = ShownSecret::read(secret).filter(|shown| shown.tenant == tenant);
    let shown = shown.ok_or(Problem::Grant(Grant::Denied, "no invitation to this tenant"))?;
    invitations::accept(asked, &shown, &Accepting { identity, known: trust.known, verified }).await
}
