//! The edit of a tenant, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::id::{JobId, TenantId};
use crate::meta::{Meta, MetadataEdit, Patch, merge};
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::tenant::Tenant;
use crate::time::Time;

/// The wanted changes of a tenant. Parts that it does not mention stay.
#[derive(Debug, Default)]
pub struct TenantEdit {
    pub name: Option<String>,
    pub metadata: MetadataEdit,
    pub external_id: Patch<String>,
    pub allowed_domains: Option<BTreeSet<String>>,
    /// The time of deletion, or `Clear` to restore.
    pub deleted_at: Patch<Time>,
    pub job: Option<JobId>,
}

impl Record for Tenant {
    type Edit = TenantEdit;

    const KIND: &'static str = "tenant";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &TenantEdit, _: &Known) -> Result<(), Problem> {
        if let Some(name) = &edit.name {
            self.name.clone_from(name);
        }
        if let Some(domains) = &edit.allowed_domains {
            self.settings.allowed_domains.clone_from(domains);
        }
        edit.external_id.apply(&mut self.external_id);
        edit.deleted_at.apply(&mut self.deleted_at);
        self.job = edit.job.or(self.job);
        merge(&mut self.metadata, &edit.metadata)
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        match change {
            Change::Create(_) => vec![Action::CreateTenant],
            Change::Update { edit: TenantEdit { deleted_at: Patch::Keep, .. }, .. } => vec![Action::UpdateTenant],
            Change::Update { .. } | Change::Delete(_) => vec![Action::DeleteTenant],
        }
    }

    fn entity(&self, _: TenantId, _: &Catalog) -> Entity {
        policy::tenant(self.id)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let decides = |tenant: Option<&Self>| tenant.map(|tenant| (tenant.settings.clone(), tenant.deleted_at));
        Tally { rules: before.is_some() && decides(before) != decides(after), ..Tally::default() }
    }
}
