//! The edit of a tenant, and the actions of a change.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::id::{JobId, TenantId};
use crate::meta::{Meta, MetadataEdit, Patch, merge};
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::Problem;
use crate::record::{Change, Record, Tally};
use crate::tenant::{Acceptance, Inviters, Seats, Settings, Tenant};
use crate::time::Time;

/// The wanted changes of a tenant. Parts that it does not mention stay.
#[derive(Clone, Debug, Default)]
pub struct TenantEdit {
    pub name: Option<String>,
    pub metadata: MetadataEdit,
    pub external_id: Patch<String>,
    pub settings: SettingsEdit,
    /// The job that counts the seats from now on.
    pub counted_by: Option<JobId>,
    /// The time of deletion, or `Clear` to restore.
    pub deleted_at: Patch<Time>,
    pub job: Option<JobId>,
}

#[derive(Clone, Debug, Default)]
pub struct SettingsEdit {
    pub allowed_domains: Option<BTreeSet<String>>,
    pub inviters: Option<Inviters>,
    pub acceptance: Option<Acceptance>,
    pub seats: Patch<u32>,
    pub session_seconds: Patch<u32>,
    pub impersonation: Option<bool>,
    pub retention_days: Patch<u32>,
    pub record_reads: Option<bool>,
}

impl SettingsEdit {
    fn apply(&self, settings: &mut Settings) {
        if let Some(domains) = &self.allowed_domains {
            settings.allowed_domains.clone_from(domains);
        }
        settings.inviters = self.inviters.unwrap_or(settings.inviters);
        settings.acceptance = self.acceptance.unwrap_or(settings.acceptance);
        self.seats.apply(&mut settings.seats);
        self.session_seconds.apply(&mut settings.session_seconds);
        settings.impersonation = self.impersonation.unwrap_or(settings.impersonation);
        self.retention_days.apply(&mut settings.retention_days);
        settings.record_reads = self.record_reads.unwrap_or(settings.record_reads);
    }

    /// The names of the settings that it mentions, changed or not.
    fn names(&self) -> BTreeSet<&'static str> {
        let mentioned = [
            ("acceptance", self.acceptance.is_some()),
            ("allowed_domains", self.allowed_domains.is_some()),
            ("impersonation", self.impersonation.is_some()),
            ("inviters", self.inviters.is_some()),
            ("record_reads", self.record_reads.is_some()),
            ("retention_days", !self.retention_days.is_keep()),
            ("seats", !self.seats.is_keep()),
            ("session_seconds", !self.session_seconds.is_keep()),
        ];
        mentioned.into_iter().filter(|(_, is_mentioned)| *is_mentioned).map(|(name, _)| name).collect()
    }
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
        edit.settings.apply(&mut self.settings);
        if let Some(job) = edit.counted_by {
            (self.seats, self.seats_taken) = (Some(Seats::new(job)), 0);
        }
        if self.settings.seats.is_none() {
            self.seats = None;
        }
        edit.external_id.apply(&mut self.external_id);
        edit.deleted_at.apply(&mut self.deleted_at);
        self.job = edit.job.or(self.job);
        merge(&mut self.metadata, &edit.metadata)
    }

    fn actions<'a>(change: Change<'a, Self>, _: &'a Catalog) -> Vec<Action<'a>> {
        match change {
            Change::Create(_) => vec![Action::CreateTenant],
            Change::Update { edit: TenantEdit { deleted_at: Patch::Keep, settings, .. }, .. } => {
                vec![Action::UpdateTenant { settings: settings.names() }]
            }
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
