//! The three places of a function agree: `functions/`, `template.yaml`, `events/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use local::cases::{Case, Cases, FILES, SUCCESS};
use local::routes::Router;
use local::template::{Kind, find_root};
use local::{Template, functions};
use serde_json::{Value, json};
use shared::gate::outbox::ATTEMPTS;

/// The cases of a function whose callers show a credential, and the possible statuses of their answers. Other functions need only
/// the first case.
const MANDATORY: [(&str, &[u64]); 5] = [
    (SUCCESS, &[200, 201, 202, 204]),
    ("no-credential", &[401]),
    ("forbidden", &[403]),
    // 401 if only the credentials name tenants, and these differ.
    ("foreign-tenant", &[401, 403]),
    // Body, path, query or header: what the function reads.
    ("malformed", &[400, 422]),
];

/// Functions whose requests name no tenant beside the credential: of another tenant they say what they say of nothing.
const NAMING_NO_TENANT: [&str; 2] = ["authzen-evaluate", "tokens-introspect"];

/// Functions that read nothing but ids of any spelling: what is no id identifies nothing, so nothing is malformed.
const NEVER_MALFORMED: [&str; 1] = ["tenant-get-user"];

/// Each route of a function whose callers show a credential has a case of each of these refusals, with one of these statuses.
const MANDATORY_REFUSALS: [(&str, &[u64]); 3] = [
    ("no credential", &[401]),
    ("no right, or the credential of another tenant", &[403]),
    ("something malformed or unknown", &[400, 404, 422]),
];

/// Routes that never refuse like that, each with the first status of the refusal. This one reads nothing but a tenant: what is
/// no tenant is another tenant.
const NEVER_REFUSED: [(&str, u64); 1] = [("GET /api/v1/organizations/{organization_id}/users/roles", 400)];

fn template() -> Template {
    Template::load(&find_root().unwrap().join("template.yaml")).unwrap()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn cases(function: &str) -> Vec<Case> {
    Cases::load(&find_root().unwrap(), function).and_then(|cases| cases.all()).unwrap_or_else(|why| panic!("{why}"))
}

/// Headers that the browser or the gateway adds without the page's doing. And `content-encoding`: no page should compress a body.
fn is_sent_anyway(header: &str) -> bool {
    let gateway = header.starts_with("x-amzn-") || header.starts_with("x-forwarded-");
    let browser =
        ["accept", "accept-encoding", "content-length", "cookie", "host", "origin", "sec-fetch-site", "user-agent"];
    gateway || browser.contains(&header) || header == "content-encoding"
}

/// Headers of an answer that pages may always read, or that are for the browser or for a client that compresses a body.
fn is_of_the_browser(header: &str) -> bool {
    let browsers = ["content-encoding", "content-security-policy", "referrer-policy", "vary", "x-content-type-options"];
    ["accept-encoding", "cache-control", "content-type", "pragma", "set-cookie"].contains(&header)
        || browsers.contains(&header)
}

/// Collects the missing parts of each function. `lacks` gets the function's name.
fn each_function<I: IntoIterator<Item = String>>(names: BTreeSet<String>, lacks: impl Fn(&str) -> I) {
    assert!(!names.is_empty());
    let lacking: Vec<String> = names.iter().flat_map(|name| lacks(name)).collect();
    assert!(lacking.is_empty(), "\n{}", lacking.join("\n"));
}

fn in_template() -> BTreeSet<String> {
    template().functions.into_iter().map(|function| function.name).collect()
}

/// Cedar's parser would be a tenth of a function, and half of its start.
#[test]
fn only_what_writes_and_tries_policies_has_cedar() {
    let mut cargo = functions::cargo();
    cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let others = in_template().into_iter().filter(|name| !["policies-write", "policies-dry-run"].contains(&&**name));
    cargo.args(others.flat_map(|name| ["--package".to_owned(), name]));
    let output = cargo.current_dir(find_root().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = packages.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("shared") && names.contains("serde_json"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("cedar")), "{names:?}");
}

#[test]
fn a_function_has_one_name_in_all_places() {
    let (root, template) = (find_root().unwrap(), template());
    let text = fs::read_to_string(root.join("template.yaml")).unwrap();
    let yaml: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    let metadata = functions::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();

    let folders = ["functions", "events"].map(|folder| names_in(&root.join(folder)));
    let names = folders.into_iter().flatten().chain(in_template()).collect();
    each_function(names, |name| {
        let manifest = root.join("functions").join(name).join("Cargo.toml");
        let package = packages.iter().find(|package| package["manifest_path"] == json!(manifest));
        let binaries = |package: &Value| -> Vec<Value> {
            let targets = package["targets"].as_array().unwrap().iter();
            targets.filter(|it| it["kind"] == json!(["bin"])).map(|it| it["name"].clone()).collect()
        };
        let named = package.is_some_and(|it| it["name"] == name && binaries(it) == [json!(name)]);
        let words = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]);
        let resource = words.collect::<String>() + "Function";
        let code = format!("functions/{name}");
        let code_is = yaml["Resources"][resource.as_str()]["Properties"]["CodeUri"] == code.as_str();
        let [has_template, has_events] = [
            template.function(name).is_some_and(|it| it.resource == resource) && code_is,
            root.join("events").join(name).is_dir(),
        ];
        [
            (named, format!("functions/{name}: add a package `{name}` with one binary `{name}`")),
            (has_template, format!("template.yaml: add `{resource}` with `CodeUri: {code}`")),
            (has_events, format!("events/{name}: add the folder, with {}", FILES.join(", "))),
        ]
        .into_iter()
        .filter_map(|(is_there, add)| (!is_there).then_some(add))
    });
}

#[test]
fn a_function_says_its_kind() {
    each_function(in_template(), |name| {
        let function = template().function(name).unwrap().clone();
        let success = cases(name).into_iter().find(|case| case.name == SUCCESS).unwrap().event;
        let shows = ["headers", "cookies"].iter().any(|place| success[place].to_string().contains("{{"));
        let resource = &function.resource;
        match function.kind {
            None => {
                Some(format!("template.yaml: add `Kind: credential` or `Kind: public` to the Metadata of {resource}"))
            }
            Some(Kind::Public | Kind::Product) if shows => Some(format!(
                "events/{name}/success.json: show no credential, or say `Kind: credential` for {resource}"
            )),
            Some(Kind::Product) if !function.routes.is_empty() => {
                Some(format!("template.yaml: {resource} has a route, so it is not of the kind `product`"))
            }
            Some(Kind::Credential) if !shows => {
                Some(format!("events/{name}/success.json: show a credential, or say `Kind: public` for {resource}"))
            }
            Some(_) => None,
        }
    });
}

#[test]
fn a_function_has_the_mandatory_cases() {
    each_function(in_template(), |name| {
        let cases = cases(name);
        let is_never_malformed = NEVER_MALFORMED.contains(&name);
        let lacks = |(name_of_case, statuses): &(&str, &[u64])| {
            if is_never_malformed && *name_of_case == "malformed" {
                let statuses = cases.iter().filter_map(|case| case.answer.as_ref()?["statusCode"].as_u64());
                let refused = statuses.into_iter().any(|status| [400, 422].contains(&status));
                return refused
                    .then(|| format!("events/{name}: something is malformed, so take it out of NEVER_MALFORMED"));
            }
            let Some(case) = cases.iter().find(|case| case.name == *name_of_case) else {
                return Some(format!("events/{name}/cases.json: add the case `{name_of_case}`"));
            };
            // What the product itself invokes answers without a status.
            let status = case.answer.as_ref()?.get("statusCode")?;
            let names_no_tenant = NAMING_NO_TENANT.contains(&name) && *name_of_case == "foreign-tenant";
            let statuses = if names_no_tenant { &[200] } else { *statuses };
            let is_none = !status.as_u64().is_some_and(|it| statuses.contains(&it));
            is_none.then(|| format!("events/{name}, {name_of_case}: {status} is none of {statuses:?}"))
        };
        let is_public = template().function(name).is_some_and(|it| it.kind != Some(Kind::Credential));
        MANDATORY[..if is_public { 1 } else { MANDATORY.len() }].iter().filter_map(lacks).collect::<Vec<_>>()
    });
}

#[test]
fn a_route_has_the_mandatory_refusals() {
    let template = template();
    let of_callers = template.functions.iter().filter(|it| it.kind == Some(Kind::Credential));
    each_function(of_callers.map(|it| it.name.clone()).collect(), |name| {
        let cases = cases(name);
        let lacks = |route: String| {
            let of_route = cases.iter().filter(|case| case.event["routeKey"] == *route);
            let answered: Vec<u64> = of_route.filter_map(|case| case.answer.as_ref()?["statusCode"].as_u64()).collect();
            let lacking = MANDATORY_REFUSALS.iter().filter_map(|(why, statuses)| {
                let is_answered = answered.iter().any(|status| statuses.contains(status));
                let is_excused = NEVER_REFUSED.contains(&(route.as_str(), statuses[0]));
                match (is_answered, is_excused) {
                    (false, false) => Some(format!("events/{name}: add a case of `{route}` with {why}: {statuses:?}")),
                    (true, true) => Some(format!("NEVER_REFUSED: take out `{route}`: a case has one of {statuses:?}")),
                    _ => None,
                }
            });
            lacking.collect::<Vec<_>>()
        };
        let routes = template.function(name).unwrap().routes.iter().map(|it| format!("{} {}", it.method, it.path));
        routes.flat_map(lacks).collect::<Vec<_>>()
    });
}

/// What the queue has dropped, nobody can deliver again.
#[test]
fn a_change_is_given_up_before_its_queue_drops_it() {
    let text = fs::read_to_string(find_root().unwrap().join("template.yaml")).unwrap();
    let yaml: serde_norway::Value = serde_norway::from_str(&text).unwrap();
    let most = &yaml["Resources"]["WebhookQueue"]["Properties"]["RedrivePolicy"]["maxReceiveCount"];
    let most = usize::try_from(most.as_u64().unwrap()).unwrap();
    // A function that dies takes a few without an attempt.
    assert!(ATTEMPTS + 25 <= most, "{ATTEMPTS} attempts, and it drops a change after {most}");
}

/// The first two columns of the table *Endpoints*. Public functions stand below the table.
#[test]
fn the_readme_lists_the_routes_of_the_template() {
    let template = template();
    let text = fs::read_to_string(find_root().unwrap().join("README.md")).unwrap();
    let (_, table) = text.split_once("\n## Endpoints\n").expect("a heading");
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    let quoted = |cell: &str| cell.split('`').nth(1).unwrap_or_default().to_owned();
    let listed: Vec<_> =
        rows.map(|row| row.split('|').collect::<Vec<_>>()).map(|it| (quoted(it[1]), quoted(it[2]))).collect();
    let mut expected: Vec<(String, String)> = Vec::new();
    for function in template.functions.iter().filter(|it| it.kind != Some(Kind::Public)) {
        expected.extend(
            function.routes.iter().map(|route| (format!("{} {}", route.method, route.path), function.name.clone())),
        );
    }
    assert_eq!(listed.iter().collect::<BTreeSet<_>>(), expected.iter().collect::<BTreeSet<_>>());
    assert_eq!(listed.len(), expected.len(), "a route is listed twice");
}

#[test]
fn a_case_has_an_answer() {
    each_function(in_template(), |name| {
        let unanswered = cases(name).into_iter().filter(|case| case.answer.is_none());
        let unanswered = unanswered.map(|case| {
            let name_of_case = case.name;
            format!(
                "events/{name}: record the answer to `{name_of_case}` with `BLESS=1 cargo test -p local --test events`"
            )
        });
        unanswered.collect::<Vec<_>>()
    });
}

/// So a diff shows only what has changed. `BLESS=1` puts it in form.
#[test]
fn cases_are_written_in_one_form_and_nothing_is_beside_them() {
    let root = find_root().unwrap();
    each_function(in_template(), |name| {
        let folder = root.join("events").join(name);
        let cases = Cases::load(&root, name).unwrap_or_else(|why| panic!("{why}"));
        if std::env::var_os("BLESS").is_some() {
            cases.write(&BTreeMap::new()).unwrap();
        }
        let is_in_form = fs::read_to_string(folder.join(FILES[0])).unwrap() == cases.text(&BTreeMap::new()).unwrap();
        let out_of_form = (!is_in_form).then(|| {
            format!("events/{name}/cases.json: put it in form with `BLESS=1 cargo test -p local --test bundle`")
        });
        let others = names_in(&folder).into_iter().filter(|file| !FILES.contains(&file.as_str()));
        let others = others.map(|file| format!("events/{name}/{file}: make it a case of cases.json"));
        others.chain(out_of_form).collect::<Vec<_>>()
    });
}

#[test]
fn an_event_is_one_that_the_gateway_makes_for_its_function() {
    let (router, template) = (Router::new(&template()), template());
    let called = template.functions.iter().filter(|it| it.kind != Some(Kind::Product)).map(|it| it.name.clone());
    each_function(called.collect(), |name| {
        let foreign = cases(name).into_iter().filter(|case| {
            let event = &case.event;
            let [method, path] = [&event["requestContext"]["http"]["method"], &event["rawPath"]];
            let found = router.find(method.as_str().unwrap(), path.as_str().unwrap());
            !found.is_some_and(|found| {
                found.function == name
                    && event["routeKey"] == *found.route_key
                    && event["rawPath"] == *found.path
                    // The gateway leaves out empty parts.
                    && event["pathParameters"].as_object().map_or(json!({}), |it| json!(it)) == json!(found.parameters)
            })
        });
        foreign
            .map(|case| format!("events/{name}, {}: its path is not that of its route", case.name))
            .collect::<Vec<_>>()
    });
}

#[test]
fn a_route_has_a_success_and_a_handler_that_names_it() {
    let (root, template) = (find_root().unwrap(), template());
    each_function(in_template(), |name| {
        let main = format!("functions/{name}/src/main.rs");
        let code = fs::read_to_string(root.join(&main)).unwrap();
        let successes = cases(name).into_iter().filter(|case| case.name.starts_with(SUCCESS));
        let succeeding: Vec<Value> = successes.map(|case| case.event["routeKey"].clone()).collect();
        let routes = template.function(name).unwrap().routes.iter().map(|it| format!("{} {}", it.method, it.path));
        let lacks = |route: String| {
            let doc = format!("/// `{route}`");
            [
                (
                    code.lines().any(|line| line.starts_with(&doc)),
                    format!("{main}: begin the handler's comment with {doc}"),
                ),
                (succeeding.contains(&json!(route)), format!("events/{name}: add a success of `{route}`")),
            ]
        };
        let lacking = routes.flat_map(lacks).filter_map(|(is_there, add)| (!is_there).then_some(add));
        lacking.collect::<Vec<_>>()
    });
}

#[test]
fn a_page_may_send_what_functions_read_and_read_what_they_answer() {
    let template = template();
    let cors = template.cors.as_ref().unwrap();
    each_function(in_template(), |name| {
        let cases = cases(name);
        let headers = |of: &dyn Fn(&Case) -> Option<Value>, anyway: fn(&str) -> bool| {
            let headers = cases.iter().filter_map(of);
            let names = headers.filter_map(|it| {
                Some(it["headers"].as_object()?.keys().map(|it| it.to_lowercase()).collect::<Vec<_>>())
            });
            names.flatten().filter(|name| !anyway(name)).collect::<BTreeSet<_>>()
        };
        let methods = template.function(name).unwrap().routes.iter().map(|route| route.method.clone()).collect();
        let lacks = |list: &str, allowed: &[String], needed: BTreeSet<String>| -> Vec<String> {
            let lacking = needed.into_iter().filter(|it| !allowed.contains(it));
            lacking.map(|it| format!("template.yaml: add {it} to {list} for {name}")).collect()
        };
        [
            lacks("AllowMethods", &cors.methods, methods),
            lacks("AllowHeaders", &cors.headers, headers(&|case| Some(case.event.clone()), is_sent_anyway)),
            lacks("ExposeHeaders", &cors.exposed, headers(&|case| case.answer.clone(), is_of_the_browser)),
        ]
        .concat()
    });
}
