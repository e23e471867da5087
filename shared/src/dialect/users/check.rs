//! The question and the answer of `POST /v1/check`.

use domain::id::{UserId, parse_uuid};
use domain::meta::MAX_NAME;
use domain::policy::properties::{Properties, Tags};
use domain::problem::{Fault, Wrong};
use serde::Serialize;
use serde_json::Value;

use super::{ConferredRole, UserFields, conferred};
use crate::gate::{Caller, Decision, Question, Subject};
use crate::http::json::{Faulty, Members, Object, Text, Verbatim, Wire};

/// The longest id of a thing of the product, in characters.
pub const MAX_THING_ID: usize = 1_000;

/// `me`, or a UUID.
#[cfg(feature = "openapi")]
pub(super) const WHOM: &str = "^(me|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$";

/// May a member do something?
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Check"))]
pub struct Check {
    /// The member: a UUID, or `me` for the caller, as without it. The caller can be an API key.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("pattern" = WHOM)))]
    subject: Option<Whom>,
    /// A permission, such as `invoice:read`; or with a `resource` the part behind its type, such as `read`.
    action: Text<MAX_NAME>,
    resource: Option<Resource>,
    /// For `member:assign-role`, `member:set-status` and `member:set-groups`: what the change would be, as in
    /// `PATCH /v1/users/{id}`.
    change: Option<UserChange>,
    /// Whatever the caller knows beside the question: for the tenant's policies.
    context: Option<Members>,
    /// Whether the answer says which roles grant or deny the permission, and which groups confer them.
    explain: Option<bool>,
}

pub(super) enum Whom {
    Me,
    /// `None` for the UUID of nobody.
    User(Option<UserId>),
}

impl Wire for Whom {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value.as_str() {
            Some("me") => Ok(Self::Me),
            Some(text) if let Some(uuid) = parse_uuid(text) => Ok(Self::User(UserId::from_uuid(uuid))),
            _ => Err(vec![Fault::here(Wrong::Syntax("a UUID, or `me`"))]),
        }
    }
}

/// A thing of the product, or one of the tenant: `tenant`, `member`, `role`, `group`, `label`, by its UUID.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "CheckedResource"))]
struct Resource {
    r#type: Text<MAX_NAME>,
    /// Without an id, the question is about a new thing, or about the tenant itself.
    id: Option<Verbatim<MAX_THING_ID>>,
    /// What you know of it: for the tenant's policies.
    properties: Option<Members>,
}

impl Wire for Resource {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (kind, id) = (object.required("type"), object.optional("id"));
            let properties = object.optional("properties");
            Ok(Self { r#type: kind?, id, properties })
        })
    }
}

/// The change that a question is about.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent))]
struct UserChange(UserFields);

impl Wire for UserChange {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| Ok(Self(UserFields::read(object))))
    }
}

impl Check {
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (subject, action) = (body.optional("subject"), body.required("action"));
        let (resource, change) = (body.optional("resource"), body.optional("change"));
        let (context, explain) = (body.optional("context"), body.optional("explain"));
        Ok(Self { subject, action: action?, resource, change, context, explain })
    }

    pub fn is_explained(&self) -> bool {
        self.explain == Some(true)
    }

    /// # Errors
    /// There is a change, and the question is not about a member. Or there are too many properties.
    pub fn question(self, caller: &Caller) -> Result<Question, Fault> {
        let tenant = caller.tenant;
        let subject = match self.subject {
            None | Some(Whom::Me) => Subject::me(caller),
            Some(Whom::User(user)) => Subject::Member(user),
        };
        let of_permission = || self.action.0.split_once(':').map_or("", |(kind, _)| kind).to_owned();
        let (kind, id, properties) = match self.resource {
            Some(resource) => (resource.r#type.0, resource.id.map(|id| id.0), resource.properties),
            None => (of_permission(), None, None),
        };
        let properties =
            tags(properties).map_err(|fault| fault.within("properties").within("resource").within("body"))?;
        let context = tags(self.context).map_err(|fault| fault.within("context").within("body"))?;
        let properties = Properties::new([Tags::default(), Tags::default(), properties, context]);
        let question = Question::new(subject, &self.action.0, (&kind, &id.unwrap_or_default()), tenant);
        let question = question.with_properties(properties);
        match self.change {
            None => Ok(question),
            Some(change) if question.is_of_member() => Ok(question.with(change.0.edit(tenant))),
            Some(_) => {
                let wrong = Wrong::Syntax("given only for an action on a member");
                Err(Fault::here(wrong).within("change").within("body"))
            }
        }
    }
}

/// The properties of a part of a question.
///
/// # Errors
/// There are too many.
pub(crate) fn tags(members: Option<Members>) -> Result<Tags, Fault> {
    let read = members.map_or(Some(Tags::default()), |Members(members)| Tags::read(&members));
    read.ok_or_else(|| Fault::here(Wrong::Syntax("at most 100 values, under names of at most 250 characters")))
}

/// Whether a member may do something.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Decision"))]
pub struct ShownDecision<'a> {
    allowed: bool,
    /// The rule that denies; null if it is allowed.
    rule: Option<&'a str>,
    /// What the policies say that decided.
    notices: &'a [String],
    /// Only if it was asked for, and if the subject is a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation<'a>>,
}

/// Where a permission comes from. A denial wins over every grant.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Explanation<'a> {
    pub permission: &'a str,
    /// Names of the member's roles that grant it, by its name or by `*`.
    pub granted_by: Vec<&'a str>,
    /// Names of the member's roles that deny it, by its name or by `*`.
    pub denied_by: Vec<&'a str>,
    /// Those of these roles that a group confers, and the groups.
    pub conferred_by: Vec<ConferredRole<'a>>,
}

impl<'a> Explanation<'a> {
    pub fn new(decision: &Decision<'a>) -> Option<Self> {
        let why = decision.why.as_ref()?;
        let names = |roles: &[&'a domain::Role]| roles.iter().map(|role| role.name.as_str()).collect();
        let origin = why.origin();
        let (granted_by, denied_by) = (names(&origin.granted_by), names(&origin.denied_by));
        let conferred_by = conferred(&origin, why.member, why.catalog);
        Some(Self { permission: origin.permission, granted_by, denied_by, conferred_by })
    }
}

impl<'a> ShownDecision<'a> {
    pub fn new(decision: &'a Decision<'a>, is_explained: bool) -> Self {
        let (rule, notices) = match &decision.decided {
            Ok(notices) => (None, notices),
            Err(denial) => (Some(denial.rule.as_str()), &denial.notices),
        };
        let explanation = if is_explained { Explanation::new(decision) } else { None };
        Self { allowed: rule.is_none(), rule, notices, explanation }
    }
}
