//! The part of the API reference that a function knows itself. Only tests use this module; no function contains it.
//!
//! The test of a function makes an [`Operation`] from its wire types. `local/tests/openapi/` joins the operations with the
//! routes of the template, the comments of the handlers and the recorded events.

mod body;

use std::borrow::Cow;
use std::path::PathBuf;

use lambda_http::http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use domain::member::MAX_EDGES;
use domain::policy::{NOT_PERMITTED, POLICY_ERROR};
use domain::problem::{Denial, Fault, MAX_TOLD, Place, Problem, Reference, Step, Wrong};

use crate::dialect::{USERS, directory, membership, organization, tenant, users};
use crate::http::Dialect;
use crate::http::call::{MAX_BODY, MAX_IDEMPOTENCY_KEY};
use crate::http::json::{Faulty, MAX_SAFE_INTEGER, Object, Text, TextOrEmpty};

/// The variable that names the folder for the parts of `openapi.json`, see [`Operation::describe`].
pub const PARTS: &str = "OPENAPI_PARTS";

/// The thing that a public operation may not find.
const FILE: &str = "file";

const JSON: &str = "application/json";

/// One operation: an Operation Object of OpenAPI 3.1, and the components that it refers to.
pub struct Operation {
    dialect: Option<&'static Dialect>,
    tag: Value,
    route: Option<&'static str>,
    writes: bool,
    object: Value,
    components: Map<String, Value>,
}

impl Operation {
    /// An operation of a dialect, with the dialect's credential and problems.
    pub fn new(dialect: &'static Dialect) -> Self {
        let mut new = Self::public(dialect.name, family(dialect));
        new.dialect = Some(dialect);
        new.object["security"] = security(dialect);
        for (name, scheme) in security_schemes() {
            new.component("securitySchemes", name, scheme);
        }
        new.problems_of(Scope::Any);
        new
    }

    /// A public operation, in a family with this name.
    pub fn public(tag: &'static str, description: &'static str) -> Self {
        Self {
            dialect: None,
            tag: json!({ "name": tag, "description": description }),
            route: None,
            writes: false,
            object: json!({ "tags": [tag], "security": [], "parameters": [], "responses": {} }),
            components: Map::new(),
        }
    }

    /// The route of the operation, where its function has several.
    pub fn route(mut self, route: &'static str) -> Self {
        self.route = Some(route);
        self
    }

    pub fn path(self, name: &'static str, description: &'static str, schema: Schema) -> Self {
        self.parameter("path", name, true, description, schema)
    }

    pub fn header(self, name: &'static str, description: &'static str, schema: Schema) -> Self {
        self.parameter("header", name, true, description, schema)
    }

    pub fn query(self, name: &'static str, description: &'static str, schema: Schema) -> Self {
        self.parameter("query", name, false, description, schema)
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        required: bool,
        description: &'static str,
        schema: Schema,
    ) -> Self {
        let parameter =
            json!({ "name": name, "in": place, "required": required, "description": description, "schema": schema });
        self.object["parameters"].as_array_mut().expect("a list").push(parameter);
        self
    }

    /// A write with a body, which `read` reads as the schema of `T` says.
    ///
    /// # Panics
    /// `read` disagrees with the schema: on a member's name, on `null`, on the required members.
    pub fn body<T: JsonSchema>(mut self, read: impl Fn(&mut Object) -> Result<T, Faulty>) -> Self {
        let mut settings = SchemaSettings::draft2020_12().for_deserialize();
        settings.transforms.push(Box::new(RecursiveTransform(body::finish)));
        let schema = self.schema::<T>(settings);
        body::agree(schema.as_value(), &self.components["schemas"], read);
        self.problems_of(Scope::Bodies);
        let description = format!("Up to {} KiB, not compressed.", MAX_BODY / 1024);
        self.object["requestBody"] =
            json!({ "description": description, "required": true, "content": { JSON: { "schema": schema } } });
        self.write()
    }

    /// A write: its conditions, and the problems that only writes have.
    pub fn write(mut self) -> Self {
        self.writes = true;
        self.problems_of(Scope::Writes);
        let tag = r#"(W/)?"[\t !#-~]*""#;
        let tags = format!(r"^{tag}([\t ]*,[\t ]*{tag})*$");
        let tags =
            json_schema!({ "anyOf": [{ "type": "string", "enum": ["*"] }, { "type": "string", "pattern": tags }] });
        let key = json_schema!({
            "type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY, "pattern": "^[!-~]+$",
        });
        self.parameter(
            "header",
            "If-Match",
            false,
            "The versions of the record for which the request is meant: the `etag` of an earlier answer. For any other the \
             answer is 412.",
            tags,
        )
        .parameter(
            "header",
            "Idempotency-Key",
            false,
            "The same request again under the same key within 24 hours gets the first answer again, and nothing is done \
             twice.",
            key,
        )
    }

    /// The answer to a success is a member, whose version is the `etag`. Call [`Operation::write`] first.
    pub fn answer<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        let mut headers = vec!["x-request-id", "etag", "policy-notices"];
        if self.writes {
            headers.push("idempotent-replayed");
            self.problems_of(Scope::Members);
        }
        let description = if self.writes { "Done, or nothing was to be done" } else { "Found" };
        self.response(200, description, Some((JSON, schema)), &headers);
        self
    }

    /// The answer to a success is a new role.
    pub fn created<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.problems_of(Scope::NewRoles);
        let headers = ["x-request-id", "location", "etag", "policy-notices", "idempotent-replayed"];
        self.response(201, "Made", Some((JSON, schema)), &headers);
        self
    }

    /// The answer to a success says nothing: a role is gone.
    pub fn deleted(mut self) -> Self {
        self.problems_of(Scope::OldRoles);
        self.response(204, "Gone", None, &["x-request-id", "policy-notices", "idempotent-replayed"]);
        self
    }

    fn problems_of(&mut self, scope: Scope) {
        if let Some(dialect) = self.dialect {
            self.problems(dialect, problems().into_iter().filter(|problem| scope_of(problem) == scope));
        }
    }

    /// The answer to a success, where it is no member, and its headers.
    pub fn content(
        mut self,
        media_type: &'static str,
        description: &str,
        schema: Schema,
        headers: &[&'static str],
    ) -> Self {
        self.response(200, description, Some((media_type, schema)), &[&["x-request-id"], headers].concat());
        self
    }

    /// A public operation may not find its file.
    pub fn not_found(mut self) -> Self {
        self.problems(&USERS, [Problem::NotFound(FILE)]);
        self
    }

    /// Writes the description into the folder that [`PARTS`] names. Without that variable nothing is written.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn describe(self) {
        let Some(folder) = std::env::var_os(PARTS) else { return };
        let package = std::env::var("CARGO_PKG_NAME").expect("cargo runs this");
        let file = match self.route {
            Some(route) => format!("{package} {}.json", route.replace('/', "_")),
            None => format!("{package}.json"),
        };
        let part = json!({ "tag": self.tag, "operation": self.object, "components": self.components });
        std::fs::write(PathBuf::from(folder).join(file), part.to_string()).expect("the folder can be written to");
    }

    fn response(&mut self, status: u16, description: &str, content: Option<(&str, Schema)>, headers: &[&'static str]) {
        for name in headers {
            self.component("headers", name, header(name));
        }
        let headers: Map<String, Value> = headers
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })))
            .collect();
        self.object["responses"][status.to_string()] = json!({
            "description": description,
            "headers": headers,
        });
        if let Some((media_type, schema)) = content {
            self.object["responses"][status.to_string()]["content"] = json!({ media_type: { "schema": schema } });
        }
    }

    /// Describes the answers to problems, each with an example.
    fn problems(&mut self, dialect: &'static Dialect, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            let answer = dialect.problem(&problem);
            let body: Value = serde_json::from_slice(&answer.body).expect("problems are JSON");
            let status = answer.status.to_string();
            if self.object["responses"].get(&status).is_none() {
                let settings = SchemaSettings::draft2020_12().for_serialize();
                let schema = match (dialect.name, body["detail"].is_array()) {
                    ("tenant", _) => self.schema::<tenant::Failure>(settings),
                    ("users", _) => self.schema::<users::Failure>(settings),
                    ("directory", _) => self.schema::<directory::Failure>(settings),
                    ("membership", _) => self.schema::<membership::Failure>(settings),
                    ("organization", true) => self.schema::<organization::Invalid>(settings),
                    ("organization", false) => self.schema::<organization::Failure>(settings),
                    (name, _) => panic!("say here what a failure is in the dialect {name}"),
                };
                let more = answer.headers.iter().map(|(name, _)| match name.as_str() {
                    "retry-after" => "retry-after",
                    "www-authenticate" => "www-authenticate",
                    "accept-encoding" => "accept-encoding",
                    _ => "x-request-id",
                });
                let headers: Vec<&'static str> = more.collect();
                let reason = StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
                self.response(answer.status, reason.unwrap_or_default(), Some((JSON, schema)), &headers);
            }
            let response = &mut self.object["responses"][status];
            let text = response["description"].as_str().unwrap_or_default().to_owned();
            let meaning = meaning(&problem);
            if !text.contains(meaning) {
                let sign = if text.contains(": ") { "; or " } else { ": " };
                response["description"] = format!("{text}{sign}{meaning}").into();
            }
            let examples = &mut response["content"][JSON]["examples"];
            if examples.get(problem.code()).is_none() {
                examples[problem.code()] = json!({ "value": body });
            }
        }
    }

    fn schema<T: JsonSchema>(&mut self, mut settings: SchemaSettings) -> Schema {
        settings.definitions_path = Cow::Borrowed("/components/schemas");
        settings.meta_schema = None;
        settings.transforms.push(Box::new(RecursiveTransform(finish)));
        let mut generator = settings.into_generator();
        let mut schema = generator.subschema_for::<T>();
        for (name, definition) in generator.take_definitions(true) {
            self.component("schemas", &name, definition);
        }
        schemars::transform::Transform::transform(&mut RecursiveTransform(finish), &mut schema);
        schema
    }

    /// # Panics
    /// Another component has that kind and name.
    fn component(&mut self, kind: &str, name: &str, component: Value) {
        let components = self.components.entry(kind).or_insert_with(|| json!({}));
        let known = components.as_object_mut().expect("an object").entry(name).or_insert(component.clone());
        assert_eq!(*known, component, "two {kind} are named {name}");
    }
}

/// The schema of a parameter.
pub fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = SchemaGenerator::default().subschema_for::<T>();
    finish(&mut schema);
    schema
}

/// The schema of a UUID in a header. It has no `format`: generated clients would make a type of it that no header takes.
pub fn uuid_in_header() -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$" })
}

/// Adds the bounds of our numbers to a schema, which derives do not know.
fn finish(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    let bounds = match object.get("format").and_then(Value::as_str) {
        // Numbers that every client can hold: `Wire for i64`, versions.
        Some("int64") => Some(("int64", -MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)),
        Some("uint64") => Some(("int64", 1, MAX_SAFE_INTEGER)),
        // Ids.
        Some("uint32") => Some(("int32", 1, i64::from(i32::MAX))),
        // Statuses, and places in lists.
        Some("uint16") => Some(("int32", 100, 599)),
        Some("uint" | "uint8") => Some(("int32", 0, i64::from(i32::MAX))),
        _ => None,
    };
    if let Some((format, least, most)) = bounds {
        object.insert("format".to_owned(), format.into());
        for bound in ["minimum", "maximum"] {
            object.remove(bound);
        }
        if !object.contains_key("enum") {
            object.insert("minimum".to_owned(), least.into());
            object.insert("maximum".to_owned(), most.into());
        }
    }
}

/// The description of a dialect's operations together.
fn family(dialect: &'static Dialect) -> &'static str {
    match dialect.name {
        "tenant" => "As clients of Neostra know it: ids by UUID, number or name.",
        "users" => "Rolecall's own: UUIDs, and failures with a code; as clients of JITSudo know it.",
        "directory" => "As clients of DeskHero know it: the tenant by its slug, all else by numbers.",
        "membership" => "As clients of Kare know it: numbers, and two tokens.",
        "organization" => {
            "As clients of LlamaCloud know it: UUIDs, a session cookie, and failures as FastAPI has them."
        }
        name => panic!("say here what the dialect {name} is"),
    }
}

fn security(dialect: &'static Dialect) -> Value {
    match dialect.name {
        "membership" => json!([{ "bearer": [], "sessionToken": [] }]),
        "organization" => json!([{ "bearer": [] }, { "sessionCookie": [] }]),
        _ => json!([{ "bearer": [] }]),
    }
}

fn security_schemes() -> [(&'static str, Value); 3] {
    let session = "A session token of the same user and tenant as the bearer.";
    let cookie =
        "A session token. It counts only with a JSON content type and, if there is an `Origin`, an allowed one.";
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

fn header(name: &str) -> Value {
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
        "content-encoding" => (false, "`gzip`, for who accepts it.", text, "gzip"),
        "content-security-policy" => (true, "What the page may load and do.", text, "default-src 'none'"),
        "referrer-policy" => (true, "What the page tells others of itself.", text, "no-referrer"),
        "vary" => (true, "What the answer depends on.", text, "accept-encoding"),
        "x-content-type-options" => (true, "The content type is to be believed.", text, "nosniff"),
        _ => panic!("say here what the header {name} is for"),
    };
    json!({ "required": required, "description": description, "schema": schema, "example": example })
}

// ---- Schemas of types without a derive

/// The control characters that [`Text`] refuses, for a class of a pattern.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069";

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

impl JsonSchema for directory::Role {
    fn schema_name() -> Cow<'static, str> {
        "ENUM_tenant_user_role".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_name(&directory::Role::NAMED)
    }
}

impl JsonSchema for directory::Status {
    fn schema_name() -> Cow<'static, str> {
        "ENUM_tenant_user_status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        number_or_name(&directory::Status::NAMED)
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

// ---- Problems

/// Which operations can have a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Any,
    /// Those that write.
    Writes,
    /// Those that take a body.
    Bodies,
    /// Those that change a member.
    Members,
    /// Those that make a role.
    NewRoles,
    /// Those that delete a role.
    OldRoles,
    /// Those that show a secret.
    Secrets,
}

fn scope_of(problem: &Problem) -> Scope {
    match problem {
        Problem::Unauthenticated(_)
        | Problem::Invalid(_)
        | Problem::TenantMismatch
        | Problem::Forbidden(_)
        | Problem::NotFound(_)
        | Problem::TooManyRequests
        | Problem::Unavailable(_)
        | Problem::Internal(_) => Scope::Any,
        Problem::VersionMismatch(_) | Problem::IdempotencyMismatch => Scope::Writes,
        Problem::InvalidJson(_)
        | Problem::PayloadTooLarge(_)
        | Problem::UnsupportedMediaType
        | Problem::UnsupportedContentCoding => Scope::Bodies,
        Problem::InvalidReference { .. } | Problem::LastOwner | Problem::TooManyChanges(_) => Scope::Members,
        Problem::LimitReached(..) | Problem::Exists(_) => Scope::NewRoles,
        Problem::InUse(_) => Scope::OldRoles,
        Problem::SecretAlreadyShown(_) => Scope::Secrets,
    }
}

/// The cause of a problem, for readers of the reference.
fn meaning(problem: &Problem) -> &'static str {
    match problem {
        Problem::Unauthenticated(_) => "there is no credential, or one that does not count",
        Problem::InvalidJson(_) => "the body is not JSON, or has a key twice",
        Problem::Invalid(_) => "something is missing, or not what it must be",
        Problem::PayloadTooLarge(_) => "the body is too large",
        Problem::UnsupportedMediaType => "the content type is not `application/json`",
        Problem::UnsupportedContentCoding => "the body is in another content coding than `identity`",
        Problem::TenantMismatch => "the credential is for another tenant",
        Problem::Forbidden(_) => "the caller may not do this",
        Problem::NotFound(FILE) => "there is no such file",
        Problem::NotFound(_) => "there is no such record in the tenant",
        Problem::InvalidReference { .. } => "a role, group or label does not exist, or a role is named twice",
        Problem::LastOwner => "the tenant would be left without an owner",
        Problem::TooManyChanges(_) => "more roles and groups change than one request can change",
        Problem::LimitReached(..) => "there would be more than there can be",
        Problem::Exists(_) => "another one has that name",
        Problem::InUse(_) => "the role is held by members",
        Problem::SecretAlreadyShown(_) => "the first answer held a secret, which is shown once",
        Problem::VersionMismatch(_) => "the version is none that `If-Match` names",
        Problem::IdempotencyMismatch => "the `Idempotency-Key` was used for another request",
        Problem::TooManyRequests => "there are too many requests",
        Problem::Unavailable(_) => "the table gave no good answer in time",
        Problem::Internal(_) => "a failure of ours",
    }
}

/// A cause for the log. No answer to a client holds it.
pub const CAUSE: &str = "secret cause";

fn place(steps: &[&'static str]) -> Place {
    steps.iter().map(|step| Step::from(*step)).collect()
}

fn fault(steps: &[&'static str], wrong: Wrong) -> Fault {
    Fault { place: place(steps), wrong }
}

fn denial(rule: &str, notices: &[&str]) -> Problem {
    let notices = notices.iter().map(|notice| (*notice).to_owned()).collect();
    Problem::Forbidden(Denial { rule: rule.to_owned(), action: "member:assign-role", notices })
}

fn reference(kind: Reference, field: &'static str, values: &[&str]) -> Problem {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    Problem::InvalidReference { kind, place: place(&["body", field]), values }
}

/// Faults as the functions report them.
pub fn faults() -> Vec<Fault> {
    vec![
        fault(&["body", "role_id"], Wrong::Missing),
        fault(&["body", "name"], Wrong::Null),
        fault(&["body"], Wrong::Type("an object")),
        fault(&["body", "name"], Wrong::Type("a string")),
        fault(&["body", "groups"], Wrong::Type("an array")),
        fault(&["path", "id"], Wrong::Type("an integer")),
        fault(&["body", "name"], Wrong::Empty),
        fault(&["body", "roles"], Wrong::TooLong(50)),
        fault(&["body", "name"], Wrong::ControlCharacter),
        fault(&["body", "role_id"], Wrong::Uuid),
        fault(&["header", "X-Tenant-ID"], Wrong::Missing),
        fault(&["path", "userId"], Wrong::OutOfRange(-9007199254740991, 9007199254740991)),
        fault(&["body", "role"], Wrong::NotOneOf("1 OWNER, 2 ADMIN, 3 USER")),
        fault(&["header", "if-match"], Wrong::Syntax("`*` or a list of quoted entity tags")),
        fault(&["body", "organization_id"], Wrong::Differs("`organization_id` of the path")),
        fault(&["body"], Wrong::NothingOf("`name` and `roles`")),
        Fault { place: vec!["body".into(), "groups".into(), Step::Index(1), "id".into()], wrong: Wrong::Missing },
        Fault {
            place: vec!["body".into(), "permissions".into(), "read".into(), Step::Index(0)],
            wrong: Wrong::Type("an integer"),
        },
    ]
}

/// Every problem at least once, as functions and dialects know it.
pub fn problems() -> Vec<Problem> {
    let mut problems = vec![
        Problem::Unauthenticated(CAUSE),
        Problem::InvalidJson("unexpected character at line 1 column 2".to_owned()),
        Problem::PayloadTooLarge(MAX_BODY),
        // The problem with a header comes first: the first one describes the status.
        Problem::UnsupportedContentCoding,
        Problem::UnsupportedMediaType,
        Problem::TenantMismatch,
        denial(NOT_PERMITTED, &[]),
        denial(POLICY_ERROR, &[]),
        denial("outranked", &["The member outranks you."]),
        denial("outranked", &["The member outranks you.", "The role outranks you."]),
        Problem::NotFound("user"),
        Problem::NotFound("version of the API"),
        reference(Reference::Role, "roles", &[]),
        reference(Reference::Role, "roles", &["pilot"]),
        reference(Reference::Role, "roles", &["pilot", "user"]),
        reference(Reference::Group, "groups", &["7", "9"]),
        reference(Reference::Group, "groups", &["7"; MAX_TOLD + 4]),
        reference(Reference::Label, "professionId", &["7"]),
        Problem::LastOwner,
        Problem::LimitReached("roles in a tenant", 500),
        Problem::Exists("role"),
        Problem::InUse("role"),
        Problem::SecretAlreadyShown("7".to_owned()),
        Problem::TooManyChanges(MAX_EDGES),
        Problem::VersionMismatch("member"),
        Problem::IdempotencyMismatch,
        Problem::TooManyRequests,
        Problem::Unavailable(CAUSE.to_owned()),
        Problem::Internal(CAUSE.to_owned()),
    ];
    problems.extend(faults().into_iter().map(|fault| Problem::Invalid(vec![fault])));
    problems.push(Problem::Invalid(vec![
        fault(&["body", "user_id"], Wrong::Missing),
        fault(&["body", "role_id"], Wrong::Uuid),
        fault(&["path", "id"], Wrong::Type("an integer")),
    ]));
    let of_many = |index| Fault { place: vec!["body".into(), "roles".into(), Step::Index(index)], wrong: Wrong::Null };
    problems.push(Problem::Invalid((0..MAX_TOLD + 4).map(of_many).collect()));
    problems
}
