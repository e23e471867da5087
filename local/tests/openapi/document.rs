//! Puts the document together: routes and operation ids from the template, wire types from the functions' tests, summaries from the
//! handlers' comments, examples from the recorded events, and the gateway's own answers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use local::REFUSALS;
use local::cases::{Case, Cases};
use local::template::Function;
use local::{Result, Template};
use serde_json::{Map, Value, json};
use shared::id::sha256;

/// The cases to show first, and the number of shown cases of one status.
const FIRST: [&str; 5] = ["success", "no-credential", "forbidden", "foreign-tenant", "malformed"];
const SHOWN: usize = 3;

/// Answers of API Gateway on AWS that the local gateway does not give, or gives with other words.
const ON_AWS: [(u16, &str); 2] = [(429, "Too Many Requests"), (500, "Internal Server Error")];

const JSON: &str = "application/json";

/// The OpenAPI document.
///
/// # Errors
/// The missing part of a function, and the place to add it.
pub fn document(template: &Template, root: &Path, parts: &Path) -> Result<Value> {
    let (mut tags, mut paths, mut components) = (Vec::new(), Map::new(), Map::new());
    for function in &template.functions {
        let code = read(&root.join("functions").join(&function.name).join("src/main.rs"))?;
        let cases = cases(root, &function.name)?;
        for route in &function.routes {
            let key = format!("{} {}", route.method, route.path);
            let lacks = |what: &str| format!("{} ({key}): {what}", function.name);
            let mut part = part(parts, function, &key)?;
            if !tags.contains(&part["tag"]) {
                tags.push(part["tag"].take());
            }
            for (kind, more) in object(&mut part["components"]).clone() {
                let known = object(components.entry(kind).or_insert_with(|| json!({})));
                for (name, component) in more.as_object().into_iter().flatten() {
                    let other = known.entry(name).or_insert_with(|| component.clone());
                    if other != component {
                        let what = format!("its component `{name}` is another's, too: give it another name");
                        return Err(lacks(&what).into());
                    }
                }
            }
            let mut operation = part["operation"].take();
            operation["operationId"] = route.operation.as_str().into();
            let comment = comment(&code, &key);
            let comment = comment.ok_or_else(|| lacks(&format!("begin its handler's comment with /// `{key}`: …")))?;
            (operation["summary"], operation["description"]) = comment;
            parameters_are_those_of(&route.path, &operation).map_err(|what| lacks(&what))?;
            let of_route: Vec<&Case> = cases.iter().filter(|case| case.event["routeKey"] == *key).collect();
            give_examples(&mut operation, &of_route).map_err(|what| lacks(&what))?;
            add_gateway(&mut operation);
            sort_responses(&mut operation);
            object(paths.entry(&route.path).or_insert_with(|| json!({})))
                .insert(route.method.to_lowercase(), in_order(operation));
        }
    }
    let schemas = object(components.entry("schemas").or_insert_with(|| json!({})));
    schemas.insert("GatewayFailure".to_owned(), gateway_failure());
    components.values_mut().for_each(Value::sort_all_objects);
    Ok(json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Rolecall",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT or Apache 2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": servers(template),
        "tags": tags,
        "paths": paths,
        "components": components,
    }))
}

const DESCRIPTION: &str = "Who is what in which tenant of a multi-tenant product: members, their roles and groups, and the \
permissions that come with them.\n\nFive families of calls do the same, each in the words of the clients that it was made for. \
A change is in force on the next request; what a caller may do is never read from a token. Every answer carries \
`x-request-id`, every write takes `If-Match` and `Idempotency-Key`.";

fn servers(template: &Template) -> Value {
    let stage = match template.stage.as_str() {
        "$default" => String::new(),
        stage => format!("/{stage}"),
    };
    json!([
        { "url": "http://127.0.0.1:3000", "description": "`cargo run`" },
        {
            "url": format!("https://{{api}}.execute-api.{{region}}.amazonaws.com{stage}"),
            "description": "AWS; the outputs of the stack have the URL",
            "variables": {
                "api": { "default": "api-id", "description": "The id of the HTTP API." },
                "region": { "default": "us-east-1", "description": "The region of the stack." },
            },
        },
    ])
}

/// The description of an operation by a function's test.
fn part(parts: &Path, function: &Function, route: &str) -> Result<Value> {
    let name = &function.name;
    let of_route = parts.join(format!("{name} {}.json", route.replace('/', "_")));
    let of_function = parts.join(format!("{name}.json"));
    match [of_route, of_function].iter().find(|file| file.is_file()) {
        Some(file) => json_of(file),
        None => Err(format!(
            "functions/{name}/src/main.rs: add a test `description` that ends in `openapi::Operation::…describe()` \
             for {route}, as the other functions have it"
        )
        .into()),
    }
}

/// Summary and description of the handler with a route: its comment's first sentence, and the paragraphs after that, up to the next
/// route.
fn comment(code: &str, route: &str) -> Option<(Value, Value)> {
    let route_of = |line: &str| line.strip_prefix("/// `")?.split_once("`: ").map(|(route, _)| route.to_owned());
    let mut lines = code.lines().skip_while(|line| route_of(line).as_deref() != Some(route));
    let (_, first) = lines.next()?.split_once("`: ")?;
    let lines = lines.take_while(|line| route_of(line).is_none_or(|other| !other.contains(" /")));
    let rest = lines.map_while(|line| line.strip_prefix("///")).map(str::trim);
    let mut paragraphs = vec![first.to_owned()];
    for line in rest {
        match (line, paragraphs.last_mut()) {
            ("", _) => paragraphs.push(String::new()),
            (line, Some(paragraph)) if paragraph.is_empty() => paragraph.push_str(line),
            (line, Some(paragraph)) => paragraph.extend([" ", line]),
            _ => {}
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    let first = paragraphs.remove(0);
    // The comments name the pages that the code follows. Readers of the reference do not have these pages.
    let (first, seed) = first.split_once(" (seed ").map_or((first.as_str(), ""), |(first, seed)| (first, seed));
    let seed = seed.split_once(')').map_or("", |(_, after)| after);
    let (summary, more) = first.split_once(". ").unwrap_or((first, ""));
    let summary = summary.trim_end_matches('.');
    if !more.is_empty() || !seed.trim_matches(['.', ' ']).is_empty() {
        paragraphs.insert(0, format!("{more}{seed}"));
    }
    let summary = summary[..1].to_uppercase() + &summary[1..];
    Some((summary.into(), paragraphs.join("\n\n").into()))
}

fn parameters_are_those_of(path: &str, operation: &Value) -> std::result::Result<(), String> {
    let mut of_route: Vec<_> = path
        .split('/')
        .filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'))
        .map(|it| it.trim_end_matches('+'))
        .collect();
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let mut described: Vec<_> =
        parameters.filter(|it| it["in"] == "path").filter_map(|it| it["name"].as_str()).collect();
    of_route.sort_unstable();
    described.sort_unstable();
    match of_route == described {
        true => Ok(()),
        false => Err(format!("the route has the variables {of_route:?}, described are {described:?}")),
    }
}

// ---- Cases

/// The cases of a function, with those to show first in front.
fn cases(root: &Path, function: &str) -> Result<Vec<Case>> {
    let mut cases = Cases::load(root, function)?.all()?;
    let place = |case: &Case| FIRST.iter().position(|first| *first == case.name).unwrap_or(FIRST.len());
    cases.sort_by_cached_key(|case| (place(case), case.name.clone()));
    Ok(cases)
}

/// The recorded events and answers are the examples.
fn give_examples(operation: &mut Value, cases: &[&Case]) -> std::result::Result<(), String> {
    // By status and media type.
    let mut recorded: BTreeMap<(String, String), Map<String, Value>> = BTreeMap::new();
    for case in cases {
        let answer = case.answer.as_ref().ok_or_else(|| format!("the event `{}` has no recorded answer", case.name))?;
        let status = answer["statusCode"].to_string();
        if operation["responses"].get(&status).is_none() {
            return Err(format!("the answer to the event `{}` is {status}, which is not described", case.name));
        }
        let media_type = answer["headers"]["content-type"].as_str().and_then(|it| it.split(';').next());
        let of_status = recorded.entry((status, media_type.unwrap_or(JSON).to_owned())).or_default();
        if of_status.len() < SHOWN {
            let mut body = answer["body"].clone();
            give_times(&mut body);
            of_status.insert(case.name.clone(), json!({ "value": body }));
        }
    }
    for ((status, of_type), examples) in &recorded {
        // A 204 has no content.
        let content = operation["responses"][status].get_mut("content").and_then(Value::as_object_mut);
        for (media_type, content) in content.into_iter().flatten() {
            // An image of one type stands for those of the others.
            if media_type == of_type || !recorded.contains_key(&(status.clone(), media_type.clone())) {
                content["examples"] = examples.clone().into();
            }
        }
    }
    let Some(success) = cases.iter().find(|case| case.name.starts_with("success")) else { return Ok(()) };
    for parameter in operation["parameters"].as_array_mut().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default();
        let example = match parameter["in"].as_str() {
            Some("path") => success.event["pathParameters"].get(name),
            Some("query") => success.event["queryStringParameters"].get(name),
            _ => success.event["headers"].get(name.to_lowercase()),
        };
        if let Some(example) = example {
            parameter["example"] = as_of(&parameter["schema"], example);
        }
    }
    if let Some(body) = operation.get_mut("requestBody").filter(|body| body["content"].get(JSON).is_some()) {
        let status = |case: &Case| case.answer.as_ref().and_then(|answer| answer["statusCode"].as_u64());
        let done = cases.iter().filter(|case| status(case).is_some_and(|status| (200..300).contains(&status)));
        let sent = done.filter_map(|case| {
            let body: Value = serde_json::from_str(&without_placeholders(case.event["body"].as_str()?)).ok()?;
            Some((case.name.clone(), json!({ "value": body })))
        });
        body["content"][JSON]["examples"] = sent.take(SHOWN).collect::<Map<_, _>>().into();
    }
    Ok(())
}

/// A body with `<token>` in the place of each token that an event stands for.
fn without_placeholders(body: &str) -> String {
    let mut parts = body.split("{{");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "<token>" + part.split_once("}}").map_or(part, |(_, rest)| rest))
}

/// A parameter is text in an event. In the reference it has its own type.
fn as_of(schema: &Value, text: &Value) -> Value {
    let is_number = [schema].into_iter().chain(schema["anyOf"].as_array().into_iter().flatten());
    let is_number = is_number.into_iter().any(|schema| schema["type"] == "integer");
    let number = text.as_str().and_then(|text| text.parse::<i64>().ok()).filter(|_| is_number);
    number.map_or_else(|| text.clone(), Value::from)
}

/// Recorded answers have names in place of times.
fn give_times(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(give_times),
        Value::Object(members) => {
            // A token ends later than it begins.
            if let Some(end) = members.get_mut("exp").filter(|end| **end == "<seconds>") {
                *end = 1_733_754_780.into();
            }
            members.values_mut().for_each(give_times);
        }
        Value::String(text) if text == "<seconds>" => *value = 1_733_754_180.into(),
        Value::String(text) if text == "<seeded>" => *text = "2024-01-15T08:45:00.000Z".into(),
        Value::String(text) if text == "<now>" => *text = "2024-12-09T14:23:00.000Z".into(),
        Value::String(text) if text == "<midnight>" => *text = "2024-12-09T00:00:00.000Z".into(),
        // The SHA-256 of nothing stands for that of an event.
        Value::String(text) if text == "<hash>" => *text = sha256(""),
        Value::String(text) if text == "<later>" => *text = "2024-12-09T16:23:00.000Z".into(),
        _ => {}
    }
}

// ---- The gateway

fn gateway_failure() -> Value {
    json!({
        "type": "object",
        "description": "What API Gateway answers itself, before a function or in its place.",
        "required": ["message"],
        "properties": { "message": { "type": "string" } },
    })
}

/// The gateway's own answers.
fn add_gateway(operation: &mut Value) {
    let schema = json!({ "$ref": "#/components/schemas/GatewayFailure" });
    for (status, message) in REFUSALS.iter().map(|(status, message)| (status.as_u16(), *message)).chain(ON_AWS) {
        let response = &mut operation["responses"][status.to_string()];
        if response.is_null() {
            *response = json!({ "description": message, "content": { JSON: { "schema": schema, "examples": {} } } });
        }
        let content = &mut response["content"][JSON];
        let own = content["schema"].take();
        content["schema"] = match own["anyOf"].is_array() || own == schema {
            true => own,
            false => json!({ "anyOf": [own, schema] }),
        };
        content["examples"]["gateway"] = json!({ "value": { "message": message } });
    }
}

// ---- Form

fn sort_responses(operation: &mut Value) {
    object(&mut operation["responses"]).sort_keys();
}

/// The order in which people read: the operation, its input, its answers.
fn in_order(mut operation: Value) -> Value {
    let names = ["operationId", "tags", "summary", "description", "security", "parameters", "requestBody", "responses"];
    let members = names.iter().filter_map(|name| Some(((*name).to_owned(), operation.get_mut(name)?.take())));
    let is_empty = |value: &Value| value == "" || (value.is_array() && value == &json!([]));
    members.filter(|(name, value)| name == "security" || !is_empty(value)).collect::<Map<_, _>>().into()
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("an object")
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|why| format!("{}: {why}", file.display()).into())
}

fn json_of(file: &Path) -> Result<Value> {
    serde_json::from_str(&read(file)?).map_err(|why| format!("{}: {why}", file.display()).into())
}
