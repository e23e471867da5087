//! What a member says who approves a change that another one makes.

use domain::id::Uuid;
use domain::problem::{Fault, Wrong};
use domain::session::{APPROVED, APPROVED_BY_DEFAULT};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use crate::http::call::change_asked;
use crate::http::json::{Faulty, Object, Verbatim, Wire, Within};

/// The longest path of a request, with its query, in characters.
const MAX_PATH: usize = 2000;

/// How a request changes something.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "ApprovedMethod", rename_all = "UPPERCASE"))]
pub enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

impl Wire for Method {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let methods = [Self::Post, Self::Put, Self::Patch, Self::Delete];
        let method = methods.into_iter().find(|method| value == method.as_str());
        method.ok_or_else(|| vec![Fault::here(Wrong::NotOneOf("POST, PUT, PATCH, DELETE"))])
    }
}

/// The body of a request: an object or a list, whatever is in it.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "ApprovedBody", transparent, extend("anyOf" = [{ "type": "object" }, { "type": "array", "items": { "anyOf": [{ "type": "object" }, { "type": "string" }] } }])))]
pub struct Content(Value);

impl Wire for Content {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::Object(_) | Value::Array(_) => Ok(Self(value)),
            _ => Err(vec![Fault::here(Wrong::Type("an object or a list"))]),
        }
    }
}

/// A change that another member makes: a request, as they send it.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Approval"))]
pub struct Approval {
    /// The UUID of the member who may then make the change.
    pub user_id: Uuid,
    method: Method,
    /// The path of the request, and its query if it has one: `/v1/users/726f6c65-6361-8002-8000-000080000004`. The path begins behind the
    /// stage of the API, if there is one.
    path: Verbatim<MAX_PATH>,
    /// The body of the request, if it has one. Neither spaces nor the order of members count.
    body: Option<Content>,
    /// For how long the approval is good, in seconds: 10 minutes if you do not say.
    seconds: Option<Within<{ APPROVED[0] }, { APPROVED[1] }>>,
}

impl Approval {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (user_id, method) = (object.required("user_id"), object.required("method"));
        let (path, body) = (object.required("path"), object.optional("body"));
        let seconds = object.optional("seconds");
        Ok(Self { user_id: user_id?, method: method?, path: path?, body, seconds })
    }

    pub fn seconds(&self) -> i64 {
        self.seconds.as_ref().map_or(APPROVED_BY_DEFAULT, |Within(seconds)| *seconds).into()
    }

    /// [`change_asked`] of the request.
    pub fn change(&self) -> String {
        let (path, query) = self.path.0.split_once('?').unwrap_or((&self.path.0, ""));
        let path = percent_decode_str(path).decode_utf8_lossy();
        let body = self.body.as_ref().map_or(Value::Null, |Content(body)| body.clone());
        change_asked([self.method.as_str(), &path, query], body)
    }
}

/// An approval, which is shown once.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "ApprovalGiven"))]
pub struct ShownApproval {
    /// For the header `X-Approval` of that one request.
    pub approval: String,
    /// For how long it is good, in seconds.
    pub expires_in: i64,
}
