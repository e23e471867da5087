//! The decision: Cedar over facts that were just read.
//!
//! The base policies are in `policies/base.cedar`, what they can say in `policies/schema.cedarschema`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex};

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicyId, PolicySet, Request, RestrictedExpression,
};

use crate::dialect::Dialect;
use crate::id::{GroupId, TenantId};
use crate::lock;
use crate::model::{Catalog, Member, Policy, Status};

pub const BASE: &str = include_str!("../policies/base.cedar");

/// The most bytes of Cedar text that one policy of a tenant may have.
pub const MAX_POLICY_BYTES: usize = 16 * 1024;
/// The deepest nesting of brackets in it: Cedar's parser recurses, and a stack that overflows ends the process.
pub const MAX_POLICY_DEPTH: usize = 32;

/// The rule named by a denial when no policy allowed.
pub const NOT_PERMITTED: &str = "not-permitted";
/// The rule named by a denial when a policy could not be evaluated, or a tenant's text is none that may be.
pub const POLICY_ERROR: &str = "policy-error";

/// What a member asks to do to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    Read,
    UpdateProfile,
    AssignRole { adds: BTreeSet<&'a str>, removes: BTreeSet<&'a str>, rank: u8, gains: BTreeSet<&'a str> },
    SetStatus(Status),
    SetGroups { joins: BTreeSet<GroupId>, leaves: BTreeSet<GroupId>, manages: BTreeSet<GroupId> },
}

impl Action<'_> {
    /// The name of the action, and of the permission that allows it.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Read => "member:read",
            Action::UpdateProfile => "member:update-profile",
            Action::AssignRole { .. } => "member:assign-role",
            Action::SetStatus(_) => "member:set-status",
            Action::SetGroups { .. } => "member:set-groups",
        }
    }

    fn context(&self, dialect: Dialect) -> Vec<(String, RestrictedExpression)> {
        let mut pairs = vec![("dialect", string(dialect.name()))];
        match self {
            Action::Read | Action::UpdateProfile => {}
            Action::AssignRole { adds, removes, rank, gains } => pairs.extend([
                ("adds", strings(adds.iter().copied())),
                ("removes", strings(removes.iter().copied())),
                ("rank", RestrictedExpression::new_long(i64::from(*rank))),
                ("gains", strings(gains.iter().copied())),
            ]),
            Action::SetStatus(status) => pairs.push(("status", string(status.as_str()))),
            Action::SetGroups { joins, leaves, manages } => {
                pairs.extend([("joins", groups(joins)), ("leaves", groups(leaves)), ("manages", groups(manages))])
            }
        }
        pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The policy that decided, [`NOT_PERMITTED`] or [`POLICY_ERROR`].
    pub rule: String,
    pub action: &'static str,
    /// What the policies that decided have to say to the caller.
    pub notices: Vec<String>,
}

/// The policies of one tenant: the base ones and its own.
#[derive(Debug)]
pub struct Policies {
    set: Arc<Sliced>,
    /// The policies of the tenant that could not be taken in, by their numbers, and why: while there is one, nothing is
    /// allowed, since it might have forbidden anything.
    broken: Vec<(u32, &'static str)>,
}

/// Why a tenant's policy text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    TooLong,
    TooDeep,
    Syntax(String),
    Template,
    Permit,
}

impl Refused {
    /// Without the tenant's own words.
    fn name(&self) -> &'static str {
        match self {
            Refused::TooLong => "too long",
            Refused::TooDeep => "too deep",
            Refused::Syntax(_) => "syntax",
            Refused::Template => "a template",
            Refused::Permit => "a permit",
        }
    }
}

impl Policies {
    /// The base policies and those of a tenant.
    pub fn new(own: &[Policy]) -> Self {
        let mut set = Arc::clone(&base().set);
        let mut broken = Vec::new();
        for policy in own {
            let added = parse_own(policy).map_err(|why| why.name()).and_then(|policies| {
                policies
                    .into_iter()
                    .try_for_each(|policy| Arc::make_mut(&mut set).all.add(policy).map_err(|_| "an id that is taken"))
            });
            broken.extend(added.err().map(|why| (policy.id.number(), why)));
        }
        Self { set, broken }
    }

    /// The policies of the tenant that cannot be used, and why.
    pub fn broken(&self) -> &[(u32, &'static str)] {
        &self.broken
    }

    /// Whether `principal` may act in the tenant at all.
    pub fn enter(&self, principal: &Facts) -> Result<Vec<String>, Denial> {
        let tenant = uid("Tenant", principal.tenant);
        self.decide("tenant:enter", principal, None, tenant, Vec::new())
    }

    /// Whether `principal` may do `action` to `resource`; the notices that come with the permission.
    pub fn allow(
        &self,
        dialect: Dialect,
        principal: &Facts,
        action: &Action,
        resource: &Facts,
    ) -> Result<Vec<String>, Denial> {
        self.decide(action.name(), principal, Some(resource), resource.uid.clone(), action.context(dialect))
    }

    fn decide(
        &self,
        action: &'static str,
        principal: &Facts,
        member: Option<&Facts>,
        resource: EntityUid,
        context: Vec<(String, RestrictedExpression)>,
    ) -> Result<Vec<String>, Denial> {
        let error = |_| Denial { rule: POLICY_ERROR.to_owned(), action, notices: Vec::new() };
        if !self.broken.is_empty() {
            return Err(error(String::new()));
        }
        let member = member.filter(|member| member.uid != principal.uid);
        let entities = [Some(principal), member].into_iter().flatten().map(|facts| facts.entity.clone());
        let entities = entities.chain([action_entity(action)]).collect::<Result<Vec<_>, _>>().map_err(error)?;
        let entities = Entities::from_entities(entities, None).map_err(|why| error(why.to_string()))?;
        let context = Context::from_pairs(context).map_err(|why| error(why.to_string()))?;
        let request = Request::new(principal.uid.clone(), uid("Action", action), resource, context, None)
            .map_err(|why| error(why.to_string()))?;

        let response = Authorizer::new().is_authorized(&request, &self.set.about(action), &entities);
        // Cedar skips a policy that errs, a `forbid` too; we do not.
        if response.diagnostics().errors().next().is_some() {
            return Err(error(String::new()));
        }
        let mut decided: Vec<_> = response.diagnostics().reason().map(|id| (rule(id), id)).collect();
        decided.sort();
        let mut notices: Vec<String> = Vec::new();
        for policy in decided.iter().filter_map(|(_, id)| self.set.all.policy(id)) {
            let notice = annotation(policy, "notice").unwrap_or_default();
            if !notice.is_empty() && !notices.iter().any(|known| known == notice) {
                notices.push(notice.to_owned());
            }
        }
        match response.decision() {
            Decision::Allow => Ok(notices),
            Decision::Deny => {
                let rule = decided.first().map_or(NOT_PERMITTED, |((_, name), _)| name);
                Err(Denial { rule: rule.to_owned(), action, notices })
            }
        }
    }
}

/// What a decision needs to know of a member, as Cedar knows it. Made once for all decisions of a request.
pub struct Facts {
    uid: EntityUid,
    tenant: TenantId,
    entity: Result<Entity, String>,
}

impl Facts {
    pub fn of(member: &Member, catalog: &Catalog) -> Self {
        let attributes = [
            ("status", string(member.status.as_str())),
            ("roles", strings(catalog.roles(&member.roles).map(|role| role.name.as_str()))),
            ("rank", RestrictedExpression::new_long(i64::from(catalog.rank(&member.roles)))),
            ("holds", strings(catalog.permissions(&member.roles))),
            ("denies", strings(catalog.denied(&member.roles))),
            ("groups", groups(&member.groups)),
            ("manages", groups(&member.manages)),
        ];
        let attributes: HashMap<_, _> = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let mut parents: HashSet<_> = member.groups.iter().map(|group| uid("Group", group)).collect();
        parents.insert(uid::<TenantId>("Tenant", member.tenant));
        let uid = uid("Member", member.user);
        let entity = Entity::new(uid.clone(), attributes, parents).map_err(|why| why.to_string());
        Self { uid, tenant: member.tenant, entity }
    }
}

/// The action in its group: what the schema says of groups, Cedar knows in a decision only from the entities it is given.
fn action_entity(action: &str) -> Result<Entity, String> {
    let group = group_of(action).into_iter().collect();
    Entity::new(uid("Action", action), HashMap::new(), group).map_err(|why| why.to_string())
}

/// The group that an action is in, if any.
fn group_of(action: &str) -> Option<EntityUid> {
    action.starts_with("member:").then(|| uid("Action", "member:any"))
}

/// Reads one policy item of a tenant, which may hold several statements; each keeps an id that names the item.
fn parse_own(policy: &Policy) -> Result<Vec<cedar_policy::Policy>, Refused> {
    let set = check_text(&policy.text)?;
    let named = |(index, it): (usize, &cedar_policy::Policy)| {
        it.new_id(PolicyId::new(format!("tenant-policy-{}-{index}", policy.id)))
    };
    let mut statements: Vec<_> = set.policies().collect();
    statements.sort_by_key(|it| (it.id().to_string().len(), it.id().to_string()));
    Ok(statements.into_iter().enumerate().map(named).collect())
}

/// What a tenant may write: short and flat enough for the parser, no templates, `forbid` only.
pub fn check_text(text: &str) -> Result<PolicySet, Refused> {
    if text.len() > MAX_POLICY_BYTES {
        return Err(Refused::TooLong);
    }
    // Brackets nest, and so do conditionals, without any.
    let code = code(text);
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in code.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    if deepest + code.matches("then").count() > MAX_POLICY_DEPTH {
        return Err(Refused::TooDeep);
    }
    let set = PolicySet::from_str(text).map_err(|why| Refused::Syntax(why.to_string()))?;
    if set.templates().next().is_some() {
        return Err(Refused::Template);
    }
    if set.policies().any(|policy| policy.effect() == Effect::Permit) {
        return Err(Refused::Permit);
    }
    Ok(set)
}

/// The text without its strings and comments, told apart as Cedar's lexer does: a bracket in those closes nothing.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                while let Some(quoted) = chars.next() {
                    match quoted {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|it| !matches!(it, '\n' | '\r')).is_some() {},
            _ => code.push(char),
        }
    }
    code
}

/// Parses the base policies, which the first decision would do otherwise.
pub fn warm_up() {
    base();
}

/// Policies, all of them and by the action they are about: Cedar looks at each policy that it is given.
#[derive(Debug, Default)]
struct Sliced {
    all: PolicySet,
    slices: Mutex<HashMap<&'static str, Arc<PolicySet>>>,
}

impl Clone for Sliced {
    /// Without the slices, since it is cloned to be added to.
    fn clone(&self) -> Self {
        Self { all: self.all.clone(), slices: Mutex::default() }
    }
}

impl Sliced {
    /// The policies whose scope has the action. The others decide nothing, and nothing in them is evaluated.
    fn about(&self, action: &'static str) -> Arc<PolicySet> {
        let mut slices = lock(&self.slices);
        let slice = slices.entry(action).or_insert_with(|| {
            let (uid, group) = (uid("Action", action), group_of(action));
            let has = |policy: &&cedar_policy::Policy| match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(it) => it == uid,
                ActionConstraint::In(them) => them.iter().any(|it| *it == uid || Some(it) == group.as_ref()),
            };
            let slice = PolicySet::from_policies(self.all.policies().filter(has).cloned());
            // INVARIANT: the ids are those of one set, so they differ.
            Arc::new(slice.unwrap_or_else(|_| self.all.clone()))
        });
        Arc::clone(slice)
    }
}

/// The base policies, under the ids that Cedar gives them, and the ones that they give themselves.
struct Base {
    set: Arc<Sliced>,
    /// By Cedar's id: the place in the file, and the policy's own id.
    rules: HashMap<PolicyId, (usize, &'static str)>,
}

fn base() -> &'static Base {
    static BASE_POLICIES: LazyLock<Base> = LazyLock::new(|| {
        // To give policies their own ids would be to build the set once more, at every start. Cedar counts them.
        let ids = BASE.lines().filter_map(|line| line.strip_prefix("@id(\"")?.strip_suffix("\")"));
        let rules = ids.enumerate().map(|(place, id)| (PolicyId::new(format!("policy{place}")), (place, id)));
        let all = PolicySet::from_str(BASE).expect("a test parses the base policies");
        Base { set: Arc::new(Sliced { all, ..Sliced::default() }), rules: rules.collect() }
    });
    &BASE_POLICIES
}

/// What a policy is called, after the place in which it is named: those of the base, as in the file, then the tenant's.
fn rule(id: &PolicyId) -> (usize, &str) {
    base().rules.get(id).copied().unwrap_or((usize::MAX, id.as_ref()))
}

/// What a policy says of itself. Cedar's own look-up parses the name first, which takes longer than to compare them all.
fn annotation<'a>(policy: &'a cedar_policy::Policy, name: &str) -> Option<&'a str> {
    policy.annotations().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// An entity of a type of the schema. Cedar parses a type's name, so each is made once.
fn uid<T: ToString>(kind: &'static str, id: T) -> EntityUid {
    static KINDS: LazyLock<HashMap<&str, EntityTypeName>> = LazyLock::new(|| {
        let names = ["Action", "Group", "Member", "Tenant"];
        names.into_iter().map(|name| (name, EntityTypeName::from_str(name).expect("a name"))).collect()
    });
    EntityUid::from_type_name_and_id(KINDS[kind].clone(), EntityId::new(id.to_string()))
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a str>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(string))
}

fn groups(ids: &BTreeSet<GroupId>) -> RestrictedExpression {
    RestrictedExpression::new_set(ids.iter().map(|id| RestrictedExpression::new_entity_uid(uid("Group", id))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_policies_are_called_what_they_call_themselves() {
        let Base { set, rules } = base();
        assert_eq!(set.all.policies().count(), rules.len());
        for policy in set.all.policies() {
            assert_eq!(annotation(policy, "id"), Some(rules[policy.id()].1));
        }
    }
}
