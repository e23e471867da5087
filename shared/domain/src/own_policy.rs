//! A policy of a tenant's own: Cedar text that forbids what the base policies would allow.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Known};
use crate::id::{PolicyId, TenantId};
use crate::meta::Meta;
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::time::Time;

/// The most policies of a tenant.
pub const MAX_POLICIES: usize = 100;

/// The most bytes of the text of a policy.
pub const MAX_TEXT: usize = 10 * 1024;

/// The most bytes that all enabled policies of a tenant can have together in their compiled form. A function reads all of them after
/// a change.
pub const MAX_COMPILED_OF_ALL: usize = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPolicy {
    pub id: PolicyId,
    /// Unique among the policies of the tenant without regard to case.
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Cedar text, `forbid` only.
    pub text: String,
    /// The form of the text that functions read. An item of its own has it, as long as the policy is enabled; it is empty in a
    /// policy that was read.
    #[serde(skip)]
    pub compiled: String,
    /// Whether it is in force.
    pub enabled: bool,
    #[serde(flatten)]
    pub meta: Meta,
}

/// All that a client can set.
#[derive(Clone, Debug)]
pub struct PolicyContent {
    pub name: String,
    pub description: Option<String>,
    pub text: String,
    /// The text in the form that functions read.
    pub compiled: String,
    pub enabled: bool,
}

/// The wanted change of a policy.
#[derive(Clone, Debug)]
pub enum OwnPolicyEdit {
    Set(PolicyContent),
    /// It stays, and is in force no more.
    Disable,
}

impl OwnPolicy {
    /// A policy that is not written yet.
    pub fn new(id: PolicyId, content: PolicyContent, now: Time) -> Self {
        let PolicyContent { name, description, text, compiled, enabled } = content;
        Self { id, name, description, text, compiled, enabled, meta: Meta::new(now) }
    }

    /// The part that decides. A policy that is not in force has none.
    pub fn deciding(&self) -> Option<crate::Policy> {
        self.enabled.then(|| crate::Policy { id: self.id, compiled: self.compiled.clone() })
    }
}

impl Record for OwnPolicy {
    type Edit = OwnPolicyEdit;

    const KIND: &'static str = "policy";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &OwnPolicyEdit, _: &Known) -> Result<(), Problem> {
        *self = match edit {
            OwnPolicyEdit::Set(content) => {
                let meta = self.meta.clone();
                Self { meta, ..Self::new(self.id, content.clone(), self.meta.created_at) }
            }
            OwnPolicyEdit::Disable => Self { enabled: false, ..self.clone() },
        };
        Ok(())
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        if self.meta.version == 0 && known.tenant.counts.policies as usize >= MAX_POLICIES {
            return Err(Problem::LimitReached("policies in a tenant", MAX_POLICIES));
        }
        let others = known.catalog.compiled_bytes(self.id);
        match self.enabled && others + self.compiled.len() > MAX_COMPILED_OF_ALL {
            true => Err(Problem::LimitReached("bytes of all enabled policies, compiled", MAX_COMPILED_OF_ALL)),
            false => Ok(()),
        }
    }

    fn actions<'a>(_: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        vec![Action::ManagePolicies]
    }

    /// A policy is about everything in the tenant.
    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        policy::tenant(tenant)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let in_force = |policy: Option<&Self>| policy.filter(|it| it.enabled).map(|it| it.text.clone());
        Tally {
            // The counts of a tenant change together with its numbers or its rules.
            rules: after.is_none() || in_force(before) != in_force(after),
            policies: i64::from(after.is_some()) - i64::from(before.is_some()),
            ..Tally::default()
        }
    }
}
