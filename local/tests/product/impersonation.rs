//! Acting as another member: what both of them may, as long as who acts may act as them, and on record.

mod marks;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use local::token::Flaw;
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Author, role};
use shared::id::UserId;

use crate::harness::{NewTenant, Product, Reply, turn};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A tenant of an owner, an admin and three users, in which members may act as others. The last user has the role `support`, which
/// allows to act as another member, and to see members.
struct Acted {
    product: Product,
    tenant: NewTenant,
    slug: &'static str,
}

impl Acted {
    async fn start(slug: &'static str) -> Self {
        let product = Product::start().await;
        let tenant = product.new_tenant(slug, 5).await;
        let acted = Self { product, tenant, slug };
        acted.allow(true).await;
        let names = ["member:impersonate", "member:read"].map(|name| json!({ "name": name }));
        let support = json!({ "name": "support", "permissions": names });
        assert_eq!(acted.by_owner("POST", "/v1/roles", support).await.status, 201);
        let path = acted.path(acted.support(), "");
        assert_eq!(acted.by_owner("PATCH", &path, json!({ "roles": ["user", "support"] })).await.status, 200);
        acted
    }

    fn user(&self) -> UserId {
        self.tenant.member(2)
    }

    fn support(&self) -> UserId {
        self.tenant.member(4)
    }

    fn path(&self, user: UserId, rest: &str) -> String {
        format!("/v1/users/{}{rest}", user.uuid())
    }

    /// A token of the member at a place, 0 for the owner.
    async fn access(&self, place: u32) -> String {
        self.product.access(self.slug, &format!("member{}@{}.example", place + 1, self.slug)).await
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.product.users(token, self.tenant.id, (method, path), &[], body).await
    }

    async fn by_owner(&self, method: &str, path: &str, body: Value) -> Reply {
        self.call(&self.tenant.owner_token, method, path, Some(body)).await
    }

    async fn allow(&self, is_allowed: bool) {
        let set = self.by_owner("PATCH", "/v1/tenant", json!({ "settings": { "impersonation": is_allowed } })).await;
        assert_eq!((set.status, &set.json()["settings"]["impersonation"]), (200, &json!(is_allowed)), "{set:?}");
    }

    async fn ask(&self, token: &str, user: UserId) -> Reply {
        let body = json!({ "reason": "Ticket 7", "seconds": 600 });
        self.call(token, "POST", &self.path(user, "/impersonate"), Some(body)).await
    }

    /// The tokens of a session of a member, for somebody else.
    async fn tokens(&self, token: &str, user: UserId) -> Value {
        let reply = self.ask(token, user).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!((reply.header("cache-control"), reply.header("pragma")), (Some("no-store"), Some("no-cache")));
        reply.json()
    }

    /// Acts as the user, by the admin.
    async fn by_admin(&self) -> String {
        text(&self.tokens(&self.tenant.admin_token, self.user()).await, "access_token")
    }

    async fn me(&self, token: &str) -> Reply {
        self.call(token, "GET", "/v1/users/me", None).await
    }

    async fn introspect(&self, token: &str) -> Value {
        let bearer = format!("Bearer {}", self.tenant.owner_token);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("authorization", bearer.as_str())];
        self.product.call("POST", "/oauth/introspect", &headers, format!("token={token}")).await.json()
    }
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name} in {tokens}")).to_owned()
}

fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The status, and the rule that denies.
fn code(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["details"]["rule"].as_str().unwrap_or_default().to_owned())
}

fn refused(rule: &str) -> (u16, String) {
    (403, rule.to_owned())
}

/// The status, and what the dialect of tokens tells.
fn told(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error_description"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_as_a_member_is_named_beside_them() {
    let acted = Acted::start("beside").await;
    let (user, admin) = (acted.user(), acted.tenant.admin);
    let tokens = acted.tokens(&acted.tenant.admin_token, user).await;
    assert_eq!((&tokens["expires_in"], &tokens["refresh_token"]), (&json!(600), &Value::Null));
    let (access, session) = (text(&tokens, "access_token"), text(&tokens, "session_token"));
    for token in [&access, &session] {
        let claims = claims(token);
        let admins = self::claims(&acted.tenant.admin_token)["sid"].clone();
        assert_eq!(claims["sub"], json!(user.uuid()));
        assert_eq!(claims["act"], json!({ "sub": admin.uuid(), "sid": admins }));
        let said = acted.introspect(token).await;
        assert_eq!((&said["active"], &said["act"]), (&json!(true), &json!({ "sub": admin.uuid() })), "{said}");
    }
    assert_eq!(acted.me(&access).await.json()["id"], json!(user.uuid()));
    let headers = [("authorization", format!("Bearer {access}")), ("x-session-token", session.clone())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let by_both = acted.product.call("GET", "/users-organizations/v1/rs/users/me", &headers, "").await;
    assert_eq!(by_both.status, 200, "{by_both:?}");
    // The session token is one of somebody else than the member's own bearer.
    let own = acted.access(2).await;
    let bearer = format!("Bearer {own}");
    let mixed = [("authorization", bearer.as_str()), ("x-session-token", session.as_str())];
    let mixed = acted.product.call("GET", "/users-organizations/v1/rs/users/me", &mixed, "").await;
    assert_eq!(mixed.status, 401, "{mixed:?}");

    // The event of a change, and that of the session itself.
    let changed = acted.call(&access, "PUT", &acted.path(user, ""), Some(json!({ "name": "Uma Acted" }))).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let event = acted.product.events(acted.tenant.id, user).await.pop().unwrap();
    assert_eq!((event.author, event.impersonator), (Author::Member(user), Some(admin)));
    let begun = format!("/v1/events?subject=session:{}", text(&claims(&access), "sid"));
    let begun = acted.call(&acted.tenant.owner_token, "GET", &begun, None).await.json();
    let begun = &begun["data"][0];
    assert_eq!(begun["actor"]["id"], json!(admin.uuid()), "{begun}");
    assert_eq!(begun["actor"]["impersonator_id"], Value::Null);
    assert_eq!(begun["changes"]["reason"]["to"], "Ticket 7");
    assert_eq!(begun["changes"]["impersonator"]["to"]["member"], json!(admin.uuid()));
    for actor in [user, admin] {
        let path = format!("/v1/users/{}/events?actor=member:{}", user.uuid(), actor.uuid());
        let found = acted.call(&acted.tenant.owner_token, "GET", &path, None).await.json();
        let of = &found["data"][0]["actor"];
        assert_eq!((&of["id"], &of["impersonator_id"]), (&json!(user.uuid()), &json!(admin.uuid())), "{found}");
    }
    // The member sees who it is and why, and ends it.
    let listed = acted.call(&own, "GET", "/v1/sessions", None).await.json();
    let listed = listed["sessions"].as_array().unwrap();
    let shown = listed.iter().find(|it| it["impersonator_id"] == json!(admin.uuid())).unwrap();
    assert_eq!((&shown["reason"], &shown["user_id"]), (&json!("Ticket 7"), &json!(user.uuid())));
    assert_eq!(listed.iter().filter(|it| it["impersonator_id"].is_null()).count(), listed.len() - 1);
    let path = format!("/v1/sessions/{}", text(shown, "id"));
    assert_eq!(acted.call(&own, "DELETE", &path, None).await.status, 204);
    assert_eq!(acted.me(&access).await.status, 401);
    assert_eq!(acted.introspect(&access).await, json!({ "active": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_decides_whether_anybody_acts_as_others() {
    let product = Product::start().await;
    let tenant = product.new_tenant("asked", 5).await;
    let acted = Acted { product, tenant, slug: "asked" };
    let off = "The tenant's settings allow nobody to act as another member. An owner can change that.";
    let asked = acted.ask(&acted.tenant.admin_token, acted.user()).await;
    assert_eq!(told(&asked), refused(off), "nobody has asked an owner");
    let wish = json!({ "settings": { "impersonation": true } });
    let by_admin = acted.call(&acted.tenant.admin_token, "PATCH", "/v1/tenant", Some(wish)).await;
    assert_eq!(code(&by_admin), refused("owners-settings"));
    acted.allow(true).await;
    let access = acted.by_admin().await;
    assert_eq!(acted.me(&access).await.status, 200);
    // It is off for those who act already, too.
    acted.allow(false).await;
    assert_eq!(code(&acted.me(&access).await), refused("impersonation"));
    assert_eq!(acted.introspect(&access).await, json!({ "active": false }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_as_who_is_more_than_they_are() {
    let acted = Acted::start("above").await;
    let (tenant, user) = (&acted.tenant, acted.user());
    let support = acted.access(4).await;
    assert_eq!(told(&acted.ask(&support, tenant.admin).await), refused("The member outranks you."));
    assert_eq!(told(&acted.ask(&tenant.admin_token, tenant.owner).await).0, 403);
    assert_eq!(told(&acted.ask(&tenant.owner_token, tenant.owner).await).0, 403);
    let oneself = acted.ask(&tenant.admin_token, tenant.admin).await;
    assert_eq!(told(&oneself), refused("You may not act as yourself."));
    assert_eq!(acted.ask(&acted.access(3).await, user).await.status, 403, "without the permission");
    assert_eq!(acted.ask(&tenant.admin_token, UserId::new(1)).await.status, 404, "a member of another tenant");
    // Neither by an API key, nor in a chain.
    let body = json!({ "name": "Support", "roles": ["admin"] });
    let key = acted.call(&tenant.admin_token, "POST", "/v1/api-keys", Some(body)).await.json();
    assert_eq!(acted.ask(&text(&key, "secret"), user).await.status, 403);
    let as_support = text(&acted.tokens(&tenant.admin_token, acted.support()).await, "access_token");
    let chained = acted.ask(&as_support, user).await;
    assert_eq!(told(&chained), refused("Only the member may do that, not somebody who acts as them."));
    // A permission that only the member has: from then on, and in the sessions that are there.
    let access = acted.by_admin().await;
    let vault = json!({ "name": "keeper", "permissions": [{ "name": "vault:open" }] });
    assert_eq!(acted.by_owner("POST", "/v1/roles", vault).await.status, 201);
    let kept = acted.by_owner("PATCH", &acted.path(user, ""), json!({ "roles": ["user", "keeper"] })).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    assert_eq!(code(&acted.me(&access).await), refused("impersonation-permission-not-held"));
    let more = acted.ask(&tenant.admin_token, user).await;
    assert_eq!(told(&more), refused("The member has permissions that you do not hold."));
    // What is wrong with a request is told, and nothing is written.
    let before = acted.product.member(tenant.id, user).await.sessions.len();
    for (body, field) in [
        (json!({}), "reason"),
        (json!({ "reason": "" }), "reason"),
        (json!({ "reason": "x".repeat(501) }), "reason"),
        (json!({ "reason": "Ticket", "seconds": 59 }), "seconds"),
        (json!({ "reason": "Ticket", "seconds": 3601 }), "seconds"),
    ] {
        let reply = acted.call(&tenant.owner_token, "POST", &acted.path(user, "/impersonate"), Some(body)).await;
        let (status, message) = told(&reply);
        assert!(status == 400 && message.contains(field), "{field}: {status} {message}");
    }
    assert_eq!(acted.product.member(tenant.id, user).await.sessions.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acts_as_a_member_may_do_what_both_may_and_leaves_them_what_is_theirs() {
    let acted = Acted::start("both").await;
    let (user, tenant) = (acted.user(), &acted.tenant);
    // The member may change their own name, and the supporter may change nobody's.
    let by_support = text(&acted.tokens(&acted.access(4).await, user).await, "access_token");
    assert_eq!(acted.me(&by_support).await.status, 200);
    let named = acted.call(&by_support, "PATCH", "/v1/users/me", Some(json!({ "name": "Uma" }))).await;
    assert_eq!(code(&named), refused("not-permitted"));
    assert_eq!(named.json()["notices"], json!(["The member may do that, and you may not."]));
    // The admin may change all names, and the member only their own.
    let by_admin = acted.by_admin().await;
    let other = acted.path(tenant.member(3), "");
    let name = || Some(json!({ "name": "Another Name" }));
    assert_eq!(code(&acted.call(&by_admin, "PATCH", &other, name()).await), refused("not-permitted"));
    assert_eq!(acted.call(&by_admin, "PATCH", "/v1/users/me", name()).await.status, 200);

    // Questions of the session are about both; those of a service are about the member.
    let resource = json!({ "type": "member", "id": user.uuid() });
    let question = json!({ "subject": user.uuid(), "action": "update-profile", "resource": resource });
    let access = acted.access(4).await;
    for (role, both) in [("support", false), ("admin", true)] {
        // Who may ask at all.
        let path = acted.path(acted.support(), "");
        let more = json!([{ "name": "member:impersonate" }, { "name": "member:read" }, { "name": "decision:check" }]);
        if role == "support" {
            let roles = acted.call(&tenant.owner_token, "GET", "/v1/roles", None).await.json();
            let id = text(roles["data"].as_array().unwrap().iter().find(|it| it["name"] == "support").unwrap(), "id");
            let patched = acted.by_owner("PATCH", &format!("/v1/roles/{id}"), json!({ "permissions": more })).await;
            assert_eq!(patched.status, 200, "{patched:?}");
        } else {
            assert_eq!(acted.by_owner("PATCH", &path, json!({ "roles": ["admin"] })).await.status, 200);
        }
        let token = text(&acted.tokens(&access, user).await, "access_token");
        let check = acted.call(&token, "POST", "/v1/check", Some(question.clone())).await;
        assert_eq!((check.status, &check.json()["allowed"]), (200, &json!(both)), "{role}: {check:?}");
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let subject = json!({ "type": "user", "id": user.uuid() });
        let asked = json!({ "subject": subject, "action": { "name": "update-profile" }, "resource": resource });
        let evaluated = acted.product.call("POST", "/access/v1/evaluation", &headers, asked.to_string()).await;
        assert_eq!(evaluated.json()["decision"], json!(both), "{role}: {evaluated:?}");
        let of_service = acted.by_owner("POST", "/v1/check", question.clone()).await.json();
        assert_eq!(of_service["allowed"], json!(true), "{of_service}");
    }

    // As another admin, who may do nearly everything.
    let promoted = acted.product.patch_role(&tenant.owner_token, tenant.id, user, role::ADMIN).await;
    assert_eq!(promoted.status, 200);
    let access = acted.by_admin().await;
    let own = |rest: &str| acted.path(user, rest);
    for (method, path, body, rule) in [
        ("GET", "/v1/sessions".to_owned(), None, "impersonated"),
        ("DELETE", own("/sessions"), None, "impersonated"),
        ("DELETE", acted.path(tenant.member(3), "/sessions"), None, "impersonated"),
        ("PATCH", own(""), Some(json!({ "email": "new@both.example" })), "impersonated"),
        ("PATCH", other.clone(), Some(json!({ "external_id": "7" })), "impersonated"),
        ("POST", "/v1/api-keys".to_owned(), Some(json!({ "name": "Key", "roles": ["user"] })), "impersonated"),
        ("POST", "/v1/users".to_owned(), Some(json!({ "email": "new@both.example" })), "impersonated"),
        ("POST", "/v1/users/export".to_owned(), Some(json!({ "format": "csv" })), "impersonated"),
        ("POST", "/v1/users/import".to_owned(), Some(json!({})), "impersonated"),
        ("GET", "/v1/tenants".to_owned(), None, "impersonated"),
        ("DELETE", own(""), None, "impersonated-gives-up-nothing"),
        ("POST", "/v1/tenant/leave".to_owned(), None, "impersonated-gives-up-nothing"),
        ("PATCH", own(""), Some(json!({ "roles": ["user"] })), "impersonated-gives-up-nothing"),
        ("PATCH", own(""), Some(json!({ "status": "deactivated" })), "impersonated-gives-up-nothing"),
        ("PATCH", own(""), Some(json!({ "groups": [] })), "impersonated-gives-up-nothing"),
    ] {
        let reply = acted.call(&access, method, &path, body).await;
        assert_eq!(code(&reply), refused(rule), "{method} {path}: {reply:?}");
    }
    let invite = json!({ "emails": ["new@both.example"] });
    assert_eq!(acted.call(&access, "POST", "/v1/invitations", Some(invite)).await.status, 403);
    assert_eq!(acted.call(&access, "PATCH", &other, name()).await.status, 200, "they may do the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_ends_with_what_it_rests_on() {
    let acted = Acted::start("ends").await;
    let (user, tenant) = (acted.user(), &acted.tenant);
    // The right of who acts.
    let access = acted.by_admin().await;
    assert_eq!(acted.me(&access).await.status, 200);
    let set = async |role| acted.product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role).await.status;
    assert_eq!(set(role::USER).await, 200);
    assert_eq!(code(&acted.me(&access).await), refused("not-permitted"));
    let write = acted.call(&access, "PUT", &acted.path(user, ""), Some(json!({ "name": "Late" }))).await;
    assert_eq!(code(&write), refused("not-permitted"));
    assert_eq!(acted.introspect(&access).await, json!({ "active": false }));
    assert_eq!(set(role::ADMIN).await, 200);
    assert_eq!(acted.me(&access).await.status, 200, "it is there for as long as it was asked for");
    // The token that ends it, and what does not prolong it.
    let tokens = acted.tokens(&tenant.admin_token, user).await;
    let session = text(&tokens, "session_token");
    let prolong = json!({ "grant_type": EXCHANGE, "subject_token": session, "subject_token_type": JWT });
    let headers = [("content-type", "application/json")];
    let prolonged = acted.product.call("POST", "/v1/sessions", &headers, prolong.to_string()).await;
    assert_eq!(prolonged.status, 400, "{prolonged:?}");
    let ended = claims(&session)["exp"].as_i64().unwrap() - shared::now().seconds();
    assert!((590..=600).contains(&ended), "{ended}");
    let revoked = json!({ "token": text(&tokens, "access_token") });
    assert_eq!(acted.product.call("POST", "/oauth/revoke", &headers, revoked.to_string()).await.status, 200);
    assert_eq!(acted.me(&text(&tokens, "access_token")).await.status, 401);
    // The member is gone for a while.
    let status = |status: &str| json!({ "status": status });
    assert_eq!(acted.by_owner("PATCH", &acted.path(user, ""), status("deactivated")).await.status, 200);
    assert_eq!(acted.me(&access).await.status, 401);
    assert_eq!(acted.ask(&tenant.admin_token, user).await.status, 403);
    assert_eq!(acted.by_owner("PATCH", &acted.path(user, ""), status("active")).await.status, 200);
    // The session of who acts.
    let (access, own) = (acted.by_admin().await, acted.access(1).await);
    let by_another = text(&acted.tokens(&own, user).await, "access_token");
    assert_eq!(acted.call(&own, "DELETE", "/v1/sessions/current", None).await.status, 204);
    assert_eq!((acted.me(&by_another).await.status, acted.me(&access).await.status), (401, 200));
    // Who acts is gone.
    assert_eq!(acted.by_owner("PATCH", &acted.path(tenant.admin, ""), status("deactivated")).await.status, 200);
    assert_eq!(acted.me(&access).await.status, 401);
}

/// A session token of our own signs the person in elsewhere, and an old session is too old for whoever acts by it.
#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_is_as_old_as_the_session_behind_it() {
    let acted = Acted::start("ages-2").await;
    let expected = local::token::expected(&acted.product.template).unwrap();
    let old = shared::domain::Time::from_millis(shared::now().millis() - 200_000);
    let who = ("ages-2", "member2@ages-2.example");
    let issued = local::token::issue(&acted.product.store, &expected, who, Kind::Access, 3600, Flaw::None, old).await;
    let tokens = acted.tokens(&issued.unwrap(), acted.user()).await;
    let set = acted.by_owner("PATCH", "/v1/tenant", json!({ "settings": { "session_seconds": 300 } })).await;
    assert_eq!(set.status, 200, "{set:?}");
    assert_eq!(acted.me(&text(&tokens, "access_token")).await.status, 200);
    let issued = local::token::issue(&acted.product.store, &expected, who, Kind::Access, 3600, Flaw::None, old).await;
    let shorter = acted.tokens(&issued.unwrap(), acted.user()).await["expires_in"].as_i64().unwrap();
    assert!((1..=100).contains(&shorter), "{shorter}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_who_acts_as_a_member_takes_two_round_trips() {
    let _turn = turn().await;
    let acted = Acted::start("trips").await;
    let access = acted.by_admin().await;
    for attempt in 0..3 {
        acted.product.records();
        let name = json!({ "name": format!("Uma {attempt}") });
        let reply = acted.call(&access, "PUT", &acted.path(acted.user(), ""), Some(name)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let records = acted.product.records();
        let operations: Vec<&str> = records.iter().map(|record| record.operation.as_str()).collect();
        if attempt > 0 {
            assert_eq!(operations, ["BatchGetItem", "TransactWriteItems"]);
        }
    }
}
