//! Two people for one change: another member approves a request, before it is sent and once.

use futures_util::future::join_all;
use local::token::Flaw;
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Author, role};
use shared::id::UserId;

use crate::harness::{NewTenant, Product, Reply, turn};

/// The page has the policy that the tests put in force.
const PAGE: &str = include_str!("../../../docs/policies.md");

fn two_people() -> Value {
    let section = PAGE.split("\n## ").find(|it| it.starts_with("Two people for owners\n")).unwrap();
    let text = section.split("```cedar\n").nth(1).unwrap().split("```").next().unwrap();
    json!({ "name": "Two people for owners", "text": text })
}

/// A request.
type Asked<'a> = (&'a str, &'a str, Option<Value>);

/// A tenant of two owners, an admin and two users, with the policy.
struct Two {
    product: Product,
    tenant: NewTenant,
    slug: &'static str,
    second: String,
}

impl Two {
    async fn start(slug: &'static str) -> Self {
        let product = Product::start().await;
        let tenant = product.new_tenant(slug, 5).await;
        let second = product.access(slug, &format!("member3@{slug}.example")).await;
        let two = Self { product, tenant, slug, second };
        let path = two.path(2, "");
        let made = two.call(&two.tenant.owner_token, ("PATCH", &path, Some(json!({ "roles": ["owner"] }))), &[]).await;
        assert_eq!(made.status, 200, "{made:?}");
        // Alone, nobody can write it: they could not take it back.
        let policy = ("POST", "/v1/policies", Some(two_people()));
        assert_eq!(two.by_owner(policy.clone(), "").await.status, 400);
        let approval = two.approved(&two.second, 0, &policy).await;
        let written = two.by_owner(policy, &approval).await;
        assert_eq!(written.status, 201, "{written:?}");
        two
    }

    /// The path of the member at a place, 0 for the first owner.
    fn path(&self, place: u32, rest: &str) -> String {
        format!("/v1/users/{}{rest}", self.tenant.member(place).uuid())
    }

    async fn access(&self, place: u32) -> String {
        self.product.access(self.slug, &format!("member{}@{}.example", place + 1, self.slug)).await
    }

    async fn call(&self, token: &str, (method, path, body): Asked<'_>, headers: &[(&str, &str)]) -> Reply {
        self.product.users(token, self.tenant.id, (method, path), headers, body).await
    }

    /// The first owner asks, with an approval, or without one.
    async fn by_owner(&self, asked: Asked<'_>, approval: &str) -> Reply {
        let headers = [("x-approval", approval)];
        self.call(&self.tenant.owner_token, asked, if approval.is_empty() { &[] } else { &headers }).await
    }

    async fn approve(&self, token: &str, place: u32, (method, path, body): &Asked<'_>, seconds: u32) -> Reply {
        let mut approval = json!({
            "user_id": self.tenant.member(place).uuid(), "method": method, "path": path, "seconds": seconds,
        });
        if let Some(body) = body {
            approval["body"] = body.clone();
        }
        self.call(token, ("POST", "/v1/approvals", Some(approval)), &[]).await
    }

    /// The approval of a request of the member at a place.
    async fn approved(&self, token: &str, place: u32, asked: &Asked<'_>) -> String {
        let reply = self.approve(token, place, asked, 600).await;
        assert_eq!((reply.status, &reply.json()["expires_in"]), (200, &json!(600)), "{reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply.json()["approval"].as_str().unwrap().to_owned()
    }

    async fn roles(&self, place: u32) -> Vec<String> {
        let member = self.product.member(self.tenant.id, self.tenant.member(place)).await;
        member.roles.iter().map(ToString::to_string).collect()
    }
}

fn gives<'a>(path: &'a str, role: &str) -> Asked<'a> {
    ("PATCH", path, Some(json!({ "roles": [role] })))
}

/// Nothing is told of why an approval does not count.
#[track_caller]
fn counts_not(reply: &Reply) {
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.json().to_string().to_lowercase().contains("x-approval"), "{reply:?}");
}

fn rule(reply: &Reply) -> String {
    reply.json()["details"]["rule"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_make_an_owner_and_the_record_names_both() {
    let two = Two::start("both").await;
    let path = two.path(3, "");
    let asked = gives(&path, "owner");
    let alone = two.by_owner(asked.clone(), "").await;
    assert_eq!((alone.status, rule(&alone)), (403, "tenant-policy-1-0".to_owned()), "{alone:?}");
    let approval = two.approved(&two.second, 0, &asked).await;
    let done = two.by_owner(asked.clone(), &approval).await;
    assert_eq!(done.status, 200, "{done:?}");
    let event = two.product.events(two.tenant.id, two.tenant.member(3)).await.pop().unwrap();
    let [first, second]: [UserId; 2] = [two.tenant.member(0), two.tenant.member(2)];
    assert_eq!((event.author, event.approver), (Author::Member(first), Some(second)));
    for actor in [first, second] {
        let found = two.path(3, &format!("/events?actor=member:{}&limit=1", actor.uuid()));
        let found = two.call(&two.second, ("GET", &found, None), &[]).await.json();
        let by = &found["data"][0]["actor"];
        assert_eq!((&by["id"], &by["approver_id"]), (&json!(first.uuid()), &json!(second.uuid())), "{found}");
    }
    let verified = two.call(&two.second, ("GET", &two.path(3, "/events/verify"), None), &[]).await;
    assert_eq!(verified.status, 200, "{verified:?}");

    // Nobody approves that somebody signs in: a policy that asks for it would lock out both.
    let text = "forbid (principal, action == Action::\"tenant:sign-in\", resource) unless { principal has approver };";
    let policy = ("POST", "/v1/policies", Some(json!({ "name": "Sign in by two", "text": text })));
    let approval = two.approved(&two.second, 0, &policy).await;
    let refused = two.by_owner(policy, &approval).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.json().to_string().contains("in which you have signed in"), "{refused:?}");

    // What needs nobody else needs nobody else. And the body can be written in another way, with the same content.
    assert_eq!(two.by_owner(gives(&two.path(4, ""), "admin"), "").await.status, 200);
    let body = json!({ "first_name": "Uma", "roles": ["owner"] });
    let approval = two.approved(&two.second, 0, &("PATCH", &two.path(4, "?a=1"), Some(body))).await;
    let bearer = format!("Bearer {}", two.tenant.owner_token);
    let tenant = two.tenant.id.uuid().to_string();
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-tenant-id", tenant.as_str()),
        ("content-type", "application/json"),
        ("x-approval", approval.as_str()),
    ];
    let body = r#"{ "roles": [ "owner" ],  "first_name":"Uma" }"#;
    counts_not(&two.product.call("PATCH", &two.path(4, "?a=2"), &headers, body).await);
    let done = two.product.call("PATCH", &two.path(4, "?a=1"), &headers, body).await;
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_good_for_one_request_of_one_member() {
    let two = Two::start("once").await;
    let (path, other) = (two.path(3, ""), two.path(4, ""));
    let asked = gives(&path, "owner");
    let approval = two.approved(&two.second, 0, &asked).await;
    // Another request, another member, another way.
    counts_not(&two.by_owner(gives(&other, "owner"), &approval).await);
    counts_not(&two.by_owner(gives(&path, "admin"), &approval).await);
    counts_not(&two.by_owner(("PUT", &path, Some(json!({ "roles": ["owner"] }))), &approval).await);
    counts_not(&two.call(&two.second, asked.clone(), &[("x-approval", &approval)]).await);
    counts_not(&two.call(&two.tenant.admin_token, asked.clone(), &[("x-approval", &approval)]).await);
    let forged = approval.chars().rev().collect::<String>();
    let token = two.product.token(two.slug, &format!("member3@{}.example", two.slug), Kind::Access, Flaw::None).await;
    for none in ["x", &forged, &token, &format!("{approval}x")] {
        counts_not(&two.by_owner(asked.clone(), none).await);
    }
    // It is no credential.
    let as_second = two.call(&approval, ("GET", "/v1/users/me", None), &[]).await;
    assert_eq!(as_second.status, 401, "{as_second:?}");
    assert_eq!(two.roles(3).await, two.roles(4).await, "nothing has changed");

    // However many show it at once, one request uses it.
    let replies = join_all((0..6).map(|_| two.by_owner(asked.clone(), &approval))).await;
    let (done, refused): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 200);
    assert_eq!((done.len(), refused.len()), (1, 5), "{replies:?}");
    refused.iter().for_each(|reply| counts_not(reply));
    counts_not(&two.by_owner(asked, &approval).await);

    // The same request again under its key gets the first answer.
    let asked = gives(&path, "user");
    let approval = two.approved(&two.second, 0, &asked).await;
    let headers = [("x-approval", approval.as_str()), ("idempotency-key", "two")];
    for (headers, replayed) in [(&headers[..], None), (&headers, Some("true")), (&headers[1..], Some("true"))] {
        let reply = two.call(&two.tenant.owner_token, asked.clone(), headers).await;
        assert_eq!((reply.status, reply.header("idempotent-replayed")), (200, replayed), "{reply:?}");
    }
    // Numbers count as bodies read them: in any spelling.
    let asked = ("PATCH", "/v1/tenant", Some(json!({ "settings": { "seats": 100.0 } })));
    let approval = two.approved(&two.second, 0, &asked).await;
    assert_eq!(
        two.by_owner(("PATCH", "/v1/tenant", Some(json!({ "settings": { "seats": 100 } }))), &approval).await.status,
        200
    );

    // One approval does for all changes of a batch, each in a transaction of its own.
    let change = |place: u32| json!({ "method": "update", "id": two.tenant.member(place).uuid(), "body": { "roles": ["owner"] } });
    let batch = ("POST", "/v1/users/batch", Some(json!({ "changes": [change(3), change(4)] })));
    let approval = two.approved(&two.second, 0, &batch).await;
    let done = two.by_owner(batch.clone(), &approval).await.json();
    assert_eq!([&done["data"][0]["status"], &done["data"][1]["status"]], [&json!(200), &json!(200)], "{done}");
    let again = two.by_owner(batch, &approval).await.json();
    assert!(again.to_string().to_lowercase().contains("x-approval"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_must_be_allowed_when_it_is_done() {
    let two = Two::start("allowed").await;
    let path = two.path(3, "");
    let asked = gives(&path, "owner");
    // An admin approves, who makes no owners.
    let approval = two.approved(&two.tenant.admin_token, 0, &asked).await;
    let by_admin = two.by_owner(asked.clone(), &approval).await;
    assert_eq!((by_admin.status, rule(&by_admin)), (403, "outranking-role".to_owned()), "{by_admin:?}");
    assert!(by_admin.json().to_string().contains("the member who approved it may not"), "{by_admin:?}");
    // An owner approves what an admin does, who makes no owners.
    let approval = two.approved(&two.second, 1, &asked).await;
    let by_owner = two.call(&two.tenant.admin_token, asked.clone(), &[("x-approval", &approval)]).await;
    assert_eq!((by_owner.status, rule(&by_owner)), (403, "outranking-role".to_owned()), "{by_owner:?}");
    // Nobody approves that they become more.
    let user = two.access(4).await;
    let own = two.path(4, "");
    let approval = two.approved(&user, 0, &gives(&own, "admin")).await;
    let raised = two.by_owner(gives(&own, "admin"), &approval).await;
    assert_eq!(raised.status, 403, "{raised:?}");
    assert!(raised.json().to_string().contains("You may not raise yourself: ask another member."), "{raised:?}");

    // Who cannot approve.
    let oneself = two.approve(&two.tenant.owner_token, 0, &asked, 600).await;
    assert_eq!((oneself.status, &oneself.json()["error"]), (403, &json!("access_denied")), "{oneself:?}");
    let key = json!({ "name": "Key", "roles": ["user"] });
    let key = two.by_owner(("POST", "/v1/api-keys", Some(key)), "").await.json();
    let key = key["secret"].as_str().unwrap_or_else(|| panic!("{key}"));
    assert_eq!(two.approve(key, 0, &asked, 600).await.status, 403);
    let approval = two.approved(&two.second, 0, &asked).await;
    counts_not(&two.call(key, asked.clone(), &[("x-approval", &approval)]).await);
    for (seconds, status) in [(59, 400), (60, 200), (3_600, 200), (3_601, 400)] {
        assert_eq!(two.approve(&two.second, 0, &asked, seconds).await.status, status, "{seconds}");
    }

    // Who approved has become less, or has ended their session, before it is done.
    let end = two.path(2, "/sessions");
    assert_eq!(two.call(&two.second, ("DELETE", &end, None), &[]).await.status, 204);
    counts_not(&two.by_owner(asked.clone(), &approval).await);
    let second = two.access(2).await;
    let approval = two.approved(&second, 0, &asked).await;
    let demote = gives(&end[..end.len() - "/sessions".len()], "user");
    let by_first = two.approved(&two.tenant.owner_token, 2, &demote).await;
    let stepped = two.call(&second, demote, &[("x-approval", &by_first)]).await;
    assert_eq!(stepped.status, 200, "{stepped:?}");
    let late = two.by_owner(asked, &approval).await;
    assert_eq!(late.status, 403, "{late:?}");
    let member = two.product.member(two.tenant.id, two.tenant.member(3)).await;
    assert!(!member.roles.contains(&role::OWNER));
    // By way of a role that is deleted, nobody becomes an owner, and by an issuer of their own nobody becomes the second owner.
    let clerk = two.by_owner(("POST", "/v1/roles", Some(json!({ "name": "clerk" }))), "").await.json();
    let clerk = format!("/v1/roles/{}?reassign_to=owner", clerk["id"].as_str().unwrap());
    assert_eq!(two.by_owner(gives(&path, "clerk"), "").await.status, 200);
    let issuer = json!({ "iss": "https://id.example", "audiences": ["app"], "domains": ["allowed.example"] });
    for asked in [("DELETE", clerk.as_str(), None), ("POST", "/v1/issuers", Some(issuer))] {
        let reply = two.by_owner(asked, "").await;
        assert_eq!((reply.status, rule(&reply).starts_with("tenant-policy-1-")), (403, true), "{reply:?}");
    }
    // One owner is left: alone they change no policy.
    let own = two.call(&two.tenant.owner_token, ("GET", "/v1/policies", None), &[]).await.json();
    let policy = format!("/v1/policies/{}", own["data"][0]["id"].as_str().unwrap());
    assert_eq!(two.by_owner(("DELETE", &policy, None), "").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_change_takes_two_round_trips() {
    let _turn = turn().await;
    let two = Two::start("quick").await;
    for (attempt, role) in ["owner", "user", "owner"].into_iter().enumerate() {
        let path = two.path(3, "");
        let asked = gives(&path, role);
        let approval = two.approved(&two.second, 0, &asked).await;
        two.product.records();
        let reply = two.by_owner(asked, &approval).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let records = two.product.records();
        let operations: Vec<&str> = records.iter().map(|record| record.operation.as_str()).collect();
        if attempt > 0 {
            assert_eq!(operations, ["BatchGetItem", "TransactWriteItems"]);
        }
    }
}
