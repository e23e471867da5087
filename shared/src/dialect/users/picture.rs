//! Pictures as they are sent: an image as it is, or JSON with a data URI.

use domain::member::picture::TYPES;
use domain::problem::{Fault, Problem, Wrong};
use serde_json::Value;

use crate::gate::{MAX_DATA_URI, MAX_PICTURE, NewPicture};
use crate::http::call::Call;
use crate::http::json::Wire;

/// The most bytes of a JSON body with a data URI.
pub const MAX_PICTURE_BODY: usize = MAX_DATA_URI + 1024;

/// The types of a body that is an image, and what else can be sent.
const TAKEN: &str = "`image/png`, `image/jpeg`, `image/webp` or `image/gif`, for an image that is one of these by its first bytes, or \
                     `application/json`";

/// A picture as a data URI.
pub struct DataUri(pub NewPicture);

impl Wire for DataUri {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let wrong = |wrong| Err(vec![Fault::here(wrong)]);
        let Value::String(text) = value else { return wrong(Wrong::Type("a string")) };
        if text.len() > MAX_DATA_URI {
            return wrong(Wrong::TooLong(MAX_DATA_URI));
        }
        let what = Wrong::Syntax("a data URI of a PNG, JPEG, WebP or GIF image, in base64");
        NewPicture::of_data_uri(&text).map_or_else(|| wrong(what), |picture| Ok(Self(picture)))
    }
}

/// The picture of a body that is an image. The first bytes tell its type, and the content type does not.
///
/// # Errors
/// [`Problem::PayloadTooLarge`], [`Problem::UnsupportedContentCoding`], [`Problem::UnsupportedMediaType`].
pub fn image(call: &Call) -> Result<NewPicture, Problem> {
    let content = call.content(MAX_PICTURE, &TYPES, TAKEN)?;
    NewPicture::of(content).ok_or(Problem::UnsupportedMediaType(TAKEN))
}

#[cfg(feature = "openapi")]
impl schemars::JsonSchema for DataUri {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DataUri".into()
    }
    fn json_schema(_: &mut schemars::generate::SchemaGenerator) -> schemars::Schema {
        // The first bytes of a PNG, a GIF, a JPEG and a WebP image, in base64.
        let start = "iVBORw0KGg[o-r][A-Za-z0-9+/]|R0lGOD[dl]h|/9j/|UklGR[g-v][A-Za-z0-9+/]{4}[BFJNRVZdhlptx159]XRUJQ";
        let end = "[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=";
        let pattern = format!("^data:image/(png|jpeg|webp|gif);base64,({start})([A-Za-z0-9+/]{{4}})*({end})?$");
        schemars::json_schema!({ "type": "string", "maxLength": MAX_DATA_URI, "pattern": pattern })
    }
}
