//! From an empty table to a signed-in owner, by an identity provider that answers over HTTP.

use std::sync::Arc;

use futures_util::future::join_all;
use local::store::Store;
use local::{Options, Server};
use serde_json::{Value, json};
use shared::id::{TenantId, UserId};
use tokio::process::Command;

use super::provider::Provider;
use super::{EXCHANGE, ID_TOKEN, claims, post, text};
use crate::harness::{Product, bin_dir, http_client, the_template};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_gets_an_owner_who_signs_in() {
    let provider = Provider::start().await;
    let mut options = Options::new(the_template(), bin_dir());
    options.log = Arc::new(|_| ());
    let template = options.template.clone();
    let server = Server::start(options).await.unwrap();
    let store = Store::new(&server.dynamodb_url(), template.table_name()).unwrap();
    let product = Product { server, store, template, lines: Arc::default(), client: http_client() };

    assert_eq!(product.server.invoke("keys-rotate", &json!({})).await.unwrap()["rotated"], true);
    let alone = json!({ "tenant": { "slug": "alone", "name": "A" }, "owner": { "email": "a@initech.example" } });
    let refused = product.server.invoke("bootstrap", &alone).await.unwrap_err().to_string();
    assert!(refused.contains("not_found"), "{refused}");
    let first = |slug: &str| {
        json!({
            "tenant": { "slug": slug, "name": "Initech" },
            "owner": { "email": "owner@initech.example" },
            "issuer": { "iss": provider.iss, "audiences": ["app"], "domains": ["initech.example"] },
        })
    };
    // However many ask, one gets it.
    let events: Vec<Value> = (0..32).map(|place| first(&format!("initech-{place}"))).collect();
    let answers = join_all(events.iter().map(|event| product.server.invoke("bootstrap", event))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((done.len(), refused.len()), (1, 31));
    for refusal in refused {
        let why = refusal.unwrap_err().to_string();
        assert!(why.contains("already_exists") || why.contains("unavailable"), "{why}");
    }
    let made = done.into_iter().next().unwrap().unwrap();
    let slug = text(&made["tenant"], "slug").to_owned();
    let secret = text(&made["invitation"], "secret").to_owned();
    let tenant = TenantId::parse(text(&made["tenant"], "id")).unwrap();
    let refused = product.server.invoke("bootstrap", &first("another")).await.unwrap_err().to_string();
    assert!(refused.contains("already_exists"), "{refused}");

    provider.is_fetched(&product).await;

    // An address alone makes nobody an owner.
    let token = provider.id_token("1", "owner@initech.example");
    let body = |token: &str, secret: Option<&str>| {
        let mut body = json!({
            "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN, "audience": slug,
        });
        if let Some(secret) = secret {
            body["invitation"] = secret.into();
        }
        body
    };
    assert_eq!(post(&product, body(&token, None)).await.status, 403);
    assert_eq!(post(&product, body(&token, Some("inv_0"))).await.status, 403);
    let tokens = post(&product, body(&token, Some(&secret))).await;
    assert_eq!(tokens.status, 200, "{}", tokens.json());
    let tokens = tokens.json();
    let access = text(&tokens, "access_token");
    let me = product.users(access, tenant, ("GET", "/v1/users/me"), &[], None).await.json();
    assert_eq!((&me["is_owner"], &me["status"]), (&json!(true), &json!("active")));
    // An invitation is accepted once.
    let token = provider.id_token("2", "thief@initech.example");
    assert_eq!(post(&product, body(&token, Some(&secret))).await.status, 403);

    // The owner adds a member, who signs in by a verified address of the issuer's domain.
    let new = Some(json!({ "email": "ann@initech.example", "roles": ["user"], "status": "active" }));
    let added = product.users(access, tenant, ("POST", "/v1/users"), &[], new).await;
    assert_eq!(added.status, 201, "{}", added.json());
    let token = provider.id_token("3", "ann@initech.example");
    let ann = post(&product, body(&token, None)).await;
    assert_eq!(ann.status, 200, "{}", ann.json());
    let user = UserId::parse(text(&added.json(), "id")).unwrap();
    assert_eq!(claims(text(&ann.json(), "access_token"))["sub"], user.uuid().to_string());
    // A stranger of the same domain is nobody.
    assert_eq!(post(&product, body(&provider.id_token("4", "bob@initech.example"), None)).await.status, 403);

    // The owner's session does what a tenant is for, and an API key of the owner does it again.
    let key = json!({ "name": "Everything", "roles": ["owner"] });
    let key = product.users(access, tenant, ("POST", "/v1/api-keys"), &[], Some(key)).await;
    assert_eq!(key.status, 201, "{}", key.json());
    let key = key.json();
    lives(&product, access, tenant, "cia").await;
    lives(&product, text(&key, "secret"), tenant, "dan").await;
    // Everything is revoked, and refused on the next request.
    let status = async |token: &str| product.users(token, tenant, ("GET", "/v1/roles"), &[], None).await.status;
    let ends = async |path: &str| {
        let ended = product.users(access, tenant, ("DELETE", path), &[], None).await;
        assert_eq!(ended.status, 204, "{path}: {}", ended.json());
    };
    let anns = ann.json();
    let anns = text(&anns, "access_token");
    assert_eq!((status(anns).await, status(text(&key, "secret")).await), (200, 200));
    ends(&format!("/v1/users/{}/sessions", user.uuid())).await;
    ends(&format!("/v1/api-keys/{}", text(&key, "id"))).await;
    assert_eq!((status(anns).await, status(text(&key, "secret")).await), (401, 401));
    let revoked = json!({ "token": text(&tokens, "refresh_token") }).to_string();
    let revoked = product.call("POST", "/oauth/revoke", &[("content-type", "application/json")], revoked).await;
    assert_eq!((revoked.status, status(access).await), (200, 401));

    // The operator makes a further tenant for somebody whom the issuer knows, and one for somebody who is invited.
    let further = |slug: &str, owner: Value| json!({ "tenant": { "slug": slug, "name": "Further" }, "owner": owner });
    let owner = json!({ "email": "ann@initech.example", "subject": "3", "issuer": provider.iss });
    let made = product.server.invoke("bootstrap", &further("second", owner)).await.unwrap();
    assert_eq!(made["owner"], json!({ "id": user.uuid(), "email": "ann@initech.example", "status": "active" }));
    let sign_in = |slug: &str, sub: &str, email: &str| {
        let token = provider.id_token(sub, email);
        json!({ "grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN, "audience": slug })
    };
    assert_eq!(post(&product, sign_in("second", "3", "ann@initech.example")).await.status, 200);
    let invited = further("third", json!({ "email": "eve@initech.example" }));
    let secret = product.server.invoke("bootstrap", &invited).await.unwrap();
    let mut eve = sign_in("third", "6", "eve@initech.example");
    assert_eq!(post(&product, eve.clone()).await.status, 403);
    eve["invitation"] = secret["invitation"]["secret"].clone();
    assert_eq!(post(&product, eve).await.status, 200);
    let taken = product.server.invoke("bootstrap", &invited).await.unwrap_err().to_string();
    assert!(taken.contains("already_exists"), "{taken}");

    // The owner is gone; the operator makes another one.
    let recovery = json!({ "recover": { "tenant": slug, "owner": { "email": "new@initech.example" } } });
    let recovered = product.server.invoke("bootstrap", &recovery).await.unwrap();
    let secret = text(&recovered["invitation"], "secret").to_owned();
    let new = post(&product, body(&provider.id_token("5", "new@initech.example"), Some(&secret))).await;
    assert_eq!(new.status, 200, "{}", new.json());

    // A deleted tenant lets in its owner alone, who restores it.
    let last = text(&new.json(), "access_token").to_owned();
    let delete = format!("/v1/tenant?confirm={slug}");
    assert_eq!(product.users(&last, tenant, ("DELETE", &delete), &[], None).await.status, 200);
    assert_eq!(post(&product, body(&provider.id_token("3", "ann@initech.example"), None)).await.status, 403);
    let again = post(&product, body(&provider.id_token("5", "new@initech.example"), None)).await;
    assert_eq!(again.status, 200, "{}", again.json());
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": text(&again.json(), "refresh_token") });
    let refreshed = post(&product, refresh).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.json());
    let recovery = json!({ "recover": { "tenant": slug, "owner": { "email": "last@initech.example" } } });
    assert!(product.server.invoke("bootstrap", &recovery).await.is_ok());
    let last = text(&refreshed.json(), "access_token").to_owned();
    assert_eq!(product.users(&last, tenant, ("GET", "/v1/users/me"), &[], None).await.status, 403);
    let restored = product.users(&last, tenant, ("POST", "/v1/tenant/restore"), &[], None).await;
    assert_eq!(restored.status, 200, "{}", restored.json());
    assert_eq!(post(&product, body(&provider.id_token("3", "ann@initech.example"), None)).await.status, 200);

    // No token, secret or private key is in an item in clear.
    let items = serde_json::to_string(&product.items().await).unwrap();
    let refresh = text(&tokens, "refresh_token");
    for secret in [secret.as_str(), token.as_str(), access, refresh, text(&tokens, "session_token"), "pkcs8"] {
        assert!(!items.contains(secret), "{secret}");
    }
}

/// A role, a group and a member are made, changed, found and removed.
async fn lives(product: &Product, token: &str, tenant: TenantId, name: &str) {
    let does = async |status: u16, method: &str, path: &str, body: Option<Value>| {
        let reply = product.users(token, tenant, (method, path), &[], body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.json());
        reply.json()
    };
    let at = |things: &str, thing: &Value| format!("/v1/{things}/{}", text(thing, "id"));
    let permissions = json!([{ "name": "plane:fly" }]);
    let body = json!({ "name": format!("flyer of {name}"), "permissions": permissions });
    let role = does(201, "POST", "/v1/roles", Some(body)).await;
    let body = json!({ "name": format!("crew of {name}"), "confers": [role["id"]] });
    let group = does(201, "POST", "/v1/groups", Some(body)).await;
    let body = json!({ "email": format!("{name}@initech.example"), "name": name, "status": "active" });
    let member = does(201, "POST", "/v1/users", Some(body)).await;
    let flies = async || {
        let question = json!({ "subject": member["id"], "action": "plane:fly" });
        does(200, "POST", "/v1/check", Some(question)).await["allowed"] == true
    };
    assert!(!flies().await);
    does(200, "PATCH", &at("users", &member), Some(json!({ "groups": [{ "id": group["id"] }] }))).await;
    assert!(flies().await);
    does(200, "PATCH", &at("groups", &group), Some(json!({ "confers": [] }))).await;
    assert!(!flies().await);
    let found = does(200, "GET", &format!("/v1/users?email={name}@initech.example"), None).await;
    assert_eq!(found["data"][0]["id"], member["id"]);
    does(204, "DELETE", &at("roles", &role), None).await;
    does(204, "DELETE", &at("users", &member), None).await;
    does(404, "GET", &at("users", &member), None).await;
    does(200, "POST", &format!("{}/restore", at("users", &member)), None).await;
}

/// The command of the operator, on a laptop with the demo tenants.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_makes_one_first_tenant() {
    let product = Product::start().await;
    let url = product.server.dynamodb_url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolecall"));
    command.args(["bootstrap", "--tenant", "initech", "--name", "Initech", "--email", "owner@initech.example"]);
    command.args(["--issuer", "http://127.0.0.1:9", "--audience", "app", "--dynamodb", &url, "--bin-dir"]);
    command.arg(bin_dir());
    let made = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{errors}");
    let answer: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!((&answer["tenant"]["slug"], &answer["owner"]["status"]), (&json!("initech"), &json!("invited")));
    assert!(!errors.contains(text(&answer["invitation"], "secret")), "{errors}");

    let again = command.output().await.unwrap();
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0));
    let errors = String::from_utf8_lossy(&again.stderr);
    let said = "error: `bootstrap` answers already_exists: a first tenant with this deployment exists already\n";
    assert!(errors.ends_with(said), "{errors}");
}
