//! Domains that tenants claim: how a claim is proved, and who joins by it.

mod asking;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use local::issuer;
use serde_json::{Value, json};
use shared::id::{TenantId, UserId};
use tokio::net::UdpSocket;

use crate::harness::{NewTenant, Product, Reply};

/// The texts of DNS records by their names.
type Zone = Arc<Mutex<BTreeMap<String, String>>>;

/// A resolver on this machine that knows these records, and nothing else.
async fn resolver() -> (SocketAddr, Zone) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (address, zone) = (socket.local_addr().unwrap(), Zone::default());
    let records = Arc::clone(&zone);
    tokio::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut packet).await {
            let answer = answer(&packet[..length], &records.lock().unwrap());
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    (address, zone)
}

/// The answer to a question (RFC 1035, section 4).
fn answer(packet: &[u8], records: &BTreeMap<String, String>) -> Vec<u8> {
    let (mut labels, mut at) = (Vec::new(), 12);
    while packet[at] > 0 {
        let length = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..=at + length]).to_lowercase());
        at += length + 1;
    }
    let question = &packet[12..at + 5];
    let text = records.get(&labels.join("."));
    // Its id; an answer, with recursion; no such name, if there is none.
    let mut answer = packet[..2].to_vec();
    answer.extend([0x81, if text.is_some() { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(text.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(text) = text {
        let length = u8::try_from(text.len()).unwrap();
        // The name of the question, TXT, IN, a minute.
        answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, length + 1, length]);
        answer.extend(text.as_bytes());
    }
    answer
}

async fn product() -> (Product, Zone) {
    let (address, zone) = resolver().await;
    let product = Product::start_with(|options| {
        // The test decides when somebody looks.
        options.sources = false;
        for function in &mut options.template.functions {
            function.environment.entry("LOCAL_RESOLVER".to_owned()).and_modify(|it| *it = address.to_string());
        }
    });
    (product.await, zone)
}

struct By<'a>(&'a Product, TenantId, String);

impl By<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.0.users(&self.2, self.1, (method, path), &[], body).await
    }

    async fn does(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.call(method, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        if reply.content().is_empty() { Value::Null } else { reply.json() }
    }

    async fn claims(&self, domain: &str, further: Value) -> (String, Value) {
        let mut body = json!({ "domain": domain });
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let claimed = self.does(201, "POST", "/v1/domains", Some(body)).await;
        (format!("/v1/domains/{}", claimed["id"].as_str().unwrap()), claimed)
    }
}

async fn owner<'a>(product: &'a Product, slug: &str) -> (NewTenant, By<'a>) {
    let tenant = product.new_tenant(slug, 3).await;
    let owner = By(product, tenant.id, tenant.owner_token.clone());
    (tenant, owner)
}

fn put(zone: &Zone, claimed: &Value) {
    let text = |name: &str| claimed["challenge"][name].as_str().unwrap().to_owned();
    zone.lock().unwrap().insert(text("name"), text("value"));
}

async fn look(product: &Product) -> Value {
    product.server.invoke("domains-verify", &json!({})).await.unwrap()
}

async fn sign_in(product: &Product, slug: &str, email: &str, claims: Value) -> Reply {
    let token = issuer::id_token(&product.store, email, &claims, shared::now()).await.unwrap();
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token", "audience": slug,
    });
    product.call("POST", "/v1/sessions", &[("content-type", "application/json")], body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_proved_by_the_dns_and_by_one_tenant_only() {
    let (product, zone) = product().await;
    let ((tenant, one), (_, other)) = (owner(&product, "one").await, owner(&product, "other").await);
    let (path, claimed) = one.claims("Corp.example", json!({})).await;
    assert_eq!((&claimed["domain"], &claimed["join"]), (&json!("corp.example"), &json!("no")));
    assert_eq!(claimed["challenge"]["name"], "_rolecall.corp.example");
    assert_eq!(look(&product).await, json!({ "looked_for": 1, "found": 0 }));
    let shown = one.does(200, "GET", &path, None).await;
    assert_eq!((&shown["verified_at"], &shown["failure"]), (&json!(null), &json!("there is no such record")));
    // It is not looked for again at once, but if the owner asks.
    assert_eq!(look(&product).await, json!({ "looked_for": 0, "found": 0 }));
    assert_eq!(one.does(200, "POST", &format!("{path}/verify"), None).await["verified_at"], Value::Null);
    zone.lock().unwrap().insert("_rolecall.corp.example".to_owned(), "something else".to_owned());
    assert_eq!(look(&product).await, json!({ "looked_for": 1, "found": 0 }));
    assert_eq!(one.does(200, "GET", &path, None).await["failure"], "the record has another value");
    one.does(200, "POST", &format!("{path}/verify"), None).await;
    put(&zone, &claimed);
    assert_eq!(look(&product).await, json!({ "looked_for": 1, "found": 1 }));
    // The function that asks the DNS verifies nothing.
    assert_eq!(one.does(200, "GET", &path, None).await["verified_at"], Value::Null);

    // The other tenant claims the same, and would be found, too.
    let (others, theirs) = other.claims("corp.example", json!({})).await;
    assert_ne!(theirs["challenge"], claimed["challenge"]);
    put(&zone, &theirs);
    assert_eq!(look(&product).await["found"], 1);
    let verified = one.does(200, "POST", &format!("{path}/verify"), None).await;
    assert!(verified["verified_at"].is_string() && verified["failure"].is_null(), "{verified}");
    let again = one.does(200, "POST", &format!("{path}/verify"), None).await;
    assert_eq!(again["version"], verified["version"], "it is verified once");
    let refused = other.does(409, "POST", &format!("{others}/verify"), None).await;
    assert_eq!(refused["code"], "already_exists");
    // Once it is given up, the other tenant gets it.
    one.does(204, "DELETE", &path, None).await;
    one.does(404, "GET", &path, None).await;
    assert!(other.does(200, "POST", &format!("{others}/verify"), None).await["verified_at"].is_string());

    // Each name once in a tenant; nobody but owners; none that is everybody's.
    one.claims("else.example", json!({})).await;
    one.does(409, "POST", "/v1/domains", Some(json!({ "domain": "ELSE.example" }))).await;
    let admin = By(&product, tenant.id, tenant.admin_token.clone());
    for (method, path) in [("GET", "/v1/domains"), ("POST", "/v1/domains")] {
        let body = (method == "POST").then(|| json!({ "domain": "admin.example" }));
        assert_eq!(admin.does(403, method, path, body).await["code"], "forbidden");
    }
    for name in ["gmail.com", "yahoo.co.uk", "localhost"] {
        one.does(400, "POST", "/v1/domains", Some(json!({ "domain": name }))).await;
    }
    let list = one.does(200, "GET", "/v1/domains", None).await;
    assert_eq!(list["domains"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_with_an_address_at_a_verified_domain_join() {
    let (product, zone) = product().await;
    let (tenant, owner) = owner(&product, "joins").await;
    let body = json!({ "name": "Guest", "permissions": [{ "name": "door:open" }] });
    owner.does(201, "POST", "/v1/roles", Some(body)).await;
    let (path, claimed) = owner.claims("corp.example", json!({ "join": "at_once", "roles": ["Guest"] })).await;
    let comes = async |email: &str, status: u16| {
        let reply = sign_in(&product, "joins", email, json!({})).await;
        assert_eq!(reply.status, status, "{email}: {}", reply.json());
        reply.json()
    };
    comes("ann@corp.example", 403).await;
    put(&zone, &claimed);
    look(&product).await;
    comes("ann@corp.example", 403).await;
    owner.does(200, "POST", &format!("{path}/verify"), None).await;

    let tokens = comes("Ann@Corp.example", 200).await;
    let ann = By(&product, tenant.id, tokens["access_token"].as_str().unwrap().to_owned());
    let me = ann.does(200, "GET", "/v1/users/me", None).await;
    assert_eq!(
        (&me["roles"], &me["status"], &me["email"]),
        (&json!(["Guest"]), &json!("active"), &json!("Ann@Corp.example"))
    );
    let user = UserId::parse(me["id"].as_str().unwrap()).unwrap();
    let events = product.events(tenant.id, user).await;
    assert_eq!(serde_json::to_value(&events[0].author).unwrap()["id"], "joined by a verified domain");
    // The same person again, and several times at once for the first time.
    comes("Ann@Corp.example", 200).await;
    let replies = join_all((0..4).map(|_| sign_in(&product, "joins", "bob@corp.example", json!({})))).await;
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{replies:?}");

    // Another domain, one below it, and an address that nobody has verified.
    comes("eva@other.example", 403).await;
    comes("eva@sub.corp.example", 403).await;
    // The issuer speaks for some domains only, whatever the tenant has verified.
    let (others, claimed) = owner.claims("other.example", json!({ "join": "at_once" })).await;
    put(&zone, &claimed);
    look(&product).await;
    owner.does(200, "POST", &format!("{others}/verify"), None).await;
    comes("eva@other.example", 403).await;
    let unverified = sign_in(&product, "joins", "eva@corp.example", json!({ "email_verified": false })).await;
    assert_eq!(unverified.status, 403);
    // Who is there already stays what they are.
    let cia = owner
        .does(
            201,
            "POST",
            "/v1/users",
            Some(json!({ "email": "cia@corp.example", "status": "active", "roles": ["admin"] })),
        )
        .await;
    let tokens = comes("cia@corp.example", 200).await;
    let as_cia = By(&product, tenant.id, tokens["access_token"].as_str().unwrap().to_owned());
    let me = as_cia.does(200, "GET", "/v1/users/me", None).await;
    assert_eq!((&me["id"], &me["roles"]), (&cia["id"], &json!(["admin"])));
    // Nobody comes back who was removed.
    owner.does(204, "DELETE", &format!("/v1/users/{}", cia["id"].as_str().unwrap()), None).await;
    comes("cia@corp.example", 403).await;

    // Who has said so must be able to let them in.
    let second = tenant.admin;
    owner.does(200, "PATCH", &format!("/v1/users/{}", second.uuid()), Some(json!({ "roles": ["owner"] }))).await;
    let second_owner = By(&product, tenant.id, tenant.admin_token.clone());
    second_owner.does(200, "PATCH", &path, Some(json!({ "roles": ["admin"] }))).await;
    comes("dan@corp.example", 200).await;
    owner.does(200, "PATCH", &format!("/v1/users/{}", second.uuid()), Some(json!({ "roles": ["admin"] }))).await;
    comes("eva@corp.example", 403).await;
    // The setting of an owner counts again. Then nobody joins any more.
    owner.does(200, "PATCH", &path, Some(json!({ "roles": [] }))).await;
    comes("eva@corp.example", 200).await;
    owner.does(200, "PATCH", &path, Some(json!({ "join": "no" }))).await;
    comes("fay@corp.example", 403).await;
    owner.does(200, "PATCH", &path, Some(json!({ "join": "at_once" }))).await;
    owner.does(204, "DELETE", &path, None).await;
    comes("fay@corp.example", 403).await;
}

const WAITS: &str = "you ask to join this tenant: sign in again once its administrators have let you in";
const DENIED: &str = "you may not sign in to this tenant: ask its administrators";

#[tokio::test(flavor = "multi_thread")]
async fn with_approval_people_ask_and_somebody_lets_them_in() {
    let (product, zone) = product().await;
    let (tenant, owner) = owner(&product, "asks").await;
    let admin = By(&product, tenant.id, tenant.admin_token.clone());
    let user = By(&product, tenant.id, product.access("asks", "member3@asks.example").await);
    let body = json!({ "name": "Guest", "permissions": [{ "name": "door:open" }] });
    owner.does(201, "POST", "/v1/roles", Some(body)).await;
    let (path, claimed) = owner.claims("corp.example", json!({ "join": "on_approval", "roles": ["Guest"] })).await;
    let comes = async |email: &str| {
        let reply = sign_in(&product, "asks", email, json!({})).await;
        (reply.status, reply.json())
    };
    let is_told = async |email: &str, text: &str| {
        let (status, answer) = comes(email).await;
        assert_eq!((status, &answer["error"]), (403, &json!("access_denied")), "{email}: {answer}");
        assert_eq!(answer["error_description"], text, "{email}");
    };
    let asking = async |by: &By, query: &str| -> Vec<(String, String)> {
        let list = by.does(200, "GET", &format!("/v1/join-requests{query}"), None).await;
        let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        list["data"].as_array().unwrap().iter().map(|line| (text(line, "email"), text(line, "id"))).collect()
    };
    is_told("ann@corp.example", DENIED).await;
    put(&zone, &claimed);
    look(&product).await;
    owner.does(200, "POST", &format!("{path}/verify"), None).await;

    // They ask once, in whichever case they write their address, and are no members.
    is_told("Ann@corp.example", WAITS).await;
    is_told("ann@Corp.example", WAITS).await;
    let replies = join_all((0..4).map(|_| sign_in(&product, "asks", "bob@corp.example", json!({})))).await;
    assert!(replies.iter().all(|reply| reply.json()["error_description"] == WAITS), "{replies:?}");
    is_told("eva@other.example", DENIED).await;
    let waiting = asking(&admin, "").await;
    let [(ann, anns), (bob, bobs)] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!((ann.as_str(), bob.as_str()), ("Ann@corp.example", "bob@corp.example"));
    assert_eq!(asking(&admin, "?limit=1").await.len(), 1);
    assert_eq!(asking(&admin, "?q=B").await, [(bob.clone(), bobs.clone())]);
    let (anns, bobs) = (format!("/v1/join-requests/{anns}"), format!("/v1/join-requests/{bobs}"));
    assert_eq!(admin.does(200, "GET", "/v1/users?q=ann", None).await["data"], json!([]));
    // A member who has the address asks nobody.
    owner.does(201, "POST", "/v1/users", Some(json!({ "email": "cia@corp.example", "status": "active" }))).await;
    assert_eq!(comes("cia@corp.example").await.0, 200);

    // Who may invite nobody sees nobody. Who lets somebody in gives no more than they hold.
    user.does(403, "GET", "/v1/join-requests", None).await;
    user.does(403, "GET", &anns, None).await;
    for (method, path) in [("POST", format!("{anns}/approve")), ("POST", format!("{bobs}/refuse"))] {
        let body = path.ends_with("approve").then(|| json!({}));
        assert_eq!(user.does(403, method, &path, body).await["details"]["action"], "member:invite");
    }
    let approve = format!("{anns}/approve");
    for body in [json!({}), json!({ "roles": ["owner"] }), json!({ "roles": ["user", "Guest"] })] {
        admin.does(403, "POST", &approve, Some(body)).await;
    }
    let replies = join_all((0..2).map(|_| owner.call("POST", &approve, Some(json!({}))))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404], "{replies:?}");
    let let_in = replies.iter().find(|reply| reply.status == 201).unwrap();
    let member = let_in.json();
    assert_eq!((&member["roles"], &member["status"]), (&json!(["Guest"]), &json!("active")));
    let place = format!("/v1/users/{}", member["id"].as_str().unwrap());
    assert_eq!((let_in.header("location"), let_in.header("etag")), (Some(place.as_str()), Some("\"1\"")));
    let (status, tokens) = comes("Ann@corp.example").await;
    assert_eq!(status, 200, "{tokens}");
    let ann = By(&product, tenant.id, tokens["access_token"].as_str().unwrap().to_owned());
    assert_eq!(ann.does(200, "GET", "/v1/users/me", None).await["id"], member["id"]);
    admin.does(404, "GET", &anns, None).await;
    let id = anns.rsplit('/').next().unwrap();
    let record = owner.does(200, "GET", &format!("/v1/events?subject=join-request:{id}"), None).await;
    let actions: Vec<&Value> = record["data"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["deleted", "created"]);
    assert_eq!(record["data"][1]["actor"]["reason"], "asked to join by a verified domain");

    // Who was refused cannot ask again, but can be let in.
    let refused = admin.does(200, "POST", &format!("{bobs}/refuse"), None).await;
    assert_eq!((&refused["status"], &refused["version"]), (&json!("refused"), &json!(2)));
    assert_eq!(admin.does(200, "POST", &format!("{bobs}/refuse"), None).await, refused, "it is refused once");
    is_told("bob@corp.example", DENIED).await;
    assert_eq!((asking(&admin, "?status=pending").await.len(), asking(&admin, "?status=refused").await.len()), (0, 1));
    admin.does(201, "POST", &format!("{bobs}/approve"), Some(json!({ "roles": ["user"] }))).await;
    assert_eq!(comes("bob@corp.example").await.0, 200);

    // If nobody is asked any more, who waits gets in, and who was refused does not.
    for email in ["gus@corp.example", "hal@corp.example"] {
        is_told(email, WAITS).await;
    }
    let waiting = asking(&admin, "?q=gus").await;
    admin.does(200, "POST", &format!("/v1/join-requests/{}/refuse", waiting[0].1), None).await;
    owner.does(200, "PATCH", &path, Some(json!({ "join": "at_once" }))).await;
    is_told("gus@corp.example", DENIED).await;
    assert_eq!(comes("hal@corp.example").await.0, 200);
    assert_eq!(asking(&admin, "").await, waiting, "nobody else asks");
    admin
        .does(201, "POST", &format!("/v1/join-requests/{}/approve", waiting[0].1), Some(json!({ "roles": ["user"] })))
        .await;
    owner.does(200, "PATCH", &path, Some(json!({ "join": "on_approval" }))).await;

    // A request outlives its domain: then the person gets the role of new members.
    is_told("dan@corp.example", WAITS).await;
    owner.does(204, "DELETE", &path, None).await;
    is_told("fay@corp.example", DENIED).await;
    let waiting = asking(&admin, "").await;
    let [(_, dans)] = &waiting[..] else { panic!("{waiting:?}") };
    let member = admin.does(201, "POST", &format!("/v1/join-requests/{dans}/approve"), Some(json!({}))).await;
    assert_eq!(member["roles"], json!(["user"]));
    assert_eq!(comes("dan@corp.example").await.0, 200);
}
