//! All that a tenant holds on a person.

use domain::id::UserId;
use domain::policy::Action;
use domain::{JoinRequest, Problem};
use futures_util::future::try_join4;

use super::api_keys::{self, ShownApiKey};
use super::facts::{Facts, Unseen, View};
use super::plan::Reading;
use super::sessions::{self, Live};
use super::{Asked, Caller, Reads, Who, join_requests};
use crate::answer::Answer;
use crate::table::stored::Identity;

/// What a tenant holds on a person, beside the record of changes.
pub struct Personal<'a> {
    pub view: View<'a>,
    pub sessions: Vec<Live>,
    /// The API keys that they have made.
    pub keys: Vec<ShownApiKey<'a>>,
    /// As whom issuers know them.
    pub identities: Vec<Identity>,
    /// They have asked to join: before they came in by another way, or after they were removed.
    pub join_request: Option<JoinRequest>,
}

/// Makes the answer from what a tenant holds on a person.
pub type PersonalFn<'p> = dyn Fn(&Personal) -> Answer + Send + Sync + 'p;

/// Answers with all that the tenant holds on a member, removed or not: nothing is left out that the caller may not see.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn personal(
    asked: &Asked<'_>,
    caller: &Caller,
    user: Option<UserId>,
    answer: &PersonalFn<'_>,
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::member(user).pictures(true), None).await?;
    let mut reading = Reading::new(&facts);
    // Who has left can ask, too.
    let found = facts.members().next().filter(|Unseen(member)| !member.is_erased());
    let unseen = found.ok_or(Problem::NotFound("user"))?;
    let Unseen(member) = unseen;
    let view = reading.see(unseen)?;
    let notices = facts.allow(&Action::ReadSessions, &facts.entity(member)).map_err(Problem::Forbidden)?;
    reading.notices.extend(notices);
    let (sessions, mut made, identities, join_request) = try_join4(
        sessions::of_member(asked, caller, &facts, member),
        api_keys::all(asked, caller),
        sessions::identities(asked, caller.keys(), member.user),
        join_requests::of(asked, caller.keys(), &member.email),
    )
    .await?;
    made.retain(|key| key.maker == Some(member.user));
    let keys = made.iter().map(|key| reading.see_key(Unseen(key))).collect::<Result<Vec<_>, _>>()?;
    if join_request.is_some() && !caller.is_oneself(member.user) {
        reading.notices.extend(facts.may_see_join_requests()?);
    }
    let answer = answer(&Personal { view, sessions, keys, identities, join_request });
    Ok(reading.answer(answer))
}
