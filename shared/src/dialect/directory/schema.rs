//! Schemas of the enums, for the API reference.

use std::borrow::Cow;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};

use super::{Role, Status};

impl JsonSchema for Role {
    fn schema_name() -> Cow<'static, str> {
        "ENUM_tenant_user_role".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_name(&Role::NAMED)
    }
}

impl JsonSchema for Status {
    fn schema_name() -> Cow<'static, str> {
        "ENUM_tenant_user_status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_name(&Status::NAMED)
    }
}

fn number_or_name<T>(named: &[(i64, &str, T)]) -> Schema {
    let numbers: Vec<i64> = named.iter().map(|(number, ..)| *number).collect();
    let list: Vec<String> = named.iter().map(|(number, name, _)| format!("{number} {name}")).collect();
    let names: Vec<&str> = named.iter().map(|(_, name, _)| *name).collect();
    // A pattern that ignores case.
    let letter = |letter: char| format!("[{letter}{}]", letter.to_ascii_lowercase());
    let any_case: Vec<String> = names.iter().map(|name| name.chars().map(letter).collect()).collect();
    json_schema!({
        "description": list.join(", "),
        "anyOf": [
            { "type": "integer", "enum": numbers, "x-enum-varnames": names },
            { "type": "string", "description": "The name, in any case.", "pattern": format!("^({})$", any_case.join("|")) },
        ],
    })
}
