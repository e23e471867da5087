//! The edit of a group, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::group::{Group, MAX_CONFERRED_OF_ALL, MAX_GROUPS};
use crate::id::{GroupId, JobId, RoleId, TenantId};
use crate::meta::{Meta, MetadataEdit, Patch, merge};
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::{Problem, Reference};
use crate::record::{Change, Record, Tally};
use crate::role::{self, Role};

/// The wanted changes of a group. Parts that it does not mention stay.
#[derive(Debug, Default)]
pub struct GroupEdit {
    pub name: Option<String>,
    pub description: Patch<String>,
    /// Exactly these roles, each by its UUID, number or name.
    pub confers: Option<Vec<String>>,
    pub metadata: MetadataEdit,
    pub external_id: Patch<String>,
    pub retirement: Option<Retirement>,
}

/// A part of the deletion of something that others refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retirement {
    /// The group is gone for everybody: nobody is in it, and nobody can join it.
    Begins,
    /// This job goes on with the deletion.
    Continues(JobId),
    /// A role is being deleted that the group may confer: it confers the second one in its place.
    OfRole(RoleId, RoleId),
}

impl From<Retirement> for GroupEdit {
    fn from(retirement: Retirement) -> Self {
        Self { retirement: Some(retirement), ..Self::default() }
    }
}

impl Group {
    /// A group in the form that policies read.
    pub(crate) fn entity_of(id: GroupId, tenant: TenantId) -> Entity {
        policy::named("Group", id, tenant)
    }
}

impl Record for Group {
    type Edit = GroupEdit;

    const KIND: &'static str = "group";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// No answer has shown the group as retiring.
    fn shown_version(&self) -> u64 {
        self.meta.version.saturating_sub(u64::from(self.retiring) + u64::from(self.job.is_some()))
    }

    fn apply(&mut self, edit: &GroupEdit, known: &Known) -> Result<(), Problem> {
        if let Some(name) = &edit.name {
            self.name.clone_from(name);
        }
        edit.description.apply(&mut self.description);
        edit.external_id.apply(&mut self.external_id);
        match edit.retirement {
            None => {}
            Some(Retirement::Begins) => self.retiring = true,
            Some(Retirement::Continues(job)) => self.job = Some(job),
            Some(Retirement::OfRole(old, new)) => {
                let given = self.confers.take(&old).map(|_| new);
                self.confers.extend(given);
            }
        }
        let merged = merge(&mut self.metadata, &edit.metadata);
        if let Some(spellings) = &edit.confers {
            let may_be = |role: &Role| role.id != role::OWNER && (!role.retiring || self.confers.contains(&role.id));
            let (roles, bad) = known.catalog.roles_spelled(spellings, known.tenant.id, may_be);
            self.confers = roles;
            if !bad.is_empty() {
                let place = vec!["body".into(), "confers".into()];
                return Err(Problem::InvalidReference { kind: Reference::Role, place, values: bad });
            }
        }
        merged
    }

    fn fits(&self, known: &Known) -> Result<(), Problem> {
        if self.meta.version == 0 && known.tenant.counts.groups as usize >= MAX_GROUPS {
            return Err(Problem::LimitReached("groups in a tenant", MAX_GROUPS));
        }
        let others = known.catalog.standings().filter(|(group, _)| **group != self.id);
        match others.map(|(_, it)| it.confers.len()).sum::<usize>() + self.confers.len() > MAX_CONFERRED_OF_ALL {
            true => Err(Problem::LimitReached("roles that groups of a tenant confer", MAX_CONFERRED_OF_ALL)),
            false => Ok(()),
        }
    }

    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        let none = BTreeSet::new();
        let conferred = |group: &'a Self| if group.retiring { &none } else { &group.confers };
        let (before, after) = match change {
            Change::Create(group) => (&none, conferred(group)),
            Change::Update { before, after, .. } => (conferred(before), conferred(after)),
            Change::Delete(group) => (conferred(group), &none),
        };
        let (was, rank) = (catalog.rank(before), catalog.rank(after));
        vec![Action::ManageGroups {
            adds: catalog.role_names(&(after - before)),
            removes: catalog.role_names(&(before - after)),
            gains: catalog.gains_of_holders(before, after),
            denials: catalog.new_denials(before, after),
            was,
            rank,
        }]
    }

    fn entity(&self, tenant: TenantId, _: &Catalog) -> Entity {
        Self::entity_of(self.id, tenant)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let standing = |group: Option<&Self>| group.and_then(Self::standing);
        Tally {
            rules: after.is_none() || standing(before) != standing(after),
            names: before.is_some() && before.map(|group| &group.name) != after.map(|group| &group.name),
            groups: i64::from(after.is_some()) - i64::from(before.is_some()),
            ..Tally::default()
        }
    }
}
