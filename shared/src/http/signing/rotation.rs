//! The rotation of the signing keys.
//!
//! A key is published before it signs, so that every function that verifies has read it by then. A key that signs no more stays
//! published until its last token has expired.

use std::collections::BTreeMap;

use domain::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{SESSION, SigningKey, SigningKeys};

/// How long a key signs, in seconds: 30 days.
pub const SIGNS: i64 = 30 * 24 * 60 * 60;

/// How long a new key is published before it signs, in seconds: 15 minutes.
pub const AHEAD: i64 = 15 * 60;

/// How long a new key is published before it signs in an emergency, in seconds. By then each function may read the keys again
/// because of a token of an unknown key.
pub const AHEAD_IN_EMERGENCY: u64 = 10;

/// How long no other rotation begins, unless this one ends sooner; in seconds. It is longer than the function may run.
pub const LEASE: i64 = 60;

/// How long a key stays published after it has signed its last token.
const AFTER: i64 = SESSION + 60;

/// The item of the keys that verify our tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// A JWK Set (RFC 7517).
    pub document: String,
    /// The keys that the rotation has made, each with the time at which it is taken out, if it signs no more; in seconds since the
    /// epoch. A key that is not here was put into the set by hand, and stays.
    #[serde(default)]
    pub made: BTreeMap<String, Option<i64>>,
    /// Until then a rotation is under way, unless it ends sooner; in seconds since the epoch.
    #[serde(default)]
    pub busy_until: i64,
}

/// The steps of a rotation, in their order. After each of them everything works.
pub struct Rotation {
    pub publish: Published,
    pub keep: SigningKeys,
    /// Only in an emergency, once the secret is written.
    pub take_out: Option<Published>,
}

impl Published {
    fn keys(&self) -> Vec<Value> {
        let document: Value = serde_json::from_str(&self.document).unwrap_or_default();
        document["keys"].as_array().cloned().unwrap_or_default()
    }

    /// The same with another public key, a JWK.
    pub fn with(&self, key: &Value) -> Self {
        let kid = kid(key);
        let others = self.keys().into_iter().filter(|key| self::kid(key) != kid);
        let keys: Vec<Value> = others.chain([key.clone()]).collect();
        let mut made = self.made.clone();
        made.insert(kid, None);
        Self { document: json!({ "keys": keys }).to_string(), made, ..self.clone() }
    }

    /// The same without the made keys that `are_over` names.
    fn without(&self, are_over: impl Fn(&str, Option<i64>) -> bool) -> Self {
        let is_over = |kid: &str| self.made.get(kid).is_some_and(|until| are_over(kid, *until));
        let keys: Vec<Value> = self.keys().into_iter().filter(|key| !is_over(&kid(key))).collect();
        let made = self.made.iter().filter(|(kid, _)| !is_over(kid));
        let made: BTreeMap<_, _> = made.map(|(kid, until)| (kid.clone(), *until)).collect();
        match made == self.made {
            true => self.clone(),
            false => Self { document: json!({ "keys": keys }).to_string(), made, ..self.clone() },
        }
    }
}

fn kid(key: &Value) -> String {
    key["kid"].as_str().unwrap_or_default().to_owned()
}

/// What is due at `now`, in seconds since the epoch; in an emergency a new key in place of all others.
///
/// # Errors
/// The machine has no random bytes.
pub fn due(
    secret: Option<&SigningKeys>,
    published: &Published,
    now: i64,
    is_emergency: bool,
) -> Result<Option<Rotation>, Problem> {
    let Some(secret) = secret else {
        let (keep, public) = SigningKeys::new(now)?;
        return Ok(Some(Rotation { publish: published.with(&public), keep, take_out: None }));
    };
    if is_emergency {
        let (keep, public) = SigningKeys::new(now)?;
        let publish = published.with(&public);
        let take_out = publish.without(|made, _| Some(made) != keep.kid(now));
        return Ok(Some(Rotation { publish, keep, take_out: Some(take_out) }));
    }
    let (mut keep, mut publish) = (secret.clone(), published.clone());
    let newest = keep.keys.iter().map(|key| key.signs_from).max().unwrap_or(now - SIGNS);
    if newest + SIGNS - AHEAD <= now {
        let (key, _) = SigningKey::new(now + AHEAD)?;
        keep.keys.push(key);
    }
    let signing_since = keep.current(now).map_or(now, |key| key.signs_from);
    keep.keys.retain(|key| key.signs_from >= signing_since);
    for key in &keep.keys {
        let is_published = publish.keys().iter().any(|it| self::kid(it) == key.kid);
        if let (false, Some(public)) = (is_published, key.public()) {
            publish = publish.with(&public);
        }
    }
    for (kid, until) in &mut publish.made {
        if until.is_none() && !keep.keys.iter().any(|key| key.kid == *kid) {
            *until = Some(signing_since + AFTER);
        }
    }
    publish = publish.without(|_, until| until.is_some_and(|until| until <= now));
    let kids = |keys: &SigningKeys| keys.keys.iter().map(|key| key.kid.clone()).collect::<Vec<_>>();
    let is_due = kids(&keep) != kids(secret) || publish != *published;
    Ok(is_due.then_some(Rotation { publish, keep, take_out: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(published: &Published) -> Vec<String> {
        published.keys().iter().map(kid).collect()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_as_long_as_its_tokens_live() {
        let (mut secret, mut published) = (None, Published::default());
        let mut signed: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let mut published_at: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        let step = 5 * 60;
        for now in (0..100 * 24 * 60 * 60).step_by(step as usize) {
            if let Some(rotation) = due(secret.as_ref(), &published, now, false).unwrap() {
                // Nothing is due twice.
                let again = due(Some(&rotation.keep), &rotation.publish, now, false).unwrap();
                assert!(again.is_none(), "at {now}");
                (secret, published) = (Some(rotation.keep), rotation.publish);
            }
            let current = secret.as_ref().unwrap().kid(now).unwrap().to_owned();
            signed.entry(current).and_modify(|it| it.1 = now).or_insert((now, now));
            for kid in kids(&published) {
                published_at.entry(kid).and_modify(|it| it.1 = now).or_insert((now, now));
            }
            assert!(kids(&published).len() <= 3 && secret.as_ref().unwrap().keys.len() <= 2);
        }
        assert_eq!(signed.len(), 4, "{signed:?}");
        for (place, (kid, (first, last))) in signed.iter().enumerate() {
            let (from, until) = published_at[kid];
            assert!(*first == 0 || from + AHEAD <= *first, "{place}: {from} {first}");
            let is_over = last + SIGNS < 100 * 24 * 60 * 60;
            assert!(!is_over || until >= last + SESSION, "{place}: {until} {last}");
            assert!(!is_over || until <= last + SESSION + 3 * step, "{place}: {until} {last}");
        }
    }

    #[test]
    fn an_emergency_leaves_only_the_new_key_and_those_put_in_by_hand() {
        let first = due(None, &Published::default(), 1_000, false).unwrap().unwrap();
        let by_hand = json!({ "kty": "OKP", "kid": "by-hand" });
        let mut published = first.publish.with(&by_hand);
        published.made.remove("by-hand");
        let rotation = due(Some(&first.keep), &published, 2_000, true).unwrap().unwrap();
        let new = rotation.keep.kid(2_000).unwrap().to_owned();
        assert_eq!(kids(&rotation.publish).len(), 3);
        assert_eq!(kids(&rotation.take_out.unwrap()), ["by-hand", &new]);
        assert_ne!(rotation.keep.seal, first.keep.seal);
    }

    #[test]
    fn a_rotation_that_died_between_its_steps_is_made_good() {
        let first = due(None, &Published::default(), 0, false).unwrap().unwrap();
        // The key was published, and the secret never written: the key has signed nothing.
        let again = due(None, &first.publish, 1, false).unwrap().unwrap();
        assert_eq!(kids(&again.publish).len(), 2);
        let after = due(Some(&again.keep), &again.publish, 1, false).unwrap().unwrap();
        assert_eq!(after.publish.made.values().flatten().count(), 1);
        // The secret was written, and the key is not published any more.
        let lost = due(Some(&first.keep), &Published::default(), 1, false).unwrap().unwrap();
        assert_eq!(kids(&lost.publish), [first.keep.kid(1).unwrap()]);
    }
}
