//! The life of a tenant over HTTP, from its founding to its deletion and back: each change counts from the next request on, and
//! each is on record.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::domain::chain::verify_ended_chain;
use shared::domain::event::Deed;
use shared::domain::{Event, Record, Subject, verify_chain};
use shared::id::TenantId;
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::harness::{ACME, Product, Reply};

/// A caller in a tenant.
struct Session<'a> {
    product: &'a Product,
    tenant: TenantId,
    token: String,
}

impl Session<'_> {
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.product.users(&self.token, self.tenant, (method, path), &[], body).await
    }

    async fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json());
        reply.json()
    }

    /// The body of an answer with that status.
    async fn does(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.send(method, path, body.clone()).await;
        assert_eq!(reply.status, status, "{method} {path} {body:?}: {}", reply.json());
        if status == 201 {
            let place = reply.header("location").unwrap().to_owned();
            assert!(place == "/v1/tenant" || place.ends_with(reply.json()["id"].as_str().unwrap()), "{place}");
        }
        reply.json()
    }

    /// The rule that denies.
    async fn is_denied(&self, rule: &str, method: &str, path: &str, body: Option<Value>) {
        let denied = self.does(403, method, path, body).await;
        assert_eq!(denied["details"]["rule"], rule, "{method} {path}: {denied}");
    }

    /// The names of all things of a list, over its pages of two.
    async fn names(&self, list: &str, name: &str) -> Vec<String> {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        let sign = if list.contains('?') { '&' } else { '?' };
        loop {
            let page = self.get(&format!("{list}{sign}limit=2{cursor}")).await;
            names.extend(page["data"].as_array().unwrap().iter().map(|it| it[name].as_str().unwrap().to_owned()));
            match &page["next_cursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => return names,
            }
        }
    }

    /// All events of a record.
    async fn events(&self, kind: &str, number: &Value) -> Vec<Event> {
        let mut key = TenantKeys(self.tenant).event(&Subject::new(kind, number), 0);
        key.sk = "EVENT#".to_owned();
        let items = self.product.store.query(&key).await.unwrap();
        items.into_iter().map(|item| decode(item).unwrap()).collect()
    }

    /// What the last event of a member changed.
    async fn last_change(&self, user: &Value) -> BTreeSet<String> {
        let user = shared::id::UserId::from_uuid(user["id"].as_str().unwrap().parse().unwrap()).unwrap();
        let events = self.product.events(self.tenant, user).await;
        events.last().unwrap().changes.keys().cloned().collect()
    }
}

fn path(things: &str, thing: &Value) -> String {
    format!("/v1/{things}/{}", thing["id"].as_str().unwrap())
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_lives() {
    let product = Product::start().await;
    // Somebody who is signed in elsewhere makes a tenant.
    let uma = Session { product: &product, tenant: ACME, token: product.access("acme", "user@acme.example").await };
    let body = json!({ "slug": "initech", "name": "Initech" });
    let made = uma.does(201, "POST", "/v1/tenants", Some(body.clone())).await;
    assert_eq!(uma.does(409, "POST", "/v1/tenants", Some(body)).await["code"], "already_exists");
    let tenant = TenantId::new(u32::try_from(made["number"].as_u64().unwrap()).unwrap());
    // They are shown where they have signed in.
    assert_eq!(uma.names("/v1/tenants", "slug").await, ["acme", "initech"]);
    product.access("globex", "user@acme.example").await;
    assert_eq!(uma.names("/v1/tenants", "slug").await, ["acme", "globex", "initech"]);
    let session =
        async |email: &str| Session { product: &product, tenant, token: product.access("initech", email).await };
    let owner = session("user@acme.example").await;
    assert_eq!(owner.get("/v1/tenant").await["owners"], 1);

    // Labels, roles and groups.
    for name in ["Pilot", "Cook", "clerk"] {
        owner.does(201, "POST", "/v1/labels", Some(json!({ "name": name }))).await;
    }
    assert_eq!(owner.does(409, "POST", "/v1/labels", Some(json!({ "name": "PILOT" }))).await["code"], "already_exists");
    assert_eq!(owner.names("/v1/labels", "name").await, ["clerk", "Cook", "Pilot"]);
    let labels = owner.get("/v1/labels").await;
    let [clerk, cook, pilot] = [0, 1, 2].map(|at| labels["data"][at].clone());
    let cook = owner.does(200, "PATCH", &path("labels", &cook), Some(json!({ "name": "Chef" }))).await;
    let flying = json!([{ "name": "member:read" }, { "name": "plane:fly" }]);
    let body = json!({ "name": "flyer", "permissions": flying, "external_id": "f", "metadata": { "a": "b" } });
    let flyer = owner.does(201, "POST", "/v1/roles", Some(body)).await;
    let crew = owner.does(201, "POST", "/v1/groups", Some(json!({ "name": "Crew", "confers": ["flyer"] }))).await;
    let body = json!({ "name": "Ground", "external_id": "g-1", "metadata": { "gate": "7" } });
    let ground = owner.does(201, "POST", "/v1/groups", Some(body.clone())).await;
    assert_eq!(owner.does(409, "POST", "/v1/groups", Some(json!({ "name": "CREW" }))).await["code"], "already_exists");
    let taken = json!({ "name": "Other", "external_id": "g-1" });
    assert_eq!(owner.does(409, "POST", "/v1/groups", Some(taken)).await["code"], "already_exists");
    assert_eq!(owner.names("/v1/groups", "name").await, ["Crew", "Ground"]);
    assert_eq!(owner.names("/v1/groups?external_id=g-1", "name").await, ["Ground"]);
    assert_eq!(owner.names("/v1/roles?external_id=f", "name").await, ["flyer"]);

    // People. One of them is a member elsewhere, and is the same user here.
    let adam = json!({ "email": "Admin@acme.example", "name": "Adam Ant", "roles": ["admin"], "status": "active" });
    let adam = owner.does(201, "POST", "/v1/users", Some(adam)).await;
    assert_eq!(adam["id"], shared::id::UserId::new(2).uuid().to_string());
    assert_eq!(adam["groups"], json!([]), "what another tenant says of him is not said here");
    let admin = session("admin@acme.example").await;
    let mut people = Vec::new();
    for (name, group) in [("Åsa Berg", &crew), ("Bo Ek", &ground), ("Cia Dal", &ground)] {
        let email = format!("{}@initech.example", name.split(' ').next().unwrap().to_lowercase().replace('å', "a"));
        let groups = json!([{ "id": group["id"] }]);
        let body = json!({ "email": email, "name": name, "groups": groups, "label": pilot["id"], "status": "active" });
        // Adam holds no permission to fly, which the crew confers.
        if group["name"] == "Crew" {
            admin.is_denied("permission-not-held", "POST", "/v1/users", Some(body.clone())).await;
            people.push(owner.does(201, "POST", "/v1/users", Some(body)).await);
        } else {
            people.push(admin.does(201, "POST", "/v1/users", Some(body)).await);
        }
    }
    let [asa, bo, cia] = [0, 1, 2].map(|at| people[at].clone());
    let listed = async |list: &str| owner.names(list, "name").await;
    assert_eq!(listed("/v1/users").await, ["Adam Ant", "Åsa Berg", "Bo Ek", "Cia Dal", "Uma User"]);
    assert_eq!(listed("/v1/users?sort=-email").await[0], "Uma User");
    assert_eq!(listed("/v1/users?q=AS").await, ["Åsa Berg"]);
    assert_eq!(listed("/v1/users?email=BO@initech.example").await, ["Bo Ek"]);
    assert_eq!(listed(&format!("/v1/users?group={}", ground["id"].as_str().unwrap())).await, ["Bo Ek", "Cia Dal"]);
    assert_eq!(listed("/v1/users?role=admin").await, ["Adam Ant"]);

    // What a group confers counts, and so does the end of it.
    let flies = async |user: &Value| {
        let permissions = owner.get(&format!("{}/permissions", path("users", user))).await;
        let fly = permissions["data"].as_array().unwrap().iter().find(|it| it["name"] == "plane:fly").cloned();
        fly.filter(|it| it["is_effective"] == true).map(|it| it["conferred_by"].clone())
    };
    assert_eq!(flies(&asa).await, Some(json!([{ "role": "flyer", "groups": [crew["id"]] }])));
    let join = format!("{}/groups/{}", path("users", &bo), crew["id"].as_str().unwrap());
    admin.is_denied("permission-not-held", "PUT", &join, None).await;
    owner.does(200, "PUT", &join, Some(json!({ "is_admin": true }))).await;
    assert!(flies(&bo).await.is_some());
    owner.does(200, "DELETE", &join, None).await;
    assert_eq!(flies(&bo).await, None);
    assert_eq!(owner.last_change(&bo).await, names(&["groups", "manages"]).into_iter().collect());
    admin
        .is_denied("group-gain-not-held", "PATCH", &path("groups", &ground), Some(json!({ "confers": ["flyer"] })))
        .await;
    owner
        .does(200, "PATCH", &path("groups", &ground), Some(json!({ "confers": ["flyer"], "name": "Ground crew" })))
        .await;
    assert!(flies(&bo).await.is_some());
    assert_eq!(owner.get(&path("users", &bo)).await["groups"][0]["name"], "Ground crew");
    let changes = owner.events("group", &ground["number"]).await.last().unwrap().changes.clone();
    assert_eq!(changes.into_keys().collect::<BTreeSet<_>>(), names(&["confers", "name"]));
    owner.does(200, "PATCH", &path("roles", &flyer), Some(json!({ "permissions": [{ "name": "member:read" }] }))).await;
    assert_eq!(flies(&bo).await, None);

    let deny = json!({ "permissions": [{ "name": "member:read" }, { "name": "x:y", "access": false }] });
    admin.is_denied("denial-not-held", "PATCH", &path("roles", &flyer), Some(deny)).await;
    assert_eq!(owner.does(409, "DELETE", &path("roles", &flyer), None).await["code"], "in_use", "groups confer it");

    // Promotion and demotion bite on the next request.
    let cias = session("cia@initech.example").await;
    let rename = Some(json!({ "language": "sv", "metadata": { "shoe": "38" } }));
    cias.is_denied("not-permitted", "PATCH", &path("users", &bo), rename.clone()).await;
    admin.does(200, "PATCH", &path("users", &cia), Some(json!({ "roles": ["admin"], "external_id": "hr-3" }))).await;
    let changed = cias.does(200, "PATCH", &path("users", &bo), rename).await;
    assert_eq!((&changed["metadata"]["shoe"], &changed["language"]), (&json!("38"), &json!("sv")));
    assert_eq!(owner.last_change(&bo).await, names(&["language", "metadata"]));
    assert_eq!(owner.last_change(&cia).await, names(&["external_id", "roles"]));
    assert_eq!(listed("/v1/users?external_id=hr-3").await, ["Cia Dal"]);
    admin.does(200, "PATCH", &path("users", &cia), Some(json!({ "roles": ["user"] }))).await;
    assert_eq!(owner.last_change(&cia).await, names(&["roles"]));
    cias.is_denied("outranked", "PATCH", &path("users", &adam), Some(json!({ "metadata": { "a": "b" } }))).await;

    // Removed: gone at once, with her sessions; and back with what the caller may give.
    admin.does(204, "DELETE", &path("users", &cia), None).await;
    assert_eq!(cias.send("GET", "/v1/users/me", None).await.status, 401);
    assert_eq!(owner.send("GET", &path("users", &cia), None).await.status, 404);
    assert!(owner.last_change(&cia).await.contains("deleted_at"));
    assert_eq!(listed("/v1/users").await, ["Adam Ant", "Åsa Berg", "Bo Ek", "Uma User"]);
    assert_eq!(listed("/v1/users?role=user").await, ["Åsa Berg", "Bo Ek"]);
    let restored = admin.does(200, "POST", &format!("{}/restore", path("users", &cia)), None).await;
    // Adam may see nobody into a group that confers what he does not hold; it confers only what he holds now.
    assert_eq!((&restored["roles"], restored["groups"].as_array().unwrap().len()), (&json!(["user"]), 1));
    assert!(owner.last_change(&cia).await.contains("deleted_at"));
    assert_eq!(cias.send("GET", "/v1/users/me", None).await.status, 401, "her sessions are gone for good");
    admin.does(204, "DELETE", &path("users", &cia), None).await;
    let again = json!({ "email": "cia@initech.example", "name": "Cia Again", "status": "active" });
    let again = admin.does(201, "POST", "/v1/users", Some(again)).await;
    assert_eq!((&again["id"], &again["groups"]), (&cia["id"], &json!([])));
    assert_eq!(
        owner.last_change(&cia).await,
        names(&["deleted_at", "external_id", "groups", "last_name", "profession"])
    );

    // A label that is gone is nobody's; a role that is held stays.
    admin.does(204, "DELETE", &path("labels", &pilot), None).await;
    assert_eq!(owner.get(&path("users", &bo)).await["label"], Value::Null);
    let ended = owner.events("label", &pilot["number"]).await;
    verify_ended_chain(tenant, &Subject::new("label", &pilot["number"]), &ended).unwrap();
    let unknown = admin.does(422, "PATCH", &path("users", &bo), Some(json!({ "label": pilot["id"] }))).await;
    assert_eq!(unknown["details"]["labels"], json!([pilot["id"]]));
    admin.does(200, "PATCH", &path("users", &bo), Some(json!({ "label": clerk["id"] }))).await;
    assert_eq!(owner.names("/v1/labels?sort=-name", "name").await, ["clerk", "Chef"]);
    assert_eq!(cook["name"], "Chef");

    // The tenant's own rules.
    let domains = json!({ "settings": { "allowed_domains": ["initech.example"] } });
    admin.does(200, "PATCH", "/v1/tenant", Some(domains)).await;
    let foreign = json!({ "email": "eve@evil.example" });
    assert_eq!(admin.does(422, "POST", "/v1/users", Some(foreign)).await["code"], "domain_not_allowed");
    let invited = admin.does(201, "POST", "/v1/users", Some(json!({ "email": "dag@Initech.example" }))).await;
    assert_eq!((&invited["status"], &invited["roles"]), (&json!("invited"), &json!(["user"])));

    // Ownership goes over in one step.
    admin.is_denied("outranking-role", "POST", "/v1/tenant/transfer-ownership", Some(json!({ "to": bo["id"] }))).await;
    let moved = owner.does(200, "POST", "/v1/tenant/transfer-ownership", Some(json!({ "to": adam["id"] }))).await;
    assert_eq!((&moved["owner"]["is_owner"], &moved["former_owner"]["roles"]), (&json!(true), &json!(["admin"])));
    for who in [&moved["owner"], &moved["former_owner"]] {
        assert_eq!(owner.last_change(who).await, names(&["roles"]));
    }
    assert_eq!(owner.get("/v1/tenant").await["owners"], 1);
    assert_eq!(admin.does(409, "POST", "/v1/tenant/leave", None).await["code"], "last_owner");
    owner.is_denied("not-permitted", "DELETE", "/v1/tenant?confirm=initech", None).await;

    // Deleted for everybody at once, and restored with everything in it.
    admin.does(400, "DELETE", "/v1/tenant?confirm=acme", None).await;
    let deleted = admin.does(200, "DELETE", "/v1/tenant?confirm=initech", None).await;
    assert_ne!(deleted["deleted_at"], Value::Null);
    owner.is_denied("deleted-tenant", "GET", "/v1/users", None).await;
    admin.is_denied("deleted-tenant", "GET", "/v1/tenant", None).await;
    assert_eq!(uma.names("/v1/tenants", "slug").await, ["acme", "globex"]);
    owner.is_denied("not-permitted", "POST", "/v1/tenant/restore", None).await;
    admin.does(200, "POST", "/v1/tenant/restore", None).await;
    admin.does(404, "POST", "/v1/tenant/restore", None).await;
    assert_eq!(listed("/v1/users?role=user").await, ["Åsa Berg", "Bo Ek", "Cia Again", ""]);

    // The former owner leaves. What happened is on record, in a chain for each record.
    owner.does(204, "POST", "/v1/tenant/leave", None).await;
    assert_eq!(owner.send("GET", "/v1/tenant", None).await.status, 401);
    assert_eq!(uma.names("/v1/tenants", "slug").await, ["acme", "globex"]);
    let now = product.tenant(tenant).await;
    let of_tenant = owner.events("tenant", &made["number"]).await;
    verify_chain(tenant, &now, &of_tenant).unwrap();
    let changes = of_tenant.iter().map(|event| event.changes.keys().next().unwrap().as_str());
    assert_eq!(changes.skip(1).collect::<Vec<_>>(), ["settings", "deleted_at", "deleted_at"]);
    assert!(of_tenant.iter().all(|event| !event.changes.contains_key("cursor_secret")));
    let of_role = owner.events("role", &flyer["number"]).await;
    assert_eq!(of_role.iter().map(|event| event.deed).collect::<Vec<_>>(), [Deed::Created, Deed::Updated]);
    assert_eq!(now.id(), made["number"].to_string());
}
