//! Many changes of users in one request.

use std::collections::HashMap;

use domain::Problem;
use domain::id::{GroupId, RoleId, UserId};
use domain::member::change::{Groups, Roles};
use domain::problem::{Fault, Wrong};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::check::Whom;
use super::{Change, GroupMembership, UserCreation, UserPatch, joining, roles};
use crate::answer::Answer;
use crate::gate::{Caller, IfMatch};
use crate::http::json::{Faulty, Members, Object, Wire};

/// The most changes of a batch, and of one whose changes are made all or none.
const MAX_CHANGES: usize = 100;
pub const MAX_TOGETHER: usize = 40;

/// The most bytes of a batch.
pub const MAX_BATCH: usize = 1024 * 1024;

/// The most bytes of users that an answer shows: Lambda gives at most 6 MB.
pub const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// The same for an answer that the table keeps in one item.
pub const MAX_RECORDED: usize = 256 * 1024;

/// How many changes of a batch are under way at once.
const LANES: usize = 8;

/// What a change does.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "BatchMethod", rename_all = "kebab-case"))]
enum Method {
    Create,
    Update,
    Remove,
    Restore,
    AddRole,
    RemoveRole,
    JoinGroup,
    LeaveGroup,
}

const METHODS: &str = "create, update, remove, restore, add-role, remove-role, join-group, leave-group";

impl Wire for Method {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Ok(match value.as_str() {
            Some("create") => Self::Create,
            Some("update") => Self::Update,
            Some("remove") => Self::Remove,
            Some("restore") => Self::Restore,
            Some("add-role") => Self::AddRole,
            Some("remove-role") => Self::RemoveRole,
            Some("join-group") => Self::JoinGroup,
            Some("leave-group") => Self::LeaveGroup,
            _ => return Err(vec![Fault::here(Wrong::NotOneOf(METHODS))]),
        })
    }
}

/// The versions for which a change is meant.
struct Tags(IfMatch);

impl Wire for Tags {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let wrong = || vec![Fault::here(Wrong::Syntax("`*` or a list of quoted entity tags"))];
        value.as_str().and_then(IfMatch::parse).map(Self).ok_or_else(wrong)
    }
}

/// A change of one user.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
struct BatchChange {
    /// `create` is `POST /v1/users`, `update` is `PATCH /v1/users/{id}`, `remove` is `DELETE`, `restore` is `POST …/restore`. The others
    /// give and take one `role`, or put the user into one `group` and take them out.
    method: Method,
    /// The user's UUID, or `me` for the caller; not for `create`.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>", extend("pattern" = super::check::WHOM)))]
    id: Option<Whom>,
    /// As the header `If-Match` of the single call: an `etag` of an earlier answer, with its quotes.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<String>"))]
    if_match: Option<Tags>,
    /// The role's UUID, for `add-role` and `remove-role`.
    role: Option<Uuid>,
    /// The group's UUID, for `join-group` and `leave-group`.
    group: Option<Uuid>,
    /// The body of the single call, for `create`, `update` and `join-group`.
    body: Option<Members>,
}

impl Wire for BatchChange {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        Object::read(value)?.all(|object| {
            let (method, id) = (object.required("method"), object.optional("id"));
            let (if_match, body) = (object.optional("if_match"), object.optional("body"));
            let (role, group) = (object.optional("role"), object.optional("group"));
            Ok(Self { method: method?, id, if_match, role, group, body })
        })
    }
}

/// A member of a change that its method needs.
fn needed<T>(value: Option<T>, name: &'static str) -> Result<T, Problem> {
    value.ok_or_else(|| vec![Fault::here(Wrong::Missing).within(name).within("body")].into())
}

/// The value that `read` makes of the body of a change.
fn read<T>(body: Members, read: impl FnOnce(&mut Object) -> Result<T, Faulty>) -> Result<T, Problem> {
    Ok(Object::of_event(&Value::Object(body.0))?.all(read)?)
}

impl BatchChange {
    fn change(self, caller: &Caller) -> Result<Change, Problem> {
        let (tenant, id) = (caller.tenant, self.id);
        let user = || {
            Ok::<_, Problem>(match needed(id, "id")? {
                Whom::Me => caller.member(),
                Whom::User(user) => user,
            })
        };
        let update = |user: Option<UserId>, edit| Change::Update(user, Box::new(edit));
        let body =
            |body: Option<Members>| body.ok_or_else(|| Problem::from(vec![Fault::here(Wrong::Missing).within("body")]));
        let role = |role: Option<Uuid>| needed(role, "role").map(|role| RoleId::from_uuid_in(role, tenant));
        let group = |group: Option<Uuid>| needed(group, "group").map(|group| GroupId::from_uuid_in(group, tenant));
        Ok(match self.method {
            Method::Create => Change::Create(Box::new(read(body(self.body)?, UserCreation::read)?.edit(tenant))),
            Method::Update => update(user()?, read(body(self.body)?, UserPatch::read)?.edit(tenant)),
            Method::Remove => Change::Remove(user()?),
            Method::Restore => Change::Restore(user()?),
            Method::AddRole => update(user()?, roles(Roles::With, role(self.role)?)),
            Method::RemoveRole => update(user()?, roles(Roles::Without, role(self.role)?)),
            Method::JoinGroup => {
                let body = read(self.body.unwrap_or_default(), GroupMembership::read)?;
                update(user()?, joining(Groups::With, group(self.group)?, body.is_admin))
            }
            Method::LeaveGroup => update(user()?, joining(|group, _| Groups::Without(group), group(self.group)?, None)),
        })
    }
}

/// Changes of users.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "UserBatch"))]
pub struct Batch {
    /// 1 to 100 changes; 40 at most if they are made all or none.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = MAX_CHANGES)))]
    changes: Vec<BatchChange>,
    /// Whether they are made all or none, in one transaction. Otherwise each is made on its own: those about the same user in their
    /// order, the others side by side.
    atomic: Option<bool>,
}

impl Batch {
    /// # Errors
    /// The faults of the object.
    pub fn read(body: &mut Object) -> Result<Self, Faulty> {
        let (changes, atomic) = (body.required::<Vec<BatchChange>>("changes"), body.optional("atomic"));
        match changes.as_ref().map_or(1, Vec::len) {
            0 => body.refuse(Fault::here(Wrong::Empty).within("changes")),
            1..=MAX_CHANGES => {}
            _ => body.refuse(Fault::here(Wrong::TooLong(MAX_CHANGES)).within("changes")),
        }
        Ok(Self { changes: changes?, atomic })
    }

    pub fn is_atomic(&self) -> bool {
        self.atomic == Some(true)
    }

    /// The changes in their order, each with the versions for which it is meant.
    pub fn changes(self, caller: &Caller) -> Vec<(Option<IfMatch>, Result<Change, Problem>)> {
        let change = |mut it: BatchChange| (it.if_match.take().map(|tags| tags.0), it.change(caller));
        self.changes.into_iter().map(change).collect()
    }
}

impl Change {
    /// Whom it is about: the same text for each change of one user.
    pub fn of(&self) -> Option<String> {
        match self {
            Change::Create(edit) => edit.email.as_ref().map(|email| email.to_lowercase()),
            Change::Update(user, _) | Change::Remove(user) | Change::Restore(user) => user.map(|user| user.to_string()),
        }
    }

    /// The places of changes in lanes that can be under way at once. Changes of the same user are in the same lane.
    pub fn lanes<'a>(changes: impl Iterator<Item = Option<&'a Change>>) -> Vec<Vec<usize>> {
        let mut lanes: Vec<Vec<usize>> = vec![Vec::new(); LANES];
        let mut of_user = HashMap::new();
        for (place, change) in changes.enumerate() {
            let next = place % LANES;
            let lane = change.and_then(Change::of).map_or(next, |of| *of_user.entry(of).or_insert(next));
            lanes[lane].push(place);
        }
        lanes
    }
}

/// The answer to one change of a batch.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "BatchAnswer"))]
pub struct Answered {
    /// As of the single call.
    pub status: u16,
    /// The new version of the user.
    etag: Option<String>,
    /// Where a new user is.
    location: Option<String>,
    /// What the policies say that allowed the change: the header of the single call.
    policy_notices: Option<String>,
    /// Whether this is the answer that an earlier request with the same `Idempotency-Key` got. That can be a refusal, too.
    replayed: bool,
    /// The user as lists show them, or why the change was not made. Null if the user is removed, or if the answer would be too large.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Content>"))]
    body: Option<Value>,
}

/// The body of the answer to one change, for the API reference.
#[cfg(feature = "openapi")]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "BatchAnswerBody")]
#[expect(dead_code, reason = "only its schema is used")]
enum Content<'a> {
    User(super::ListedUser<'a>),
    Failure(super::Failure<'a>),
}

/// The answers to the changes of a batch.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "BatchAnswers"))]
pub struct Answers {
    /// One for each change, in their order.
    data: Vec<Answered>,
    /// How many changes were not made.
    failed: usize,
}

impl Answers {
    /// `most` is how many bytes of users and failures it has.
    pub fn new(answers: Vec<Answer>, mut most: usize) -> Self {
        let mut data = Vec::new();
        for answer in answers {
            let header =
                |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            let size = answer.body.len();
            let body = if size <= most { serde_json::from_slice(&answer.body).ok() } else { None };
            most = most.saturating_sub(size);
            data.push(Answered {
                status: answer.status,
                etag: header("etag"),
                location: header("location"),
                policy_notices: header("policy-notices"),
                replayed: header("idempotent-replayed").is_some(),
                body,
            });
        }
        Self { failed: data.iter().filter(|it| it.status >= 400).count(), data }
    }
}
