//! What the record tells of one person, and to whom.

use serde_json::{Value, json};
use shared::id::UserId;

use super::{ACME, Product, USER, get, ids, pages};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_what_is_on_record_of_themselves() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let user = product.access("acme", "user@acme.example").await;
    let call = async |token: &str, method: &str, path: &str, body: Value| {
        let reply = product.users(token, ACME, (method, path), &[], Some(body)).await;
        assert!(reply.status < 300, "{method} {path}: {reply:?}");
    };
    let (own, manager) = (format!("/v1/users/{}", USER.uuid()), UserId::new(8));
    let other = format!("/v1/users/{}", manager.uuid());
    // As an admin, they change somebody else. The product tells of both.
    call(&owner, "PATCH", &own, json!({ "roles": ["admin"] })).await;
    call(&user, "PATCH", &other, json!({ "first_name": "Zdenka" })).await;
    call(&owner, "PATCH", &own, json!({ "roles": ["user"] })).await;
    for (id, who) in [("7", USER), ("8", manager)] {
        let data = json!({ "number": format!("no. {id}") });
        let sent = json!({ "type": "invoice", "id": id, "action": "sent", "user": who.uuid(), "data": data });
        call(&owner, "POST", "/v1/events", sent).await;
    }

    let me = (user.as_str(), ACME);
    let of_member = get(&product, me, "/v1/users/me/events").await;
    let of_member = of_member["data"].as_array().unwrap();
    assert_eq!(get(&product, me, "/v1/users/me/events/verify").await["is_intact"], true);
    let of_person = pages(&product, me, "/v1/users/me/events?scope=person&limit=100").await.concat();
    let of = |kind: &str, id: &str| -> Vec<Value> {
        let subject = json!({ "kind": kind, "id": id });
        of_person.iter().filter(|event| event["subject"] == subject).cloned().collect()
    };
    assert!(of_member.len() > 2);
    assert_eq!(of("member", &USER.uuid().to_string()), *of_member);
    let [invoice] = &of("thing", "invoice:7")[..] else { panic!("{of_person:?}") };
    assert_eq!(invoice["changes"]["data"]["to"], json!({ "number": "no. 7" }));
    assert_eq!(of("thing", "invoice:8"), Vec::<Value>::new());
    // They did it, and see of whom. The name is another person's.
    let [renamed] = &of("member", &manager.uuid().to_string())[..] else { panic!("{of_person:?}") };
    assert_eq!(renamed["changes"]["first_name"], json!({ "from": null, "to": null, "is_erased": true }));

    // Who may read the record sees the same events whole. Nobody else sees anything of others.
    let scope = format!("{own}/events?scope=person&limit=100");
    let whole = pages(&product, (&owner, ACME), &scope).await.concat();
    assert_eq!(ids(&whole), ids(&of_person));
    let found = whole.iter().find(|event| event["id"] == renamed["id"]).unwrap();
    assert_eq!(found["changes"]["first_name"]["to"], "Zdenka");
    let ask = async |path: &str| product.users(&user, ACME, ("GET", path), &[], None).await.status;
    for path in ["/v1/events", &format!("{other}/events"), &format!("{other}/events?scope=person")] {
        assert_eq!(ask(path).await, 403, "{path}");
    }
    assert_eq!(ask("/v1/users/me/events?scope=all").await, 400);
}
