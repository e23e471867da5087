//! Policies of a tenant's own: to see them, to try a draft, and to take all out of force.

mod past;

use std::time::Instant;

use domain::draft::{Draft, Refusal};
use domain::job::EventFilters;
use domain::policy::eval::Entity;
use domain::policy::{self, Action, Around, Policies};
use domain::problem::{Fault, Wrong};
use domain::{Event, Member, OwnPolicy, OwnPolicyEdit, Policy, Problem};

use super::events::{newest, note_look};
use super::facts::{Facts, Unseen};
use super::list::{Page, Shown, opened, sort_key};
use super::{Asked, Caller, Plan, Reading, Reads, Who};
use crate::answer::Answer;
use crate::table::decode;
use crate::table::key::Range;

/// What an author is told whose policy would shut them out.
const SHUTS_OUT: &str = "it would keep you from changing policies; add an `unless` that leaves `policy:manage` to you";
/// The same if they could not sign in again, to change it.
const LOCKS_OUT: &str = "it would refuse the way in which you have signed in, so that you could not take it back once your \
                         session has ended; sign in first as it asks for, or add an `unless` for you";

/// The dialect in which people sign in.
const OF_SIGN_IN: &str = "oauth";

/// What a draft would refuse one member.
pub struct Tried<'a> {
    pub member: &'a Member,
    pub refused: Vec<Refusal<'a>>,
}

/// What a draft would have refused of a change.
pub struct Past<'a> {
    pub event: &'a Event,
    pub refused: Vec<Refusal<'static>>,
}

/// What a draft would have refused of the last changes.
#[derive(Default)]
pub struct Pasts<'a> {
    /// How many events were read, and how many of them tell enough to judge them.
    pub read: usize,
    pub judged: usize,
    /// Those of which the draft would have refused something, the newest first.
    pub refused: Vec<Past<'a>>,
}

/// What a draft would refuse the members of a page, and what it would have refused before.
pub struct Trial<'a> {
    pub tenant: &'a domain::Tenant,
    pub past: Pasts<'a>,
    /// Those whom it would refuse something.
    pub users: Vec<Tried<'a>>,
    pub next_cursor: Option<String>,
    /// Whether it would keep the caller from changing policies, or from signing in again as they have signed in.
    pub shuts_out: bool,
}

/// Makes the answer from a trial.
pub type TrialFn<'t> = dyn Fn(&Trial) -> Answer + Send + Sync + 't;

/// Answers with what a draft would refuse a page of the tenant's members, in the order of their numbers; and with what it would have
/// refused of the last `events` changes of the tenant: a look at the record, which is on record if the tenant says so. `compiled` is the
/// draft's text, compiled.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn try_out(
    asked: &Asked<'_>,
    caller: &Caller,
    (compiled, events): (&str, usize),
    page: &Page,
    answer: &TrialFn<'_>,
) -> Result<Answer, Problem> {
    let started = Instant::now();
    let reads = Reads::none().unshown().and_sign_in(caller);
    let facts = Facts::read(asked, &Who::Caller(caller), &reads, None).await?;
    facts.may_do(&Action::ManagePolicies)?;
    if events > 0 {
        facts.may_do(&Action::ReadEvents)?;
    }
    let (cursors, start) = opened(&facts, page)?;
    let range = Range::of(caller.keys().members());
    let after = start.map(|sk| range.at(&sk));
    let most = i32::try_from(page.limit).unwrap_or(i32::MAX);
    let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), most).await?;
    let next = items.last().filter(|_| more).map(|item| sort_key(item, "SK")).transpose()?;
    let members: Vec<Member> = items.into_iter().map(decode).collect::<Result<_, _>>()?;
    let draft = Draft::new(compiled);
    let visible = members.iter().filter(|it| it.is_present() && facts.allow(&Action::Read, &facts.entity(*it)).is_ok());
    let tried = visible.map(|member| {
        let refused = facts.rules().refused_by(&draft, facts.around(), member);
        Tried { member, refused }
    });
    let users = tried.filter(|tried| !tried.refused.is_empty()).collect();
    let next_cursor = next.map(|place| cursors.seal(&place)).transpose()?;
    let is_look = events > 0;
    let events = newest(asked, caller.keys(), facts.now(), events).await?;
    if is_look {
        note_look(asked, &facts, started, ("dry-run", &EventFilters::default())).await?;
    }
    let past = past::judge(asked, &facts, &draft, &events).await?;
    let shuts_out = facts.shut_out_by(&Policy { id: domain::id::PolicyId::LAST, compiled: compiled.to_owned() });
    Ok(answer(&Trial { tenant: facts.tenant(), past, users, next_cursor, shuts_out: shuts_out.is_some() }))
}

/// Takes all policies of a tenant out of force, for the operator: whatever they forbid, the tenant's owners can change them again. Returns
/// how many were in force.
///
/// # Errors
/// As those of [`change`](super::change).
pub(super) async fn disable_all(asked: &Asked<'_>, who: &Who<'_>) -> Result<u32, Problem> {
    let (range, mut after, mut disabled) = (Range::of(who.keys().own_policies()), None, 0);
    loop {
        let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), 100).await?;
        after = items.last().map(|item| sort_key(item, "SK")).transpose()?.map(|sk| range.at(&sk));
        let policies: Vec<OwnPolicy> = items.into_iter().map(decode).collect::<Result<_, _>>()?;
        for policy in policies.iter().filter(|policy| policy.enabled) {
            let disable = |plan: &mut Plan| {
                // A policy can keep the owners from signing in, to restore a deleted tenant.
                plan.facts().tenant().is_live_or_restorable(plan.facts().now())?;
                // Another request may have deleted it meanwhile.
                if let Ok(policy) = plan.facts().own_policy() {
                    plan.update(policy, &OwnPolicyEdit::Disable);
                }
                Ok(())
            };
            let reads = Reads::policy(Some(policy.id)).also_if_deleted();
            super::change_unanswered(asked, who, &reads, &disable).await?;
            disabled += 1;
        }
        if !more {
            return Ok(disabled);
        }
    }
}

impl Reads {
    /// Also how the caller has signed in. Who acts as a member has not signed in as them.
    pub fn and_sign_in(self, caller: &Caller) -> Self {
        let user = caller.member().filter(|_| caller.impersonator().is_none());
        Self { session: user.map(|user| (user, caller.session().to_owned())), ..self }
    }
}

impl Plan<'_> {
    /// Refuses the plan if this policy would keep its author from changing policies, because no owner could take it back. Whether they can
    /// sign in again counts, too, if the request has read how they have signed in: [`Reads::and_sign_in`].
    pub fn leaves_policies_open(&mut self, policy: &OwnPolicy) {
        let Some(deciding) = policy.deciding() else { return };
        if let Some(why) = self.facts().shut_out_by(&deciding) {
            let why = Wrong::Policy(why.to_owned());
            self.refuse(vec![Fault::here(why).within("text").within("body")].into());
        }
    }
}

impl Facts {
    pub(super) fn may_do(&self, action: &Action) -> Result<(), Problem> {
        self.allow(action, &policy::tenant(self.tenant().id)).map(drop).map_err(Problem::Forbidden)
    }

    /// What a policy does, in words for the caller, if it keeps them from changing policies, or from signing in again as they have signed in.
    fn shut_out_by(&self, policy: &Policy) -> Option<&'static str> {
        let (policies, tenant) = (Policies::new([policy]), policy::tenant(self.tenant().id));
        let may = |around: Around, entity: &Entity, action: &Action| {
            policies.enter(self.now(), entity, self.tenant().id)?;
            policies.allow(around, entity, action, &tenant)
        };
        let changes = self.principal().each(|entity| may(self.around(), entity, &Action::ManagePolicies));
        if changes.is_err() {
            return Some(SHUTS_OUT);
        }
        let (session, member) = (self.things.session.as_ref()?, self.principal().alone()?);
        let around = Around { dialect: OF_SIGN_IN, ..self.around() };
        may(around, &member, &Action::StartSession(&session.sign_in)).is_err().then_some(LOCKS_OUT)
    }
}

impl<'f> Reading<'f> {
    /// The policy that [`Reads`] named, for who may see policies.
    ///
    /// # Errors
    /// [`Problem::NotFound`], [`Problem::Forbidden`]
    pub fn own_policy(&self) -> Result<Shown<'f, OwnPolicy>, Problem> {
        self.facts.may_do(&Action::ReadPolicies)?;
        self.facts.own_policy().map(|Unseen(policy)| self.facts.shown(policy))
    }
}
