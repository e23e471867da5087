//! Whom an erasure looks for.

use std::collections::BTreeSet;

use domain::event::Author;
use domain::id::UserId;
use domain::{Event, JoinRequest, Member, Record, Session, Thing};
use serde_json::Value;

/// Whom a job erases.
pub(super) struct Person {
    pub user: UserId,
    /// Their addresses in lower case, former ones too.
    addresses: BTreeSet<String>,
    /// Their UUIDs.
    ids: [String; 2],
    /// Their names, and their ids in other systems.
    names: BTreeSet<String>,
}

impl Person {
    /// The member as they are.
    pub fn new(member: &Member) -> Self {
        let names = [&member.first_name, &member.last_name, &member.external_id].into_iter().flatten().cloned();
        let names = names.chain([member.name()]);
        let address = [member.email.to_lowercase()];
        Self {
            user: member.user,
            addresses: address.into_iter().filter(|it| !it.is_empty()).collect(),
            ids: [member.user.uuid().to_string(), member.id.uuid().to_string()],
            names: names.filter(|it| !it.is_empty()).collect(),
        }
    }

    /// Adds what an event of theirs tells of former names and addresses, if it is not erased yet.
    pub fn learn(&mut self, event: &Event) {
        if event.salt.is_none() {
            return;
        }
        let past = |name: &'static str| {
            let sides = event.changes.get(name).into_iter().flat_map(|change| [&change.from, &change.to]);
            sides.filter_map(Value::as_str).filter(|it| !it.is_empty())
        };
        self.addresses.extend(past("email").map(str::to_lowercase));
        for name in ["first_name", "last_name", "external_id"] {
            self.names.extend(past(name).map(str::to_owned));
        }
    }

    /// Whether a text is an address of theirs.
    pub fn has_address(&self, text: &str) -> bool {
        self.addresses.contains(&text.trim().to_lowercase())
    }

    /// Whether a text has an address of theirs in it, and not only as a part of another address.
    pub fn is_addressed(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let is_whole = |(at, address): (usize, &str)| {
            let (before, mut after) = (&text[..at], text[at + address.len()..].chars());
            let goes_on = match after.next() {
                // The end of a sentence, or a longer domain.
                Some('.') => after.next().is_some_and(char::is_alphanumeric),
                next => next.is_some_and(|it| it.is_alphanumeric() || it == '-'),
            };
            !goes_on && !before.ends_with(|it: char| it.is_alphanumeric() || "+.".contains(it))
        };
        self.addresses.iter().any(|address| text.match_indices(address.as_str()).any(is_whole))
    }

    /// Whether a text has an address or an id of theirs in it.
    pub fn is_in(&self, text: &str) -> bool {
        self.is_addressed(text) || self.ids.iter().any(|it| text.contains(it.as_str()))
    }

    /// Whether the body of an answer shows them.
    pub fn is_shown(&self, body: &str) -> bool {
        self.is_in(body) || serde_json::from_str(body).is_ok_and(|value| self.is_named(&value))
    }

    fn is_named(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.names.contains(text),
            Value::Array(values) => values.iter().any(|value| self.is_named(value)),
            Value::Object(members) => members.values().any(|value| self.is_named(value)),
            _ => false,
        }
    }

    /// Whether an event tells of them: of their member, their sessions and those in which they acted as somebody else, their wish to
    /// join, or what they did to a thing of the product.
    pub fn is_in_event(&self, event: &Event) -> bool {
        let names = |attribute: &str| {
            let number = event.changes.get(attribute).and_then(|change| change.to.as_u64());
            number == Some(self.user.number().into())
        };
        match event.subject.kind.as_str() {
            Member::KIND => event.subject.id == self.user.to_string(),
            Session::KIND => names("user") || event.author == Author::Member(self.user),
            JoinRequest::KIND => event.changes.get("email").is_some_and(|change| {
                [&change.from, &change.to].into_iter().filter_map(Value::as_str).any(|text| self.has_address(text))
            }),
            Thing::KIND => names("member") || event.author == Author::Member(self.user),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Time;
    use domain::id::{MembershipId, TenantId};

    use super::*;

    #[test]
    fn an_answer_shows_a_person_by_address_by_id_or_by_name() {
        let at = Time::from_millis(0);
        let member = Member {
            first_name: Some("Ann".to_owned()),
            last_name: Some("Lee".to_owned()),
            external_id: Some("7".to_owned()),
            ..Member::new(MembershipId::new(1), TenantId::new(1), UserId::new(42), "Ann@acme.example", at)
        };
        let person = Person::new(&member);
        let uuid = member.user.uuid().to_string();
        for shown in [
            r#"{"email":"ANN@acme.example"}"#,
            &format!(r#"{{"users":[{{"id":"{uuid}"}}]}}"#),
            r#"{"by":{"name":"Ann Lee"}}"#,
            r#"["Lee"]"#,
            r#"{"externalId":"7"}"#,
            "no JSON, but ann@acme.example",
        ] {
            assert!(person.is_shown(shown), "{shown}");
        }
        for other in ["", r#"{"name":"Annabel Leeds","number":7,"externalId":"77"}"#, r#"{"email":"ben@acme.example"}"#]
        {
            assert!(!person.is_shown(other), "{other}");
        }
        for whole in ["to ann@acme.example.", "<ANN@acme.example>", "invite-ann@acme.example"] {
            assert!(person.is_addressed(whole), "{whole}");
        }
        for part in ["joann@acme.example", "jo.ann@acme.example", "ann@acme.example.org", "ann@acme.examples"] {
            assert!(!person.is_addressed(part), "{part}");
        }
        assert!(person.has_address(" ann@ACME.example") && !person.has_address("joann@acme.example"));
    }
}
