//! Cursors: where the next page of a list begins, sealed for the client.
//!
//! A place is a key of the table, such as a member's name and number. The client may not be allowed to see that member. So a
//! cursor is encrypted, with a key that only the tenant's item has. It is bound to the list with its filters and its order: for
//! another list or another tenant it does not open.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::problem::{Fault, Problem, Wrong};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// A place is filled up to a multiple of so many bytes, so that the length of a cursor tells next to nothing of it.
const BLOCK: usize = 128;

/// The cursors of one list in one tenant.
pub struct Cursors<'a> {
    key: hmac::Key,
    /// The route with its filters and its order.
    list: &'a str,
    /// What a cursor must be, for the fault of a wrong one.
    must_be: &'static str,
}

impl<'a> Cursors<'a> {
    pub fn new(tenant_secret: &str, list: &'a str, must_be: &'static str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, tenant_secret.as_bytes()), list, must_be }
    }

    /// The cursor that leads to a place. The same place has the same cursor.
    ///
    /// # Errors
    /// A defect: the place is too long to be sealed.
    pub fn seal(&self, place: &str) -> Result<String, Problem> {
        // The nonce is a keyed hash of all that is sealed. So two places practically never share one, and it needs no chance.
        let mut context = hmac::Context::with_key(&self.key);
        for part in ["nonce", self.list, place] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&context.sign().as_ref()[..NONCE_LEN]);
        let mut sealed = place.as_bytes().to_vec();
        sealed.resize(place.len().next_multiple_of(BLOCK), 0);
        let failed = |_| Problem::Internal("a cursor cannot be sealed".to_owned());
        self.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.list), &mut sealed)
            .map_err(failed)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// The place to which a cursor leads.
    ///
    /// # Errors
    /// [`Problem::Invalid`]: the cursor is not one of this list in this tenant.
    pub fn open(&self, cursor: &str) -> Result<String, Problem> {
        let cipher = self.cipher()?;
        let open = || {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let place = cipher.open_in_place(nonce, Aad::from(self.list), sealed).ok()?;
            Some(std::str::from_utf8(place).ok()?.trim_end_matches('\0').to_owned())
        };
        let wrong = Wrong::Syntax(self.must_be);
        open().ok_or_else(|| vec![Fault::here(wrong).within("cursor").within("query")].into())
    }

    fn cipher(&self) -> Result<LessSafeKey, Problem> {
        let key = hmac::sign(&self.key, b"key");
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref());
        key.map(LessSafeKey::new).map_err(|_| Problem::Internal("a key of another length".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_for_its_own_list_only() {
        let names = Cursors::new("secret of acme", "GET /v1/users sort=name", "a cursor");
        let place = "ann lee#42";
        let cursor = names.seal(place).unwrap();
        assert_eq!(names.open(&cursor).unwrap(), place);
        assert_eq!(names.seal(place).unwrap(), cursor);
        assert_ne!(names.seal("ann lee#43").unwrap()[..16], cursor[..16], "another nonce");
        assert_eq!(names.seal("a much longer place#4213").unwrap().len(), cursor.len());
        let others = [
            Cursors::new("secret of acme", "GET /v1/users sort=email", "a cursor"),
            Cursors::new("secret of globex", "GET /v1/users sort=name", "a cursor"),
        ];
        for other in &others {
            assert!(other.open(&cursor).is_err());
        }
        for at in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(names.open(std::str::from_utf8(&forged).unwrap()).is_err(), "{at}");
        }
        for none in ["", "A", "ann lee#42", &cursor[1..], &cursor[..20], &format!("{cursor}AAAA"), "\u{e9}"] {
            assert!(names.open(none).is_err(), "{none}");
        }
    }
}
