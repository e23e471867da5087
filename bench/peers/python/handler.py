"""A member's role by an admin: one JWT, two reads, one conditional update."""

import json
import os
from datetime import datetime, timezone

import boto3
import jwt

TABLE, ISSUER, AUDIENCE = (os.environ[name] for name in ("TABLE", "ISSUER", "AUDIENCE"))
KEY = jwt.PyJWK.from_json(os.environ["JWK"])
ROLES = {"admin": "2", "user": "3"}
MANAGERS = {"1", "2"}

dynamodb = boto3.client("dynamodb")


def handler(event, context):
    try:
        token = event["headers"].get("authorization", "").removeprefix("Bearer ")
        claims = jwt.decode(
            token,
            KEY,
            algorithms=["EdDSA"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "iss", "aud", "sub", "tid"]},
        )
    except jwt.PyJWTError:
        return answer(401, {"message": "not signed in"})
    tenant, user = (event["pathParameters"][name] for name in ("tenantId", "userId"))
    if claims["tid"] != tenant:
        return answer(403, {"message": "another tenant"})
    name = json.loads(event["body"]).get("roleId")
    if name not in ROLES:
        return answer(400, {"message": "roleId: admin or user"})

    caller, member = read(tenant, claims["sub"]), read(tenant, user)
    if not is_manager(caller):
        return answer(403, {"message": "not an admin"})
    if not member:
        return answer(404, {"message": "no such member"})

    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    try:
        dynamodb.update_item(
            TableName=TABLE,
            Key=key(tenant, user),
            UpdateExpression="SET #roles = :roles, version = :next, updated_at = :now",
            ConditionExpression="version = :version",
            ExpressionAttributeNames={"#roles": "roles"},
            ExpressionAttributeValues={
                ":roles": {"L": [{"N": ROLES[name]}]},
                ":version": member["version"],
                ":next": {"N": str(int(member["version"]["N"]) + 1)},
                ":now": {"S": now},
            },
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return answer(409, {"message": "changed meanwhile"})
    data = {"tenantId": tenant, "userId": user, "role": {"name": name}, "updatedAt": now}
    return answer(200, {"status": 200, "data": data})


def read(tenant, user):
    return dynamodb.get_item(TableName=TABLE, Key=key(tenant, user), ConsistentRead=True).get("Item")


def is_manager(member):
    roles = member["roles"]["L"] if member and member["status"]["S"] == "active" else []
    return any(role["N"] in MANAGERS for role in roles)


def key(tenant, user):
    return {"PK": {"S": f"TENANT#{number(tenant)}"}, "SK": {"S": f"MEMBER#{number(user):010}"}}


def number(uuid):
    """The number at the end of one of the product's UUIDs."""
    return int(uuid[-12:], 16)


def answer(status, body):
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
