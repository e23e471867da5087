//! The keys that sign our tokens, their rotation, and their public halves.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::Problem;
use lambda_http::http::header;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::{App, Boxed};
use crate::answer::Answer;
use crate::dialect::authzen::discovery::Configuration;
use crate::dialect::oauth::Metadata;
use crate::gate::Asked;
use crate::http::call::Call;
use crate::http::signing::SigningKeys;
use crate::http::signing::rotation::{AHEAD_IN_EMERGENCY, LEASE, Published, due};
use crate::services::Secret;
use crate::table::{Condition, Item, decode, encode, key};
use crate::{lock, now};

/// The keys that sign, in the functions that may read them.
#[derive(Default)]
pub(super) struct Signing {
    secret: OnceCell<Secret>,
    /// With the JWK Set at which the secret was read: once another set is published, it is read again.
    keys: Mutex<Option<(String, Arc<SigningKeys>)>>,
}

impl Signing {
    pub(super) async fn secret(&self) -> Result<&Secret, Problem> {
        self.secret.get_or_try_init(|| async { Secret::from_env().map_err(Problem::Internal) }).await
    }

    /// The keys that sign now. `published` is the item of their public halves, just read.
    pub(super) async fn keys(&self, published: Option<&Item>) -> Result<Arc<SigningKeys>, Problem> {
        let published: Published = published.cloned().map(decode).transpose()?.unwrap_or_default();
        let known = lock(&self.keys).clone().filter(|(document, _)| *document == published.document);
        let keys = match known {
            Some((_, keys)) => keys,
            None => {
                let secret = self.secret().await?.read().await?;
                let secret = secret.ok_or_else(|| Problem::Unavailable("no signing key was made yet".to_owned()))?;
                let keys = Arc::new(SigningKeys::parse(&secret)?);
                // A rotation publishes a key before it writes the secret: until then the secret is read each time.
                let mut signing = published.made.iter().filter(|(_, until)| until.is_none());
                if signing.all(|(kid, _)| keys.has(kid)) {
                    *lock(&self.keys) = Some((published.document.clone(), keys.clone()));
                }
                keys
            }
        };
        let is_published = keys.kid(now().seconds()).is_some_and(|kid| published.made.contains_key(kid));
        match is_published {
            true => Ok(keys),
            false => Err(Problem::Unavailable("the signing key is not published yet".to_owned())),
        }
    }
}

impl App {
    /// The keys that sign now, for a request that has read nothing yet.
    pub(super) async fn signing_keys(&self, call: &Call) -> Result<Arc<SigningKeys>, Problem> {
        let published = self.table(call).get([key::jwks()]).await?.remove(&key::jwks());
        self.signing.keys(published.as_ref()).await
    }

    /// Makes, publishes and retires keys, as far as that is due; in an emergency a new key in place of all others.
    ///
    /// # Errors
    /// [`Problem::Unavailable`]: another rotation is under way. The table or the secret cannot be read or written.
    pub(crate) async fn rotate_keys(&self, asked: &Asked<'_>, is_emergency: bool) -> Result<Value, Problem> {
        let secret = self.signing.secret().await?;
        let published: Published = asked.table.read(&key::jwks()).await?.unwrap_or_default();
        let known = secret.read().await?.map(|text| SigningKeys::parse(&text)).transpose()?;
        let now = (asked.clock)().seconds();
        let is_free = published.busy_until <= now;
        // In an emergency, and as long as there is no key at all, the operator must know that nothing was done.
        if !is_free && (is_emergency || known.is_none()) {
            return Err(under_way());
        }
        let Some(rotation) = due(known.as_ref(), &published, now, is_emergency)?.filter(|_| is_free) else {
            return Ok(json!({ "rotated": false }));
        };
        // Another rotation would write the secret as it was before.
        let busy = Published { busy_until: now + LEASE, ..rotation.publish };
        publish(asked, &published, &busy).await?;
        if rotation.take_out.is_some() {
            // Until then a function that has just read the keys refuses tokens of the new one.
            tokio::time::sleep(Duration::from_secs(AHEAD_IN_EMERGENCY)).await;
        }
        secret.write(&rotation.keep.text()).await?;
        let rest = rotation.take_out.unwrap_or_else(|| busy.clone());
        publish(asked, &busy, &Published { busy_until: 0, ..rest }).await?;
        Ok(json!({ "rotated": true, "kid": rotation.keep.kid(now) }))
    }

    /// The keys that verify our tokens.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn jwks<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let published: Published = self.table(call).read(&key::jwks()).await?.unwrap_or_default();
            let document: Value = serde_json::from_str(&published.document).unwrap_or_else(|_| json!({ "keys": [] }));
            Ok(kept(Answer::json(200, &document)))
        })
    }

    /// Where tokens come from.
    pub fn metadata(&self) -> Answer {
        kept(Answer::json(200, &json!(Metadata::new(&self.expected.issuer))))
    }

    /// Where questions are answered.
    pub fn decision_point(&self) -> Answer {
        kept(Answer::json(200, &json!(Configuration::new(&self.expected.issuer))))
    }
}

/// Publishes keys in place of those that were read.
async fn publish(asked: &Asked<'_>, before: &Published, after: &Published) -> Result<(), Problem> {
    let same = match before.document.is_empty() {
        true => Condition::new("attribute_not_exists(PK)"),
        false => {
            let busy = "(attribute_not_exists(busy_until) OR busy_until = :busy_until)";
            let same = Condition::new(format!("document = :before AND {busy}")).with(":before", &before.document)?;
            same.with(":busy_until", before.busy_until)?
        }
    };
    if asked.table.put_if(encode(&key::jwks(), None, after)?, same).await? {
        return Ok(());
    }
    // The answer of an earlier try can have been lost.
    let found: Option<Published> = asked.table.read(&key::jwks()).await?;
    if found.as_ref() == Some(after) { Ok(()) } else { Err(under_way()) }
}

fn under_way() -> Problem {
    Problem::Unavailable("another rotation is under way".to_owned())
}

/// The answer that may be kept for five minutes: a key is published for longer before it signs.
fn kept(answer: Answer) -> Answer {
    answer.with_header(header::CACHE_CONTROL.as_str(), "public, max-age=300")
}
