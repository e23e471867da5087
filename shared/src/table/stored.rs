//! Each record in the table: its item, and further items for its roles, groups and names.

mod identity;
mod people;

use std::collections::HashMap;

use domain::event::Stamp;
use domain::id::{Id, TenantId};
use domain::job::State;
use domain::{Actor, Entry, Event, Group, Job, Label, Member, Problem, Record, Role, Tenant};
use serde::{Deserialize, Serialize};

use super::fence::Fact;
use super::key::{self, Key, TenantKeys};
use super::{Condition, Item, Malformed, Transaction, encode};

pub use identity::Identity;
#[cfg(feature = "table")]
pub use people::person_items;

/// A record that the table can hold. Functions cannot reach this trait, so they cannot add a record without actions.
pub trait Stored: Record {
    /// # Errors
    /// A defect: the record is no item.
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed>;

    /// [`stamp`], for this record. It is a method so that the generic code is compiled here, and not again in each function.
    ///
    /// # Errors
    /// As those of [`stamp`].
    fn stamped(
        by: &Stamp,
        actor: Option<&Actor>,
        before: Option<&Self>,
        after: Option<&mut Self>,
    ) -> Result<Option<Written>, Problem>;

    /// The fact of this record that requests rest on.
    fn fact(&self) -> Option<Fact> {
        None
    }
}

/// The items of a record in the table.
pub struct Image {
    key: Key,
    pub(super) item: Item,
    links: Vec<Link>,
    pub(super) version: u64,
    fact: Option<Fact>,
    /// Whether its links outlive it.
    keeps_links: bool,
}

/// An item that follows from a record: an edge, a unique name or a picture. It exists as long as the record has the role, group,
/// name or picture.
struct Link {
    key: Key,
    item: Item,
    /// The kind of the named thing, if the item is a unique name.
    named: Option<&'static str>,
}

impl Link {
    fn external_id<R: Record, const KIND: u8>(
        keys: TenantKeys,
        of: Id<KIND>,
        external_id: Option<&str>,
        named: &'static str,
    ) -> Result<Option<Self>, Malformed> {
        external_id.map(|id| Self::name(keys.external_id(R::KIND, id), of, named)).transpose()
    }

    fn edge(key: Key) -> Result<Self, Malformed> {
        let item = encode(&key, None, &HashMap::<String, String>::new())?;
        Ok(Self { key, item, named: None })
    }

    fn name<const KIND: u8>(key: Key, of: Id<KIND>, named: &'static str) -> Result<Self, Malformed> {
        let item = encode(&key, None, &Reference { number: of })?;
        Ok(Self { key, item, named: Some(named) })
    }
}

/// The content of the item of a unique name: its owner.
#[derive(Serialize, Deserialize)]
pub struct Reference<const KIND: u8> {
    pub number: Id<KIND>,
}

/// The method [`Stored::stamped`].
macro_rules! stamped {
    () => {
        fn stamped(
            by: &Stamp,
            actor: Option<&Actor>,
            before: Option<&Self>,
            after: Option<&mut Self>,
        ) -> Result<Option<Written>, Problem> {
            stamp(by, actor, before, after)
        }
    };
}

mod access;
mod claims;

pub use claims::Search;

impl Stored for Member {
    /// A removed member is in no list, and has no address: another can take it. Their edges to groups stay, because there can be
    /// more of them than one transaction can delete: lists pass over edges that lead to nobody in the group.
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let (keys, user) = (TenantKeys(tenant), self.user);
        let key = keys.member(user);
        let roles = self.roles.iter().filter(|_| self.is_present()).map(|role| keys.holder(*role, user));
        let edges = roles.chain(self.groups.iter().map(|group| keys.in_group(*group, user)));
        // `Written::picture` gives this item its content.
        let edges = edges.chain(self.picture.iter().map(|_| keys.picture(user)));
        let mut links = edges.map(Link::edge).collect::<Result<Vec<_>, _>>()?;
        links.extend(people::invitation(keys, self)?);
        let mut listed = None;
        if self.is_present() {
            links.push(Link::name(keys.email(&self.email), user, "member with this address")?);
            links.push(Link::edge(keys.of_user(user))?);
            let external_id = self.external_id.as_deref();
            links.extend(Link::external_id::<Self, _>(keys, user, external_id, "member with this external id")?);
            listed = Some(keys.listed(&self.label(), user));
        }
        let item = encode(&key, listed.as_ref(), self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: self.fact(), keeps_links: !self.is_present() })
    }

    stamped!();

    fn fact(&self) -> Option<Fact> {
        Some(Fact::authority(self))
    }
}

impl Stored for Role {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.role(self.id);
        let item = encode(&key, None, &Entry::Role(Box::new(self.clone())))?;
        let external_id = self.external_id.as_deref();
        let external_id = Link::external_id::<Self, _>(keys, self.id, external_id, "role with this external id")?;
        Ok(Image {
            key,
            item,
            links: external_id.into_iter().collect(),
            version: self.meta.version,
            fact: None,
            keeps_links: false,
        })
    }

    stamped!();
}

impl Stored for Group {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.group(self.id);
        let mut links = Vec::new();
        // A group that is about to be deleted is in no list, and another can have its name.
        if !self.retiring {
            links.push(Link::name(keys.name(Self::KIND, &self.name), self.id, "group")?);
            let external_id = self.external_id.as_deref();
            links.extend(Link::external_id::<Self, _>(keys, self.id, external_id, "group with this external id")?);
        }
        if let Some(standing) = self.standing() {
            let key = keys.standing(self.id);
            let item = encode(&key, None, &Entry::Group { id: self.id, standing })?;
            links.push(Link { key, item, named: None });
        }
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for Label {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.label(self.id);
        let links = vec![Link::name(keys.name(Self::KIND, &self.name), self.id, "label")?];
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for Job {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.job(self.id);
        let listed = keys.unfinished(self.id, self.meta.created_at);
        let is_under_way = !matches!(self.state, State::Open | State::Done);
        let item = encode(&key, Some(&listed).filter(|_| is_under_way), self)?;
        // One at a time: each reads the whole tenant, and the jobs of all tenants wait for each other.
        let export = self.task.exporter().filter(|_| is_under_way).map(|by| keys.name("export", &by));
        let link = export.map(|key| Link::name(key, self.id, "running job with an export of yours")).transpose()?;
        let links = link.into_iter().collect();
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for Tenant {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).tenant();
        let links = vec![Link::name(key::slug(&self.slug), self.id, "tenant with this slug")?];
        let listed = self.deleted_at.filter(|_| self.job.is_none()).map(|at| key::deleted_tenant(self.id, at));
        let item = encode(&key, listed.as_ref(), self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: Some(Fact::rules(self)), keeps_links: false })
    }

    stamped!();

    fn fact(&self) -> Option<Fact> {
        Some(Fact::rules(self))
    }
}

/// Everything that one change of a record writes.
pub struct Written {
    pub before: Option<Image>,
    pub after: Option<Image>,
    pub event: Event,
}

impl Written {
    /// The items of a record that is new, for filling a table without a transaction.
    ///
    /// # Errors
    /// A defect: something is no item.
    pub fn items(self) -> Result<Vec<Item>, Malformed> {
        let event = event_item(&self.event)?;
        let image = self.after.into_iter();
        Ok(image
            .flat_map(|it| [it.item].into_iter().chain(it.links.into_iter().map(|link| link.item)))
            .chain([event])
            .collect())
    }

    /// The key of the event.
    pub fn event_key(&self) -> Key {
        TenantKeys(self.event.tenant).event(&self.event.subject, self.event.version)
    }

    /// The keys of the record and of the items that follow from it. A transaction changes an item once.
    pub fn touched(&self) -> impl Iterator<Item = &Key> {
        let images = self.before.iter().chain(&self.after);
        images.flat_map(|image| [&image.key].into_iter().chain(image.links.iter().map(|link| &link.key)))
    }

    /// Whether it is a change of the item of the tenant, which can be in a transaction once.
    pub fn is_of_tenant(&self) -> bool {
        self.before.is_some() && self.event.subject.kind == Tenant::KIND
    }

    /// The key of the record.
    pub fn key(&self) -> Option<&Key> {
        self.before.as_ref().or(self.after.as_ref()).map(|image| &image.key)
    }
}

/// Gives a changed record its version, its times and its event. `None` if nothing has changed.
///
/// # Errors
/// A defect: the record is no item.
fn stamp<R: Stored>(
    stamp: &Stamp,
    actor: Option<&Actor>,
    before: Option<&R>,
    after: Option<&mut R>,
) -> Result<Option<Written>, Problem> {
    let event = match after {
        Some(after) if before.is_some_and(|before| *before == *after) => return Ok(None),
        Some(after) => {
            let meta = after.meta_mut();
            meta.version = before.map_or(0, |before| before.meta().version) + 1;
            (meta.updated_at, meta.updated_by) = (stamp.at, actor.cloned());
            if before.is_none() {
                (meta.created_at, meta.created_by) = (stamp.at, actor.cloned());
            }
            after.settle(before);
            let event = stamp.event(before, Some(&*after))?;
            after.meta_mut().head = event.hash();
            return image_of(stamp.tenant, before, Some(&*after), event).map(Some);
        }
        None => stamp.event(before, None)?,
    };
    image_of(stamp.tenant, before, None, event).map(Some)
}

fn image_of<R: Stored>(
    tenant: TenantId,
    before: Option<&R>,
    after: Option<&R>,
    event: Event,
) -> Result<Written, Problem> {
    let image = |record: Option<&R>| record.map(|record| record.image(tenant)).transpose();
    Ok(Written { before: image(before)?, after: image(after)?, event })
}

/// The item of an event.
///
/// # Errors
/// A defect: it is no item.
pub fn event_item(event: &Event) -> Result<Item, Malformed> {
    let keys = TenantKeys(event.tenant);
    let listed = keys.happened(event.at, &event.subject, event.version);
    encode(&keys.event(&event.subject, event.version), Some(&listed), event)
}

impl Transaction<'_> {
    /// Writes a change of a record, if the record has not changed since it was read. [`Transaction::tenant`] changes the item of
    /// the tenant.
    pub fn write(&mut self, written: &Written) -> Result<(), Problem> {
        let (before, after) = (written.before.as_ref(), written.after.as_ref());
        match (before, after) {
            _ if written.is_of_tenant() => {}
            (Some(before), Some(after)) => {
                let same = before.same()?.and_sessions(&before.item, &after.item);
                self.change(&before.key, &before.item, &after.item, same)?;
            }
            (None, Some(after)) => {
                self.put(after.item.clone(), Some(Condition::new("attribute_not_exists(PK)")))?;
            }
            (Some(before), None) => self.delete(&before.key, Some(before.same()?))?,
            (None, None) => {}
        }
        let links = |image: Option<&Image>| -> HashMap<Key, (Item, Option<&'static str>)> {
            let links = image.into_iter().flat_map(|image| &image.links);
            links.map(|link| (link.key.clone(), (link.item.clone(), link.named))).collect()
        };
        let (old, new) = (links(before), links(after));
        let keeps_links = before.is_some_and(|it| it.keeps_links) && !after.is_some_and(|it| it.keeps_links);
        for key in old.keys().filter(|key| !new.contains_key(key) && !keeps_links) {
            self.delete(key, None)?;
        }
        for (key, (item, named)) in new {
            match (old.get(&key), named) {
                (Some((same, _)), _) if *same == item => {}
                (None, Some(what)) => self.take_name(item, what)?,
                _ => self.put(item, None)?,
            }
        }
        self.put(event_item(&written.event)?, Some(Condition::new("attribute_not_exists(PK)")))
    }
}

impl Image {
    /// The keys of the items that follow from the record, and those of its fences.
    pub fn side_keys(&self) -> Vec<Key> {
        [self.link_keys(), self.fence_keys()].concat()
    }

    /// The keys of the items that follow from the record.
    pub fn link_keys(&self) -> Vec<Key> {
        self.links.iter().map(|link| link.key.clone()).collect()
    }

    /// The keys of the record's fences: none, or more than one transaction takes.
    pub fn fence_keys(&self) -> Vec<Key> {
        self.fact.iter().flat_map(|fact| (0..fact.fences).map(|number| fact.item.fence(number))).collect()
    }

    /// The condition that the record has not changed since it was read, and has the same number of fences.
    fn same(&self) -> Result<Condition, Malformed> {
        let same = Condition::new("version = :version").with(":version", self.version)?;
        Ok(match &self.fact {
            Some(fact) => same.and(number_of_fences(fact.fences)?),
            None => same,
        })
    }
}

pub(super) fn number_of_fences(fences: u32) -> Result<Condition, Malformed> {
    let same = match fences {
        0 => Condition::new("attribute_not_exists(fences) OR fences = :fences"),
        _ => Condition::new("fences = :fences"),
    };
    same.with(":fences", fences)
}

#[cfg(test)]
mod tests;
