//! Evaluates policies as Cedar would. Functions use this and not Cedar's crate, whose parser takes longer to set up than
//! everything else in a function's start. `tests/evaluation.rs` compares the results with Cedar's.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::format::{Condition, Expr, Part, Record, Rule, Scope, Two, Uid, Value};

/// An expression that has no value: a missing attribute or entity, a value of the wrong type, a number out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erred;

type Result<T> = std::result::Result<T, Erred>;

/// The attributes, parents and tags of an entity.
#[derive(Clone, Debug)]
pub struct Entity {
    pub uid: Uid,
    pub attributes: Record,
    /// All entities that it is in, directly or through others.
    pub ancestors: BTreeSet<Uid>,
    /// Values by names that no schema knows.
    pub tags: Record,
}

impl Entity {
    /// An entity without tags.
    pub fn new(uid: Uid, attributes: Record, ancestors: BTreeSet<Uid>) -> Self {
        Self { uid, attributes, ancestors, tags: Record::new() }
    }
}

/// A request for a decision, with the known entities.
#[derive(Debug)]
pub struct Request<'a> {
    /// In the order of [`Var`].
    variables: [Value; 4],
    entities: Vec<&'a Entity>,
}

impl<'a> Request<'a> {
    pub fn new([principal, action, resource]: [&Uid; 3], context: Record, entities: Vec<&'a Entity>) -> Self {
        let entity = |uid: &Uid| Value::Entity { uid: uid.clone() };
        Self { variables: [entity(principal), entity(action), entity(resource), Value::Record(context)], entities }
    }

    /// Whether the policy applies to the request.
    ///
    /// # Errors
    /// A condition errs. Conditions are evaluated only if the scope fits.
    pub fn fits(&self, rule: &Rule) -> Result<bool> {
        let [principal, action, resource, _] = &self.variables;
        for (value, scope) in [(principal, &rule.principal), (action, &rule.action), (resource, &rule.resource)] {
            if !self.is_within(value.entity()?, scope) {
                return Ok(false);
            }
        }
        for condition in &rule.conditions {
            let holds = match condition {
                Condition::When(expr) => self.bool(expr)?,
                Condition::Unless(expr) => !self.bool(expr)?,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_within(&self, uid: &Uid, scope: &Scope) -> bool {
        match scope {
            Scope::All {} => true,
            Scope::Eq { entity } => uid == entity,
            Scope::In { entities } => entities.iter().any(|it| self.is_in(uid, it)),
            Scope::Is { entity_type, r#in } => {
                uid.r#type == *entity_type && r#in.as_ref().is_none_or(|it| self.is_in(uid, &it.entity))
            }
        }
    }

    /// An entity of the request. Of others a decision knows only who they are; `policy-text` takes no policy that asks for more.
    fn entity(&self, uid: &Uid) -> Option<&Entity> {
        self.entities.iter().copied().find(|entity| entity.uid == *uid)
    }

    fn is_in(&self, uid: &Uid, other: &Uid) -> bool {
        uid == other || self.entity(uid).is_some_and(|entity| entity.ancestors.contains(other))
    }

    /// An attribute of a record or an entity. An unknown entity has none.
    fn attribute<'b>(&'b self, value: &'b Value, name: &str) -> Result<Option<&'b Value>> {
        match value {
            Value::Record(record) => Ok(record.get(name)),
            Value::Entity { uid } => Ok(self.entity(uid).and_then(|entity| entity.attributes.get(name))),
            _ => Err(Erred),
        }
    }

    fn bool(&self, expr: &Expr) -> Result<bool> {
        self.value(expr)?.bool()
    }

    fn compare(&self, two: &Two, is: fn(&i64, &i64) -> bool) -> Result<bool> {
        Ok(is(&self.value(&two.left)?.long()?, &self.value(&two.right)?.long()?))
    }

    fn calculate(&self, two: &Two, result: fn(i64, i64) -> Option<i64>) -> Result<i64> {
        result(self.value(&two.left)?.long()?, self.value(&two.right)?.long()?).ok_or(Erred)
    }

    /// Recurses as deep as the policy nests; [`read`] limits that.
    fn value<'b>(&'b self, expr: &'b Expr) -> Result<Cow<'b, Value>> {
        Ok(Cow::Owned(match expr {
            Expr::Value(value) => return Ok(Cow::Borrowed(value)),
            Expr::Var(var) => return Ok(Cow::Borrowed(&self.variables[*var as usize])),
            Expr::If { r#if, then, r#else } => return self.value(if self.bool(r#if)? { then } else { r#else }),
            Expr::GetAttr { left, attr } => {
                return match self.value(left)? {
                    Cow::Borrowed(value) => self.attribute(value, attr)?.map(Cow::Borrowed),
                    Cow::Owned(value) => self.attribute(&value, attr)?.cloned().map(Cow::Owned),
                }
                .ok_or(Erred);
            }
            Expr::Set(exprs) => {
                let values = exprs.iter().map(|expr| self.value(expr).map(Cow::into_owned));
                Value::Set(values.collect::<Result<_>>()?)
            }
            Expr::Record(exprs) => {
                let pairs =
                    exprs.iter().map(|(name, expr)| Ok((Cow::Owned(name.clone()), self.value(expr)?.into_owned())));
                Value::Record(pairs.collect::<Result<_>>()?)
            }
            Expr::And(two) => Value::Bool(self.bool(&two.left)? && self.bool(&two.right)?),
            Expr::Or(two) => Value::Bool(self.bool(&two.left)? || self.bool(&two.right)?),
            Expr::Not(one) => Value::Bool(!self.bool(&one.arg)?),
            Expr::Eq(two) => Value::Bool(self.value(&two.left)? == self.value(&two.right)?),
            Expr::NotEq(two) => Value::Bool(self.value(&two.left)? != self.value(&two.right)?),
            Expr::Less(two) => Value::Bool(self.compare(two, i64::lt)?),
            Expr::LessEq(two) => Value::Bool(self.compare(two, i64::le)?),
            Expr::Greater(two) => Value::Bool(self.compare(two, i64::gt)?),
            Expr::GreaterEq(two) => Value::Bool(self.compare(two, i64::ge)?),
            Expr::Neg(one) => Value::Long(self.value(&one.arg)?.long()?.checked_neg().ok_or(Erred)?),
            Expr::Add(two) => Value::Long(self.calculate(two, i64::checked_add)?),
            Expr::Sub(two) => Value::Long(self.calculate(two, i64::checked_sub)?),
            Expr::Mul(two) => Value::Long(self.calculate(two, i64::checked_mul)?),
            Expr::In(two) => Value::Bool(self.is_in_any(self.value(&two.left)?.entity()?, &two.right)?),
            Expr::Is { left, entity_type, r#in } => {
                let value = self.value(left)?;
                let uid = value.entity()?;
                let is_within = || r#in.as_ref().map_or(Ok(true), |others| self.is_in_any(uid, others));
                Value::Bool(uid.r#type == *entity_type && is_within()?)
            }
            Expr::Contains(two) => {
                let (set, value) = (self.value(&two.left)?, self.value(&two.right)?);
                Value::Bool(set.set()?.contains(&*value))
            }
            Expr::ContainsAll(two) => {
                let (set, other) = (self.value(&two.left)?, self.value(&two.right)?);
                Value::Bool(set.set()?.is_superset(other.set()?))
            }
            Expr::ContainsAny(two) => {
                let (set, other) = (self.value(&two.left)?, self.value(&two.right)?);
                Value::Bool(!set.set()?.is_disjoint(other.set()?))
            }
            Expr::IsEmpty(one) => Value::Bool(self.value(&one.arg)?.set()?.is_empty()),
            Expr::HasAttr { left, attr } => {
                let value = self.value(left)?;
                let mut held = Some(&*value);
                for name in attr {
                    let Some(value) = held else { break };
                    held = self.attribute(value, name)?;
                }
                Value::Bool(held.is_some())
            }
            Expr::HasTag(two) => Value::Bool(self.tag(two)?.is_some()),
            Expr::GetTag(two) => self.tag(two)?.cloned().ok_or(Erred)?,
            Expr::Like { left, pattern } => Value::Bool(is_like(self.value(left)?.string()?, pattern)),
        }))
    }

    /// A tag of an entity. An unknown entity has none.
    fn tag(&self, two: &Two) -> Result<Option<&Value>> {
        let (left, right) = (self.value(&two.left)?, self.value(&two.right)?);
        let (uid, name) = (left.entity()?, right.string()?);
        Ok(self.entity(uid).and_then(|entity| entity.tags.get(name)))
    }

    /// Whether the entity is in another entity, or in one of a set. The set may hold only entities.
    fn is_in_any(&self, uid: &Uid, others: &Expr) -> Result<bool> {
        match &*self.value(others)? {
            Value::Entity { uid: other } => Ok(self.is_in(uid, other)),
            Value::Set(others) => {
                let others = others.iter().map(Value::entity).collect::<Result<Vec<_>>>()?;
                Ok(others.into_iter().any(|other| self.is_in(uid, other)))
            }
            _ => Err(Erred),
        }
    }
}

impl Value {
    fn bool(&self) -> Result<bool> {
        if let Self::Bool(it) = self { Ok(*it) } else { Err(Erred) }
    }

    fn long(&self) -> Result<i64> {
        if let Self::Long(it) = self { Ok(*it) } else { Err(Erred) }
    }

    fn string(&self) -> Result<&str> {
        if let Self::String(it) = self { Ok(it) } else { Err(Erred) }
    }

    fn entity(&self) -> Result<&Uid> {
        if let Self::Entity { uid } = self { Ok(uid) } else { Err(Erred) }
    }

    fn set(&self) -> Result<&BTreeSet<Value>> {
        if let Self::Set(it) = self { Ok(it) } else { Err(Erred) }
    }
}

/// Whether a text matches a pattern, in which each wildcard stands for any text.
fn is_like(text: &str, pattern: &[Part]) -> bool {
    // The text between two wildcards is matched at its first place: that leaves the longest rest for the next ones.
    let (mut rest, mut literal, mut after_wildcard) = (text, String::new(), false);
    for part in pattern {
        if let Part::Literal(text) = part {
            literal.push_str(text);
            continue;
        }
        let at = if after_wildcard { rest.find(&literal) } else { rest.starts_with(&literal).then_some(0) };
        let Some(at) = at else { return false };
        rest = &rest[at + literal.len()..];
        literal.clear();
        after_wildcard = true;
    }
    if after_wildcard { rest.ends_with(&literal) } else { rest == literal }
}
