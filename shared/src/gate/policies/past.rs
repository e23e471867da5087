//! What a draft would have refused of the last changes.

use std::collections::HashMap;

use domain::draft::Draft;
use domain::event::Author;
use domain::id::{GroupId, KeyId, RoleId, UserId};
use domain::policy;
use domain::policy::eval::Entity;
use domain::{ApiKey, Event, Group, Member, Problem, Record, Role};
use serde_json::Value;

use super::{Past, Pasts};
use crate::gate::Asked;
use crate::gate::facts::Facts;
use crate::table::key::Key;
use crate::table::{Item, decode};

/// The records that past changes name, as they are now.
struct Known<'f> {
    facts: &'f Facts,
    items: HashMap<Key, Item>,
}

/// Judges past changes by a draft. Authors and changed records count as they are now. A change is not judged if one of them is gone.
pub(super) async fn judge<'e>(
    asked: &Asked<'_>,
    facts: &Facts,
    draft: &Draft,
    events: &'e [Event],
) -> Result<Pasts<'e>, Problem> {
    let known = Known::read(asked, facts, events).await?;
    let mut pasts = Pasts { read: events.len(), ..Pasts::default() };
    for event in events {
        let (Some(actors), now) = (known.actors(event), known.subject(event)) else { continue };
        let judged = facts.rules().refused_of_past(draft, event, &actors, now.as_ref());
        pasts.judged += usize::from(judged.is_some());
        pasts.refused.extend(judged.filter(|refused| !refused.is_empty()).map(|refused| Past { event, refused }));
    }
    Ok(pasts)
}

impl<'f> Known<'f> {
    /// One read; and a second one for the members who made the API keys, if the first one has not read them already.
    async fn read(asked: &Asked<'_>, facts: &'f Facts, events: &[Event]) -> Result<Self, Problem> {
        let mut known = Self { facts, items: HashMap::new() };
        let named: Vec<Key> = events.iter().flat_map(|event| known.named(event)).collect();
        known.items = asked.table.get(named).await?;
        let makers: Vec<Key> = events.iter().filter_map(|event| known.unread_maker(event)).collect();
        if !makers.is_empty() {
            known.items.extend(asked.table.get(makers).await?);
        }
        Ok(known)
    }

    /// The keys of the items that an event names: the author, the member who acted as them or approved it, the changed record.
    fn named(&self, event: &Event) -> Vec<Key> {
        let author = match &event.author {
            Author::Member(user) => Some(self.facts.keys.member(*user)),
            Author::Key(id) => self.key_of(id),
            Author::User(_) | Author::Product(_) => None,
        };
        let second = event.impersonator.or(event.approver).map(|user| self.facts.keys.member(user));
        [author, second, self.subject_key(event)].into_iter().flatten().collect()
    }

    /// The key of the item of an API key, by the id that events have of it.
    fn key_of(&self, id: &str) -> Option<Key> {
        let id = KeyId::from_uuid_in(id.parse().ok()?, self.facts.tenant().id)?;
        Some(self.facts.keys.api_key(id))
    }

    fn subject_key(&self, event: &Event) -> Option<Key> {
        let (keys, tenant, id) = (self.facts.keys, self.facts.tenant().id, &event.subject.id);
        match event.subject.kind.as_str() {
            Member::KIND => UserId::parse(id).map(|id| keys.member(id)),
            Group::KIND => GroupId::parse_in(id, tenant).map(|id| keys.group(id)),
            ApiKey::KIND => KeyId::parse_in(id, tenant).map(|id| keys.api_key(id)),
            _ => None,
        }
    }

    fn unread_maker(&self, event: &Event) -> Option<Key> {
        let Author::Key(id) = &event.author else { return None };
        let maker = self.facts.keys.member(self.api_key(id)?.maker?);
        (!self.items.contains_key(&maker)).then_some(maker)
    }

    fn member(&self, user: UserId) -> Option<Member> {
        let item = self.items.get(&self.facts.keys.member(user))?.clone();
        decode::<Member>(item).ok().filter(Member::is_present)
    }

    fn api_key(&self, id: &str) -> Option<ApiKey> {
        decode(self.items.get(&self.key_of(id)?)?.clone()).ok()
    }

    /// Everybody who had to be allowed, as they are now. They are those of [`Principal`](crate::gate::principal::Principal).
    fn actors(&self, event: &Event) -> Option<Vec<Entity>> {
        let rules = self.facts.rules();
        match &event.author {
            Author::Member(user) => {
                let me = self.member(*user)?;
                Some(match (event.impersonator, event.approver) {
                    (Some(by), _) => {
                        vec![policy::impersonated(&me, by, rules), policy::member(&self.member(by)?, rules)]
                    }
                    (None, Some(by)) => {
                        vec![policy::approved(&me, by, rules), policy::approved(&self.member(by)?, *user, rules)]
                    }
                    (None, None) => vec![policy::member(&me, rules)],
                })
            }
            Author::Key(id) => {
                let key = self.api_key(id)?;
                let mut actors = vec![self.facts.entity(&key)];
                if let Some(maker) = key.maker {
                    actors.push(policy::member(&self.member(maker)?, rules));
                }
                Some(actors)
            }
            Author::User(_) | Author::Product(_) => None,
        }
    }

    /// The changed record, if there is one.
    fn subject(&self, event: &Event) -> Option<Value> {
        if event.subject.kind == Role::KIND {
            let role = RoleId::parse_in(&event.subject.id, self.facts.tenant().id);
            return serde_json::to_value(self.facts.catalog().role(role?)?).ok();
        }
        let item = self.items.get(&self.subject_key(event)?)?.clone();
        match event.subject.kind.as_str() {
            Member::KIND => serde_json::to_value(decode::<Member>(item).ok()?).ok(),
            Group::KIND => serde_json::to_value(decode::<Group>(item).ok()?).ok(),
            _ => serde_json::to_value(decode::<ApiKey>(item).ok()?).ok(),
        }
    }
}
