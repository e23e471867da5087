//! The decision: Cedar policies over facts that were just read.
//!
//! The base policies are in `policies/base.cedar`. `policies/schema.cedarschema` has the types that they use.

mod action;
mod around;
pub mod eval;
pub mod format;
pub mod properties;
pub mod question;
mod value;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::LazyLock;

pub use action::{Action, KeyDeed};
pub use around::Around;
pub(crate) use value::{groups, long, record, string, strings};

use crate::catalog::{Catalog, Entry, Policy};
use crate::id::{GroupId, RoleId, TenantId, UserId};
use crate::member::Member;
use crate::problem::Denial;
use crate::time::Time;
use eval::{Entity, Erred, Request};
use format::{Effect, Record, Rule, Uid};

pub const BASE: &str = include_str!("../policies/base.cedar");
/// [`BASE`] in the form that functions read. `tests/evaluation.rs` makes it, and compares it with the text.
pub const COMPILED_BASE: &str = include_str!("../policies/base.json");

/// The rule that a denial names if no policy allowed the action.
pub const NOT_PERMITTED: &str = "not-permitted";
/// The rule that a denial names if a policy could not be evaluated, or a tenant has a policy that cannot be used.
pub const POLICY_ERROR: &str = "policy-error";

/// The catalog and the policies of a tenant, at one version of its catalog.
#[derive(Debug)]
pub struct Rules {
    pub catalog: Catalog,
    pub policies: Policies,
}

impl Rules {
    /// The rules of a tenant's own entries, the built-in roles and the base policies.
    pub fn new(version: u64, entries: impl IntoIterator<Item = Entry>) -> Self {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let policies = entries.iter().filter_map(|entry| match entry {
            Entry::Policy(policy) => Some(policy),
            _ => None,
        });
        let policies = Policies::new(policies);
        Self { catalog: Catalog::new(version, entries), policies }
    }
}

impl Deref for Rules {
    type Target = Catalog;

    fn deref(&self) -> &Catalog {
        &self.catalog
    }
}

/// The policies of one tenant: the base ones and its own.
#[derive(Debug)]
pub struct Policies {
    base: &'static [(String, Rule)],
    /// Each under the name that denials show.
    own: Vec<(String, Rule)>,
    /// The policies of the tenant that cannot be used, by their numbers, and why. While there is one, nothing is allowed,
    /// because it might have forbidden anything.
    broken: Vec<(u32, &'static str)>,
}

impl Policies {
    /// The base policies and those of a tenant.
    pub fn new<'a>(own: impl IntoIterator<Item = &'a Policy>) -> Self {
        let mut policies = Self { base: base(), own: Vec::new(), broken: Vec::new() };
        for policy in own {
            let name = |index: usize| format!("tenant-policy-{}-{index}", policy.id);
            match read_own(&policy.compiled, name) {
                Ok(rules) => policies.own.extend(rules),
                Err(why) => policies.broken.push((policy.id.number(), why)),
            }
        }
        policies
    }

    /// One policy alone that is not in force, compiled: without the base policies, all that it does not forbid is allowed. A denial names
    /// its statements `draft-0`, `draft-1` and so on.
    pub(crate) fn draft(compiled: &str) -> Self {
        match read_own(compiled, |index| format!("draft-{index}")) {
            Ok(own) => Self { base: &[], own, broken: Vec::new() },
            Err(why) => Self { base: &[], own: Vec::new(), broken: vec![(0, why)] },
        }
    }

    /// The policies of the tenant that cannot be used, and why.
    pub fn broken(&self) -> &[(u32, &'static str)] {
        &self.broken
    }

    /// Whether `principal` may act in the tenant at all.
    pub fn enter(&self, now: Time, principal: &Entity, tenant: TenantId) -> Result<Vec<String>, Denial> {
        let context = record([("now", Around { dialect: "", now }.time())]);
        self.decide("tenant:enter", principal, &[], &Uid::new("Tenant", tenant), context)
    }

    /// Whether `principal` may do `action` to `resource`; the notices that come with the permission.
    pub fn allow(
        &self,
        around: Around,
        principal: &Entity,
        action: &Action,
        resource: &Entity,
    ) -> Result<Vec<String>, Denial> {
        let beside = action.entities();
        let known: Vec<&Entity> = [resource].into_iter().chain(&beside).collect();
        self.decide(action.name(), principal, &known, &resource.uid, action.context(around))
    }

    fn decide(
        &self,
        action: &'static str,
        principal: &Entity,
        known: &[&Entity],
        resource: &Uid,
        context: Record,
    ) -> Result<Vec<String>, Denial> {
        let error = |_| Denial { rule: POLICY_ERROR.to_owned(), action, notices: Vec::new() };
        if !self.broken.is_empty() {
            return Err(error(Erred));
        }
        let entity = action_entity(action);
        let uids = [&principal.uid, &entity.uid, resource];
        let entities = [principal, &entity].into_iter().chain(known.iter().copied()).collect();
        let request = Request::new(uids, context, entities);

        let (mut permits, mut forbids) = (Vec::new(), Vec::new());
        for (name, rule) in self.base.iter().chain(&self.own) {
            // Cedar skips a policy that errs, even a `forbid`. Here it denies.
            if request.fits(rule).map_err(error)? {
                let those = if rule.effect == Effect::Forbid { &mut forbids } else { &mut permits };
                those.push((name, rule));
            }
        }
        let denied = !forbids.is_empty() || (permits.is_empty() && !self.base.is_empty());
        let decided = if denied { forbids } else { permits };
        let mut notices: Vec<String> = Vec::new();
        for notice in decided.iter().filter_map(|(_, rule)| rule.annotations.notice.as_ref()) {
            if !notice.is_empty() && !notices.contains(notice) {
                notices.push(notice.clone());
            }
        }
        match denied {
            false => Ok(notices),
            true => {
                let rule = decided.first().map_or(NOT_PERMITTED, |(name, _)| name);
                Err(Denial { rule: rule.to_owned(), action, notices })
            }
        }
    }
}

/// A member as policies know them. A person who was removed, or is not yet a member, has no roles and no groups.
pub fn member(member: &Member, catalog: &Catalog) -> Entity {
    if !member.is_present() {
        let blank = Member::new(member.id, member.tenant, member.user, &member.email, member.meta.created_at);
        let mut entity = self::member(&blank, catalog);
        entity.attributes.insert(Cow::Borrowed("status"), string("removed"));
        return entity;
    }
    let is_in = |group: &&GroupId| !catalog.is_retiring(**group);
    let attributes = [
        ("status", string(member.status.as_str())),
        ("groups", groups(member.groups.iter().filter(is_in))),
        ("manages", groups(member.manages.iter().filter(is_in))),
        ("emailDomain", string(member.email.rsplit('@').next().unwrap_or_default())),
    ];
    let attributes = attributes.into_iter().chain(of_roles(&catalog.roles_of(member), catalog));
    let mut entity = of_tenant(member.tenant, Uid::new("Member", member.user), record(attributes));
    entity.ancestors.extend(member.groups.iter().filter(is_in).map(|group| Uid::new("Group", group)));
    entity
}

/// A member as whom another one acts.
pub fn impersonated(member: &Member, by: UserId, catalog: &Catalog) -> Entity {
    with_second(member, "impersonator", by, catalog)
}

/// A member whose change another one has approved.
pub fn approved(member: &Member, by: UserId, catalog: &Catalog) -> Entity {
    with_second(member, "approver", by, catalog)
}

/// No decision reads the second one. So a policy can only ask who they are.
fn with_second(member: &Member, role: &'static str, second: UserId, catalog: &Catalog) -> Entity {
    let mut entity = self::member(member, catalog);
    let second = format::Value::Entity { uid: Uid::new("Member", second) };
    entity.attributes.insert(Cow::Borrowed(role), second);
    entity
}

/// The attributes that follow from roles.
pub(crate) fn of_roles(roles: &BTreeSet<RoleId>, catalog: &Catalog) -> [(&'static str, format::Value); 4] {
    [
        ("roles", strings(catalog.roles(roles).map(|role| role.name.as_str()))),
        ("rank", long(catalog.rank(roles))),
        ("holds", strings(catalog.permissions(roles))),
        ("denies", strings(catalog.denied(roles))),
    ]
}

/// A tenant as policies know it.
pub fn tenant(id: TenantId) -> Entity {
    Entity::new(Uid::new("Tenant", id), Record::new(), BTreeSet::new())
}

/// The action with its group. A decision does not read the schema, so the entities must name the group.
pub fn action_entity(action: &str) -> Entity {
    let group = action.starts_with("member:").then(|| Uid::new("Action", "member:any"));
    Entity::new(Uid::new("Action", action), Record::new(), group.into_iter().collect())
}

/// Reads one compiled policy of a tenant, which may have several statements; each gets a name.
fn read_own(compiled: &str, name: impl Fn(usize) -> String) -> Result<Vec<(String, Rule)>, &'static str> {
    let rules = format::read(compiled).map_err(|_| "not compiled, or for another version")?;
    if rules.iter().any(|rule| rule.effect == Effect::Permit) {
        return Err("a permit");
    }
    Ok(rules.into_iter().enumerate().map(|(index, rule)| (name(index), rule)).collect())
}

/// Reads the base policies, so that the first decision need not.
pub fn warm_up() {
    base();
}

/// The base policies under their own ids.
fn base() -> &'static [(String, Rule)] {
    static BASE_POLICIES: LazyLock<Vec<(String, Rule)>> = LazyLock::new(|| {
        let rules = format::read(COMPILED_BASE).expect("a test reads the base policies");
        rules.into_iter().map(|rule| (rule.annotations.id.clone().unwrap_or_default(), rule)).collect()
    });
    &BASE_POLICIES
}

/// A thing of a tenant of which policies know nothing else.
pub(crate) fn named(kind: &'static str, id: impl ToString, tenant: TenantId) -> Entity {
    of_tenant(tenant, Uid::new(kind, id), Record::new())
}

/// What belongs to a tenant. It is in the tenant, for the scopes of policies, and names it.
pub(crate) fn of_tenant(tenant: TenantId, uid: Uid, mut attributes: Record) -> Entity {
    let tenant = Uid::new("Tenant", tenant);
    attributes.insert(Cow::Borrowed("tenant"), format::Value::Entity { uid: tenant.clone() });
    Entity::new(uid, attributes, [tenant].into())
}
