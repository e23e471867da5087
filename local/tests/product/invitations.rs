//! Invitations: who is invited, who comes in, and what they get.

use local::issuer;
use local::token::Flaw;
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Event, Member, Time};
use shared::id::{TenantId, UserId, sha256};

use crate::harness::{ACME, NewTenant, Product, Reply};

const GLOBEX: TenantId = TenantId::new(2);

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// A tenant and a caller.
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

    /// Invites somebody. Returns their id and the secret.
    async fn invites(&self, email: &str, further: Value) -> (String, String) {
        let mut body = json!({ "emails": [email] });
        body.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let made = self.does(200, "POST", "/v1/invitations", Some(body)).await;
        let line = &made["data"][0];
        assert_eq!((&line["email"], &line["invited"], &line["error"]), (&json!(email), &json!(true), &Value::Null));
        (text(&line["invitation"], "id").to_owned(), text(line, "secret").to_owned())
    }

    /// The states of the invitations in a list.
    async fn listed(&self, query: &str) -> Vec<(String, String)> {
        let list = self.does(200, "GET", &format!("/v1/invitations{query}"), None).await;
        let line = |line: &Value| (text(line, "email").to_owned(), text(line, "status").to_owned());
        list["data"].as_array().unwrap().iter().map(line).collect()
    }
}

async fn of_tenant<'a>(product: &'a Product, slug: &str, members: u32) -> (NewTenant, By<'a>, By<'a>) {
    let tenant = product.new_tenant(slug, members).await;
    let by = |token: &str| By(product, tenant.id, token.to_owned());
    let (owner, admin) = (by(&tenant.owner_token), by(&tenant.admin_token));
    (tenant, owner, admin)
}

async fn id_token(product: &Product, email: &str, claims: Value) -> String {
    issuer::id_token(&product.store, email, &claims, shared::now()).await.unwrap()
}

async fn accept_with(product: &Product, secret: &str, token: &str) -> Reply {
    let body = json!({ "invitation": secret, "subject_token": token, "subject_token_type": ID_TOKEN });
    let headers = [("content-type", "application/json")];
    product.call("POST", "/v1/invitations/accept", &headers, body.to_string()).await
}

/// Somebody accepts whose address the demo's identity provider has verified.
async fn accept(product: &Product, secret: &str, email: &str) -> Reply {
    accept_with(product, secret, &id_token(product, email, json!({})).await).await
}

async fn is_refused(product: &Product, secret: &str, email: &str) {
    let refused = accept(product, secret, email).await;
    let told = "you may not sign in to this tenant: ask its administrators";
    let answer = refused.json();
    assert_eq!((refused.status, text(&answer, "error")), (403, "access_denied"), "{answer}");
    assert_eq!(text(&answer, "error_description"), told, "whatever the reason is");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_invited_and_comes_in() {
    let product = Product::start().await;
    let admin = By(&product, ACME, product.access("acme", "admin@acme.example").await);
    let group = "726f6c65-6361-8005-8000-000080000001";
    let (id, secret) = admin.invites("nina@new.example", json!({ "groups": [group], "expires_in": 3600 })).await;
    let path = format!("/v1/invitations/{id}");
    let shown = admin.does(200, "GET", &path, None).await;
    assert_eq!(
        (&shown["status"], &shown["roles"], &shown["ended_at"]),
        (&json!("pending"), &json!(["user"]), &json!(null))
    );
    assert_eq!(
        (&shown["groups"][0]["id"], &shown["invited_by"]["user_id"]),
        (&json!(group), &json!(UserId::new(2).uuid()))
    );
    let time = |value: &Value| serde_json::from_value::<Time>(value.clone()).unwrap();
    assert_eq!(time(&shown["expires_at"]).seconds() - time(&shown["created_at"]).seconds(), 3600);
    assert!(!shown.to_string().contains("secret") && !shown.to_string().contains(&secret));
    // The person can do nothing yet, and is known to nobody.
    let exchanged = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": "acme",
        "subject_token": id_token(&product, "nina@new.example", json!({})).await, "subject_token_type": ID_TOKEN,
    });
    let headers = [("content-type", "application/json")];
    assert_eq!(product.call("POST", "/v1/sessions", &headers, exchanged.to_string()).await.status, 403);

    // By `link`, the address does not matter.
    let tokens = accept(&product, &secret, "nina@private.example").await;
    assert_eq!((tokens.status, tokens.header("cache-control")), (200, Some("no-store")), "{}", tokens.json());
    let nina = By(&product, ACME, text(&tokens.json(), "access_token").to_owned());
    let me = nina.does(200, "GET", "/v1/users/me", None).await;
    assert_eq!((&me["id"], &me["status"], &me["email"]), (&json!(id), &json!("active"), &json!("nina@new.example")));
    assert_eq!(nina.does(200, "GET", &path, None).await["status"], "accepted");
    // It is accepted once. The same person comes in again.
    is_refused(&product, &secret, "thief@new.example").await;
    assert_eq!(accept(&product, &secret, "nina@private.example").await.status, 200);
    admin.does(404, "POST", &format!("{path}/resend"), Some(json!({}))).await;
    admin.does(404, "DELETE", &path, None).await;

    // The record tells who has invited whom, and neither the secret nor its hash.
    let user = UserId::parse(&id).unwrap();
    let events: Vec<Event> = product.events(ACME, user).await;
    assert_eq!((events.len(), &events[0].changes["email"].to), (2, &json!("nina@new.example")));
    assert_eq!(events[0].changes["invitation"].to["inviter"], json!({ "member": 2 }));
    assert_eq!(events[1].changes["invitation"].to["accepted"], json!(true));
    let events = serde_json::to_string(&events).unwrap();
    let items = serde_json::to_string(&product.items().await).unwrap();
    let lines = product.lines.lock().unwrap().iter().map(|line| format!("{line:?}")).collect::<String>();
    for text in [&secret, &sha256(&secret)] {
        assert!(![&events, &items, &lines].into_iter().any(|place| place.contains(text.as_str())), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stands_for_an_invitation_is_judged_when_it_is_accepted() {
    let product = Product::start().await;
    let (tenant, owner, admin) = of_tenant(&product, "stands", 4).await;
    let path = |user: UserId| format!("/v1/users/{}", user.uuid());
    let admins = json!({ "roles": ["admin"] });
    let sets = async |user: UserId, body: Value| owner.does(200, "PATCH", &path(user), Some(body)).await;

    // Demoted.
    let (first, secret) = admin.invites("ann@stands.example", admins.clone()).await;
    sets(tenant.admin, json!({ "roles": ["user"] })).await;
    is_refused(&product, &secret, "ann@stands.example").await;
    // Promoted again, deactivated, removed and restored.
    sets(tenant.admin, admins.clone()).await;
    sets(tenant.admin, json!({ "status": "deactivated" })).await;
    is_refused(&product, &secret, "ann@stands.example").await;
    sets(tenant.admin, json!({ "status": "active" })).await;
    owner.does(204, "DELETE", &path(tenant.admin), None).await;
    is_refused(&product, &secret, "ann@stands.example").await;
    owner.does(200, "POST", &format!("{}/restore", path(tenant.admin)), None).await;
    assert_eq!(accept(&product, &secret, "ann@stands.example").await.status, 200);
    assert_eq!(owner.does(200, "GET", &format!("/v1/users/{first}"), None).await["roles"], json!(["admin"]));

    // Somebody else has given the user more than the sender could. Whoever sends it again stands for all of it.
    let admin = By(&product, tenant.id, product.access("stands", "member2@stands.example").await);
    let (second, secret) = admin.invites("bob@stands.example", json!({})).await;
    sets(UserId::parse(&second).unwrap(), json!({ "roles": ["owner"] })).await;
    is_refused(&product, &secret, "bob@stands.example").await;
    let resend = format!("/v1/invitations/{second}/resend");
    let denied = admin.does(403, "POST", &resend, Some(json!({}))).await;
    assert_eq!(denied["details"]["rule"], "outranked");
    let again = owner.does(200, "POST", &resend, Some(json!({}))).await;
    assert_eq!(again["invited_by"]["user_id"], json!(tenant.owner.uuid()));
    is_refused(&product, &secret, "bob@stands.example").await;
    assert_eq!(accept(&product, text(&again, "secret"), "bob@stands.example").await.status, 200);
    assert_eq!(product.tenant(tenant.id).await.owners, 2);

    // A policy of the tenant that forbids it now.
    let (_, secret) = admin.invites("cia@stands.example", json!({})).await;
    product.put_policies(tenant.id, &[r#"forbid (principal, action == Action::"member:invite", resource);"#]).await;
    is_refused(&product, &secret, "cia@stands.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_an_invitation_as_long_as_it_lives() {
    let product = Product::start().await;
    let (tenant, owner, _) = of_tenant(&product, "keyed", 2).await;
    let networks = json!(["203.0.113.0/24", "127.0.0.0/8"]);
    let body = json!({ "name": "HR", "roles": ["admin"], "networks": networks });
    let key = owner.does(201, "POST", "/v1/api-keys", Some(body)).await;
    let hr = By(&product, tenant.id, text(&key, "secret").to_owned());
    let (id, secret) = hr.invites("ann@keyed.example", json!({})).await;
    let shown = owner.does(200, "GET", &format!("/v1/invitations/{id}"), None).await;
    assert_eq!(shown["invited_by"], json!({ "user_id": null, "api_key_id": key["id"] }));
    assert_eq!(accept(&product, &secret, "ann@keyed.example").await.status, 200);
    let (_, secret) = hr.invites("bob@keyed.example", json!({})).await;
    owner.does(204, "DELETE", &format!("/v1/api-keys/{}", text(&key, "id")), None).await;
    is_refused(&product, &secret, "bob@keyed.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_says_who_may_accept() {
    let product = Product::start().await;
    let (_, owner, admin) = of_tenant(&product, "accepts", 2).await;
    let setting = |acceptance: &str| Some(json!({ "settings": { "acceptance": acceptance } }));
    admin.does(403, "PATCH", "/v1/tenant", setting("link")).await;
    let set = owner.does(200, "PATCH", "/v1/tenant", setting("address")).await;
    assert_eq!(set["settings"]["acceptance"], "address");

    let (_, secret) = admin.invites("Ann@corp.example", json!({})).await;
    is_refused(&product, &secret, "other@corp.example").await;
    // The issuer knows nobody's addresses there, whatever it says.
    let (_, of_others) = admin.invites("ann@accepts.example", json!({})).await;
    is_refused(&product, &of_others, "ann@accepts.example").await;
    let unverified = id_token(&product, "ann@corp.example", json!({ "email_verified": false })).await;
    assert_eq!(accept_with(&product, &secret, &unverified).await.status, 403);
    // A session does not say which address was verified.
    let session = product.token("globex", "user@acme.example", Kind::Session, Flaw::None).await;
    let by_session = async |secret: &str| {
        let jwt = "urn:ietf:params:oauth:token-type:jwt";
        let body = json!({ "invitation": secret, "subject_token": session, "subject_token_type": jwt });
        let headers = [("content-type", "application/json")];
        product.call("POST", "/v1/invitations/accept", &headers, body.to_string()).await
    };
    assert_eq!(by_session(&secret).await.status, 403);
    assert_eq!(accept(&product, &secret, "ann@CORP.example").await.status, 200);

    owner.does(200, "PATCH", "/v1/tenant", setting("link")).await;
    let (_, secret) = admin.invites("bob@accepts.example", json!({})).await;
    assert_eq!(by_session(&secret).await.status, 200, "somebody who is signed in to another tenant");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_the_invited_status_ends_the_invitation() {
    let product = Product::start().await;
    let (tenant, owner, admin) = of_tenant(&product, "ends", 2).await;
    let user = |id: &str| format!("/v1/users/{id}");
    let (ann, of_ann) = admin.invites("ann@ends.example", json!({})).await;
    let (bob, of_bob) = admin.invites("bob@ends.example", json!({})).await;
    let (cia, of_cia) = admin.invites("cia@ends.example", json!({})).await;
    let (dan, of_dan) = admin.invites("dan@ends.example", json!({})).await;
    let (eva, of_eva) = admin.invites("eva@ends.example", json!({})).await;
    owner.does(204, "DELETE", &format!("/v1/invitations/{ann}"), None).await;
    owner.does(204, "DELETE", &user(&bob), None).await;
    owner.does(200, "PATCH", &user(&cia), Some(json!({ "status": "active" }))).await;
    owner.does(200, "PATCH", &user(&dan), Some(json!({ "email": "dan@other.example" }))).await;
    // It expires.
    let id = UserId::parse(&eva).unwrap();
    let mut member: Member = product.member(tenant.id, id).await;
    member.invitation.as_mut().unwrap().expires_at = shared::now().seconds() - 1;
    let written = local::store::record_items(tenant.id, &member, shared::now()).unwrap();
    product.server.import(written).unwrap();
    for (secret, email) in [(&of_ann, "ann"), (&of_bob, "bob"), (&of_cia, "cia"), (&of_dan, "dan"), (&of_eva, "eva")] {
        is_refused(&product, secret, &format!("{email}@ends.example")).await;
    }
    owner.does(404, "GET", &user(&ann), None).await;
    let of = |lines: &[(&str, &str)]| -> Vec<(String, String)> {
        lines.iter().map(|(email, status)| ((*email).to_owned(), (*status).to_owned())).collect()
    };
    let all = [
        ("ann@ends.example", "revoked"),
        ("bob@ends.example", "revoked"),
        ("cia@ends.example", "revoked"),
        ("dan@other.example", "pending"),
        ("eva@ends.example", "expired"),
    ];
    assert_eq!(owner.listed("").await, of(&all));
    assert_eq!(owner.listed("?status=pending").await, of(&all[3..4]), "nobody has a secret for it");
    assert_eq!(owner.listed("?status=expired").await, of(&all[4..]));
    assert_eq!(owner.listed("?status=revoked").await, of(&[all[2], all[1], all[0]]), "the last one first");
    assert_eq!(owner.listed("?status=accepted").await, []);

    // Another secret for those who are still invited, and a new invitation for who was removed.
    for (id, email) in [(&dan, "dan@other.example"), (&eva, "eva@ends.example")] {
        let again = admin.does(200, "POST", &format!("/v1/invitations/{id}/resend"), Some(json!({}))).await;
        assert_eq!(accept(&product, text(&again, "secret"), email).await.status, 200);
    }
    let (again, secret) = admin.invites("ann@ends.example", json!({})).await;
    assert_eq!(again, ann, "it is the same user");
    is_refused(&product, &of_ann, "ann@ends.example").await;
    assert_eq!(accept(&product, &secret, "ann@ends.example").await.status, 200);
    assert_eq!(owner.listed("?status=accepted").await.len(), 3);
    // A user who was added as invited in another way waits for a secret, and gets one.
    let added = admin.does(201, "POST", "/v1/users", Some(json!({ "email": "fay@ends.example" }))).await;
    assert_eq!(owner.listed("?status=pending").await, of(&[("fay@ends.example", "pending")]));
    let path = format!("/v1/invitations/{}", text(&added, "id"));
    assert_eq!(owner.does(200, "GET", &path, None).await["expires_at"], Value::Null);
    let again = admin.does(200, "POST", &format!("{path}/resend"), Some(json!({}))).await;
    assert_eq!(accept(&product, text(&again, "secret"), "fay@ends.example").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_has_an_answer_of_its_own() {
    let product = Product::start().await;
    let (tenant, owner, admin) = of_tenant(&product, "lines", 3).await;
    let settings = json!({ "settings": { "allowed_domains": ["lines.example"], "seats": 5 } });
    owner.does(200, "PATCH", "/v1/tenant", Some(settings)).await;
    let counted = async {
        while product.tenant(tenant.id).await.seats_counted().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), counted).await.expect("the seats are counted");
    let emails = json!([
        "ann@lines.example",
        "bob@other.example",
        "member3@lines.example",
        "cia@lines.example",
        "dan@lines.example"
    ]);
    let body = json!({ "emails": emails });
    let invite = async |key: &str| {
        let at = ("POST", "/v1/invitations");
        product.users(&admin.2, tenant.id, at, &[("idempotency-key", key)], Some(body.clone())).await.json()
    };
    let codes = |made: &Value| -> Vec<String> {
        let line = |line: &Value| line["error"]["code"].as_str().unwrap_or("invited").to_owned();
        made["data"].as_array().unwrap().iter().map(line).collect()
    };
    let first = invite("one").await;
    assert_eq!(codes(&first), ["invited", "domain_not_allowed", "already_exists", "invited", "limit_reached"]);
    // Repeated, it goes on with those who are not invited yet. No secret is shown twice.
    owner.does(200, "PATCH", "/v1/tenant", Some(json!({ "settings": { "seats": 6 } }))).await;
    let second = invite("one").await;
    let shown = "secret_already_shown";
    assert_eq!(codes(&second), [shown, "domain_not_allowed", "already_exists", shown, "invited"]);
    assert_eq!((&second["data"][0]["invited"], &second["data"][0]["secret"]), (&json!(true), &Value::Null));
    assert_eq!(owner.listed("").await.len(), 3);

    // The other dialect counts those who found no seat.
    let path = "/api/lines/v1/user_invites/create_v2";
    let body =
        json!({ "emails": ["eva@lines.example", "fay@lines.example", "gus@other.example"], "tenant_role": "ADMIN" });
    owner.does(200, "PATCH", "/v1/tenant", Some(json!({ "settings": { "seats": 7 } }))).await;
    let made = admin.does(200, "POST", path, Some(body)).await;
    let data = &made["data"];
    assert_eq!((data["invites"].as_array().unwrap().len(), &data["capped_amount"]), (1, &json!(1)));
    assert_eq!(
        (&data["invites"][0]["email"], &data["invites"][0]["tenant_role"]),
        (&json!("eva@lines.example"), &json!(2))
    );
    let errors = made["errors"].as_array().unwrap();
    assert!(errors.len() == 1 && errors[0].as_str().unwrap().starts_with("gus@other.example: "), "{made}");
    assert_eq!(accept(&product, text(&data["invites"][0], "secret"), "eva@lines.example").await.status, 200);

    // A domain that the tenant takes no more lets nobody in.
    let (_, secret) = {
        owner.does(200, "PATCH", "/v1/tenant", Some(json!({ "settings": { "seats": null } }))).await;
        admin.invites("hal@lines.example", json!({})).await
    };
    owner.does(200, "PATCH", "/v1/tenant", Some(json!({ "settings": { "allowed_domains": ["else.example"] } }))).await;
    is_refused(&product, &secret, "hal@lines.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_are_invited_at_once_and_listed_in_pages() {
    let product = Product::start_with(|options| options.sources = false).await;
    let (tenant, owner, admin) = of_tenant(&product, "many", 2).await;
    let emails: Vec<String> = (0..100).map(|place| format!("p{place:03}@many.example")).collect();
    let made = admin.does(200, "POST", "/v1/invitations", Some(json!({ "emails": emails }))).await;
    assert!(made["data"].as_array().unwrap().iter().all(|line| line["invited"] == true), "{made}");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = owner.does(200, "GET", &format!("/v1/invitations?status=pending&limit=33{cursor}"), None).await;
        seen.extend(page["data"].as_array().unwrap().iter().map(|line| text(line, "email").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, emails);
    // A cursor is good for its list only.
    let first = owner.does(200, "GET", "/v1/invitations?limit=1", None).await;
    let other = format!("/v1/invitations?status=pending&cursor={}", text(&first, "next_cursor"));
    owner.does(400, "GET", &other, None).await;
    // Nobody else's tenant is in it.
    let others = By(&product, GLOBEX, product.access("globex", "owner@globex.example").await);
    assert_eq!(others.listed("").await, []);
    let of_first = product
        .items()
        .await
        .iter()
        .filter(|item| item["PK"]["S"] == format!("TENANT#{}#INVITATIONS", tenant.id))
        .count();
    assert_eq!(of_first, 100);
}

/// Of several who accept with one secret at once, one comes in.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_good_once_however_many_race() {
    let product = Product::start().await;
    let admin = By(&product, ACME, product.access("acme", "admin@acme.example").await);
    let (id, secret) = admin.invites("race@acme.example", json!({})).await;
    let tries = (0..8).map(|place| {
        let (product, secret) = (&product, secret.clone());
        async move { accept(product, &secret, &format!("racer{place}@acme.example")).await.status }
    });
    let mut statuses = futures_util::future::join_all(tries).await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1..].iter().all(|status| *status != 200)), (200, true), "{statuses:?}");
    let member = product.member(ACME, UserId::parse(&id).unwrap()).await;
    assert!(member.is_active() && member.secret.is_none());
}
