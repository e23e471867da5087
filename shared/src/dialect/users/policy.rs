//! Policies of a tenant's own.

use domain::draft::Refusal;
use domain::meta::MAX_NAME;
use domain::own_policy::{MAX_TEXT, PolicyContent};
use domain::problem::{Fault, Wrong};
use domain::{OwnPolicy, Record, Time};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::event::ShownEvent;
use crate::gate::list::Shown;
use crate::gate::policies::Trial;
use crate::http::json::{Faulty, Object, Text, Wire};

/// Cedar text, of which only the length has been checked.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
pub struct CedarText(#[cfg_attr(feature = "openapi", schemars(length(max = MAX_TEXT)))] pub String);

impl Wire for CedarText {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::String(text) if text.len() <= MAX_TEXT => Ok(Self(text)),
            Value::String(_) => Err(vec![Fault::here(Wrong::TooLong(MAX_TEXT))]),
            _ => Err(vec![Fault::here(Wrong::Type("a string"))]),
        }
    }
}

impl CedarText {
    /// The text and its compiled form.
    ///
    /// # Errors
    /// The compiler refuses it. The fault is in the body's member `text`.
    pub fn compiled<E: ToString>(self, compile: fn(&str) -> Result<String, E>) -> Result<(String, String), Fault> {
        match compile(&self.0) {
            Ok(compiled) => Ok((self.0, compiled)),
            Err(why) => Err(Fault::here(Wrong::Policy(why.to_string())).within("text").within("body")),
        }
    }
}

/// A policy as a client writes it, whole.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "PolicyContent"))]
pub struct NewPolicy {
    /// Unique among the policies of the tenant without regard to case.
    name: Text<MAX_NAME>,
    description: Option<Text<MAX_NAME>>,
    /// Statements in Cedar that forbid, at most 10,240 bytes. Each may have a `@notice("…")`: who is refused gets it.
    text: CedarText,
    /// Whether it is in force; `true` if it is not given.
    enabled: Option<bool>,
}

impl NewPolicy {
    pub fn of(body: &mut Object) -> Result<Self, Faulty> {
        let (name, description) = (body.required("name"), body.optional("description"));
        let (text, enabled) = (body.required("text"), body.optional("enabled"));
        Ok(Self { name: name?, description, text: text?, enabled })
    }

    /// # Errors
    /// As those of [`CedarText::compiled`].
    pub fn content<E: ToString>(self, compile: fn(&str) -> Result<String, E>) -> Result<PolicyContent, Fault> {
        let (text, compiled) = self.text.compiled(compile)?;
        let description = self.description.map(|text| text.0);
        Ok(PolicyContent { name: self.name.0, description, text, compiled, enabled: self.enabled.unwrap_or(true) })
    }
}

/// A policy of the tenant's own.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Policy"))]
pub struct ShownPolicy<'a> {
    pub id: Uuid,
    /// The number in the rule that a denial names: `tenant-policy-3-0` is the first statement of policy 3.
    pub number: u32,
    pub name: &'a str,
    pub description: Option<&'a str>,
    /// Cedar text.
    pub text: &'a str,
    /// Whether it is in force.
    pub enabled: bool,
    pub created_at: Time,
    pub updated_at: Time,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownPolicy<'a> {
    pub fn new(shown: &Shown<'a, OwnPolicy>) -> Self {
        let Shown { tenant, thing: policy, .. } = *shown;
        Self {
            id: policy.id.uuid_in(tenant.id),
            number: policy.id.number(),
            name: &policy.name,
            description: policy.description.as_deref(),
            text: &policy.text,
            enabled: policy.enabled,
            created_at: policy.meta.created_at,
            updated_at: policy.meta.updated_at,
            version: policy.shown_version(),
        }
    }
}

/// A page of policies, in the order of their names.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Policies<'a> {
    pub data: Vec<ShownPolicy<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<&'a str>,
}

/// What a draft would refuse the members of a page.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "PolicyTrial"))]
pub struct ShownTrial<'a> {
    past: ShownPast<'a>,
    /// Whether the draft would keep the caller from changing policies, or from signing in again as they have signed in. Such a policy is
    /// refused.
    shuts_you_out: bool,
    /// The members of the page whom it would refuse something that they may do now, in the order of their numbers.
    data: Vec<TriedUser<'a>>,
    /// The `cursor` of the next page of members; null after the last one. A page can be short, or empty.
    next_cursor: Option<&'a str>,
}

/// The last changes of the tenant.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "PolicyPast"))]
struct ShownPast<'a> {
    /// How many events were read.
    read: usize,
    /// How many of them were judged: the others are the product's own, or somebody is gone who had to be allowed.
    judged: usize,
    /// Those that the draft would have refused, the newest first.
    refused: Vec<RefusedEvent<'a>>,
}

/// A change that a draft would have refused.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct RefusedEvent<'a> {
    event: ShownEvent<'a>,
    refused: Vec<ShownRefusal<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct TriedUser<'a> {
    id: Uuid,
    email: &'a str,
    refused: Vec<ShownRefusal<'a>>,
}

/// What a draft would refuse a member, at the least that the permission allows.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "PolicyRefusal"))]
struct ShownRefusal<'a> {
    /// A permission; or `tenant:enter` (to act in the tenant at all), `policy:manage`, `issuer:manage`, `tenant:delete`. Of a past change the
    /// action, which has the name of its permission.
    permission: &'a str,
    /// The statement of the draft that refuses it: `draft-0` is the first one.
    rule: &'a str,
    /// The notices that the member would get.
    notices: &'a [String],
}

impl<'a> ShownRefusal<'a> {
    fn all(refused: &'a [Refusal]) -> Vec<Self> {
        let shown = |refusal: &'a Refusal| Self {
            permission: refusal.permission,
            rule: &refusal.denial.rule,
            notices: &refusal.denial.notices,
        };
        refused.iter().map(shown).collect()
    }
}

impl<'a> ShownTrial<'a> {
    pub fn new(trial: &'a Trial<'a>) -> Self {
        let users = trial.users.iter().map(|tried| TriedUser {
            id: tried.member.user.uuid(),
            email: &tried.member.email,
            refused: ShownRefusal::all(&tried.refused),
        });
        let refused = trial.past.refused.iter().map(|past| RefusedEvent {
            event: ShownEvent::new(past.event, trial.tenant.id, false),
            refused: ShownRefusal::all(&past.refused),
        });
        let past = ShownPast { read: trial.past.read, judged: trial.past.judged, refused: refused.collect() };
        let next_cursor = trial.next_cursor.as_deref();
        Self { past, shuts_you_out: trial.shuts_out, data: users.collect(), next_cursor }
    }
}
