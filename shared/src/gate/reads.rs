//! What a request reads, beside what every request reads.

use domain::MemberEdit;
use domain::id::{DomainId, GroupId, JobId, JoinRequestId, KeyId, LabelId, PolicyId, RoleId, UserId, Uuid, WebhookId};

use super::Idempotency;

/// The facts that a request needs beside the tenant, its caller and the answer on record.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    pub(super) members: Vec<UserId>,
    pub(super) group: Option<GroupId>,
    pub(super) label: Option<LabelId>,
    pub(super) policy: Option<PolicyId>,
    /// Groups and labels that must exist.
    pub(super) named: (Vec<GroupId>, Vec<LabelId>),
    pub(super) job: Option<JobId>,
    pub(super) issuer: Option<Uuid>,
    pub(super) api_key: Option<KeyId>,
    pub(super) webhook: Option<WebhookId>,
    pub(super) session: Option<(UserId, String)>,
    pub(super) domain: Option<DomainId>,
    pub(super) join_request: Option<JoinRequestId>,
    /// A thing of the product, by its type and id.
    pub(super) thing: Option<String>,
    pub(super) holders_of: Option<RoleId>,
    /// Whether anybody is in the group.
    pub(super) is_group_used: bool,
    pub(super) address: Option<String>,
    /// The id in another system of a thing of a kind.
    pub(super) external_id: Option<(&'static str, String)>,
    pub(super) persons: Vec<String>,
    /// The addresses of members of the tenant.
    pub(super) addresses: Vec<String>,
    /// The slug of a new tenant.
    pub(super) new_tenant: Option<String>,
    /// SHA-256 of a token that gives one session, in hex.
    pub(super) once: Option<String>,
    /// The issuer and the `sub` of somebody who signs in.
    pub(super) identity: Option<(String, String)>,
    pub(super) unshown: bool,
    /// Whether the pictures of members are read, if that does not follow from the dialect.
    pub(super) pictures: Option<bool>,
    pub(super) of_deleted_tenant: bool,
    /// Whether the job is read that erases the member.
    pub(super) erases: bool,
    /// The keys of further answers on record of the caller.
    pub(super) repeated: Vec<String>,
}

impl Reads {
    pub fn none() -> Self {
        Self::default()
    }

    /// A member; `None` for an id that cannot be anybody's.
    pub fn member(user: Option<UserId>) -> Self {
        Self { members: user.into_iter().collect(), ..Self::default() }
    }

    /// A member, removed or not, and the job that erases them. `None` for an id that cannot be anybody's.
    pub fn erased(user: Option<UserId>) -> Self {
        Self { erases: true, ..Self::member(user) }.unshown()
    }

    /// The person with an address, in all tenants, and their item in this tenant.
    pub fn person(email: &str) -> Self {
        Self::persons(vec![email.to_owned()])
    }

    /// The same for several persons, no address twice.
    pub fn persons(emails: Vec<String>) -> Self {
        Self { persons: emails, ..Self::default() }
    }

    /// The members with these addresses in the tenant.
    pub fn addresses(emails: Vec<String>) -> Self {
        Self { addresses: emails, ..Self::default() }
    }

    /// A group; `None` for an id that cannot be a group's.
    pub fn group(group: Option<GroupId>) -> Self {
        Self { group, ..Self::default() }
    }

    /// A label; `None` for an id that cannot be a label's.
    pub fn label(label: Option<LabelId>) -> Self {
        Self { label, ..Self::default() }
    }

    /// A policy of the tenant's own; `None` for an id that cannot be a policy's.
    pub fn policy(policy: Option<PolicyId>) -> Self {
        Self { policy, ..Self::default() }.unshown()
    }

    /// A group, and whether anybody is in it. `None` for an id that cannot be a group's.
    pub fn members_of(group: Option<GroupId>) -> Self {
        Self { group, is_group_used: true, ..Self::default() }
    }

    /// A job; `None` for an id that cannot be a job's.
    pub fn job(job: Option<JobId>) -> Self {
        Self { job, ..Self::default() }
    }

    /// The tenant's own entry for an issuer.
    pub fn issuer(issuer: Uuid) -> Self {
        Self { issuer: Some(issuer), ..Self::default() }
    }

    /// An API key; `None` for an id that cannot be a key's.
    pub fn api_key(api_key: Option<KeyId>) -> Self {
        Self { api_key, ..Self::default() }.unshown()
    }

    /// A webhook; `None` for an id that cannot be a webhook's.
    pub fn webhook(webhook: Option<WebhookId>) -> Self {
        Self { webhook, ..Self::default() }.unshown()
    }

    /// A claimed domain; `None` for an id that cannot be one's.
    pub fn domain(domain: Option<DomainId>) -> Self {
        Self { domain, ..Self::default() }.unshown()
    }

    /// A request to join; `None` for an id that cannot be one's.
    pub fn join_request(join_request: Option<JoinRequestId>) -> Self {
        Self { join_request, ..Self::default() }.unshown()
    }

    /// The end of the chain of a thing of the product's own.
    pub fn thing(name: &str) -> Self {
        Self { thing: Some(name.to_owned()), ..Self::default() }.unshown()
    }

    /// A session, and its member. `None` for a token that is none.
    pub(crate) fn session(session: Option<(UserId, String)>) -> Self {
        Self { session: session.clone(), ..Self::member(session.map(|(user, _)| user)) }.unshown()
    }

    pub(super) fn members(users: &[UserId]) -> Self {
        Self { members: users.to_vec(), ..Self::default() }
    }

    /// Also another member.
    pub fn and_member(mut self, user: UserId) -> Self {
        self.members.push(user);
        self
    }

    /// Also the member with an address in the tenant.
    pub fn and_address(mut self, email: &str) -> Self {
        self.addresses.push(email.to_owned());
        self
    }

    /// Also further members.
    pub fn and_members(mut self, users: impl IntoIterator<Item = UserId>) -> Self {
        self.members.extend(users);
        self
    }

    /// Also what the other one reads of members and persons, and the groups and labels that it names.
    pub fn and(mut self, other: Self) -> Self {
        self.members.extend(other.members);
        self.named.0.extend(other.named.0);
        self.named.1.extend(other.named.1);
        // Of an address in two spellings, the plan refuses the second.
        self.persons.extend(other.persons);
        self.persons.sort_unstable();
        self.persons.dedup();
        self
    }

    /// Also the groups and the label that an edit refers to.
    pub fn naming(mut self, edit: &MemberEdit) -> Self {
        self.named.0.extend(edit.named_groups());
        self.named.1.extend(edit.named_label());
        self
    }

    /// Also the answers on record to a request of so many changes, and to each of them.
    pub fn repeated(self, idempotency: Option<&Idempotency>, changes: usize) -> Self {
        Self { repeated: idempotency.map(|asked| asked.with_changes(changes)).unwrap_or_default(), ..self }
    }

    /// The same for an answer that shows no member: without pictures, which cost up to 64 read units, and without the names of
    /// groups and labels.
    pub fn unshown(self) -> Self {
        Self { unshown: true, ..self }
    }

    /// The same with the pictures of members, or without.
    pub fn pictures(self, are_read: bool) -> Self {
        Self { pictures: Some(are_read), ..self }
    }

    /// What it takes to make a tenant with a slug, of which the member of this session becomes the owner.
    pub fn new_tenant((owner, session): (UserId, &str), slug: &str) -> Self {
        Self { new_tenant: Some(slug.to_owned()), ..Self::session(Some((owner, session.to_owned()))) }
    }

    /// Also whether a token has given a session, by its SHA-256 in hex.
    pub(crate) fn once(self, hash: Option<String>) -> Self {
        Self { once: hash, ..self }
    }

    /// Also as whom an issuer's `sub` signs in to the tenant.
    pub(crate) fn identity(self, identity: Option<(String, String)>) -> Self {
        Self { identity, ..self }
    }

    /// Nothing else of a tenant that may be deleted.
    pub fn of_deleted_tenant() -> Self {
        Self::none().also_if_deleted()
    }

    /// The same in a tenant that may be deleted.
    pub(crate) fn also_if_deleted(self) -> Self {
        Self { of_deleted_tenant: true, ..self }
    }

    /// Whose address it is, or which thing of a kind has that id in another system.
    pub(super) fn lookup(email: Option<String>, kind: &'static str, external_id: Option<String>) -> Self {
        Self { address: email, external_id: external_id.map(|id| (kind, id)), ..Self::default() }
    }

    /// Whether any member holds a role. `None` for an id that cannot be a role's.
    pub fn holders(role: Option<RoleId>) -> Self {
        Self { holders_of: role, ..Self::default() }
    }
}
