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
use crate::http::signing::rotation::{AHEAD_IN_EMERGENCY, Published, due};
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
                *lock(&self.keys) = Some((published.document.clone(), keys.clone()));
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

    pub(crate) async fn rotate_keys(&self, asked: &Asked<'_>, is_emergency: bool) -> Result<Value, Problem> {
        let secret = self.signing.secret().await?;
        let published: Published = asked.table.read(&key::jwks()).await?.unwrap_or_default();
        let known = secret.read().await?.map(|text| SigningKeys::parse(&text)).transpose()?;
        let now = (asked.clock)().seconds();
        let Some(rotation) = due(known.as_ref(), &published, now, is_emergency)? else {
            return Ok(json!({ "rotated": false }));
        };
        publish(asked, &published, &rotation.publish).await?;
        if rotation.take_out.is_some() {
            // Until then a function that has just read the keys refuses tokens of the new one.
            tokio::time::sleep(Duration::from_secs(AHEAD_IN_EMERGENCY)).await;
        }
        secret.write(&rotation.keep.text()).await?;
        if let Some(rest) = &rotation.take_out {
            publish(asked, &rotation.publish, rest).await?;
        }
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
        false => Condition::new("document = :before").with(":before", &before.document)?,
    };
    match asked.table.put_if(encode(&key::jwks(), None, after)?, same).await? {
        true => Ok(()),
        false => Err(Problem::Unavailable("another rotation is under way".to_owned())),
    }
}

/// The answer that may be kept for five minutes: a key is published for longer before it signs.
fn kept(answer: Answer) -> Answer {
    answer.with_header(header::CACHE_CONTROL.as_str(), "public, max-age=300")
}
