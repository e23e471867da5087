//! What is said of a function in one place is said in all of them: `functions/`, `template.yaml`, `events/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use local::routes::Router;
use local::template::find_root;
use local::{Template, functions};
use serde_json::{Value, json};

/// The cases that each function has, and the statuses that their answers may have. Who anybody may call has the first.
const MANDATORY: [(&str, &[u64]); 5] = [
    ("success", &[200, 201, 204]),
    ("no-credential", &[401]),
    ("forbidden", &[403]),
    // 401 where only the credentials name a tenant, and differ.
    ("foreign-tenant", &[401, 403]),
    ("malformed", &[400, 422]),
];

const EVENT: &str = ".json";
const ANSWER: &str = ".answer.json";

fn template() -> Template {
    Template::load(&find_root().unwrap().join("template.yaml")).unwrap()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap_or_else(|why| panic!("{}: {why}", file.display()))
}

/// The events of a function and the answers beside them, each by the name of the case.
fn cases(function: &str) -> [BTreeMap<String, PathBuf>; 2] {
    let folder = find_root().unwrap().join("events").join(function);
    let (mut events, mut answers) = (BTreeMap::new(), BTreeMap::new());
    for name in names_in(&folder) {
        let file = folder.join(&name);
        match (name.strip_suffix(ANSWER), name.strip_suffix(EVENT)) {
            (Some(case), _) => answers.insert(case.to_owned(), file),
            (None, Some(case)) => events.insert(case.to_owned(), file),
            (None, None) => panic!("{}: neither an event nor an answer", file.display()),
        };
    }
    [events, answers]
}

/// Headers that are there without a page's doing: of the browser, and of the gateway. And `content-encoding`: no page is to
/// compress a body.
fn is_sent_anyway(header: &str) -> bool {
    let gateway = header.starts_with("x-amzn-") || header.starts_with("x-forwarded-");
    let browser = ["accept", "accept-encoding", "content-length", "cookie", "host", "origin", "user-agent"];
    gateway || browser.contains(&header) || header == "content-encoding"
}

/// Headers of an answer that pages may read always, that are for the browser, or for who compresses a body.
fn is_of_the_browser(header: &str) -> bool {
    let browsers = ["content-encoding", "content-security-policy", "referrer-policy", "vary", "x-content-type-options"];
    ["accept-encoding", "cache-control", "content-type"].contains(&header) || browsers.contains(&header)
}

/// What each function lacks, if anything; `lacks` is told its name.
fn each_function<I: IntoIterator<Item = String>>(names: BTreeSet<String>, lacks: impl Fn(&str) -> I) {
    assert!(!names.is_empty());
    let lacking: Vec<String> = names.iter().flat_map(|name| lacks(name)).collect();
    assert!(lacking.is_empty(), "\n{}", lacking.join("\n"));
}

fn in_template() -> BTreeSet<String> {
    template().functions.into_iter().map(|function| function.name).collect()
}

/// Cedar's parser is a tenth of a function, and half of its start.
#[test]
fn no_function_has_cedar() {
    let mut cargo = functions::cargo();
    cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    cargo.args(in_template().iter().flat_map(|name| ["--package", name.as_str()]));
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
            (has_events, format!("events/{name}: add the folder, with an event for each case")),
        ]
        .into_iter()
        .filter_map(|(is_there, add)| (!is_there).then_some(add))
    });
}

#[test]
fn a_function_has_the_mandatory_cases() {
    each_function(in_template(), |name| {
        let [events, answers] = cases(name);
        let lacks = |(case, statuses): &(&str, &[u64])| match answers.get(*case).map(|file| read(file)) {
            _ if !events.contains_key(*case) => Some(format!("events/{name}: add {case}{EVENT}")),
            Some(answer) if !answer["statusCode"].as_u64().is_some_and(|it| statuses.contains(&it)) => {
                Some(format!("events/{name}/{case}{ANSWER}: {} is none of {statuses:?}", answer["statusCode"]))
            }
            _ => None,
        };
        let is_public = template().function(name).is_some_and(|it| it.is_public());
        MANDATORY[..if is_public { 1 } else { MANDATORY.len() }].iter().filter_map(lacks).collect::<Vec<_>>()
    });
}

#[test]
fn an_event_has_an_answer_and_the_other_way_round() {
    each_function(in_template(), |name| {
        let [events, answers] = cases(name);
        let unanswered = events.keys().filter(|case| !answers.contains_key(*case));
        let unanswered = unanswered.map(|case| {
            format!("events/{name}: add {case}{ANSWER} with `BLESS=1 cargo test -p local --test events`, and review it")
        });
        let unasked = answers.keys().filter(|case| !events.contains_key(*case));
        let unasked = unasked.map(|case| format!("events/{name}: add {case}{EVENT}, or remove {case}{ANSWER}"));
        unanswered.chain(unasked).collect::<Vec<_>>()
    });
}

#[test]
fn an_event_is_one_that_the_gateway_makes_for_its_function() {
    let router = Router::new(&template());
    each_function(in_template(), |name| {
        let [events, _] = cases(name);
        let foreign = events.into_values().filter(|file| {
            let event = read(file);
            let [method, path] = [&event["requestContext"]["http"]["method"], &event["rawPath"]];
            let found = router.find(method.as_str().unwrap(), path.as_str().unwrap());
            !found.is_some_and(|found| {
                found.function == name
                    && event["routeKey"] == *found.route_key
                    && event["rawPath"] == *found.path
                    // The gateway leaves out what would be empty.
                    && event["pathParameters"].as_object().map_or(json!({}), |it| json!(it)) == json!(found.parameters)
            })
        });
        foreign.map(|file| format!("{}: its path is not that of its route", file.display())).collect::<Vec<_>>()
    });
}

#[test]
fn a_route_has_a_success_and_a_handler_that_names_it() {
    let (root, template) = (find_root().unwrap(), template());
    each_function(in_template(), |name| {
        let main = format!("functions/{name}/src/main.rs");
        let code = fs::read_to_string(root.join(&main)).unwrap();
        let [events, _] = cases(name);
        let successes = events.iter().filter(|(case, _)| case.starts_with("success"));
        let succeeding: Vec<Value> = successes.map(|(_, file)| read(file)["routeKey"].clone()).collect();
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
        let headers = |files: BTreeMap<String, PathBuf>, anyway: fn(&str) -> bool| {
            let headers = files.values().map(|file| read(file)["headers"].take());
            let names =
                headers.filter_map(|it| Some(it.as_object()?.keys().map(|it| it.to_lowercase()).collect::<Vec<_>>()));
            names.flatten().filter(|name| !anyway(name)).collect::<BTreeSet<_>>()
        };
        let [events, answers] = cases(name);
        let methods = template.function(name).unwrap().routes.iter().map(|route| route.method.clone()).collect();
        let lacks = |list: &str, allowed: &[String], needed: BTreeSet<String>| -> Vec<String> {
            let lacking = needed.into_iter().filter(|it| !allowed.contains(it));
            lacking.map(|it| format!("template.yaml: add {it} to {list} for {name}")).collect()
        };
        [
            lacks("AllowMethods", &cors.methods, methods),
            lacks("AllowHeaders", &cors.headers, headers(events, is_sent_anyway)),
            lacks("ExposeHeaders", &cors.exposed, headers(answers, is_of_the_browser)),
        ]
        .concat()
    });
}
