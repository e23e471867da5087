//! The API keys of a tenant: who makes one, sees it, and gives it a new secret.

use domain::api_key::{Secret, USED_EVERY};
use domain::id::sha256;
use domain::policy::{Action, KeyDeed};
use domain::{ApiKey, ApiKeyEdit, Catalog, Meta, Problem, Time};

use super::facts::{Facts, Unseen};
use super::{Asked, Caller, Plan, Reading, Reads, Who};
use crate::answer::Answer;
use crate::api_key;
use crate::table::key::{Range, TenantKeys};
use crate::table::{Condition, decode};

/// How many keys one query reads: more than there can be with those that have ended. A query ends at 1 MB anyway, and goes on there.
const AT_ONCE: i32 = 1_000;

/// An API key that the caller may see, or has changed.
pub struct ShownApiKey<'a> {
    pub key: &'a ApiKey,
    pub catalog: &'a Catalog,
}

/// A new API key, as a request describes it.
pub struct NewKey {
    pub name: String,
    /// Each by UUID, number or name.
    pub roles: Vec<String>,
    pub networks: Vec<ipnet::IpNet>,
    /// How long it is good, in seconds.
    pub lasts: i64,
}

/// The API keys of the tenant that the caller may see, in the order of their numbers.
///
/// # Errors
/// As those of [`read`](super::read).
pub async fn list(
    asked: &Asked<'_>,
    caller: &Caller,
    answer: &(dyn Fn(&[ShownApiKey]) -> Answer + Send + Sync),
) -> Result<Answer, Problem> {
    let facts = Facts::read(asked, &Who::Caller(caller), &Reads::none().unshown(), None).await?;
    let mut keys = all(asked, caller).await?;
    keys.retain(|key| facts.may_see_key(key).is_ok());
    let shown: Vec<_> = keys.iter().map(|key| ShownApiKey { key, catalog: facts.catalog() }).collect();
    Ok(answer(&shown))
}

/// The API keys of the caller's tenant that have not ended, in the order of their numbers.
pub(super) async fn all(asked: &Asked<'_>, caller: &Caller) -> Result<Vec<ApiKey>, Problem> {
    let range = Range::of(caller.keys().api_keys());
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let (items, more) = asked.table.page(&range, after.as_ref().map(|key| (key, None)), AT_ONCE).await?;
        for item in items {
            let key: ApiKey = decode(item)?;
            after = Some(caller.keys().api_key(key.id));
            keys.extend(Some(key).filter(|key| !key.ended));
        }
        if !more {
            return Ok(keys);
        }
    }
}

/// Notes that a key is used, if nobody has done so within the last hour. A function that reads may write this one attribute, and no
/// other.
///
/// # Errors
/// The table cannot be written.
pub(super) async fn note_use(asked: &Asked<'_>, key: &ApiKey, now: Time) -> Result<(), Problem> {
    let before = now.seconds() - USED_EVERY;
    if key.used_at.is_some_and(|at| at > before) {
        return Ok(());
    }
    // Of callers that come at once, one writes.
    let condition = Condition::new("attribute_exists(PK) AND (attribute_not_exists(used_at) OR used_at <= :before)");
    let condition = condition.with(":before", before)?.with(":now", now.seconds())?;
    asked.table.set(&TenantKeys(key.tenant).api_key(key.id), "used_at = :now", condition).await.map(drop)
}

impl Facts {
    fn may_see_key(&self, key: &ApiKey) -> Result<Vec<String>, domain::problem::Denial> {
        self.allow(&Action::Key(KeyDeed::Read), &self.entity(key))
    }
}

impl<'f> Reading<'f> {
    /// An API key, if the caller may see it.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub fn see_key(&mut self, Unseen(key): Unseen<'f, ApiKey>) -> Result<ShownApiKey<'f>, Problem> {
        self.notices.extend(self.facts.may_see_key(key).map_err(Problem::Forbidden)?);
        Ok(ShownApiKey { key, catalog: self.facts.catalog() })
    }
}

impl<'f> Plan<'f> {
    /// Makes an API key of this caller's. Returns it, and its text: nobody can find that out again.
    ///
    /// # Errors
    /// The caller is a key themselves; the tenant has given all numbers.
    pub fn make_key(&mut self, new: &NewKey, secret: &str, environment: &str) -> Result<(ApiKey, String), Problem> {
        let facts = self.facts();
        let (id, now) = (self.number(|numbers| &mut numbers.keys)?, facts.now());
        let tenant = facts.tenant();
        let maker = facts.caller_id();
        let text = api_key::text(environment, (tenant.id, &tenant.slug), (id, maker), secret);
        let valid_until = now.seconds() + new.lasts;
        let key = ApiKey {
            id,
            tenant: tenant.id,
            name: new.name.clone(),
            roles: [].into(),
            maker,
            networks: new.networks.iter().copied().collect(),
            secrets: vec![Secret { hash: sha256(&text), until: valid_until }],
            rotated_at: None,
            valid_until,
            used_at: None,
            ended: false,
            fences: 0,
            meta: Meta::new(now),
        };
        Ok((self.create(key, &ApiKeyEdit::Make(new.roles.clone())), text))
    }

    /// Gives an API key another secret: it is good for so many seconds, and the one before for `overlap` seconds. Returns the key, and
    /// its new text.
    pub fn rotate_key(
        &mut self,
        before: Unseen<'f, ApiKey>,
        (lasts, overlap): (i64, i64),
        secret: &str,
        environment: &str,
    ) -> (ApiKey, String) {
        let (Unseen(key), tenant, now) = (&before, self.facts().tenant(), self.facts().now());
        let text = api_key::text(environment, (tenant.id, &tenant.slug), (key.id, key.maker), secret);
        let (valid_until, overlap) = (now.seconds() + lasts, now.seconds() + overlap);
        let edit = ApiKeyEdit::Rotate { hash: sha256(&text), valid_until, overlap, at: now };
        (self.update(before, &edit), text)
    }

    /// An API key that was changed, for the answer.
    pub fn shown_key<'a>(&'a self, key: &'a ApiKey) -> ShownApiKey<'a> {
        ShownApiKey { key, catalog: self.facts().catalog() }
    }
}
