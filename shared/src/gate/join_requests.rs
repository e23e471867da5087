//! Requests to join: who asks, who sees it, and who lets them in.

use std::sync::Mutex;

use domain::claimed_domain::{ClaimedDomain, Join};
use domain::id::{JoinRequestId, TenantId, UserId};
use domain::join_request::{JoinRequest, JoinRequestEdit, State};
use domain::member::change::Roles;
use domain::policy::Action;
use domain::problem::Grant;
use domain::{Member, MemberEdit, Meta, Problem, Record, Status};

use super::domains::{Joining, verified};
use super::facts::{Facts, Unseen, View};
use super::invitations::Accepts;
use super::sessions::member_at;
use super::{Asked, Caller, Conditions, Plan, Reading, Reads, Who};
use crate::answer::Answer;
use crate::lock;
use crate::table::key::{self, TenantKeys};
use crate::table::stored::Reference;

/// The answer to somebody who signs in and waits.
pub const WAITS: Problem = Problem::Grant(Grant::Waits, "asks to join");

/// The answer to somebody who asks to join and can sign in.
const AT_ONCE: Problem = Problem::Grant(Grant::AtOnce, "need not ask to join");

/// The answer to everybody else who may not join now.
const DENIED: Problem = Problem::Grant(Grant::Denied, "may not ask to join");

/// The request of the person with an address.
///
/// # Errors
/// The table cannot be read.
pub(super) async fn of(asked: &Asked<'_>, keys: TenantKeys, email: &str) -> Result<Option<JoinRequest>, Problem> {
    let found: Option<Reference<_>> = asked.table.read(&keys.name(JoinRequest::KIND, email)).await?;
    let Some(Reference { number }) = found else { return Ok(None) };
    let id: JoinRequestId = number;
    asked.table.read(&keys.join_request(id)).await
}

/// Notes that a person asks to join who need not have signed in, and can have been removed. Returns the request that waits: it is the
/// same one, however often they ask.
///
/// # Errors
/// [`Problem::Grant`]: they need not ask, or may not.
pub async fn wish(asked: &Asked<'_>, tenant: TenantId, joining: &Joining<'_>) -> Result<JoinRequest, Problem> {
    let keys = TenantKeys(tenant);
    let user = match joining.known {
        Some(user) => Some(user),
        None => member_at(asked, tenant, joining.email).await?,
    };
    if let Some(user) = user {
        let member: Option<Member> = asked.table.read(&keys.member(user)).await?;
        if let Some(member) = member.filter(Member::is_present) {
            return Err(if member.is_active() { AT_ONCE } else { DENIED });
        }
    }
    let Some(domain) = verified(asked, keys, joining.email).await? else { return Err(DENIED) };
    match domain.join {
        Join::OnApproval => ask(asked, &domain, joining).await,
        // Nobody who was removed comes back without an answer.
        Join::AtOnce if joining.known.is_none() && gets_in(asked, keys, joining.email).await? => Err(AT_ONCE),
        Join::AtOnce | Join::No => Err(DENIED),
    }
}

/// Whether somebody of whom no `sub` is known gets in by signing in, where people join at once: nobody has refused or removed them.
async fn gets_in(asked: &Asked<'_>, keys: TenantKeys, email: &str) -> Result<bool, Problem> {
    if of(asked, keys, email).await?.is_some_and(|request| request.state() == State::Refused) {
        return Ok(false);
    }
    let person: Option<Reference<_>> = asked.table.read(&key::person(email)).await?;
    let Some(Reference { number: user }) = person else { return Ok(true) };
    let member: Option<Member> = asked.table.read(&keys.member(user)).await?;
    Ok(member.is_none())
}

/// Notes that a person asks to join by a domain of the tenant, if they have not asked before. Returns the request that waits.
///
/// # Errors
/// [`Problem::Grant`]: they may not ask. The table cannot be read or written.
pub(super) async fn ask(asked: &Asked<'_>, by: &ClaimedDomain, joining: &Joining<'_>) -> Result<JoinRequest, Problem> {
    let (keys, email) = (TenantKeys(by.tenant), joining.email);
    if let Some(request) = of(asked, keys, email).await? {
        return waiting(request);
    }
    let who = Who::Product(by.tenant, "asked to join by a verified domain".to_owned());
    let made = Mutex::new(None);
    let plan = |plan: &mut Plan| {
        let facts = plan.facts();
        let Unseen(now) = facts.domain()?;
        let may_ask = now.join == Join::OnApproval && now.verified_at.is_some();
        // A member can have got the address meanwhile.
        if !may_ask || facts.member_at(email).is_ok() || !facts.tenant().takes_address(email) {
            return Err(DENIED);
        }
        *lock(&made) = Some(plan.ask_to_join(now, joining)?);
        Ok(())
    };
    let reads = Reads { domain: Some(by.id), ..Reads::addresses(vec![email.to_owned()]) }.unshown();
    let is_made = super::change_unanswered(asked, &who, &reads, &plan).await;
    let made = lock(&made).take();
    match is_made {
        Ok(()) => made.ok_or_else(|| Problem::Internal("a request to join that nobody planned".to_owned())),
        // Another call of the same person was quicker.
        Err(Problem::Exists(_)) => of(asked, keys, email).await?.map_or(Err(DENIED), waiting),
        Err(why @ (Problem::Unavailable(_) | Problem::TooManyRequests(_) | Problem::Internal(_))) => Err(why),
        Err(_) => Err(DENIED),
    }
}

/// A request, if nobody has refused it.
fn waiting(request: JoinRequest) -> Result<JoinRequest, Problem> {
    if request.state() == State::Pending { Ok(request) } else { Err(DENIED) }
}

/// Lets a person in who asks to join: they are an active member from now on, with what the edit gives them. The issuer's `sub` is theirs.
///
/// # Errors
/// Those of [`change`](super::change).
pub async fn approve(
    asked: &Asked<'_>,
    caller: &Caller,
    (id, edit): (Option<JoinRequestId>, &MemberEdit),
    conditions: &Conditions,
    answer: &(dyn Fn(&View) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let keys = caller.keys();
    let request: Option<JoinRequest> = match id {
        Some(id) => asked.table.read(&keys.join_request(id)).await?,
        None => None,
    };
    let (mut reads, mut known) = (Reads::none(), None);
    if let Some(request) = &request {
        // They can have come in by an invitation to another address meanwhile. Or they are back after a removal.
        known = asked.table.read::<Reference<_>>(&keys.identity(&request.issuer, &request.subject)).await?;
        reads = Reads { domain: Some(request.domain), ..Reads::person(&request.email).naming(edit) };
    }
    let known: Option<UserId> = known.map(|it| it.number);
    let plan = |plan: &mut Plan| {
        let facts = plan.facts();
        let Unseen(request) = facts.join_request()?;
        let edit = MemberEdit {
            email: Some(request.email.clone()),
            roles: Some(edit.roles.clone().unwrap_or_else(|| facts.roles_by_domain())),
            status: Some(Status::Active),
            ..edit.clone()
        };
        plan.delete(Unseen(request));
        // A removed person has the `sub` still.
        let is_back = known == facts.number_of(&request.email) && facts.removed(known).is_ok();
        if known.is_some() && !is_back {
            plan.refuse(Problem::Exists("member with this `sub`"));
        }
        let member = plan.add_member(&edit)?;
        let answer = answer(&plan.view(&member));
        plan.accepts = known.is_none().then(|| Accepts::new((&request.issuer, &request.subject), member));
        Ok(answer.into())
    };
    let reads = Reads { join_request: id, ..reads };
    super::change(asked, &Who::Caller(caller), &reads, conditions, &plan).await
}

impl Plan<'_> {
    /// # Errors
    /// The tenant has given all numbers.
    fn ask_to_join(&mut self, by: &ClaimedDomain, joining: &Joining<'_>) -> Result<JoinRequest, Problem> {
        let (id, now) = (self.number(|numbers| &mut numbers.join_requests)?, self.facts().now());
        let (issuer, subject) = joining.identity;
        let request = JoinRequest {
            id,
            tenant: by.tenant,
            email: joining.email.to_owned(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            domain: by.id,
            refused_at: None,
            meta: Meta::new(now),
        };
        Ok(self.create(request, &JoinRequestEdit::Ask))
    }

    /// Refuses a request. Whoever may let the person in still can.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn refuse_to_join(&mut self) -> Result<JoinRequest, Problem> {
        let facts = self.facts();
        Ok(self.update(facts.join_request()?, &JoinRequestEdit::Refuse(facts.now())))
    }
}

impl Facts {
    /// Whoever may invite people may see who asks to join.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub(super) fn may_see_join_requests(&self) -> Result<Vec<String>, Problem> {
        let nobody = self.entity(&self.nobody());
        self.allow(&Action::Invite(self.catalog().inviters), &nobody).map_err(Problem::Forbidden)
    }

    /// The roles of those who join by the domain that [`Reads`] named. It can have been given up: then it is the role of new members.
    pub(super) fn roles_by_domain(&self) -> Roles {
        match self.domain() {
            Ok(Unseen(domain)) if !domain.roles.is_empty() => {
                Roles::Exactly(domain.roles.iter().map(ToString::to_string).collect())
            }
            _ => Roles::Default,
        }
    }
}

impl<'f> Reading<'f> {
    /// A request to join, if the caller may see it.
    ///
    /// # Errors
    /// [`Problem::NotFound`], [`Problem::Forbidden`]
    pub fn see_join_request(&mut self) -> Result<&'f JoinRequest, Problem> {
        let Unseen(request) = self.facts.join_request()?;
        self.notices.extend(self.facts.may_see_join_requests()?);
        Ok(request)
    }
}
