//! Searches: who may do this, and what may they do?

use domain::id::TenantId;
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use serde::Serialize;
use serde_json::Value;

use super::{Action, Context, Entity, Parts, in_body};
use crate::gate::search::{Actions, WRONG_TOKEN};
use crate::gate::{Page, Question};
use crate::http::call::{MAX_CURSOR, MAX_LIMIT};
use crate::http::json::{Faulty, Object, Verbatim, Wire};

/// The type of the members who are searched.
#[derive(Clone)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SearchedSubject"))]
struct Searched {
    /// `user`, or `member`: the same.
    r#type: Verbatim<MAX_NAME>,
}

impl Wire for Searched {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| Ok(Self { r#type: object.required("type")? }))
    }
}

/// How many results there are on a page. Of a number above 200 there are 200.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(inline))]
struct Limit(#[cfg_attr(feature = "openapi", schemars(range(min = 1), transform = of_any_size))] usize);

#[cfg(feature = "openapi")]
fn of_any_size(number: &mut schemars::Schema) {
    number.remove("format");
}

impl Wire for Limit {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        // However large it is, and 1.0 is an integer, too.
        let limit = value.as_f64().filter(|limit| *limit >= 1.0 && limit.fract() == 0.0);
        let limit = limit.map(|limit| Self(limit.min(MAX_LIMIT as f64) as usize));
        limit.ok_or_else(|| vec![Fault::here(Wrong::Syntax("a positive integer"))])
    }
}

/// The page that is asked for.
#[derive(Default)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SearchPageRequest"))]
struct Asked {
    /// The `next_token` of the page before; empty for the first page.
    token: Option<Verbatim<MAX_CURSOR>>,
    limit: Option<Limit>,
}

impl Wire for Asked {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| Ok(Self { token: object.optional("token"), limit: object.optional("limit") }))
    }
}

impl Asked {
    /// The page of a search, which is named by all that is asked.
    fn page(self, list: String) -> Page {
        let cursor = self.token.map(|Verbatim(token)| token).filter(|token| !token.is_empty());
        let limit = self.limit.map_or(DEFAULT, |Limit(limit)| limit);
        Page { limit, number: None, cursor, cursor_is: WRONG_TOKEN, list }
    }
}

const DEFAULT: usize = 50;

/// Which members may do that to this thing?
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SubjectSearch {
    subject: Searched,
    action: Action,
    /// A thing of the product, or one of the tenant: `tenant`, `member`, `role`, `group`, `label`, by its UUID.
    resource: Entity,
    context: Option<Context>,
    page: Option<Asked>,
}

impl SubjectSearch {
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (subject, action, resource) =
            (body.required("subject"), body.required("action"), body.required("resource"));
        let (context, page) = (body.optional("context"), body.optional("page"));
        Ok(Self { subject: subject?, action: action?, resource: resource?, context, page })
    }

    /// The question about each member, if members are of the wanted type; the page, and the type.
    ///
    /// # Errors
    /// The change of a member is wrong.
    pub fn asked(self, tenant: TenantId, asker: &str) -> Result<(Option<Question>, Page, String), Vec<Fault>> {
        let Self { subject, action, resource, context, page } = self;
        let Verbatim(kind) = subject.r#type.clone();
        let nobody = Entity { r#type: subject.r#type, id: Verbatim(String::new()), properties: None };
        let parts = Parts { subject: Some(nobody), action: Some(action), resource: Some(resource), context };
        let question = parts.question(tenant).map_err(in_body)?.question;
        // A token is good for the same question of the same caller.
        let page = page.unwrap_or_default().page(format!("subjects for {asker}: {question:?}"));
        Ok((Some(question).filter(|_| ["user", "member"].contains(&kind.as_str())), page, kind))
    }
}

/// What may this member do to this thing?
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ActionSearch {
    /// A member of the tenant, by their UUID: `{"type": "user", "id": "…"}`.
    subject: Entity,
    /// A thing of the product, or one of the tenant: `tenant`, `member`, `role`, `group`, `label`, by its UUID.
    resource: Entity,
    context: Option<Context>,
    page: Option<Asked>,
}

impl ActionSearch {
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (subject, resource) = (body.required("subject"), body.required("resource"));
        let (context, page) = (body.optional("context"), body.optional("page"));
        Ok(Self { subject: subject?, resource: resource?, context, page })
    }

    /// What is asked, and the page.
    ///
    /// # Errors
    /// A property cannot be one.
    pub fn asked(self, tenant: TenantId, asker: &str) -> Result<(Actions, Page), Vec<Fault>> {
        let Self { subject, resource, context, page } = self;
        let thing = (resource.r#type.0.clone(), resource.id.0.clone());
        let any = Action { name: Verbatim(String::new()), properties: None };
        let parts = Parts { subject: Some(subject), action: Some(any), resource: Some(resource), context };
        let question = parts.question(tenant).map_err(in_body)?.question;
        let page = page.unwrap_or_default().page(format!("actions for {asker}: {thing:?} {question:?}"));
        Ok((Actions::new(question, thing), page))
    }
}

/// One page of what was found.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "{T}s"))]
pub struct SearchAnswer<T> {
    page: NextPage,
    pub results: Vec<T>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "SearchPage"))]
struct NextPage {
    /// The `token` of the next page; empty after the last one. A page can have fewer results than its limit, even none, before that.
    next_token: String,
}

impl<T> SearchAnswer<T> {
    pub fn new(results: Vec<T>, next: Option<String>) -> Self {
        Self { page: NextPage { next_token: next.unwrap_or_default() }, results }
    }
}

/// A member who was found.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FoundSubject {
    pub r#type: String,
    /// The UUID.
    pub id: String,
}

/// An action that was found.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FoundAction {
    /// The part behind the type of the resource, such as `read`.
    pub name: String,
}
