//! Each function may do what its statements say, and needs all of it.

use serde_json::json;
use shared::model::role;

use crate::harness::{ACME, Dialects, Product, USER, the_template};

/// What each function sends in a call that changes a role, as seen by the front.
#[tokio::test(flavor = "multi_thread")]
async fn functions_are_granted_exactly_the_actions_that_they_use() {
    let product = Product::start().await;
    let calls = Dialects::new(&product).await;
    for function in &product.template.functions {
        product.server.take_records();
        for role in [role::ADMIN, role::USER] {
            let reply = calls.set_role(&function.name, role).await;
            assert_eq!(reply.status, 200, "{}: {reply:?}", function.name);
        }
        let records = product.server.take_records();
        let mine = records.iter().filter(|record| record.function.as_deref() == Some(&function.name));
        let used: Vec<String> = mine
            .flat_map(|record| record.actions.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let mut granted: Vec<String> = function.statements.iter().flat_map(|it| it.actions.clone()).collect();
        granted.sort();
        assert_eq!(used, granted, "{}", function.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_removed_from_the_template_is_missed_at_once() {
    for action in the_template()
        .functions
        .iter()
        .flat_map(|it| &it.statements)
        .flat_map(|it| it.actions.clone())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let product = Product::start_with(|options| {
            for statement in options.template.functions.iter_mut().flat_map(|it| &mut it.statements) {
                statement.actions.retain(|granted| *granted != action);
            }
        })
        .await;
        let token = product.access("acme", "admin@acme.example").await;
        let replies = [
            product.put_user(&token, ACME, USER, &[], json!({ "roles": ["admin"] })).await,
            product.put_user(&token, ACME, USER, &[], json!({ "roles": ["user"] })).await,
        ];
        let refused =
            replies.iter().find(|reply| reply.status != 200).unwrap_or_else(|| panic!("{action} is not needed"));
        assert_eq!(refused.status, 500, "{action}");
        assert_eq!(refused.json()["code"], "internal");
        let lines = product.lines.lock().unwrap().join("\n");
        assert!(lines.contains("AccessDeniedException"), "{lines}");
        assert!(lines.contains("users-update") && lines.contains(&action), "{lines}");
    }
}
