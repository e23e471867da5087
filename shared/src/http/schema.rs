//! Schemas of the types that read themselves, for the API reference.

use std::borrow::Cow;

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema, json_schema};

use domain::meta::{MAX_METADATA, MAX_METADATA_KEY, MAX_METADATA_VALUE};

use crate::http::json::{Address, MAX_ADDRESS, MetadataPatch, Text, TextOrEmpty, Verbatim, Within};

/// The control characters and the hidden ones that [`Text`] refuses everywhere, for a class of a pattern. No pattern says where
/// others, such as joiners, may stand.
const CONTROL: &str = concat!(
    r"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff",
    r"\uffa0\ufff0-\ufffb",
);

/// The invisible characters beside control characters and spaces. Those above U+FFFF stand here unescaped, because the
/// languages of clients escape them in different ways.
const IGNORABLE: &str = concat!(
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb",
    "\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}",
);

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = format!(r"^[^{CONTROL}]*[^\s{CONTROL}{IGNORABLE}][^{CONTROL}]*$");
        json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX, "pattern": pattern })
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Within<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("From{LEAST}To{MOST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

impl JsonSchema for Address {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let pattern = "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]+([.-][A-Za-z0-9]+)*$";
        json_schema!({ "type": "string", "maxLength": MAX_ADDRESS, "pattern": pattern })
    }
}

impl JsonSchema for MetadataPatch {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "MetadataPatch".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let key = format!(r"^[^{CONTROL}]*[^\s{CONTROL}{IGNORABLE}][^{CONTROL}]*$");
        json_schema!({
            "type": "object",
            "maxProperties": MAX_METADATA,
            "propertyNames": { "maxLength": MAX_METADATA_KEY, "pattern": key },
            "additionalProperties": {
                "type": ["string", "null"], "maxLength": MAX_METADATA_VALUE, "pattern": format!("^[^{CONTROL}]*$")
            },
        })
    }
}

impl<const MAX: usize> JsonSchema for TextOrEmpty<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("TextOrEmpty{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX, "pattern": format!("^[^{CONTROL}]*$") })
    }
}

impl<const MAX: usize> JsonSchema for Verbatim<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Verbatim{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": MAX })
    }
}
