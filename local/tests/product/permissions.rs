//! Each function needs every action of its statements. `events.rs` shows that the statements name every action that it uses.

use serde_json::json;

use crate::harness::{ACME, Product, USER, the_template};

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_removed_from_the_template_is_missed_at_once() {
    for action in the_template()
        .functions
        .iter()
        .flat_map(|it| &it.statements)
        .flat_map(|it| it.actions.clone())
        // Those of Secrets Manager are in `sign_in.rs`.
        .filter(|action| action.starts_with("dynamodb:"))
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
