//! The scenario of AuthZEN's certification: its people, its records, and the answer to each of its questions.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::id::UserId;

use crate::harness::{ACME, Product};
use crate::searches::{ask, change, found};

const ALICE: UserId = UserId::new(3);
const BOB: UserId = UserId::new(4);

/// What the permissions do not say. Bob, the archivist, writes archived records only, and nobody else who is no admin does. Deletion
/// is soft.
const POLICIES: [&str; 3] = [
    r#"forbid (principal, action == Action::"permission:use", resource)
    when { context.permission == "record:write" && principal.roles.contains("archivist") }
    unless { context.resource.hasTag("status") && context.resource.getTag("status").contains("archived") };"#,
    r#"forbid (principal, action == Action::"permission:use", resource)
    when {
      context.permission == "record:write" && context.resource.hasTag("status") &&
      context.resource.getTag("status").contains("archived")
    }
    unless { context.subject.hasTag("role") && context.subject.getTag("role").contains("admin") };"#,
    r#"forbid (principal, action == Action::"permission:use", resource)
    when { context.permission == "record:delete" }
    unless { context.action.hasTag("soft") && context.action.getTag("soft").contains("true") };"#,
];

fn subject(user: UserId) -> Value {
    json!({ "type": "user", "id": user.uuid() })
}

fn record(number: u32) -> Value {
    let status = if number == 1 { "active" } else { "archived" };
    json!({ "type": "record", "id": format!("record-{number}"), "properties": { "status": status } })
}

async fn fixture(product: &Product, owner: &str) {
    for (user, role, actions, metadata) in [
        (ALICE, "clerk", &["read", "write", "delete"][..], json!({})),
        (BOB, "archivist", &["read", "write"], json!({ "role": "admin" })),
    ] {
        let permissions: Vec<_> = actions.iter().map(|action| json!({ "name": format!("record:{action}") })).collect();
        let new = json!({ "name": role, "rank": 1, "permissions": permissions });
        change(product, ACME, owner, ("POST", "/v1/roles"), new).await;
        let edit = json!({ "roles": [role], "metadata": metadata });
        change(product, ACME, owner, ("PATCH", &format!("/v1/users/{}", user.uuid())), edit).await;
    }
    product.put_policies(ACME, &POLICIES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_of_the_certification_gets_its_answer() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    fixture(&product, &owner).await;

    let question = |user, action: Value, number| {
        let action = if action.is_string() { json!({ "name": action }) } else { action };
        json!({ "subject": subject(user), "action": action, "resource": record(number) })
    };
    let delete = |soft: bool| json!({ "name": "delete", "properties": { "soft": soft } });
    let mut as_admin = question(BOB, json!("write"), 2);
    as_admin["subject"]["properties"] = json!({ "role": "admin" });
    let questions = [
        (question(ALICE, json!("read"), 1), true),
        (question(ALICE, json!("write"), 1), true),
        (question(BOB, json!("read"), 1), true),
        (question(BOB, json!("write"), 1), false),
        (question(ALICE, json!("write"), 2), false),
        (as_admin, true),
        // What the table knows of him counts, if the service says nothing.
        (question(BOB, json!("write"), 2), true),
        (question(ALICE, delete(true), 1), true),
        (question(ALICE, delete(false), 1), false),
    ];
    let is_answer = |answer: &Value, decision: bool| assert_eq!(answer["decision"], decision, "{answer}");
    for (number, (question, decision)) in (1..).zip(&questions) {
        let mut odd = question.clone();
        for part in ["subject", "action", "resource"] {
            odd[part]["unknown"] = json!([1]);
            odd[part]["properties"]["more"] = json!({ "of": "it" });
        }
        odd["unknown"] = json!({});
        odd["context"] = json!({ "time": "2026-11-29T00:00:00Z" });
        // The same question gets the same answer; and what is not known changes nothing.
        for asked in [question, question, question, &odd] {
            let reply = ask(&product, &owner, "evaluation", asked).await;
            assert_eq!(reply.status, 200, "{number}: {reply:?}");
            is_answer(&reply.json(), *decision);
        }
    }
    let items: Vec<&Value> = questions.iter().map(|(question, _)| question).collect();
    let batch = ask(&product, &owner, "evaluations", &json!({ "evaluations": items })).await.json();
    assert_eq!(batch.get("decision"), None);
    let answers = batch["evaluations"].as_array().unwrap();
    assert_eq!(answers.len(), questions.len());
    answers.iter().zip(&questions).for_each(|(answer, (_, decision))| is_answer(answer, *decision));
    // An empty list is one question.
    let mut single = questions[0].0.clone();
    single["evaluations"] = json!([]);
    is_answer(&ask(&product, &owner, "evaluations", &single).await.json(), true);

    for (name, resource, expected) in
        [("read", record(1), vec![ALICE, BOB]), ("write", record(1), vec![ALICE]), ("write", record(2), vec![BOB])]
    {
        let search = json!({ "subject": { "type": "user" }, "action": { "name": name }, "resource": resource });
        for limit in [1, 50] {
            let mut subjects = found(&product, &owner, "subject", &search, limit).await;
            // The owner has every permission, and no attribute.
            subjects.retain(|it| *it != subject(UserId::new(1)));
            assert_eq!(subjects, expected.iter().map(|user| subject(*user)).collect::<Vec<_>>(), "{name}, {resource}");
        }
    }
    for (user, number, expected) in [(ALICE, 1, ["read", "write"]), (BOB, 2, ["read", "write"])] {
        let search = json!({ "subject": subject(user), "resource": record(number) });
        let actions = found(&product, &owner, "action", &search, 1).await;
        let names: BTreeSet<&str> = actions.iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected.into(), "{actions:?}");
        assert!(actions.iter().all(|it| it.as_object().unwrap().len() == 1), "{actions:?}");
    }
    product.server.shutdown().await;
}
