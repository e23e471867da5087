//! The actions on which the policies decide.

use std::collections::BTreeSet;

use super::around::Around;
use super::eval::Entity;
use super::format::{Record, Value};
use super::properties::Properties;
use super::value::{groups, long, record, string, strings};
use crate::id::GroupId;
use crate::member::Status;
use crate::sign_in::SignIn;
use crate::tenant::Inviters;

/// What somebody does to an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyDeed {
    Create,
    Read,
    Rotate,
    /// To make it the tenant's own.
    TakeOver,
    End,
}

/// An action of a member, on a member, on a role or on the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    CreateRole,
    /// With the names of the permissions that a holder can gain, and of those that are denied from now on; the new rank, and
    /// whether the name changes.
    UpdateRole {
        gains: BTreeSet<&'a str>,
        denials: BTreeSet<&'a str>,
        rank: u8,
        renames: bool,
    },
    /// With the name of the role that its holders get in its place and its own name, if it has holders; with the names of the
    /// permissions that they can gain by it, and of those that are denied from then on; and the rank of that other role.
    DeleteRole {
        adds: BTreeSet<&'a str>,
        removes: BTreeSet<&'a str>,
        gains: BTreeSet<&'a str>,
        denials: BTreeSet<&'a str>,
        rank: u8,
    },
    /// To make, change or delete a group; with the names of the roles that it confers from now on, and no more; of the permissions
    /// that a member of it can gain, and of those that are denied from now on; and the highest rank among the roles that it
    /// confers, before and after.
    ManageGroups {
        adds: BTreeSet<&'a str>,
        removes: BTreeSet<&'a str>,
        gains: BTreeSet<&'a str>,
        denials: BTreeSet<&'a str>,
        was: u8,
        rank: u8,
    },
    ManageLabels,
    /// To make, see, change, try out or delete a webhook.
    ManageWebhooks,
    /// With the names of the settings that the change mentions.
    UpdateTenant {
        settings: BTreeSet<&'static str>,
    },
    /// To delete the tenant, or to restore it.
    DeleteTenant,
    /// To make, see, change or delete an issuer that the tenant trusts; with whether all tenants of the deployment trust it.
    ManageIssuers {
        of_deployment: bool,
    },
    /// To see the tenant's own policies.
    ReadPolicies,
    /// To make, change, try or delete a policy of the tenant's own.
    ManagePolicies,
    /// To make, see or change an API key.
    Key(KeyDeed),
    /// To make a tenant of one's own.
    CreateTenant,
    /// To list the tenant's members, or those of a group.
    List(Option<GroupId>),
    /// To ask what a member may do.
    Check,
    /// To ask whether a token of the tenant is good.
    Introspect,
    /// To read the tenant's record.
    ReadEvents,
    /// To add an event of the product's own to the record.
    WriteEvents,
    /// To use a permission of the product that Rolecall serves; with what the asking service says of it.
    Use(&'a str, &'a Properties),
    Read,
    UpdateProfile,
    /// To change what identifies the member: the address and the external id.
    SetIdentity,
    SetMetadata,
    ReadSessions,
    EndSessions,
    /// To act as the member; with whether the tenant allows it.
    Impersonate {
        allowed: bool,
    },
    /// To sign in to the tenant; with the issuer who says who the member is, and with what it says of how they proved it.
    StartSession(&'a SignIn),
    /// To make somebody a member, or a member again; with the tenant's setting of who may.
    Invite(Inviters),
    Remove,
    AssignRole {
        adds: BTreeSet<&'a str>,
        removes: BTreeSet<&'a str>,
        rank: u8,
        gains: BTreeSet<&'a str>,
    },
    SetStatus(Status),
    SetGroups {
        joins: BTreeSet<GroupId>,
        leaves: BTreeSet<GroupId>,
        manages: BTreeSet<GroupId>,
        /// The names of the roles that the groups confer.
        adds: BTreeSet<&'a str>,
        removes: BTreeSet<&'a str>,
        rank: u8,
        gains: BTreeSet<&'a str>,
    },
}

impl Action<'_> {
    /// To manage a group that confers nothing, before and after.
    pub(crate) fn nothing_of_groups() -> Self {
        let none = BTreeSet::new;
        Action::ManageGroups { adds: none(), removes: none(), gains: none(), denials: none(), was: 0, rank: 0 }
    }

    /// The name of the action, and of the permission that allows it. The permission `member:read` allows to list, too.
    pub fn name(&self) -> &'static str {
        match self {
            Action::CreateRole => "role:create",
            Action::UpdateRole { .. } => "role:update",
            Action::DeleteRole { .. } => "role:delete",
            Action::ManageGroups { .. } => "group:manage",
            Action::ManageLabels => "label:manage",
            Action::ManageWebhooks => "webhook:manage",
            Action::UpdateTenant { .. } => "tenant:update",
            Action::DeleteTenant => "tenant:delete",
            Action::ManageIssuers { .. } => "issuer:manage",
            Action::ReadPolicies => "policy:read",
            Action::ManagePolicies => "policy:manage",
            Action::Key(KeyDeed::Create) => "key:create",
            Action::Key(KeyDeed::Read) => "key:read",
            Action::Key(KeyDeed::Rotate) => "key:rotate",
            Action::Key(KeyDeed::TakeOver) => "key:take-over",
            Action::Key(KeyDeed::End) => "key:end",
            Action::CreateTenant => "tenant:create",
            Action::List(_) => "tenant:list-members",
            Action::Check => "decision:check",
            Action::Introspect => "session:introspect",
            Action::ReadEvents => "event:read",
            Action::WriteEvents => "event:write",
            Action::Use(..) => "permission:use",
            Action::Read => "member:read",
            Action::UpdateProfile => "member:update-profile",
            Action::SetIdentity => "member:set-identity",
            Action::SetMetadata => "member:set-metadata",
            Action::ReadSessions => "member:read-sessions",
            Action::EndSessions => "member:end-sessions",
            Action::Impersonate { .. } => "member:impersonate",
            Action::StartSession(_) => "tenant:sign-in",
            Action::Invite(_) => "member:invite",
            Action::Remove => "member:remove",
            Action::AssignRole { .. } => "member:assign-role",
            Action::SetStatus(_) => "member:set-status",
            Action::SetGroups { .. } => "member:set-groups",
        }
    }

    /// Whether it is about the rights of a member or of an API key, even if these stay the same.
    pub fn is_of_authority(&self) -> bool {
        matches!(
            self,
            Action::AssignRole { .. }
                | Action::SetStatus(_)
                | Action::SetGroups { .. }
                | Action::SetIdentity
                | Action::Invite(_)
                | Action::Remove
                | Action::EndSessions
                | Action::Key(_)
        )
    }

    /// Whether it is about the tenant's rules.
    pub fn is_of_rules(&self) -> bool {
        matches!(
            self,
            Action::CreateRole
                | Action::UpdateRole { .. }
                | Action::DeleteRole { .. }
                | Action::ManageGroups { .. }
                | Action::ManageLabels
                | Action::ManageWebhooks
                | Action::UpdateTenant { .. }
                | Action::DeleteTenant
                | Action::ManageIssuers { .. }
                | Action::ManagePolicies
                | Action::Key(KeyDeed::Create | KeyDeed::End)
        )
    }

    /// The entities to which the context refers.
    pub fn entities(&self) -> Vec<Entity> {
        match self {
            Action::Use(_, properties) => properties.entities(),
            _ => Vec::new(),
        }
    }

    /// The context of the action, which policies read.
    pub fn context(&self, around: Around) -> Record {
        let mut pairs = vec![("dialect", string(around.dialect)), ("now", around.time())];
        match self {
            Action::CreateRole | Action::ManageLabels | Action::ManageWebhooks => {}
            Action::Read | Action::UpdateProfile => {}
            Action::ReadPolicies | Action::ManagePolicies => {}
            Action::DeleteTenant | Action::CreateTenant | Action::Check | Action::Introspect | Action::Key(_) => {}
            Action::ManageIssuers { of_deployment } => pairs.push(("ofDeployment", Value::Bool(*of_deployment))),
            Action::Use(permission, properties) => {
                pairs.push(("permission", string(permission)));
                pairs.extend(properties.context());
            }
            Action::UpdateTenant { settings } => pairs.push(("settings", strings(settings.iter().copied()))),
            Action::UpdateRole { gains, denials, rank, renames } => pairs.extend([
                ("gains", strings(gains.iter().copied())),
                ("denials", strings(denials.iter().copied())),
                ("rank", long(*rank)),
                ("renames", Value::Bool(*renames)),
            ]),
            Action::DeleteRole { adds, removes, gains, denials, rank } => pairs.extend([
                ("adds", strings(adds.iter().copied())),
                ("removes", strings(removes.iter().copied())),
                ("gains", strings(gains.iter().copied())),
                ("denials", strings(denials.iter().copied())),
                ("rank", long(*rank)),
            ]),
            Action::ManageGroups { adds, removes, gains, denials, was, rank } => pairs.extend([
                ("adds", strings(adds.iter().copied())),
                ("removes", strings(removes.iter().copied())),
                ("gains", strings(gains.iter().copied())),
                ("denials", strings(denials.iter().copied())),
                ("was", long(*was)),
                ("rank", long(*rank)),
            ]),
            Action::SetIdentity | Action::SetMetadata | Action::Remove => {}
            Action::ReadEvents | Action::WriteEvents => {}
            Action::ReadSessions | Action::EndSessions => {}
            Action::Impersonate { allowed } => pairs.push(("allowed", Value::Bool(*allowed))),
            Action::StartSession(SignIn { issuer, acr, amr, .. }) => {
                pairs.extend([("issuer", string(issuer)), ("amr", strings(amr.iter().map(String::as_str)))]);
                pairs.extend(acr.as_ref().map(|acr| ("acr", string(acr))));
            }
            Action::Invite(inviters) => pairs.push(("inviters", string(inviters.as_str()))),
            Action::List(group) => pairs.push(("groups", groups(group))),
            Action::AssignRole { adds, removes, rank, gains } => pairs.extend([
                ("adds", strings(adds.iter().copied())),
                ("removes", strings(removes.iter().copied())),
                ("rank", long(*rank)),
                ("gains", strings(gains.iter().copied())),
            ]),
            Action::SetStatus(status) => pairs.push(("status", string(status.as_str()))),
            Action::SetGroups { joins, leaves, manages, adds, removes, rank, gains } => pairs.extend([
                ("joins", groups(joins)),
                ("leaves", groups(leaves)),
                ("manages", groups(manages)),
                ("adds", strings(adds.iter().copied())),
                ("removes", strings(removes.iter().copied())),
                ("rank", long(*rank)),
                ("gains", strings(gains.iter().copied())),
            ]),
        }
        record(pairs)
    }
}
