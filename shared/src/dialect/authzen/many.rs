//! Many questions in one request.

use domain::id::TenantId;
use domain::problem::{Fault, Problem, Step, Wrong};
use serde_json::Value;

use super::{Asked, Parts, in_body};
use crate::gate::{MAX_QUESTIONS, Question};
use crate::http::json::{Faulty, Object, Wire};

/// Which questions of many are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Semantic {
    /// All of them.
    #[default]
    #[cfg_attr(feature = "openapi", schemars(rename = "execute_all"))]
    All,
    /// Those up to the first that is denied.
    #[cfg_attr(feature = "openapi", schemars(rename = "deny_on_first_deny"))]
    UntilDenied,
    /// Those up to the first that is permitted.
    #[cfg_attr(feature = "openapi", schemars(rename = "permit_on_first_permit"))]
    UntilPermitted,
}

/// The names of the semantics.
const SEMANTICS: &str = "execute_all, deny_on_first_deny, permit_on_first_permit";

impl Semantic {
    /// Whether a decision is the last one.
    pub fn ends_with(self, decision: bool) -> bool {
        match self {
            Semantic::All => false,
            Semantic::UntilDenied => !decision,
            Semantic::UntilPermitted => decision,
        }
    }
}

impl Wire for Semantic {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value.as_str() {
            Some("execute_all") => Ok(Self::All),
            Some("deny_on_first_deny") => Ok(Self::UntilDenied),
            Some("permit_on_first_permit") => Ok(Self::UntilPermitted),
            _ => Err(vec![Fault::here(Wrong::NotOneOf(SEMANTICS))]),
        }
    }
}

#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationsOptions"))]
struct Options {
    evaluations_semantic: Option<Semantic>,
}

impl Wire for Options {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| Ok(Self { evaluations_semantic: object.optional("evaluations_semantic") }))
    }
}

/// Many questions. What a question leaves out, it takes from beside the list; without a list, that is the only question.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EvaluationsRequest"))]
pub struct Evaluations {
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    shared: Parts,
    /// At most 100. A question with a fault gets its own answer, which tells the fault.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<Parts>>", length(max = MAX_QUESTIONS)))]
    evaluations: Option<Each>,
    options: Option<Options>,
}

/// A list whose elements tell their own faults.
struct Each(Vec<Result<Parts, Vec<Fault>>>);

impl Wire for Each {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        match value {
            Value::Array(values) if values.len() > MAX_QUESTIONS => {
                Err(vec![Fault::here(Wrong::TooLong(MAX_QUESTIONS))])
            }
            Value::Array(values) => {
                let parts = |value| Object::read(value)?.all(|object| Ok(Parts::read(object)));
                Ok(Self(values.into_iter().map(parts).collect()))
            }
            _ => Err(vec![Fault::here(Wrong::Type("an array"))]),
        }
    }
}

impl Evaluations {
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (shared, evaluations) = (Parts::read(body), body.optional("evaluations"));
        Ok(Self { shared, evaluations, options: body.optional("options") })
    }

    /// The questions in their order, each or its faults; `None` if there is no list, but one question.
    ///
    /// # Errors
    /// The faults of that one question.
    pub fn asked(self, tenant: TenantId) -> Result<Batch, Vec<Fault>> {
        match self.evaluations {
            Some(Each(each)) if !each.is_empty() => {
                let semantic = self.options.and_then(|options| options.evaluations_semantic);
                let asked = each.into_iter().map(|parts| parts?.or(&self.shared).question(tenant));
                Ok(Batch::Many(asked.collect(), semantic.unwrap_or_default()))
            }
            _ => Ok(Batch::One(Box::new(self.shared.question(tenant).map_err(in_body)?))),
        }
    }
}

/// For the API reference, which compares the schema with the faults of the reader.
#[cfg(feature = "openapi")]
impl Evaluations {
    pub fn faults_of_items(&self) -> Vec<Fault> {
        let items = self.evaluations.iter().flat_map(|Each(items)| items.iter().enumerate());
        items
            .flat_map(|(index, item)| within_evaluations(item.as_ref().err().map_or(&[], Vec::as_slice), index))
            .collect()
    }
}

/// What was asked together.
pub enum Batch {
    One(Box<Asked>),
    Many(Vec<Result<Asked, Vec<Fault>>>, Semantic),
}

impl Batch {
    /// The sound questions.
    pub fn questions(&self) -> impl Iterator<Item = &Question> {
        let (one, many) = match self {
            Batch::One(one) => (Some(&**one), &[][..]),
            Batch::Many(many, _) => (None, many.as_slice()),
        };
        one.into_iter().chain(many.iter().filter_map(|asked| asked.as_ref().ok())).map(|asked| &asked.question)
    }
}

/// The place of a fault of one question of many.
pub fn within_item(faults: &[Fault], index: usize) -> Problem {
    in_body(within_evaluations(faults, index)).into()
}

fn within_evaluations(faults: &[Fault], index: usize) -> Vec<Fault> {
    faults.iter().map(|fault| fault.clone().within(Step::Index(index)).within("evaluations")).collect()
}
