//! Decisions that a service asks for: they are those of the calls, they are true now, and one read tells them.

use local::demo;
use serde_json::{Value, json};
use shared::domain::role;
use shared::id::{RoleId, UserId};

use crate::harness::{ACME, Product, USER, turn};

fn user(number: u32) -> String {
    UserId::new(number).uuid().to_string()
}

async fn check(product: &Product, token: &str, body: Value) -> Value {
    let reply = product.users(token, ACME, ("POST", "/v1/check"), &[], Some(body)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    reply.json()
}

async fn evaluate(product: &Product, token: &str, path: &str, body: &Value) -> Value {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let reply = product.call("POST", &format!("/access/v1/{path}"), &headers, body.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_follows_the_next_change() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let question = json!({ "subject": USER.uuid(), "action": "role:create" });
    for (role, allowed) in [(role::ADMIN, true), (role::USER, false), (role::ADMIN, true), (role::USER, false)] {
        assert_eq!(product.patch_role(&owner, ACME, USER, role).await.status, 200);
        assert_eq!(check(&product, &owner, question.clone()).await["allowed"], allowed, "{role}");
    }
    product.server.shutdown().await;
}

/// For four demo members as the callers, and each as the one who is changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_that_of_the_call() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let (mut allowed, mut denied) = (0, 0);
    let mut members = Vec::new();
    for name in ["owner", "admin", "user", "billing", "manager", "deactivated"] {
        let email = format!("{name}@acme.example");
        members.push((name, demo::find(&product.store, "acme", &email).await.unwrap().1.uuid(), email));
    }
    // The admin comes last, because they make others admins.
    for (name, caller, email) in members[1..5].iter().rev() {
        let token = product.access("acme", email).await;
        for target in members.iter().map(|(_, target, _)| target) {
            for (action, change) in [
                ("assign-role", json!({ "roles": ["user"] })),
                ("assign-role", json!({ "roles": ["admin"] })),
                ("set-status", json!({ "status": "active" })),
                ("update-profile", json!({ "first_name": "Ann" })),
                ("set-groups", json!({ "groups": [] })),
            ] {
                // An admin who gives up the role could do little else.
                if target == caller && change.get("roles").is_some() {
                    continue;
                }
                let resource = json!({ "type": "member", "id": target });
                let question = json!({ "subject": caller, "action": action, "resource": resource, "change": change });
                let decision = check(&product, &owner, question).await;
                let path = format!("/v1/users/{target}");
                let reply = product.users(&token, ACME, ("PATCH", &path), &[], Some(change.clone())).await;
                let context = format!("{name}, {target}, {change}: {decision}, {reply:?}");
                match decision["allowed"].as_bool().unwrap() {
                    true => allowed += 1,
                    false => denied += 1,
                }
                assert_eq!(reply.status, if decision["allowed"] == true { 200 } else { 403 }, "{context}");
                if reply.status == 403 {
                    assert_eq!(reply.json()["details"]["rule"], decision["rule"], "{context}");
                }
            }
        }
    }
    assert!(allowed > 20 && denied > 20, "{allowed} {denied}");
    product.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_read_answers_one_question_or_a_hundred() {
    let _turn = turn().await;
    let product = Product::start().await;
    let tenant = product.new_tenant("asked", 200).await;
    let measured = async |path: &str, body: &Value| {
        // First the function starts, and reads the keys and the rules.
        evaluate(&product, &tenant.admin_token, path, body).await;
        product.records();
        let answer = evaluate(&product, &tenant.admin_token, path, body).await;
        let records = product.records();
        let operations: Vec<_> = records.iter().map(|record| record.operation.clone()).collect();
        (answer, operations, records.iter().map(|record| record.read_units).sum::<f64>())
    };
    let subject = |place: u32| json!({ "type": "user", "id": tenant.member(place).uuid() });
    let resource = json!({ "type": "invoice", "id": "inv-7" });
    let own = json!({ "subject": subject(1), "action": { "name": "read" }, "resource": resource });
    let of_another = json!({ "subject": subject(3), "action": { "name": "read" }, "resource": resource });
    // The tenant and the caller; and the other member.
    let (answer, operations, units) = measured("evaluation", &own).await;
    assert_eq!((answer["decision"].clone(), operations.join(" ").as_str(), units), (json!(false), "BatchGetItem", 2.0));
    let (_, operations, units) = measured("evaluation", &of_another).await;
    assert_eq!((operations.join(" ").as_str(), units), ("BatchGetItem", 3.0));

    let evaluations: Vec<Value> = (0..100).map(|place| json!({ "subject": subject(place) })).collect();
    let many = json!({ "action": { "name": "read" }, "resource": resource, "evaluations": evaluations });
    let (answer, operations, units) = measured("evaluations", &many).await;
    assert_eq!(answer["evaluations"].as_array().unwrap().len(), 100);
    // DynamoDB gives 100 items at once: these are 101, the caller being one of those who are asked about.
    assert_eq!((operations.join(" ").as_str(), units), ("BatchGetItem BatchGetItem", 101.0));
    product.server.shutdown().await;
}

/// As by the call: what does not exist is told only to those who may do the rest.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_is_told_only_if_it_is_allowed() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let change = json!({ "roles": ["nobody-has-this"] });
    let resource = json!({ "type": "member", "id": user(3) });
    let question = |subject: u32| json!({ "subject": user(subject), "action": "assign-role", "resource": resource, "change": change });
    assert_eq!(check(&product, &owner, question(4)).await["rule"], "not-permitted");
    let told = product.users(&owner, ACME, ("POST", "/v1/check"), &[], Some(question(1))).await;
    assert_eq!((told.status, told.json()["code"].clone()), (422, json!("invalid_roles")));

    let item = |subject: u32| json!({ "subject": { "type": "user", "id": user(subject) }, "action": { "name": "assign-role", "properties": change } });
    let many: serde_json::Map<_, _> = (0..101).map(|it| (format!("p{it}"), json!(it))).collect();
    let asked = json!({
        "resource": resource,
        "evaluations": [item(4), item(1), { "subject": { "type": "user", "id": user(1), "properties": many }, "action": { "name": "read" } }],
    });
    let answers = evaluate(&product, &owner, "evaluations", &asked).await["evaluations"].clone();
    assert_eq!(answers[0], json!({ "decision": false, "context": { "rule": "not-permitted" } }));
    for answer in [&answers[1], &answers[2]] {
        assert_eq!(
            (&answer["decision"], &answer["context"]["error"]["status"]),
            (&json!(false), &json!(400)),
            "{answer}"
        );
    }
    product.server.shutdown().await;
}

/// The semantics of many questions, as OpenID AuthZEN has them.
#[tokio::test(flavor = "multi_thread")]
async fn many_questions_are_answered_as_asked() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let allowed = json!({ "action": { "name": "write" } });
    let denied = json!({ "action": { "name": "fly" } });
    let asked = async |evaluations: Value, semantic: Option<&str>| {
        let mut body = json!({
            "subject": { "type": "user", "id": user(4) }, "resource": { "type": "billing", "id": "7" },
            "evaluations": evaluations,
        });
        if let Some(semantic) = semantic {
            body["options"] = json!({ "evaluations_semantic": semantic });
        }
        let answer = evaluate(&product, &owner, "evaluations", &body).await;
        let answers = answer["evaluations"].as_array().unwrap().iter();
        answers.map(|answer| answer["decision"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    let mixed = json!([allowed, denied, allowed, denied]);
    assert_eq!(asked(mixed.clone(), None).await, [true, false, true, false]);
    assert_eq!(asked(mixed.clone(), Some("execute_all")).await, [true, false, true, false]);
    assert_eq!(asked(mixed.clone(), Some("deny_on_first_deny")).await, [true, false]);
    assert_eq!(asked(mixed, Some("permit_on_first_permit")).await, [true]);
    let denials = json!([denied, denied]);
    assert_eq!(asked(denials.clone(), Some("permit_on_first_permit")).await, [false, false]);
    assert_eq!(asked(denials, Some("deny_on_first_deny")).await, [false]);
    // A part of an item replaces the shared part as a whole.
    let own = json!([{ "subject": { "type": "user", "id": user(3) }, "action": { "name": "write" } }]);
    assert_eq!(asked(own, None).await, [false]);
    // A number of a role is no subject.
    let role =
        json!([{ "subject": { "type": "user", "id": RoleId::new(1).uuid_in(ACME) }, "action": { "name": "write" } }]);
    assert_eq!(asked(role, None).await, [false]);
    product.server.shutdown().await;
}

/// The properties of a question narrow it by the tenant's own policies, in both forms of the question.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_tenant_sees_what_the_service_says() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let text = r#"@notice("Closed in December.") forbid (principal, action == Action::"permission:use", resource)
        when { context.resource.hasTag("status") && context.resource.getTag("status").contains("closed") }
        unless { context.request.hasTag("emergency") && context.request.getTag("emergency").contains("true") };"#;
    product.put_policies(ACME, &[text]).await;
    for (status, context, allowed) in [
        ("open", json!({}), true),
        ("closed", json!({}), false),
        ("closed", json!({ "emergency": true }), true),
        ("closed", json!({ "emergency": "no" }), false),
    ] {
        let resource = json!({ "type": "billing", "id": "7", "properties": { "status": [status] } });
        let question =
            json!({ "subject": user(4), "action": "billing:write", "resource": resource, "context": context });
        let decision = check(&product, &owner, question).await;
        let subject = json!({ "type": "user", "id": user(4) });
        let evaluation =
            json!({ "subject": subject, "action": { "name": "write" }, "resource": resource, "context": context });
        let evaluated = evaluate(&product, &owner, "evaluation", &evaluation).await;
        assert_eq!(decision["allowed"], allowed, "{status}, {context}: {decision}");
        assert_eq!(evaluated["decision"], allowed, "{status}, {context}: {evaluated}");
        if !allowed {
            let (rule, notices) = (json!("tenant-policy-1-0"), json!(["Closed in December."]));
            assert_eq!((&decision["rule"], &decision["notices"]), (&rule, &notices));
            assert_eq!(evaluated["context"], json!({ "rule": rule, "notices": notices }));
        }
    }
    product.server.shutdown().await;
}
