//! Who acts: a member as they are now, or the product itself.

use std::collections::HashMap;

use domain::event::Author;
use domain::id::TenantId;
use domain::policy::eval::Entity;
use domain::problem::Denial;
use domain::{Actor, Member, Problem, Rules, Time, policy};

use super::Caller;
use crate::table::fence::Fact;
use crate::table::key::{Key, TenantKeys};
use crate::table::{Item, decode};

/// Who asks.
#[derive(Clone, Debug)]
pub enum Who<'a> {
    Caller(&'a Caller),
    /// The product itself, in a tenant, and why. It carries out what was decided before.
    Product(TenantId, String),
}

impl Who<'_> {
    pub(super) fn keys(&self) -> TenantKeys {
        match self {
            Who::Caller(caller) => caller.keys(),
            Who::Product(tenant, _) => TenantKeys(*tenant),
        }
    }

    pub(super) fn caller(&self) -> Option<&Caller> {
        match self {
            Who::Caller(caller) => Some(caller),
            Who::Product(..) => None,
        }
    }

    /// The caller's item, if there is a caller and their sessions live.
    ///
    /// # Errors
    /// [`Problem::Unauthenticated`]
    pub(super) fn member(&self, found: &HashMap<Key, Item>, now: Time) -> Result<Option<Member>, Problem> {
        let Some(caller) = self.caller() else { return Ok(None) };
        let me: Option<Member> = found.get(&self.keys().member(caller.user)).cloned().map(decode).transpose()?;
        let me = me.filter(|me| caller.proofs.iter().all(|proof| me.has_session(&proof.session, now)));
        me.map(Some).ok_or(Problem::Unauthenticated("the session has ended"))
    }
}

/// The decision is for them.
pub struct Principal {
    /// `None` for the product itself: its changes were decided when somebody asked for them.
    entity: Option<Entity>,
    pub(super) author: Author,
    actor: Option<Actor>,
    fact: Option<Fact>,
}

impl Principal {
    /// # Errors
    /// [`Problem::Forbidden`]: the member may not act in the tenant.
    pub(super) fn new(who: &Who<'_>, me: Option<&Member>, rules: &Rules, tenant: TenantId) -> Result<Self, Problem> {
        match (who, me) {
            (Who::Product(_, why), _) => {
                Ok(Self { entity: None, author: Author::Product(why.clone()), actor: None, fact: None })
            }
            (_, Some(me)) if me.is_present() => {
                let entity = policy::member(me, rules);
                rules.policies.enter(&entity, tenant).map_err(Problem::Forbidden)?;
                let (author, fact) = (Author::Member(me.user), Fact::authority(me));
                Ok(Self { entity: Some(entity), author, actor: Some(Actor::from(me)), fact: Some(fact) })
            }
            _ => Err(stranger()),
        }
    }

    /// Whether it is the product itself.
    pub(super) fn is_product(&self) -> bool {
        self.entity.is_none()
    }

    pub(super) fn entity(&self) -> Option<&Entity> {
        self.entity.as_ref()
    }

    pub(super) fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// The fact that must not change before the decision is carried out.
    pub(super) fn rests_on(&self) -> Option<&Fact> {
        self.fact.as_ref()
    }
}

pub(super) fn stranger() -> Problem {
    let notices = vec!["Only an active member of the tenant may act in it.".to_owned()];
    Problem::Forbidden(Denial { rule: "active-member".to_owned(), action: "tenant:enter", notices })
}
