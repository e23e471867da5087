//! The part of the API reference that a function knows itself. Only tests use this module; no function contains it.
//!
//! The test of a function makes an [`Operation`] from its wire types. `local/tests/openapi/` joins the operations with the
//! routes of the template, the comments of the handlers and the recorded events.

mod body;
mod lists;
mod parameters;
mod pictures;
mod problems;
mod questions;
mod tokens;
mod words;

use std::borrow::Cow;
use std::path::PathBuf;

use lambda_http::http::StatusCode;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use domain::Problem;
use shared::Dialect;
use shared::call::MAX_BODY;
use shared::dialect::{USERS, directory, membership, oauth, organization, tenant, users};
use shared::json::{Faulty, MAX_SAFE_INTEGER, Object};

pub use lists::organization_in_path;
pub use parameters::{BEGINNING, LAGGING, int32, named_order, number_or_me, one_of, user_or_me, uuid_or};
pub use problems::{CAUSE, faults, problems};
use problems::{Scope, meaning, scope_of};
pub use tokens::FORM;
use words::{family, header, security, security_schemes};

/// The variable that names the folder for the parts of `openapi.json`, see [`Operation::describe`].
pub const PARTS: &str = "OPENAPI_PARTS";

/// The thing that a public operation may not find.
const FILE: &str = "file";

pub const JSON: &str = "application/json";

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
        if dialect.name != "oauth" {
            new.problems_of(Scope::Any);
        }
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

    pub fn query(self, name: &'static str, description: &str, schema: Schema) -> Self {
        self.parameter("query", name, false, description, schema)
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        required: bool,
        description: &str,
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
        let schema = self.body_schema(read);
        self.with_body(&schema)
    }

    fn body_schema<T: JsonSchema>(&mut self, read: impl Fn(&mut Object) -> Result<T, Faulty>) -> Schema {
        let mut settings = SchemaSettings::draft2020_12().for_deserialize();
        settings.transforms.push(Box::new(RecursiveTransform(body::finish)));
        let schema = self.schema::<T>(settings);
        body::agree(schema.as_value(), &self.components["schemas"], read);
        schema
    }

    fn with_body(self, schema: &Schema) -> Self {
        self.taking(schema).write()
    }

    fn taking(mut self, schema: &Schema) -> Self {
        self.problems_of(Scope::Bodies);
        let description = format!("Up to {} KiB, not compressed.", MAX_BODY / 1024);
        self.object["requestBody"] =
            json!({ "description": description, "required": true, "content": { JSON: { "schema": schema } } });
        self
    }

    /// The same for a body that can be left out.
    pub fn optional_body<T: JsonSchema>(mut self, read: impl Fn(&mut Object) -> Result<T, Faulty>) -> Self {
        self = self.body(read);
        self.object["requestBody"]["required"] = false.into();
        self
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

    /// There can be only so many of the things that the operation makes or gives.
    pub fn limited(mut self) -> Self {
        self.problems_of(Scope::Limited);
        self
    }

    /// Only one thing can have the name, the address or the external id that the operation gives.
    pub fn named(mut self) -> Self {
        self.problems_of(Scope::Named);
        self
    }

    /// The answer to a success is a new record.
    pub fn created<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.problems_of(Scope::New);
        self.problems_of(Scope::Members);
        self = self.limited().named();
        let headers = ["x-request-id", "location", "etag", "policy-notices", "idempotent-replayed"];
        self.response(201, "Made", Some((JSON, schema)), &headers);
        self
    }

    /// The answer to a success is a thing without an `etag`.
    pub fn found<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.response(200, "Found", Some((JSON, schema)), &["x-request-id", "policy-notices"]);
        self
    }

    /// A job may go on with the work after the answer.
    pub fn accepted<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "location", "policy-notices", "idempotent-replayed"];
        self.response(202, "A job goes on with it", Some((JSON, schema)), &headers);
        self
    }

    /// A job may count after the answer. Call [`Operation::answer`] first.
    pub fn counted(mut self) -> Self {
        let location = json!({
            "description": "Where the job is that counts the seats, as long as it counts.",
            "schema": { "type": "string" },
            "example": "/v1/jobs/726f6c65-6361-8009-8000-000080000001",
        });
        self.object["responses"]["200"]["headers"]["location"] = location;
        self
    }

    /// Something goes out after the answer.
    pub fn sent<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "policy-notices", "idempotent-replayed"];
        self.response(202, "It is on its way", Some((JSON, schema)), &headers);
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

    /// A caller begins no second one before the first has ended.
    pub fn one_at_a_time(mut self) -> Self {
        self.problems(&USERS, [Problem::Exists("running job with an export of yours")]);
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
                    ("authzen", _) => self.schema::<String>(settings),
                    ("oauth", _) => self.schema::<oauth::Failure>(settings),
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

/// The operation with a parameter of the query that must be there.
pub fn required_query(
    operation: Operation,
    name: &'static str,
    description: &'static str,
    schema: Schema,
) -> Operation {
    operation.parameter("query", name, true, description, schema)
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
        // A field may have narrower ones.
        let [own_least, own_most] = ["minimum", "maximum"].map(|bound| object.remove(bound).and_then(|it| it.as_i64()));
        if !object.contains_key("enum") {
            object.insert("minimum".to_owned(), own_least.map_or(least, |own| own.max(least)).into());
            object.insert("maximum".to_owned(), own_most.map_or(most, |own| own.min(most)).into());
        }
    }
}
