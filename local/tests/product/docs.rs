//! The API reference as the gateway serves it.

use local::demo::{self, Credentials};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{ACME, Product, USER, the_template};

const GZIP: [(&str, &str); 1] = [("accept-encoding", "gzip")];

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_one_in_the_repository_with_the_stage_and_without() {
    let product = Product::start().await;
    let committed = std::fs::read(local::template::find_root().unwrap().join("openapi.json")).unwrap();
    for path in ["/openapi.json", "/main/openapi.json"] {
        let plain = product.call("GET", path, &[], "").await;
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
        assert!(plain.bytes == committed, "{path}");
        let zipped = product.call("GET", path, &GZIP, "").await;
        assert_eq!(zipped.header("content-encoding"), Some("gzip"));
        assert!(zipped.content() == committed, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_loads_scripts_that_are_named_by_their_content() {
    let product = Product::start().await;
    let page = product.call("GET", "/main/docs", &[], "").await;
    let page = String::from_utf8(page.bytes.to_vec()).unwrap();
    let scripts: Vec<&str> = page.split("src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(scripts.len(), 2, "{page}");
    for script in scripts {
        let reply = product.call("GET", &format!("/main/{script}"), &GZIP, "").await;
        assert_eq!(reply.status, 200, "{script}");
        assert!(reply.header("cache-control").unwrap().contains("immutable"), "{script}");
        let hash: String = Sha256::digest(reply.content()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(script.split_once('?').unwrap().1, hash);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_demonstration_has_credentials_in_the_page_and_they_work() {
    let on_aws = the_template();
    let given: Vec<_> = on_aws.functions.iter().filter_map(|it| it.environment.get(demo::IN_REFERENCE)).collect();
    assert_eq!(given, [""], "one function has the variable, and the template no value for it");
    let product = Product::start().await;
    let page = product.call("GET", "/docs", &[], "").await;
    assert!(!String::from_utf8(page.bytes.to_vec()).unwrap().contains("credentials"));

    let product = Product::start().await;
    let credentials = Credentials::issue(&product.store, &product.template).await.unwrap();
    product.server.set_variable(demo::IN_REFERENCE, &credentials.for_reference());
    let page = product.call("GET", "/docs", &[], "").await;
    let page = String::from_utf8(page.bytes.to_vec()).unwrap();
    let (_, rest) = page.split_once("id=\"credentials\">").expect("credentials in the page");
    let found: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    let reply = product.put_user(found["bearer"].as_str().unwrap(), ACME, USER, &[], json!({ "name": "Try It" })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let authorization = format!("Bearer {}", found["bearer"].as_str().unwrap());
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-session-token", found["session"].as_str().unwrap()),
        ("content-type", "application/json"),
    ];
    let reply = product.call("PATCH", "/users-organizations/v1/rs/users/3", &headers, "{}").await;
    assert_eq!(reply.status, 200, "{reply:?}");
}
