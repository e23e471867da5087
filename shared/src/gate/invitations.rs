//! Invitations: somebody becomes an invited member, gets a secret, and comes in with it.

use std::sync::Mutex;

use domain::id::{TenantId, UserId, sha256};
use domain::member::invitation::{Invitation, InvitationEdit, Inviter};
use domain::problem::Grant;
use domain::tenant::Acceptance;
use domain::{Member, MemberEdit, Problem, Record, Status, Time};
use serde_json::Value;
use subtle::ConstantTimeEq;

use super::facts::{Facts, Unseen, View};
use super::sessions::link;
use super::{Asked, Caller, Conditions, Idempotency, Plan, Reads, Who};
use crate::answer::Answer;
use crate::api_key;
use crate::lock;
use crate::table::Transaction;
use crate::table::key::TenantKeys;

/// The beginning of all secrets.
const PREFIX: &str = "inv_";

/// The longest secret, in bytes.
const MAX_SECRET: usize = 100;

/// The answer to everybody who cannot come in by an invitation.
const NONE: Problem = Problem::Grant(Grant::Denied, "no such invitation");

/// The secret of an invitation, as somebody shows it: `inv_<tenant>_<user>_<random>`. Only the hash of the whole text is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownSecret {
    pub tenant: TenantId,
    user: UserId,
    /// SHA-256 of the text, in hex.
    hash: String,
}

impl ShownSecret {
    /// `None` if the text is no secret of ours.
    pub fn read(text: &str) -> Option<Self> {
        let parts = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_SECRET)?;
        let [tenant, user, _] = parts.split('_').collect::<Vec<_>>()[..] else { return None };
        Some(Self { tenant: TenantId::parse(tenant)?, user: UserId::parse(user)?, hash: sha256(text) })
    }

    /// Whether it accepts the invitation of this member now.
    fn opens(&self, member: &Member, now: Time) -> bool {
        let is_same = |kept: &String| bool::from(kept.as_bytes().ct_eq(self.hash.as_bytes()));
        let is_in_time = member.open_invitation().is_some_and(|open| open.expires_at > now.seconds());
        is_in_time && member.secret.as_ref().is_some_and(is_same)
    }
}

/// What an invitation gets that is about to be made.
pub struct NewSecret {
    /// `None` is the operator of the deployment.
    inviter: Option<Inviter>,
    random: String,
    /// How long it is good, in seconds.
    lasts: i64,
}

impl NewSecret {
    /// # Errors
    /// The machine has no random bytes.
    pub fn new(inviter: Option<Inviter>, lasts: i64) -> Result<Self, Problem> {
        Ok(Self { inviter, random: api_key::secret()?, lasts })
    }

    /// The invitation of a person, and the text of its secret.
    pub fn of(&self, tenant: TenantId, user: UserId, now: Time) -> (Invitation, String) {
        let text = format!("{PREFIX}{tenant}_{user}_{}", self.random);
        let invitation = Invitation {
            inviter: self.inviter,
            made_at: now,
            expires_at: now.seconds() + self.lasts,
            ended_at: None,
            accepted: false,
        };
        (invitation, text)
    }

    /// The same with an edit of the person, and the text of the secret.
    pub(super) fn edit(&self, facts: &Facts, user: UserId, edit: &MemberEdit) -> (MemberEdit, String) {
        let (invitation, text) = self.of(facts.tenant().id, user, facts.now());
        (MemberEdit { invitation: Some(InvitationEdit::Made(invitation, sha256(&text))), ..edit.clone() }, text)
    }
}

impl Plan<'_> {
    /// Makes the person with the address of the edit an invited member. Returns them, and the secret: nobody can find that out again.
    ///
    /// # Errors
    /// A defect: [`Reads::person`] does not name the person.
    pub fn invite(&mut self, edit: &MemberEdit, secret: &NewSecret) -> Result<(Member, String), Problem> {
        let user = edit.email.as_ref().and_then(|email| self.facts.number_of(email));
        let user = user.ok_or_else(|| Problem::Internal("an invitation of nobody".to_owned()))?;
        let (edit, text) = secret.edit(self.facts, user, &MemberEdit { status: Some(Status::Invited), ..edit.clone() });
        Ok((self.add_member(&edit)?, text))
    }

    /// Gives an invited member another secret, in the name of the caller.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn invite_again(&mut self, user: Option<UserId>, secret: &NewSecret) -> Result<(Member, String), Problem> {
        let Unseen(member) = self.facts.invited(user)?;
        let (edit, text) = secret.edit(self.facts, member.user, &MemberEdit::default());
        Ok((self.update(Unseen(member), &edit), text))
    }

    /// Takes back the invitation of somebody, who is then no member.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn revoke_invitation(&mut self, user: Option<UserId>) -> Result<Member, Problem> {
        Ok(self.remove_member(self.facts.invited(user)?))
    }
}

impl Facts {
    /// An invited member that [`Reads`] named.
    fn invited(&self, user: Option<UserId>) -> Result<Unseen<'_, Member>, Problem> {
        let invited = self.member(user).ok().filter(|Unseen(member)| member.is_invited());
        invited.ok_or(Problem::NotFound("invitation"))
    }

    /// A member that [`Reads`] named, who is or was invited; a removed one, too.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn invitation(&self, user: Option<UserId>) -> Result<Unseen<'_, Member>, Problem> {
        let member = self.member(user).or_else(|_| self.removed(user)).ok();
        let invited = member.filter(|Unseen(member)| member.invitation_state(self.now()).is_some());
        invited.ok_or(Problem::NotFound("invitation"))
    }
}

/// Several people whom one request invites.
pub struct Invitees<'a> {
    pub emails: &'a [String],
    /// What each of them gets.
    pub edit: MemberEdit,
    /// How long the invitations are good, in seconds.
    pub lasts: i64,
}

/// What became of each address, in their order: what `shown` makes of the member and the secret, or why it was not done.
///
/// # Errors
/// [`Problem::Forbidden`]: the caller may invite nobody like that, whoever it is. [`Problem::InvalidReference`],
/// [`Problem::IdempotencyMismatch`].
pub async fn invite(
    asked: &Asked<'_>,
    caller: &Caller,
    Invitees { emails, edit, lasts }: &Invitees<'_>,
    conditions: &Conditions,
    shown: &(dyn Fn(&View, &str) -> Value + Send + Sync),
) -> Result<Vec<Result<Value, Problem>>, Problem> {
    if conditions.if_match.is_some() {
        return Err(Problem::NothingToMatch(Member::KIND));
    }
    may_invite(asked, caller, edit).await?;
    let mut lines = Vec::new();
    for (place, email) in emails.iter().enumerate() {
        let edit = MemberEdit { email: Some(email.clone()), ..edit.clone() };
        let secret = NewSecret::new(Some(caller.inviter()), *lasts)?;
        // Each address is a change of its own. So a request that is repeated goes on behind those that are done.
        let idempotency = conditions
            .idempotency
            .as_ref()
            .map(|whole| Idempotency { key: format!("{}#{place}", whole.key), ..whole.clone() });
        let line = Mutex::new(None);
        let plan = |plan: &mut Plan| {
            let (member, text) = plan.invite(&edit, &secret)?;
            *lock(&line) = Some(shown(&plan.view(&member), &text));
            Ok(Answer::empty(201).secret(member.user.uuid().to_string()).into())
        };
        let reads = Reads::person(email).naming(&edit);
        let conditions = Conditions { if_match: None, idempotency };
        let done = super::change(asked, &Who::Caller(caller), &reads, &conditions, &plan).await;
        match done {
            Err(why @ (Problem::Unauthenticated(_) | Problem::IdempotencyMismatch)) if place == 0 => return Err(why),
            done => {
                let line = lock(&line).take();
                let unsaid = || Problem::Internal("an invitation that nobody planned".to_owned());
                lines.push(done.and_then(|_| line.ok_or_else(unsaid)));
            }
        }
    }
    Ok(lines)
}

/// Decides as if nobody in particular were invited. So who may not invite like that learns nothing of who is a member.
async fn may_invite(asked: &Asked<'_>, caller: &Caller, edit: &MemberEdit) -> Result<(), Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown().naming(edit), None).await?;
    let mut plan = Plan::new(&facts);
    let nobody = Member { deleted_at: None, ..facts.nobody() };
    plan.create(nobody, &MemberEdit { status: Some(Status::Invited), ..edit.clone() });
    plan.is_allowed()
}

/// Who accepts: an issuer's `sub`, and the address that the issuer has verified.
pub struct Accepting<'a> {
    pub identity: (&'a str, &'a str),
    /// As whom the `sub` has signed in to the tenant before.
    pub known: Option<UserId>,
    pub verified: Option<&'a str>,
}

/// Accepts an invitation by its secret: the member is active from now on, and the issuer's `sub` is theirs. Who stands for the
/// invitation must be able to give at this moment all that the person gets.
///
/// # Errors
/// [`Problem::Grant`]: there is no such invitation, or not for this person.
pub async fn accept(asked: &Asked<'_>, shown: &ShownSecret, accepting: &Accepting<'_>) -> Result<UserId, Problem> {
    let ShownSecret { tenant, user, .. } = *shown;
    if accepting.known.is_some_and(|known| known != user) {
        return Err(Problem::Grant(Grant::Denied, "an invitation of another member"));
    }
    let member: Option<Member> = asked.table.read(&TenantKeys(tenant).member(user)).await?;
    let open = member.as_ref().and_then(Member::open_invitation);
    let Some(inviter) = open.map(|invitation| invitation.inviter) else {
        // An answer can get lost: who has accepted it comes in again.
        return accepting.known.ok_or(NONE);
    };
    let why = "an invitation was accepted".to_owned();
    let inviter = inviter.map(|inviter| (inviter, Caller::of_inviter(inviter, tenant)));
    let who = match &inviter {
        Some((_, caller)) => Who::For(caller, why),
        None => Who::Product(tenant, why),
    };
    let edit = MemberEdit {
        status: Some(Status::Active),
        invitation: Some(InvitationEdit::Accepted),
        ..MemberEdit::default()
    };
    let plan = |plan: &mut Plan| {
        let (facts, of) = (plan.facts(), inviter.as_ref().map(|(inviter, _)| *inviter));
        let Unseen(member) = facts.member(Some(user)).map_err(|_| NONE)?;
        let open = member.open_invitation().filter(|it| it.inviter == of && shown.opens(member, facts.now()));
        open.ok_or(NONE)?;
        let is_theirs = accepting.verified.is_some_and(|it| it.to_lowercase() == member.email.to_lowercase());
        if facts.tenant().settings.acceptance == Acceptance::Address && !is_theirs {
            return Err(Problem::Grant(Grant::Denied, "an invitation of another address"));
        }
        let after = plan.update(Unseen(member), &edit);
        let is_first = accepting.known.is_none();
        plan.accepts = is_first.then(|| Accepts::new(accepting.identity, after));
        Ok(())
    };
    let reads = Reads::member(Some(user)).unshown();
    let accepted = super::change_unanswered(asked, &who, &reads, &plan).await;
    accepted.map(|()| user).map_err(|why| match why {
        Problem::Forbidden(_) | Problem::Unauthenticated(_) | Problem::DomainNotAllowed => {
            Problem::Grant(Grant::Denied, "the sender of the invitation may not give that now")
        }
        other => other,
    })
}

/// An invitation that is accepted.
pub struct Accepts {
    identity: (String, String),
    member: Member,
}

impl Accepts {
    pub(super) fn new((iss, sub): (&str, &str), member: Member) -> Self {
        Self { identity: (iss.to_owned(), sub.to_owned()), member }
    }

    pub(super) fn write(&self, transaction: &mut Transaction<'_>) -> Result<(), Problem> {
        link(transaction, &self.identity, &self.member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::MembershipId;

    #[test]
    fn a_secret_says_whose_it_is_and_opens_in_its_time() {
        let (tenant, user, now) = (TenantId::new(12), UserId::new(7), Time::from_millis(5_000));
        let (invitation, text) = NewSecret::new(None, 60).unwrap().of(tenant, user, now);
        let member = Member {
            status: Status::Invited,
            invitation: Some(invitation),
            secret: Some(sha256(&text)),
            ..Member::new(MembershipId::new(1), tenant, user, "ann@acme.example", now)
        };
        let shown = ShownSecret::read(&text).unwrap();
        assert_eq!((shown.tenant, shown.user), (tenant, user));
        let at = |seconds: i64| Time::from_millis(seconds * 1_000);
        assert!(shown.opens(&member, at(64)) && !shown.opens(&member, at(65)), "it ends at that second");
        let other = ShownSecret::read(&format!("{text}x")).unwrap();
        assert!(!other.opens(&member, now));
        assert!(!shown.opens(&Member { secret: None, ..member.clone() }, now), "nobody can accept it any more");
        assert!(!shown.opens(&Member { deleted_at: Some(now), ..member }, now));
        for text in ["", "inv_", "inv_0", "inv_1_2", "inv_1_2_3_4", "inv_x_2_3", "inv_1_0_3", "rk_1_2_3"] {
            assert_eq!(ShownSecret::read(text), None, "{text}");
        }
        assert_eq!(ShownSecret::read(&format!("inv_1_2_{}", "x".repeat(MAX_SECRET))), None);
    }
}
