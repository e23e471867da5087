//! The items of persons, and the pictures and invitations of members.

use std::collections::HashMap;

use domain::member::invitation::State;
use domain::{Member, Problem, Time, User};
use serde::Serialize;

use super::{Link, Reference, Written};
use crate::table::key::{self, Key, Listed, TenantKeys};
use crate::table::{Condition, Item, Malformed, Transaction, encode};

/// The content of the item of a picture.
#[derive(Serialize)]
struct Content<'a> {
    data_uri: &'a str,
}

impl Written {
    /// Gives the new picture of the changed member its content.
    ///
    /// # Errors
    /// A defect: it is no item.
    pub fn picture(&mut self, key: &Key, data_uri: &str) -> Result<(), Malformed> {
        let links = self.after.iter_mut().flat_map(|image| &mut image.links);
        for link in links.filter(|link| link.key == *key) {
            link.item = encode(key, None, &Content { data_uri })?;
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Sets the sessions of a member, of which one begins, and when the member was last seen. The member's version stays: to sign in
    /// changes nothing that anybody edits.
    /// A session that ends, or another one that begins meanwhile, is a condition that does not hold.
    pub fn sessions(&mut self, before: &Member, after: &Member) -> Result<(), Problem> {
        let key = TenantKeys(before.tenant).member(before.user);
        let [old, mut new] = [encode(&key, None, before)?, encode(&key, None, after)?];
        let same = Condition::new("authority = :authority").with(":authority", before.authority)?;
        let new_sessions = new.remove("sessions").ok_or(Malformed("member with a session"))?;
        let seen = new.remove("last_seen").map(|at| ("last_seen", at));
        let new_values = [("sessions", new_sessions)].into_iter().chain(seen).collect();
        self.update(&key, None, new_values, Vec::new(), same.and_sessions(&old, &new))
    }

    /// Adds a person who is new. If another request has added them meanwhile, that is a condition that does not hold.
    pub fn person(&mut self, person: &User) -> Result<(), Problem> {
        for item in person_items(person)? {
            self.put(item, Some(Condition::new("attribute_not_exists(PK)")))?;
        }
        Ok(())
    }
}

/// The item that lists a member among those who are or were invited.
pub(super) fn invitation(keys: TenantKeys, member: &Member) -> Result<Option<Link>, Malformed> {
    // An invitation that expires stays where it is in the index.
    let state = member.invitation_state(Time::from_millis(0));
    let ended = |listed| Some((listed, member.invitation.as_ref()?.ended_at?.to_string()));
    let place = match (state, member.open_invitation()) {
        (Some(State::Accepted), _) => ended(Listed::Accepted),
        (Some(State::Revoked), _) => ended(Listed::Revoked),
        (Some(_), Some(open)) => {
            Some((Listed::Open, Time::from_millis(open.expires_at.saturating_mul(1_000)).to_string()))
        }
        // Behind all times.
        (Some(_), None) => Some((Listed::Open, "~".to_owned())),
        (None, _) => None,
    };
    let link = place.map(|(listed, at)| {
        let key = keys.invitation(member.user);
        let listed = keys.invitation_listed(listed, &at, member.user);
        let item = encode(&key, Some(&listed), &HashMap::<String, String>::new())?;
        Ok(Link { key, item, named: None })
    });
    link.transpose()
}

/// The items of a person in all tenants.
///
/// # Errors
/// A defect: something is no item.
pub fn person_items(person: &User) -> Result<Vec<Item>, Malformed> {
    let link = encode(&key::person(&person.email), None, &Reference { number: person.id })?;
    Ok(vec![encode(&key::user(person.id), None, person)?, link])
}
