//! Domains that tenants claim: who claims one, how it is found, and who joins by it.

use std::collections::BTreeMap;

use domain::claimed_domain::{Join, LOOKED_FOR, challenge};
use domain::id::{DomainId, TenantId, UserId};
use domain::join_request::State;
use domain::member::change::Fields;
use domain::policy::{self, Action};
use domain::problem::Grant;
use domain::{Catalog, ClaimedDomain, ClaimedDomainEdit, MemberEdit, Meta, Problem, Record, Status, Time};
use futures_util::future::try_join;

use super::facts::{Facts, Unseen};
use super::invitations::Accepts;
use super::{Asked, Caller, Plan, Reading, Reads, Who, join_requests};
use crate::answer::Answer;
use crate::table::key::{self, Range, TenantKeys};
use crate::table::stored::{Reference, Search};
use crate::table::{Condition, decode, encode};

/// How many domains one run looks for. The others wait for the next run.
const AT_ONCE: i32 = 50;

/// How often a domain is looked for, in seconds: after a minute at the soonest, then at ever greater intervals, at last once an hour.
const LOOK_EVERY: [i64; 2] = [60, 60 * 60];

/// More than a tenant can claim.
const ALL: i32 = 100;

/// A claimed domain that the caller may see, or has changed.
pub struct ShownDomain<'a> {
    pub domain: &'a ClaimedDomain,
    pub catalog: &'a Catalog,
    pub search: Option<Search>,
}

/// A new claim, as a request describes it.
pub struct NewClaim {
    pub name: String,
    pub join: Join,
    /// Each by UUID, number or name.
    pub roles: Vec<String>,
    /// Random text, for the challenge.
    pub random: String,
}

/// The domains that the caller's tenant claims, in the order in which it did, for who may claim them.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn list(
    asked: &Asked<'_>,
    caller: &Caller,
    answer: &(dyn Fn(&[ShownDomain]) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown(), None).await?;
    facts.may_see_domains()?;
    let (domains, searches) = (Range::of(caller.keys().domains()), Range::of(caller.keys().searches()));
    let domains = asked.table.page(&domains, None, ALL);
    let ((domains, _), (searches, _)) = try_join(domains, asked.table.page(&searches, None, ALL)).await?;
    let mut found = BTreeMap::new();
    for item in searches {
        let place = super::list::sort_key(&item, "SK")?;
        found.insert(place, decode::<Search>(item)?);
    }
    let domains = domains.into_iter().map(decode).collect::<Result<Vec<ClaimedDomain>, _>>()?;
    let shown = domains.iter().map(|domain| {
        let search = found.remove(&caller.keys().search(domain.id).sk);
        ShownDomain { domain, catalog: facts.catalog(), search }
    });
    Ok(answer(&shown.collect::<Vec<_>>()))
}

impl Facts {
    /// Whoever may claim domains may see them.
    fn may_see_domains(&self) -> Result<Vec<String>, Problem> {
        let claim = Action::UpdateTenant { settings: ["domains"].into() };
        self.allow(&claim, &self.entity(self.tenant())).map_err(Problem::Forbidden)
    }
}

impl<'f> Reading<'f> {
    /// A claimed domain, if the caller may see it.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub fn see_domain(&mut self, Unseen(domain): Unseen<'f, ClaimedDomain>) -> Result<ShownDomain<'f>, Problem> {
        self.notices.extend(self.facts.may_see_domains()?);
        Ok(ShownDomain { domain, catalog: self.facts.catalog(), search: self.facts.things.search.clone() })
    }
}

impl Plan<'_> {
    /// Claims a domain for the tenant.
    ///
    /// # Errors
    /// The tenant has given all numbers.
    pub fn claim(&mut self, new: &NewClaim, caller: &Caller) -> Result<ClaimedDomain, Problem> {
        let (id, now) = (self.number(|numbers| &mut numbers.domains)?, self.facts().now());
        let domain = ClaimedDomain {
            id,
            tenant: self.facts().tenant().id,
            name: new.name.clone(),
            join: new.join,
            roles: [].into(),
            author: caller.inviter(),
            challenge: challenge(&new.random),
            asked_at: now,
            verified_at: None,
            meta: Meta::new(now),
        };
        let roles = Some(new.roles.clone());
        Ok(self.create(domain, &ClaimedDomainEdit::Set { join: None, roles, author: caller.inviter() }))
    }

    /// Verifies a claimed domain, if its record was found. Otherwise it is looked for anew.
    ///
    /// # Errors
    /// [`Problem::NotFound`]
    pub fn verify_domain(&mut self) -> Result<ClaimedDomain, Problem> {
        let facts = self.facts();
        let (Unseen(domain), now) = (facts.domain()?, facts.now());
        // The domain can have another owner long after it was looked for.
        let is_proof = |search: &Search| {
            let is_fresh = search.looked_at.is_some_and(|at| at + LOOKED_FOR > now.seconds());
            search.is_found && is_fresh && search.asked_at == domain.asked_at.seconds()
        };
        let edit = match domain.verified_at {
            Some(at) => ClaimedDomainEdit::Verify(at),
            None if facts.things.search.as_ref().is_some_and(is_proof) => ClaimedDomainEdit::Verify(now),
            None => ClaimedDomainEdit::Ask(now),
        };
        Ok(self.update(Unseen(domain), &edit))
    }

    /// A claimed domain that was changed, for the answer.
    pub fn shown_domain<'a>(&'a self, domain: &'a ClaimedDomain) -> ShownDomain<'a> {
        ShownDomain { domain, catalog: self.facts().catalog(), search: self.facts().things.search.clone() }
    }
}

/// A domain that is to be looked for, and what the search has brought so far.
pub struct Wanted {
    pub domain: ClaimedDomain,
    search: Search,
}

/// The domains that are to be looked for by now.
///
/// # Errors
/// The table cannot be read.
pub async fn due(asked: &Asked<'_>, now: Time) -> Result<Vec<Wanted>, Problem> {
    let range = Range { in_index: true, ..Range::of(key::domain_searches()) };
    let (items, _) = asked.table.page(&range, None, AT_ONCE).await?;
    let mut places = Vec::new();
    for item in &items {
        let sk = super::list::sort_key(item, "GSI1SK")?;
        let due = key::domain_searched(&sk).filter(|(at, ..)| *at <= now.to_string().as_str());
        places.extend(due.map(|(_, tenant, id)| (tenant, id)));
    }
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let keys =
        places.iter().flat_map(|(tenant, id)| [TenantKeys(*tenant).domain(*id), TenantKeys(*tenant).search(*id)]);
    let mut items = asked.table.get(keys).await?;
    let mut wanted = Vec::new();
    for (tenant, id) in places {
        let keys = TenantKeys(tenant);
        // The index lags behind: the domain can be gone, or verified.
        if let (Some(domain), Some(search)) = (items.remove(&keys.domain(id)), items.remove(&keys.search(id))) {
            wanted.push(Wanted { domain: decode(domain)?, search: decode(search)? });
        }
    }
    Ok(wanted)
}

/// Keeps what a look at the DNS has brought: the texts that stand there, or why there are none. Returns whether the proof is among them.
/// That changes no record: the owner who verifies the domain does.
///
/// # Errors
/// The table cannot be written.
pub async fn keep(asked: &Asked<'_>, wanted: &Wanted, found: Result<Vec<String>, String>) -> Result<bool, Problem> {
    let Wanted { domain, search } = wanted;
    let failure = match found {
        Ok(texts) if texts.contains(&domain.challenge) => None,
        Ok(_) => Some("the record has another value".to_owned()),
        Err(why) => Some(why),
    };
    let now = (asked.clock)();
    let [soonest, latest] = LOOK_EVERY;
    let since = now.seconds() - search.asked_at;
    let next = Time::from_millis(now.millis() + since.clamp(soonest, latest) * 1_000);
    let next = key::domain_search(domain.tenant, domain.id, next);
    let next = Some(&next).filter(|_| failure.is_some() && since < LOOKED_FOR);
    let at = TenantKeys(domain.tenant).search(domain.id);
    // Somebody can have asked again, or the claim can be gone meanwhile.
    let same = Condition::new("asked_at = :asked").with(":asked", search.asked_at)?;
    let is_found = failure.is_none();
    let kept = Search { looked_at: Some(now.seconds()), is_found, failure, ..search.clone() };
    asked.table.put_if(encode(&at, next, &kept)?, same).await?;
    Ok(is_found)
}

/// Who joins: the address that an issuer has verified, and the issuer's `sub`.
pub struct Joining<'a> {
    pub email: &'a str,
    pub identity: (&'a str, &'a str),
    /// As whom the `sub` has signed in to the tenant before.
    pub known: Option<UserId>,
}

/// Makes somebody a member whose address is at a domain that the tenant has verified, if it lets them join at once. If somebody must
/// let them in, it notes that they ask. `None` if it does neither. Who has said so must be able to make them a member like that now.
/// Nobody comes back like that who was removed, and nobody comes in who was refused.
///
/// # Errors
/// [`Problem::Grant`]: they ask to join; or who has said how people join may not let them in now, or the tenant has no seat for them.
pub async fn join(asked: &Asked<'_>, tenant: TenantId, joining: &Joining<'_>) -> Result<Option<UserId>, Problem> {
    let Some(domain) = verified(asked, TenantKeys(tenant), joining.email).await? else { return Ok(None) };
    match domain.join {
        Join::No => return Ok(None),
        Join::OnApproval => {
            join_requests::ask(asked, &domain, joining).await?;
            return Err(join_requests::WAITS);
        }
        Join::AtOnce => {}
    }
    let asks = join_requests::of(asked, TenantKeys(tenant), joining.email).await?;
    let author = Caller::of_inviter(domain.author, tenant);
    let who = Who::For(&author, "joined by a verified domain".to_owned());
    let joined = std::sync::Mutex::new(None);
    let plan = |plan: &mut Plan| {
        let facts = plan.facts();
        let Unseen(now) = facts.domain()?;
        let user = facts.number_of(joining.email);
        let is_same = (now.author, &now.roles, now.join) == (domain.author, &domain.roles, domain.join);
        if !is_same || now.verified_at.is_none() || facts.removed(user).is_ok() {
            return Err(Problem::Grant(Grant::Denied, "was removed, or the domain has changed"));
        }
        if let Ok(Unseen(request)) = facts.join_request() {
            if request.state() == State::Refused {
                return Err(Problem::Grant(Grant::Denied, "was refused"));
            }
            plan.delete(Unseen(request));
        }
        let edit = MemberEdit {
            email: Some(joining.email.to_owned()),
            roles: Some(facts.roles_by_domain()),
            status: Some(Status::Active),
            fields: Fields { roles: "roles", ..Fields::default() },
            ..MemberEdit::default()
        };
        // Only owners may say how people join: the author must still be one.
        let claim = [Action::UpdateTenant { settings: ["domains"].into() }];
        plan.decide_on(ClaimedDomain::KIND, &claim, &policy::tenant(tenant));
        let member = plan.add_member(&edit)?;
        *crate::lock(&joined) = Some(member.user);
        let (iss, sub) = joining.identity;
        plan.accepts = Some(Accepts::new((iss, sub), member));
        Ok(())
    };
    let join_request = asks.map(|request| request.id);
    let reads = Reads { domain: Some(domain.id), join_request, ..Reads::person(joining.email) }.unshown();
    match super::change_unanswered(asked, &who, &reads, &plan).await {
        Ok(()) => Ok(crate::lock(&joined).take()),
        // Another sign-in of the same person was quicker. Or somebody else has got the address meanwhile.
        Err(Problem::Exists(_)) => {
            let (iss, sub) = joining.identity;
            let known: Option<Reference<_>> = asked.table.read(&TenantKeys(tenant).identity(iss, sub)).await?;
            Ok(known.map(|it| it.number))
        }
        Err(
            why @ (Problem::Unavailable(_) | Problem::TooManyRequests(_) | Problem::Internal(_) | Problem::Grant(..)),
        ) => Err(why),
        Err(_) => Err(Problem::Grant(Grant::Denied, "the domain lets nobody join now")),
    }
}

/// The domain of an address, if the tenant has verified it.
pub(super) async fn verified(
    asked: &Asked<'_>,
    keys: TenantKeys,
    email: &str,
) -> Result<Option<ClaimedDomain>, Problem> {
    let Some((_, name)) = email.rsplit_once('@') else { return Ok(None) };
    let name = name.to_lowercase();
    let found: Option<Reference<_>> = asked.table.read(&keys.name(ClaimedDomain::KIND, &name)).await?;
    let Some(Reference { number }) = found else { return Ok(None) };
    let id: DomainId = number;
    let domain: Option<ClaimedDomain> = asked.table.read(&keys.domain(id)).await?;
    Ok(domain.filter(|domain| domain.verified_at.is_some() && domain.name == name))
}
