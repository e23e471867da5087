//! The edits of a member, and the actions of an edit.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Known};
use crate::id::{GroupId, JobId, LabelId, RoleId, SpelledGroup, SpelledLabel, TenantId};
use crate::member::invitation::InvitationEdit;
use crate::member::picture::Picture;
use crate::member::{Member, Status};
use crate::meta::{Meta, MetadataEdit, Patch, merge};
use crate::policy::eval::Entity;
use crate::policy::{self, Action};
use crate::problem::{Problem, Reference, Step};
use crate::record::{Change, Record, Tally};
use crate::text;
use crate::time::Time;

/// The most roles and groups that one change of a member can add and remove. A transaction has 100 items. The other eleven are for
/// the member, the caller, the tenant, the event, the idempotency record, the invitation, and the names of a member who is new.
pub const MAX_EDGES: usize = 89;

/// The most roles that a member can be given, by number or one by one.
pub const MAX_ROLES: usize = 50;

/// The most groups that a member can be in.
pub const MAX_GROUPS: usize = 500;

/// The wanted changes of a member. Parts that it does not mention stay.
#[derive(Clone, Debug, Default)]
pub struct MemberEdit {
    pub first_name: Patch<String>,
    pub last_name: Patch<String>,
    pub profession: Patch<SpelledLabel>,
    pub language: Patch<String>,
    pub picture: Patch<Picture>,
    pub email: Option<String>,
    pub external_id: Patch<String>,
    pub metadata: MetadataEdit,
    pub roles: Option<Roles>,
    pub status: Option<Status>,
    pub groups: Option<Groups>,
    pub presence: Option<Presence>,
    pub invitation: Option<InvitationEdit>,
    pub ends: Option<Ending>,
    /// The dialect's names of the fields that can refer to something, for its errors.
    pub fields: Fields,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    /// The place of the member in the body, if the body is a list.
    pub index: Option<usize>,
    pub roles: &'static str,
    pub groups: &'static str,
    pub profession: &'static str,
}

/// Whether a person is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Makes a member of a person who was removed. They have what the edit gives them, and nothing of what they had.
    Added,
    /// The same, but they keep their profile. The roles, the groups and the status are those of the edit.
    Restored,
    Removed(Time),
    /// Removed, before or now, and erased by this job.
    Erasing(Time, JobId),
    /// The job has nothing else to do.
    Erased(Time),
}

/// The sessions that an edit ends.
#[derive(Clone, Debug)]
pub enum Ending {
    All,
    /// The session with this id.
    One(String),
}

#[derive(Clone, Debug)]
pub enum Roles {
    /// Exactly these roles, each by its UUID, number or name.
    Exactly(Vec<String>),
    /// The role that new members get.
    Default,
    /// This role beside those held. `None` is an id that cannot exist.
    With(Option<RoleId>),
    /// The roles held without this one.
    Without(Option<RoleId>),
    /// This built-in role in place of the one held. The tenant's own roles stay.
    BuiltIn(RoleId),
    /// `true`: a plain member becomes `admin`. `false`: an `admin` or `owner` becomes `user`.
    Manager(bool),
    /// The second role in place of the first, which is being deleted.
    Instead(RoleId, RoleId),
}

#[derive(Clone, Debug)]
pub enum Groups {
    /// Exactly these groups. A member who manages a group that stays goes on managing it.
    Exactly(Vec<SpelledGroup>),
    /// Exactly these groups, each with its flags. A flag that is not given stays.
    Flagged(Vec<InGroup>),
    /// Only the given parts change. The member always reads the primary group and the managed ones.
    Parts { primary: Patch<SpelledGroup>, read: Option<Vec<SpelledGroup>>, manage: Option<Vec<SpelledGroup>> },
    /// This group beside the others. `None` is an id that cannot exist.
    With(Option<GroupId>, Option<bool>),
    /// The groups without this one.
    Without(Option<GroupId>),
    /// The same for a group that is being deleted.
    WithoutDeleted(GroupId),
}

impl Groups {
    /// How many groups it names.
    pub(super) fn count(&self) -> usize {
        match self {
            Groups::Exactly(groups) => groups.len(),
            Groups::Flagged(groups) => groups.len(),
            Groups::Parts { read, manage, .. } => read.iter().chain(manage).map(Vec::len).max().unwrap_or(0),
            Groups::With(..) | Groups::Without(_) | Groups::WithoutDeleted(_) => 1,
        }
    }
}

/// A group of a member, with flags.
#[derive(Clone, Debug)]
pub struct InGroup {
    pub group: SpelledGroup,
    pub manages: Option<bool>,
    pub is_primary: Option<bool>,
}

impl MemberEdit {
    /// Splits a full name at its last space. The part before it is the first name, with any further spaces at its end; the part
    /// after it is the last name. Each part has something visible; otherwise all of it is the first name.
    pub fn set_name(&mut self, name: &str) {
        let split = name.rsplit_once(' ').filter(|(first, last)| !text::is_blank(first) && !text::is_blank(last));
        let (first, last) = split.map_or((name, None), |(first, last)| (first, Some(last)));
        self.first_name = Patch::Set(first.to_owned());
        self.last_name = last.map_or(Patch::Clear, |last| Patch::Set(last.to_owned()));
    }

    /// The groups that it refers to; none if they are more than a member can have, because it is refused then.
    pub fn named_groups(&self) -> Vec<GroupId> {
        let ids = |spelled: &[SpelledGroup]| spelled.iter().filter_map(|it| it.id).collect::<Vec<_>>();
        match &self.groups {
            None | Some(Groups::WithoutDeleted(_)) => Vec::new(),
            Some(groups) if groups.count() > MAX_GROUPS => Vec::new(),
            Some(Groups::Without(group)) => group.iter().copied().collect(),
            Some(Groups::Exactly(groups)) => ids(groups),
            Some(Groups::Flagged(groups)) => groups.iter().filter_map(|it| it.group.id).collect(),
            Some(Groups::Parts { primary, read, manage }) => {
                let lists = read.iter().chain(manage).flat_map(|groups| ids(groups));
                lists.chain(if let Patch::Set(group) = primary { group.id } else { None }).collect()
            }
            Some(Groups::With(group, _)) => group.iter().copied().collect(),
        }
    }

    /// The label that it refers to.
    pub fn named_label(&self) -> Option<LabelId> {
        if let Patch::Set(label) = &self.profession { label.id } else { None }
    }
}

impl Record for Member {
    type Edit = MemberEdit;

    const KIND: &'static str = "member";

    fn id(&self) -> String {
        self.user.to_string()
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn apply(&mut self, edit: &MemberEdit, known: &Known) -> Result<(), Problem> {
        let mut refused = Ok(());
        let mut refuse = |why: Problem| {
            if refused.is_ok() {
                refused = Err(why);
            }
        };
        let unknown = |kind, field: &'static str, values: Vec<String>| {
            let steps = [Some("body".into()), edit.fields.index.map(Step::Index), Some(field.into())];
            Problem::InvalidReference { kind, place: steps.into_iter().flatten().collect(), values }
        };
        // The edges of a removed member: those to groups stay.
        let roles_before = if self.is_present() { self.roles.clone() } else { BTreeSet::new() };
        let groups_before = self.groups.clone();
        match edit.presence {
            None => {}
            Some(joins @ (Presence::Added | Presence::Restored)) => {
                if let Err(why) = self.may_return(joins, edit.email.as_ref()) {
                    refuse(why);
                }
                (self.deleted_at, self.erasure) = (None, None);
                (self.roles, self.groups, self.manages, self.primary_group) = Default::default();
            }
            Some(Presence::Removed(at)) => (self.deleted_at, self.picture) = (Some(at), None),
            Some(Presence::Erasing(at, job)) => self.begin_erasure(at, job),
            Some(Presence::Erased(at)) => self.erase(at),
        }
        if edit.presence == Some(Presence::Added) {
            (self.first_name, self.last_name, self.profession, self.language) = Default::default();
            (self.metadata, self.external_id, self.absolute_time) = Default::default();
            (self.invitation, self.secret) = (None, None);
        }
        match (&edit.invitation, &mut self.invitation) {
            (Some(InvitationEdit::Made(made, secret)), invitation) => {
                (*invitation, self.secret) = (Some(made.clone()), Some(secret.clone()));
            }
            (Some(InvitationEdit::Accepted), Some(invitation)) => invitation.accepted = true,
            (Some(InvitationEdit::Accepted), None) => refuse(Problem::NotFound("invitation")),
            (None, _) => {}
        }
        edit.first_name.apply(&mut self.first_name);
        edit.last_name.apply(&mut self.last_name);
        edit.language.apply(&mut self.language);
        edit.picture.apply(&mut self.picture);
        edit.external_id.apply(&mut self.external_id);
        if let Err(why) = merge(&mut self.metadata, &edit.metadata) {
            refuse(why);
        }
        if let Some(email) = &edit.email {
            self.email.clone_from(email);
        }
        let joins = matches!(edit.presence, Some(Presence::Added | Presence::Restored));
        if (edit.email.is_some() || joins || edit.invitation.is_some()) && !known.tenant.takes_address(&self.email) {
            refuse(Problem::DomainNotAllowed);
        }
        if let Some(roles) = &edit.roles
            && let Err(why) = self.apply_roles(roles, known, |bad| unknown(Reference::Role, edit.fields.roles, bad))
        {
            refuse(why);
        }
        self.status = edit.status.unwrap_or(self.status);
        match &edit.ends {
            None => {}
            Some(Ending::All) => self.sessions.clear(),
            Some(Ending::One(id)) if self.sessions.remove(id).is_some() => {}
            Some(Ending::One(_)) => refuse(Problem::NotFound("session")),
        }

        match &edit.profession {
            Patch::Keep => {}
            Patch::Clear => self.profession = None,
            Patch::Set(label) => match label.id.filter(|id| known.names.labels.contains_key(id)) {
                Some(id) => self.profession = Some(id),
                None => refuse(unknown(Reference::Label, edit.fields.profession, vec![label.text.clone()])),
            },
        }
        if let Some(groups) = &edit.groups
            && let Err(why) = self.apply_groups(groups, known, |bad| unknown(Reference::Group, edit.fields.groups, bad))
        {
            refuse(why);
        }
        let groups = match joins {
            // The edges to other groups stay where they are.
            true => self.groups.difference(&groups_before).count(),
            false => self.groups.symmetric_difference(&groups_before).count(),
        };
        if roles_before.symmetric_difference(&self.roles).count() + groups > MAX_EDGES {
            refuse(Problem::TooManyChanges(MAX_EDGES));
        }
        refused
    }

    /// The action of reading the member, and one action for each part that the edit mentions, changed or not. So a caller learns
    /// nothing about parts that they may not change.
    fn actions<'a>(change: Change<'a, Self>, catalog: &'a Catalog) -> Vec<Action<'a>> {
        let (before, after, edit) = match change {
            Change::Create(after) => return joining(after, catalog),
            Change::Update { after, edit: MemberEdit { presence: Some(Presence::Added), .. }, .. } => {
                return joining(after, catalog);
            }
            Change::Update { after, edit: MemberEdit { presence: Some(Presence::Restored), .. }, .. } => {
                return [vec![Action::Read], joining(after, catalog)].concat();
            }
            // Who stands for an invitation must be able to give all that the person has, when it is sent and when it is accepted.
            Change::Update { after, edit: MemberEdit { invitation: Some(made), .. }, .. } => {
                let joining = joining(&Self { status: Status::Invited, ..after.clone() }, catalog);
                let is_read = matches!(made, InvitationEdit::Made(..));
                return is_read.then_some(Action::Read).into_iter().chain(joining).collect();
            }
            Change::Delete(_) => return Vec::new(), // Nobody deletes the item of a member.
            Change::Update { before, after, edit } => (before, after, edit),
        };
        let mut actions = vec![Action::Read];
        if matches!(edit.presence, Some(Presence::Removed(_) | Presence::Erasing(..))) {
            actions.push(Action::Remove);
        }
        let names = edit.first_name.is_keep() && edit.last_name.is_keep();
        if !(names && edit.language.is_keep() && edit.profession.is_keep() && edit.picture.is_keep()) {
            actions.push(Action::UpdateProfile);
        }
        if after.email != before.email || after.external_id != before.external_id {
            actions.push(Action::SetIdentity);
        }
        if !edit.metadata.is_empty() {
            actions.push(Action::SetMetadata);
        }
        if edit.roles.is_some() {
            actions.push(assigning(before, after, catalog));
        }
        if edit.status.is_some() {
            actions.push(Action::SetStatus(after.status));
        }
        if edit.groups.is_some() {
            actions.push(grouping(before, after, catalog));
        }
        if edit.ends.is_some() {
            actions.push(Action::EndSessions);
        }
        actions
    }

    fn entity(&self, _: TenantId, catalog: &Catalog) -> Entity {
        policy::member(self, catalog)
    }

    /// The person before they are a member.
    fn new_entity(&self, tenant: TenantId, catalog: &Catalog) -> Entity {
        Self { deleted_at: Some(self.meta.created_at), ..self.clone() }.entity(tenant, catalog)
    }

    fn tally(before: Option<&Self>, after: Option<&Self>) -> Tally {
        let owners = |member: Option<&Member>| i64::from(member.is_some_and(Member::is_acting_owner));
        let seats = |member: Option<&Member>| i64::from(member.is_some_and(Member::takes_seat));
        let seat = after.or(before).map(|member| (member.user, seats(after) - seats(before)));
        Tally { owners: owners(after) - owners(before), seat: seat.filter(|(_, by)| *by != 0), ..Tally::default() }
    }

    /// If the change is of the member's rights, or ends a session, their authority gets the new version, too. So it does with another
    /// address: policies can depend on it, and its owner can sign in.
    fn settle(&mut self, before: Option<&Self>) {
        let rights = |it: &Member| (it.roles.clone(), it.status, it.groups.clone(), it.manages.clone(), it.deleted_at);
        let authority = |it: &Member| (rights(it), it.email.clone());
        if !self.is_present() || self.status == Status::Deactivated {
            self.sessions.clear();
        }
        self.settle_invitation(before);
        let has_all = |before: &Member| before.sessions.keys().all(|id| self.sessions.contains_key(id));
        if before.is_none_or(|before| authority(before) != authority(self) || !has_all(before)) {
            self.authority = self.meta.version;
        }
    }
}

/// The actions of making somebody a member: each thing that they get is decided as if a member got it.
pub(crate) fn joining<'a>(after: &Member, catalog: &'a Catalog) -> Vec<Action<'a>> {
    let blank = Member {
        deleted_at: Some(after.meta.created_at),
        roles: BTreeSet::new(),
        groups: BTreeSet::new(),
        manages: BTreeSet::new(),
        ..after.clone()
    };
    let mut actions = vec![Action::Invite(catalog.inviters), assigning(&blank, after, catalog)];
    if after.status != Status::Invited {
        actions.push(Action::SetStatus(after.status));
    }
    if !after.groups.is_empty() {
        actions.push(grouping(&blank, after, catalog));
    }
    actions
}

pub(crate) fn assigning<'a>(before: &Member, after: &Member, catalog: &'a Catalog) -> Action<'a> {
    Action::AssignRole {
        adds: catalog.role_names(&(&after.roles - &before.roles)),
        removes: catalog.role_names(&(&before.roles - &after.roles)),
        rank: catalog.rank(&catalog.roles_of(after)),
        gains: catalog.gains(before, after),
    }
}

pub(crate) fn grouping<'a>(before: &Member, after: &Member, catalog: &'a Catalog) -> Action<'a> {
    Action::SetGroups {
        joins: &after.groups - &before.groups,
        leaves: &before.groups - &after.groups,
        manages: &after.manages - &before.manages,
        adds: catalog.role_names(&(&catalog.roles_of(after) - &catalog.roles_of(before))),
        removes: catalog.role_names(&(&catalog.roles_of(before) - &catalog.roles_of(after))),
        rank: catalog.rank(&catalog.roles_of(after)),
        gains: catalog.gains(before, after),
    }
}

#[cfg(test)]
mod tests;
