//! Proves properties of the base policies, with Cedar's own symbolic compiler and the solver `cvc5`.
//!
//! - `base.cedar` in `../domain/policies` is what they are proved of, and `schema.cedarschema` has all kinds of request.
//! - `facts.cedar` beside it is what the proofs assume of a request.
//! - `properties.cedar` is what is proved.

mod prover;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{
    ActionConstraint, Effect, Entities, EntityUid, Policy, PolicySet, RequestEnv, Schema, ValidationMode, Validator,
};
use cedar_policy_symcc::CompiledPolicySet;

pub use prover::{Asked, Prover};

pub const BASE: &str = include_str!("../../domain/policies/base.cedar");
pub const SCHEMA: &str = include_str!("../../domain/policies/schema.cedarschema");
pub const FACTS: &str = include_str!("../../domain/policies/facts.cedar");
pub const PROPERTIES: &str = include_str!("../properties.cedar");

/// A schema with its kinds of request: each type of caller, with each action, on each type of thing.
pub struct Requests {
    pub schema: Schema,
    pub kinds: Vec<RequestEnv>,
    /// Which actions are in which groups.
    actions: Entities,
}

impl Requests {
    /// # Panics
    /// An action is in itself.
    pub fn new(schema: Schema) -> Self {
        let mut kinds: Vec<RequestEnv> = schema.request_envs().collect();
        kinds.sort_by_key(name);
        let actions = schema.action_entities().unwrap_or_else(|why| panic!("{why}"));
        Self { schema, kinds, actions }
    }

    /// Those of the product.
    pub fn of_product() -> Self {
        Self::new(schema(SCHEMA))
    }

    /// The numbers of the kinds of request whose action is one of a policy's scope. It matches no other.
    pub fn of(&self, policy: &Policy) -> Vec<usize> {
        let is_in =
            |action: &EntityUid, scope: &EntityUid| action == scope || self.actions.is_ancestor_of(scope, action);
        let fits = |kind: &RequestEnv| match policy.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(scope) => scope == *kind.action(),
            ActionConstraint::In(scopes) => scopes.iter().any(|scope| is_in(kind.action(), scope)),
        };
        (0..self.kinds.len()).filter(|at| fits(&self.kinds[*at])).collect()
    }

    /// Whether the policies have the types of the schema.
    pub fn are_valid(&self, policies: &PolicySet) -> bool {
        Validator::new(self.schema.clone()).validate(policies, ValidationMode::Strict).validation_passed()
    }

    /// The policies for one kind of request.
    ///
    /// # Panics
    /// The policies are not valid.
    pub fn compile(&self, policies: &PolicySet, kind: usize) -> CompiledPolicySet {
        let kind = &self.kinds[kind];
        CompiledPolicySet::compile(policies, kind, &self.schema).unwrap_or_else(|why| panic!("{}: {why:?}", name(kind)))
    }

    /// The policies for each kind of request.
    pub fn compile_all(&self, policies: &PolicySet) -> Vec<CompiledPolicySet> {
        (0..self.kinds.len()).map(|kind| self.compile(policies, kind)).collect()
    }
}

/// A property, in a form that can be compared with policies.
pub struct Property {
    pub id: String,
    /// Of the policy that states it: a `forbid` says that nobody is allowed what it matches, a `permit` that everybody is.
    effect: Effect,
    /// Allows what the property is about.
    about: PolicySet,
}

impl Property {
    /// All properties of a text, under the facts of another.
    pub fn all(properties: &str, facts: &str) -> Vec<Self> {
        let property = |(id, text): (&str, &str)| Self::new(id, effect(text), &permit(text), facts);
        text::each(properties).into_iter().map(property).collect()
    }

    /// The same in two properties: one says what each `forbid` says, the other what each `permit` says. It takes fewer questions to learn
    /// whether any property is false, but not which one.
    pub fn joined(properties: &str, facts: &str) -> [Self; 2] {
        let texts = text::each(properties);
        [("each forbid", Effect::Forbid), ("each permit", Effect::Permit)].map(|(id, of)| {
            let about = texts.iter().filter(|(_, text)| effect(text) == of).map(|(_, text)| permit(text));
            Self::new(id, of, &about.collect::<Vec<_>>().join("\n"), facts)
        })
    }

    fn new(id: &str, effect: Effect, about: &str, facts: &str) -> Self {
        let about = match effect {
            Effect::Permit => policies(&format!("{about}\n{facts}")),
            // The facts are among the policies.
            Effect::Forbid => policies(about),
        };
        Self { id: id.to_owned(), effect, about }
    }

    /// What it is about, in each kind of request that it concerns.
    pub fn compile(&self, requests: &Requests) -> BTreeMap<usize, CompiledPolicySet> {
        self.kinds(requests).into_iter().map(|kind| (kind, requests.compile(&self.about, kind))).collect()
    }

    /// What it is about in a kind of request, if it concerns that.
    pub fn compile_for(&self, requests: &Requests, kind: usize) -> Option<CompiledPolicySet> {
        self.kinds(requests).contains(&kind).then(|| requests.compile(&self.about, kind))
    }

    fn kinds(&self, requests: &Requests) -> BTreeSet<usize> {
        self.about
            .policies()
            .filter(|policy| policy.effect() == Effect::Permit)
            .flat_map(|policy| requests.of(policy))
            .collect()
    }

    /// Whether it is true of policies. They forbid what the facts exclude; they and `about` are for the same kind of request.
    pub fn holds(&self, prover: &mut Prover, policies: &CompiledPolicySet, about: &CompiledPolicySet) -> Asked<bool> {
        match self.effect {
            Effect::Forbid => prover.ask(async |solver| solver.check_disjoint_opt(policies, about).await),
            Effect::Permit => prover.ask(async |solver| solver.check_implies_opt(about, policies).await),
        }
    }
}

fn effect(text: &str) -> Effect {
    if text.contains("\nforbid (") { Effect::Forbid } else { Effect::Permit }
}

/// A policy, as one that allows what it matches.
pub fn permit(text: &str) -> String {
    text.replacen("\nforbid (", "\npermit (", 1)
}

/// A kind of request, as a person reads it.
pub fn name(kind: &RequestEnv) -> String {
    format!("{} {} {}", kind.principal(), kind.action(), kind.resource())
}

/// # Panics
/// It is no schema.
pub fn schema(text: &str) -> Schema {
    Schema::from_cedarschema_str(text).unwrap_or_else(|why| panic!("{why}")).0
}

/// # Panics
/// They are no policies.
pub fn policies(text: &str) -> PolicySet {
    text.parse().unwrap_or_else(|why| panic!("{why:?}\n{text}"))
}
