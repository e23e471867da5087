//! Who acts: a member as they are now, an API key, or the product itself.

use std::collections::HashMap;

use domain::event::Author;
use domain::id::{TenantId, UserId};
use domain::policy::Around;
use domain::policy::eval::Entity;
use domain::policy::question::Thing;
use domain::problem::Denial;
use domain::{Actor, ApiKey, Member, Problem, Record, Rules, Time, policy};

use super::Caller;
use super::approvals::{Approver, not_approved};
use crate::table::fence::Fact;
use crate::table::key::{Key, TenantKeys};
use crate::table::{Item, decode};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Who<'a> {
    Caller(&'a Caller),
    /// The product, for a member or a key who has asked for it before, and why. They are judged as they are now.
    For(&'a Caller, String),
    /// The product itself, in a tenant, and why. It carries out what was decided before.
    Product(TenantId, String),
    /// The same for a member who acts as another one, and has shown a token of that session.
    Impersonator(TenantId, UserId, String),
}

/// The records of who asks.
pub(super) enum Acting {
    /// Why, and who acts as a member, if anybody does.
    Product(String, Option<UserId>),
    For(Box<Acting>, String),
    /// A member, and who acts as them; without anybody if they act themselves.
    Member(Box<Member>, Option<Box<Member>>),
    /// A member, and who has approved what they do.
    Approved(Box<Member>, Box<Member>),
    /// An API key, and who made it; without them if it is the tenant's own.
    Key(Box<ApiKey>, Option<Box<Member>>),
}

impl Who<'_> {
    pub(super) fn keys(&self) -> TenantKeys {
        match self {
            Who::Caller(caller) | Who::For(caller, _) => caller.keys(),
            Who::Product(tenant, _) | Who::Impersonator(tenant, ..) => TenantKeys(*tenant),
        }
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            Who::Caller(caller) => Some(caller),
            Who::For(..) | Who::Product(..) | Who::Impersonator(..) => None,
        }
    }

    /// Who has approved what the caller asks for.
    pub(super) fn approver(&self) -> Option<&Approver> {
        self.caller().and_then(Caller::approver)
    }

    /// The items that tell what they may do now.
    pub(super) fn items(&self) -> Vec<Key> {
        match self {
            Who::Caller(caller) | Who::For(caller, _) => caller.items(),
            Who::Product(..) | Who::Impersonator(..) => Vec::new(),
        }
    }

    /// The records of the caller, if there is a caller, and their sessions live or their key is good.
    ///
    /// # Errors
    /// [`Problem::Unauthenticated`]
    pub(super) fn acting(&self, found: &HashMap<Key, Item>, now: Time) -> Result<Acting, Problem> {
        let caller = match self {
            Who::Caller(caller) | Who::For(caller, _) => caller,
            Who::Product(_, why) => return Ok(Acting::Product(why.clone(), None)),
            Who::Impersonator(_, by, why) => return Ok(Acting::Product(why.clone(), Some(*by))),
        };
        let keys = self.keys();
        let member = |user| found.get(&keys.member(user)).cloned().map(decode::<Member>).transpose();
        let acting = if let Some(proof) = caller.api_key() {
            let key: Option<ApiKey> = found.get(&keys.api_key(proof.id)).cloned().map(decode).transpose()?;
            let key = key.ok_or(Problem::Unauthenticated("no such API key"))?;
            match self {
                // The key does not call: it has shown no secret, and comes from nowhere.
                Who::For(..) if !key.is_live(now) => return Err(stranger()),
                Who::For(..) => {}
                _ => proof.proves(&key, now)?,
            }
            let maker = key.maker.map(|maker| member(maker)?.ok_or_else(stranger)).transpose()?;
            Acting::Key(key.into(), maker.map(Box::new))
        } else {
            let me = member(caller.user()?)?;
            let me = me.filter(|me| caller.proofs.iter().all(|proof| me.has_session(&proof.session, now)));
            let me = me.ok_or(Problem::Unauthenticated("the session has ended"))?;
            let behind = caller.impersonator().map(|by| {
                let behind = member(by.member)?.filter(|behind| behind.has_session(&by.session, now));
                behind.map(Box::new).ok_or(Problem::Unauthenticated("the session of the impersonator has ended"))
            });
            match self.approver() {
                Some(approver) => {
                    let by = member(approver.member)?.filter(|by| by.has_session(&approver.proof.session, now));
                    Acting::Approved(me.into(), by.ok_or_else(not_approved)?.into())
                }
                None => Acting::Member(me.into(), behind.transpose()?),
            }
        };
        Ok(match self {
            Who::For(_, why) => Acting::For(acting.into(), why.clone()),
            _ => acting,
        })
    }
}

/// The decision is for them.
pub struct Principal {
    /// Each of them must be allowed: an API key, and who made it; a member, and who acts as them or has approved what they do. None is the
    /// product itself: its changes were decided when somebody asked for them.
    entities: Vec<Entity>,
    /// What is told if the second of them may not do a thing.
    second: &'static str,
    pub(super) author: Author,
    pub(super) impersonator: Option<UserId>,
    pub(super) approver: Option<UserId>,
    actor: Option<Actor>,
    facts: Vec<Fact>,
}

impl Principal {
    /// # Errors
    /// [`Problem::Forbidden`]: the member may not act in the tenant, or nobody may act as them any more.
    pub(super) fn new(
        acting: &Acting,
        rules: &Rules,
        tenant: TenantId,
        around: Around<'static>,
    ) -> Result<Self, Problem> {
        let principal = match acting {
            Acting::Product(why, by) => Self { impersonator: *by, ..Self::product(why) },
            // They are the author of the wish, and not of what happens now.
            Acting::For(acting, why) => {
                Self { author: Author::Product(why.clone()), actor: None, ..Self::new(acting, rules, tenant, around)? }
            }
            Acting::Member(me, None) if me.is_present() => Self {
                entities: vec![policy::member(me, rules)],
                second: "",
                author: Author::Member(me.user),
                impersonator: None,
                approver: None,
                actor: Some(Actor::from(&**me)),
                facts: vec![Fact::authority(me)],
            },
            Acting::Member(me, Some(by)) if me.is_present() && by.is_present() => Self {
                entities: vec![policy::impersonated(me, by.user, rules), policy::member(by, rules)],
                second: "The member may do that, and you may not.",
                author: Author::Member(me.user),
                impersonator: Some(by.user),
                approver: None,
                actor: Some(Actor::from(&**me)),
                facts: vec![Fact::authority(me), Fact::authority(by)],
            },
            // Two people agree: each is the other's approver.
            Acting::Approved(me, by) if me.is_present() && by.is_present() => Self {
                entities: vec![policy::approved(me, by.user, rules), policy::approved(by, me.user, rules)],
                second: "You may do that, and the member who approved it may not.",
                author: Author::Member(me.user),
                impersonator: None,
                approver: Some(by.user),
                actor: Some(Actor::from(&**me)),
                facts: vec![Fact::authority(me), Fact::authority(by)],
            },
            Acting::Approved(me, _) if me.is_present() => return Err(not_approved()),
            Acting::Member(..) | Acting::Approved(..) => return Err(stranger()),
            // A record names no person as the author of what a key does.
            Acting::Key(key, maker) => Self {
                entities: [key.entity(tenant, rules)]
                    .into_iter()
                    .chain(maker.as_deref().map(|it| policy::member(it, rules)))
                    .collect(),
                second: "The member who made the API key may not do that.",
                author: Author::Key(key.id.uuid_in(tenant).to_string()),
                impersonator: None,
                approver: None,
                actor: None,
                facts: [Fact::of_key(key)].into_iter().chain(maker.as_deref().map(Fact::authority)).collect(),
            },
        };
        principal.each(|entity| rules.policies.enter(around.now, entity, tenant)).map_err(Problem::Forbidden)?;
        if let Acting::Member(me, Some(by)) = acting {
            // Whoever may not act as the member any more does so no longer.
            let by = (&policy::member(by, rules), tenant);
            rules.may(around, by, "impersonate", Thing::Member(me)).map_err(Problem::Forbidden)?;
        }
        Ok(principal)
    }

    fn product(why: &str) -> Self {
        let author = Author::Product(why.to_owned());
        let (impersonator, approver, actor) = (None, None, None);
        Self { entities: Vec::new(), second: "", author, impersonator, approver, actor, facts: Vec::new() }
    }

    /// Decides for each of them; the notices of all.
    pub(super) fn each(&self, decide: impl Fn(&Entity) -> Result<Vec<String>, Denial>) -> Result<Vec<String>, Denial> {
        let mut notices = Vec::new();
        for (place, entity) in self.entities.iter().enumerate() {
            let decided = decide(entity).map_err(|mut denial| {
                if place > 0 {
                    denial.notices.push(self.second.to_owned());
                }
                denial
            });
            notices.extend(decided?);
        }
        Ok(notices)
    }

    /// The first of them as one who signs in: nobody approves that.
    pub(super) fn alone(&self) -> Option<Entity> {
        let mut entity = self.entities.first()?.clone();
        entity.attributes.remove("approver");
        Some(entity)
    }

    /// Whether it is the product itself.
    pub(super) fn is_product(&self) -> bool {
        self.entities.is_empty()
    }

    pub(super) fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The facts that must not change before the decision is carried out.
    pub(super) fn rests_on(&self) -> &[Fact] {
        &self.facts
    }
}

pub(super) fn stranger() -> Problem {
    let notice = "Only an active member of the tenant may act in it.";
    Problem::Forbidden(Denial::plain("active-member", "tenant:enter", notice))
}
