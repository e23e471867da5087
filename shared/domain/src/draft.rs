//! What a policy that is not in force yet would refuse: members now, and changes of the past.

mod past;

use std::collections::BTreeSet;

use crate::id::{GroupId, LabelId, MembershipId, RoleId, TenantId, UserId};
use crate::member::{Member, Status};
use crate::policy::eval::Entity;
use crate::policy::format::Uid;
use crate::policy::properties::Properties;
use crate::policy::question::{Thing, of_product};
use crate::policy::{
    Action, Around, KeyDeed, Policies, Rules, groups, long, member, of_tenant, record, string, strings, tenant,
};
use crate::problem::Denial;
use crate::record::Record;
use crate::role::{EVERYTHING, Role, USER};

/// The names, beside permissions, of what a draft can refuse: acting in the tenant at all, and what only owners may.
const BESIDE_PERMISSIONS: [&str; 4] = ["tenant:enter", "policy:manage", "issuer:manage", "tenant:delete"];

/// A policy that is not in force, compiled.
pub struct Draft(Policies);

/// What a draft refuses, by the name of the permission or of the action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    pub permission: &'a str,
    pub denial: Denial,
}

impl Draft {
    pub fn new(compiled: &str) -> Self {
        Self(Policies::draft(compiled))
    }
}

impl Rules {
    /// What a draft would refuse a member who may do it under the present rules: each thing that an owner may, or a permission that they
    /// hold.
    ///
    /// A permission stands for the least that it allows: one over members for a change of a plain member that changes nothing, one over
    /// roles or groups for a plain role or a group that confers nothing, one of the product for a thing of which nothing is said. If the
    /// draft keeps them from acting at all, only that is told.
    pub fn refused_by<'a>(&'a self, draft: &Draft, around: Around, of: &Member) -> Vec<Refusal<'a>> {
        let principal = member(of, self);
        let held = self.permissions(&self.roles_of(of));
        let names = BESIDE_PERMISSIONS.into_iter().chain(held.into_iter().filter(|name| *name != EVERYTHING));
        let mut refused = Vec::new();
        for permission in names {
            let decide = |policies: &Policies| match permission {
                "tenant:enter" => policies.enter(around.now, &principal, of.tenant),
                _ => self.least(policies, around, &principal, (permission, of.tenant)),
            };
            if let (Ok(_), Err(denial)) = (decide(&self.policies), decide(&draft.0)) {
                refused.push(Refusal { permission, denial });
                if permission == "tenant:enter" {
                    break;
                }
            }
        }
        refused
    }

    /// Decides on the least that a permission allows.
    fn least(
        &self,
        policies: &Policies,
        around: Around,
        principal: &Entity,
        (permission, of): (&str, TenantId),
    ) -> Result<Vec<String>, Denial> {
        let plain = Member {
            roles: [USER].into(),
            status: Status::Active,
            ..Member::new(MembershipId::LAST, of, UserId::LAST, "", around.now)
        };
        let (role, properties) = (Role::new(RoleId::LAST, "", around.now), Properties::default());
        let (kind, name) = permission.split_once(':').unwrap_or_default();
        let of_kind = |thing| self.asked(of, name, thing);
        let (action, resource) = match permission {
            "member:impersonate" => (Some(Action::Impersonate { allowed: true }), member(&plain, self)),
            "policy:read" => (Some(Action::ReadPolicies), tenant(of)),
            "policy:manage" => (Some(Action::ManagePolicies), tenant(of)),
            "issuer:manage" => (Some(Action::ManageIssuers { of_deployment: false }), tenant(of)),
            "event:read" => (Some(Action::ReadEvents), tenant(of)),
            "event:write" => (Some(Action::WriteEvents), tenant(of)),
            "webhook:manage" => (Some(Action::ManageWebhooks), tenant(of)),
            "session:introspect" => (Some(Action::Introspect), tenant(of)),
            "decision:check" => (Some(Action::Check), member(&plain, self)),
            "key:create" => (Some(Action::Key(KeyDeed::Create)), key(of)),
            "key:manage" => (Some(Action::Key(KeyDeed::End)), key(of)),
            _ if kind == Member::KIND => of_kind(Thing::Member(&plain)),
            _ if kind == Role::KIND => of_kind(Thing::Role(&role)),
            _ if kind == "group" => of_kind(Thing::Group(GroupId::LAST)),
            _ if kind == "label" => of_kind(Thing::Label(LabelId::LAST)),
            _ if kind == "tenant" => of_kind(Thing::Tenant),
            _ => (None, tenant(of)),
        };
        let (action, resource) = match action {
            Some(action) => (action, resource),
            // No action of the tenant's own has that name.
            None => (Action::Use(permission, &properties), of_product(of, kind, "")),
        };
        policies.allow(around, principal, &action, &resource)
    }
}

/// An API key of the lowest rank, without permissions and without a maker.
fn key(of: TenantId) -> Entity {
    let none = BTreeSet::<&str>::new;
    let attributes = [
        ("status", string("active")),
        ("roles", strings(none())),
        ("rank", long(1)),
        ("holds", strings(none())),
        ("denies", strings(none())),
        ("groups", groups([])),
        ("manages", groups([])),
    ];
    of_tenant(of, Uid::new("ApiKey", ""), record(attributes))
}
