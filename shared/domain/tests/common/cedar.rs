//! Cedar's own decisions, on the policies' text and on the facts that our own evaluation gets.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Request,
    Response, RestrictedExpression,
};
use domain::policy::eval::Entity;
use domain::policy::format::{Record, Uid, Value};
use domain::policy::{Action, BASE, NOT_PERMITTED, POLICY_ERROR, action_entity};
use domain::problem::Denial;

/// The names of the dialects, which policies may tell apart.
pub const DIALECTS: [&str; 5] = ["tenant", "users", "directory", "membership", "organization"];

/// A request for a decision, in Cedar's types.
pub struct Asked {
    request: Request,
    entities: Entities,
}

impl Asked {
    /// `beside` are the entities to which the context refers.
    pub fn new(principal: &Entity, action: &Entity, resource: &Entity, beside: &[Entity], context: &Record) -> Self {
        let pairs = context.iter().map(|(name, value)| (name.to_string(), expression(value)));
        let context = Context::from_pairs(pairs).unwrap();
        let uids = [principal, action, resource].map(|it| uid(&it.uid));
        let mut known: Vec<&Entity> = Vec::new();
        for entity in [principal, action, resource].into_iter().chain(beside) {
            if !known.iter().any(|it| it.uid == entity.uid) {
                known.push(entity);
            }
        }
        let [principal, action, resource] = uids;
        Self {
            request: Request::new(principal, action, resource, context, None).unwrap(),
            entities: Entities::from_entities(known.into_iter().map(entity), None).unwrap(),
        }
    }

    pub fn of(&self, policies: &PolicySet) -> Response {
        Authorizer::new().is_authorized(&self.request, policies, &self.entities)
    }
}

/// The policies of a tenant.
pub struct Texts {
    all: PolicySet,
    /// In the order in which denials name them.
    names: HashMap<PolicyId, usize>,
}

impl Texts {
    pub fn new(own: &[String]) -> Self {
        static BASE_SET: LazyLock<PolicySet> = LazyLock::new(|| BASE.parse().unwrap());
        let mut texts = Self { all: PolicySet::new(), names: HashMap::new() };
        texts.add(&BASE_SET, |policy, _| policy.annotation("id").unwrap().to_owned());
        for (item, text) in (1..).zip(own) {
            texts.add(&text.parse().unwrap(), |_, number| format!("tenant-policy-{item}-{number}"));
        }
        texts
    }

    fn add(&mut self, set: &PolicySet, name: impl Fn(&Policy, usize) -> String) {
        for number in 0..set.policies().count() {
            let policy = set.policy(&PolicyId::new(format!("policy{number}"))).unwrap();
            let id = PolicyId::new(name(policy, number));
            self.all.add(policy.new_id(id.clone())).unwrap();
            self.names.insert(id, self.names.len());
        }
    }

    /// The decision on an action, with its rule and its notices.
    pub fn decide(
        &self,
        dialect: &str,
        principal: &Entity,
        action: &Action,
        resource: &Entity,
    ) -> Result<Vec<String>, Denial> {
        let entity = action_entity(action.name());
        let response = Asked::new(
            principal,
            &entity,
            resource,
            &action.entities(),
            &action.context(super::common::around(dialect)),
        )
        .of(&self.all);
        let denial = |rule: String, notices| Denial { rule, action: action.name(), notices };
        if response.diagnostics().errors().next().is_some() {
            return Err(denial(POLICY_ERROR.to_owned(), Vec::new()));
        }
        let mut decided: Vec<_> = response.diagnostics().reason().collect();
        decided.sort_by_key(|id| self.names[id]);
        let mut notices: Vec<String> = Vec::new();
        for notice in decided.iter().filter_map(|id| self.all.annotation(id, "notice")) {
            if !notice.is_empty() && !notices.iter().any(|known| known == notice) {
                notices.push(notice.to_owned());
            }
        }
        match response.decision() {
            Decision::Allow => Ok(notices),
            Decision::Deny => {
                Err(denial(decided.first().map_or(NOT_PERMITTED.to_owned(), |id| id.to_string()), notices))
            }
        }
    }
}

fn uid(it: &Uid) -> EntityUid {
    EntityUid::from_type_name_and_id(EntityTypeName::from_str(&it.r#type).unwrap(), EntityId::new(&it.id))
}

fn entity(it: &Entity) -> cedar_policy::Entity {
    let attributes = it.attributes.iter().map(|(name, value)| (name.to_string(), expression(value)));
    let ancestors = it.ancestors.iter().map(uid);
    let tags = it.tags.iter().map(|(name, value)| (name.to_string(), expression(value)));
    let (attributes, ancestors): (Vec<_>, Vec<_>) = (attributes.collect(), ancestors.collect());
    cedar_policy::Entity::new_with_tags(uid(&it.uid), attributes, ancestors, tags).unwrap()
}

fn expression(value: &Value) -> RestrictedExpression {
    match value {
        Value::Bool(it) => RestrictedExpression::new_bool(*it),
        Value::Long(it) => RestrictedExpression::new_long(*it),
        Value::String(it) => RestrictedExpression::new_string(it.clone()),
        Value::Entity { uid: it } => RestrictedExpression::new_entity_uid(uid(it)),
        Value::Set(values) => RestrictedExpression::new_set(values.iter().map(expression)),
        Value::Record(record) => {
            let fields = record.iter().map(|(name, value)| (name.to_string(), expression(value)));
            RestrictedExpression::new_record(fields).unwrap()
        }
    }
}
