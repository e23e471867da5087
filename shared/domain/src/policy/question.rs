//! Questions of services: may a member do something to a thing of the product, or to a thing of the tenant?

use std::collections::BTreeSet;

use super::eval::Entity;
use super::properties::Properties;
use super::value::{record, string};
use super::{Action, Around, NOT_PERMITTED, Rules, Uid};
use crate::id::{GroupId, LabelId, TenantId};
use crate::member::Member;
use crate::problem::Denial;
use crate::record::Record;
use crate::role::Role;

/// The thing that a question is about.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    /// A thing of the product that Rolecall serves: its type and its id, and what the service says of the question. Nobody knows whether
    /// the thing exists.
    OfProduct {
        kind: &'a str,
        id: &'a str,
        properties: &'a Properties,
    },
    Tenant,
    Member(&'a Member),
    Role(&'a Role),
    Group(GroupId),
    Label(LabelId),
}

impl Rules {
    /// Decides whether a member or an API key may do something; the notices that come with the permission. They must be ones who may
    /// act in the tenant at all.
    ///
    /// `action` is the part behind the colon of an [`Action::name`], or a permission of the product as a whole. On a thing of the
    /// tenant it stands for the least change: with a role, for one that the member has already.
    pub fn may(
        &self,
        around: Around,
        (principal, tenant): (&Entity, TenantId),
        action: &str,
        thing: Thing<'_>,
    ) -> Result<Vec<String>, Denial> {
        self.policies.enter(around.now, principal, tenant)?;
        let (action, resource) = self.asked(tenant, action, thing);
        match action {
            Some(action) => self.policies.allow(around, principal, &action, &resource),
            None => Err(not_permitted()),
        }
    }

    /// The action and the thing, as policies know them. There is no action of a name that the thing does not know.
    pub(crate) fn asked<'a>(
        &'a self,
        tenant: TenantId,
        name: &'a str,
        thing: Thing<'a>,
    ) -> (Option<Action<'a>>, Entity) {
        let none = BTreeSet::new;
        match thing {
            Thing::OfProduct { kind, id, properties } => {
                (Some(Action::Use(name, properties)), of_product(tenant, kind, id))
            }
            Thing::Tenant => {
                let action = match name {
                    "list-members" => Action::List(None),
                    "update" => Action::UpdateTenant { settings: none() },
                    "delete" => Action::DeleteTenant,
                    "create" => Action::CreateTenant,
                    _ => return (None, super::tenant(tenant)),
                };
                (Some(action), super::tenant(tenant))
            }
            Thing::Member(member) => (self.on_member(name, member), super::member(member, self)),
            Thing::Role(role) => {
                let rank = role.rank;
                let action = match name {
                    "create" => Some(Action::CreateRole),
                    "update" => Some(Action::UpdateRole { gains: none(), denials: none(), rank, renames: false }),
                    "delete" => {
                        Some(Action::DeleteRole { adds: none(), removes: none(), gains: none(), denials: none(), rank })
                    }
                    _ => None,
                };
                (action, role.entity(tenant, self))
            }
            Thing::Group(group) => {
                let standing = self.standings().find(|(id, _)| **id == group).map(|(_, standing)| standing);
                let rank = standing.map_or(0, |standing| self.rank(&standing.confers));
                let (adds, removes, gains, denials) = (none(), none(), none(), none());
                let action = Action::ManageGroups { adds, removes, gains, denials, was: rank, rank };
                (Some(action).filter(|_| name == "manage"), super::named("Group", group, tenant))
            }
            Thing::Label(label) => {
                (Some(Action::ManageLabels).filter(|_| name == "manage"), super::named("Label", label, tenant))
            }
        }
    }

    fn on_member(&self, name: &str, member: &Member) -> Option<Action<'_>> {
        let none = BTreeSet::new;
        let rank = self.rank(&self.roles_of(member));
        Some(match name {
            "read" => Action::Read,
            "update-profile" => Action::UpdateProfile,
            "set-identity" => Action::SetIdentity,
            "set-metadata" => Action::SetMetadata,
            "invite" => Action::Invite(self.inviters),
            "remove" => Action::Remove,
            "read-sessions" => Action::ReadSessions,
            "end-sessions" => Action::EndSessions,
            "impersonate" => Action::Impersonate { allowed: self.impersonation },
            "assign-role" => Action::AssignRole { adds: none(), removes: none(), rank, gains: none() },
            "set-status" => Action::SetStatus(member.status),
            "set-groups" => Action::SetGroups {
                joins: BTreeSet::new(),
                leaves: BTreeSet::new(),
                manages: BTreeSet::new(),
                adds: none(),
                removes: none(),
                rank,
                gains: none(),
            },
            _ => return None,
        })
    }
}

/// A thing of the product as policies know it.
pub fn of_product(tenant: TenantId, kind: &str, id: &str) -> Entity {
    let attributes = record([("type", string(kind)), ("id", string(id))]);
    super::of_tenant(tenant, Uid::new("Thing", format!("{kind}/{id}")), attributes)
}

/// The answer about a thing or a person that does not exist.
pub fn not_permitted() -> Denial {
    Denial { rule: NOT_PERMITTED.to_owned(), action: "permission:use", notices: Vec::new() }
}
