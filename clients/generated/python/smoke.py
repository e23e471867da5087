"""Calls each operation through the client that openapi-python-client generates, as a user of it would.

clients/generated/run runs it. It stops at the first wrong answer.
"""

from os import environ
from uuid import UUID

from rolecall_client import AuthenticatedClient
from rolecall_client.api.directory import directory_update_user
from rolecall_client.api.membership import membership_update_user
from rolecall_client.api.organization import organization_assign_role
from rolecall_client.api.tenant import tenant_update_user_role
from rolecall_client.api.users import roles_write, roles_delete, users_get, users_update
from rolecall_client.models import (
    DirectoryUpdateUserVersion,
    DTOReference,
    DTOResponseWrap,
    DTOTenantUserStatus,
    DTOTenantUserUpdate,
    HTTPValidationError,
    MemberStatus,
    Role,
    RoleCreation,
    RoleCreationPermission,
    TenantUserRoleResponse,
    TenantUserRoleUpdate,
    User,
    UserOrganizationResponse,
    UserOrganizationRole,
    UserOrganizationRoleAssignment,
    UserOrganizationScope,
    UserOrganizationUpdate,
    UserOrganizationUpdateScope,
    UsersFailure,
    UserUpdate,
)

TENANT = UUID("726f6c65-6361-8001-8000-000000000001")
MEMBER = UUID("726f6c65-6361-8002-8000-000000000003")
ROLE = UUID("726f6c65-6361-8004-8000-000000000003")

url, access, session = environ["URL"], environ["ACCESS"], environ["SESSION"]
bearer = AuthenticatedClient(base_url=url, token=access)
tokens = AuthenticatedClient(base_url=url, token=access, headers={"x-session-token": session})
# The client has one header for credentials, and lets us choose its name.
cookie = AuthenticatedClient(base_url=url, token=f"session={session}", prefix="", auth_header_name="Cookie")

directory = directory_update_user.sync(
    "acme",
    DirectoryUpdateUserVersion.V1,
    3,
    client=bearer,
    body=DTOTenantUserUpdate(groups=[DTOReference(id=1), DTOReference(id=2)], role="USER", status="ACTIVE"),
)
assert isinstance(directory, DTOResponseWrap), directory
assert directory.data.id == 3, directory
assert directory.data.tenant_user.status is DTOTenantUserStatus.ACTIVE, directory
assert [group.id for group in directory.data.tenant_user.groups] == [1, 2], directory

tenant = tenant_update_user_role.sync("acme", "3", client=bearer, body=TenantUserRoleUpdate(role_id="user"))
assert isinstance(tenant, TenantUserRoleResponse), tenant
assert tenant.data.user_id == MEMBER, tenant
assert tenant.data.role is not None and tenant.data.role.name == "user", tenant

user = users_update.sync(
    MEMBER, client=bearer, x_tenant_id=str(TENANT), body=UserUpdate(name="Uma Newname", roles=["user"])
)
assert isinstance(user, User), user
assert user.name == "Uma Newname", user
assert user.status is MemberStatus.ACTIVE, user
assert user.roles == ["user"], user
assert user.created_at <= user.updated_at, user

shown = users_get.sync(MEMBER, client=bearer, x_tenant_id=str(TENANT))
assert isinstance(shown, User), shown
assert shown.name == "Uma Newname", shown

role = roles_write.sync(
    client=bearer,
    x_tenant_id=str(TENANT),
    body=RoleCreation(name="Made by Python", permissions=[RoleCreationPermission(name="member:read")]),
)
assert isinstance(role, Role), role
assert role.permissions[0].access is True, role
gone = roles_delete.sync_detailed(role.id, client=bearer, x_tenant_id=str(TENANT))
assert gone.status_code == 204, gone

membership = membership_update_user.sync(
    3,
    client=tokens,
    body=UserOrganizationUpdate(
        first_name="John", last_name="Doe", profession_id=1, scope=UserOrganizationUpdateScope.MEMBER
    ),
)
assert isinstance(membership, UserOrganizationResponse), membership
assert membership.data.user_id == 3, membership
assert membership.data.scope is UserOrganizationScope.MEMBER, membership

for client in (bearer, cookie):
    organization = organization_assign_role.sync(
        str(TENANT),
        client=client,
        body=UserOrganizationRoleAssignment(user_id=str(MEMBER), organization_id=TENANT, role_id=ROLE),
    )
    assert isinstance(organization, UserOrganizationRole), organization
    assert organization.user_id == MEMBER, organization
    assert organization.role is not None and organization.role.id == ROLE, organization

unknown = users_update.sync_detailed(TENANT, client=bearer, x_tenant_id=str(TENANT), body=UserUpdate(name="Nobody"))
assert unknown.status_code == 404, unknown
assert isinstance(unknown.parsed, UsersFailure), unknown
assert unknown.parsed.code == "not_found", unknown
assert unknown.parsed.notices == [], unknown

invalid = organization_assign_role.sync_detailed(
    str(TENANT),
    client=bearer,
    body=UserOrganizationRoleAssignment(user_id="", organization_id=TENANT, role_id=ROLE),
)
assert invalid.status_code == 422, invalid
assert isinstance(invalid.parsed, HTTPValidationError), invalid
assert invalid.parsed.detail[0].loc == ["body", "user_id"], invalid
