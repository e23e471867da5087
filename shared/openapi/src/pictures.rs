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
        self.component("headers", "content-etag", header("content-etag"));
        for (status, description) in [(200, "The picture"), (304, "The client has the picture")] {
            self.response(status, description, None, &headers);
            let etag = json!({ "$ref": "#/components/headers/content-etag" });
            self.object["responses"][status.to_string()]["headers"]["etag"] = etag;
        }
        for media_type in TYPES {
            self.object["responses"]["200"]["content"][media_type] = json!({ "schema": image() });
        }
        self.header_if_none_match()
    }

    fn header_if_none_match(self) -> Self {
        let tags = json_schema!({ "type": "string" });
        let same = "The `etag` of an earlier answer: if the picture is still the same, the answer is 304.";
        self.parameter("header", "If-None-Match", false, same, tags)
    }
}

fn image() -> schemars::Schema {
    json_schema!({ "type": "string", "format": "binary" })
}
