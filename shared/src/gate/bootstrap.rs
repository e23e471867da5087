//! The first tenant of a deployment, its owner and its issuer; further tenants; a new owner of a tenant that has lost its owners, and a way
//! out of its own policies. Only the operator asks for these, with rights in the cloud's account: no member could.

use std::sync::Mutex;

use domain::event::{Author, Stamp};
use domain::id::{Kind, MembershipId, TenantId, UserId, sha256};
use domain::member::change::{Fields, Roles};
use domain::{Issuer, Member, MemberEdit, Problem, Record, Status, Tenant, User, role};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::invitations::NewSecret;
use super::policies::disable_all;
use super::sessions::{held_identity, identity};
use super::{Asked, Plan, Reads, Who};
use crate::lock;
use crate::table::key::{self, TenantKeys};
use crate::table::stored::{Reference, Stored};
use crate::table::{Committed, Condition, Transaction, decode, encode};

/// How long an invitation counts, in seconds: 24 hours.
const INVITED: i64 = 24 * 60 * 60;

/// The author of the changes, in events.
const OPERATOR: &str = "the operator of the deployment";

/// An owner who does not exist yet.
#[derive(Debug)]
pub struct NewOwner {
    pub email: String,
    /// The `sub` under which the issuer knows them. Without one they are invited: they sign in with the secret of the invitation.
    pub subject: Option<String>,
    /// The issuer of the `sub`, if it is not the one of the request.
    pub issuer: Option<String>,
}

/// What the operator asks for.
#[derive(Debug)]
pub enum Request {
    /// The first tenant with the issuer that all tenants trust, or a further one without.
    Tenant { slug: String, name: String, owner: NewOwner, issuer: Option<Box<Issuer>> },
    /// A new owner of a tenant, by its slug.
    Recover { tenant: String, owner: NewOwner },
    /// All policies of a tenant out of force, by its slug.
    DisablePolicies { tenant: String },
    /// An issuer that all tenants trust, new or in place of the one with the same `iss`.
    Trust(Box<Issuer>),
}

/// The item that says which tenant was the first.
#[derive(Serialize, Deserialize)]
struct First {
    tenant: TenantId,
}

/// Does what the operator asks for.
///
/// # Errors
/// [`Problem::Exists`]: there is a first tenant already, or the slug is taken. [`Problem::NotFound`]: no such tenant, or no first one.
pub async fn carry_out(asked: &Asked<'_>, request: &Request) -> Result<Value, Problem> {
    match request {
        Request::Tenant { slug, name, owner, issuer } => found(asked, (slug, name), owner, issuer.as_deref()).await,
        Request::Recover { tenant, owner } => recover(asked, tenant, owner).await,
        Request::DisablePolicies { tenant } => disable_policies(asked, tenant).await,
        Request::Trust(issuer) => trust(asked, issuer).await,
    }
}

/// Makes a tenant: the first one, if it comes with an issuer.
async fn found(
    asked: &Asked<'_>,
    (slug, name): (&str, &str),
    owner: &NewOwner,
    issuer: Option<&Issuer>,
) -> Result<Value, Problem> {
    const FIRST: &str = "first tenant with this deployment";
    let (marker, person_key) = (key::bootstrap(), key::person(&owner.email));
    let mut found = asked.table.get([marker.clone(), person_key.clone()]).await?;
    match (found.contains_key(&marker), issuer) {
        (true, Some(_)) => return Err(Problem::Exists(FIRST)),
        (false, None) => return Err(Problem::NotFound("first tenant")),
        _ => {}
    }
    let known: Option<Reference<_>> = found.remove(&person_key).map(decode).transpose()?;
    let now = (asked.clock)();
    let tenant: TenantId = number(asked.table.allocate(Kind::Tenant, 1).await?)?;
    let membership: MembershipId = number(asked.table.allocate(Kind::Membership, 1).await?)?;
    let user: UserId = match &known {
        Some(known) => known.number,
        None => number(asked.table.allocate(Kind::User, 1).await?)?,
    };
    let keys = TenantKeys(tenant);
    let stamp = Stamp {
        tenant,
        at: now,
        author: Author::Product(OPERATOR.to_owned()),
        impersonator: None,
        approver: None,
        request: asked.request.to_owned(),
        transaction: Uuid::new_v4().to_string(),
        secret: Uuid::new_v4().to_string(),
    };
    let mut issuer = issuer.map(|issuer| Issuer { of_deployment: true, ..issuer.clone() });
    let mut made = Tenant::new(tenant, slug, name, &Uuid::new_v4().to_string(), now);
    let (invitation, secret) = NewSecret::new(None, INVITED)?.of(tenant, user, now);
    let secret = Some(secret).filter(|_| owner.subject.is_none());
    let mut member = Member {
        roles: [role::OWNER].into(),
        status: if owner.subject.is_some() { Status::Active } else { Status::Invited },
        invitation: secret.as_ref().map(|_| invitation),
        secret: secret.as_deref().map(sha256),
        ..Member::new(membership, tenant, user, &owner.email, now)
    };
    // An invited owner is none yet.
    made.owners = u32::from(owner.subject.is_some());
    let mut transaction = Transaction::new(asked.table);
    if issuer.is_some() {
        transaction.take_name(encode(&marker, None, &First { tenant })?, FIRST)?;
    }
    let written = [
        Tenant::stamped(&stamp, None, None, Some(&mut made))?,
        Member::stamped(&stamp, None, None, Some(&mut member))?,
        issuer.as_mut().map(|issuer| Issuer::stamped(&stamp, None, None, Some(issuer))).transpose()?.flatten(),
    ];
    for written in written.iter().flatten() {
        transaction.write(written)?;
    }
    if known.is_none() {
        transaction.person(&User::new(user, &owner.email, now))?;
    }
    let iss = owner.issuer.as_ref().or(issuer.as_ref().map(|issuer| &issuer.iss));
    if let (Some(subject), Some(iss)) = (&owner.subject, iss) {
        transaction.put(identity(&keys.identity(iss, subject), iss, subject, &member)?, None)?;
        transaction.put(held_identity(iss, subject, &member)?, None)?;
    }
    match asked.table.write(transaction).await? {
        Committed::Yes => {}
        Committed::Taken(what) => return Err(Problem::Exists(what)),
        Committed::Moved { .. } => {
            return Err(Problem::Unavailable("another request made a tenant or this person meanwhile".to_owned()));
        }
    }
    Ok(answer(&made, &member, secret.as_deref()))
}

fn answer(tenant: &Tenant, owner: &Member, secret: Option<&str>) -> Value {
    let mut answer = json!({
        "tenant": { "id": tenant.id.uuid(), "slug": tenant.slug },
        "owner": { "id": owner.user.uuid(), "email": owner.email, "status": owner.status },
    });
    if let Some(secret) = secret {
        answer["invitation"] = json!({ "secret": secret, "expires_in": INVITED });
    }
    answer
}

fn number<T: TryFrom<i64>>(number: u32) -> Result<T, Problem> {
    i64::from(number).try_into().map_err(|_| Problem::LimitReached("ids of a kind", i32::MAX as usize))
}

async fn tenant_of(asked: &Asked<'_>, slug: &str) -> Result<TenantId, Problem> {
    let found: Option<Reference<_>> = asked.table.read(&key::slug(slug)).await?;
    found.map(|it| it.number).ok_or(Problem::NotFound("tenant"))
}

/// Makes a person an owner, whatever they were: they are active, and have that role alone.
async fn recover(asked: &Asked<'_>, slug: &str, owner: &NewOwner) -> Result<Value, Problem> {
    let tenant = tenant_of(asked, slug).await?;
    let who = Who::Product(tenant, format!("{OPERATOR}: recovery"));
    let status = if owner.subject.is_some() { Status::Active } else { Status::Invited };
    let edit = MemberEdit {
        email: Some(owner.email.clone()),
        roles: Some(Roles::Exactly(vec![role::OWNER.to_string()])),
        status: Some(status),
        fields: Fields { roles: "roles", ..Fields::default() },
        ..MemberEdit::default()
    };
    let (shown, new) = (Mutex::new(None), NewSecret::new(None, INVITED)?);
    let plan = |plan: &mut Plan| {
        let facts = plan.facts();
        // The new owner can restore a deleted tenant.
        facts.tenant().is_live_or_restorable(facts.now())?;
        let mut secret = None;
        let made = match facts.person(&owner.email) {
            Some(user) => {
                // A member who has signed in before needs no invitation.
                let status = Some(Status::Active);
                let member = facts.member(Some(user))?;
                if owner.subject.is_none() {
                    let (edit, text) = new.edit(facts, user, &MemberEdit { email: None, status, ..edit.clone() });
                    secret = Some(text);
                    plan.update(member, &edit)
                } else {
                    plan.update(member, &MemberEdit { email: None, status, ..edit.clone() })
                }
            }
            None if owner.subject.is_none() => {
                let (member, text) = plan.invite(&edit, &new)?;
                secret = Some(text);
                member
            }
            None => plan.add_member(&edit)?,
        };
        *lock(&shown) = Some((facts.tenant().clone(), made, secret));
        Ok(())
    };
    let reads = Reads::person(&owner.email).unshown().also_if_deleted();
    super::change_unanswered(asked, &who, &reads, &plan).await?;
    let made = lock(&shown).take();
    let (tenant, member, secret) = made.ok_or_else(|| Problem::Internal("no owner was made".to_owned()))?;
    let keys = TenantKeys(tenant.id);
    if let (Some(subject), Some(iss)) = (&owner.subject, &owner.issuer) {
        let at = keys.identity(iss, subject);
        let item = identity(&at, iss, subject, &member)?;
        if !asked.table.put_if(item, Condition::new("attribute_not_exists(PK)")).await? {
            let known: Option<Reference<_>> = asked.table.read(&at).await?;
            if known.is_none_or(|known| known.number != member.user) {
                return Err(Problem::Exists("member with this `sub`"));
            }
        }
        asked.table.put(held_identity(iss, subject, &member)?).await?;
    }
    Ok(answer(&tenant, &member, secret.as_deref()))
}

/// Breaks the glass: whatever the tenant's policies forbid, its owners can change them again.
async fn disable_policies(asked: &Asked<'_>, slug: &str) -> Result<Value, Problem> {
    let tenant = tenant_of(asked, slug).await?;
    let who = Who::Product(tenant, format!("{OPERATOR}: recovery"));
    Ok(json!({ "tenant": { "id": tenant.uuid(), "slug": slug }, "disabled_policies": disable_all(asked, &who).await? }))
}

/// Lets all tenants trust an issuer. Its record belongs to the first tenant.
async fn trust(asked: &Asked<'_>, issuer: &Issuer) -> Result<Value, Problem> {
    let first: Option<First> = asked.table.read(&key::bootstrap()).await?;
    let tenant = first.map(|it| it.tenant).ok_or(Problem::NotFound("first tenant"))?;
    let key = TenantKeys(tenant).issuer(issuer.uuid());
    let before: Option<Issuer> = asked.table.read(&key).await?;
    let stamp = Stamp {
        tenant,
        at: (asked.clock)(),
        author: Author::Product(OPERATOR.to_owned()),
        impersonator: None,
        approver: None,
        request: asked.request.to_owned(),
        transaction: Uuid::new_v4().to_string(),
        secret: Uuid::new_v4().to_string(),
    };
    let meta = before.as_ref().map_or_else(|| issuer.meta.clone(), |before| before.meta().clone());
    let number = before.as_ref().map_or(0, |before| before.number);
    let mut after = Issuer { number, of_deployment: true, meta, ..issuer.clone() };
    if let Some(written) = Issuer::stamped(&stamp, None, before.as_ref(), Some(&mut after))? {
        let mut transaction = Transaction::new(asked.table);
        transaction.write(&written)?;
        if asked.table.write(transaction).await? != Committed::Yes {
            return Err(Problem::Unavailable("another request changed the issuer meanwhile".to_owned()));
        }
    }
    Ok(json!({ "issuer": { "id": after.uuid(), "iss": after.iss } }))
}
