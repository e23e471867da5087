//! Makes the whole event and the whole answer of a case from its differences to the base, and the differences from an answer.

use serde_json::{Map, Value, json};

use super::repeat::{spelled_out, without_runs};
use crate::event::query_parameters;

/// Makes the event of a case. `event` is the event of its base.
pub fn patched(mut event: Value, patch: &Map<String, Value>, name: &str) -> std::result::Result<Value, String> {
    let mut patch = patch.clone();
    if let Some(body) = patch.get_mut("body").filter(|body| !body.is_null() && !body.is_string()) {
        *body = body.to_string().into();
    }
    let patch = Value::Object(patch);
    merge(&mut event, &patch);

    // The gateway makes no event of a function of the product.
    if event.get("requestContext").is_none() {
        return Ok(event);
    }
    let route = event["routeKey"].as_str().ok_or("its event has no `routeKey`")?.to_owned();
    let (method, path) =
        route.split_once(' ').ok_or_else(|| format!("its `routeKey` is no method and path: {route}"))?;
    event["requestContext"]["routeKey"] = route.as_str().into();
    event["requestContext"]["http"]["method"] = method.into();
    event["requestContext"]["requestId"] = request_id(name).into();
    if patch.get("rawPath").is_none() {
        let stage = event["requestContext"]["stage"].as_str().filter(|stage| *stage != "$default");
        let mut path = stage.map_or_else(String::new, |stage| format!("/{stage}")) + path;
        for (name, value) in event["pathParameters"].as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| format!("its path parameter `{name}` is no text"))?;
            path = path.replace(&format!("{{{name}}}"), value).replace(&format!("{{{name}+}}"), value);
        }
        event["rawPath"] = path.into();
    }
    event["requestContext"]["http"]["path"] = event["rawPath"].clone();
    let query = event["rawQueryString"].as_str().filter(|query| !query.is_empty()).map(query_parameters);
    let length = event["body"].as_str().map(|body| body.len().to_string());
    // The parameters of the base belong to the base's own query.
    event["queryStringParameters"] = Value::Null;
    merge(&mut event, &json!({ "queryStringParameters": query, "headers": { "content-length": length } }));
    // The members that the case itself gives come before the derived ones.
    merge(&mut event, &patch);
    Ok(event)
}

/// Makes the whole answer to a case. `base` is the answer of its base.
pub fn whole(answer: &Map<String, Value>, base: Option<&Value>, name: &str) -> std::result::Result<Value, String> {
    // The answer of a function of the product stands as it is.
    if answer.contains_key("answer") {
        return Ok(answer.clone().into());
    }
    if let Some(unknown) = answer.keys().find(|it| !["statusCode", "headers", "body", "changes"].contains(&it.as_str()))
    {
        return Err(format!("its answer has a member `{unknown}`"));
    }
    let mut answer = answer.clone();
    let changes = answer.shift_remove("changes");
    let mut whole = match answer.contains_key("statusCode") {
        true => {
            let mut headers = usual_headers(name);
            merge(&mut headers, &answer.shift_remove("headers").unwrap_or_else(|| json!({})));
            json!({ "statusCode": answer["statusCode"], "headers": headers, "body": answer.get("body").unwrap_or(&"".into()) })
        }
        false => {
            let mut whole = as_base(base.ok_or("its answer has no `statusCode`, and its base no answer")?, name);
            merge(&mut whole, &answer.into());
            whole
        }
    };
    changes.into_iter().for_each(|changes| whole["changes"] = changes);
    Ok(whole)
}

/// Returns the base's answer as a start for the answer to a case: with the request id of the case, and without `changes`.
fn as_base(answer: &Value, name: &str) -> Value {
    let mut base = answer.clone();
    merge(&mut base, &json!({ "headers": { "x-request-id": request_id(name) }, "changes": null }));
    base
}

/// Does the inverse of [`whole`]: returns the shorter of the two ways to write an answer, or `None` if neither is exact.
pub fn shortened(answer: &Value, base: Option<&Value>, name: &str) -> Option<Value> {
    let said = |patch: Value, base: Option<&Value>| {
        let short = without_runs(&patch);
        let again = whole(spelled_out(&short).as_object()?, base, name).ok()?;
        (again == *answer).then_some(short)
    };
    if answer.get("answer").is_some() {
        return said(answer.clone(), None);
    }
    let mut complete = answer.clone();
    complete["headers"] = difference(&usual_headers(name), &answer["headers"]).unwrap_or_default();
    let is_usual = |name: &str, value: &Value| match name {
        "headers" => value.is_null(),
        "body" => value == "",
        _ => false,
    };
    complete.as_object_mut()?.retain(|name, value| !is_usual(name, value));
    let patch = base.map(|base| difference(&as_base(base, name), answer).unwrap_or_else(|| json!({})));
    let patch = patch.filter(|patch| patch.get("statusCode").is_none());
    let ways = [said(complete, None), patch.and_then(|patch| said(patch, base))];
    ways.into_iter().flatten().min_by_key(|way| way.to_string().len())
}

fn usual_headers(name: &str) -> Value {
    json!({ "content-type": "application/json", "x-request-id": request_id(name) })
}

fn request_id(name: &str) -> String {
    format!("{name}-1")
}

/// Applies a JSON Merge Patch, RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        match value {
            Value::Null => drop(members.shift_remove(name)),
            value => merge(members.entry(name).or_insert(Value::Null), value),
        }
    }
}

/// Returns the merge patch between two values, if they differ. A merge patch cannot add a `null`.
fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let changed = new.iter().filter_map(|(name, value)| {
        let difference = old.get(name).map_or_else(|| Some(value.clone()), |old| difference(old, value));
        Some((name.clone(), difference?))
    });
    let removed = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let patch: Map<_, _> = changed.chain(removed).collect();
    (!patch.is_empty()).then(|| patch.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(patch: Value) -> Value {
        let base = json!({
            "routeKey": "PUT /t/{tenant}/u/{id}",
            "rawPath": "/main/t/acme/u/1",
            "rawQueryString": "a=1",
            "headers": { "content-length": "2", "content-type": "application/json" },
            "requestContext": {
                "http": { "method": "PUT", "path": "/main/t/acme/u/1" },
                "requestId": "success-1",
                "routeKey": "PUT /t/{tenant}/u/{id}",
                "stage": "main",
            },
            "pathParameters": { "tenant": "acme", "id": "1" },
            "queryStringParameters": { "a": "1" },
            "body": "{}",
        });
        patched(base, patch.as_object().unwrap(), "odd").unwrap()
    }

    /// The examples are those of RFC 7386, appendix A: target, patch, result.
    #[test]
    fn merging_is_that_of_the_rfc() {
        for (target, patch, expected) in [
            (json!({ "a": "b" }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "b" }), json!({ "b": "c" }), json!({ "a": "b", "b": "c" })),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (json!({ "a": "b", "b": "c" }), json!({ "a": null }), json!({ "b": "c" })),
            (json!({ "a": ["b"] }), json!({ "a": "c" }), json!({ "a": "c" })),
            (json!({ "a": "c" }), json!({ "a": ["b"] }), json!({ "a": ["b"] })),
            (json!({ "a": { "b": "c" } }), json!({ "a": { "b": "d", "c": null } }), json!({ "a": { "b": "d" } })),
            (json!({ "a": [{ "b": "c" }] }), json!({ "a": [1] }), json!({ "a": [1] })),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({ "a": "b" }), json!(["c"]), json!(["c"])),
            (json!({ "a": "foo" }), json!(null), json!(null)),
            (json!({ "a": "foo" }), json!("bar"), json!("bar")),
            (json!({ "e": null }), json!({ "a": 1 }), json!({ "e": null, "a": 1 })),
            (json!([1, 2]), json!({ "a": "b", "c": null }), json!({ "a": "b" })),
            (json!({}), json!({ "a": { "bb": { "ccc": null } } }), json!({ "a": { "bb": {} } })),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, expected, "{target} and {patch}");
            // The difference must lead from the target to the result, unless the result is null or the target is no object.
            let mut again = target.clone();
            merge(&mut again, &difference(&target, &expected).unwrap_or(json!({})));
            assert!(again == expected || expected.is_null() || !target.is_object(), "{target} to {expected}");
        }
    }

    #[test]
    fn an_event_has_what_follows_from_what_is_said() {
        let odd = event(
            json!({ "pathParameters": { "id": "0 ü" }, "rawQueryString": "b=%20&b=2", "body": { "ä": [1, null] } }),
        );
        assert_eq!(odd["rawPath"], "/main/t/acme/u/0 ü");
        assert_eq!(odd["requestContext"]["http"], json!({ "method": "PUT", "path": "/main/t/acme/u/0 ü" }));
        assert_eq!(odd["requestContext"]["requestId"], "odd-1");
        assert_eq!(odd["queryStringParameters"], json!({ "b": " ,2" }));
        assert_eq!(odd["body"], r#"{"ä":[1,null]}"#);
        assert_eq!(odd["headers"], json!({ "content-length": "15", "content-type": "application/json" }));

        let other = event(
            json!({ "routeKey": "GET /f/{path+}", "pathParameters": { "path": "a/b" }, "rawQueryString": "", "body": null }),
        );
        assert_eq!(
            (&other["rawPath"], &other["requestContext"]["http"]["method"]),
            (&json!("/main/f/a/b"), &json!("GET"))
        );
        assert_eq!(other["requestContext"]["routeKey"], "GET /f/{path+}");
        assert_eq!(other["headers"], json!({ "content-type": "application/json" }));
        assert!(other.get("queryStringParameters").is_none() && other.get("body").is_none());
    }

    #[test]
    fn what_an_event_says_itself_comes_first() {
        let odd = json!({
            "rawPath": "/x",
            "queryStringParameters": null,
            "headers": { "content-length": "7" },
            "requestContext": { "requestId": "", "http": { "method": null } },
            "body": "{\"a\":1,\"a\":1e0}",
        });
        let event = event(odd.clone());
        assert_eq!((&event["rawPath"], &event["requestContext"]["http"]), (&odd["rawPath"], &json!({ "path": "/x" })));
        assert!(event.get("queryStringParameters").is_none());
        assert_eq!((&event["headers"]["content-length"], &event["body"]), (&json!("7"), &odd["body"]));
        assert_eq!(event["requestContext"]["requestId"], "");
    }

    #[test]
    fn an_answer_is_whole_with_a_status_and_the_bases_without() {
        let base = json!({
            "statusCode": 200,
            "headers": { "content-type": "text/html", "etag": "\"2\"", "x-request-id": "success-1" },
            "body": { "a": { "b": 1, "c": null }, "d": [1] },
            "changes": { "n": { "from": null, "to": 1 } },
        });
        for (said, expected) in [
            (
                json!({ "statusCode": 204, "headers": { "content-type": null } }),
                json!({ "statusCode": 204, "headers": {}, "body": "" }),
            ),
            (
                json!({ "statusCode": 403, "headers": { "a": "b" }, "body": { "x": null } }),
                json!({ "statusCode": 403, "headers": { "content-type": "application/json", "a": "b" }, "body": { "x": null } }),
            ),
            (
                json!({}),
                json!({ "statusCode": 200, "headers": { "content-type": "text/html", "etag": "\"2\"" }, "body": base["body"] }),
            ),
            (
                json!({ "headers": { "etag": "\"1\"" }, "body": { "a": { "b": 2 } }, "changes": { "m": { "from": 1, "to": null } } }),
                json!({
                    "statusCode": 200,
                    "headers": { "content-type": "text/html", "etag": "\"1\"" },
                    "body": { "a": { "b": 2, "c": null }, "d": [1] },
                    "changes": { "m": { "from": 1, "to": null } },
                }),
            ),
        ] {
            let mut expected = expected;
            expected["headers"]["x-request-id"] = "odd-1".into();
            assert_eq!(whole(said.as_object().unwrap(), Some(&base), "odd"), Ok(expected.clone()), "{said}");
            assert_eq!(shortened(&expected, Some(&base), "odd"), Some(said));
        }
        // A merge patch cannot add a null, so the answer is written whole.
        let mut null = whole(json!({}).as_object().unwrap(), Some(&base), "odd").unwrap();
        null["body"]["a"]["b"] = Value::Null;
        let short = shortened(&null, Some(&base), "odd").unwrap();
        assert_eq!((&short["statusCode"], &short["body"]), (&json!(200), &null["body"]));
        // Text that looks like a placeholder cannot be recorded.
        null["body"] = "{{3 times x}}".into();
        assert_eq!(shortened(&null, Some(&base), "odd"), None);
    }
}
