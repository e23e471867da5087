//! Decisions that a service asks for: may that member do that? One read tells the answers to many questions.

use domain::id::{GroupId, LabelId, RoleId, TenantId, UserId, parse_uuid};
use domain::member::Member;
use domain::policy::Action;
use domain::policy::eval::Entity;
use domain::policy::properties::Properties;
use domain::policy::question::{Thing, not_permitted};
use domain::problem::Denial;
use domain::{Catalog, Change, MemberEdit, Origin, Problem, Record, Role};

use super::facts::{Facts, Unseen};
use super::{Caller, Reading, Reads};

/// The most questions of one request.
pub const MAX_QUESTIONS: usize = 100;

/// The types of a tenant's own things, with the actions on each. Other actions on them are permissions of the product.
const MANAGED: [(&str, &[&str]); 5] = [
    ("tenant", &["list-members", "update", "delete", "create"]),
    (
        "member",
        &[
            "read",
            "update-profile",
            "assign-role",
            "set-status",
            "set-groups",
            "set-identity",
            "set-metadata",
            "invite",
            "remove",
            "read-sessions",
            "end-sessions",
            "impersonate",
        ],
    ),
    ("role", &["create", "update", "delete"]),
    ("group", &["manage"]),
    ("label", &["manage"]),
];

/// Whose permission a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A member; `None` for an id that is nobody's.
    Member(Option<UserId>),
    /// The API key that asks.
    Key,
}

impl Subject {
    /// The caller.
    pub fn me(caller: &Caller) -> Self {
        caller.member().map_or(Self::Key, |user| Self::Member(Some(user)))
    }

    fn member(self) -> Option<UserId> {
        if let Self::Member(user) = self { user } else { None }
    }
}

/// A question: may that member do this?
#[derive(Clone, Debug)]
pub struct Question {
    subject: Subject,
    /// The name of the permission.
    permission: String,
    about: About,
    /// What the change of a member would be. Without it, the question is about the least change.
    edit: Option<MemberEdit>,
    /// What the service says of it, for the tenant's policies.
    properties: Properties,
}

/// The thing that a question is about.
#[derive(Clone, Debug)]
enum About {
    OfProduct {
        kind: String,
        id: String,
    },
    Tenant,
    Member(UserId),
    /// A member who is not there yet, or any member without a role.
    NewMember,
    Role(String),
    /// A role that is not there yet, or any role without a permission.
    NewRole,
    Group(GroupId),
    Label(LabelId),
    /// The id of a type of ours, which nothing in the tenant can have.
    Nothing,
}

impl Question {
    /// A question about a thing by its type and id. Without an id it is about a new thing, or about the caller's own tenant. `action` is
    /// a permission as a whole (`invoice:read`), or the part behind the type.
    pub fn new(subject: Subject, action: &str, (kind, id): (&str, &str), tenant: TenantId) -> Self {
        let permission = if action.contains(':') { action.to_owned() } else { format!("{kind}:{action}") };
        let managed = MANAGED.iter().find(|(name, _)| *name == kind);
        let name = permission.strip_prefix(kind).and_then(|rest| rest.strip_prefix(':'));
        let is_managed = managed.zip(name).is_some_and(|((_, actions), name)| actions.contains(&name));
        let (uuid, is_new) = (parse_uuid(id), id.is_empty());
        let about = match kind {
            _ if !is_managed => Some(About::OfProduct { kind: kind.to_owned(), id: id.to_owned() }),
            "tenant" => Some(About::Tenant).filter(|_| is_new || uuid.and_then(TenantId::from_uuid) == Some(tenant)),
            "member" if is_new || name == Some("invite") => Some(About::NewMember),
            "member" => uuid.and_then(UserId::from_uuid).map(About::Member),
            "role" if is_new || name == Some("create") => Some(About::NewRole),
            "role" => Some(About::Role(id.to_owned())),
            "group" if is_new => Some(About::Group(GroupId::LAST)),
            "group" => uuid.and_then(|uuid| GroupId::from_uuid_in(uuid, tenant)).map(About::Group),
            "label" if is_new => Some(About::Label(LabelId::LAST)),
            _ => uuid.and_then(|uuid| LabelId::from_uuid_in(uuid, tenant)).map(About::Label),
        };
        let about = about.unwrap_or(About::Nothing);
        Self { subject, permission, about, edit: None, properties: Properties::default() }
    }

    /// Whether a change of a member can be part of the question.
    pub fn is_of_member(&self) -> bool {
        matches!(self.about, About::Member(_) | About::NewMember)
    }

    /// The same with what the change of the member would be.
    pub fn with(self, edit: MemberEdit) -> Self {
        Self { edit: Some(edit), ..self }
    }

    /// The same with what the service says of it.
    pub fn with_properties(self, properties: Properties) -> Self {
        Self { properties, ..self }
    }

    /// The same about another action and another thing.
    pub(super) fn about(&self, action: &str, (kind, id): &(String, String), tenant: TenantId) -> Self {
        Self { properties: self.properties.clone(), ..Self::new(self.subject, action, (kind, id), tenant) }
    }

    /// The actions on things of a type of the tenant's own.
    pub(super) fn actions_on(kind: &str) -> &'static [&'static str] {
        MANAGED.iter().find(|(name, _)| *name == kind).map_or(&[], |(_, actions)| actions)
    }

    /// The member whose permission it asks for.
    pub(super) fn subject(&self) -> Option<UserId> {
        self.subject.member()
    }

    /// The permission that it takes, if the thing is one of the product's.
    pub(super) fn of_product(&self) -> Option<&str> {
        matches!(self.about, About::OfProduct { .. }).then_some(&self.permission)
    }

    /// The part of the permission behind the type.
    fn action(&self) -> &str {
        self.permission.split_once(':').map_or(&self.permission, |(_, action)| action)
    }

    /// The permission that a role must grant. To list members takes the permission to read them.
    fn granting(&self) -> &str {
        match (&self.about, self.action()) {
            (About::Tenant, "list-members") => "member:read",
            _ => &self.permission,
        }
    }
}

impl Reads {
    /// The members whom these questions name.
    pub fn questions<'q>(questions: impl IntoIterator<Item = &'q Question>) -> Self {
        let mut reads = Self::none().unshown();
        for question in questions {
            reads.members.extend(question.subject());
            if let About::Member(user) = question.about {
                reads.members.push(user);
            }
            if let Some(edit) = &question.edit {
                reads.named.0.extend(edit.named_groups());
                reads.named.1.extend(edit.named_label());
            }
        }
        reads
    }
}

/// The answer to a question.
#[derive(Debug)]
pub struct Decision<'f> {
    /// The notices that come with the permission.
    pub decided: Result<Vec<String>, Denial>,
    /// Where the permission comes from, if the subject is a member.
    pub why: Option<Why<'f>>,
}

/// Where a permission of a member comes from.
#[derive(Debug)]
pub struct Why<'f> {
    permission: &'f str,
    pub member: &'f Member,
    pub catalog: &'f Catalog,
}

impl<'f> Why<'f> {
    /// The roles that grant or deny the permission. Few questions ask for them.
    pub fn origin(&self) -> Origin<'f> {
        self.catalog.origin(&self.catalog.roles_of(self.member), self.permission)
    }
}

impl Reading<'_> {
    /// Answers a question. Of somebody who is no member of the tenant it says what it says of a member without permissions.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: the caller may not ask what that member may do. [`Problem::InvalidReference`]: the edit refers to
    /// something that does not exist.
    pub fn decide<'a>(&'a self, question: &'a Question) -> Result<Decision<'a>, Problem> {
        if question.subject == Subject::Key {
            // Every key may ask about itself, as every member may.
            return self.decide_for(Asker::Caller, question);
        }
        match self.may_ask_of(question.subject())? {
            Some(subject) => self.decide_on(subject, question),
            None => Ok(Decision { decided: Err(not_permitted()), why: None }),
        }
    }

    /// The member whom a question is about, if there is one, for a caller who may ask about them.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]: the caller may not ask what that member may do.
    pub(super) fn may_ask_of(&self, subject: Option<UserId>) -> Result<Option<&Member>, Problem> {
        let facts = self.facts;
        let subject = facts.member(subject).ok().map(|Unseen(member)| member);
        let asked_of = subject.map_or_else(|| facts.entity(&facts.nobody()), |subject| facts.entity(subject));
        facts.allow(&Action::Check, &asked_of).map_err(Problem::Forbidden)?;
        Ok(subject)
    }

    /// Answers a question about this member, for a caller who may ask it.
    ///
    /// # Errors
    /// [`Problem::InvalidReference`]
    pub(super) fn decide_on<'a>(
        &'a self,
        subject: &'a Member,
        question: &'a Question,
    ) -> Result<Decision<'a>, Problem> {
        let why = Why { permission: question.granting(), member: subject, catalog: self.facts.catalog() };
        Ok(Decision { why: Some(why), ..self.decide_for(Asker::Member(subject), question)? })
    }

    fn decide_for(&self, asker: Asker, question: &Question) -> Result<Decision<'static>, Problem> {
        match self.may(asker, question) {
            Ok(notices) => Ok(Decision { decided: Ok(notices), why: None }),
            Err(Problem::Forbidden(denial)) => Ok(Decision { decided: Err(denial), why: None }),
            Err(why) => Err(why),
        }
    }

    fn may(&self, asker: Asker, question: &Question) -> Result<Vec<String>, Problem> {
        let facts = self.facts;
        let may = |action: &str, thing: Thing| facts.may(asker, action, thing).map_err(Problem::Forbidden);
        let nothing = || Problem::Forbidden(not_permitted());
        match &question.about {
            About::OfProduct { kind, id } => {
                let metadata = if let Asker::Member(subject) = asker { Some(&subject.metadata) } else { None };
                let properties = question.properties.with_subject(metadata.into_iter().flatten());
                may(&question.permission, Thing::OfProduct { kind, id, properties: &properties })
            }
            About::Tenant => may(question.action(), Thing::Tenant),
            About::Member(user) => {
                let Unseen(member) = facts.member(Some(*user)).map_err(|_| nothing())?;
                self.may_with(asker, member, question)
            }
            About::NewMember => self.may_with(asker, &facts.nobody(), question),
            About::Role(spelling) => {
                let known = facts.catalog().role_spelled(spelling, facts.tenant().id);
                may(question.action(), Thing::Role(known.ok_or_else(nothing)?))
            }
            About::NewRole => may(question.action(), Thing::Role(&Role::new(RoleId::LAST, "", facts.now()))),
            About::Group(group) => may(question.action(), Thing::Group(*group)),
            About::Label(label) => may(question.action(), Thing::Label(*label)),
            About::Nothing => Err(nothing()),
        }
    }

    fn may_with(&self, asker: Asker, member: &Member, question: &Question) -> Result<Vec<String>, Problem> {
        match &question.edit {
            Some(edit) => self.facts.may_edit(asker, member, question, edit),
            None => self.facts.may(asker, question.action(), Thing::Member(member)).map_err(Problem::Forbidden),
        }
    }
}

/// The one who would do it.
#[derive(Clone, Copy)]
enum Asker<'a> {
    Member(&'a Member),
    Caller,
}

impl Facts {
    /// Decides for the one who would do it; for an API key, and for the member who made it; for who acts as a member, too.
    fn each(
        &self,
        asker: Asker,
        decide: impl Fn(&Entity) -> Result<Vec<String>, Denial>,
    ) -> Result<Vec<String>, Denial> {
        match asker {
            // Whoever acts as the member asks what the two of them may do.
            Asker::Member(member) if self.caller_id() != Some(member.user) => decide(&self.entity(member)),
            Asker::Member(_) | Asker::Caller => self.principal().each(decide),
        }
    }

    fn may(&self, asker: Asker, action: &str, thing: Thing) -> Result<Vec<String>, Denial> {
        self.each(asker, |entity| self.rules().may(self.around(), (entity, self.tenant().id), action, thing))
    }

    /// Whether somebody may make an edit of a member: the notices that come with the permission. The edit may be about something else
    /// than the question; then both must be allowed.
    fn may_edit(
        &self,
        asker: Asker,
        before: &Member,
        question: &Question,
        edit: &MemberEdit,
    ) -> Result<Vec<String>, Problem> {
        let mut after = before.clone();
        // What does not exist is told only if the edit is allowed, as by the call itself.
        let is_sound = after.apply(edit, &self.known());
        let actions = Member::actions(Change::Update { before, after: &after, edit }, self.catalog());
        let (policies, resource) = (&self.rules().policies, self.entity(before));
        let decided = self.each(asker, |principal| {
            let mut notices = policies.enter(self.now(), principal, self.tenant().id)?;
            for action in &actions {
                notices.extend(policies.allow(self.around(), principal, action, &resource)?);
            }
            Ok(notices)
        });
        let mut notices = decided.map_err(Problem::Forbidden)?;
        if !actions.iter().any(|action| action.name() == question.permission) {
            let least = self.may(asker, question.action(), Thing::Member(before));
            notices.extend(least.map_err(Problem::Forbidden)?);
        }
        is_sound.map(|()| notices)
    }
}
