//! The list of the tenants in which the caller is a member.

use std::collections::HashMap;

use domain::id::{RoleId, issuer_uuid};
use domain::{Catalog, Entry, Issuer, Member, Problem, Tenant};

use super::{Page, opened, sort_key};
use crate::answer::Answer;
use crate::gate::facts::Facts;
use crate::gate::{Asked, Caller, Reads, Who};
use crate::table::decode;
use crate::table::key::{self, Key, Range, TenantKeys};
use crate::table::stored::Reference;

/// A tenant in which the caller is a member.
pub struct OwnTenant {
    pub(crate) tenant: Tenant,
    pub(crate) member: Member,
    /// Names of the roles that they have there.
    pub(crate) roles: Vec<String>,
}

/// One page of the caller's tenants, in the order of their numbers.
pub struct TenantPage {
    pub tenants: Vec<OwnTenant>,
    pub next_cursor: Option<String>,
}

/// Makes the answer from a page of the caller's tenants.
pub type TenantPageFn<'p> = dyn Fn(&TenantPage) -> Answer + Send + Sync + 'p;

/// Answers with a page of the tenants in which the caller is a member: one query, and two more reads. Nobody else can ask for
/// these, and no tenant learns of the others: whose an issuer's `sub` is, each tenant says for itself. So another tenant is shown only
/// if it knows the `sub` of the session as the same person, and all tenants trust the issuer alike. A page can be short.
///
/// # Errors
/// [`Problem::Unauthenticated`], [`Problem::Forbidden`] (the caller is no active member), [`Problem::Invalid`] (the cursor).
pub async fn tenants(
    asked: &Asked<'_>,
    caller: &Caller,
    page: &Page,
    answer: &TenantPageFn<'_>,
) -> Result<Answer, Problem> {
    let session = caller.member().map(|user| (user, caller.session().to_owned()));
    let reads = Reads { session, ..Reads::none() };
    let facts = Facts::read(asked, &Who::Caller(caller), &reads, None).await?;
    let (cursors, start) = opened(&facts, page)?;
    let user = caller.oneself()?;
    let range = Range::of(key::tenants_of(user));
    let after = start.map(|sk| range.at(&sk));
    let limit = i32::try_from(page.limit).unwrap_or(i32::MAX);
    let (edges, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), limit).await?;
    let session = facts.things.session.as_ref();
    let (sign_in, is_trusted) = (session.map(|it| &it.sign_in), session.is_none_or(|it| it.of_deployment));
    let identity = |keys: TenantKeys| sign_in.map(|by| keys.identity(&by.issuer, &by.subject));
    let entry = |keys: TenantKeys| sign_in.map(|by| keys.issuer(issuer_uuid(&by.issuer)));
    let places: Vec<String> = edges.iter().map(|edge| sort_key(edge, "SK")).collect::<Result<_, _>>()?;
    let keys: Vec<TenantKeys> = places.iter().filter_map(|sk| TenantKeys::of_edge(sk)).collect();
    let wanted = keys
        .iter()
        .flat_map(|keys| [keys.tenant(), keys.member(user)].into_iter().chain(identity(*keys)).chain(entry(*keys)));
    let mut items = asked.table.get(wanted).await?;
    let mut found: Vec<(Tenant, Member)> = Vec::new();
    for keys in keys {
        let known = identity(keys).and_then(|identity| items.remove(&identity));
        let known: Option<Reference<_>> = known.map(decode).transpose()?;
        let own: Option<Issuer> = entry(keys).and_then(|entry| items.remove(&entry)).map(decode).transpose()?;
        let is_trusted = is_trusted && own.is_none_or(|own| own.of_deployment);
        // Without a session on record, the operator's own key has named the person.
        let is_same = is_trusted && (sign_in.is_none() || known.is_some_and(|it| it.number == user));
        if keys.0 != caller.tenant && !is_same {
            continue;
        }
        if let (Some(tenant), Some(member)) = (items.remove(&keys.tenant()), items.remove(&keys.member(user))) {
            found.push((decode(tenant)?, decode(member)?));
        }
    }
    found.retain(|(tenant, member)| tenant.deleted_at.is_none() && member.is_present());
    let built_in = Catalog::new(0, []);
    let further = found.iter().flat_map(|(tenant, member)| {
        let of_tenant = member.roles.iter().filter(|role| built_in.role(**role).is_none());
        of_tenant.map(|role| TenantKeys(tenant.id).role(*role))
    });
    let further: Vec<Key> = further.collect();
    let roles = if further.is_empty() { HashMap::new() } else { asked.table.get(further).await? };
    let roles = roles.into_iter().map(|(key, item)| Ok((key, decode(item)?)));
    let roles: HashMap<Key, Entry> = roles.collect::<Result<_, Problem>>()?;
    let name = |tenant: &Tenant, id: &RoleId| match roles.get(&TenantKeys(tenant.id).role(*id)) {
        Some(Entry::Role(role)) => Some(role.name.clone()),
        _ => built_in.role(*id).map(|role| role.name.clone()),
    };
    let tenants = found.into_iter().map(|(tenant, member)| {
        let roles = member.roles.iter().filter_map(|id| name(&tenant, id)).collect();
        OwnTenant { tenant, member, roles }
    });
    let next = places.last().filter(|_| more);
    let next_cursor = next.map(|place| cursors.seal(place)).transpose()?;
    Ok(answer(&TenantPage { tenants: tenants.collect(), next_cursor }))
}
