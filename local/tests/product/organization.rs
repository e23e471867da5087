//! The lists of `organization` over HTTP: several users are added and removed as a whole, and a list leads from page to page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::role;
use shared::id::UserId;

use crate::harness::{NewTenant, Product, Reply};

struct Organization<'a> {
    product: &'a Product,
    tenant: &'a NewTenant,
}

impl Organization<'_> {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let bearer = format!("Bearer {}", self.tenant.owner_token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = body.map_or(String::new(), |body| body.to_string());
        let path = format!("/api/v1/organizations/{}{path}", self.tenant.id);
        self.product.call(method, &path, &headers, body).await
    }

    /// The body of an answer with that status.
    async fn does(&self, status: u16, method: &str, path: &str, body: Value) -> Value {
        let reply = self.send(method, path, Some(body)).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.json());
        reply.json()
    }

    /// The numbers of all users, over pages of so many, by the links from page to page.
    async fn users(&self, limit: usize) -> Vec<u32> {
        let (mut users, mut query) = (Vec::new(), format!("?limit={limit}"));
        loop {
            let page = self.send("GET", &format!("/users{query}"), None).await;
            assert_eq!(page.status, 200, "{}", page.json());
            let listed = numbers(&page.json());
            assert!(listed.len() <= limit);
            users.extend(listed);
            let Some(link) = page.header("link") else { return users };
            query = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        }
    }
}

fn numbers(users: &Value) -> Vec<u32> {
    let ids = users.as_array().unwrap().iter().map(|user| user["user_id"].as_str().unwrap().parse().unwrap());
    ids.map(|id| UserId::from_uuid(id).unwrap().number()).collect()
}

/// Ten users at a place.
fn ten(name: &str) -> Value {
    (0..10).map(|number| json!({ "email": format!("{name}{number}@initech.example"), "project_ids": null })).collect()
}

fn named(numbers: &[u32]) -> Value {
    numbers.iter().map(|number| json!({ "user_id": number.to_string() })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_users_come_and_go_all_or_none() {
    let product = Product::start().await;
    let tenant = product.new_tenant("initech", 2).await;
    let organization = Organization { product: &product, tenant: &tenant };
    let mut everybody = vec![tenant.owner.number(), tenant.admin.number()];
    assert_eq!(organization.users(1).await, everybody);

    // A function takes ten numbers at a time. Three of them go to somebody else in between.
    for name in ["a", "b", "c"] {
        let added = organization.does(200, "PUT", "/users", ten(name)).await;
        assert!(
            added
                .as_array()
                .unwrap()
                .iter()
                .all(|user| user["pending"] == true && user["roles"][0]["role"]["name"] == "user")
        );
        everybody.extend(numbers(&added));
        let one = json!([{ "email": format!("{name}@initech.example") }]);
        everybody.extend(numbers(&organization.does(200, "PUT", "/users", one).await));
    }
    everybody.sort_unstable();
    assert_eq!(everybody.iter().collect::<BTreeSet<_>>().len(), 35, "{everybody:?}");
    for limit in [7, 35, 200] {
        assert_eq!(organization.users(limit).await, everybody, "{limit} a page");
    }
    for number in &everybody[2..] {
        let events = product.events(tenant.id, UserId::new(*number)).await;
        assert_eq!(events.len(), 1, "one event of {number}");
    }

    // One who cannot be added keeps out the others. Their addresses stay free.
    let mut with_a_member = ten("d");
    with_a_member[7]["email"] = "A3@initech.example".into();
    let refused = organization.does(422, "PUT", "/users", with_a_member).await;
    assert_eq!(refused["detail"][0]["loc"], json!(["body", 7, "email"]), "{refused}");
    assert_eq!(organization.users(200).await, everybody);
    everybody.extend(numbers(&organization.does(200, "PUT", "/users", ten("d")).await));
    everybody.sort_unstable();

    // One who must stay keeps the others, too.
    let with_the_owner = named(&[everybody[4], tenant.owner.number(), everybody[5]]);
    let refused = organization.does(409, "PUT", "/users/remove", with_the_owner).await;
    assert_eq!(refused["detail"], "the tenant would be left without an active owner: make somebody else owner first");
    assert_eq!(organization.users(200).await, everybody);

    let gone: Vec<u32> = everybody.drain(2..12).collect();
    organization.does(204, "PUT", "/users/remove", named(&gone)).await;
    assert_eq!(organization.users(200).await, everybody);
    organization.does(422, "PUT", "/users/remove", named(&gone)).await;
    for number in &gone {
        let events = product.events(tenant.id, UserId::new(*number)).await;
        assert_eq!(events[1].changes.keys().collect::<Vec<_>>(), ["deleted_at"]);
    }
    // They come back by their ids.
    let mut back = numbers(&organization.does(200, "PUT", "/users", named(&gone)).await);
    back.extend(everybody.iter().copied());
    back.sort_unstable();
    assert_eq!(organization.users(200).await, back);

    // With ten roles each they are more than one transaction can remove. Five of them are not.
    let mut roles = vec![role::USER.uuid_in(tenant.id).to_string()];
    for number in 0..9 {
        let role = json!({ "name": format!("role {number}"), "permissions": [] });
        let made = product.users(&tenant.owner_token, tenant.id, ("POST", "/v1/roles"), &[], Some(role)).await;
        roles.push(made.json()["id"].as_str().unwrap().to_owned());
    }
    for number in &gone {
        let user = UserId::new(*number);
        let given = product.put_user(&tenant.owner_token, tenant.id, user, &[], json!({ "roles": roles })).await;
        assert_eq!(given.status, 200, "{}", given.json());
    }
    let refused = organization.does(422, "PUT", "/users/remove", named(&gone)).await;
    let what = "Value error, there can be at most 100 items of the table in one change: ask for less at once";
    assert_eq!(refused["detail"][0]["msg"], what);
    assert_eq!(organization.users(200).await, back);
    organization.does(204, "PUT", "/users/remove", named(&gone[..5])).await;
    organization.does(204, "PUT", "/users/remove", named(&gone[5..])).await;
    assert_eq!(organization.users(200).await, everybody);
}
