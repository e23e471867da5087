//! Makes every key of the table; no other code does. The README has the chart of keys.

mod answers;
mod domains;
mod events;
mod invitations;
mod issuers;
mod webhooks;

use std::borrow::Cow;

use domain::id::{GroupId, JobId, KeyId, Kind, LabelId, PolicyId, RoleId, TenantId, UserId, Uuid, hex};
use domain::{ApiKey, Group, Job, Member, OwnPolicy, Record, Role, Subject, Time};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub use domains::*;
pub use events::*;
pub use invitations::Listed;
pub use issuers::*;
pub use webhooks::*;

/// The name of the overloaded index.
pub const INDEX: &str = "GSI1";

/// The most bytes that DynamoDB takes for a sort key, of an index too.
const SORT_KEY: usize = 1024;

/// The primary key of one item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// A fence of the fact that is in this item: see [`fence`](super::fence).
    pub fn fence(&self, number: u32) -> Self {
        Self::alone(&format!("{}#FENCE", self.pk), &format!("{}#{number}", self.sk))
    }

    /// An item that is alone in its partition. Both parts of its key are the same string: a kind, and a text of any length.
    fn alone(kind: &str, text: &str) -> Self {
        let key = format!("{kind}#{}", fitting(text, SORT_KEY - kind.len() - 1));
        Self { sk: key.clone(), pk: key }
    }
}

/// Replaces a text that does not fit by `#` and its hash. No other text of more than 1,024 bytes looks like that.
fn fitting(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most { text.into() } else { format!("#{}", hex(&Sha256::digest(text))).into() }
}

/// A text as lists sort and find it: without regard to case and accents. A sigma at the end of a word is the same letter.
pub fn folded(text: &str) -> String {
    let lower = |it: char| it.to_lowercase().map(|it| if it == 'ς' { 'σ' } else { it });
    text.nfkd().filter(|it| !is_combining_mark(*it)).flat_map(lower).collect()
}

/// How often somebody has called in the window that begins then, in seconds since the epoch.
pub fn budget(kind: &str, of: &str, window: i64) -> Key {
    Key::alone("BUDGET", &format!("{kind}#{of}#{window}"))
}

/// A run of items, in the order of their sort keys: those of one partition whose sort keys begin with the same text.
#[derive(Clone, Debug)]
pub struct Range {
    /// The partition, and the beginning of the sort keys.
    pub prefix: Key,
    pub in_index: bool,
    pub descending: bool,
    /// The first and the last sort key, if they bound the range in place of a beginning.
    pub within: Option<(String, String)>,
}

impl Range {
    /// The items of the table itself, in ascending order.
    pub fn of(prefix: Key) -> Self {
        Self { prefix, in_index: false, descending: false, within: None }
    }

    /// The key of an item with this sort key, in the range.
    pub fn at(&self, sk: &str) -> Key {
        Key::new(self.prefix.pk.clone(), sk)
    }
}

/// The keys of one tenant. Only this type makes keys of a tenant's items, so none of them can lead into another tenant.
///
/// A tenant that outgrows one partition will carry its shard here, beside its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantKeys(pub TenantId);

impl TenantKeys {
    fn partition(self) -> String {
        format!("TENANT#{}", self.0)
    }

    pub fn tenant(self) -> Key {
        Key::new(self.partition(), "TENANT")
    }

    /// The partition and the prefix of the sort keys of all catalog entries.
    pub fn catalog(self) -> Key {
        Key::new(self.partition(), "CATALOG#")
    }

    pub fn role(self, role: RoleId) -> Key {
        Key::new(self.partition(), format!("CATALOG#ROLE#{role}"))
    }

    /// The part of a group that decides.
    pub fn standing(self, group: GroupId) -> Key {
        Key::new(self.partition(), format!("CATALOG#GROUP#{group}"))
    }

    /// Groups and labels are outside of the catalog: few of the requests that read it need them.
    pub fn group(self, group: GroupId) -> Key {
        Key::new(self.partition(), numbered("GROUP", group.number()))
    }

    /// Everything in the tenant's own partition, and the prefix of its sort keys.
    pub fn all(self) -> Key {
        Key::new(self.partition(), "")
    }

    pub fn is_group(key: &Key) -> bool {
        key.sk.starts_with("GROUP#")
    }

    pub fn label(self, label: LabelId) -> Key {
        Key::new(self.partition(), numbered("LABEL", label.number()))
    }

    /// The unique name of a group or label, compared without case. All names of a kind are in one partition, in the order in
    /// which lists sort them. The hash tells apart names that differ by an accent.
    pub fn name(self, kind: &str, name: &str) -> Key {
        let hash = format!(" #{}", hex(&Sha256::digest(name.to_lowercase())));
        let folded = folded(name);
        let fitting = folded.floor_char_boundary(SORT_KEY - hash.len());
        Key { sk: folded[..fitting].to_owned() + &hash, ..self.names(kind, "") }
    }

    /// The partition of all names of a kind, and the prefix of those that begin with `name`.
    pub fn names(self, kind: &str, name: &str) -> Key {
        let name = folded(name);
        // Shorter than any name that is cut, so that the beginning of a long name finds it.
        let fitting = name.floor_char_boundary(SORT_KEY - 70);
        Key::new(format!("{}#{}-NAMES", self.partition(), kind.to_uppercase()), &name[..fitting])
    }

    /// The id in another system of a thing of a kind: unique.
    pub fn external_id(self, kind: &str, id: &str) -> Key {
        Key::alone(&format!("{}#EXTERNAL#{}", self.partition(), kind.to_uppercase()), id)
    }

    /// What decides of a policy in force.
    pub fn deciding(self, policy: PolicyId) -> Key {
        Key::new(self.partition(), format!("CATALOG#POLICY#{policy}"))
    }

    /// A policy of the tenant's own, with its text.
    pub fn own_policy(self, policy: PolicyId) -> Key {
        Key::new(self.partition(), numbered(OwnPolicy::KIND, policy.number()))
    }

    /// The partition and the prefix of the sort keys of all policies of the tenant's own.
    pub fn own_policies(self) -> Key {
        Key::new(self.partition(), "POLICY#")
    }

    pub fn member(self, user: UserId) -> Key {
        Key::new(self.partition(), numbered(Member::KIND, user.number()))
    }

    pub fn job(self, job: JobId) -> Key {
        Key::new(self.partition(), numbered(Job::KIND, job.number()))
    }

    /// A part of an import, and a part of the results of a job.
    pub fn part(self, job: JobId, number: u32) -> Key {
        Key { sk: numbered("PART", number), ..self.beside_job(job) }
    }

    pub fn results(self, job: JobId, number: usize) -> Key {
        Key { sk: format!("RESULTS#{number:010}"), ..self.beside_job(job) }
    }

    /// The partition of the items beside a job.
    pub fn beside_job(self, job: JobId) -> Key {
        Key::new(self.of(&Subject::new(Job::KIND, job)), "")
    }

    /// Where the index lists a job that is not done, among those of all tenants, in the order of their beginnings.
    pub fn unfinished(self, job: JobId, since: Time) -> Key {
        Key { sk: format!("{since}#{}#{job}", self.0), ..unfinished_jobs() }
    }

    /// The edge from a user to this tenant, in which they are a member.
    pub fn of_user(self, user: UserId) -> Key {
        Key { sk: numbered("TENANT", self.0.number()), ..tenants_of(user) }
    }

    /// The tenant to which an edge of a user leads.
    pub fn of_edge(sk: &str) -> Option<Self> {
        let number = sk.strip_prefix("TENANT#")?.trim_start_matches('0');
        TenantId::parse(number).map(Self)
    }

    /// The partition and the prefix of the sort keys of all members, in the order of their numbers.
    pub fn members(self) -> Key {
        Key::new(self.partition(), "MEMBER#")
    }

    pub fn picture(self, user: UserId) -> Key {
        Key::new(self.partition(), numbered("PICTURE", user.number()))
    }

    /// Where the index lists the tenant's members, by as much of `name` as fits. The space lets `ann` come before `ann lee`.
    pub fn listed(self, name: &str, user: UserId) -> Key {
        let (name, number) = (folded(name), format!(" #{user}"));
        let fitting = name.floor_char_boundary(SORT_KEY - number.len());
        Key { sk: name[..fitting].to_owned() + &number, ..self.listed_from("") }
    }

    /// The partition of the index and the prefix of the sort keys of the members whose names begin with `name`.
    pub fn listed_from(self, name: &str) -> Key {
        let name = folded(name);
        // Shorter than any name that is cut, so that the beginning of a long name finds it.
        let fitting = name.floor_char_boundary(SORT_KEY - " #2147483647".len() - 3);
        Key::new(format!("{}#MEMBERS", self.partition()), &name[..fitting])
    }

    /// The number behind the name in a sort key of [`TenantKeys::listed`].
    pub fn number_listed(sk: &str) -> Option<UserId> {
        sk.rsplit_once('#').and_then(|(_, number)| UserId::parse(number))
    }

    pub fn api_key(self, key: KeyId) -> Key {
        Key::new(self.partition(), numbered(ApiKey::KIND, key.number()))
    }

    /// The partition and the prefix of the sort keys of all jobs.
    pub fn jobs(self) -> Key {
        Key::new(self.partition(), "JOB#")
    }

    /// The partition and the prefix of the sort keys of all API keys.
    pub fn api_keys(self) -> Key {
        Key::new(self.partition(), "KEY#")
    }

    /// An issuer that the tenant trusts.
    pub fn issuer(self, id: Uuid) -> Key {
        Key { sk: format!("ISSUER#{id}"), ..self.issuers() }
    }

    /// The partition and the prefix of the sort keys of the issuers that the tenant trusts.
    pub fn issuers(self) -> Key {
        Key::new(self.partition(), "ISSUER#")
    }

    /// The person whom an issuer knows under a `sub`, in this tenant. Each tenant has such items of its own: an issuer that one tenant
    /// trusts says nothing in another.
    pub fn identity(self, iss: &str, sub: &str) -> Key {
        let person = format!("{iss} {sub}");
        Key { sk: fitting(&person, SORT_KEY).into_owned(), ..self.identities() }
    }

    /// The partition of all such items.
    pub fn identities(self) -> Key {
        Key::new(format!("{}#IDENTITIES", self.partition()), "")
    }

    /// What a session has beside its life.
    pub fn session(self, user: UserId, id: &str) -> Key {
        Key { sk: format!("SESSION#{id}"), ..self.sessions(user) }
    }

    /// The partition and the prefix of the sort keys of a member's sessions.
    pub fn sessions(self, user: UserId) -> Key {
        Key::new(self.of(&Subject::new(Member::KIND, user)), "SESSION#")
    }

    /// The edge that says that `user` holds `role`.
    pub fn holder(self, role: RoleId, user: UserId) -> Key {
        Key::new(self.of(&Subject::new(Role::KIND, role)), numbered(Member::KIND, user.number()))
    }

    /// The partition and the prefix of the sort keys of all edges from a role to its holders.
    pub fn holders(self, role: RoleId) -> Key {
        Key::new(self.of(&Subject::new(Role::KIND, role)), "MEMBER#")
    }

    /// The partition and the prefix of the sort keys of all edges from a group to its members.
    pub fn members_of(self, group: GroupId) -> Key {
        Key::new(self.of(&Subject::new(Group::KIND, group)), "MEMBER#")
    }

    /// The number in the sort key of a member, or of an edge to one.
    pub fn number_of(sk: &str) -> Option<UserId> {
        sk.strip_prefix("MEMBER#").and_then(|number| UserId::parse(number.trim_start_matches('0')))
    }

    /// The edge that says that `user` is in `group`.
    pub fn in_group(self, group: GroupId, user: UserId) -> Key {
        Key::new(self.of(&Subject::new(Group::KIND, group)), numbered(Member::KIND, user.number()))
    }

    /// The partition of the items beside a record: its events, its edges.
    fn of(self, subject: &Subject) -> String {
        format!("{}#{}", self.partition(), named(subject))
    }

    /// The unique address of a member in the tenant, compared without case. All addresses of a tenant are in one partition, in
    /// order.
    pub fn email(self, email: &str) -> Key {
        let email = email.to_lowercase();
        Key::new(format!("{}#EMAILS", self.partition()), fitting(&email, SORT_KEY))
    }

    /// The partition of all addresses and the prefix of those that begin with `email`.
    pub fn emails(self, email: &str) -> Key {
        let email = email.to_lowercase();
        let fitting = email.floor_char_boundary(SORT_KEY);
        Key::new(format!("{}#EMAILS", self.partition()), &email[..fitting])
    }
}

pub fn user(user: UserId) -> Key {
    Key::new(format!("USER#{user}"), "USER")
}

/// The partition of a user, and the prefix of the sort keys of the edges to the tenants in which they are a member.
pub fn tenants_of(user: UserId) -> Key {
    Key { sk: "TENANT#".to_owned(), ..self::user(user) }
}

/// The person with an address, in all tenants; compared without case.
pub fn person(email: &str) -> Key {
    Key::alone("PERSON", &email.to_lowercase())
}

/// The partition of the index that lists the jobs of all tenants that are not done.
pub fn unfinished_jobs() -> Key {
    Key::new("JOBS", "")
}

/// The partition of the index that lists deleted tenants.
pub fn deleted_tenants() -> Key {
    Key::new("DELETED", "")
}

/// Where the index lists a deleted tenant, in the order of the deletions.
pub fn deleted_tenant(tenant: TenantId, at: Time) -> Key {
    Key { sk: format!("{at}#{tenant}"), ..deleted_tenants() }
}

/// The tenant and the job of an item of a job.
pub fn job_at(key: &Key) -> Option<(TenantId, JobId)> {
    let job = key.sk.strip_prefix("JOB#")?.trim_start_matches('0');
    let tenant = TenantId::parse(key.pk.strip_prefix("TENANT#")?)?;
    Some((tenant, JobId::parse_in(job, tenant)?))
}

pub fn slug(slug: &str) -> Key {
    Key::alone("SLUG", slug)
}

/// The proof that the deployment has its first tenant.
pub fn bootstrap() -> Key {
    Key::new("CONFIG", "BOOTSTRAP")
}

/// The keys that verify our tokens.
pub fn jwks() -> Key {
    Key::new("CONFIG", "JWKS")
}

/// The counter that allocates the numbers of a kind.
pub fn counter(kind: Kind) -> Key {
    Key::new("CONFIG", format!("COUNTER#{kind:?}").to_uppercase())
}

fn named(subject: &Subject) -> String {
    format!("{}#{}", subject.kind.to_uppercase(), subject.id)
}

/// Numbers are padded so that they sort.
fn numbered(kind: &str, number: u32) -> String {
    format!("{}#{number:010}", kind.to_uppercase())
}

#[cfg(test)]
mod tests;
