//! Compares answers with `openapi.json`: a status, a header or a member of a body that it does not describe is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use local::template::find_root;
use serde_json::{Value, json};

/// Headers that frame a body, and headers that the gateway adds to a function's answer.
const OF_NO_OPERATION: [&str; 4] = ["apigw-requestid", "content-length", "content-type", "date"];

pub struct Described {
    document: Value,
    validators: Mutex<BTreeMap<String, Arc<Validator>>>,
}

#[allow(dead_code, reason = "each test program that this is part of uses some of it")]
impl Described {
    pub fn committed() -> Self {
        let text = fs::read_to_string(find_root().unwrap().join("openapi.json")).unwrap();
        Self::new(serde_json::from_str(&text).unwrap())
    }

    pub fn new(mut document: Value) -> Self {
        close(&mut document["components"]["schemas"]);
        Self { document, validators: Mutex::default() }
    }

    fn response(&self, route: &str, status: u16) -> Result<&Value, String> {
        let (method, path) = route.split_once(' ').ok_or("no route")?;
        let operation = &self.document["paths"][path][method.to_lowercase()];
        operation["responses"].get(status.to_string()).ok_or(format!("{route}: {status} is not described"))
    }

    /// # Errors
    /// The part of the answer that is not described.
    pub fn body(&self, route: &str, status: u16, media_type: Option<&str>, body: &[u8]) -> Result<(), String> {
        let response = self.response(route, status)?;
        if response["content"].is_null() && media_type.is_none() && body.is_empty() {
            return Ok(());
        }
        let essence = media_type.and_then(|it| it.split(';').next()).map(str::trim).unwrap_or_default();
        let content = response["content"].get(essence);
        let content = content.ok_or(format!("{route}, {status}: the content type {media_type:?} is not described"))?;
        let value = match essence {
            "application/json" => serde_json::from_slice(body).map_err(|why| format!("{route}, {status}: {why}"))?,
            _ => Value::from(String::from_utf8_lossy(body)),
        };
        let wrong: Vec<String> = self
            .validator(&content["schema"])
            .iter_errors(&value)
            .map(|why| format!("`{}`: {why}", why.instance_path()))
            .collect();
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{route}, {status}: {}", wrong.join("; "))),
        }
    }

    /// # Errors
    /// The header that is not described, or that is described and missing.
    pub fn headers<'a>(
        &self,
        route: &str,
        status: u16,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), String> {
        let described = self.response(route, status)?["headers"].as_object().cloned().unwrap_or_default();
        let names: BTreeSet<String> = names.into_iter().map(str::to_lowercase).collect();
        let is_of_none = |name: &str| OF_NO_OPERATION.contains(&name) || name.starts_with("access-control-");
        if let Some(name) = names.iter().find(|name| !described.contains_key(*name) && !is_of_none(name)) {
            return Err(format!("{route}, {status}: the header {name} is not described"));
        }
        let required = |name: &str| match described[name]["$ref"].is_string() {
            true => self.document["components"]["headers"][name]["required"] == true,
            false => described[name]["required"] == true,
        };
        match described.keys().find(|name| required(name) && !names.contains(*name)) {
            Some(name) => Err(format!("{route}, {status}: the header {name} is missing")),
            None => Ok(()),
        }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let validator = validators.entry(schema.to_string()).or_insert_with(|| {
            let whole = json!({ "allOf": [schema], "components": self.document["components"] });
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
            Arc::new(options.should_validate_formats(true).build(&whole).unwrap())
        });
        Arc::clone(validator)
    }
}

/// Forbids members that a schema does not name. The document itself allows them: clients must ignore members that a later version
/// adds.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(close),
        Value::Object(object) => {
            if object.get("properties").is_some_and(Value::is_object) && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), false.into());
            }
            object.values_mut().for_each(close);
        }
        _ => {}
    }
}
