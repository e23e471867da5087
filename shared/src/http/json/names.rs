//! Names of domains and issuers, and sets of texts.

use domain::id::is_slug;
use domain::issuer::{MAX_TEXT, MAX_VALUES};
use domain::problem::{Fault, Wrong};
use serde_json::Value;

use super::{Text, Verbatim, Wire, wrong};

/// The name of a domain. It is kept in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Domain(
    #[cfg_attr(
        feature = "openapi",
        schemars(regex(pattern = r"^[A-Za-z0-9]+([.-][A-Za-z0-9]+)*$"), length(max = 253))
    )]
    pub String,
);

impl Wire for Domain {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Text(text) = Text::<253>::read(value)?;
        let domain = text.to_lowercase();
        let is_label = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        let is_domain = domain.split('.').all(is_label);
        let is_plain = domain.chars().all(|it| it.is_alphanumeric() || matches!(it, '.' | '-'));
        match is_domain && is_plain {
            true => Ok(Self(domain)),
            false => wrong(Wrong::Syntax("the name of a domain")),
        }
    }
}

/// The slug of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Slug(
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = "^[0-9-]*[a-z][a-z0-9-]*$"), length(min = 2, max = 63)))]
    pub String,
);

impl Wire for Slug {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::String(text) if is_slug(&text) => Ok(Self(text)),
            Value::String(_) => {
                wrong(Wrong::Syntax("a slug: 2 to 63 of `a-z0-9-`, at least one a letter, and no UUID"))
            }
            _ => wrong(Wrong::Type("a string")),
        }
    }
}

/// An id of somebody else's: visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(inline))]
pub struct Visible(
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = "^[!-~]+$"), length(max = MAX_TEXT)))] pub String,
);

impl Wire for Visible {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Verbatim(text) = Verbatim::<MAX_TEXT>::read(value)?;
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text)),
            false => wrong(Wrong::Syntax("visible ASCII characters")),
        }
    }
}

/// The `iss` of an issuer: its URL, exactly as its tokens have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(inline))]
pub struct Iss(
    // The host comes first; neither `?` nor `#` nor `@` is in it.
    #[cfg_attr(
        feature = "openapi",
        schemars(regex(pattern = r#"^https://[!-"$-.0->A-~][!-"$->A-~]*$"#), length(max = MAX_TEXT))
    )]
    pub String,
);

impl Wire for Iss {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Visible(text) = Visible::read(value)?;
        // OpenID Connect Discovery, section 2. Only a server on a laptop fetches keys from such an `http://` URL.
        let is_local = ["http://127.0.0.1:", "http://localhost:"].iter().any(|start| text.starts_with(start));
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://").filter(|_| is_local));
        let is_url =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['?', '#', '@']));
        if is_url { Ok(Self(text)) } else { wrong(Wrong::Syntax("an `https://` URL without query and fragment")) }
    }
}

/// Up to 20 different values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
pub struct Several<T>(#[cfg_attr(feature = "openapi", schemars(length(max = MAX_VALUES)))] pub Vec<T>);

impl<T: Wire + PartialEq> Wire for Several<T> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let values: Vec<T> = Vec::read(value)?;
        if values.len() > MAX_VALUES { wrong(Wrong::TooLong(MAX_VALUES)) } else { Ok(Self(values)) }
    }
}
