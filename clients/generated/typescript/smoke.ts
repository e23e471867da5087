// Calls each operation through the client that @hey-api/openapi-ts generates, as a user of it would; clients/generated/run
// runs it. It stops at the first wrong answer.
import assert from "node:assert/strict";
import { createClient, type Auth } from "./client/client/index.js";
import {
  directoryUpdateUser,
  membershipUpdateUser,
  organizationAssignRole,
  rolesWrite,
  rolesDelete,
  tenantUpdateUserRole,
  usersGet,
  usersUpdate,
} from "./client/index.js";

const TENANT = "726f6c65-6361-8001-8000-000000000001";
const MEMBER = "726f6c65-6361-8002-8000-000000000003";
const ROLE = "726f6c65-6361-8004-8000-000000000003";

function given(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is not given: start clients/generated/run instead`);
  return value;
}

// What a 200 holds.
function done<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.equal(answer.response.status, 200, JSON.stringify(answer.error));
  assert.ok(answer.data !== undefined);
  return answer.data;
}

const baseUrl = given("URL");
const access = given("ACCESS");
const session = given("SESSION");
const tokens = createClient({ baseUrl, auth: (wanted: Auth) => (wanted.scheme === "bearer" ? access : session) });
const bearer = createClient({ baseUrl, auth: (wanted: Auth) => (wanted.scheme === "bearer" ? access : undefined) });
const cookie = createClient({ baseUrl, auth: (wanted: Auth) => (wanted.in === "cookie" ? session : undefined) });

const directory = done(
  await directoryUpdateUser({
    client: bearer,
    path: { tenant: "acme", version: "v1", id: 3 },
    body: { groups: [{ id: 1 }, { id: 2 }], role: 3, status: 1 },
  }),
);
assert.equal(directory.data.id, 3);
assert.equal(directory.data.tenant_user.status, 1);
assert.deepEqual(directory.data.tenant_user.groups.map((group) => group.id), [1, 2]);

const tenant = done(
  await tenantUpdateUserRole({ client: bearer, path: { tenantId: "acme", userId: "3" }, body: { roleId: "user" } }),
);
assert.equal(tenant.data.userId, MEMBER);
assert.equal(tenant.data.role?.name, "user");

const users = done(
  await usersUpdate({
    client: bearer,
    path: { id: MEMBER },
    headers: { "X-Tenant-ID": TENANT },
    body: { name: "Uma Newname", roles: ["user"] },
  }),
);
assert.equal(users.name, "Uma Newname");
assert.equal(users.status, "active");
assert.deepEqual(users.roles, ["user"]);

const headers = { "X-Tenant-ID": TENANT };
const shown = done(await usersGet({ client: bearer, path: { id: MEMBER }, headers }));
assert.equal(shown.name, "Uma Newname");
const me = done(await usersGet({ client: bearer, path: { id: "me" }, headers }));
assert.equal(me.email, "owner@acme.example");

const role = await rolesWrite({
  client: bearer,
  headers,
  body: { name: "Made by TypeScript", permissions: [{ name: "member:read" }] },
});
assert.equal(role.response.status, 201, JSON.stringify(role.error));
assert.equal(role.data?.permissions[0]?.access, true);
const gone = await rolesDelete({ client: bearer, headers, path: { id: role.data?.id ?? "" } });
assert.equal(gone.response.status, 204, JSON.stringify(gone.error));

const membership = done(
  await membershipUpdateUser({
    client: tokens,
    path: { userId: 3 },
    body: { firstName: "John", lastName: "Doe", professionId: 1, scope: 2 },
  }),
);
assert.equal(membership.data.userId, 3);
assert.equal(membership.data.scope, 2);

for (const client of [bearer, cookie]) {
  const organization = done(
    await organizationAssignRole({
      client,
      path: { organization_id: TENANT },
      body: { user_id: MEMBER, organization_id: TENANT, role_id: ROLE },
    }),
  );
  assert.equal(organization.user_id, MEMBER);
  assert.equal(organization.role?.id, ROLE);
}

const unknown = await usersUpdate({
  client: bearer,
  path: { id: TENANT },
  headers: { "X-Tenant-ID": TENANT },
  body: { name: "Nobody" },
});
assert.equal(unknown.response.status, 404);
assert.ok(unknown.error && "code" in unknown.error);
assert.equal(unknown.error.code, "not_found");
assert.deepEqual(unknown.error.notices, []);

const invalid = await organizationAssignRole({
  client: bearer,
  path: { organization_id: TENANT },
  body: { user_id: "", organization_id: TENANT, role_id: ROLE },
});
assert.equal(invalid.response.status, 422);
assert.ok(invalid.error && "detail" in invalid.error && typeof invalid.error.detail !== "string");
assert.deepEqual(invalid.error.detail[0]?.loc, ["body", "user_id"]);
