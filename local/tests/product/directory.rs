//! The limits of the directory, and ids of other tenants: each of them is answered like an id that nothing has.

use local::store;
use serde_json::{Value, json};
use shared::domain::group::MAX_GROUPS;
use shared::domain::tenant::Counts;
use shared::domain::{Group, Tenant};
use shared::id::{GroupId, LabelId, RoleId, TenantId, UserId};
use shared::table::encode;
use shared::table::key::TenantKeys;

use crate::harness::{ACME, Product};

const GLOBEX: TenantId = TenantId::new(2);

/// Ids by their kinds.
struct Ids {
    user: String,
    role: String,
    group: String,
    label: String,
}

/// The calls of our own API with an id in every position. `<user>` stands for the id of a user.
const CALLS: [(&str, &str, &str); 23] = [
    ("GET", "/v1/users/<user>", ""),
    ("GET", "/v1/users/<user>/permissions", ""),
    ("PUT", "/v1/users/<user>", r#"{"name": "X"}"#),
    ("PATCH", "/v1/users/<user>", r#"{"metadata": {"a": "b"}}"#),
    ("PATCH", "/v1/users/me", r#"{"groups": [{"id": "<group>"}]}"#),
    ("PATCH", "/v1/users/me", r#"{"label": "<label>"}"#),
    ("PATCH", "/v1/users/me", r#"{"roles": ["<role>"]}"#),
    ("DELETE", "/v1/users/<user>", ""),
    ("POST", "/v1/users/<user>/restore", ""),
    ("PUT", "/v1/users/<user>/roles/<role>", ""),
    ("PUT", "/v1/users/me/roles/<role>", ""),
    ("DELETE", "/v1/users/me/roles/<role>", ""),
    ("PUT", "/v1/users/me/groups/<group>", ""),
    ("DELETE", "/v1/users/me/groups/<group>", ""),
    ("GET", "/v1/users?group=<group>", ""),
    ("GET", "/v1/users?role=<role>", ""),
    ("POST", "/v1/users", r#"{"email": "n@acme.example", "roles": ["<role>"], "groups": [{"id": "<group>"}]}"#),
    ("GET", "/v1/roles/<role>", ""),
    ("PATCH", "/v1/roles/<role>", r#"{"description": "X"}"#),
    ("DELETE", "/v1/roles/<role>", ""),
    ("PATCH", "/v1/groups/<group>", r#"{"confers": ["<role>"]}"#),
    ("DELETE", "/v1/labels/<label>", ""),
    ("POST", "/v1/tenant/transfer-ownership", r#"{"to": "<user>"}"#),
];

impl Ids {
    fn of(user: u32, tenant: TenantId, number: u32) -> Self {
        Self {
            user: UserId::new(user).uuid().to_string(),
            role: RoleId::new(number).uuid_in(tenant).to_string(),
            group: GroupId::new(number).uuid_in(tenant).to_string(),
            label: LabelId::new(number).uuid_in(tenant).to_string(),
        }
    }

    fn fill(&self, text: &str) -> String {
        let all = [("<user>", &self.user), ("<role>", &self.role), ("<group>", &self.group), ("<label>", &self.label)];
        all.into_iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    /// A text with all of them taken out.
    fn hide(&self, text: &str) -> String {
        let all = [&self.user, &self.role, &self.group, &self.label];
        all.into_iter().fold(text.to_owned(), |text, id| text.replace(id.as_str(), "<id>"))
    }
}

/// Globex has a role, a group and a label with these numbers, and its owner is no member of acme.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_answered_like_ids_that_do_not_exist() {
    let product = Product::start().await;
    let others = product.access("globex", "owner@globex.example").await;
    for (path, count) in [("/v1/roles", 4), ("/v1/groups", 7), ("/v1/labels", 7)] {
        for number in 0..count {
            let body = json!({ "name": format!("Globex {number}") });
            let made = product.users(&others, GLOBEX, ("POST", path), &[], Some(body)).await;
            assert_eq!(made.status, 201, "{path}");
        }
    }
    // Of these numbers acme has none.
    let (foreign, none) = (Ids::of(6, GLOBEX, 7), Ids::of(99, ACME, 77));
    let owner = product.access("acme", "owner@acme.example").await;
    for (method, path, body) in CALLS {
        let answer = async |ids: &Ids| {
            let body = (!body.is_empty()).then(|| serde_json::from_str(&ids.fill(body)).unwrap());
            let reply = product.users(&owner, ACME, (method, &ids.fill(path)), &[], body).await;
            assert!(reply.status >= 400 || reply.json()["data"] == json!([]), "{method} {path}: {}", reply.json());
            (reply.status, ids.hide(&reply.json().to_string()))
        };
        assert_eq!(answer(&foreign).await, answer(&none).await, "{method} {path} {body}");
    }
    let untouched = product.users(&others, GLOBEX, ("GET", "/v1/groups"), &[], None).await;
    let versions =
        untouched.json()["data"].as_array().unwrap().iter().map(|it| it["version"].clone()).collect::<Vec<_>>();
    assert_eq!(versions, vec![json!(1); 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_can_be_only_so_many() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let call = async |method: &str, path: &str, body: Value| {
        product.users(&owner, ACME, (method, path), &[], Some(body)).await
    };
    let user = format!("/v1/users/{}", UserId::new(3).uuid());

    let metadata = |keys: std::ops::Range<u32>| {
        let pairs = keys.map(|key| (format!("key {key}"), json!("x".repeat(500))));
        json!({ "metadata": pairs.collect::<serde_json::Map<_, _>>() })
    };
    assert_eq!(call("PATCH", &user, metadata(0..50)).await.status, 200);
    assert_eq!(call("PATCH", &user, metadata(0..51)).await.status, 400, "in one request");
    let over = call("PATCH", &user, metadata(50..51)).await;
    assert_eq!(
        (over.status, &over.json()["code"]),
        (422, &json!("limit_reached")),
        "together with those that are there"
    );
    let swapped = json!({ "metadata": { "key 0": null, "key 50": "" } });
    assert_eq!(call("PATCH", &user, swapped).await.status, 200);
    for wrong in [json!({ "k".repeat(41): "" }), json!({ "k": "x".repeat(501) }), json!({ "k": 1 }), json!([])] {
        assert_eq!(call("PATCH", &user, json!({ "metadata": wrong })).await.status, 400, "{wrong}");
    }

    let tenant = product.tenant(ACME).await;
    let full = Tenant { counts: Counts { groups: MAX_GROUPS as u32, labels: 1_000 }, ..tenant.clone() };
    product.store.put(encode(&TenantKeys(ACME).tenant(), None, &full).unwrap()).await.unwrap();
    for path in ["/v1/groups", "/v1/labels"] {
        let over = call("POST", path, json!({ "name": "One more" })).await;
        assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")), "{path}");
    }
    product.store.put(encode(&TenantKeys(ACME).tenant(), None, &tenant).unwrap()).await.unwrap();
    assert_eq!(call("POST", "/v1/groups", json!({ "name": "One more" })).await.status, 201);
    let now = product.tenant(ACME).await;
    assert_eq!((now.counts.groups, now.numbers.groups), (3, 3));
    assert_eq!(
        (now.catalog_version, now.names_version),
        (tenant.catalog_version, tenant.names_version),
        "nobody reads anew"
    );
}

/// A person who comes back by `restore` has what they had; one who is added again has what the request says, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_in_many_groups_leaves_and_comes_back() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let call = async |method: &str, path: &str, body: Option<Value>, status: u16| {
        let reply = product.users(&owner, ACME, (method, path), &[], body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.json());
        reply.json()
    };
    let groups: Vec<Group> =
        (100..220).map(|it| Group::new(GroupId::new(it), &format!("Group {it}"), shared::now())).collect();
    let mut member = product.member(ACME, UserId::new(3)).await;
    member.groups.extend(groups.iter().map(|group| group.id));
    member.metadata.insert("shoe".to_owned(), "38".to_owned());
    member.external_id = Some("hr-3".to_owned());
    let items = groups.iter().flat_map(|group| store::record_items(ACME, group, shared::now()).unwrap());
    let items = items.chain(store::record_items(ACME, &member, shared::now()).unwrap());
    product.server.import(items.collect()).unwrap();

    let user = format!("/v1/users/{}", UserId::new(3).uuid());
    let of_last = format!("/v1/users?group={}", groups[0].id.uuid_in(ACME));
    assert_eq!(call("GET", &of_last, None, 200).await["data"].as_array().unwrap().len(), 1);
    call("DELETE", &user, None, 204).await;
    assert_eq!(call("GET", &of_last, None, 200).await["data"], json!([]));
    // Another takes the external id, and gives it back.
    let other = format!("/v1/users/{}", UserId::new(4).uuid());
    call("PATCH", &other, Some(json!({ "external_id": "hr-3" })), 200).await;
    assert_eq!(call("POST", &format!("{user}/restore"), None, 409).await["code"], "already_exists");
    call("PATCH", &other, Some(json!({ "external_id": null })), 200).await;
    let restored = call("POST", &format!("{user}/restore"), None, 200).await;
    assert_eq!((restored["groups"].as_array().unwrap().len(), &restored["metadata"]["shoe"]), (121, &json!("38")));
    assert_eq!(restored["external_id"], "hr-3");
    assert_eq!(call("GET", &of_last, None, 200).await["data"].as_array().unwrap().len(), 1);

    call("DELETE", &user, None, 204).await;
    let added = call("POST", "/v1/users", Some(json!({ "email": "user@acme.example" })), 201).await;
    assert_eq!((&added["groups"], &added["metadata"], &added["name"]), (&json!([]), &json!({}), &json!("")));
    assert_eq!(
        (&added["external_id"], &added["label"], &added["status"]),
        (&json!(null), &json!(null), &json!("invited"))
    );
    assert_eq!(call("GET", &of_last, None, 200).await["data"], json!([]), "an old edge makes nobody a member");

    // A tenant that takes no such address takes nobody back with one.
    call("DELETE", &user, None, 204).await;
    call("PATCH", "/v1/tenant", Some(json!({ "settings": { "allowed_domains": ["acme.test"] } })), 200).await;
    assert_eq!(call("POST", &format!("{user}/restore"), None, 422).await["code"], "domain_not_allowed");
}

/// Two callers who make a group of the same name, and sixteen who make groups at once: each number is one group's.
#[tokio::test(flavor = "multi_thread")]
async fn things_made_at_once_have_numbers_and_names_of_their_own() {
    let product = Product::start().await;
    let owner = product.access("acme", "owner@acme.example").await;
    let make = async |name: String| {
        let body = json!({ "name": name });
        product.users(&owner, ACME, ("POST", "/v1/groups"), &[], Some(body)).await
    };
    let names = (0..24).map(|number| format!("Group {}", number / 2));
    let replies = futures_util::future::join_all(names.map(make)).await;
    let made: Vec<_> =
        replies.iter().filter(|reply| reply.status == 201).map(|reply| reply.json()["number"].clone()).collect();
    assert!(replies.iter().all(|reply| matches!(reply.status, 201 | 409)), "{replies:?}");
    let numbers: std::collections::BTreeSet<_> = made.iter().map(|number| number.as_u64().unwrap()).collect();
    assert_eq!((made.len(), numbers.len(), product.tenant(ACME).await.counts.groups), (12, 12, 14));

    // The same person, added by two at once, is one user.
    let add = async |_| {
        let body = json!({ "email": "twin@acme.example" });
        product.users(&owner, ACME, ("POST", "/v1/users"), &[], Some(body)).await
    };
    let replies = futures_util::future::join_all((0..6).map(add)).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
}
