//! The text of an API key: `rk_<environment>_<slug>_<tenant>k<number>m<maker>_<secret><checksum>`.
//!
//! It names the tenant, the key and the member who made it, so that one read finds all that decides; the `m` and the number behind it
//! are missing in a key of the tenant's own. The prefix and the checksum are for scanners that look for secrets in code: they need ask
//! nobody. Only the hash of the whole text is kept. The secret has 256 random bits, so a slow hash would add nothing.

use domain::id::{KeyId, TenantId, UserId, is_slug, sha256};
use domain::problem::Problem;

/// The beginning of all keys.
const PREFIX: &str = "rk";

/// The longest key, in bytes.
const MAX_KEY: usize = 200;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 characters of 62 have 256 bits.
const SECRET: usize = 43;

/// 6 characters of 62 have 32 bits.
const CHECKSUM: usize = 6;

/// What a key says of itself. Nothing of it is proved before its hash is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    pub tenant: TenantId,
    pub slug: String,
    pub id: KeyId,
    pub maker: Option<UserId>,
    /// SHA-256 of the text, in hex.
    pub hash: String,
}

impl ShownKey {
    /// Whether a bearer is meant to be a key.
    pub fn is_meant(token: &str) -> bool {
        token.starts_with("rk_")
    }

    /// `None` if the text is no key, or if its checksum shows that it was not copied whole.
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = if text.len() <= MAX_KEY { text.split('_').collect() } else { Vec::new() };
        let [PREFIX, environment, slug, id, secret] = parts[..] else { return None };
        let is_whole = is_environment(environment) && is_slug(slug) && secret.len() == SECRET + CHECKSUM;
        let (body, sum) = text.split_at_checked(text.len().checked_sub(CHECKSUM)?)?;
        if !is_whole || checksum(body) != sum {
            return None;
        }
        let (tenant, name) = id.split_once('k')?;
        let tenant = TenantId::parse(tenant)?;
        let (id, maker) = read_name(name, tenant)?;
        Some(Self { tenant, slug: slug.to_owned(), id, maker, hash: sha256(text) })
    }
}

/// A key and the member who made it, as one word.
pub fn name(id: KeyId, maker: Option<UserId>) -> String {
    maker.map_or_else(|| id.to_string(), |maker| format!("{id}m{maker}"))
}

/// The key of a tenant that has this [`name`], and the member who made it.
pub fn read_name(name: &str, tenant: TenantId) -> Option<(KeyId, Option<UserId>)> {
    let (id, maker) = name.split_once('m').map_or((name, None), |(id, maker)| (id, Some(maker)));
    let maker = maker.map(|maker| UserId::parse(maker).ok_or(()));
    Some((KeyId::parse_in(id, tenant)?, maker.transpose().ok()?))
}

/// A random secret, of which keys are made.
///
/// # Errors
/// The machine has no random bytes.
pub fn secret() -> Result<String, Problem> {
    let mut secret = String::with_capacity(SECRET);
    let mut bytes = [0; 64];
    while secret.len() < SECRET {
        getrandom::fill(&mut bytes).map_err(|why| Problem::Internal(format!("no random bytes: {why}")))?;
        // Bytes from 248 on would make the first letters more frequent.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * LETTERS.len());
        let letters = fair.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        secret.extend(letters.take(SECRET - secret.len()));
    }
    Ok(secret)
}

/// The text of a key.
pub fn text(
    environment: &str,
    (tenant, slug): (TenantId, &str),
    (id, maker): (KeyId, Option<UserId>),
    secret: &str,
) -> String {
    let body = format!("{PREFIX}_{environment}_{slug}_{tenant}k{}_{secret}", name(id, maker));
    let sum = checksum(&body);
    body + &sum
}

/// Whether a text can name the environment: 1 to 16 of `a-z0-9`.
fn is_environment(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The CRC-32 of a text.
fn checksum(text: &str) -> String {
    let mut left = crc32fast::hash(text.as_bytes()) as usize;
    let mut letters = [0; CHECKSUM];
    for letter in letters.iter_mut().rev() {
        *letter = LETTERS[left % LETTERS.len()];
        left /= LETTERS.len();
    }
    String::from_utf8_lossy(&letters).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whose_it_is() {
        let (tenant, id) = (TenantId::new(12), KeyId::new(7));
        let secret = secret().unwrap();
        assert_eq!(secret.len(), SECRET);
        for maker in [Some(UserId::new(3)), None] {
            let text = text("live", (tenant, "acme-2"), (id, maker), &secret);
            let shown = ShownKey { tenant, slug: "acme-2".to_owned(), id, maker, hash: sha256(&text) };
            assert_eq!(ShownKey::read(&text), Some(shown));
            assert!(ShownKey::is_meant(&text) && text.starts_with("rk_live_acme-2_12k7"));
            for at in 0..text.len() {
                let other = if text.as_bytes()[at] == b'x' { "y" } else { "x" };
                let (before, after) = (&text[..at], &text[at + 1..]);
                assert_eq!(ShownKey::read(&format!("{before}{other}{after}")), None, "{at}");
            }
            assert_eq!(ShownKey::read(&text[..text.len() - 1]), None);
        }
    }

    #[test]
    fn a_text_that_only_looks_like_a_key_is_none() {
        let summed = |body: &str| format!("{body}{}", checksum(body));
        let secret = "a".repeat(SECRET);
        let good = |id: &str| summed(&format!("rk_live_acme_{id}_{secret}"));
        assert!(ShownKey::read(&good("1k7m3")).is_some() && ShownKey::read(&good("1k7")).is_some());
        for id in ["", "1", "1k", "k7", "0k7", "1k07", "1k7m", "1k7m0", "1k7m3m3", "-1k7", "1k2147483648"] {
            assert_eq!(ShownKey::read(&good(id)), None, "{id}");
        }
        let (long, umlaut) = ("x".repeat(300), format!("rk_live_acme_1k7_{}é", "a".repeat(47)));
        for text in ["", "rk_", "rk____", &long, &umlaut, &summed(&format!("rk_LIVE_acme_1k7_{secret}"))] {
            assert_eq!(ShownKey::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_checksum_has_always_six_letters() {
        assert_eq!(checksum(""), "000000");
        assert!((0..1_000).all(|number| checksum(&number.to_string()).len() == CHECKSUM));
    }
}
