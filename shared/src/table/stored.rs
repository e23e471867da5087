//! Each record in the table: its item, and further items for its roles, groups and names.

use std::collections::HashMap;

use domain::event::Stamp;
use domain::id::{Id, TenantId};
use domain::{Actor, Entry, Event, Member, Numbers, Problem, Record, Role, Tenant};
use serde::{Deserialize, Serialize};

use super::fence::Fact;
use super::key::{Key, TenantKeys};
use super::{Condition, Item, Malformed, Transaction, encode};

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
    item: Item,
    links: Vec<Link>,
    version: u64,
    fact: Option<Fact>,
}

/// An item that follows from a record: an edge or a unique name. It exists as long as the record has the role, group or name.
struct Link {
    key: Key,
    item: Item,
    /// The kind of the named thing, if the item is a unique name.
    named: Option<&'static str>,
}

impl Link {
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

impl Stored for Member {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let (keys, user) = (TenantKeys(tenant), self.user);
        let key = keys.member(user);
        let edges = self.roles.iter().map(|role| keys.holder(*role, user));
        let edges = edges.chain(self.groups.iter().map(|group| keys.in_group(*group, user)));
        let mut links = edges.map(Link::edge).collect::<Result<Vec<_>, _>>()?;
        links.push(Link::name(keys.email(&self.email), user, "member with this address")?);
        let item = encode(&key, Some(&keys.listed(&self.label(), user)), self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: self.fact() })
    }

    fn stamped(
        by: &Stamp,
        actor: Option<&Actor>,
        before: Option<&Self>,
        after: Option<&mut Self>,
    ) -> Result<Option<Written>, Problem> {
        stamp(by, actor, before, after)
    }

    fn fact(&self) -> Option<Fact> {
        Some(Fact::authority(self))
    }
}

impl Stored for Role {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).role(self.id);
        let item = encode(&key, None, &Entry::Role(self.clone()))?;
        Ok(Image { key, item, links: Vec::new(), version: self.meta.version, fact: self.fact() })
    }

    fn stamped(
        by: &Stamp,
        actor: Option<&Actor>,
        before: Option<&Self>,
        after: Option<&mut Self>,
    ) -> Result<Option<Written>, Problem> {
        stamp(by, actor, before, after)
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

fn event_item(event: &Event) -> Result<Item, Malformed> {
    let keys = TenantKeys(event.tenant);
    let listed = keys.happened(event.at, &event.subject, event.version);
    encode(&keys.event(&event.subject, event.version), Some(&listed), event)
}

/// The change of the tenant itself, beside the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantChange {
    /// How many owners the tenant gains or loses.
    pub owners: i64,
    /// The last numbers given, if the tenant's rules change.
    pub rules: Option<Numbers>,
}

impl Transaction<'_> {
    /// Writes a change of a record, if the record has not changed since it was read.
    pub fn write(&mut self, written: &Written) -> Result<(), Problem> {
        let (before, after) = (written.before.as_ref(), written.after.as_ref());
        match (before, after) {
            (Some(before), Some(after)) => self.change(&before.key, &before.item, &after.item, before.same()?)?,
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
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            self.delete(key, None)?;
        }
        for (_, (item, named)) in new.into_iter().filter(|(key, _)| !old.contains_key(key)) {
            match named {
                Some(what) => self.take_name(item, what)?,
                None => self.put(item, None)?,
            }
        }
        self.put(event_item(&written.event)?, Some(Condition::new("attribute_not_exists(PK)")))
    }

    /// Changes the tenant as the records require, or rests on its rules.
    pub fn tenant(&mut self, tenant: &Tenant, change: &TenantChange) -> Result<(), Problem> {
        let rules = Fact::rules(tenant);
        if *change == TenantChange::default() {
            return self.rest_on(rules);
        }
        let key = TenantKeys(tenant.id).tenant();
        let mut same = Condition::new("catalog_version = :catalog").with(":catalog", tenant.catalog_version)?;
        if change.owners < 0 {
            same = same.and(Condition::new("owners > :lost").with(":lost", -change.owners)?);
        }
        let mut set = Vec::new();
        if let Some(numbers) = &change.rules {
            same = same.and(number_of_fences(tenant.fences)?);
            set.push(("catalog_version", serde_dynamo::to_attribute_value(tenant.catalog_version + 1)));
            set.push(("numbers", serde_dynamo::to_attribute_value(numbers)));
        }
        let set =
            set.into_iter().map(|(name, value)| Ok((name, value.map_err(|_| Malformed("a tenant's attribute"))?)));
        let set = set.collect::<Result<Vec<_>, Malformed>>()?;
        let add = (change.owners != 0).then_some(("owners", change.owners));
        self.update(&key, set, add, same)
    }
}

impl Image {
    /// The condition that the record has not changed since it was read, and has the same number of fences.
    fn same(&self) -> Result<Condition, Malformed> {
        let same = Condition::new("version = :version").with(":version", self.version)?;
        Ok(match &self.fact {
            Some(fact) => same.and(number_of_fences(fact.fences)?),
            None => same,
        })
    }
}

fn number_of_fences(fences: u32) -> Result<Condition, Malformed> {
    let same = match fences {
        0 => Condition::new("attribute_not_exists(fences) OR fences = :fences"),
        _ => Condition::new("fences = :fences"),
    };
    same.with(":fences", fences)
}

#[cfg(test)]
mod tests {
    use domain::event::{Deed, Stamp};
    use domain::id::{MembershipId, UserId};
    use domain::{Author, Time, role, verify_chain};

    use super::*;
    use crate::table::decode;

    fn by(at: i64) -> Stamp {
        Stamp {
            tenant: TenantId::new(1),
            at: Time::from_millis(at),
            author: Author::Member(UserId::new(7)),
            request: "r".to_owned(),
            transaction: "t".to_owned(),
        }
    }

    fn member() -> Member {
        Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(42), "ann@acme.example", Time::from_millis(0))
    }

    /// The table keeps the members of a map in no order, and numbers in a format of its own.
    #[test]
    fn a_chain_holds_after_the_table_had_it() {
        let mut first = member();
        let created = stamp(&by(1), None, None, Some(&mut first)).unwrap().unwrap();
        let mut second =
            Member { roles: [role::ADMIN].into(), first_name: Some("Ann \"Å\"".to_owned()), ..first.clone() };
        let updated = stamp(&by(2), Some(&(&first).into()), Some(&first), Some(&mut second)).unwrap().unwrap();
        assert_eq!((second.meta.version, second.authority, second.meta.created_at), (2, 2, Time::from_millis(1)));
        let events = [created.event, updated.event];
        // A hash map has a random order. With three names, one order in six is the sorted one.
        for _ in 0..20 {
            let kept = |event| -> Event { decode(event_item(event).unwrap()).unwrap() };
            let kept: Vec<Event> = events.iter().map(kept).collect();
            assert_eq!(kept, events);
            assert_eq!(verify_chain(TenantId::new(1), &second, &kept), Ok(()));
        }
    }

    #[test]
    fn an_event_has_what_was_before_and_after() {
        let mut new = member();
        let created = stamp(&by(1), None, None, Some(&mut new)).unwrap().unwrap().event;
        assert_eq!((created.deed, created.version), (Deed::Created, 1));
        let email = &created.changes["email"];
        assert_eq!((&email.from, &email.to), (&serde_json::Value::Null, &"ann@acme.example".into()));
        let deleted = stamp(&by(2), None, Some(&new), None).unwrap().unwrap().event;
        assert_eq!((deleted.deed, deleted.version), (Deed::Deleted, 2));
        assert_eq!(deleted.changes["email"].to, serde_json::Value::Null);
        assert_eq!(deleted.previous, new.meta.head);
        assert!(stamp(&by(3), None, Some(&new), Some(&mut new.clone())).unwrap().is_none(), "nothing has changed");
    }
}
