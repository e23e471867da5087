//! The records of who may come in, of what a tenant forbids, and of who hears of changes: issuers, sessions, API keys, policies and
//! webhooks; and things of the product.

use domain::event::Stamp;
use domain::id::TenantId;
use domain::{Actor, ApiKey, Entry, Issuer, OwnPolicy, Problem, Record, Session, Thing, Webhook};

use super::{Image, Link, Stored, Written, stamp};
use crate::table::fence::Fact;
use crate::table::key::{self, TenantKeys};
use crate::table::{Malformed, encode};

/// The method [`Stored::stamped`] of a record whose item names nobody: only its events say who did what.
macro_rules! stamped_without_names {
    () => {
        fn stamped(
            by: &Stamp,
            _: Option<&Actor>,
            before: Option<&Self>,
            mut after: Option<&mut Self>,
        ) -> Result<Option<Written>, Problem> {
            // An older release kept who made it.
            if let Some(after) = &mut after {
                after.meta.created_by = None;
            }
            stamp(by, None, before, after)
        }
    };
}

impl Stored for Issuer {
    /// The keys of an issuer are fetched as long as the index lists a tenant that trusts it.
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let (id, key) = (self.uuid(), TenantKeys(tenant).issuer(self.uuid()));
        let mut links = Vec::new();
        if self.of_deployment {
            let key = key::issuer_of_deployment(id);
            links.push(Link { item: encode(&key, None, self)?, key, named: None });
        }
        let item = encode(&key, Some(&key::trusting(id, tenant)), self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for ApiKey {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).api_key(self.id);
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links: Vec::new(), version: self.meta.version, fact: self.fact(), keeps_links: false })
    }

    stamped!();

    fn fact(&self) -> Option<Fact> {
        Some(Fact::of_key(self))
    }
}

impl Stored for OwnPolicy {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let keys = TenantKeys(tenant);
        let key = keys.own_policy(self.id);
        let mut links = vec![Link::name(keys.name(Self::KIND, &self.name), self.id, "policy")?];
        if let Some(policy) = self.deciding() {
            let key = keys.deciding(self.id);
            links.push(Link { item: encode(&key, None, &Entry::Policy(policy))?, key, named: None });
        }
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links, version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}

impl Stored for Session {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).session(self.user, &self.id);
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links: Vec::new(), version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped_without_names!();
}

impl Stored for Thing {
    /// What happened is in the events: the item has only the end of the chain.
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).thing(&self.name);
        let item =
            encode(&key, None, &Self { meta: self.meta.clone(), ..Self::new(&self.name, self.meta.created_at) })?;
        Ok(Image { key, item, links: Vec::new(), version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped_without_names!();
}

impl Stored for Webhook {
    fn image(&self, tenant: TenantId) -> Result<Image, Malformed> {
        let key = TenantKeys(tenant).webhook(self.id);
        let item = encode(&key, None, self)?;
        Ok(Image { key, item, links: Vec::new(), version: self.meta.version, fact: None, keeps_links: false })
    }

    stamped!();
}
