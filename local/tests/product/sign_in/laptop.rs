//! The demo's identity provider, as the page of the API reference asks it on this machine.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use local::demo::Credentials;
use local::store::Store;
use local::template::find_root;
use local::{Options, Server};
use serde_json::{Value, json};
use shared::id::{TenantId, Uuid};

use super::{exchange, text};
use crate::harness::{Product, Reply, bin_dir, http_client, the_template};

const MEMBERS: &str = "/demo-issuer/members";
const TOKEN: &str = "/demo-issuer/token";
const JSON: (&str, &str) = ("content-type", "application/json");

/// Asks for an ID token of a member.
async fn choose(product: &Product, (tenant, email): (&str, &str), headers: &[(&str, &str)]) -> Reply {
    product.call("POST", TOKEN, headers, json!({ "tenant": tenant, "email": email }).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_member_of_the_demo_tenants_is_listed_and_signs_in_if_active() {
    let product = Product::start().await;
    let listed = product.call("GET", MEMBERS, &[], "").await;
    assert_eq!((listed.status, listed.header("cache-control")), (200, Some("no-store")), "{listed:?}");
    let listed = listed.json();
    let mut found = Vec::new();
    for tenant in listed["tenants"].as_array().unwrap() {
        let id: Uuid = text(tenant, "id").parse().unwrap();
        let (id, slug) = (TenantId::from_uuid(id).unwrap(), text(tenant, "slug"));
        for member in tenant["members"].as_array().unwrap() {
            let (email, name, status) = (text(member, "email"), text(member, "name"), text(member, "status"));
            found.push(format!("{slug} {email} {name} {} {status}", member["roles"]));
            let token = choose(&product, (slug, email), &[JSON]).await;
            assert_eq!((token.status, token.header("cache-control")), (200, Some("no-store")), "{token:?}");
            let session = exchange(&product, text(&token.json(), "id_token"), slug).await;
            if status != "active" {
                assert_eq!((session.status, &session.json()["error"]), (403, &json!("access_denied")), "{email}");
                continue;
            }
            assert_eq!(session.status, 200, "{email}: {}", session.json());
            let tokens = session.json();
            let me = product.users(text(&tokens, "access_token"), id, ("GET", "/v1/users/me"), &[], None).await;
            assert_eq!((me.status, &me.json()["email"]), (200, &json!(email)));
        }
    }
    let expected = [
        r#"acme owner@acme.example Olivia Owner ["owner"] active"#,
        r#"acme admin@acme.example Adam Admin ["admin"] active"#,
        r#"acme user@acme.example Uma User ["user"] active"#,
        r#"acme billing@acme.example Bill Billing ["billing-manager"] active"#,
        r#"acme deactivated@acme.example Dee Deactivated ["user"] deactivated"#,
        r#"acme manager@acme.example Maya Manager ["user"] active"#,
        r#"globex user@acme.example Uma User ["admin","user"] active"#,
        r#"globex owner@globex.example Otto Owner ["owner"] active"#,
        r#"globex user@globex.example Ulla User ["user"] active"#,
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_gives_no_token_to_other_pages_and_none_for_other_people() {
    let product = Product::start().await;
    let refused = |reply: Reply| {
        let is_shared = reply.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
        assert!(!is_shared && reply.json()["id_token"].is_null(), "{reply:?}");
        (reply.status, reply.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    for (tenant, email) in [
        ("acme", "nobody@acme.example"),
        ("acme", "removed@acme.example"),
        ("acme", "owner@globex.example"),
        ("globex", "owner@acme.example"),
        ("initech", "owner@acme.example"),
    ] {
        let reply = choose(&product, (tenant, email), &[JSON]).await;
        assert_eq!(refused(reply), (404, "no demo tenant has this member".to_owned()), "{email} in {tenant}");
    }
    for body in ["", "{", "[]", "null", "{}"] {
        assert_eq!(refused(product.call("POST", TOKEN, &[JSON], body).await).0, 404, "{body}");
    }
    assert_eq!(refused(product.call("POST", TOKEN, &[JSON], "x".repeat(5_000)).await).0, 400);

    let own = product.server.url();
    let owner = ("acme", "owner@acme.example");
    // The last one is of this server, but not of the name that was called.
    for origin in ["http://evil.example", "https://evil.example", "null", "", &own.replace("127.0.0.1", "localhost")] {
        let expected = (403, "only pages of this server may ask".to_owned());
        let origin = ("origin", origin);
        assert_eq!(refused(choose(&product, owner, &[JSON, origin]).await), expected, "{origin:?}");
        assert_eq!(refused(product.call("GET", MEMBERS, &[origin], "").await), expected, "{origin:?}");
    }
    assert_eq!(choose(&product, owner, &[JSON, ("origin", own.as_str())]).await.status, 200);
    // The types that a form can send; and none.
    for content_type in ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""] {
        assert_eq!(refused(choose(&product, owner, &[("content-type", content_type)]).await).0, 415, "{content_type}");
    }
    assert_eq!(refused(choose(&product, owner, &[]).await).0, 415);
    for (method, path) in
        [("GET", TOKEN), ("POST", MEMBERS), ("GET", "/demo-issuer"), ("GET", "/main/demo-issuer/members")]
    {
        let reply = product.call(method, path, &[JSON], "").await;
        assert_eq!(refused(reply), (404, "Not Found".to_owned()), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_gets_its_script_where_the_table_was_made_here_and_only_there() {
    let product = Product::start().await;
    let credentials = Credentials::issue(&product.store, &product.template).await.unwrap();
    let credentials: Value = serde_json::from_str(&credentials.for_reference()).unwrap();
    let script = product.call("GET", text(&credentials, "script"), &[], "").await;
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));

    let (template, server) = (the_template(), Server::start(Options::new(the_template(), bin_dir())).await.unwrap());
    let store = Store::new(&server.dynamodb_url(), template.table_name()).unwrap();
    let empty = Product { server, store, template, lines: Arc::default(), client: http_client() };
    assert_eq!(empty.call("GET", text(&credentials, "script"), &[], "").await.status, 404);
    assert_eq!(empty.call("GET", MEMBERS, &[], "").await.status, 404);
    assert_eq!(choose(&empty, ("acme", "owner@acme.example"), &[JSON]).await.status, 404);
}

/// So it is never on AWS, where there are only the template and its functions.
#[test]
fn neither_the_template_nor_a_function_has_any_of_it() {
    fn files(path: PathBuf) -> Vec<PathBuf> {
        match path.is_dir() {
            true => fs::read_dir(path).unwrap().flat_map(|entry| files(entry.unwrap().path())).collect(),
            false => vec![path],
        }
    }
    let root = find_root().unwrap();
    let names_it = |file: &PathBuf| String::from_utf8_lossy(&fs::read(file).unwrap()).contains("/demo-issuer/");
    let deployed = ["template.yaml", "openapi.json", "functions", "shared"].map(|path| files(root.join(path)));
    assert_eq!(deployed.concat().into_iter().filter(names_it).collect::<Vec<_>>(), Vec::<PathBuf>::new());
    assert!(names_it(&root.join("local/src/issuer/web.rs")), "the check sees it");
}
