//! All that a tenant holds on a person.

use domain::Problem;
use domain::id::UserId;
use domain::policy::Action;

use super::api_keys::{self, ShownApiKey};
use super::facts::{Facts, Unseen, View};
use super::plan::Reading;
use super::sessions::{self, Live};
use super::{Asked, Caller, Reads, Who};
use crate::answer::Answer;

/// What a tenant holds on a person, beside the record of changes.
pub struct Personal<'a> {
    pub view: View<'a>,
    pub sessions: Vec<Live>,
    /// The API keys that they have made.
    pub keys: Vec<ShownApiKey<'a>>,
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
    let sessions = sessions::of_member(asked, caller, &facts, member).await?;
    let mut made = api_keys::all(asked, caller).await?;
    made.retain(|key| key.maker == Some(member.user));
    let keys = made.iter().map(|key| reading.see_key(Unseen(key))).collect::<Result<Vec<_>, _>>()?;
    let answer = answer(&Personal { view, sessions, keys });
    Ok(reading.answer(answer))
}
