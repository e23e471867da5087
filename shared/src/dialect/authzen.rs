//! `authzen`: the standard way to ask for a decision (OpenID AuthZEN, *Authorization API 1.0*).

pub mod discovery;
mod many;
pub mod search;

use domain::id::{TenantId, UserId, parse_uuid};
use domain::meta::MAX_NAME;
use domain::policy::properties::Properties;
use domain::problem::{Fault, Problem, Wrong};
use serde::Serialize;
use serde_json::{Value, json};

use super::users::{Explanation, MAX_THING_ID, UserFields, tags};
use crate::gate::{Decision, Question, Subject};
use crate::http::json::{Faulty, Members, Object, Verbatim, Wire};
use crate::http::{Dialect, Paging};

pub use many::{Batch, Evaluations, Semantic, within_item};

pub static AUTHZEN: Dialect = Dialect {
    name: "authzen",
    pictures: false,
    names: false,
    paging: Paging::IN_SNAKE_CASE,
    echoes_request_id: true,
    problem,
};

/// The message alone, as a JSON text. What is wrong with a request is always 400.
fn problem(problem: &Problem) -> (u16, Value) {
    let status = match problem.status() {
        409 | 412 | 415 | 422 => 400,
        status => status,
    };
    (status, json!(problem.to_string()))
}

/// A member, or a thing.
#[derive(Clone)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "AuthzenEntity"))]
struct Entity {
    r#type: Verbatim<MAX_NAME>,
    id: Verbatim<MAX_THING_ID>,
    /// For the tenant's policies.
    properties: Option<Members>,
}

impl Wire for Entity {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (kind, id) = (object.required("type"), object.required("id"));
            let properties = object.optional("properties");
            Ok(Self { r#type: kind?, id: id?, properties })
        })
    }
}

#[derive(Clone)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "AuthzenAction"))]
struct Action {
    /// A permission, such as `invoice:read`, or the part behind the type of the resource, such as `read`.
    name: Verbatim<MAX_NAME>,
    /// For actions on a `member`: what the change would be, as in `PATCH /v1/users/{id}`. For others, for the tenant's policies.
    properties: Option<Members>,
}

impl Wire for Action {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (name, properties) = (object.required("name"), object.optional("properties"));
            Ok(Self { name: name?, properties })
        })
    }
}

/// Whatever the caller knows beside the question: for the tenant's policies.
#[derive(Clone)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "AuthzenContext"))]
struct Context {
    /// Whether the answer says which roles grant or deny the permission, and which groups confer them.
    explain: Option<bool>,
    #[cfg_attr(feature = "openapi", schemars(skip))]
    members: Members,
}

impl Wire for Context {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let members = Members::read(value.clone())?;
        Object::read(value)?.all(|object| Ok(Self { explain: object.optional("explain"), members }))
    }
}

/// The parts of a question, each of which can be missing in one of many.
#[derive(Clone)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationItem"))]
struct Parts {
    /// A member of the tenant, by their UUID: `{"type": "user", "id": "…"}`.
    subject: Option<Entity>,
    action: Option<Action>,
    /// A thing of the product, or one of the tenant: `tenant`, `member`, `role`, `group`, `label`, by its UUID.
    resource: Option<Entity>,
    context: Option<Context>,
}

impl Parts {
    fn read(object: &mut Object) -> Self {
        Self {
            subject: object.optional("subject"),
            action: object.optional("action"),
            resource: object.optional("resource"),
            context: object.optional("context"),
        }
    }

    /// Each part that is missing, from the others. Nothing is merged within a part.
    fn or(self, others: &Parts) -> Self {
        Self {
            subject: self.subject.or_else(|| others.subject.clone()),
            action: self.action.or_else(|| others.action.clone()),
            resource: self.resource.or_else(|| others.resource.clone()),
            context: self.context.or_else(|| others.context.clone()),
        }
    }

    /// # Errors
    /// A part is missing, or the change of a member is wrong.
    fn question(self, tenant: TenantId) -> Result<Asked, Vec<Fault>> {
        let missing = |name: &'static str| vec![Fault::here(Wrong::Missing).within(name)];
        let subject = self.subject.ok_or_else(|| missing("subject"))?;
        let action = self.action.ok_or_else(|| missing("action"))?;
        let resource = self.resource.ok_or_else(|| missing("resource"))?;
        let user = parse_uuid(&subject.id.0).and_then(UserId::from_uuid);
        let user = user.filter(|_| matches!(subject.r#type.0.as_str(), "user" | "member"));
        let question =
            Question::new(Subject::Member(user), &action.name.0, (&resource.r#type.0, &resource.id.0), tenant);
        let is_explained = self.context.as_ref().and_then(|context| context.explain) == Some(true);
        let change = action.properties.clone().filter(|it| !it.0.is_empty() && question.is_of_member());
        let of =
            |members, part: &'static str| tags(members).map_err(|fault| vec![fault.within("properties").within(part)]);
        let context = tags(self.context.map(|context| context.members));
        let properties = Properties::new([
            of(subject.properties, "subject")?,
            of(action.properties, "action")?,
            of(resource.properties, "resource")?,
            context.map_err(|fault| vec![fault.within("context")])?,
        ]);
        let question = question.with_properties(properties);
        let Some(Members(change)) = change else { return Ok(Asked { question, is_explained }) };
        let change = Object::read(Value::Object(change))?.all(|object| Ok(UserFields::read(object)));
        let within = |fault: Fault| fault.within("properties").within("action");
        let change = change.map_err(|faults| faults.into_iter().map(within).collect::<Vec<_>>())?;
        Ok(Asked { question: question.with(change.edit(tenant)), is_explained })
    }
}

/// A question, and whether its answer is explained.
pub struct Asked {
    pub question: Question,
    pub is_explained: bool,
}

/// May this member do that to this thing?
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Evaluation"))]
pub struct Evaluation {
    /// A member of the tenant, by their UUID: `{"type": "user", "id": "…"}`.
    subject: Entity,
    action: Action,
    /// A thing of the product, or one of the tenant: `tenant`, `member`, `role`, `group`, `label`, by its UUID.
    resource: Entity,
    context: Option<Context>,
}

impl Evaluation {
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (subject, action, resource) =
            (body.required("subject"), body.required("action"), body.required("resource"));
        let context = body.optional("context");
        Ok(Self { subject: subject?, action: action?, resource: resource?, context })
    }

    /// # Errors
    /// The change of a member is wrong.
    pub fn asked(self, tenant: TenantId) -> Result<Asked, Vec<Fault>> {
        let Self { subject, action, resource, context } = self;
        let parts = Parts { subject: Some(subject), action: Some(action), resource: Some(resource), context };
        parts.question(tenant).map_err(in_body)
    }
}

fn in_body(faults: Vec<Fault>) -> Vec<Fault> {
    faults.into_iter().map(|fault| fault.within("body")).collect()
}

/// The answer to a question.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationAnswer"))]
pub struct Evaluated {
    pub decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Reasons>,
}

/// Why it was decided like that.
#[derive(Default, Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationReasons"))]
struct Reasons {
    /// The rule that denies.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// What the policies say that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// Which roles grant or deny the permission, if the question asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Explanation<'static>>"))]
    explanation: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ItemError>,
}

/// What is wrong with one question of many.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationError"))]
struct ItemError {
    status: u16,
    message: String,
}

impl Evaluated {
    pub fn new(decision: &Decision, is_explained: bool) -> Self {
        let explanation = Explanation::new(decision).filter(|_| is_explained).map(|it| json!(it));
        let (rule, notices) = match &decision.decided {
            Ok(notices) => (None, notices.clone()),
            Err(denial) => (Some(denial.rule.clone()), denial.notices.clone()),
        };
        let is_silent = rule.is_none() && notices.is_empty() && explanation.is_none();
        let decision = rule.is_none();
        let reasons = Reasons { rule, notices, explanation, error: None };
        Self { decision, context: Some(reasons).filter(|_| !is_silent) }
    }

    /// The answer to a question that has a fault.
    pub fn faulty(why: &Problem) -> Self {
        let (status, _) = problem(why);
        let error = Some(ItemError { status, message: why.to_string() });
        Self { decision: false, context: Some(Reasons { error, ..Reasons::default() }) }
    }
}

/// The answer to what was asked together.
#[derive(Serialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationsAnswer"))]
pub enum EvaluatedAll {
    Many(EvaluatedMany),
    /// Without a list of questions.
    One(Evaluated),
}

/// The answers to many questions, in their order.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationAnswers"))]
pub struct EvaluatedMany {
    pub evaluations: Vec<Evaluated>,
}
