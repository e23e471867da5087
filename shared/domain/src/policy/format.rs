//! Cedar's JSON format (<https://docs.cedarpolicy.com/policies/json-format.html>) without extensions and templates. A
//! policy with anything unknown is refused.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};

/// The version that stored policies begin with. Raise it when the same policies get another meaning.
pub const VERSION: u32 = 1;

/// The id of an entity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uid {
    pub r#type: Cow<'static, str>,
    pub id: String,
}

impl Uid {
    pub fn new(r#type: &'static str, id: impl ToString) -> Self {
        Self { r#type: Cow::Borrowed(r#type), id: id.to_string() }
    }
}

/// Attributes by their names.
pub type Record = BTreeMap<Cow<'static, str>, Value>;

/// A value. A literal of a policy has no parts: sets and records are expressions there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Value {
    Bool(bool),
    Long(i64),
    String(String),
    Entity {
        #[serde(rename = "__entity")]
        uid: Uid,
    },
    #[serde(skip)]
    Set(BTreeSet<Value>),
    #[serde(skip)]
    Record(Record),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Permit,
    Forbid,
}

/// A policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub effect: Effect,
    pub(super) principal: Scope,
    pub(super) action: Scope,
    pub(super) resource: Scope,
    pub(super) conditions: Vec<Condition>,
    #[serde(default)]
    pub annotations: Annotations,
}

/// The annotations of a policy that are used here.
#[derive(Debug, Default, Deserialize)]
pub struct Annotations {
    pub id: Option<String>,
    pub notice: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "op", deny_unknown_fields)]
pub(super) enum Scope {
    All {},
    #[serde(rename = "==")]
    Eq {
        entity: Uid,
    },
    #[serde(rename = "in")]
    In {
        #[serde(alias = "entity", deserialize_with = "one_or_more")]
        entities: Vec<Uid>,
    },
    #[serde(rename = "is")]
    Is {
        entity_type: String,
        r#in: Option<Within>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Within {
    pub entity: Uid,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Condition {
    When(Expr),
    Unless(Expr),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Expr {
    Value(Value),
    Var(Var),
    Set(Vec<Expr>),
    Record(BTreeMap<String, Expr>),
    #[serde(rename = "if-then-else")]
    If {
        r#if: Box<Expr>,
        then: Box<Expr>,
        r#else: Box<Expr>,
    },
    #[serde(rename = "&&")]
    And(Box<Two>),
    #[serde(rename = "||")]
    Or(Box<Two>),
    #[serde(rename = "!")]
    Not(Box<One>),
    #[serde(rename = "==")]
    Eq(Box<Two>),
    #[serde(rename = "!=")]
    NotEq(Box<Two>),
    #[serde(rename = "<")]
    Less(Box<Two>),
    #[serde(rename = "<=")]
    LessEq(Box<Two>),
    #[serde(rename = ">")]
    Greater(Box<Two>),
    #[serde(rename = ">=")]
    GreaterEq(Box<Two>),
    #[serde(rename = "neg")]
    Neg(Box<One>),
    #[serde(rename = "+")]
    Add(Box<Two>),
    #[serde(rename = "-")]
    Sub(Box<Two>),
    #[serde(rename = "*")]
    Mul(Box<Two>),
    #[serde(rename = "in")]
    In(Box<Two>),
    #[serde(rename = "is")]
    Is {
        left: Box<Expr>,
        entity_type: String,
        r#in: Option<Box<Expr>>,
    },
    #[serde(rename = "contains")]
    Contains(Box<Two>),
    #[serde(rename = "containsAll")]
    ContainsAll(Box<Two>),
    #[serde(rename = "containsAny")]
    ContainsAny(Box<Two>),
    #[serde(rename = "isEmpty")]
    IsEmpty(Box<One>),
    #[serde(rename = ".")]
    GetAttr {
        left: Box<Expr>,
        attr: String,
    },
    /// Whether the first attribute exists, the second one exists in it, and so on.
    #[serde(rename = "has")]
    HasAttr {
        left: Box<Expr>,
        #[serde(deserialize_with = "one_or_more")]
        attr: Vec<String>,
    },
    #[serde(rename = "hasTag")]
    HasTag(Box<Two>),
    #[serde(rename = "getTag")]
    GetTag(Box<Two>),
    #[serde(rename = "like")]
    Like {
        left: Box<Expr>,
        pattern: Vec<Part>,
    },
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Var {
    Principal,
    Action,
    Resource,
    Context,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    pub arg: Expr,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Two {
    pub left: Expr,
    pub right: Expr,
}

#[derive(Debug, Deserialize)]
pub(super) enum Part {
    Wildcard,
    Literal(String),
}

fn one_or_more<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> std::result::Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given<T> {
        One(T),
        More(Vec<T>),
    }
    Given::deserialize(from).map(|given| match given {
        Given::One(it) => vec![it],
        Given::More(them) => them,
    })
}

/// Reads stored policies: `{"version": 1, "policies": […]}`, each in Cedar's JSON format.
///
/// # Errors
/// Another version, an unknown word, or a policy that nests too deep.
pub fn read(stored: &str) -> serde_json::Result<Vec<Rule>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stored {
        version: u32,
        policies: Vec<Rule>,
    }
    match serde_json::from_str(stored)? {
        Stored { version: VERSION, policies } => Ok(policies),
        _ => Err(serde::de::Error::custom("policies of another version")),
    }
}
