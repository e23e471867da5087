//! The limits of the directory, and ids of other tenants: each of them is answered like an id that nothing has.

mod calls;

use std::time::Duration;

use calls::CALLS;
use local::token::Flaw;
use local::{issuer, store};
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::group::MAX_GROUPS;
use shared::domain::tenant::Counts;
use shared::domain::{Group, JoinRequest, Meta, Tenant, Time};
use shared::id::{
    DomainId, GroupId, JobId, JoinRequestId, KeyId, LabelId, PolicyId, RoleId, TenantId, UserId, WebhookId, issuer_uuid,
};
use shared::table::encode;
use shared::table::key::TenantKeys;

use crate::harness::{ACME, Product};

const GLOBEX: TenantId = TenantId::new(2);

/// In a batch of which all changes are made or none.
const ATOMIC: &str = r#", "atomic": true"#;

/// Ids by their kinds, as UUIDs and as the numbers of some dialects.
struct Ids([(&'static str, String); 15]);

impl Ids {
    /// `number` is that of the role, the group and the label.
    fn of(user: u32, tenant: TenantId, number: u32, job: u32, session: &str) -> Self {
        Self([
            ("<user>", UserId::new(user).uuid().to_string()),
            ("<user number>", user.to_string()),
            ("<role>", RoleId::new(number).uuid_in(tenant).to_string()),
            ("<group>", GroupId::new(number).uuid_in(tenant).to_string()),
            ("<label>", LabelId::new(number).uuid_in(tenant).to_string()),
            ("<job>", JobId::new(job).uuid_in(tenant).to_string()),
            ("<group number>", number.to_string()),
            ("<label number>", number.to_string()),
            ("<issuer>", issuer_uuid(&format!("https://id-{number}.example")).to_string()),
            ("<policy>", PolicyId::new(number).uuid_in(tenant).to_string()),
            ("<key>", KeyId::new(number).uuid_in(tenant).to_string()),
            ("<webhook>", WebhookId::new(number).uuid_in(tenant).to_string()),
            ("<domain>", DomainId::new(number).uuid_in(tenant).to_string()),
            ("<request>", JoinRequestId::new(number).uuid_in(tenant).to_string()),
            ("<session>", session.to_owned()),
        ])
    }

    fn fill(&self, text: &str) -> String {
        let role_number = ("<role number>", &self.0[6].1);
        let acme = ("<acme>", &ACME.uuid().to_string());
        let all = self.0.iter().map(|(name, id)| (*name, id)).chain([role_number, acme]);
        all.fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    }

    /// A text with all of them taken out: numbers where they stand alone.
    fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (_, id)| match id.contains('-') {
            true => text.replace(id, "<id>"),
            false => text.replace(&format!("\"{id}\""), "<id>").replace(&format!("`{id}`"), "<id>"),
        })
    }
}

/// Whether a call is one of a route: the same method, and the same path but for the parameters.
pub fn is_of(call: (&str, &str), method: &str, path: &str) -> bool {
    let plain = call.1.split('?').next().unwrap_or_default();
    let (parts, wanted): (Vec<_>, Vec<_>) = (plain.split('/').collect(), path.split('/').collect());
    let fits = |(part, wanted): (&&str, &&str)| part == wanted || wanted.starts_with('{');
    call.0 == method && parts.len() == wanted.len() && parts.iter().zip(&wanted).all(fits)
}

/// Somebody signs in to Globex. Returns the id of the session.
async fn their_session(product: &Product, others: &str) -> String {
    let token = issuer::id_token(&product.store, "owner@globex.example", &json!({}), shared::now()).await.unwrap();
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "audience": "globex",
    });
    let headers = [("content-type", "application/json")];
    assert_eq!(product.call("POST", "/v1/sessions", &headers, body.to_string()).await.status, 200);
    let sessions = product.users(others, GLOBEX, ("GET", "/v1/sessions"), &[], None).await.json();
    let session = sessions["sessions"].as_array().unwrap().iter().find(|session| session["client"] == "rolecall-demo");
    session.unwrap()["id"].as_str().unwrap().to_owned()
}

/// Exports a record. Returns how many events there are, and the parts.
async fn exported(product: &Product, (token, tenant): (&str, TenantId), filters: &str) -> (Value, Vec<Vec<u8>>) {
    let filters = Some(serde_json::from_str(filters).unwrap());
    let started = product.users(token, tenant, ("POST", "/v1/events/export"), &[], filters).await;
    assert_eq!(started.status, 202, "{started:?}");
    let (mut job, path) = (started.json(), started.header("location").unwrap().to_owned());
    for _ in 0..3_000 {
        if job["state"] != "running" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        job = product.users(token, tenant, ("GET", &path), &[], None).await.json();
    }
    assert_eq!(job["state"], "done", "{job}");
    let mut parts = Vec::new();
    // The part of an export that found nothing has no content.
    let count = if job["done"] == 0 { 0 } else { job["parts"].as_u64().unwrap() };
    for part in 1..=count {
        let path = format!("{path}/parts/{part}");
        parts.push(product.users(token, tenant, ("GET", &path), &[], None).await.content());
    }
    (job["done"].clone(), parts)
}

/// What is written down of a user who is no member, and what a job finds of one, or by one.
async fn notes_and_exports_know_nothing_of_them(product: &Product, (owner, others): (&str, &str), ids: [&Ids; 2]) {
    let [foreign, none] = ids;
    let noted = async |ids: &Ids| {
        let body = ids.fill(r#"{"type": "invoice", "id": "of-<user number>", "action": "paid", "user": "<user>"}"#);
        let body = Some(serde_json::from_str(&body).unwrap());
        let reply = product.users(owner, ACME, ("POST", "/v1/events"), &[], body).await;
        assert!(reply.status < 300, "{reply:?}");
        let mut changes = reply.json()["changes"].take();
        changes.as_object_mut().unwrap().remove("created_at").unwrap();
        (reply.status, ids.hide(&changes.to_string()))
    };
    assert_eq!(noted(foreign).await, noted(none).await);
    let of_them = r#"{"subject": "member:<user>"}"#;
    for filters in [of_them, r#"{"actor": "member:<user>"}"#, r#"{"actor": "key:<key>"}"#] {
        let found = exported(product, (owner, ACME), &foreign.fill(filters)).await;
        assert_eq!(found.0, json!(0), "{filters}");
        assert_eq!(found, exported(product, (owner, ACME), &none.fill(filters)).await, "{filters}");
    }
    // Globex finds it. An export has what is some seconds old.
    let yesterday = Time::from_millis(shared::now().millis() - 24 * 60 * 60 * 1_000);
    let member = product.member(GLOBEX, UserId::new(6)).await;
    product.server.import(store::record_items(GLOBEX, &member, yesterday).unwrap()).unwrap();
    assert_ne!(exported(product, (others, GLOBEX), &foreign.fill(of_them)).await.0, json!(0));
}

/// Globex has a role, a group, a label and a job with these numbers, and its owner is no member of acme.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_answered_like_ids_that_do_not_exist() {
    let product = Product::start().await;
    let others = product.access("globex", "owner@globex.example").await;
    let theirs = async |method, path: &str, body| {
        let reply = product.users(&others, GLOBEX, (method, path), &[], body).await;
        assert!(reply.status < 300, "{method} {path}: {reply:?}");
        reply
    };
    for (path, count) in [("/v1/roles", 4), ("/v1/groups", 8), ("/v1/labels", 7)] {
        for number in 0..count {
            theirs("POST", path, Some(json!({ "name": format!("Globex {number}") }))).await;
        }
    }
    for number in 1..7 {
        let text = r#"forbid (principal, action == Action::"label:manage", resource);"#;
        let body = json!({ "name": format!("Globex {number}"), "text": text, "enabled": false });
        theirs("POST", "/v1/policies", Some(body)).await;
    }
    theirs("POST", "/v1/issuers", Some(json!({ "iss": "https://id-7.example", "audiences": ["app"] }))).await;
    for _ in 0..7 {
        theirs("POST", "/v1/api-keys", Some(json!({ "name": "Theirs", "roles": ["user"] }))).await;
        let webhook = json!({ "name": "Theirs", "url": "https://hooks.example", "status": "disabled" });
        theirs("POST", "/v1/webhooks", Some(webhook)).await;
    }
    for number in 0..7 {
        theirs("POST", "/v1/domains", Some(json!({ "domain": format!("globex-{number}.example") }))).await;
    }
    let request = JoinRequest {
        id: JoinRequestId::new(7),
        tenant: GLOBEX,
        email: "gina@globex-0.example".to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: "gina".to_owned(),
        domain: DomainId::new(1),
        refused_at: None,
        meta: Meta::new(shared::now()),
    };
    let items = store::record_items(GLOBEX, &request, shared::now()).unwrap();
    product.store.put_all(items).await.unwrap();
    // The deletion of a group that somebody is in is a job.
    let group = GroupId::new(8).uuid_in(GLOBEX);
    theirs("PUT", &format!("/v1/users/me/groups/{group}"), None).await;
    assert_eq!(theirs("DELETE", &format!("/v1/groups/{group}"), None).await.status, 202);

    // Every route that takes an id has its call.
    let takes_id =
        |path: &str| ["{id}", "{userId}", "{user_id}", "{role}", "{group}"].iter().any(|it| path.contains(it));
    let routes = product.template.functions.iter().flat_map(|function| &function.routes);
    for route in routes.filter(|route| takes_id(&route.path)) {
        let is_called = CALLS.iter().any(|(method, path, _)| is_of((method, path), &route.method, &route.path));
        assert!(is_called, "{} {}", route.method, route.path);
    }

    // Of these numbers acme has none.
    let session = their_session(&product, &others).await;
    let foreign = Ids::of(6, GLOBEX, 7, 1, &session);
    let none = Ids::of(99, ACME, 77, 77, "0b3e0f5e-33a4-4b0f-9d3c-0d8a6f6e9a10");
    for subject in ["join-request:<request>", "issuer:<issuer>.1", "session:<session>"] {
        let path = foreign.fill(&format!("/v1/events?subject={subject}"));
        assert_ne!(theirs("GET", &path, None).await.json()["data"], json!([]), "{subject}");
    }
    let owner = product.access("acme", "owner@acme.example").await;
    let session = product.token("acme", "owner@acme.example", Kind::Session, Flaw::None).await;
    let calls = CALLS.map(|(method, path, body)| (method, path, body.to_owned()));
    // Each change of a batch can be made on its own, too, and has an answer of its own then.
    let apart = calls.clone().into_iter().filter(|(.., body)| body.contains(ATOMIC));
    let apart = apart.map(|(method, path, body)| (method, path, body.replace(ATOMIC, "")));
    for (method, path, body) in calls.into_iter().chain(apart) {
        let answer = async |ids: &Ids| {
            let body: Option<Value> = (!body.is_empty()).then(|| serde_json::from_str(&ids.fill(&body)).unwrap());
            let headers = [("x-session-token", session.as_str())];
            let reply = product.users(&owner, ACME, (method, &ids.fill(path)), &headers, body.clone()).await;
            let answer = reply.json();
            let is_empty = ["data", "users", "results"].iter().any(|name| answer[name] == json!([]));
            let decided = [&answer["allowed"], &answer["decision"], &answer["evaluations"][0]["decision"]];
            // An owner may invite whom nobody knows.
            let is_denied = decided.contains(&&json!(false)) || answer["results"] == json!([{ "name": "invite" }]);
            let is_refused = answer["data"][0]["status"].as_u64().is_some_and(|status| status >= 400);
            let tells_nothing = reply.status >= 400 || is_empty || is_denied || is_refused;
            assert!(tells_nothing, "{method} {path} {body:?}: {answer}");
            (reply.status, ids.hide(&answer.to_string()))
        };
        assert_eq!(answer(&foreign).await, answer(&none).await, "{method} {path} {body}");
    }
    let untouched = theirs("GET", "/v1/groups", None).await;
    let versions =
        untouched.json()["data"].as_array().unwrap().iter().map(|it| it["version"].clone()).collect::<Vec<_>>();
    assert_eq!(versions, vec![json!(1); 7]);
    notes_and_exports_know_nothing_of_them(&product, (&owner, &others), [&foreign, &none]).await;
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
    let full = Tenant {
        counts: Counts {
            groups: MAX_GROUPS as u32,
            labels: 1_000,
            issuers: 20,
            keys: 250,
            policies: 100,
            webhooks: 20,
            domains: 50,
        },
        ..tenant.clone()
    };
    product.store.put(encode(&TenantKeys(ACME).tenant(), None, &full).unwrap()).await.unwrap();
    for path in ["/v1/groups", "/v1/labels"] {
        let over = call("POST", path, json!({ "name": "One more" })).await;
        assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")), "{path}");
    }
    let over = call("POST", "/v1/api-keys", json!({ "name": "One more", "roles": ["user"] })).await;
    assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")));
    let over = call("POST", "/v1/webhooks", json!({ "name": "One more", "url": "https://hooks.example" })).await;
    assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")));
    let over = call("POST", "/v1/domains", json!({ "domain": "more.example" })).await;
    assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")));
    let text = r#"forbid (principal, action == Action::"label:manage", resource);"#;
    let over = call("POST", "/v1/policies", json!({ "name": "One more", "text": text })).await;
    assert_eq!((over.status, &over.json()["code"]), (422, &json!("limit_reached")));
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
