//! The removal of a tenant that nobody has restored in time: every item of it, the record too.
//!
//! Its parts can be repeated, because each only deletes. The tenant's item and the job's come last, in this order: a worker that
//! takes over finds the job as long as there is anything left.

use std::collections::HashSet;

use domain::id::TenantId;
use domain::job::change::JobEdit;
use domain::job::{PIECE, Progress, State, Task};
use domain::tenant::RESTORABLE_SECONDS;
use domain::{
    ApiKey, ClaimedDomain, Entry, Group, Job, JoinRequest, Label, Member, OwnPolicy, Problem, Record, Tenant,
    TenantEdit, Time,
};

use super::jobs::next;
use super::{Asked, Reads, Who};
use crate::table::decode;
use crate::table::key::{self, Key, Range, TenantKeys};
use crate::table::stored::Stored;
use crate::table::{Committed, Item, Transaction, key_of};

/// How much longer than it can be restored a deleted tenant stays, in seconds: clocks differ.
const MARGIN: i64 = 60 * 60;

/// Starts the removal of each tenant that could have been restored for the last time before `now`.
///
/// # Errors
/// The table cannot be read or written.
pub(super) async fn start_all(asked: &Asked<'_>, now: Time) -> Result<(), Problem> {
    let range = Range { in_index: true, ..Range::of(key::deleted_tenants()) };
    let (items, _) = asked.table.page(&range, None, 100).await?;
    for item in items {
        let tenant: Tenant = decode(item)?;
        if tenant.deleted_at.is_some_and(|at| at.seconds() + RESTORABLE_SECONDS + MARGIN < now.seconds()) {
            start(asked, tenant.id).await?;
        }
    }
    Ok(())
}

async fn start(asked: &Asked<'_>, tenant: TenantId) -> Result<(), Problem> {
    let who = Who::Product(tenant, "deleted, and not restored in time".to_owned());
    let plan = |plan: &mut super::Plan| {
        // The index lags behind: the tenant can have been restored, or its removal can have begun.
        let (facts, tenant) = (plan.facts(), plan.facts().tenant());
        if tenant.deleted_at.is_some() && tenant.job.is_none() {
            let id = plan.number(|numbers| &mut numbers.jobs)?;
            plan.update(facts.own_tenant(), &TenantEdit { job: Some(id), ..TenantEdit::default() });
            plan.create(Job::new(id, Task::RemoveTenant, facts.now()), &JobEdit::default());
        }
        Ok(())
    };
    super::change_unanswered(asked, &who, &Reads::of_deleted_tenant(), &plan).await
}

/// Removes a further part.
///
/// # Errors
/// The table cannot be read or written.
pub(super) async fn piece(asked: &Asked<'_>, keys: TenantKeys, job: &Job) -> Result<(), Problem> {
    let (table, job_key, now) = (asked.table, keys.job(job.id), (asked.clock)());
    let tenant: Option<Tenant> = table.get([keys.tenant()]).await?.remove(&keys.tenant()).map(decode).transpose()?;
    let Some(tenant) = tenant else { return table.clear(&[job_key]).await };
    let progress = &job.progress;
    let events = keys_of(asked, &Range { in_index: true, ..Range::of(keys.record()) }).await?;
    let heads = events.iter().filter_map(|event| keys.head_beside(event));
    table.clear(&heads.chain(events.iter().cloned()).collect::<HashSet<_>>().into_iter().collect::<Vec<_>>()).await?;
    let removed = if events.is_empty() {
        let (items, _) = table.page(&Range::of(keys.all()), None, most()).await?;
        let mut removed = Vec::new();
        for item in items {
            let key = key_of(&item)?;
            if key != keys.tenant() && key != job_key {
                remove_side(asked, keys, &key, item).await?;
                removed.push(key);
            }
        }
        if removed.is_empty() {
            clear(asked, keys.identities()).await?;
            clear_starts(asked, keys).await?;
            clear(asked, Key { sk: String::new(), ..keys.checkpoints() }).await?;
            let image = tenant.image(tenant.id)?;
            // They are more than one transaction takes, and nobody else can take their names.
            table.clear(&image.fence_keys()).await?;
            clear_with(asked, &keys.tenant(), &image.link_keys()).await?;
            return table.clear(&[job_key]).await;
        }
        table.clear(&removed).await?;
        removed.len()
    } else {
        events.len()
    };
    let progress = Progress { done: progress.done + removed, ..next(progress, now) };
    table.set_progress(&job_key, State::Running, &progress).await.map(drop)
}

/// Removes the items that follow from another one: names, edges, fences.
async fn remove_side(asked: &Asked<'_>, keys: TenantKeys, key: &Key, item: Item) -> Result<(), Problem> {
    let of = |kind: &str| key.sk.starts_with(&format!("{}#", kind.to_uppercase()));
    let (image, edges) = if of(Member::KIND) {
        let member: Member = decode(item)?;
        (member.image(keys.0)?, Some(keys.sessions(member.user)))
    } else if of(Group::KIND) {
        let group: Group = decode(item)?;
        (group.image(keys.0)?, Some(keys.members_of(group.id)))
    } else if of(Job::KIND) {
        let job: Job = decode(item)?;
        (job.image(keys.0)?, Some(keys.beside_job(job.id)))
    } else if of(Label::KIND) {
        (decode::<Label>(item)?.image(keys.0)?, None)
    } else if of(ClaimedDomain::KIND) {
        return clear_with(asked, key, &decode::<ClaimedDomain>(item)?.image(keys.0)?.link_keys()).await;
    } else if of(JoinRequest::KIND) {
        (decode::<JoinRequest>(item)?.image(keys.0)?, None)
    } else if of(OwnPolicy::KIND) {
        (decode::<OwnPolicy>(item)?.image(keys.0)?, None)
    } else if of(ApiKey::KIND) {
        (decode::<ApiKey>(item)?.image(keys.0)?, None)
    } else if key.sk.starts_with(&keys.catalog().sk) {
        match decode(item)? {
            Entry::Role(role) => (role.image(keys.0)?, Some(keys.holders(role.id))),
            _ => return Ok(()),
        }
    } else {
        return Ok(());
    };
    asked.table.clear(&image.side_keys()).await?;
    match edges {
        Some(edges) => clear(asked, edges).await,
        None => Ok(()),
    }
}

/// Removes an item together with those that follow from it. Another tenant can take such a name as soon as it is free, so no repetition
/// of the removal may find the item without its name.
async fn clear_with(asked: &Asked<'_>, key: &Key, names: &[Key]) -> Result<(), Problem> {
    let mut transaction = Transaction::new(asked.table);
    for key in names.iter().chain([key]) {
        transaction.delete(key, None)?;
    }
    match asked.table.write(transaction).await? {
        Committed::Yes => Ok(()),
        // The job waits, and the sweep lets it run again.
        _ => Err(Problem::Unavailable("another request holds an item of the tenant that is removed".to_owned())),
    }
}

/// Removes all items of a partition whose sort keys begin with that of `prefix`.
async fn clear(asked: &Asked<'_>, prefix: Key) -> Result<(), Problem> {
    let range = Range::of(prefix);
    loop {
        let left = keys_of(asked, &range).await?;
        if left.is_empty() {
            return Ok(());
        }
        asked.table.clear(&left).await?;
    }
}

/// Removes what is kept of chains whose events were removed before, and the ends of those that no record has.
async fn clear_starts(asked: &Asked<'_>, keys: TenantKeys) -> Result<(), Problem> {
    let range = Range::of(keys.starts());
    loop {
        let starts = keys_of(asked, &range).await?;
        if starts.is_empty() {
            return Ok(());
        }
        let heads = starts.iter().filter_map(|start| keys.head_of_start(start));
        asked.table.clear(&heads.chain(starts.iter().cloned()).collect::<Vec<_>>()).await?;
    }
}

async fn keys_of(asked: &Asked<'_>, range: &Range) -> Result<Vec<Key>, Problem> {
    let (items, _) = asked.table.page(range, None, most()).await?;
    items.iter().map(key_of).collect()
}

fn most() -> i32 {
    i32::try_from(PIECE).unwrap_or(i32::MAX)
}
