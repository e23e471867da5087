//! The demo tenants.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::json;
use shared::credential::Kind as TokenKind;
use shared::domain::api_key::Secret;
use shared::domain::event::Deed;
use shared::domain::own_policy::PolicyContent;
use shared::domain::{
    ApiKey, Group, Label, Member, Meta, OwnPolicy, Permission, Role, Status, Subject, Tenant, Time, User, Webhook,
    role, webhook,
};
use shared::gate::NewPicture;
use shared::gate::outbox::{Delivery, FAILS_FOR, Failing, Undelivered};
use shared::id::{GroupId, KeyId, Kind, LabelId, MembershipId, PolicyId, RoleId, TenantId, UserId, WebhookId, is_slug};
use shared::table::Item;
use shared::table::encode;
use shared::table::key::{self, TenantKeys};

use crate::store::{Store, Things, pictured_items, record_items, referred, tenant_items, user_items};
use crate::token::{self, Flaw};
use crate::{Result, Template, issuer};

const POLICY: &str = r#"@notice("Only the owner appoints admins at Globex.")
forbid (principal, action == Action::"member:assign-role", resource)
when { context.adds.contains("admin") }
unless { principal.roles.contains("owner") };
"#;

/// What it forbids, nobody but an owner may do while it is in force: everything but to read and to use. `docs/policies.md` has it, too.
pub const FREEZE: &str = r#"@notice("Nothing changes until the new year.")
forbid (principal, action, resource)
when { context.now.seconds < 1798761600 }
unless {
  principal.roles.contains("owner") ||
  action in [
    Action::"tenant:enter",
    Action::"tenant:sign-in",
    Action::"tenant:list-members",
    Action::"member:read",
    Action::"member:read-sessions",
    Action::"member:end-sessions",
    Action::"policy:read",
    Action::"key:read",
    Action::"event:read",
    Action::"event:write",
    Action::"decision:check",
    Action::"session:introspect",
    Action::"permission:use"
  ]
};
"#;

/// The slugs of the demo tenants.
pub const SLUGS: [&str; 2] = ["acme", "globex"];

/// Fills an empty table with tenants 1 `acme` and 2 `globex`, their people and a signing key. Any other table stays as it is.
pub async fn fill(store: &Store, now: Time) -> Result<()> {
    if store.get(&key::jwks()).await?.is_some() {
        return Ok(());
    }
    // Before the issuer: else a function would try to fetch its keys.
    issuer::make_key(store).await?;
    store.put_all(items(now)?).await?;
    finish(store).await
}

/// The items of the demo tenants and their people.
///
/// # Errors
/// A defect: something is no item.
pub fn items(now: Time) -> Result<Vec<Item>> {
    let (acme, globex) = (TenantId::new(1), TenantId::new(2));
    let first = tenant(acme, SLUGS[0], "Acme", now);
    let things = acme_things(&first)?;
    let mut items = tenant_items(first, &things)?;
    let second = tenant(globex, SLUGS[1], "Globex", now);
    let things = globex_things(&second)?;
    items.extend(tenant_items(second, &things)?);
    items.extend(deliveries(now)?);
    items.extend(issuer::items(now)?);
    let people = [
        ("owner@acme.example", "Olivia", "Owner"),
        ("admin@acme.example", "Adam", "Admin"),
        ("user@acme.example", "Uma", "User"),
        ("billing@acme.example", "Bill", "Billing"),
        ("deactivated@acme.example", "Dee", "Deactivated"),
        ("owner@globex.example", "Otto", "Owner"),
        ("user@globex.example", "Ulla", "User"),
        ("manager@acme.example", "Maya", "Manager"),
        ("removed@acme.example", "Rex", "Removed"),
    ];
    for (user, (email, _, _)) in (1..).zip(people) {
        items.extend(user_items(&User::new(UserId::new(user), email, now))?);
    }
    let members = [
        (acme, 1, role::OWNER),
        (acme, 2, role::ADMIN),
        (acme, 3, role::USER),
        (acme, 4, BILLING_MANAGER),
        (acme, 5, role::USER),
        (globex, 3, role::ADMIN),
        (globex, 6, role::OWNER),
        (globex, 7, role::USER),
        (acme, 8, role::USER),
        (acme, 9, role::USER),
    ];
    for (number, (tenant, user, role)) in (1..).zip(members) {
        let (email, first, last) = people[user as usize - 1];
        let mut it = member(MembershipId::new(number), tenant, UserId::new(user), email, role, now);
        (it.first_name, it.last_name) = (Some(first.to_owned()), Some(last.to_owned()));
        it.language = Some("en".to_owned());
        match (tenant.number(), user) {
            (1, 2) => (it.groups, it.manages, it.primary_group) = (groups([1, 2]), groups([1]), Some(GroupId::new(1))),
            (1, 3) => {
                (it.groups, it.primary_group, it.profession) =
                    (groups([1]), Some(GroupId::new(1)), Some(LabelId::new(1)))
            }
            (1, 5) => it.status = Status::Deactivated,
            (2, 3) => drop(it.roles.insert(role::USER)),
            (1, 8) => {
                (it.groups, it.manages) = (groups([1]), groups([1]));
                items.extend(pictured_items(&it, &picture()?, now)?);
                continue;
            }
            (1, 9) => (it.groups, it.deleted_at) = (groups([1]), Some(now)),
            _ => {}
        }
        items.extend(record_items(it.tenant, &it, now)?);
    }
    Ok(items)
}

/// Adds the counters and a signing key to a table that has the [`items`].
///
/// # Errors
/// The table cannot be written.
pub async fn finish(store: &Store) -> Result<()> {
    let counters = [(Kind::Tenant, 2), (Kind::User, 9), (Kind::Membership, 10)];
    for (kind, count) in counters {
        store.allocate(kind, count).await?;
    }
    if !issuer::has_key(store).await? {
        issuer::make_key(store).await?;
    }
    // The published keys come last, because they say that all the others are there.
    token::make_keys(store, shared::now()).await
}

/// The picture of the manager: one pixel.
fn picture() -> Result<NewPicture> {
    let pixel = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
    NewPicture::of_data_uri(pixel).ok_or_else(|| "the demo's picture is none".to_owned().into())
}

const BILLING_MANAGER: RoleId = RoleId::new(4);

fn groups<const N: usize>(numbers: [u32; N]) -> BTreeSet<GroupId> {
    numbers.into_iter().map(GroupId::new).collect()
}

fn acme_things(tenant: &Tenant) -> Result<Things> {
    let now = tenant.meta.created_at;
    let permission = |name: &str, description: &str, access| Permission {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        access,
    };
    let group = |(number, name)| Group::new(GroupId::new(number), name, now);
    let label = |(number, name)| Label::new(LabelId::new(number), name, now);
    let billing_manager = Role {
        description: Some("Pays the bills".to_owned()),
        permissions: vec![
            permission("billing:read", "See invoices", true),
            permission("billing:write", "Change payment methods", true),
            permission("member:set-status", "Activate and deactivate a member", false),
        ],
        ..Role::new(BILLING_MANAGER, "billing-manager", now)
    };
    let auditor = Role {
        description: Some("Sees everybody, changes nobody".to_owned()),
        external_id: Some("auditors".to_owned()),
        permissions: vec![permission("member:read", "See the members of the tenant", true)],
        ..Role::new(RoleId::new(5), "auditor", now)
    };
    Ok(Things {
        roles: vec![billing_manager, auditor],
        groups: [(1, "Engineering"), (2, "Support")].map(group).into(),
        labels: [(1, "Engineer"), (2, "Designer")].map(label).into(),
        // Not in force: an owner can enable it to see what it does.
        policies: vec![policy("Freeze", FREEZE, false, now)],
        issuers: vec![issuer::of_acme(now)],
        api_keys: vec![api_key(now)],
        // Only somebody who asks for a test calls it.
        webhooks: vec![webhook(tenant, "Customer records", "member", webhook::Status::Disabled)?],
    })
}

/// An API key that nobody has the text of.
fn api_key(now: Time) -> ApiKey {
    let valid_until = issuer::FOR_EVER;
    ApiKey {
        id: KeyId::new(1),
        tenant: TenantId::new(1),
        name: "Nightly import".to_owned(),
        roles: [RoleId::new(5)].into(),
        maker: Some(UserId::new(1)),
        networks: BTreeSet::new(),
        secrets: vec![Secret { hash: String::new(), until: valid_until }],
        rotated_at: None,
        valid_until,
        used_at: None,
        ended: false,
        fences: 0,
        meta: Meta::new(now),
    }
}

/// The only webhook of a tenant, which nobody has the secret of. Its receiver does not exist.
fn webhook(tenant: &Tenant, name: &str, kind: &str, status: webhook::Status) -> Result<Webhook> {
    let (id, now) = (WebhookId::new(1), tenant.meta.created_at);
    let secret = shared::webhook::Secret::new().and_then(|it| it.sealed(&tenant.cursor_secret, (tenant.id, id)));
    let sealed = secret.map_err(|problem| problem.to_string())?;
    Ok(Webhook {
        id,
        tenant: tenant.id,
        name: name.to_owned(),
        url: format!("https://hooks.{}.example/rolecall", tenant.slug),
        kinds: [kind.to_owned()].into(),
        deeds: BTreeSet::new(),
        status,
        status_since: now,
        secrets: vec![webhook::Secret { sealed, until: None }],
        rotated_at: None,
        tested_at: None,
        replayed_at: None,
        meta: Meta::new(now),
    })
}

/// What has become of the deliveries to these webhooks: one has failed for acme, and all for globex.
fn deliveries(now: Time) -> Result<Vec<Item>> {
    let (acme, globex, webhook) = (TenantId::new(1), TenantId::new(2), WebhookId::new(1));
    // Nobody looks up the event by this id.
    let (subject, id) = (Subject::new("member", 3), "0".repeat(64));
    let delivery = Delivery { tenant: acme, webhook, subject, version: 1, id, asked: None };
    let key = TenantKeys(acme).undelivered(webhook, now, &delivery.id);
    let why = "no answer in time".to_owned();
    let undelivered = Undelivered { delivery, at: now, why, expires_at: issuer::FOR_EVER };
    let failing = Failing { since: Some(now.seconds() - FAILS_FOR), failed_at: None };
    let items = [encode(&key, None, &undelivered), encode(&TenantKeys(globex).failing(webhook), None, &failing)];
    items.into_iter().map(|item| item.map_err(|why| why.to_string().into())).collect()
}

fn globex_things(tenant: &Tenant) -> Result<Things> {
    let policies = vec![policy("Only the owner appoints admins", POLICY, true, tenant.meta.created_at)];
    // Nothing calls it: a tenant has no such event.
    let watch = webhook(tenant, "Watch", "tenant", webhook::Status::Enabled)?;
    let webhooks = vec![Webhook { deeds: [Deed::Deleted].into(), ..watch }];
    Ok(Things { policies, webhooks, ..Things::default() })
}

/// The demo's policies, compiled: in a build for tests that takes a while, and tests fill a thousand tables.
static COMPILED: LazyLock<[String; 2]> =
    LazyLock::new(|| [FREEZE, POLICY].map(|text| policy_text::admit(text).expect("a policy that may be")));

/// The first policy of a tenant.
fn policy(name: &str, text: &str, enabled: bool, now: Time) -> OwnPolicy {
    let compiled = COMPILED[usize::from(text == POLICY)].clone();
    let content = PolicyContent { name: name.to_owned(), description: None, text: text.to_owned(), compiled, enabled };
    OwnPolicy::new(PolicyId::new(1), content, now)
}

fn tenant(id: TenantId, slug: &str, name: &str, now: Time) -> Tenant {
    Tenant::new(id, slug, name, &uuid::Uuid::new_v4().to_string(), now)
}

fn member(id: MembershipId, tenant: TenantId, user: UserId, email: &str, role: RoleId, now: Time) -> Member {
    Member { roles: BTreeSet::from([role]), ..Member::new(id, tenant, user, email, now) }
}

/// Checks the slug of a tenant, and returns it.
///
/// # Errors
/// The text is not a slug.
pub fn check_slug(slug: &str) -> Result<String> {
    match is_slug(slug) {
        true => Ok(slug.to_owned()),
        false => Err(format!("`{slug}` is no slug: 2 to 63 of `a-z0-9-`, at least one a letter").into()),
    }
}

/// Finds a tenant by its slug, and the user of an address in it.
pub async fn find(store: &Store, slug: &str, email: &str) -> Result<(TenantId, UserId)> {
    let tenant = store.get(&key::slug(slug)).await?;
    let tenant: TenantId = tenant.as_ref().and_then(referred).ok_or(format!("no tenant `{slug}` in this table"))?;
    let user = store.get(&TenantKeys(tenant).email(email)).await?;
    let user = user.as_ref().and_then(referred).ok_or(format!("no member `{email}` in tenant `{slug}`"))?;
    Ok((tenant, user))
}

/// The tokens with which `admin@acme.example` can call for a day.
pub struct Credentials {
    access: String,
    session: String,
}

impl Credentials {
    /// # Errors
    /// The member does not exist any more, or the table was not made here and so has no key to sign with.
    pub async fn issue(store: &Store, template: &Template) -> Result<Self> {
        const DAY: i64 = 24 * 60 * 60;
        let expected = token::expected(template)?;
        let admin = ("acme", "admin@acme.example");
        let token = async |kind| token::issue(store, &expected, admin, kind, DAY, Flaw::None, shared::now()).await;
        Ok(Self { access: token(TokenKind::Access).await?, session: token(TokenKind::Session).await? })
    }

    /// Returns the tokens in the form that the API reference expects in its variable [`IN_REFERENCE`], and the script with which
    /// somebody else can sign in.
    pub fn for_reference(&self) -> String {
        json!({ "bearer": self.access, "session": self.session, "script": issuer::web::SCRIPT.1 }).to_string()
    }
}

/// The variable of the template for what the page of the API reference has on this machine. It is empty on AWS.
pub const IN_REFERENCE: &str = "DEMO_CREDENTIALS";

/// Writes one call of each dialect. The calls work when pasted, as long as nobody has changed the demo tenants.
pub fn calls(Credentials { access, session }: &Credentials, url: &str) -> String {
    let (tenant, user) = (TenantId::new(1).uuid(), UserId::new(3).uuid());
    let bearer = format!("-H 'Authorization: Bearer {access}'");
    let content = "-H 'Content-Type: application/json'";
    format!(
        "curl -X PATCH {url}/api/v1/tenant/{tenant}/user/{user} {bearer} {content} -d '{{\"roleId\": \"admin\"}}'\n\n\
         curl -X PUT {url}/v1/users/{user} {bearer} -H 'X-Tenant-ID: {tenant}' {content} -d '{{\"name\": \"Uma Newname\", \"roles\": [\"user\"]}}'\n\n\
         curl -X PUT {url}/api/acme/v1/users/3 {bearer} {content} -d '{{\"groups\": [{{\"id\": 1}}, {{\"id\": 2}}], \"role\": 3, \"status\": 1}}'\n\n\
         curl -X PATCH {url}/main/users-organizations/v1/rs/users/3 {bearer} -H 'x-session-token: {session}' {content} -d '{{\"firstName\": \"John\", \"lastName\": \"Doe\", \"professionId\": 1, \"scope\": 1}}'\n\n\
         curl -X PUT {url}/api/v1/organizations/{tenant}/users/roles -b 'session={session}' {content} -d '{{\"user_id\": \"{user}\", \"organization_id\": \"{tenant}\", \"role_id\": \"{role}\"}}'\n",
        role = role::USER.uuid_in(TenantId::new(1)),
    )
}
