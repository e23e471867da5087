//! The erasure of a member: nothing of the table names the person any more, whoever is killed meanwhile, and the record still holds.

mod lines;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use local::front::Fault;
use local::verify::{Keys, verify};
use local::{issuer, store};
use serde_json::{Value, json};
use shared::domain::job::State;
use shared::domain::{Author, Job, JoinRequest, Meta};
use shared::id::{DomainId, JobId, JoinRequestId, TenantId, UserId};
use shared::table::decode;
use shared::table::key::TenantKeys;

use super::{ACME, Product, USER, get, pages, quiet_tenant};
use crate::harness::{Reply, eventually};

const EMAIL: &str = "zdenka.novakova@new.example";

/// What names the person, in lower case; the last one is their picture.
const PERSONAL: [&str; 5] =
    ["zdenka", "novakova", "ninotschka", "hr-4711", "r0lgodlhaqabapaaap8aaaaaach5baaaaaaalaaaaaabaaeaaaicraeaow"];

const GIF: &str = "data:image/gif;base64,R0lGODlhAQABAPAAAP8AAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==";

/// A caller of Acme.
struct By<'a>(&'a Product, String);

impl By<'_> {
    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
        self.0.users(&self.1, ACME, (method, path), headers, body).await
    }

    async fn does(&self, status: u16, method: &str, path: &str, body: Option<Value>) -> Value {
        let reply = self.call(method, path, &[], body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        reply.json()
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// The items of the table that name the person.
async fn naming(product: &Product) -> Vec<String> {
    let items = product.items().await.into_iter().map(|item| item.to_string());
    items.filter(|item| PERSONAL.iter().any(|text| item.to_lowercase().contains(text))).collect()
}

async fn job(product: &Product, tenant: TenantId, id: JobId) -> Job {
    decode(product.store.get(&TenantKeys(tenant).job(id)).await.unwrap().expect("a job")).unwrap()
}

fn job_of(answer: &Value, tenant: TenantId) -> JobId {
    JobId::from_uuid_in(text(answer, "id").parse().unwrap(), tenant).expect("a job of the tenant")
}

/// The record of the stream that starts a worker.
fn record(tenant: TenantId, id: JobId) -> Value {
    let key = TenantKeys(tenant).job(id);
    let keys = json!({ "PK": { "S": key.pk }, "SK": { "S": key.sk } });
    json!({ "Records": [{ "dynamodb": { "Keys": keys } }] })
}

/// Lets a worker send so many requests, and then kills it. Returns whether it came to the end of its work before.
async fn works(product: &Product, event: &Value, requests: u32) -> bool {
    let sent = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&sent);
    product.server.set_fault(Some(Arc::new(move |request| {
        let is_work = request.function.as_deref() == Some("jobs-run");
        if is_work && counted.fetch_add(1, Ordering::Relaxed) >= requests {
            // It tries again until it is killed.
            return Fault::AnswerBefore(
                500,
                json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError" }),
            );
        }
        Fault::None
    })));
    let work = product.server.invoke("jobs-run", event);
    tokio::pin!(work);
    let is_done = tokio::select! {
        outcome = &mut work => {
            outcome.unwrap_or_else(|why| panic!("{why}: {:#?}", product.lines.lock().unwrap()));
            true
        }
        () = eventually(|| sent.load(Ordering::Relaxed) > requests) => false,
    };
    if !is_done {
        product.kill("jobs-run");
        work.await.unwrap_err();
    }
    product.server.set_fault(None);
    is_done
}

/// Somebody is invited as an admin, and comes in from a browser. Returns who, and their token.
async fn newcomer(product: &Product, owner: &By<'_>) -> (UserId, String) {
    // Clients choose such keys.
    let key = [("idempotency-key", EMAIL)];
    let body = json!({ "emails": [EMAIL], "roles": ["admin"] });
    let made = owner.call("POST", "/v1/invitations", &key, Some(body)).await.json();
    let line = &made["data"][0];
    let token = issuer::id_token(&product.store, EMAIL, &json!({}), shared::now()).await.unwrap();
    let body = json!({
        "invitation": line["secret"], "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
    });
    let headers = [("content-type", "application/json"), ("user-agent", "The browser of Zdenka")];
    let accepted = product.call("POST", "/v1/invitations/accept", &headers, body.to_string()).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    let user = UserId::from_uuid(text(&line["invitation"], "id").parse().unwrap()).unwrap();
    (user, text(&accepted.json(), "access_token").to_owned())
}

/// Leaves traces of a member in whatever the product has.
async fn leave_traces(owner: &By<'_>, they: &By<'_>, user: UserId) {
    let path = format!("/v1/users/{}", user.uuid());
    let label = they.does(201, "POST", "/v1/labels", Some(json!({ "name": "Reviewer" }))).await;
    let group = they.does(201, "POST", "/v1/groups", Some(json!({ "name": "Reviewers" }))).await;
    they.does(201, "POST", "/v1/roles", Some(json!({ "name": "reviewer" }))).await;
    let desk = json!({ "metadata": { "desk": "4" } });
    they.does(200, "PATCH", &format!("/v1/users/{}", USER.uuid()), Some(desk)).await;
    let key = json!({ "name": "Laptop of Zdenka", "roles": ["user"] });
    they.does(201, "POST", "/v1/api-keys", Some(key)).await;
    let invoice = json!({ "type": "invoice", "id": "4", "action": "sent", "data": { "by": "Zdenka Novakova" } });
    they.does(201, "POST", "/v1/events", Some(invoice)).await;
    they.does(200, "PATCH", "/v1/users/me", Some(json!({ "first_name": "Ninotschka" }))).await;

    let profile = json!({
        "first_name": "Zdenka", "last_name": "Novakova", "external_id": "hr-4711", "language": "de",
        "metadata": { "signature": "Zdenka N." }, "label": label["id"], "groups": [{ "id": group["id"] }],
    });
    let repeated = [("idempotency-key", "profile-4")];
    let changed = owner.call("PATCH", &path, &repeated, Some(profile)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    owner.does(200, "PUT", &format!("{path}/picture"), Some(json!({ "picture": GIF }))).await;
    let change = json!({ "method": "update", "id": user.uuid(), "body": { "last_name": "Novakova" } });
    let batch = [("idempotency-key", "batch-4")];
    let batched = owner.call("POST", "/v1/users/batch", &batch, Some(json!({ "changes": [change] }))).await;
    assert_eq!(batched.status, 200, "{batched:?}");
    let paid = json!({
        "type": "invoice", "id": "5", "action": "paid", "user": user.uuid(), "data": { "to": "Zdenka Novakova" },
    });
    owner.does(201, "POST", "/v1/events", Some(paid)).await;

    let exported = owner.does(202, "POST", "/v1/users/export", Some(json!({ "format": "csv" }))).await;
    let exported = job_of(&exported, ACME);
    owner.0.server.invoke("jobs-run", &record(ACME, exported)).await.unwrap();
    act_as_another(owner, they).await;
    let part = owner.call("GET", &format!("/v1/jobs/{}/parts/1", exported.uuid_in(ACME)), &[], None).await;
    assert!(String::from_utf8(part.content()).unwrap().contains(EMAIL));
    let import = owner.does(201, "POST", "/v1/users/import", Some(json!({ "on_existing": "update" }))).await;
    let lines = format!("email,first_name\nother@new.example,Other\n{EMAIL},Zdenka\n");
    assert_eq!(send(owner, &import, &lines).await.status, 200);
}

/// They act as another member, and do something to a thing of the product as themselves.
async fn act_as_another(owner: &By<'_>, they: &By<'_>) {
    let settings = json!({ "settings": { "impersonation": true } });
    owner.does(200, "PATCH", "/v1/tenant", Some(settings)).await;
    let path = format!("/v1/users/{}/impersonate", USER.uuid());
    let body = json!({ "reason": "Zdenka looks into it", "seconds": 600 });
    let acts = they.call("POST", &path, &[("user-agent", "The browser of Zdenka")], Some(body)).await;
    assert_eq!(acts.status, 200, "{acts:?}");
    let as_another = By(they.0, text(&acts.json(), "access_token").to_owned());
    let me = as_another.does(200, "GET", "/v1/users/me", None).await;
    assert_eq!(me["id"], json!(USER.uuid()));
    let invoice = json!({ "type": "invoice", "id": "5", "action": "opened", "data": { "by": "Zdenka Novakova" } });
    they.does(201, "POST", "/v1/events", Some(invoice)).await;
}

/// Sends the first part of an import.
async fn send(owner: &By<'_>, import: &Value, lines: &str) -> Reply {
    let (bearer, acme) = (format!("Bearer {}", owner.1), ACME.uuid().to_string());
    let headers = [("authorization", bearer.as_str()), ("x-tenant-id", &acme), ("content-type", "text/csv")];
    let path = format!("/v1/users/import/{}/parts/1", text(import, "id"));
    owner.0.call("PUT", &path, &headers, lines.to_owned()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_names_an_erased_member_wherever_the_worker_was_killed() {
    let product = Product::start_with(|options| options.sources = false).await;
    let owner = By(&product, product.access("acme", "owner@acme.example").await);
    let (user, token) = newcomer(&product, &owner).await;
    let they = By(&product, token);
    leave_traces(&owner, &they, user).await;
    // Before they were invited, they had asked to join.
    let asked = JoinRequest {
        id: JoinRequestId::new(1),
        tenant: ACME,
        email: EMAIL.to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: "zdenka".to_owned(),
        domain: DomainId::new(1),
        refused_at: None,
        meta: Meta::new(shared::now()),
    };
    product.store.put_all(store::record_items(ACME, &asked, shared::now()).unwrap()).await.unwrap();
    let path = format!("/v1/users/{}", user.uuid());
    let erase = format!("{path}?erase=true");

    // They can have all of it, and so can who may see each part.
    let own = they.does(200, "GET", "/v1/users/me/export", None).await;
    assert_eq!((&own["user"]["email"], &own["user"]["picture"]), (&json!(EMAIL), &json!(GIF)));
    assert_eq!(own["sessions"][0]["device"], "The browser of Zdenka");
    assert_eq!(
        (&own["api_keys"][0]["name"], &own["invitation"]["accepted"]),
        (&json!("Laptop of Zdenka"), &json!(true))
    );
    let issuer = json!(issuer::ISS);
    assert_eq!((&own["identities"][0]["issuer"], own["identities"].as_array().unwrap().len()), (&issuer, 1));
    assert_eq!((&own["join_request"]["subject"], &own["join_request"]["issuer"]), (&json!("zdenka"), &issuer));
    let of_owner = owner.does(200, "GET", &format!("{path}/export"), None).await;
    assert_eq!(of_owner["user"], own["user"]);
    let user_token = product.access("acme", "user@acme.example").await;
    let other = By(&product, user_token);
    other.does(403, "GET", &format!("{path}/export"), None).await;

    // Who may not remove them does not erase them, nor who may not read the record, nor they themselves.
    other.does(403, "DELETE", &erase, None).await;
    let remover = json!({ "name": "remover", "rank": 2, "permissions": [{ "name": "member:read" }, { "name": "member:remove" }] });
    owner.does(201, "POST", "/v1/roles", Some(remover)).await;
    owner.does(200, "PATCH", &format!("/v1/users/{}", USER.uuid()), Some(json!({ "roles": ["remover"] }))).await;
    let refused = other.does(403, "DELETE", &erase, None).await;
    assert_eq!(refused["details"]["action"], "event:read");
    for of_themselves in ["/v1/users/me?erase=true", &erase] {
        assert_eq!(they.does(403, "DELETE", of_themselves, None).await["details"]["rule"], "own-erasure");
    }
    owner.does(400, "DELETE", &format!("{path}?erase=yes"), None).await;
    they.does(200, "GET", "/v1/users/me", None).await;

    let before = naming(&product).await;
    assert!(before.len() > 15, "{}", before.len());
    let begun = owner.call("DELETE", &erase, &[], None).await;
    let shown = begun.json();
    let id = job_of(&shown, ACME);
    assert_eq!((begun.status, begun.header("location")), (202, Some(&*format!("/v1/jobs/{}", text(&shown, "id")))));
    assert_eq!((&shown["kind"], &shown["subject"]), (&json!("erase_member"), &json!(user.uuid())));
    they.does(401, "GET", "/v1/users/me", None).await;
    owner.does(404, "GET", &path, None).await;
    let restored = owner.does(404, "POST", &format!("{path}/restore"), None).await;
    assert_eq!(restored["message"], "the removed user was not found");
    owner.does(409, "POST", "/v1/users", Some(json!({ "email": EMAIL }))).await;
    assert_eq!(owner.does(202, "DELETE", &erase, None).await["id"], shown["id"], "one job does it");

    let mut kills = 0;
    while !works(&product, &record(ACME, id), kills + 1).await {
        kills += 1;
        product.events(ACME, user).await;
        assert!(kills < 200, "it goes on: {:?}", job(&product, ACME, id).await);
    }
    assert!(kills > 8, "{kills}");
    assert_eq!(job(&product, ACME, id).await.state, State::Done);
    assert_eq!(naming(&product).await, Vec::<String>::new());

    let events = product.events(ACME, user).await;
    assert!(events.iter().all(|event| event.salt.is_none()), "{events:?}");
    let last = events.last().unwrap();
    assert_eq!((&last.author, last.is_erased()), (&Author::Product(format!("job {id}")), true));
    assert!(product.member(ACME, user).await.is_erased());
    let who = (owner.1.as_str(), ACME);
    let verified = get(&product, who, &format!("{path}/events/verify")).await;
    assert_eq!((&verified["is_intact"], &verified["ends_with"]), (&json!(true), &json!("record")), "{verified}");
    for thing in ["thing:invoice:4", "thing:invoice:5"] {
        assert_eq!(get(&product, who, &format!("/v1/events/verify?subject={thing}")).await["is_intact"], true);
    }
    // Other people's things stay, and no request is done twice.
    assert_eq!(product.member(ACME, USER).await.metadata["desk"], "4");
    let repeated = owner.call("PATCH", &path, &[("idempotency-key", "profile-4")], Some(json!({}))).await;
    assert_eq!(repeated.json()["code"], "idempotency_mismatch");
    owner.does(404, "DELETE", &erase, None).await;
    owner.does(404, "POST", &format!("{path}/restore"), None).await;
    owner.does(404, "GET", &format!("{path}/export"), None).await;
    // The same worker once more does nothing, and who comes again is somebody new.
    assert!(works(&product, &record(ACME, id), 1_000).await);
    assert_eq!(product.events(ACME, user).await.len(), events.len());
    let again = owner.does(201, "POST", "/v1/users", Some(json!({ "email": EMAIL }))).await;
    assert_ne!(again["id"], json!(user.uuid()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_two_tenants_stays_in_the_other_and_can_come_again() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, token) = quiet_tenant(&product, "first", &[1]).await;
    let (other, other_token) = quiet_tenant(&product, "second", &[1]).await;
    let body = json!({ "email": EMAIL, "first_name": "Zdenka" });
    let call = async |(token, tenant): (&str, TenantId), method: &str, path: &str, body: Option<Value>| {
        product.users(token, tenant, (method, path), &[], body).await
    };
    let (here, there) = ((token.as_str(), tenant), (other_token.as_str(), other));
    let added = call(here, "POST", "/v1/users", Some(body.clone())).await.json();
    let same = call(there, "POST", "/v1/users", Some(body.clone())).await.json();
    assert_eq!(added["id"], same["id"]);
    let path = format!("/v1/users/{}", text(&added, "id"));
    let before = call(there, "GET", &path, None).await.json();
    // They were removed before.
    assert_eq!(call(here, "DELETE", &path, None).await.status, 204);
    let begun = call(here, "DELETE", &format!("{path}?erase=true"), None).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    product.server.invoke("jobs-run", &record(tenant, job_of(&begun.json(), tenant))).await.unwrap();
    let of_tenant =
        |item: &String| item.contains(&format!("\"TENANT#{tenant}#")) || item.contains(&format!("\"TENANT#{tenant}\""));
    assert_eq!(naming(&product).await.into_iter().filter(of_tenant).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(call(there, "GET", &path, None).await.json(), before);
    // It is the same person, and nothing comes back of what was erased.
    let again = call(here, "POST", "/v1/users", Some(json!({ "email": EMAIL }))).await;
    assert_eq!((again.status, &again.json()["id"]), (201, &added["id"]), "{again:?}");
    assert_eq!(again.json()["first_name"], Value::Null);
    assert!(!product.member(tenant, UserId::from_uuid(text(&added, "id").parse().unwrap()).unwrap()).await.is_erased());
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_hold_after_an_erasure() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, token) = quiet_tenant(&product, "kept", &[3, 2, 0]).await;
    let who = (token.as_str(), tenant);
    while !product.server.invoke("checkpoints-write", &json!({})).await.unwrap()["tenants"].is_null() {}
    let keys = Keys::parse(&product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string()).unwrap();
    let checked = async || {
        let events = pages(&product, who, "/v1/events?limit=100&sealed=true").await.concat();
        let checkpoints = pages(&product, who, "/v1/events/checkpoints?limit=2").await.concat();
        let lines: Vec<String> = events.iter().chain(&checkpoints).map(Value::to_string).collect();
        let report = verify(lines.iter().map(String::as_str), &keys).unwrap_or_else(|why| panic!("{why}"));
        (report.covered, report.checkpoints, lines.concat())
    };
    let email = "member3@kept.example";
    let (covered, checkpoints, export) = checked().await;
    assert!(covered > 3 && checkpoints == 1 && export.contains(email));
    let (_, user) = local::demo::find(&product.store, "kept", email).await.unwrap();
    let path = format!("/v1/users/{}?erase=true", user.uuid());
    let begun = product.users(&token, tenant, ("DELETE", &path), &[], None).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    product.server.invoke("jobs-run", &record(tenant, job_of(&begun.json(), tenant))).await.unwrap();
    let (still, same, export) = checked().await;
    assert_eq!((still, same), (covered, checkpoints));
    assert!(!export.contains(email));
    // Nobody erases who outranks them.
    let (_, owner) = local::demo::find(&product.store, "kept", "member1@kept.example").await.unwrap();
    let admin = product.access("kept", "member2@kept.example").await;
    let path = format!("/v1/users/{}?erase=true", owner.uuid());
    let outranked = product.users(&admin, tenant, ("DELETE", &path), &[], None).await;
    assert_eq!((outranked.status, &outranked.json()["details"]["rule"]), (403, &json!("outranked")));
}
