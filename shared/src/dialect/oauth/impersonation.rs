//! What somebody says who wants to act as another member.

use domain::session::{IMPERSONATED, MAX_REASON};

use crate::http::json::{Faulty, Object, Text, Within};

/// Why somebody acts as another member, and for how long.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Impersonation"))]
pub struct Impersonation {
    /// Why. The record shows it, and so does the list of the member's sessions.
    pub reason: Text<MAX_REASON>,
    /// For how long, in seconds: 15 minutes if you do not say.
    pub seconds: Option<Within<{ IMPERSONATED[0] }, { IMPERSONATED[1] }>>,
}

impl Impersonation {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (reason, seconds) = (body.required("reason"), body.optional("seconds"));
        Ok(Self { reason: reason?, seconds })
    }
}
