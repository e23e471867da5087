// A member's role by an admin: one JWT, two reads, one conditional update.
import { ConditionalCheckFailedException, DynamoDBClient, GetItemCommand, UpdateItemCommand } from "@aws-sdk/client-dynamodb";
import { errors, importJWK, jwtVerify } from "jose";

const { TABLE, ISSUER, AUDIENCE, JWK } = process.env;
const ROLES = { admin: "2", user: "3" };
const MANAGERS = new Set(["1", "2"]);

const client = new DynamoDBClient({});
const key = await importJWK(JSON.parse(JWK), "EdDSA");

export const handler = async (event) => {
  let claims;
  try {
    const token = event.headers.authorization?.replace(/^Bearer /i, "") ?? "";
    const options = { issuer: ISSUER, audience: AUDIENCE, algorithms: ["EdDSA"], requiredClaims: ["exp", "sub", "tid"] };
    claims = (await jwtVerify(token, key, options)).payload;
  } catch (error) {
    if (error instanceof errors.JOSEError) return answer(401, { message: "not signed in" });
    throw error;
  }
  const { tenantId, userId } = event.pathParameters;
  if (claims.tid !== tenantId) return answer(403, { message: "another tenant" });
  const { roleId } = JSON.parse(event.body);
  const role = Object.hasOwn(ROLES, roleId) ? ROLES[roleId] : undefined;
  if (!role) return answer(400, { message: "roleId: admin or user" });

  const [caller, member] = await Promise.all([read(tenantId, claims.sub), read(tenantId, userId)]);
  if (caller?.status.S !== "active" || !caller.roles.L.some(({ N }) => MANAGERS.has(N))) {
    return answer(403, { message: "not an admin" });
  }
  if (!member) return answer(404, { message: "no such member" });

  const updatedAt = new Date().toISOString();
  try {
    await client.send(new UpdateItemCommand({
      TableName: TABLE,
      Key: memberKey(tenantId, userId),
      UpdateExpression: "SET #roles = :roles, version = :next, updated_at = :now",
      ConditionExpression: "version = :version",
      ExpressionAttributeNames: { "#roles": "roles" },
      ExpressionAttributeValues: {
        ":roles": { L: [{ N: role }] },
        ":version": member.version,
        ":next": { N: String(Number(member.version.N) + 1) },
        ":now": { S: updatedAt },
      },
    }));
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return answer(409, { message: "changed meanwhile" });
    throw error;
  }
  return answer(200, { status: 200, data: { tenantId, userId, role: { name: roleId }, updatedAt } });
};

const read = async (tenant, user) => {
  const input = { TableName: TABLE, Key: memberKey(tenant, user), ConsistentRead: true };
  return (await client.send(new GetItemCommand(input))).Item;
};

// The number at the end of one of the product's UUIDs.
const number = (uuid) => parseInt(uuid.slice(-12), 16);

const memberKey = (tenant, user) => ({
  PK: { S: `TENANT#${number(tenant)}` },
  SK: { S: `MEMBER#${String(number(user)).padStart(10, "0")}` },
});

const answer = (statusCode, body) => ({
  statusCode,
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});
