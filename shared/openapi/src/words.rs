//! What the reference says of dialects, credentials and headers.

use serde_json::{Value, json};
use shared::Dialect;

/// The description of a dialect's operations together.
pub(crate) fn family(dialect: &'static Dialect) -> &'static str {
    match dialect.name {
        "tenant" => "As clients of Neostra know it: ids by UUID, number or name.",
        "users" => "Rolecall's own: UUIDs, and failures with a code; as clients of JITSudo know it.",
        "directory" => "As clients of DeskHero know it: the tenant by its slug, all else by numbers.",
        "membership" => "As clients of Kare know it: numbers, and two tokens.",
        "organization" => {
            "As clients of LlamaCloud know it: UUIDs, a session cookie, and failures as FastAPI has them."
        }
        "authzen" => "The standard way to ask for decisions: OpenID AuthZEN, Authorization API 1.0.",
        "oauth" => "Signing in: tokens, as OAuth 2.0 has them.",
        name => panic!("say here what the dialect {name} is"),
    }
}

pub(crate) fn security(dialect: &'static Dialect) -> Value {
    match dialect.name {
        "oauth" => json!([]),
        "membership" => json!([{ "bearer": [], "sessionToken": [] }]),
        "organization" => json!([{ "bearer": [] }, { "sessionCookie": [] }]),
        _ => json!([{ "bearer": [] }]),
    }
}

pub(crate) fn security_schemes() -> [(&'static str, Value); 3] {
    let session = "A session token of the same user and tenant as the bearer.";
    let cookie = "A session token. If there is an `Origin`, it counts only with an allowed one, and never for what a page of \
                  another site includes. PUT takes it only with a JSON content type.";
    [
        (
            "bearer",
            json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token." }),
        ),
        (
            "sessionToken",
            json!({ "type": "apiKey", "in": "header", "name": "x-session-token", "description": session }),
        ),
        ("sessionCookie", json!({ "type": "apiKey", "in": "cookie", "name": "session", "description": cookie })),
    ]
}

/// A header of answers.
pub(crate) fn header(name: &str) -> Value {
    let text = json!({ "type": "string" });
    let (required, description, schema, example) = match name {
        "etag" => (
            true,
            "The version of the record, strong: for `If-Match`.",
            json!({ "type": "string", "pattern": "^\"[1-9][0-9]*\"$" }),
            "\"2\"",
        ),
        "location" => (true, "Where the new record is.", text, "/v1/roles/726f6c65-6361-8004-8000-000080000005"),
        "idempotent-replayed" => (
            false,
            "That this is the first answer under the `Idempotency-Key` again.",
            json!({ "type": "string", "enum": ["true"] }),
            "true",
        ),
        "policy-notices" => (
            false,
            "What the policies say that were asked: a list of strings (RFC 9651).",
            text,
            "\"Only the owner appoints admins at Globex.\"",
        ),
        "content-etag" => (
            true,
            "The hash of the content, strong: for `If-None-Match`.",
            json!({ "type": "string", "pattern": "^\"[0-9a-f]{64}\"$" }),
            "\"ef1955ae757c8b966c83248350331bd3a30f658ced11f387f8ebf05ab3368629\"",
        ),
        "link" => (
            false,
            "Where the next page is, if there is one: a relative address with `rel=\"next\"` (RFC 8288).",
            text,
            "<?limit=200&cursor=Zm9vYmFyYmF6>; rel=\"next\"",
        ),
        "retry-after" => (
            false,
            "After how many seconds another try may be worth it.",
            json!({ "type": "string", "pattern": "^[1-9][0-9]*$" }),
            "1",
        ),
        "www-authenticate" => (true, "How to do better (RFC 6750).", text, "Bearer"),
        "x-request-id" => (false, "The id of the request: what the log knows it by.", text, "JKJaXmPLvHcESHA="),
        "accept-encoding" => (
            false,
            "The content coding that is taken, where the body's was another (RFC 9110, section 15.5.16).",
            json!({ "type": "string", "enum": ["identity"] }),
            "identity",
        ),
        "cache-control" => (true, "How long the answer may be kept (RFC 9111).", text, "no-cache"),
        "set-cookie" => (
            false,
            "The cookie of the session, if the request asks for one or had one (RFC 6265).",
            text,
            "__Host-session=<token>; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=43200",
        ),
        "pragma" => (true, "The same for clients of HTTP/1.0 (RFC 6749, section 5.1).", text, "no-cache"),
        "content-encoding" => (false, "`gzip`, for who accepts it.", text, "gzip"),
        "content-security-policy" => (true, "What the page may load and do.", text, "default-src 'none'"),
        "referrer-policy" => (true, "What the page tells others of itself.", text, "no-referrer"),
        "vary" => (true, "What the answer depends on.", text, "accept-encoding"),
        "x-content-type-options" => (true, "The content type is to be believed.", text, "nosniff"),
        _ => panic!("say here what the header {name} is for"),
    };
    json!({ "required": required, "description": description, "schema": schema, "example": example })
}
