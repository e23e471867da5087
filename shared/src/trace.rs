//! The trace header of X-Ray.

use std::collections::BTreeSet;

/// The longest trace header in bytes; AWS's own have up to 200.
const MAX_TRACE: usize = 256;

/// Whether a text is a trace header of X-Ray: a `Root`, and fields that AWS is known to put beside it, in any order.
///
/// Lambda passes on any header that a client sent. Example: `Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1`.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub fn is_trace(text: &str) -> bool {
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = |text: &str| match text.split('-').collect::<Vec<_>>()[..] {
        ["1", seconds, random] => hex(seconds, 8) && hex(random, 24),
        _ => false,
    };
    let is_lineage = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'|');
    let mut names = BTreeSet::new();
    let is_field = |field: &str| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let fits = match name {
            "Root" | "Self" => id(value),
            "Parent" => hex(value, 16),
            "Sampled" => matches!(value, "0" | "1" | "?"),
            "Lineage" => !value.is_empty() && value.bytes().all(is_lineage),
            _ => false,
        };
        fits && names.insert(name.to_owned())
    };
    text.len() <= MAX_TRACE && text.split(';').all(is_field) && names.contains("Root")
}
