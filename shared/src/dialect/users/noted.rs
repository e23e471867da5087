//! Events of the product's own: what a request says of one.

use domain::id::UserId;
use domain::problem::{Fault, Step, Wrong};
use domain::thing::{Happening, MAX_ACTION, MAX_DATA, MAX_DEPTH, MAX_ID, MAX_TYPE};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::http::json::{Faulty, MAX_SAFE_INTEGER, Object, Wire};

/// Text of 1 to `MAX` ASCII letters, digits and marks of these: `._-`, and in ids `:/@+` too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Word<const MAX: usize>(
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX), regex(pattern = r"^[A-Za-z0-9._:/@+-]+$")))]
    String,
);

impl<const MAX: usize> Wire for Word<MAX> {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Value::String(text) = value else { return Err(vec![Fault::here(Wrong::Type("a string"))]) };
        let is_mark = |byte: u8| b"._:/@+-".contains(&byte);
        if text.is_empty() {
            Err(vec![Fault::here(Wrong::Empty)])
        } else if text.len() > MAX {
            Err(vec![Fault::here(Wrong::TooLong(MAX))])
        } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte)) {
            Ok(Self(text))
        } else {
            Err(vec![Fault::here(Wrong::Syntax("letters, digits and `._:/@+-`"))])
        }
    }
}

/// What the product says of an event: an object of texts, whole numbers, booleans, and lists and objects of these.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Data(Map<String, Value>);

impl Wire for Data {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let size = value.to_string().len();
        match value {
            Value::Object(members) if size <= MAX_DATA => {
                let mut faults = Vec::new();
                check(&Value::Object(members.clone()), MAX_DEPTH, &mut |fault| faults.push(fault));
                if faults.is_empty() { Ok(Self(members)) } else { Err(faults) }
            }
            Value::Object(_) => Err(vec![Fault::here(Wrong::TooLong(MAX_DATA))]),
            _ => Err(vec![Fault::here(Wrong::Type("an object"))]),
        }
    }
}

/// Tells what the table and every client could not keep as it is.
fn check(value: &Value, depth: usize, tell: &mut dyn FnMut(Fault)) {
    match value {
        Value::Number(number) => {
            let whole = number.as_i64().is_some_and(|it| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&it));
            if !whole {
                tell(Fault::here(Wrong::Syntax("a whole number of at most 2^53 - 1, or a text")));
            }
        }
        Value::Array(_) | Value::Object(_) if depth == 0 => tell(Fault::here(Wrong::Syntax("at most 8 levels deep"))),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                check(value, depth - 1, &mut |fault| tell(fault.within(Step::Index(index))));
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                check(value, depth - 1, &mut |fault| tell(fault.within(Step::Name(name.clone().into()))));
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// An event of the product's own.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "EventCreation"))]
pub struct EventCreation {
    /// The type of the thing to which it happened, such as `invoice`.
    r#type: Word<MAX_TYPE>,
    /// The id of the thing, in your words. The events of a thing form a chain.
    id: Word<MAX_ID>,
    /// What happened, such as `sent`.
    action: Word<MAX_ACTION>,
    /// The user who did it in your product: the UUID.
    user: Option<Uuid>,
    /// What else there is to say: at most 16 KiB as JSON, 8 levels deep, without fractions. It counts as a value that can name a person.
    data: Option<Data>,
}

impl EventCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (kind, id) = (object.required::<Word<MAX_TYPE>>("type"), object.required("id"));
        if kind.as_ref().is_ok_and(|Word(kind)| kind.contains(':')) {
            object.refuse(Fault::here(Wrong::Syntax("without `:`")).within("type"));
        }
        let (action, user, data) =
            (object.required("action"), object.optional::<Uuid>("user"), object.optional("data"));
        if user.is_some_and(|user| UserId::from_uuid(user).is_none()) {
            object.refuse(Fault::here(Wrong::Syntax("the UUID of a user")).within("user"));
        }
        Ok(Self { r#type: kind?, id: id?, action: action?, user, data })
    }

    /// The name of the thing, and what happened to it.
    pub fn happening(self) -> (String, Happening) {
        let name = format!("{}:{}", self.r#type.0, self.id.0);
        let (member, data) = (self.user.and_then(UserId::from_uuid), self.data.map(|Data(data)| data));
        (name, Happening { action: self.action.0, data, member })
    }
}
