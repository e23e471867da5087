//! Compares the reader of a body with the schema of its type. Both name every member, so they could disagree.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::json::{Faulty, Object};
use crate::problem::{Fault, Wrong, dotted};

/// `schema` is the body's, and `schemas` has those that it refers to.
///
/// # Panics
/// The reader reads other members than the schema has, or has other rules for an absent member or `null`.
pub(super) fn check<T>(schema: &Value, schemas: &Value, read: impl Fn(&mut Object) -> Result<T, Faulty>) {
    let faults = |body: &Value| -> Vec<Fault> {
        let object = Object::of_body(body.to_string().as_bytes()).expect("an object");
        object.all(&read).err().unwrap_or_default()
    };
    let places = |faults: &mut dyn Iterator<Item = Fault>| faults.map(|it| dotted(&it.place)).collect::<BTreeSet<_>>();

    let mut all = BTreeSet::new();
    let spoilt = spoil(schema, schemas, "", &mut all);
    assert_eq!(places(&mut faults(&spoilt).into_iter()), all, "the reader and the schema name other members");

    let object = resolve(schema, schemas);
    let required = object["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = places(&mut faults(&json!({})).into_iter().filter(|fault| fault.wrong == Wrong::Missing));
    assert_eq!(missing, required.map(str::to_owned).collect(), "the reader and the schema require other members");

    let properties = object["properties"].as_object().into_iter().flatten();
    let nulls: Value = properties.clone().map(|(name, _)| (name.clone(), Value::Null)).collect();
    let refused = places(&mut faults(&nulls).into_iter().filter(|fault| fault.wrong == Wrong::Null));
    let never_null = properties.filter(|(_, property)| !may_be_null(property)).map(|(name, _)| name.clone());
    assert_eq!(refused, never_null.collect(), "the reader and the schema take null for other members");
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
    let kinds = [&schema["type"], &schema["anyOf"]].into_iter().filter_map(Value::as_array).flatten();
    kinds.into_iter().any(|kind| kind == "null" || kind["type"] == "null")
}
