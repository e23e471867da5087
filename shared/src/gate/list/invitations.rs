//! The list of invitations.

use std::collections::HashMap;

use domain::id::UserId;
use domain::member::invitation::State;
use domain::policy::Action;
use domain::{Member, Problem, Time, policy};

use super::{MemberPage, Page, PageFn, lost, opened, sort_key};
use crate::answer::Answer;
use crate::gate::facts::Facts;
use crate::gate::plan::with_notices;
use crate::gate::{Asked, Caller, Reads, Who};
use crate::table::decode;
use crate::table::key::{Key, Listed, Range, TenantKeys};

/// Answers with a page of those who are or were invited, of one state or of all: one query, and one more read. Without a state they
/// come in the order of their numbers; those who can accept in the order in which their invitations expire; the others from the last
/// one that expired or ended.
///
/// # Errors
/// [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller may not list members), [`Problem::Invalid`] (the cursor).
pub async fn invitations(
    asked: &Asked<'_>,
    caller: &Caller,
    state: Option<State>,
    page: &Page,
    answer: &PageFn<'_>,
) -> Result<Answer, Problem> {
    let mut facts = Facts::read(asked, &Who::Caller(caller), &Reads::none(), None).await?;
    let tenant = policy::tenant(facts.tenant().id);
    let mut notices = facts.allow(&Action::List(None), &tenant).map_err(Problem::Forbidden)?;
    let (cursors, start) = opened(&facts, page)?;
    let keys = caller.keys();
    let (range, start) = range(keys, state, start, facts.now());
    let after = start.as_deref().map(|sk| behind(keys, &range, sk)).transpose()?;
    let after = after.as_ref().map(|(key, listed)| (key, listed.as_ref()));
    let limit = i32::try_from(page.limit).unwrap_or(i32::MAX);
    let (links, more) = asked.table.page(&range, after, limit).await?;
    let name = if range.in_index { "GSI1SK" } else { "SK" };
    let places: Vec<String> = links.iter().map(|link| sort_key(link, name)).collect::<Result<_, _>>()?;
    let users = places.iter().filter_map(|sk| TenantKeys::number_of(sk).or_else(|| TenantKeys::number_listed(sk)));
    let wanted: Vec<Key> = users.map(|user| keys.member(user)).collect();
    let mut items = if wanted.is_empty() { HashMap::new() } else { asked.table.get(wanted.clone()).await? };
    let mut found = Vec::new();
    for item in wanted.iter().filter_map(|key| items.remove(key)) {
        let member: Member = decode(item)?;
        // The index lags behind.
        let now = member.invitation_state(facts.now());
        if now.is_none() || state.is_some_and(|state| now != Some(state)) {
            continue;
        }
        if let Ok(said) = facts.allow(&Action::Read, &facts.entity(&member)) {
            notices.extend(said);
            found.push(member);
        }
    }
    let next_cursor = places.last().filter(|_| more).map(|place| cursors.seal(place)).transpose()?;
    facts.read_names(asked, &found).await?;
    let members = found.iter().map(|member| facts.view(member)).collect();
    Ok(with_notices(answer(&MemberPage { facts: &facts, members, next_cursor }), &notices))
}

/// Where the invitations of a state are, and behind which place the page begins.
fn range(keys: TenantKeys, state: Option<State>, start: Option<String>, now: Time) -> (Range, Option<String>) {
    let in_index = |listed, descending| {
        let prefix = keys.invitations_listed(listed);
        Range { in_index: true, descending, ..Range::of(prefix) }
    };
    match state {
        None => (Range::of(keys.invitations()), start),
        Some(State::Pending) => (in_index(Listed::Open, false), start.or(Some(edge(now)))),
        Some(State::Expired) => (in_index(Listed::Open, true), start.or(Some(edge(now)))),
        Some(State::Accepted) => (in_index(Listed::Accepted, true), start),
        Some(State::Revoked) => (in_index(Listed::Revoked, true), start),
    }
}

/// The place between the invitations that have expired and those that have not.
fn edge(now: Time) -> String {
    format!("{} ~", Time::from_millis(now.seconds().saturating_mul(1_000)))
}

/// The keys behind which a query goes on.
fn behind(keys: TenantKeys, range: &Range, sk: &str) -> Result<(Key, Option<Key>), Problem> {
    if !range.in_index {
        return Ok((range.at(sk), None));
    }
    // The edge is no invitation. Whose key stands beside it makes no difference.
    let user = match sk.ends_with(" ~") {
        true => UserId::LAST,
        false => TenantKeys::number_listed(sk).ok_or_else(lost)?,
    };
    Ok((keys.invitation(user), Some(range.at(sk))))
}
