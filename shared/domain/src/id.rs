//! Ids: a thing has a number and a UUID, and each gives the other without a look-up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
pub use uuid::Uuid;

/// The kind of thing that an id identifies. The UUID holds its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Tenant = 1,
    User = 2,
    Membership = 3,
    Role = 4,
    Group = 5,
    Label = 6,
    Policy = 7,
    Permission = 8,
    Job = 9,
    Issuer = 10,
    Key = 11,
    Webhook = 16,
    Domain = 12,
    JoinRequest = 13,
}

/// The identity of one thing of a kind: a number from 1 to 2^31-1. Atomic counters of the table number tenants, users and
/// memberships. Things that belong to a tenant are numbered in the tenant.
///
/// Its UUID has version 8 (RFC 9562, section 5.8). It holds the six letters `roleca`, the kind, and in its last 62 bits the number
/// of its tenant, or 0, and its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Id<const KIND: u8>(u32);

pub type TenantId = Id<{ Kind::Tenant as u8 }>;
pub type UserId = Id<{ Kind::User as u8 }>;
pub type MembershipId = Id<{ Kind::Membership as u8 }>;
pub type RoleId = Id<{ Kind::Role as u8 }>;
pub type GroupId = Id<{ Kind::Group as u8 }>;
pub type LabelId = Id<{ Kind::Label as u8 }>;
pub type PolicyId = Id<{ Kind::Policy as u8 }>;
pub type JobId = Id<{ Kind::Job as u8 }>;
pub type KeyId = Id<{ Kind::Key as u8 }>;
pub type WebhookId = Id<{ Kind::Webhook as u8 }>;
pub type DomainId = Id<{ Kind::Domain as u8 }>;
pub type JoinRequestId = Id<{ Kind::JoinRequest as u8 }>;

/// An id as a request spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelled<const KIND: u8> {
    pub text: String,
    /// `None` if nothing in the tenant can have that id.
    pub id: Option<Id<KIND>>,
}

impl<const KIND: u8> Spelled<KIND> {
    pub fn uuid(uuid: Uuid, tenant: TenantId) -> Self {
        Self { text: uuid.to_string(), id: Id::from_uuid_in(uuid, tenant) }
    }
}

impl<const KIND: u8> From<i64> for Spelled<KIND> {
    fn from(number: i64) -> Self {
        Self { text: number.to_string(), id: Id::try_from(number).ok() }
    }
}

pub type SpelledGroup = Spelled<{ Kind::Group as u8 }>;
pub type SpelledLabel = Spelled<{ Kind::Label as u8 }>;

/// A number that is no id: out of range.
#[derive(Debug)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an id is a number from 1 to 2147483647")
    }
}

impl std::error::Error for OutOfRange {}

const PREFIX: [u8; 6] = *b"roleca";

/// How many bits a number has.
const BITS: u32 = 31;
const MAX: u32 = i32::MAX as u32;

/// The number of built-in roles. Their numbers are the same in every tenant, and their UUIDs name no tenant.
pub const BUILT_IN_ROLES: u32 = 3;

impl<const KIND: u8> Id<KIND> {
    /// Whether things of this kind are numbered in their tenant.
    const IS_OWNED: bool = KIND >= Kind::Role as u8;

    /// The last possible id.
    pub const LAST: Self = Self(MAX);

    /// The id of a built-in or a demo thing. In a `const`, a number out of range does not compile.
    pub const fn new(number: u32) -> Self {
        assert!(number >= 1 && number <= MAX);
        Self(number)
    }

    pub const fn number(self) -> u32 {
        self.0
    }

    /// The UUID of a thing that belongs to no tenant. For other kinds this does not compile.
    pub fn uuid(self) -> Uuid {
        const { assert!(!Self::IS_OWNED, "it is numbered in a tenant: take uuid_in") }
        of_bits(KIND, u64::from(self.0))
    }

    /// The id in a UUID. `None` if the UUID is of another kind, or is not one of ours.
    pub fn from_uuid(uuid: Uuid) -> Option<Self> {
        const { assert!(!Self::IS_OWNED, "it is numbered in a tenant: take from_uuid_in") }
        Self::if_it_gives(uuid, Self::uuid)
    }

    /// Reads either spelling, decimal number or UUID; `None` for anything that cannot be an id of this kind.
    pub fn parse(text: &str) -> Option<Self> {
        parse_number(text).map(Self).or_else(|| parse_uuid(text).and_then(Self::from_uuid))
    }

    /// The UUID of a thing that belongs to a tenant.
    pub fn uuid_in(self, tenant: TenantId) -> Uuid {
        const { assert!(Self::IS_OWNED, "it belongs to no tenant: take uuid") }
        let is_built_in = KIND == Kind::Role as u8 && self.0 <= BUILT_IN_ROLES;
        let tenant = if is_built_in { 0 } else { tenant.0 };
        of_bits(KIND, u64::from(tenant) << BITS | u64::from(self.0))
    }

    /// The id in a UUID. `None` if the UUID is of another kind or tenant, or is not one of ours.
    pub fn from_uuid_in(uuid: Uuid, tenant: TenantId) -> Option<Self> {
        Self::if_it_gives(uuid, |id| id.uuid_in(tenant))
    }

    /// Reads either spelling, decimal number or UUID; `None` for anything that cannot be an id of this kind in the tenant.
    pub fn parse_in(text: &str, tenant: TenantId) -> Option<Self> {
        parse_number(text).map(Self).or_else(|| Self::from_uuid_in(parse_uuid(text)?, tenant))
    }

    fn if_it_gives(uuid: Uuid, back: impl Fn(Self) -> Uuid) -> Option<Self> {
        let number = uuid.as_u128() & u128::from(MAX);
        let id = Self::try_from(i64::try_from(number).ok()?).ok()?;
        (back(id) == uuid).then_some(id)
    }
}

/// A number has no leading zeros: `08` would be a second name of `8`.
fn parse_number(text: &str) -> Option<u32> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok().filter(|number| (1..=MAX).contains(number))).flatten()
}

/// A permission has no number: its name identifies it, in all tenants. Its UUID has 62 bits of the name's SHA-256.
pub fn permission_uuid(name: &str) -> Uuid {
    of_name(Kind::Permission, name)
}

/// The id of an issuer: its `iss` identifies it, in all tenants.
pub fn issuer_uuid(iss: &str) -> Uuid {
    of_name(Kind::Issuer, iss)
}

fn of_name(kind: Kind, name: &str) -> Uuid {
    let hash = Sha256::digest(name);
    of_bits(kind as u8, u64::from_be_bytes(hash[..8].try_into().expect("eight bytes")))
}

/// A version 8 UUID of ours, in lower case, with these bits as its last 62.
fn of_bits(kind: u8, bits: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&PREFIX);
    bytes[7] = kind;
    bytes[8..].copy_from_slice(&bits.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// SHA-256 of a text, in hex.
pub fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Bytes in lower case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a UUID in its hyphenated form, in any case; the other forms that the `uuid` crate reads are refused.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::from_str(text).ok()).flatten()
}

/// Whether a text can be a tenant's slug: 2 to 63 of `a-z0-9-`, with a letter, so that it is no number. It is no UUID, either: that
/// would name another tenant.
pub fn is_slug(text: &str) -> bool {
    (2..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && parse_uuid(text).is_none()
}

impl<const KIND: u8> TryFrom<i64> for Id<KIND> {
    type Error = OutOfRange;

    fn try_from(number: i64) -> Result<Self, OutOfRange> {
        match u32::try_from(number) {
            Ok(number @ 1..=MAX) => Ok(Self(number)),
            _ => Err(OutOfRange),
        }
    }
}

impl<const KIND: u8> From<Id<KIND>> for i64 {
    fn from(id: Id<KIND>) -> i64 {
        i64::from(id.0)
    }
}

/// The decimal number.
impl<const KIND: u8> fmt::Display for Id<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_uuid_give_each_other() {
        for number in [1, 42, i32::MAX as u32] {
            let id = UserId::new(number);
            assert_eq!(id.uuid().get_version_num(), 8);
            assert_eq!(id.uuid().get_variant(), uuid::Variant::RFC4122);
            assert_eq!(UserId::from_uuid(id.uuid()), Some(id));
            assert_eq!(UserId::parse(&number.to_string()), Some(id));
            assert_eq!(UserId::parse(&id.uuid().to_string().to_uppercase()), Some(id));
        }
        assert_eq!(UserId::new(42).uuid().to_string(), "726f6c65-6361-8002-8000-00000000002a");
    }

    #[test]
    fn what_belongs_to_a_tenant_has_a_uuid_that_names_the_tenant() {
        for tenant in [1, 2, i32::MAX as u32].map(TenantId::new) {
            for number in [4, 42, i32::MAX as u32] {
                let (role, group) = (RoleId::new(number), GroupId::new(number));
                assert_eq!(role.uuid_in(tenant).get_variant(), uuid::Variant::RFC4122);
                assert_eq!(RoleId::parse_in(&role.uuid_in(tenant).to_string(), tenant), Some(role));
                assert_eq!(RoleId::parse_in(&number.to_string(), tenant), Some(role));
                assert_eq!(RoleId::from_uuid_in(role.uuid_in(tenant), TenantId::new(7)), None);
                assert_eq!(RoleId::from_uuid_in(group.uuid_in(tenant), tenant), None);
            }
            let owner = RoleId::new(1);
            assert_eq!(owner.uuid_in(tenant).to_string(), "726f6c65-6361-8004-8000-000000000001");
            assert_eq!(RoleId::from_uuid_in(owner.uuid_in(tenant), tenant), Some(owner));
        }
        let acme = TenantId::new(1);
        assert_eq!(RoleId::new(4).uuid_in(acme).to_string(), "726f6c65-6361-8004-8000-000080000004");
        assert_eq!(RoleId::parse_in("726f6c65-6361-8004-8000-000000000004", acme), None, "built-in roles are three");
    }

    #[test]
    fn a_permission_is_its_name() {
        let uuid = permission_uuid("billing:read");
        assert_eq!(uuid.to_string(), "726f6c65-6361-8008-956b-e1dbc7d84518");
        assert_ne!(uuid, permission_uuid("billing:refund"));
    }

    #[test]
    fn an_id_of_another_kind_or_out_of_range_is_none() {
        assert_eq!(UserId::from_uuid(TenantId::new(42).uuid()), None);
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "08",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            "0000000042",
            "2147483648",
            "99999999999999999999",
            "2489e9ad-2ee2-8e00-8ec9-32d5f69181c0",
            "726f6c65-6361-8002-8000-000000000000",
            "726f6c65-6361-8002-8000-000080000000",
            "726f6c65-6361-8002-8001-000000000001",
            "726f6c65-6361-4002-8000-000000000001",
            "726f6c6563618002800000000000002a",
            "{726f6c65-6361-8002-8000-00000000002a}",
        ] {
            assert_eq!(UserId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_slug_is_no_number() {
        for text in ["ab", "a-1", "1a", "--a", &"a".repeat(63)] {
            assert!(is_slug(text), "{text}");
        }
        for text in ["", "a", "42", "4-2", "Acme", "ac me", "ac_me", "acm\u{e9}", "acme\0", &"a".repeat(64)] {
            assert!(!is_slug(text), "{text}");
        }
    }
}
