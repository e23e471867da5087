//! Keys of answers on record.

use super::{Key, TenantKeys};

impl TenantKeys {
    /// The answer that a caller got under an `Idempotency-Key`. That text is the last part of the key, so it cannot lead to another
    /// caller's record.
    pub fn idempotency(self, caller: &str, key: &str) -> Key {
        Key::alone(&format!("{}#IDEMPOTENCY#{caller}", self.partition()), key)
    }

    /// Which request has used an approval; with the approval's SHA-256, in hex.
    pub fn used_approval(self, hash: &str) -> Key {
        Key::alone(&format!("{}#APPROVAL", self.partition()), hash)
    }

    /// The partition of the index that lists the tenant's answers on record: each is alone in its own partition.
    pub fn answers(self) -> Key {
        Key::new(format!("{}#ANSWERS", self.partition()), "")
    }

    /// Where the index lists an answer on record.
    pub fn answer_listed(self, answer: &Key) -> Key {
        Key { sk: answer.sk.clone(), ..self.answers() }
    }

    /// The answer that the index lists under this sort key.
    pub fn answer_at(sk: &str) -> Key {
        Key::new(sk, sk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::TenantId;

    #[test]
    fn a_listed_answer_leads_to_itself() {
        let keys = TenantKeys(TenantId::new(1));
        for text in ["k-1", &"x".repeat(5_000)] {
            let key = keys.idempotency("42", text);
            assert_eq!(TenantKeys::answer_at(&keys.answer_listed(&key).sk), key);
        }
    }
}
