"""The checks that schemathesis.toml cannot express. `run` beside this file uses them."""

import collections
import itertools
import json
import os
import re
import subprocess

import requests
import schemathesis

URL = os.environ["PROPERTIES_URL"]
with open(os.environ["PROPERTIES_CALLERS"]) as file:
    CALLERS = {
        caller["name"]: {header["name"]: header["value"] for header in caller["fixedHeaders"]}
        for caller in json.load(file)["auth"]
    }
ADMIN = CALLERS["admin"]
# For our own calls, beside those of schemathesis.
session = requests.Session()
session.trust_env = False
calls = itertools.count()
# Of their own, since `calls` can count twice for each of these calls.
turns = itertools.count()


ORGANIZATION = "/api/v1/organizations/{organization_id}"
THINGS = ("users", "roles", "groups", "labels", "tenants", "issuers", "api-keys")
THINGS += ("events", "invitations", "policies", "webhooks", "domains")
CREATIONS = {f"POST /v1/{things}" for things in THINGS}
CREATIONS |= {f"PUT {ORGANIZATION}/users"} | {f"POST /v1/users/{what}" for what in ("batch", "import", "export")}
CREATIONS |= {"POST /api/{tenant}/{version}/user_invites/create_v2", "POST /v1/users/{id}/impersonate", "POST /v1/events/export"}
# A member whom the run restores, again and again.
REMOVED = "726f6c65-6361-8002-8000-000000000005"
# The caller, who must stay.
SELF = ("me", "2", "726f6c65-6361-8002-8000-000000000002")
# The operations that remove members, and the parameter that names one.
REMOVALS = {"DELETE /v1/users/{id}": "id", f"DELETE {ORGANIZATION}/users/{{user_id}}": "user_id"}


# Operations that give tokens, and a request that they take: it prolongs a session of the caller.
TOKENS = {"POST /v1/sessions", "POST /oauth/token"}
# It takes a secret that was sent to somebody, and a token of an identity provider.
ACCEPTANCE = "POST /v1/invitations/accept"
# It takes such a token, too.
JOINING = "POST /v1/join-requests"
PROLONGING = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token": ADMIN["x-session-token"],
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "audience": "acme",
}
# The member whose sessions the run may end.
USER = "726f6c65-6361-8002-8000-000000000003"
# Operations that can deactivate a member, and so end the member's sessions.
DEACTIVATIONS = {"PATCH /v1/users/{id}", "PUT /api/{tenant}/{version}/users/{id}"}


def users_session():
    """A session that the run may end. Other calls end all sessions of the member, so a new one begins if none is left."""
    shown = f"/v1/sessions?user={USER}"
    if not of_owner("GET", shown).json()["sessions"]:
        of_owner("PATCH", f"/v1/users/{USER}", {"status": "active"})
        subprocess.run(json.loads(os.environ["PROPERTIES_SESSION"]), check=True, stdout=subprocess.DEVNULL)
    return of_owner("GET", shown).json()["sessions"][0]["id"]


def spare_the_callers_sessions(case):
    """Without them, each further answer would be 401."""
    label, path = case.operation.label, case.path_parameters or {}
    if label == "DELETE /v1/users/{id}/sessions" and str(path.get("id")).lower() in SELF:
        path["id"] = USER
    if label == "DELETE /v1/sessions/{id}" and path.get("id") == "current":
        path["id"] = users_session()
        case.query["user"] = USER
    if label in DEACTIVATIONS and str(path.get("id")).lower() in SELF and isinstance(case.body, dict):
        case.body.pop("status", None)


def is_known(user):
    """Whether it is the UUID of a user, such as those of the demo."""
    return str(user).lower().startswith("726f6c65-6361-8002-8000-")


def entries(case):
    """The users whom a call removes by a list."""
    is_list = case.operation.label == f"PUT {ORGANIZATION}/users/remove" and isinstance(case.body, list)
    return [entry for entry in case.body if isinstance(entry, dict)] if is_list else []


def changes(case):
    """The changes of a batch."""
    is_batch = case.operation.label == "POST /v1/users/batch" and isinstance(case.body, dict)
    found = case.body.get("changes") if is_batch else None
    return [change for change in found if isinstance(change, dict)] if isinstance(found, list) else []


def of_owner(method, path, body=None):
    headers = {**CALLERS["owner"], "X-Tenant-ID": "726f6c65-6361-8001-8000-000000000001"}
    return session.request(method, URL + path, json=body, headers=headers, timeout=30)


def is_of_owner(case):
    """Only an owner may manage issuers and policies, claim domains, and take over API keys, so the owner makes these calls."""
    return case.operation.path.startswith(("/v1/issuers", "/v1/api-keys", "/v1/policies", "/v1/domains"))


# The operations that take Cedar text, and a text that they take: it forbids nothing that the run does.
POLICIES = {"POST /v1/policies", "PUT /v1/policies/{id}", "POST /v1/policies/dry-run"}
CEDAR = 'forbid (principal, action == Action::"label:manage", resource) when { principal.rank > 3 };'


@schemathesis.hook
def before_call(context, case, kwargs):
    make = SPARED.get(case.operation.label)
    if make and str((case.path_parameters or {}).get("id")).lower() in DEMO:
        case.path_parameters["id"] = make()
    name = REMOVALS.get(case.operation.label)
    if name and str(case.path_parameters.get(name)).lower() in SELF:
        case.path_parameters[name] = REMOVED
    if name == "id" and case.query.get("erase") == "true" and is_known(case.path_parameters["id"]):
        # Nobody comes back from it, so it gets somebody whom no other call needs.
        case.path_parameters["id"] = invited()
    spare_the_callers_sessions(case)
    if case.operation.label in TOKENS and case.meta.generation.mode.name == "POSITIVE" and next(calls) % 2:
        case.body = dict(PROLONGING)
    if case.operation.label in POLICIES and case.meta.generation.mode.name == "POSITIVE" and next(turns) % 2:
        case.body["text"] = CEDAR
    if case.operation.label in NEEDS_MORE and case.meta.generation.mode.name == "POSITIVE" and next(turns) % 2:
        NEEDS_MORE[case.operation.label](case)
    for entry in entries(case):
        if str(entry.get("user_id")).lower() in SELF:
            entry["user_id"] = REMOVED
    for change in changes(case):
        if str(change.get("id")).lower() in SELF:
            change["id"] = REMOVED
    if case.operation.label == "POST /v1/users/{id}/restore":
        of_owner("DELETE", f"/v1/users/{REMOVED}")
    # If the credential is under test, the call must stay as it is.
    if any(case.headers.get(name) != value for name, value in ADMIN.items()):
        return
    if is_of_owner(case):
        case.headers["Authorization"] = CALLERS["owner"]["Authorization"]
    call = next(calls)
    # A new thing has no version: with `If-Match`, the answer is 412. An example is spared that: few other calls are as good.
    is_spared = call % 8 or case.meta.phase.name == "examples"
    if case.method.upper() == case.operation.method.upper() and case.operation.label in CREATIONS and is_spared:
        case.headers.pop("If-Match", None)
    # An approval is good for one request. Of others, the answer is 400.
    if re.fullmatch(r"[!-~]{1,4096}", case.headers.get("X-Approval", "")):
        case.headers.pop("X-Approval")
    # If a session cookie may stand for the bearer, every other call has the cookie.
    if {"sessionCookie": []} in case.operation.definition.raw.get("security", []) and call % 2:
        del case.headers["Authorization"]
        case.cookies["session"] = ADMIN["x-session-token"]
    # The shortest keys come again and again. With the same key and another request, each answer would be 422.
    key = case.headers.get("Idempotency-Key", "")
    if len(key) == 1 and "!" <= key <= "~":
        case.headers["Idempotency-Key"] = f"{key}{call}"


@schemathesis.hook
def after_call(context, case, response):
    """Undoes what would end the run.

    A call can make the admin a user, or deactivate them: at the first 403 after that, the owner undoes it. A call can remove a
    member, or let the tenant take few addresses: the owner undoes it at once.
    """
    if succeeded(response, case):
        removed = [case.path_parameters[REMOVALS[case.operation.label]]] if case.operation.label in REMOVALS else []
        removed += [entry.get("user_id") for entry in entries(case)]
        removed += [change.get("id") for change in changes(case) if change.get("method") == "remove"]
        for user in removed:
            uuid = f"726f6c65-6361-8002-8000-{int(user):012x}" if str(user).isdigit() else user
            of_owner("POST", f"/v1/users/{uuid}/restore")
    if succeeded(response, case) and case.operation.label == "POST /v1/issuers":
        # A tenant can have 20.
        of_owner("DELETE", f"/v1/issuers/{response.json()['id']}")
    if succeeded(response, case) and case.operation.label == "POST /v1/api-keys":
        # A tenant can have 250.
        of_owner("DELETE", f"/v1/api-keys/{response.json()['id']}")
    if succeeded(response, case) and case.operation.label == "POST /v1/webhooks":
        # A tenant can have 20.
        of_owner("DELETE", f"/v1/webhooks/{response.json()['id']}")
    if succeeded(response, case) and case.operation.label == "PATCH /v1/webhooks/{id}":
        # Nobody waits for a host that does not exist.
        of_owner("PATCH", f"/v1/webhooks/{response.json()['id']}", {"status": "disabled"})
    if succeeded(response, case) and case.operation.label == "POST /v1/domains":
        # A tenant can have 50.
        of_owner("DELETE", f"/v1/domains/{response.json()['id']}")
    if succeeded(response, case) and case.operation.label == "POST /v1/policies":
        # A tenant can have 100.
        of_owner("DELETE", f"/v1/policies/{response.json()['id']}")
    if succeeded(response, case) and case.operation.label == "PATCH /v1/tenant":
        of_owner("PATCH", "/v1/tenant", {"settings": {"allowed_domains": []}})
    if response.status_code == 403:
        restored = session.put(
            f"{URL}/api/acme/v1/users/2", json={"role": 2, "status": 1}, headers=CALLERS["owner"], timeout=30
        )
        assert restored.status_code == 200, f"the owner cannot make the caller an admin again: {restored.text}"


# Rules that a schema cannot express. The messages are those of `shared/domain/src/problem.rs`.
OF_NO_SCHEMA = (
    "unknown or repeated ",
    "a name that is neither a number nor a UUID",
    "a name that is listed only once",
    "invisible characters",
    "there can be at most ",
    "must be a network such as ",
    "a group that is listed only once",
    "an address that is listed only once",
    "anybody can get an address at this one",
    "the name of a domain with at least one dot",
    # A form with a list.
    "must be given at most once",
    "groups of which one at most is primary",
    "left out beside `first_name` or `last_name`",
    "left out beside `email`",
    "the tenant does not take members with addresses of this domain",
    "at least one role is required",
    "must be the id of a user who was a member and was removed",
    "must be the address of somebody who is no member",
    "must be a user who is ",
    "must be the same as ",
    " of a page of this list",
    " of a page of this search",
    "must be the `nextCursor` of a page of this list",
    # `page` of the dialect directory.
    "must be left out beside `cursor`",
    "must be a page within the first 1000 members",
    # `filters` of the dialect directory: texts with a syntax of their own.
    "must be `field:operator:value`",
    "`filters[",
    "must be given only for an action on a member",
    "the idempotency key was used for another request",
    "the tenant would be left without an active owner",
    "roles and groups together: change them in steps",
    # A batch: what a change needs by its method, and the body of it.
    "`changes[",
    # The lines of an import.
    "must be CSV with as many cells as the line of names",
    "must be one of email, name, first_name, ",
    "the body must not be empty",
    # Cedar text.
    "cannot be a policy of a tenant",
    # The filters of the record, and the data of the product's own events.
    "a kind and an id with a `:` between them",
    "`member:` or `key:` and a UUID, or `product`",
    "must be a whole number of at most 2^53 - 1, or a text",
    "must be without `:`",
    "must be the UUID of a user",
)


def has_float(value):
    match value:
        case float():
            return True
        case dict():
            return any(map(has_float, value.values()))
        case list():
            return any(map(has_float, value))
    return False


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops failures that are right here, as narrowly as possible."""
    # A method that no route has. API Gateway answers it with 404 and not with 405, before any function.
    if failure.code == "ST204" and (response.status_code, response.text) == (404, '{"message":"Not Found"}'):
        return False
    # The same path with an id in place of its last part is another route, which has the method.
    if failure.code == "ST204" and response.status_code == 400 and "`id` must be a UUID" in response.text:
        return False
    # A request that is too long for the gateway, which answers it before any function.
    if failure.code == "ST201" and response.status_code == 431:
        return False
    # A body that says that it is an image, and is none: no schema can say what an image is.
    if failure.code == "ST202" and response.status_code == 415 and str(case.media_type).startswith("image/"):
        return False
    # An item that is no question spoils only itself; and what an item lacks can stand beside the items.
    if case.operation.label == "POST /access/v1/evaluations" and failure.code in ("ST201", "ST202"):
        return "`evaluations[" not in response.text and "is required" not in response.text
    # A form has only texts: a number in it is one, too.
    if failure.code == "ST201" and case.operation.label in ("POST /oauth/introspect", "POST /oauth/revoke"):
        return False
    # A body that is too long is refused for that first.
    if failure.code == "ST201" and response.status_code == 413:
        return False
    # The lines are bytes, which are no text to Schemathesis.
    if failure.code == "ST201" and case.operation.label == "PUT /v1/users/import/{id}/parts/{n}":
        return False
    # No schema says which token is good.
    if failure.code == "ST202" and case.operation.label in TOKENS | {ACCEPTANCE, JOINING}:
        return False
    # A request that fits the description, and that the function refuses.
    if failure.code != "ST202" or response.status_code not in (400, 422):
        return True
    # The body names a role that does not exist, for example.
    is_of_no_schema = any(message in response.text for message in OF_NO_SCHEMA)
    # 1.0 is an integer in JSON Schema. Here it is refused on purpose.
    is_of_float = "must be an integer" in response.text and has_float(case.body)
    # Schemathesis puts the `id` of one operation into the path of another, which may spell ids in another way.
    is_of_link = case.meta.phase.name == "stateful" and re.search(r"`(id|userId|role|group)` must be an? ", response.text)
    return not (is_of_no_schema or is_of_float or is_of_link)


def succeeded(response, case):
    # The answer to a CORS preflight is a success, too.
    return 200 <= response.status_code < 300 and case.method.upper() == case.operation.method.upper()


@schemathesis.check
def foreign_tenant(ctx, response, case):
    """Sends a request that the caller may make as callers of another tenant: nobody of them may succeed.

    That is what `object_level_authorization` checks for GETs. A write that is refused changes nothing, so that it can be
    replayed as well. Where the request names no tenant, it is one to the stranger's own.
    """
    if not succeeded(response, case) or not case.operation.definition.raw.get("security"):
        return True
    # Their requests name no tenant: the stranger gets the answer about somebody, or a token, that is none in their own.
    if case.operation.definition.raw["tags"] == ["authzen"] or case.operation.label == "POST /oauth/introspect":
        return True
    for name in ("stranger", "member-of-both"):
        request = response.request.copy()
        theirs = {**CALLERS[name], "Cookie": f"session={CALLERS[name]['x-session-token']}"}
        request.headers.update({header: value for header, value in theirs.items() if header in request.headers})
        answer = session.send(request, timeout=30)
        if case.operation.definition.raw["tags"] == ["membership"]:
            shown = answer.json()["data"] if answer.status_code == 200 else []
            shown = shown if isinstance(shown, list) else [shown]
            refused = all(user["organizationId"] != 1 for user in shown)
        else:
            refused = answer.status_code == 403
        assert refused, f"{name} is of another tenant, and gets {answer.status_code}: {answer.text}"
    return None


# Operations that need two credentials, and check both.
enforced = set()


@schemathesis.check
def every_credential(ctx, response, case):
    """An operation with two credentials refuses one of them alone, and one beside that of another person.

    `ignored_auth` leaves out both, and sends a wrong one alone.
    """
    label = case.operation.label
    needs_two = any(len(schemes) > 1 for schemes in case.operation.definition.raw.get("security", []))
    if label in enforced or not needs_two or not succeeded(response, case):
        return True
    for header in ADMIN:
        for value in (None, CALLERS["owner"][header], CALLERS["stranger"][header]):
            request = response.request.copy()
            del request.headers[header]
            if value is not None:
                request.headers[header] = value
            answer = session.send(request, timeout=30)
            assert answer.status_code == 401, f"with another {header}, or none: {answer.status_code} {answer.text}"
    enforced.add(label)
    return None


def made(things):
    reply = of_owner("POST", f"/v1/{things}", {"name": f"spare {next(spares)}"})
    assert reply.status_code == 201, f"the owner cannot make one of {things}: {reply.text}"
    return reply.json()["id"]


def issuer():
    new = {"iss": f"https://spare-{next(spares)}.example", "audiences": ["app"]}
    reply = of_owner("POST", "/v1/issuers", new)
    if reply.status_code == 422:
        # A tenant can have 20: deletions that were refused have left some.
        for spare in of_owner("GET", "/v1/issuers").json()["issuers"]:
            if spare["iss"].startswith("https://spare-"):
                of_owner("DELETE", f"/v1/issuers/{spare['id']}")
        reply = of_owner("POST", "/v1/issuers", new)
    assert reply.status_code == 201, f"the owner cannot make an issuer: {reply.text}"
    return reply.json()["id"]


def policy():
    new = {"name": f"spare {next(spares)}", "text": CEDAR}
    reply = of_owner("POST", "/v1/policies", new)
    if reply.status_code == 422:
        # A tenant can have 100: deletions that were refused have left some.
        for spare in of_owner("GET", "/v1/policies?q=spare&limit=200").json()["data"]:
            of_owner("DELETE", f"/v1/policies/{spare['id']}")
        reply = of_owner("POST", "/v1/policies", new)
    assert reply.status_code == 201, f"the owner cannot make a policy: {reply.text}"
    return reply.json()["id"]


def api_key():
    reply = of_owner("POST", "/v1/api-keys", {"name": f"spare {next(spares)}", "roles": ["user"]})
    assert reply.status_code == 201, f"the owner cannot make an API key: {reply.text}"
    return reply.json()["id"]


def webhook():
    new = {"name": f"spare {next(spares)}", "url": "https://hooks.example", "status": "disabled"}
    reply = of_owner("POST", "/v1/webhooks", new)
    if reply.status_code == 422:
        # A tenant can have 20: deletions that were refused have left some.
        for spare in of_owner("GET", "/v1/webhooks").json()["data"]:
            if spare["name"].startswith("spare "):
                of_owner("DELETE", f"/v1/webhooks/{spare['id']}")
        reply = of_owner("POST", "/v1/webhooks", new)
    assert reply.status_code == 201, f"the owner cannot make a webhook: {reply.text}"
    return reply.json()["id"]


def claimed():
    for domain in of_owner("GET", "/v1/domains").json()["domains"]:
        if domain["domain"].startswith("spare-"):
            of_owner("DELETE", f"/v1/domains/{domain['id']}")
    reply = of_owner("POST", "/v1/domains", {"domain": f"spare-{next(spares)}.example"})
    assert reply.status_code == 201, f"the owner cannot claim a domain: {reply.text}"
    return reply.json()["id"]


def invited():
    reply = of_owner("POST", "/v1/invitations", {"emails": [f"spare-{next(spares)}@acme.example"]})
    assert reply.status_code == 200, f"the owner cannot invite anybody: {reply.text}"
    return reply.json()["data"][0]["invitation"]["id"]


def joined_group():
    """A group that the owner is in: its deletion is a job."""
    group = made("groups")
    of_owner("PUT", f"/v1/users/me/groups/{group}")
    return group


def job():
    reply = of_owner("DELETE", f"/v1/groups/{joined_group()}")
    assert reply.status_code == 202, f"no job deletes the group: {reply.text}"
    return reply.json()["id"]


def with_import(case):
    """An import of the caller's own, with a line."""
    headers = {**ADMIN, "X-Tenant-ID": "726f6c65-6361-8001-8000-000000000001"}
    made = session.post(f"{URL}/v1/users/import", json={}, headers=headers, timeout=30)
    if made.status_code != 201:
        # The caller is no admin for a moment: `after_call` sees the next 403.
        return
    case.path_parameters["id"] = made.json()["id"]
    line = f"email\nspare-{next(spares)}@acme.example\n".encode()
    if case.operation.label.endswith("/start"):
        part = f"{URL}/v1/users/import/{made.json()['id']}/parts/1"
        session.put(part, data=line, headers={**headers, "Content-Type": "text/csv"}, timeout=30)
    else:
        case.path_parameters["n"], case.body, case.media_type = 1, line, "text/csv"


def with_session(case):
    """A session that the run may end."""
    case.path_parameters["id"] = "current"
    spare_the_callers_sessions(case)


def with_user(case):
    """A member as whom the caller may act: where the tenant allows it, and with no permission that the caller lacks."""
    of_owner("PATCH", "/v1/tenant", {"settings": {"impersonation": True}})
    of_owner("PATCH", f"/v1/users/{USER}", {"status": "active", "roles": ["user"], "groups": []})
    of_owner("DELETE", f"/v1/users/{USER}/sessions")
    case.path_parameters["id"] = USER


def with_address(case):
    """A user whom nobody has added."""
    case.body = {"email": f"spare-{next(spares)}@acme.example"}


# Operations that generated requests do seldom: every other request has what it takes.
NEEDS_MORE = {
    "POST /v1/users": with_address,
    "POST /v1/users/{id}/impersonate": with_user,
    "DELETE /v1/sessions/{id}": with_session,
    "PUT /v1/users/import/{id}/parts/{n}": with_import,
    "POST /v1/users/import/{id}/start": with_import,
}

spares = itertools.count()

# Other operations need what the examples of the reference delete, and there is no job at first: these calls get things of their
# own in place of the demo's.
SPARED = {
    "DELETE /v1/groups/{id}": joined_group,
    "DELETE /v1/roles/{id}": lambda: made("roles"),
    "DELETE /v1/issuers/{id}": issuer,
    "DELETE /v1/policies/{id}": policy,
    "DELETE /v1/api-keys/{id}": api_key,
    "DELETE /v1/webhooks/{id}": webhook,
    "GET /v1/jobs/{id}": job,
    "GET /v1/domains/{id}": claimed,
    "PATCH /v1/domains/{id}": claimed,
    "POST /v1/domains/{id}/verify": claimed,
    "DELETE /v1/domains/{id}": claimed,
    "GET /v1/invitations/{id}": invited,
    "POST /v1/invitations/{id}/resend": invited,
    "DELETE /v1/invitations/{id}": invited,
}
# The demo's roles, groups, policy, API key, webhook, and a job that it could have, by their UUIDs.
NUMBERED = (("8004", 4), ("8004", 5), ("8005", 1), ("8005", 2), ("8007", 1), ("8009", 1), ("800b", 1), ("8010", 1))
DEMO = {
    f"726f6c65-6361-{kind}-8000-00008000000{number}"
    for kind, number in NUMBERED
}
# Members whom the examples of invitations name.
DEMO.update({"726f6c65-6361-8002-8000-000000000003", "726f6c65-6361-8002-8000-00000000000a"})
# The first domain of the demo tenant, which the examples name.
DEMO.add("726f6c65-6361-800c-8000-000080000001")
# The issuer of the demo tenant's own.
DEMO.add("726f6c65-6361-800a-a66d-32ec1e21d465")


# Only an owner, or somebody who is invited, may do these; or the caller would be gone; or there is nothing to do it with.
NOT_FOR_THE_CALLER = {
    "DELETE /v1/tenant",
    "POST /v1/tenant/restore",
    "POST /v1/tenant/transfer-ownership",
    "POST /v1/tenant/leave",
    ACCEPTANCE,
    # Nobody asks to join: that takes a domain, and the DNS.
    JOINING,
    "GET /v1/join-requests/{id}",
    "POST /v1/join-requests/{id}/approve",
    "POST /v1/join-requests/{id}/refuse",
}


@schemathesis.check
class Answers:
    """Counts the answers, and fails if an operation has never answered with a success: then nothing was tested."""

    def __init__(self):
        self.counts = {}
        self.succeeded = set()

    def after_response(self, ctx, response, case):
        if not self.counts:
            for operation in case.operation.schema.get_all_operations():
                self.counts[operation.ok().label] = collections.Counter()
        self.counts[case.operation.label][response.status_code] += 1
        if succeeded(response, case):
            self.succeeded.add(case.operation.label)

    def after_run(self, ctx):
        with open(os.environ["PROPERTIES_ANSWERS"], "w") as file:
            for label, counts in self.counts.items():
                of_label = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
                print(f"{label}\n    {of_label or 'not called'}", file=file)
        never = self.counts.keys() - self.succeeded - NOT_FOR_THE_CALLER
        assert self.succeeded and not never, f"never answered with a success: {', '.join(sorted(never)) or 'all'}"
