//! Answers about what is no member: roles, groups, labels, permissions and tenants; and the pages of all lists.

use std::collections::BTreeSet;

use domain::id::TenantId;
use domain::tenant::{Acceptance, Inviters};
use domain::{Catalog, Member, Metadata, Origin, Record, Status, Time};
use serde::Serialize;
use uuid::Uuid;

use super::{ListedUser, User};
use crate::gate::View;
use crate::gate::list::{OwnTenant, Shown};

/// A role.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Role<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// 1 or 2; 3 for `owner`. A member of a lower rank can neither give the role nor change a member who holds it.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 3)))]
    pub rank: u8,
    pub permissions: Vec<Permission<'a>>,
    pub is_built_in: bool,
    /// Whether new members get it, if the request names no role. Without such a role they get `user`.
    pub is_default: bool,
    /// Texts of your own, by your own keys.
    pub metadata: &'a Metadata,
    /// The role's id in another system.
    pub external_id: Option<&'a str>,
    /// Null for a built-in role.
    pub created_at: Option<Time>,
    pub updated_at: Option<Time>,
    /// Raised by one with every change; the `etag`. A built-in role stays at 1.
    pub version: u64,
}

/// A permission that a role grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "RolePermission"))]
pub struct Permission<'a> {
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// `false` for a permission that the role denies: a denial wins over every grant.
    pub access: bool,
}

impl<'a> Role<'a> {
    pub fn new(role: &'a domain::Role, tenant: TenantId) -> Self {
        let (created_at, updated_at) = role.times().unzip();
        let permissions = role.permissions.iter().map(|it| Permission {
            name: &it.name,
            description: it.description.as_deref(),
            access: it.access,
        });
        Self {
            id: role.id.uuid_in(tenant),
            number: role.id.number(),
            name: &role.name,
            description: role.description.as_deref(),
            rank: role.rank,
            permissions: permissions.collect(),
            is_built_in: role.is_built_in(),
            is_default: role.default,
            metadata: &role.metadata,
            external_id: role.external_id.as_deref(),
            created_at,
            updated_at,
            version: role.shown_version(),
        }
    }
}

/// A group.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Group"))]
pub struct ShownGroup<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// Names of the roles that each member has as long as they are in the group.
    pub confers: Vec<&'a str>,
    /// Texts of your own, by your own keys.
    pub metadata: &'a Metadata,
    /// The group's id in another system.
    pub external_id: Option<&'a str>,
    pub created_at: Time,
    pub updated_at: Time,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownGroup<'a> {
    pub fn new(shown: &Shown<'a, domain::Group>) -> Self {
        let Shown { tenant, catalog, thing: group } = *shown;
        Self {
            id: group.id.uuid_in(tenant.id),
            number: group.id.number(),
            name: &group.name,
            description: group.description.as_deref(),
            confers: catalog.roles(&group.confers).map(|role| role.name.as_str()).collect(),
            metadata: &group.metadata,
            external_id: group.external_id.as_deref(),
            created_at: group.meta.created_at,
            updated_at: group.meta.updated_at,
            version: shown.version(),
        }
    }
}

/// A label: a profession.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Label<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub name: &'a str,
    pub created_at: Time,
    pub updated_at: Time,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> Label<'a> {
    pub fn new(shown: &Shown<'a, domain::Label>) -> Self {
        let Shown { tenant, thing: label, .. } = *shown;
        Self {
            id: label.id.uuid_in(tenant.id),
            number: label.id.number(),
            name: &label.name,
            created_at: label.meta.created_at,
            updated_at: label.meta.updated_at,
            version: shown.version(),
        }
    }
}

/// A tenant.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Tenant<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub slug: &'a str,
    pub name: &'a str,
    /// Texts of your own, by your own keys.
    pub metadata: &'a Metadata,
    /// The tenant's id in another system.
    pub external_id: Option<&'a str>,
    pub settings: Settings<'a>,
    /// How many active members are owners.
    pub owners: u32,
    /// How many members take a seat. Null without a limit, and until they are counted.
    pub seats_taken: Option<i64>,
    pub created_at: Time,
    pub updated_at: Time,
    /// The time of the deletion. Nobody can act in a deleted tenant, and an owner can restore it for 30 days.
    pub deleted_at: Option<Time>,
    /// Raised by one with every change of these attributes, but for `owners` and `seats_taken`; the `etag`.
    pub version: u64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "TenantSettings"))]
pub struct Settings<'a> {
    /// The domains of the addresses that members may have. If there is none, members may have any address.
    pub allowed_domains: &'a BTreeSet<String>,
    /// Who may invite, of those who have the permission: all of them, members of rank 2 or higher, or owners.
    pub inviters: Inviters,
    /// Who may accept an invitation: everybody who has its secret, or whose identity provider has verified their address, too.
    pub acceptance: Acceptance,
    /// The most members who take a seat. Invited members take one, deactivated members take none. Null for no limit.
    pub seats: Option<u32>,
    /// How old a token may be, in seconds. Null for as long as the token says.
    pub session_seconds: Option<u32>,
    /// Whether members may act as others, of those who have the permission.
    pub impersonation: bool,
    /// For how many days events are kept. Null for good.
    pub retention_days: Option<u32>,
    /// Whether a look at the record is on record, too.
    pub record_reads: bool,
}

impl<'a> Tenant<'a> {
    pub fn new(tenant: &'a domain::Tenant) -> Self {
        Self {
            id: tenant.id.uuid(),
            number: tenant.id.number(),
            slug: &tenant.slug,
            name: &tenant.name,
            metadata: &tenant.metadata,
            external_id: tenant.external_id.as_deref(),
            settings: Settings {
                allowed_domains: &tenant.settings.allowed_domains,
                inviters: tenant.settings.inviters,
                acceptance: tenant.settings.acceptance,
                seats: tenant.settings.seats,
                session_seconds: tenant.settings.session_seconds,
                impersonation: tenant.settings.impersonation,
                retention_days: tenant.settings.retention_days,
                record_reads: tenant.settings.record_reads,
            },
            owners: tenant.owners,
            seats_taken: tenant.seats_counted(),
            created_at: tenant.meta.created_at,
            updated_at: tenant.meta.updated_at,
            deleted_at: tenant.deleted_at,
            version: tenant.meta.version,
        }
    }
}

/// A tenant in which the caller is a member.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MyTenant<'a> {
    pub id: Uuid,
    /// The id as the number that some dialects use.
    pub number: u32,
    pub slug: &'a str,
    pub name: &'a str,
    /// Names of the roles that the caller was given there.
    pub roles: &'a [String],
    pub is_owner: bool,
    pub status: Status,
}

impl<'a> MyTenant<'a> {
    pub fn new(own: &'a OwnTenant) -> Self {
        let OwnTenant { tenant, member, roles } = own;
        Self {
            id: tenant.id.uuid(),
            number: tenant.id.number(),
            slug: &tenant.slug,
            name: &tenant.name,
            roles,
            is_owner: member.is_owner(),
            status: member.status,
        }
    }
}

/// A page of the tenants in which the caller is a member, in the order of their numbers.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MyTenants<'a> {
    pub data: Vec<MyTenant<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// The former owner and the new one, after a transfer of ownership.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Transfer<'a> {
    pub owner: User<'a>,
    pub former_owner: User<'a>,
}

/// A page of groups, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Groups<'a> {
    pub data: Vec<ShownGroup<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// A page of labels, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Labels<'a> {
    pub data: Vec<Label<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// A page of members.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Users<'a> {
    pub data: Vec<ListedUser<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// A page of roles, in the order of their numbers.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Roles<'a> {
    pub data: Vec<Role<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A page of permissions, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Permissions<'a> {
    pub data: Vec<NamedPermission<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A permission that a role of the tenant grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NamedPermission<'a> {
    pub name: &'a str,
    /// The description of the first role that describes it.
    pub description: Option<&'a str>,
    /// Whether it is one of the product's own.
    pub is_built_in: bool,
}

/// A page of the permissions that a member's roles grant or deny, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserPermissions<'a> {
    pub data: Vec<UserPermission<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A permission that a role of the member grants or denies.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct UserPermission<'a> {
    pub name: &'a str,
    /// Whether the member holds it: a denial wins over every grant.
    pub is_effective: bool,
    /// Names of the member's roles that grant it, by its name or by `*`.
    pub granted_by: Vec<&'a str>,
    /// Names of the member's roles that deny it, by its name or by `*`.
    pub denied_by: Vec<&'a str>,
    /// Those of these roles that a group confers, and the groups.
    pub conferred_by: Vec<ConferredRole<'a>>,
}

/// A role that a member has by a group.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConferredRole<'a> {
    pub role: &'a str,
    /// UUIDs of the groups.
    pub groups: Vec<Uuid>,
}

impl<'a> UserPermission<'a> {
    pub fn new(origin: &Origin<'a>, view: &View<'a>) -> Self {
        let names = |roles: &[&'a domain::Role]| roles.iter().map(|role| role.name.as_str()).collect();
        Self {
            name: origin.permission,
            is_effective: origin.is_effective(),
            granted_by: names(&origin.granted_by),
            denied_by: names(&origin.denied_by),
            conferred_by: conferred(origin, view.member, view.catalog),
        }
    }
}

/// Those roles by which a member has or lacks a permission that they have by a group.
pub fn conferred<'a>(origin: &Origin<'a>, member: &Member, catalog: &Catalog) -> Vec<ConferredRole<'a>> {
    let conferred = |role: &&'a domain::Role| {
        let groups = catalog
            .standings()
            .filter(|(id, it)| member.groups.contains(id) && !it.retiring && it.confers.contains(&role.id));
        let groups: Vec<Uuid> = groups.map(|(id, _)| id.uuid_in(member.tenant)).collect();
        (!groups.is_empty()).then_some(ConferredRole { role: &role.name, groups })
    };
    origin.granted_by.iter().chain(&origin.denied_by).filter_map(conferred).collect()
}
