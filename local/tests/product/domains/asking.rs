//! Asking to join by `POST /v1/join-requests`, and coming back after a removal.

use super::*;

const AT_ONCE: &str = "you need not ask to join this tenant: exchange the token at `POST /oauth/token`";

async fn asks(product: &Product, slug: &str, email: &str) -> (u16, Value) {
    let token = issuer::id_token(&product.store, email, &json!({}), shared::now()).await.unwrap();
    let body = json!({ "subject_token": token, "audience": slug });
    let headers = [("content-type", "application/json")];
    let reply = product.call("POST", "/v1/join-requests", &headers, body.to_string()).await;
    (reply.status, reply.json())
}

fn is_refused((status, answer): (u16, Value), expected: u16, text: &str) {
    assert_eq!((status, &answer["error_description"]), (expected, &json!(text)), "{answer}");
}

/// Claims and verifies the domain of the tests, at which people ask to join. Returns its path.
async fn verified(product: &Product, zone: &Zone, owner: &By<'_>) -> String {
    let (path, claimed) = owner.claims("corp.example", json!({ "join": "on_approval" })).await;
    put(zone, &claimed);
    look(product).await;
    owner.does(200, "POST", &format!("{path}/verify"), None).await;
    path
}

/// Who asks to join, by the ids and the addresses.
async fn listed(owner: &By<'_>) -> Vec<(Value, Value)> {
    let list = owner.does(200, "GET", "/v1/join-requests", None).await;
    list["data"].as_array().unwrap().iter().map(|line| (line["id"].clone(), line["email"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_ask_without_signing_in() {
    let (product, zone) = product().await;
    let (tenant, owner) = owner(&product, "wish").await;
    let asking = async |email: &str| asks(&product, "wish", email).await;
    is_refused(asking("ann@corp.example").await, 403, DENIED);
    let path = verified(&product, &zone, &owner).await;

    // The answer says nothing of the tenant's inside, and is the same one again, also of several calls at once.
    let (status, anns) = asking("ann@corp.example").await;
    assert_eq!((status, &anns["status"]), (202, &json!("pending")), "{anns}");
    let members: Vec<&String> = anns.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 3, "{members:?}");
    assert_eq!(asking("ann@corp.example").await, (202, anns.clone()));
    let replies = join_all((0..4).map(|_| asks(&product, "wish", "bob@corp.example"))).await;
    assert!(replies.iter().all(|reply| *reply == replies[0] && reply.0 == 202), "{replies:?}");
    let bobs = &replies[0].1;
    let expected = [(&anns, "ann@corp.example"), (bobs, "bob@corp.example")];
    assert_eq!(listed(&owner).await, expected.map(|(request, email)| (request["id"].clone(), json!(email))));
    let waits = sign_in(&product, "wish", "ann@corp.example", json!({})).await;
    is_refused((waits.status, waits.json()), 403, WAITS);
    // Nobody learns which tenants there are.
    is_refused(asking("eva@other.example").await, 403, DENIED);
    is_refused(asks(&product, "nowhere", "ann@corp.example").await, 403, DENIED);
    assert_eq!(listed(&owner).await.len(), 2);

    // Who was refused asks no more. Who was let in need not ask.
    let answered = async |request: &Value, answer: &str| {
        let path = format!("/v1/join-requests/{}/{answer}", request["id"].as_str().unwrap());
        owner.call("POST", &path, (answer == "approve").then(|| json!({}))).await.status
    };
    assert_eq!(answered(bobs, "refuse").await, 200);
    is_refused(asking("bob@corp.example").await, 403, DENIED);
    assert_eq!(answered(&anns, "approve").await, 201);
    is_refused(asking("ann@corp.example").await, 409, AT_ONCE);
    assert_eq!(sign_in(&product, "wish", "ann@corp.example", json!({})).await.status, 200);
    is_refused(asking("ann@corp.example").await, 409, AT_ONCE);

    // Where people join at once, the question makes nobody a member.
    owner.does(200, "PATCH", &path, Some(json!({ "join": "at_once" }))).await;
    is_refused(asking("fay@corp.example").await, 409, AT_ONCE);
    is_refused(asking("bob@corp.example").await, 403, DENIED);
    assert_eq!(sign_in(&product, "wish", "bob@corp.example", json!({})).await.status, 403);
    assert_eq!(owner.does(200, "GET", "/v1/users?q=fay", None).await["data"], json!([]));
    assert_eq!(sign_in(&product, "wish", "fay@corp.example", json!({})).await.status, 200);
    owner.does(200, "PATCH", &path, Some(json!({ "join": "no" }))).await;
    is_refused(asking("gus@corp.example").await, 403, DENIED);
    assert_eq!(product.tenant(tenant.id).await.numbers.join_requests, 2, "nobody else has asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_asks_and_comes_back() {
    let (product, zone) = product().await;
    let (tenant, owner) = owner(&product, "back").await;
    let path = verified(&product, &zone, &owner).await;
    let made = async |email: &str| {
        let made = owner.does(201, "POST", "/v1/users", Some(json!({ "email": email, "status": "active" }))).await;
        (format!("/v1/users/{}", made["id"].as_str().unwrap()), made)
    };
    let (ann, made_ann) = made("ann@corp.example").await;
    // This one never signs in.
    let (zoe, _) = made("zoe@corp.example").await;
    owner.does(204, "DELETE", &zoe, None).await;
    let comes = async || {
        let reply = sign_in(&product, "back", "ann@corp.example", json!({})).await;
        (reply.status, reply.json())
    };
    // The issuer's `sub` is known from now on.
    assert_eq!(comes().await.0, 200);

    // Who is deactivated is a member, and asks nothing.
    owner.does(200, "PATCH", &ann, Some(json!({ "status": "deactivated" }))).await;
    is_refused(comes().await, 403, DENIED);
    is_refused(asks(&product, "back", "ann@corp.example").await, 403, DENIED);
    assert!(listed(&owner).await.is_empty());

    owner.does(204, "DELETE", &ann, None).await;
    is_refused(comes().await, 403, WAITS);
    is_refused(comes().await, 403, WAITS);
    let waiting = listed(&owner).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let (status, asked) = asks(&product, "back", "ann@corp.example").await;
    assert_eq!((status, &asked["id"]), (202, &waiting[0].0));
    let approve = format!("/v1/join-requests/{}/approve", asked["id"].as_str().unwrap());
    let member = owner.does(201, "POST", &approve, Some(json!({}))).await;
    assert_eq!((&member["id"], &member["status"]), (&made_ann["id"], &json!("active")));
    let (status, tokens) = comes().await;
    assert_eq!(status, 200, "{tokens}");
    let as_ann = By(&product, tenant.id, tokens["access_token"].as_str().unwrap().to_owned());
    assert_eq!(as_ann.does(200, "GET", "/v1/users/me", None).await["id"], made_ann["id"]);

    // Nobody comes back without an answer. Who is back already is not let in once more.
    owner.does(204, "DELETE", &ann, None).await;
    let (status, asked) = asks(&product, "back", "ann@corp.example").await;
    assert_eq!(status, 202, "{asked}");
    owner.does(200, "PATCH", &path, Some(json!({ "join": "at_once" }))).await;
    is_refused(comes().await, 403, DENIED);
    is_refused(asks(&product, "back", "ann@corp.example").await, 403, DENIED);
    is_refused(asks(&product, "back", "zoe@corp.example").await, 403, DENIED);
    assert_eq!(sign_in(&product, "back", "zoe@corp.example", json!({})).await.status, 403);
    owner.does(200, "POST", &format!("{ann}/restore"), None).await;
    let approve = format!("/v1/join-requests/{}/approve", asked["id"].as_str().unwrap());
    assert_eq!(owner.does(409, "POST", &approve, Some(json!({}))).await["code"], "already_exists");
}
