//! The filters and the orders of lists of members, in the dialects that have the same ones.

use domain::id::GroupId;
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};

use super::users::{STATUSES, UserStatus};
use crate::gate::MemberList;
use crate::gate::list::Sort;
use crate::http::json::{MAX_ADDRESS, Object, Text, Wire};

/// The orders of members.
pub const SORTS: &str = "name, -name, email, -email, id, -id";

/// Reads the filters and the order. Members of a role or group come by id, if the client asks for no order: those have
/// an index.
///
/// `spelled` gives the group that a client spells as the dialect does; `None` for an id that cannot exist in the
/// tenant.
pub fn wanted<G: Wire>(query: &mut Object, spelled: impl FnOnce(G) -> Option<GroupId>) -> MemberList {
    let texts = texts(query);
    let group = query.optional("group").map(spelled);
    list(query, texts, group)
}

// No part of `wanted`, and nor is `list`, so that no function compiles them again.
fn texts(query: &mut Object) -> [Option<String>; 5] {
    let mut text = |name| query.optional::<Text<MAX_NAME>>(name).map(|Text(text)| text);
    let [role, status, sort, beginning] = ["role", "status", "sort", "q"].map(&mut text);
    [role, status, sort, beginning, query.optional::<Text<MAX_ADDRESS>>("email").map(|Text(text)| text)]
}

fn list(query: &mut Object, texts: [Option<String>; 5], group: Option<Option<GroupId>>) -> MemberList {
    let [role, status, sort, beginning, email] = texts;
    let by_default = if role.is_some() || group.is_some() { "id" } else { "name" };
    let asked = sort.as_deref().unwrap_or(by_default);
    let sort = match asked.strip_prefix('-').unwrap_or(asked) {
        "name" => Some(Sort::Name),
        "email" => Some(Sort::Email),
        "id" => Some(Sort::Id),
        _ => None,
    };
    if sort.is_none() {
        query.refuse(Fault::here(Wrong::NotOneOf(SORTS)).within("sort"));
    }
    let status = status.and_then(|text| {
        let status = UserStatus::named(&text);
        if status.is_none() {
            query.refuse(Fault::here(Wrong::NotOneOf(STATUSES)).within("status"));
        }
        status.map(|status| status.0)
    });
    MemberList {
        sort: sort.unwrap_or(Sort::Name),
        descending: asked.starts_with('-'),
        role,
        groups: group.into_iter().collect(),
        statuses: status.into_iter().collect(),
        email,
        beginning,
        ..MemberList::default()
    }
}
