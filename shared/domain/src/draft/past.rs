//! Changes of the past, as the record tells them.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Draft, Refusal};
use crate::api_key::ApiKey;
use crate::claimed_domain::ClaimedDomain;
use crate::event::{Deed, Event, READING};
use crate::group::Group;
use crate::group::change::GroupEdit;
use crate::issuer::Issuer;
use crate::label::Label;
use crate::member::Member;
use crate::member::change::{assigning, grouping, joining};
use crate::own_policy::OwnPolicy;
use crate::policy::eval::Entity;
use crate::policy::{self, Action, Around, KeyDeed, Rules};
use crate::problem::Denial;
use crate::record::{Change, Record};
use crate::role::Role;
use crate::role::change::RoleEdit;
use crate::tenant::Tenant;
use crate::thing::Thing;
use crate::webhook::Webhook;

/// The settings of a tenant, as policies name them.
const SETTINGS: [&str; 8] = [
    "acceptance",
    "allowed_domains",
    "impersonation",
    "inviters",
    "record_reads",
    "retention_days",
    "seats",
    "session_seconds",
];

/// The attributes of a member that are their profile, and those that are their identity.
const PROFILE: [&str; 5] = ["first_name", "last_name", "language", "profession", "picture"];
const IDENTITY: [&str; 2] = ["email", "external_id"];
const GROUPS: [&str; 3] = ["groups", "manages", "primary_group"];

/// Judges the actions of a change, and gets the thing that they were about.
type Judge<'j> = dyn FnMut(&[Action], &Entity) + 'j;

impl Rules {
    /// What a draft would have refused of a change, or `None` if the record does not tell enough to say it.
    ///
    /// `actors` are those who had to be allowed, as they are now: a member, and who acted as them or had approved the change; an API key,
    /// and who made it. `now` is the changed record as it is now, if there is one: what the event does not mention is taken from it. The
    /// rules are those of now, the time is that of the event, and the dialect counts as `users`.
    pub fn refused_of_past(
        &self,
        draft: &Draft,
        event: &Event,
        actors: &[Entity],
        now: Option<&Value>,
    ) -> Option<Vec<Refusal<'static>>> {
        let around = Around { dialect: "users", now: event.at };
        let mut refused = Vec::new();
        self.judge(event, now, &mut |actions, resource| {
            refused.extend(actions.iter().filter_map(|action| {
                let denial = first_denial(actors, |actor| draft.0.allow(around, actor, action, resource))?;
                Some(Refusal { permission: action.name(), denial })
            }));
        })?;
        Some(match self.turned_away(draft, event, actors) {
            Some(denial) => vec![Refusal { permission: denial.action, denial }],
            None => refused,
        })
    }

    /// Why the request was not even asked for its actions: one of the actors could not act in the tenant, or not as the member.
    fn turned_away(&self, draft: &Draft, event: &Event, actors: &[Entity]) -> Option<Denial> {
        let entered = first_denial(actors, |actor| draft.0.enter(event.at, actor, event.tenant));
        entered.or_else(|| {
            let (Some(_), [member, by]) = (event.impersonator, actors) else { return None };
            let mut member = member.clone();
            member.attributes.remove("impersonator");
            let around = Around { dialect: "users", now: event.at };
            draft.0.allow(around, by, &Action::Impersonate { allowed: self.impersonation }, &member).err()
        })
    }

    /// Has the actions of a change judged, with the thing that they were about. `None` if the record does not tell them.
    fn judge(&self, event: &Event, now: Option<&Value>, judge: &mut Judge<'_>) -> Option<()> {
        let tenant = policy::tenant(event.tenant);
        // An event of an invitation lists attributes that stay as they are, too.
        let changed = event.changes.iter().filter(|(_, change)| change.from != change.to);
        let changed: BTreeSet<&str> = changed.map(|(name, _)| name.as_str()).collect();
        match event.subject.kind.as_str() {
            Member::KIND => {
                let (before, after) = states::<Member>(event, now)?;
                let after = after?;
                let resource = before
                    .as_ref()
                    .map_or_else(|| after.new_entity(event.tenant, self), |before| before.entity(event.tenant, self));
                judge(&self.of_member(before.as_ref(), &after, &changed), &resource);
            }
            Role::KIND => {
                let (before, after) = states::<Role>(event, now)?;
                let is_retired = changed.contains("retiring");
                self.of(event, (before.as_ref(), after.as_ref()), (&RoleEdit::default(), is_retired), judge)?;
            }
            Group::KIND => {
                let (before, after) = states::<Group>(event, now)?;
                let is_retired = changed.contains("retiring");
                self.of(event, (before.as_ref(), after.as_ref()), (&GroupEdit::default(), is_retired), judge)?;
            }
            ApiKey::KIND => {
                let (before, after) = states::<ApiKey>(event, now)?;
                let deed = match before {
                    None => KeyDeed::Create,
                    Some(_) if changed.contains("maker") => KeyDeed::TakeOver,
                    Some(_) if changed.contains("ended") => KeyDeed::End,
                    Some(_) => KeyDeed::Rotate,
                };
                judge(&[Action::Key(deed)], &before.or(after)?.entity(event.tenant, self));
            }
            Label::KIND => judge(&[Action::ManageLabels], &policy::named("Label", &event.subject.id, event.tenant)),
            Tenant::KIND if event.deed == Deed::Created => return None,
            Tenant::KIND if changed.contains("deleted_at") => judge(&[Action::DeleteTenant], &tenant),
            Tenant::KIND => {
                let settings = event.changes.get("settings");
                let differs = |name: &&str| settings.is_some_and(|change| change.from[*name] != change.to[*name]);
                judge(&[Action::UpdateTenant { settings: SETTINGS.into_iter().filter(differs).collect() }], &tenant);
            }
            OwnPolicy::KIND => judge(&[Action::ManagePolicies], &tenant),
            Issuer::KIND => judge(&[Action::ManageIssuers { of_deployment: false }], &tenant),
            ClaimedDomain::KIND => judge(&[Action::UpdateTenant { settings: ["domains"].into() }], &tenant),
            Webhook::KIND => judge(&[Action::ManageWebhooks], &tenant),
            Thing::KIND => judge(&[Action::WriteEvents], &tenant),
            READING => judge(&[Action::ReadEvents], &tenant),
            // Sessions and jobs: the record does not say how somebody signed in, and jobs are the product's own.
            _ => return None,
        }
        Some(())
    }

    /// The same for a role or a group, before and after.
    fn of<R: Record>(
        &self,
        event: &Event,
        states: (Option<&R>, Option<&R>),
        (edit, is_retired): (&R::Edit, bool),
        judge: &mut Judge<'_>,
    ) -> Option<()> {
        let resource = match states {
            (Some(before), _) => before.entity(event.tenant, self),
            (None, after) => after?.new_entity(event.tenant, self),
        };
        let change = match states {
            (Some(before), Some(after)) if !is_retired => Change::Update { before, after, edit },
            (Some(before), _) => Change::Delete(before),
            (None, after) => Change::Create(after?),
        };
        judge(&R::actions(change, self), &resource);
        Some(())
    }

    fn of_member<'a>(&'a self, before: Option<&Member>, after: &Member, changed: &BTreeSet<&str>) -> Vec<Action<'a>> {
        let has = |names: &[&str]| names.iter().any(|name| changed.contains(name));
        // A member who was removed before can be erased.
        if !after.is_present() {
            return vec![Action::Remove];
        }
        let Some(before) = before.filter(|before| before.is_present()) else { return joining(after, self) };
        let mut actions = Vec::new();
        actions.extend(has(&PROFILE).then_some(Action::UpdateProfile));
        actions.extend(has(&IDENTITY).then_some(Action::SetIdentity));
        actions.extend(has(&["metadata"]).then_some(Action::SetMetadata));
        actions.extend(has(&["roles"]).then(|| assigning(before, after, self)));
        actions.extend(has(&["status"]).then_some(Action::SetStatus(after.status)));
        actions.extend(has(&GROUPS).then(|| grouping(before, after, self)));
        actions
    }
}

/// The first denial that one of the actors would get: each of them must be allowed.
fn first_denial(actors: &[Entity], decide: impl Fn(&Entity) -> Result<Vec<String>, Denial>) -> Option<Denial> {
    actors.iter().find_map(|actor| decide(actor).err())
}

/// A record before and after an event. What the event does not mention is as it is now.
fn states<R: DeserializeOwned>(event: &Event, now: Option<&Value>) -> Option<(Option<R>, Option<R>)> {
    // The first event and the last one mention everything but what no event lists.
    let unlisted =
        || json!({ "version": event.version, "head": "", "updated_at": event.at, "authority": 0, "secrets": [] });
    let now = now.filter(|_| event.deed == Deed::Updated);
    let side = |of: fn(&crate::Difference) -> &Value| -> Option<R> {
        let mut record = now.cloned().unwrap_or_else(unlisted);
        let attributes = record.as_object_mut()?;
        for (name, change) in &event.changes {
            match of(change) {
                Value::Null => drop(attributes.remove(name)),
                value => drop(attributes.insert(name.clone(), value.clone())),
            }
        }
        serde_json::from_value(record).ok()
    };
    let (before, after) = match event.deed {
        Deed::Created => (None, Some(side(|change| &change.to)?)),
        Deed::Updated => (Some(side(|change| &change.from)?), Some(side(|change| &change.to)?)),
        Deed::Deleted => (Some(side(|change| &change.from)?), None),
    };
    Some((before, after))
}
