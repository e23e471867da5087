//! The demo tenants are what the functions make: the same tenant is made by calls, and all items are compared.

use std::collections::{BTreeMap, BTreeSet};

use local::demo;
use local::seed::Seed;
use serde_json::{Map, Value, json};
use shared::domain::{Member, Status};
use shared::id::{TenantId, UserId, issuer_uuid};

use crate::harness::{ACME, Product};

/// What differs between two tenants that are made alike: times, authors, hashes, secrets and how long they are good, and numbers that are given to all
/// tenants together.
const DIFFERENT: [&str; 20] = [
    "salt",
    "secrets",
    "status_since",
    "valid_until",
    "created_at",
    "created_by",
    "updated_at",
    "updated_by",
    "at",
    "author",
    "actor",
    "request",
    "transaction",
    "hash",
    "previous",
    "sessions",
    "head",
    "cursor_secret",
    "catalog_version",
    "names_version",
];

/// The items of a tenant by their keys, as if it were the tenant 0.
async fn items_of(product: &Product, tenant: TenantId) -> BTreeMap<String, Value> {
    let number = tenant.to_string();
    let of_tenant = |text: &str| {
        text == format!("TENANT#{number}")
            || text.starts_with(&format!("TENANT#{number}#"))
            || text == format!("TENANT#{:010}", tenant.number())
    };
    let items = product.items().await.into_iter();
    let items =
        items.filter(|item| ["PK", "SK"].iter().any(|key| of_tenant(item[key]["S"].as_str().unwrap_or_default())));
    // Nobody makes the issuer of the deployment by the API, sessions are those of the tests, and only time makes a failed delivery.
    let of_deployment = issuer_uuid(local::issuer::ISS).to_string();
    let is_of_sign_in = |item: &Value| {
        let keys = ["PK", "SK"].map(|key| item[key]["S"].as_str().unwrap_or_default());
        keys.iter().any(|key| key.contains(&of_deployment))
            || keys[1].starts_with("SESSION#")
            || keys[1].starts_with("UNDELIVERED#")
    };
    let items = items.filter(|item| !is_of_sign_in(item)).map(|mut item| {
        let is_event = item["SK"]["S"].as_str().is_some_and(|sk| sk.starts_with("EVENT#"));
        if let Some(place) = item.get_mut("GSI1SK").filter(|_| is_event) {
            *place = json!("a time");
        }
        strip(&mut item);
        let text = item.to_string().replace(&format!("TENANT#{:010}", tenant.number()), "TENANT#0");
        let text =
            text.replace(&format!("TENANT#{number}"), "TENANT#0").replace(&tenant.uuid().to_string(), "<tenant>");
        let item: Value = serde_json::from_str(&text.replace("acme-twin", "acme")).unwrap();
        (format!("{} {}", item["PK"]["S"].as_str().unwrap(), item["SK"]["S"].as_str().unwrap()), item)
    });
    items.collect()
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !DIFFERENT.contains(&name.as_str()));
            // The numbers of the tenant and of the membership, in items and in their events.
            for name in ["tenant", "id"] {
                let is_number = |it: &Value| it.get("N").is_some() || it["M"]["to"].get("N").is_some();
                if members.get(name).is_some_and(is_number) {
                    members.remove(name);
                }
            }
            if members.get("kind") == Some(&json!({ "S": "tenant" })) {
                members.remove("id");
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

/// The body of a request that adds a member like this one.
fn body_of(product_roles: &BTreeMap<u32, String>, tenant: TenantId, member: &Member) -> Value {
    let group = |id: &shared::id::GroupId| {
        json!({
            "id": id.uuid_in(tenant),
            "is_admin": member.manages.contains(id),
            "is_primary": member.primary_group == Some(*id),
        })
    };
    let mut body = Map::new();
    body.insert("email".to_owned(), json!(member.email));
    body.insert("first_name".to_owned(), json!(member.first_name));
    body.insert("last_name".to_owned(), json!(member.last_name));
    body.insert("language".to_owned(), json!(member.language));
    body.insert("status".to_owned(), json!(member.status));
    let roles: Vec<_> = member.roles.iter().map(|role| &product_roles[&role.number()]).collect();
    body.insert("roles".to_owned(), json!(roles));
    body.insert("groups".to_owned(), member.groups.iter().map(group).collect());
    if let Some(label) = member.profession {
        body.insert("label".to_owned(), json!(label.uuid_in(tenant)));
    }
    body.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tenant_is_what_the_functions_make() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let made = json!({ "name": "Acme", "slug": "acme-twin" });
    let made = product.users(&owner, ACME, ("POST", "/v1/tenants"), &[], Some(made)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let twin = TenantId::new(u32::try_from(made.json()["number"].as_u64().unwrap()).unwrap());
    let token = product.access("acme-twin", "owner@acme.example").await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        let reply = product.users(&token, twin, (method, path), &[], body).await;
        assert!(reply.status < 300, "{method} {path}: {reply:?}");
    };
    // The things of acme, as its owner reads them.
    let read = async |path: &str| product.users(&owner, ACME, ("GET", path), &[], None).await.json();
    let mut roles = BTreeMap::new();
    for role in read("/v1/roles").await["data"].as_array().unwrap() {
        roles.insert(
            u32::try_from(role["number"].as_u64().unwrap()).unwrap(),
            role["name"].as_str().unwrap().to_owned(),
        );
        if role["is_built_in"] == false {
            let names = ["name", "description", "rank", "permissions", "external_id"];
            let body: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), role[*name].clone())).collect();
            call("POST", "/v1/roles", Some(body.into())).await;
        }
    }
    for path in ["/v1/groups?sort=-name", "/v1/labels?sort=-name"] {
        let mut things = read(path).await["data"].as_array().unwrap().clone();
        things.sort_by_key(|thing| thing["number"].as_u64());
        for thing in things {
            call("POST", path.split('?').next().unwrap(), Some(json!({ "name": thing["name"] }))).await;
        }
    }
    for policy in read("/v1/policies").await["data"].as_array().unwrap() {
        let names = ["name", "text", "enabled"];
        let body: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), policy[*name].clone())).collect();
        call("POST", "/v1/policies", Some(body.into())).await;
    }
    for issuer in read("/v1/issuers").await["issuers"].as_array().unwrap() {
        if issuer["of_deployment"] == false {
            let names = ["iss", "audiences", "algorithms", "domains"];
            let body: Map<String, Value> =
                names.iter().map(|name| ((*name).to_owned(), issuer[*name].clone())).collect();
            call("POST", "/v1/issuers", Some(body.into())).await;
        }
    }
    for key in read("/v1/api-keys").await["api_keys"].as_array().unwrap() {
        let body = json!({ "name": key["name"], "roles": key["roles"], "networks": key["networks"] });
        call("POST", "/v1/api-keys", Some(body)).await;
    }
    for webhook in read("/v1/webhooks").await["data"].as_array().unwrap() {
        let names = ["name", "url", "kinds", "changes", "status"];
        let body: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), webhook[*name].clone())).collect();
        call("POST", "/v1/webhooks", Some(body.into())).await;
    }
    // What takes a second call makes a second version.
    let mut later = BTreeSet::new();
    for user in [2, 3, 4, 5, 8, 9].map(UserId::new) {
        let member = product.member(ACME, user).await;
        let body = Member { status: Status::Active, ..member.clone() };
        let body = if member.status == Status::Deactivated { member.clone() } else { body };
        call("POST", "/v1/users", Some(body_of(&roles, twin, &body))).await;
        let path = format!("/v1/users/{}", user.uuid());
        if member.picture.is_some() {
            later.insert(user);
            let picture = read(&path).await["picture"].clone();
            call("PUT", &format!("{path}/picture"), Some(json!({ "picture": picture }))).await;
        }
        if member.deleted_at.is_some() {
            later.insert(user);
            call("DELETE", &path, None).await;
        }
    }
    let (mut ours, mut theirs) = (items_of(&product, ACME).await, items_of(&product, twin).await);
    for items in [&mut ours, &mut theirs] {
        let of_later = |key: &str| later.iter().any(|user| key.starts_with(&format!("TENANT#0#MEMBER#{user} ")));
        items.retain(|key, _| !of_later(key));
        for (key, item) in items.iter_mut() {
            if later.iter().any(|user| key.ends_with(&format!("MEMBER#{:010}", user.number()))) {
                ["version", "authority", "deleted_at"]
                    .iter()
                    .for_each(|name| drop(item.as_object_mut().unwrap().remove(*name)));
            }
        }
    }
    let keys = |items: &BTreeMap<String, Value>| items.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(&keys(&ours) ^ &keys(&theirs), BTreeSet::new());
    for (key, item) in &ours {
        assert_eq!(item, &theirs[key], "{key}");
    }
    assert!(ours.len() > 50, "{}", ours.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_tenant_has_roles_groups_and_names_as_people_have_them() {
    let product = Product::start().await;
    let seed = Seed { slug: "crowd", members: 300, first: 1, lifelike: true };
    let bar = indicatif::ProgressBar::hidden();
    seed.fill(&product.store, shared::now(), &bar, async |items| product.server.import(items)).await.unwrap();
    let (tenant, _) = demo::find(&product.store, "crowd", "member2@crowd.example").await.unwrap();
    let token = product.access("crowd", "member1@crowd.example").await;
    let read = async |path: &str| {
        let reply = product.users(&token, tenant, ("GET", path), &[], None).await;
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.json()
    };
    let mut names = BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = read(&format!("/v1/users?limit=200{cursor}")).await;
        names.extend(page["data"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(names.len() > 250, "people have few names in common: {}", names.len());
    let count = async |path: &str| read(path).await["data"].as_array().unwrap().len();
    assert_eq!((count("/v1/groups").await, count("/v1/labels").await, count("/v1/roles").await), (12, 12, 9));
    for filter in ["role=auditor", "status=invited", "status=deactivated", "q=MAR"] {
        assert!(count(&format!("/v1/users?{filter}")).await > 0, "{filter}");
    }
    let own = product.tenant(tenant).await;
    assert_eq!((own.owners, own.counts.groups, own.numbers.roles), (1, 12, 9));
}
