//! Which users a list has, and in which order: `filters=field:operator:value|value`, `search`, `sort_by_key`,
//! `sort_order`.

use domain::Status;
use domain::id::{GroupId, RoleId};
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Step, Wrong};
use serde_json::Value;

use super::{built_in, one_of};
use crate::gate::MemberList;
use crate::gate::list::Sort;
use crate::http::json::{Digits, MAX_ADDRESS, Object, Text, Wire, is_integer};

/// The keys to sort by. `full_name` is the member of `DTO_user`.
pub const KEYS: &str = "id, name, full_name, email";
pub const ORDERS: &str = "asc, desc";

const FIELDS: &str = "role, status, group, email";
const OPERATORS: &str = "eq, in";

/// The longest filter, in characters.
pub const MAX_FILTER: usize = 500;

/// The most values of a filter. Each of several groups costs a query.
const MAX_VALUES: usize = 10;

/// The numbers and names of the statuses that an answer shows. Unlike a change, a filter can name that of an invited
/// member.
const STATUSES: [(i64, &str, Status); 3] =
    [(0, "UNKNOWN", Status::Invited), (1, "ACTIVE", Status::Active), (2, "DEACTIVE", Status::Deactivated)];
const NAMES_OF_STATUSES: &str = "0 UNKNOWN, 1 ACTIVE, 2 DEACTIVE";

/// One filter: `field:operator:value`. It can have several values with a `|` between them: then one of them must match.
/// `eq` and `in` are the same.
#[derive(Debug, PartialEq, Eq)]
pub enum Filter {
    BuiltIn(Vec<RoleId>),
    Status(Vec<Status>),
    /// `None` for a number that cannot be a group's.
    Group(Vec<Option<GroupId>>),
    /// One address: that text may have a `|` in it.
    Email(String),
}

impl Wire for Filter {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Text(text) = Text::<MAX_FILTER>::read(value)?;
        let mut parts = text.splitn(3, ':').map(str::trim);
        let (Some(field), Some(operator), Some(values)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(vec![Fault::here(Wrong::Syntax("`field:operator:value`, such as `status:eq:1`"))]);
        };
        let place = |step: &str| Step::Name(step.to_owned().into());
        if !FIELDS.split(", ").any(|known| known == field) {
            return Err(vec![Fault::here(Wrong::NotOneOf(FIELDS)).within(place(field))]);
        }
        if !OPERATORS.split(", ").any(|known| known == operator) {
            return Err(vec![Fault::here(Wrong::NotOneOf(OPERATORS)).within(place(operator)).within(place(field))]);
        }
        let read = match field {
            "role" => each(values, |value| built_in(number_or_name(value))).map(Self::BuiltIn),
            "status" => {
                each(values, |value| one_of(number_or_name(value), STATUSES, NAMES_OF_STATUSES)).map(Self::Status)
            }
            "group" => each(values, |value| Digits::read(value.into()).map(|digits| digits.id())).map(Self::Group),
            _ => Text::<MAX_ADDRESS>::read(values.into()).map(|Text(email)| Self::Email(email)),
        };
        let within = |fault: Fault| fault.within(place(operator)).within(place(field));
        read.map_err(|faults| faults.into_iter().map(within).collect())
    }
}

impl Filter {
    fn field(&self) -> &'static str {
        match self {
            Filter::BuiltIn(_) => "role",
            Filter::Status(_) => "status",
            Filter::Group(_) => "group",
            Filter::Email(_) => "email",
        }
    }
}

/// Reads the values of a filter. The place of a fault is the index of its value.
fn each<T>(values: &str, read: impl Fn(&str) -> Result<T, Vec<Fault>>) -> Result<Vec<T>, Vec<Fault>> {
    let values: Vec<&str> = values.split('|').map(str::trim).collect();
    if values.len() > MAX_VALUES {
        return Err(vec![Fault::here(Wrong::TooLong(MAX_VALUES))]);
    }
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for (index, value) in values.into_iter().enumerate() {
        match read(value) {
            Ok(value) => found.push(value),
            Err(wrong) => faults.extend(wrong.into_iter().map(|fault| fault.within(index))),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// A value of an enum, as a body would have it.
fn number_or_name(text: &str) -> Value {
    let number = if is_integer(text) { text.parse::<i64>().ok() } else { None };
    number.map_or_else(|| text.into(), Value::from)
}

/// Reads which users a client asks for. With a role or group they come by id, if the client asks for no order: those
/// have an index.
pub fn wanted(query: &mut Object) -> MemberList {
    let mut list = MemberList::default();
    let mut fields: Vec<&str> = Vec::new();
    for (index, filter) in query.optional::<Vec<Filter>>("filters").into_iter().flatten().enumerate() {
        let field = filter.field();
        if fields.contains(&field) {
            let twice = Fault::here(Wrong::Syntax("given at most once: use one filter with several values"));
            query.refuse(twice.within(field).within(index).within("filters"));
        }
        fields.push(field);
        match filter {
            Filter::BuiltIn(roles) => list.built_in = roles,
            Filter::Status(statuses) => list.statuses = statuses,
            Filter::Group(groups) => list.groups = groups,
            Filter::Email(email) => list.email = Some(email),
        }
    }
    list.beginning = query.optional::<Text<MAX_NAME>>("search").map(|Text(text)| text);
    let mut one_of = |name, known: &'static str| {
        let text = query.optional::<Text<MAX_NAME>>(name).map(|Text(text)| text.to_lowercase());
        if text.as_ref().is_some_and(|text| !known.split(", ").any(|known| known == text)) {
            query.refuse(Fault::here(Wrong::NotOneOf(known)).within(name));
        }
        text
    };
    let (key, order) = (one_of("sort_by_key", KEYS), one_of("sort_order", ORDERS));
    let is_indexed = !list.built_in.is_empty() || !list.groups.is_empty();
    list.sort = match key.as_deref() {
        Some("id") => Sort::Id,
        Some("email") => Sort::Email,
        None if is_indexed => Sort::Id,
        _ => Sort::Name,
    };
    list.descending = order.as_deref() == Some("desc");
    list
}

#[cfg(test)]
mod tests {
    use domain::problem::dotted;
    use domain::role::{ADMIN, OWNER, USER};

    use super::*;

    fn read(query: &str) -> Result<MemberList, Vec<String>> {
        let object = Object::of_query(query, Some("filters"));
        object.all(|query| Ok(wanted(query))).map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn filters_are_fields_operators_and_values() {
        let group = |number| Some(GroupId::new(number));
        for (text, expected) in [
            ("role:eq:1", Filter::BuiltIn(vec![OWNER])),
            ("role:in:owner|2", Filter::BuiltIn(vec![OWNER, ADMIN])),
            ("role:in: USER ", Filter::BuiltIn(vec![USER])),
            ("status:eq:0", Filter::Status(vec![Status::Invited])),
            ("status:in:Active|DEACTIVE", Filter::Status(vec![Status::Active, Status::Deactivated])),
            (
                "group:in:1|2|0|-1|2147483648|99999999999999999999",
                Filter::Group(vec![group(1), group(2), None, None, None, None]),
            ),
            ("email:eq:a|b:c@acme.example", Filter::Email("a|b:c@acme.example".to_owned())),
        ] {
            assert_eq!(Filter::read(text.into()), Ok(expected), "{text}");
        }
        for (text, place, wrong) in [
            ("role", "", "`field:operator:value`, such as"),
            ("role:eq", "", "`field:operator:value`, such as"),
            ("age:eq:7", "age", "one of role, status, group, email"),
            ("Role:eq:1", "Role", "one of role, status, group, email"),
            (":eq:1", "", "one of role, status, group, email"),
            ("role:like:1", "role.like", "one of eq, in"),
            ("role:eq:4", "role.eq[0]", "one of 1 OWNER, 2 ADMIN, 3 USER"),
            ("role:eq:01", "role.eq[0]", "one of 1 OWNER, 2 ADMIN, 3 USER"),
            ("role:in:1|", "role.in[1]", "one of 1 OWNER, 2 ADMIN, 3 USER"),
            ("status:eq:3", "status.eq[0]", "one of 0 UNKNOWN, 1 ACTIVE, 2 DEACTIVE"),
            ("group:in:1|two", "group.in[1]", "an integer"),
            ("group:eq:", "group.eq[0]", "empty"),
            ("email:eq:", "email.eq", "empty"),
            (&format!("group:in:{}", ["1"; 11].join("|")), "group.in", "longer than 10"),
        ] {
            let faults = Filter::read(text.into()).unwrap_err();
            assert_eq!(faults.len(), 1, "{text}");
            let fault = faults[0].clone().within("filters").within("query");
            let expected =
                if place.is_empty() && text != ":eq:1" { "filters".to_owned() } else { format!("filters.{place}") };
            assert_eq!(dotted(&fault.place), expected, "{text}");
            assert!(fault.wrong.to_string().contains(wrong), "{text}: {}", fault.wrong);
        }
        assert!(Filter::read(7.into()).is_err() && Filter::read("".into()).is_err());
    }

    #[test]
    fn a_list_has_each_field_once_and_an_order() {
        let list =
            read("filters=role:in:1|2&filters=status%3Aeq%3A1&search=Ann&sort_by_key=EMAIL&sort_order=Desc").unwrap();
        assert_eq!((list.built_in, list.statuses), (vec![OWNER, ADMIN], vec![Status::Active]));
        assert_eq!((list.beginning.as_deref(), list.sort, list.descending), (Some("Ann"), Sort::Email, true));
        let sort = |query| read(query).map(|list| (list.sort, list.descending)).unwrap();
        assert_eq!(sort(""), (Sort::Name, false));
        assert_eq!(sort("sort_order=desc"), (Sort::Name, true));
        assert_eq!(sort("filters=group:eq:1"), (Sort::Id, false));
        assert_eq!(sort("filters=role:eq:1&sort_by_key=full_name&sort_order=asc"), (Sort::Name, false));
        let faults =
            read("filters=role:eq:1&filters=age:eq:1&filters=role:eq:2&sort_by_key=age&sort_order=up&search=&search=a");
        assert_eq!(
            faults.unwrap_err(),
            [
                "`search` must be given at most once",
                "`filters[1].age` must be one of role, status, group, email",
                "`sort_by_key` must be one of id, name, full_name, email",
                "`sort_order` must be one of asc, desc",
            ]
        );
        let twice = read("filters=role:eq:1&filters=role:eq:2").unwrap_err();
        assert_eq!(twice, ["`filters[1].role` must be given at most once: use one filter with several values"]);
    }
}
