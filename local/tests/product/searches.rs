//! Searches find what single questions say, now, and cost what they return.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::id::{TenantId, UserId};

use crate::harness::{ACME, Product, Reply, USER, turn};

pub async fn ask(product: &Product, token: &str, path: &str, body: &Value) -> Reply {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    product.call("POST", &format!("/access/v1/{path}"), &headers, body.to_string()).await
}

/// All results of a search, by pages of `limit`.
pub async fn found(product: &Product, token: &str, path: &str, body: &Value, limit: usize) -> Vec<Value> {
    let (mut results, mut next) = (Vec::new(), Value::Null);
    for _ in 0..100 {
        let mut body = body.clone();
        body["page"] = json!({ "limit": limit });
        if let Value::String(_) = next {
            body["page"]["token"] = next;
        }
        let reply = ask(product, token, &format!("search/{path}"), &body).await;
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some("no-store")), "{reply:?}");
        let mut page = reply.json();
        let more = page["results"].as_array().unwrap();
        assert!(more.len() <= limit, "{page}");
        results.extend(more.iter().cloned());
        next = page["page"]["next_token"].take();
        if next == "" {
            return results;
        }
    }
    panic!("more than 100 pages")
}

pub async fn change(product: &Product, tenant: TenantId, token: &str, call: (&str, &str), body: Value) -> Value {
    let reply = product.users(token, tenant, call, &[], Some(body)).await;
    assert!(reply.status < 300, "{call:?}: {reply:?}");
    reply.json()
}

fn subjects(action: &str, resource: &Value) -> Value {
    json!({ "subject": { "type": "user" }, "action": { "name": action }, "resource": resource })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_what_single_questions_say() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    // A group that confers a role: its member may write bills, too.
    let groups = product.users(&owner, ACME, ("GET", "/v1/groups?q=Engineering"), &[], None).await.json();
    let group = format!("/v1/groups/{}", groups["data"][0]["id"].as_str().unwrap());
    let body = json!({ "confers": ["billing-manager"] });
    change(&product, ACME, &owner, ("PATCH", &group), body).await;
    let (uma, bill) = (json!({ "type": "member", "id": USER.uuid() }), json!({ "type": "billing", "id": "inv-7" }));
    let tenant = json!({ "type": "tenant", "id": ACME.uuid() });
    let mut decided = BTreeSet::new();
    for (action, resource) in [
        ("write", &bill),
        ("read", &bill),
        ("fly", &bill),
        ("member:read", &bill),
        ("assign-role", &uma),
        ("update-profile", &uma),
        ("read", &uma),
        ("update", &tenant),
        ("delete", &tenant),
    ] {
        let mut expected = Vec::new();
        for user in (1..=9).map(UserId::new) {
            let subject = json!({ "type": "user", "id": user.uuid() });
            let question = json!({ "subject": subject, "action": { "name": action }, "resource": resource });
            let answer = ask(&product, &owner, "evaluation", &question).await.json();
            if answer["decision"] == true {
                expected.push(subject.clone());
            }
            let search = json!({ "subject": subject, "resource": resource });
            let actions = found(&product, &owner, "action", &search, 2).await;
            let listed = actions.contains(&json!({ "name": action }));
            // `fly` is no permission of a role, and a name with a colon is a whole permission.
            if !["fly", "member:read"].contains(&action) {
                assert_eq!(answer["decision"], listed, "{user} {action} {resource}: {actions:?}");
            }
        }
        decided.insert(expected.len());
        for limit in [1, 3, 200] {
            let all = found(&product, &owner, "subject", &subjects(action, resource), limit).await;
            assert_eq!(all, expected, "{action} {resource} by {limit}");
        }
    }
    assert!(decided.len() > 4, "{decided:?}");

    // The next search knows of a change.
    let writers = subjects("write", &bill);
    let who = || found(&product, &owner, "subject", &writers, 50);
    let is_there = |all: &[Value]| all.contains(&json!({ "type": "user", "id": USER.uuid() }));
    assert!(is_there(&who().await), "by the group");
    change(&product, ACME, &owner, ("PATCH", &group), json!({ "confers": [] })).await;
    assert!(!is_there(&who().await));
    let user = format!("/v1/users/{}", USER.uuid());
    change(&product, ACME, &owner, ("PATCH", &user), json!({ "roles": ["user", "billing-manager"] })).await;
    assert!(is_there(&who().await));
    change(&product, ACME, &owner, ("PATCH", &user), json!({ "status": "deactivated" })).await;
    assert!(!is_there(&who().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_search_is_good_for_the_same_search_of_the_same_caller() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let admin = product.access("acme", "admin@acme.example").await;
    let bill = json!({ "type": "billing", "id": "inv-7" });
    let mut body = subjects("write", &bill);
    body["page"] = json!({ "limit": 1 });
    let first = ask(&product, &owner, "search/subject", &body).await.json();
    body["page"]["token"] = first["page"]["next_token"].clone();
    assert_eq!(ask(&product, &owner, "search/subject", &body).await.status, 200);
    let refused = |reply: Reply| assert_eq!((reply.status, reply.json().is_string()), (400, true), "{reply:?}");
    refused(ask(&product, &admin, "search/subject", &body).await);
    let mut other = body.clone();
    other["action"]["name"] = json!("read");
    refused(ask(&product, &owner, "search/subject", &other).await);
    let mut other = body.clone();
    other["context"] = json!({ "ip": "192.0.2.1" });
    refused(ask(&product, &owner, "search/subject", &other).await);
}

/// A page costs the same in a tenant of 300 as in one of 6,000.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_costs_what_it_returns() {
    let _turn = turn().await;
    let product = Product::start().await;
    let mut costs = Vec::new();
    for (slug, members) in [("small", 300), ("large", 6_000)] {
        let tenant = product.new_tenant(slug, members).await;
        let permissions = json!([{ "name": "invoice:read", "access": true }]);
        let role = json!({ "name": "biller", "rank": 1, "permissions": permissions });
        let role = change(&product, tenant.id, &tenant.owner_token, ("POST", "/v1/roles"), role).await;
        let role = role["id"].as_str().unwrap();
        for place in [5, 150, 299] {
            let path = format!("/v1/users/{}/roles/{role}", tenant.member(place).uuid());
            let reply = product.users(&tenant.owner_token, tenant.id, ("PUT", &path), &[], None).await;
            assert!(reply.status < 300, "{reply:?}");
        }
        let invoice = json!({ "type": "invoice", "id": "7" });
        let search = |limit| {
            let mut body = subjects("read", &invoice);
            body["page"] = json!({ "limit": limit });
            body
        };
        let mut costs_of_one = Vec::new();
        // The first one reads the tenant's rules.
        for limit in [2, 2, 50] {
            product.records();
            let reply = ask(&product, &tenant.owner_token, "search/subject", &search(limit)).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let records = product.records();
            let operations: Vec<_> = records.iter().map(|record| record.operation.clone()).collect();
            let units: f64 = records.iter().map(|record| record.read_units).sum();
            costs_of_one.push((reply.json()["results"].as_array().unwrap().len(), operations.join(" "), units));
        }
        costs.push(costs_of_one.split_off(1));
    }
    assert_eq!(costs[0], costs[1]);
    // The caller's own check; the edges of two roles, the owner's and this one; the members.
    let (results, operations, _) = &costs[0][1];
    assert_eq!((*results, operations.as_str()), (4, "BatchGetItem Query Query BatchGetItem"), "{costs:?}");
}
