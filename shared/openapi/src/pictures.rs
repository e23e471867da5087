//! Operations whose bodies or answers are images.

use domain::member::picture::TYPES;
use schemars::{Schema, json_schema};
use serde_json::json;
use shared::dialect::users::MAX_PICTURE_BODY;
use shared::gate::MAX_PICTURE;

use crate::Operation;
use crate::words::header;

impl Operation {
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

    /// The body can be an image, too. Call [`Operation::body`] first.
    pub fn or_image(mut self) -> Self {
        let most =
            format!("An image of up to {MAX_PICTURE} bytes, or JSON of up to {MAX_PICTURE_BODY}, not compressed.");
        self.object["requestBody"]["description"] = most.into();
        for media_type in TYPES {
            self.object["requestBody"]["content"][media_type] = json!({ "schema": image() });
        }
        let response = &mut self.object["responses"]["415"]["description"];
        let text = response.as_str().unwrap_or_default().replace("is not `application/json`", "is none of the body's");
        *response = text.into();
        self
    }

    /// The answer to a success is an image, or nothing if the client has it.
    pub fn image(mut self) -> Self {
        let headers =
            ["x-request-id", "policy-notices", "cache-control", "content-security-policy", "x-content-type-options"];
        self.response(200, "The picture", None, &headers);
        for media_type in TYPES {
            self.object["responses"]["200"]["content"][media_type] = json!({ "schema": image() });
        }
        self.tagged("picture")
    }

    /// The content of the answer to a success has a tag, by which the client can ask whether it is still the same.
    pub fn tagged(mut self, what: &str) -> Self {
        self.component("headers", "content-etag", header("content-etag"));
        self.component("headers", "cache-control", header("cache-control"));
        let headers = self.object["responses"]["200"]["headers"].clone();
        let description = format!("The client has the {what}");
        self.object["responses"]["304"] = json!({ "description": description, "headers": headers });
        for status in ["200", "304"] {
            let headers = &mut self.object["responses"][status]["headers"];
            headers["etag"] = json!({ "$ref": "#/components/headers/content-etag" });
            headers["cache-control"] = json!({ "$ref": "#/components/headers/cache-control" });
        }
        let tags = json_schema!({ "type": "string" });
        let same = format!("The `etag` of an earlier answer: if the {what} is still the same, the answer is 304.");
        self.parameter("header", "If-None-Match", false, &same, tags)
    }
}

fn image() -> schemars::Schema {
    json_schema!({ "type": "string", "format": "binary" })
}
