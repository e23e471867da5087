//! `openapi.json`, the API reference: generated, and compared with the committed file.
//! `BLESS=1` writes it anew: review the diff.

mod described;
mod document;

use std::fs;
use std::sync::OnceLock;

use local::{Template, functions, template};
use serde_json::{Value, json};

/// The text of `openapi.json` as it should be, made once.
fn made() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = template::find_root().unwrap();
        let template = Template::load(&root.join("template.yaml")).unwrap();
        // Each function's test writes its description there.
        let parts = tempfile::tempdir().unwrap();
        let mut cargo = functions::cargo();
        // All of them with one set of features, as when all tests are built. So nothing is built twice.
        cargo.args(["test", "--quiet", "--workspace", "--bins", "description", "--", "--exact"]);
        cargo.env(openapi::PARTS, parts.path()).current_dir(&root);
        let ran = cargo.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");

        let document = document::document(&template, &root, parts.path()).unwrap_or_else(|lacks| panic!("{lacks}"));
        let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            fs::write(root.join("openapi.json"), &text).unwrap();
        }
        text
    })
}

/// The committed document, or the new one in the run that writes it.
fn committed() -> String {
    if std::env::var_os("BLESS").is_some() {
        made();
    }
    fs::read_to_string(template::find_root().unwrap().join("openapi.json")).unwrap_or_default()
}

fn document() -> Value {
    serde_json::from_str(&committed()).unwrap()
}

#[test]
fn openapi_json_says_what_is_there() {
    let (made, committed) = (made(), committed());
    let differing = made.lines().zip(committed.lines()).position(|(made, committed)| made != committed);
    assert!(
        made == committed,
        "openapi.json is not up to date{}: run `BLESS=1 cargo test -p local --test openapi`, and review it",
        differing.map(|line| format!(" from line {}", line + 1)).unwrap_or_default()
    );
}

/// The Operation Objects, each with its route.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation))
        })
        .collect()
}

#[test]
fn every_route_of_the_template_is_described_and_no_other() {
    let template = Template::load(&template::find_root().unwrap().join("template.yaml")).unwrap();
    let routes = template.functions.iter().flat_map(|function| &function.routes);
    let mut routes: Vec<_> = routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    let document = document();
    let mut described: Vec<_> = operations(&document).into_iter().map(|(route, _)| route).collect();
    routes.sort();
    described.sort();
    assert_eq!(described, routes);
}

#[test]
fn every_answer_has_a_description_a_schema_and_an_example_that_it_fits() {
    let document = document();
    let described = described::Described::new(document.clone());
    for (route, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let at = format!("{route}, {status}");
            assert!(response["description"].as_str().is_some_and(|text| !text.is_empty()), "{at}");
            let is_empty = ["204", "304"].contains(&status.as_str());
            assert!(is_empty || response["content"].is_object(), "{at}: no content");
            for (media_type, content) in response["content"].as_object().into_iter().flatten() {
                let examples = content["examples"].as_object().unwrap_or_else(|| panic!("{at}: no examples"));
                assert!(!examples.is_empty(), "{at}");
                for (case, example) in examples {
                    let body = match media_type.as_str() {
                        "application/json" => example["value"].to_string(),
                        _ => example["value"].as_str().unwrap_or_else(|| panic!("{at}, {case}")).to_owned(),
                    };
                    let fits = described.body(&route, status.parse().unwrap(), Some(media_type), body.as_bytes());
                    fits.unwrap_or_else(|why| panic!("{at}, {case}: {why}"));
                }
            }
        }
    }
}

/// The other tests compare answers with this check, so it must see each fault that it is for.
#[test]
fn what_is_not_described_is_seen() {
    let described = described::Described::new(document());
    let route = "PUT /v1/users/{id}";
    let json = Some("application/json");
    let failure = r#"{"code":"forbidden","message":"no","details":{"rule":"r","action":"a"},"notices":[]}"#;
    assert_eq!(described.body(route, 403, json, failure.as_bytes()), Ok(()));
    for (status, media_type, body) in [
        (402, json, failure),
        (403, Some("text/plain"), failure),
        (403, None, failure),
        (403, json, "{"),
        (403, json, r#"{"code":"forbidden","message":"no","details":{},"notices":[],"further":1}"#),
        (403, json, r#"{"code":"forbidden","message":"no","details":{"further":1},"notices":[]}"#),
        (403, json, r#"{"code":"forbidden","message":"no","details":{}}"#),
        (403, json, r#"{"code":"forbidden","message":null,"details":{},"notices":[]}"#),
        (200, json, failure),
    ] {
        assert!(described.body(route, status, media_type, body.as_bytes()).is_err(), "{status} {media_type:?} {body}");
    }
    assert!(described.body("GET /nowhere", 403, json, failure.as_bytes()).is_err());
    let deletion = json!({ "paths": { "/t": { "delete": { "responses": { "204": { "description": "Done." } } } } } });
    let empty = described::Described::new(deletion);
    let fits = |media_type, body: &str| empty.body("DELETE /t", 204, media_type, body.as_bytes()).is_ok();
    assert_eq!([fits(None, ""), fits(None, "{}"), fits(json, "")], [true, false, false]);
    let headers = |names: &[&str]| described.headers(route, 401, names.iter().copied());
    assert_eq!(headers(&["content-type", "x-request-id", "www-authenticate"]), Ok(()));
    assert!(headers(&["content-type", "x-request-id"]).is_err());
    assert!(headers(&["content-type", "x-request-id", "www-authenticate", "x-further"]).is_err());
}
