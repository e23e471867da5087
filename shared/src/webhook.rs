//! The secret of a webhook, and how it signs: [Standard Webhooks](https://www.standardwebhooks.com).
//!
//! A secret signs, so its text is kept. It is encrypted with a key that follows from the secret of the tenant's item, as cursors are: an
//! item of a webhook says nothing alone, in a log, in the table's stream or in an export. It is bound to its webhook. A key in another
//! service would be a cost and a round trip for each delivery, and who may read the whole table may read all that a webhook hears anyway.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::Problem;
use domain::id::{TenantId, WebhookId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// The beginning of the text of a secret.
const PREFIX: &str = "whsec_";

/// How many bytes a secret has.
const SECRET: usize = 32;

/// A secret: the key of an HMAC.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A random one.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn new() -> Result<Self, Problem> {
        random::<SECRET>().map(|bytes| Self(bytes.to_vec()))
    }

    /// What a receiver is told, once.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", BASE64_STANDARD.encode(&self.0))
    }

    /// The secret, encrypted for a webhook of the tenant that has this secret of its own.
    ///
    /// # Errors
    /// The machine has no random bytes.
    pub fn sealed(&self, tenant_secret: &str, of: (TenantId, WebhookId)) -> Result<String, Problem> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = self.0.clone();
        let done = cipher(tenant_secret)?.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(bound(of)),
            &mut sealed,
        );
        done.map_err(|_| Problem::Internal("a secret that cannot be sealed".to_owned()))?;
        Ok(BASE64_STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// The secret that was [sealed](Secret::sealed).
    ///
    /// # Errors
    /// A defect: it was sealed for another webhook, or is damaged.
    pub fn open(sealed: &str, tenant_secret: &str, of: (TenantId, WebhookId)) -> Result<Self, Problem> {
        let cipher = cipher(tenant_secret)?;
        let open = || {
            let mut bytes = BASE64_STANDARD.decode(sealed).ok()?;
            let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            cipher.open_in_place(nonce, Aad::from(bound(of)), sealed).ok().map(|secret| Self(secret.to_vec()))
        };
        open().ok_or_else(|| Problem::Internal("the secret of a webhook does not open".to_owned()))
    }

    /// The signature of a message, in the form that the header `webhook-signature` lists.
    pub fn signature(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let signature = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", BASE64_STANDARD.encode(signature))
    }
}

fn cipher(tenant_secret: &str) -> Result<LessSafeKey, Problem> {
    let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, tenant_secret.as_bytes()), b"webhooks");
    let key = UnboundKey::new(&AES_256_GCM, key.as_ref());
    key.map(LessSafeKey::new).map_err(|_| Problem::Internal("a key of another length".to_owned()))
}

fn bound((tenant, webhook): (TenantId, WebhookId)) -> String {
    format!("{tenant} {webhook}")
}

fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|why| Problem::Internal(format!("no random bytes: {why}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: (TenantId, WebhookId) = (TenantId::new(1), WebhookId::new(2));

    #[test]
    fn a_secret_opens_for_its_webhook_only() {
        let secret = Secret::new().unwrap();
        assert!(secret.text().starts_with("whsec_") && secret.text().len() == 50);
        let sealed = secret.sealed("of acme", OF).unwrap();
        assert_ne!(secret.sealed("of acme", OF).unwrap(), sealed, "another nonce");
        assert!(Secret::open(&sealed, "of acme", OF).unwrap() == secret);
        assert!(Secret::open(&sealed, "of globex", OF).is_err());
        for other in [(TenantId::new(2), OF.1), (OF.0, WebhookId::new(1))] {
            assert!(Secret::open(&sealed, "of acme", other).is_err());
        }
        for none in ["", "A", &sealed[1..], &sealed[..20], "\u{e9}"] {
            assert!(Secret::open(none, "of acme", OF).is_err(), "{none}");
        }
    }

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let secret = Secret(BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signature = secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
