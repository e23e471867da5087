//! Operations whose bodies and answers are JSON lists, as `organization` has them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, json_schema};
use serde_json::json;

use shared::json::{Faulty, Object};

use crate::problems::Scope;
use crate::words::header;
use crate::{JSON, Operation};

impl Operation {
    /// A write with a body that is a list of 1 to `longest` things, each of which `read` reads as the schema of `T` says.
    ///
    /// # Panics
    /// As [`Operation::body`].
    pub fn list_body<T: JsonSchema>(mut self, read: impl Fn(&mut Object) -> Result<T, Faulty>, longest: usize) -> Self {
        let schema = self.body_schema(read);
        self.with_body(&json_schema!({ "type": "array", "minItems": 1, "maxItems": longest, "items": schema }))
    }

    /// A further header of the answer to a success.
    pub fn with_header(mut self, name: &'static str) -> Self {
        self.component("headers", name, header(name));
        let reference = json!({ "$ref": format!("#/components/headers/{name}") });
        self.object["responses"]["200"]["headers"][name] = reference;
        self
    }

    /// The answer to a success is a page that is a JSON list of `T`. A header leads to the next page.
    pub fn linked_page<T: JsonSchema>(mut self) -> Self {
        self = self.pages();
        let schema = self.schema::<Vec<T>>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "policy-notices", "link", "x-content-type-options"];
        self.response(200, "A page", Some((JSON, schema)), &headers);
        self
    }

    /// The answer to a success is a JSON list of new members.
    pub fn several<T: JsonSchema>(self) -> Self {
        self.outcomes::<Vec<T>>()
    }

    /// The answer says what became of each of several new things.
    pub fn outcomes<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        self.problems_of(Scope::New);
        self.problems_of(Scope::Members);
        let headers = ["x-request-id", "policy-notices", "idempotent-replayed"];
        self.response(200, "Done", Some((JSON, schema)), &headers);
        self
    }

    /// The body may have so many bytes. Call [`Operation::body`] first.
    pub fn up_to(mut self, most: usize) -> Self {
        self.object["requestBody"]["description"] = format!("Up to {} KiB, not compressed.", most / 1024).into();
        self
    }

    /// A write with a body of lines, of so many bytes.
    pub fn lines_body(mut self, most: usize) -> Self {
        // Clients send and get lines as bytes.
        let text = json_schema!({ "type": "string", "format": "binary" });
        self = self.with_body(&text).up_to(most);
        let content = &mut self.object["requestBody"]["content"];
        *content = json!({});
        for media_type in ["text/csv", "application/x-ndjson", "application/jsonl"] {
            content[media_type] = json!({ "schema": text });
        }
        let response = &mut self.object["responses"]["415"]["description"];
        *response =
            response.as_str().unwrap_or_default().replace("is not `application/json`", "is none of the body's").into();
        self
    }

    /// A job goes on with the work after the answer. The job has a version.
    pub fn accepted_version<T: JsonSchema>(mut self) -> Self {
        self = self.limited().accepted::<T>();
        self.problems_of(Scope::New);
        self.component("headers", "etag", header("etag"));
        self.object["responses"]["202"]["headers"]["etag"] = json!({ "$ref": "#/components/headers/etag" });
        self
    }

    /// The answer to a success is a thing that nobody may keep.
    pub fn uncached<T: JsonSchema>(mut self) -> Self {
        self = self.found::<T>();
        self.component("headers", "cache-control", header("cache-control"));
        self.object["responses"]["200"]["headers"]["cache-control"] =
            json!({ "$ref": "#/components/headers/cache-control" });
        self
    }

    /// The answer to a success is a part of the results of a job: `T`, or lines.
    pub fn part_of_job<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        let headers = ["x-request-id", "policy-notices", "cache-control", "x-content-type-options"];
        self.response(200, "The part", Some((JSON, schema)), &headers);
        for media_type in ["text/csv", "application/x-ndjson"] {
            self.object["responses"]["200"]["content"][media_type] =
                json!({ "schema": { "type": "string", "format": "binary" } });
        }
        self
    }

    /// The answer to a success is a list of the answers to several changes.
    pub fn batch<T: JsonSchema>(mut self) -> Self {
        let schema = self.schema::<T>(SchemaSettings::draft2020_12().for_serialize());
        for scope in [Scope::New, Scope::Members, Scope::Several] {
            self.problems_of(scope);
        }
        let headers = ["x-request-id", "policy-notices", "idempotent-replayed"];
        self.response(200, "Done, as far as the changes were not refused", Some((JSON, schema)), &headers);
        self
    }
}

/// The operation of an organization that the path names.
pub fn organization_in_path(operation: Operation) -> Operation {
    let description = "The organization's UUID, number or slug: the credential's.";
    operation.path("organization_id", description, json_schema!({ "type": "string" }))
}
