//! The schema of a body: the rules for absent members and `null`. The reader of a body must agree with it, since both name
//! each member.

use std::collections::BTreeSet;

use domain::problem::{Wrong, dotted};
use domain::schema::CLEARABLE;
use schemars::Schema;
use serde_json::{Map, Value, json};

use shared::json::{Faulty, Object};

/// In a body, a [`Patch`](domain::Patch) may be absent or `null`, and an `Option` may be absent only. Derives require the one and take `null`
/// for the other.
pub(crate) fn finish(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let mut clearable = Vec::new();
    for (name, property) in object.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(property) = property.as_object_mut() else { continue };
        match property.remove(CLEARABLE) {
            Some(_) => clearable.push(Value::from(name.clone())),
            None => without_null(property),
        }
    }
    if let Some(required) = object.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !clearable.contains(name));
        if required.is_empty() {
            object.remove("required");
        }
    }
}

/// The schema of an `Option`, without the `null`.
fn without_null(schema: &mut Map<String, Value>) {
    if let Some([kind, null]) = schema.get("type").and_then(Value::as_array).map(Vec::as_slice)
        && null == "null"
    {
        let kind = kind.clone();
        schema.insert("type".to_owned(), kind);
    }
    if let Some([Value::Object(other), null]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice)
        && null["type"] == "null"
    {
        let other = other.clone();
        schema.remove("anyOf");
        schema.extend(other);
    }
}

/// Compares the names of all members, also inside of others, and the rules for the members of the body itself. `schemas` has
/// the schemas that `schema` refers to.
///
/// # Panics
/// The reader and the schema disagree.
pub(crate) fn agree<T>(schema: &Value, schemas: &Value, read: impl Fn(&mut Object) -> Result<T, Faulty>) {
    // The places of a body's faults: all, or those of one kind.
    let faults = |body: &Value, kind: Option<Wrong>| -> BTreeSet<String> {
        let object = Object::of_body(body.to_string().as_bytes()).expect("an object");
        let faults = object.all(&read).err().unwrap_or_default().into_iter();
        let faults = faults.filter(|fault| kind.as_ref().is_none_or(|kind| fault.wrong == *kind));
        faults.map(|fault| dotted(&fault.place)).collect()
    };
    let mut all = BTreeSet::new();
    let spoilt = spoil(schema, schemas, "", &mut all);
    assert_eq!(faults(&spoilt, None), all, "the reader and the schema name other members");

    let object = resolve(schema, schemas);
    let required = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let required = required.map(str::to_owned).collect();
    assert_eq!(faults(&json!({}), Some(Wrong::Missing)), required, "the reader and the schema require other members");

    let properties = object["properties"].as_object().into_iter().flatten();
    let nulls = properties.clone().map(|(name, _)| (name.clone(), Value::Null)).collect();
    let never_null = properties.filter(|(_, property)| !may_be_null(property)).map(|(name, _)| name.clone()).collect();
    assert_eq!(faults(&nulls, Some(Wrong::Null)), never_null, "the reader and the schema take null for other members");
}

/// An object with the members of a schema, also inside of others, in which each value is of a wrong type. Adds the places of
/// these values to `places`.
fn spoil(schema: &Value, schemas: &Value, place: &str, places: &mut BTreeSet<String>) -> Value {
    let schema = resolve(schema, schemas);
    if let Some(properties) = schema["properties"].as_object() {
        let member = |(name, property): (&String, &Value)| {
            let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
            (name.clone(), spoil(property, schemas, &place, places))
        };
        return properties.iter().map(member).collect();
    }
    if schema["items"].is_object() {
        return json!([spoil(&schema["items"], schemas, &format!("{place}[0]"), places)]);
    }
    places.insert(place.to_owned());
    json!(1.5)
}

/// The schema that this one refers to, or itself. A reference that may be `null` is the first of two.
fn resolve<'a>(schema: &'a Value, schemas: &'a Value) -> &'a Value {
    let references = [&schema["$ref"], &schema["anyOf"][0]["$ref"]];
    let name = references.into_iter().filter_map(Value::as_str).find_map(|path| path.rsplit('/').next());
    name.map_or(schema, |name| &schemas[name])
}

fn may_be_null(schema: &Value) -> bool {
    let kinds = [&schema["type"], &schema["anyOf"]].into_iter().filter_map(Value::as_array);
    schema["type"] == "null" || kinds.flatten().any(|kind| kind == "null" || kind["type"] == "null")
}
