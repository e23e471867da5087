//! A plan lists changes of records. Each change is decided as soon as it is added.

use std::collections::HashMap;

use domain::id::{Id, UserId};
use domain::policy::Action;
use domain::policy::eval::Entity;
use domain::problem::Fault;
use domain::thing::Happening;
use domain::{Change, Event, Member, MemberEdit, Numbers, Problem, Role, RoleEdit, Thing, Time, User};

use super::facts::{Facts, Unseen, View};
use super::invitations::Accepts;
use super::list::Shown;
use super::seats::SEATS;
use super::sessions::Begins;
use super::{Idempotency, IfMatch, Recorded};
use crate::answer::Answer;
use crate::table::fence::Fact;
use crate::table::key::Key;
use crate::table::stored::{Stored, Written};
use crate::table::tenant::TenantChange;
use crate::table::{Condition, Item, encode};

/// The result of a plan.
pub enum Step {
    /// The change is complete; this is its answer.
    Answer(Answer),
    /// This is the first half of a change. The gate writes it and puts it in force, reads the facts anew, and asks for the plan
    /// again.
    Half,
}

impl From<Answer> for Step {
    fn from(answer: Answer) -> Self {
        Step::Answer(answer)
    }
}

/// Changes that are planned over one reading of the facts. The caller gets a refusal only if all actions are allowed: a caller
/// who may not do a thing learns nothing else.
pub struct Plan<'f> {
    pub(super) facts: &'f Facts,
    pub(super) written: Vec<Written>,
    tenant: TenantChange,
    numbers: Numbers,
    /// The facts that other requests rest on, at their new versions. A fact counts even if it stays the same: the request that
    /// changed it last may have died before the fact was in force.
    pub(super) changed: Vec<Fact>,
    /// Whether the plan is about the tenant's rules.
    is_of_rules: bool,
    /// The kind of the first record that the plan changes, and the version that the record had.
    pub(super) first: Option<(&'static str, Option<u64>)>,
    /// The persons who are new in all tenants.
    pub(super) persons: Vec<User>,
    /// The pictures that the plan gives members and takes from them, as data URIs.
    pub(super) pictures: HashMap<UserId, Option<String>>,
    /// The session that begins.
    pub(super) begins: Option<Begins>,
    pub(super) accepts: Option<Accepts>,
    /// Further items, on which nothing rests.
    pub(super) items: Vec<Item>,
    pub(super) denied: Option<Problem>,
    pub(super) refused: Option<Problem>,
    notices: Vec<String>,
}

impl<'f> Plan<'f> {
    pub(super) fn new(facts: &'f Facts) -> Self {
        Self {
            facts,
            written: Vec::new(),
            tenant: TenantChange::default(),
            numbers: facts.tenant().numbers.clone(),
            changed: Vec::new(),
            is_of_rules: false,
            first: None,
            persons: Vec::new(),
            pictures: HashMap::new(),
            begins: None,
            accepts: None,
            items: Vec::new(),
            denied: None,
            refused: None,
            notices: Vec::new(),
        }
    }

    pub fn facts(&self) -> &'f Facts {
        self.facts
    }

    /// A changed member, for the answer.
    pub fn view<'a>(&'a self, member: &'a Member) -> View<'a> {
        let view = self.facts.view(member);
        self.pictures.get(&member.user).map_or(view, |picture| View { picture: picture.as_deref(), ..view })
    }

    /// A new or changed group or label, for the answer.
    pub fn shown<'a, T>(&'a self, thing: &'a T) -> Shown<'a, T> {
        self.facts.shown(thing)
    }

    /// The next number of a kind that is numbered in the tenant. Example: `plan.number(|numbers| &mut numbers.roles)`.
    pub fn number<const KIND: u8>(&mut self, of: fn(&mut Numbers) -> &mut u32) -> Result<Id<KIND>, Problem> {
        let number = of(&mut self.numbers);
        *number = number.saturating_add(1);
        i64::from(*number).try_into().map_err(|_| Problem::LimitReached("ids of a kind", i32::MAX as usize))
    }

    /// Makes a new record, and an edit of it. Returns it with its version and times.
    pub fn create<R: Stored>(&mut self, mut new: R, edit: &R::Edit) -> R {
        if let Err(why) = new.apply(edit, &self.facts.known()) {
            self.refuse(why);
        }
        let actions = R::actions(Change::Create(&new), self.facts.catalog());
        let (tenant, catalog) = (self.facts.tenant().id, self.facts.catalog());
        self.decide_on(R::KIND, &actions, &new.new_entity(tenant, catalog));
        if let Err(why) = new.fits(&self.facts.known()) {
            self.refuse(why);
        }
        self.first.get_or_insert((R::KIND, None));
        self.keep(None, Some(&mut new));
        new
    }

    /// Makes an edit. Returns the changed record. Parts of the edit that refer to nothing are left out.
    pub fn update<R: Stored>(&mut self, before: Unseen<'f, R>, edit: &R::Edit) -> R {
        let Unseen(before) = before;
        let (catalog, mut after) = (self.facts.catalog(), before.clone());
        let fits = after.apply(edit, &self.facts.known()).and_then(|()| after.fits(&self.facts.known()));
        if let Err(why) = fits {
            self.refuse(why);
        }
        let actions = R::actions(Change::Update { before, after: &after, edit }, catalog);
        let of_authority = actions.iter().any(Action::is_of_authority);
        self.decide_on(R::KIND, &actions, &self.facts.entity(before));
        self.first.get_or_insert((R::KIND, Some(before.shown_version())));
        self.keep(Some(before), Some(&mut after));
        self.changed.extend(after.fact().filter(|_| of_authority));
        after
    }

    /// Writes down what happened to a thing of the product. Returns the event, for the answer.
    ///
    /// # Errors
    /// A defect: nothing was written.
    pub fn note(&mut self, name: &str, happening: &Happening) -> Result<Event, Problem> {
        let facts = self.facts;
        match facts.thing() {
            Some(before) => self.update(before, happening),
            None => self.create(Thing::new(name, facts.now()), happening),
        };
        let event = self.written.last().map(|written| written.event.clone());
        event.ok_or_else(|| Problem::Internal("an event that was not written".to_owned()))
    }

    /// If a role is the default, no other role is.
    pub fn only_default(&mut self, role: &Role) {
        let facts = self.facts;
        let others = facts.catalog().all_roles().filter(|other| other.default && role.default && other.id != role.id);
        for other in others {
            self.update(Unseen(other), &RoleEdit { default: Some(false), ..RoleEdit::default() });
        }
    }

    pub fn delete<R: Stored>(&mut self, before: Unseen<'f, R>) {
        let Unseen(before) = before;
        let actions = R::actions(Change::Delete(before), self.facts.catalog());
        self.decide_on(R::KIND, &actions, &self.facts.entity(before));
        self.first.get_or_insert((R::KIND, Some(before.shown_version())));
        self.keep(Some(before), None);
    }

    /// Refuses the whole plan, if it is allowed. The first refusal counts.
    pub fn refuse(&mut self, why: Problem) {
        self.refused.get_or_insert(why);
    }

    /// Refuses the whole plan for what is wrong with the request, if anything is.
    pub fn refuse_for(&mut self, faults: &[Fault]) {
        if !faults.is_empty() {
            self.refuse(faults.to_vec().into());
        }
    }

    /// Decides on the actions of a change. A change without an action is a defect, because no rule could deny it. Of the product's
    /// own changes none is decided here, and the thing that a job is about can be gone.
    pub(super) fn decide_on(&mut self, kind: &str, actions: &[Action], resource: &Entity) {
        if actions.is_empty() && !self.facts.principal().is_product() {
            let why = format!("a change of a {kind} that no action stands for");
            self.denied.get_or_insert(Problem::Internal(why));
        }
        self.is_of_rules |= actions.iter().any(Action::is_of_rules);
        for action in actions {
            match self.facts.allow(action, resource) {
                Ok(notices) => self.notices.extend(notices),
                Err(denial) => drop(self.denied.get_or_insert(Problem::Forbidden(denial))),
            }
        }
    }

    /// Stamps a change, and adds up its effects on the tenant.
    pub(super) fn keep<R: Stored>(&mut self, before: Option<&R>, after: Option<&mut R>) {
        let tally = R::tally(before, after.as_deref());
        match R::stamped(self.facts.stamp(), self.facts.principal().actor(), before, after) {
            Ok(None) => {}
            Ok(Some(written)) => {
                self.tenant.owners += tally.owners;
                let seats = self.tenant.seats.or(self.facts.tenant().seats);
                if let (Some((user, by)), Some(seats)) = (tally.seat, seats) {
                    self.tenant.seats_taken += if seats.has_counted(user) { by } else { 0 };
                    self.tenant.seats = Some(seats.after_change_of(user));
                }
                self.tenant.groups += tally.groups;
                self.tenant.labels += tally.labels;
                self.tenant.issuers += tally.issuers;
                self.tenant.keys += tally.keys;
                self.tenant.domains += tally.domains;
                self.tenant.policies += tally.policies;
                self.tenant.webhooks += tally.webhooks;
                self.tenant.rules |= tally.rules;
                self.tenant.names |= tally.names;
                self.written.push(written);
            }
            Err(why) => drop(self.denied.get_or_insert(why)),
        }
    }

    /// # Errors
    /// Why it is denied, or else refused.
    pub(super) fn is_allowed(&mut self) -> Result<(), Problem> {
        self.denied.take().or(self.refused.take()).map_or(Ok(()), Err)
    }

    /// Only this result can be written, and it exists only if every action was allowed.
    pub(super) fn decide(
        mut self,
        if_match: Option<&IfMatch>,
        idempotency: Option<&Idempotency>,
        answer: Answer,
    ) -> Result<Allowed, Problem> {
        self.is_allowed()?;
        let (kind, version) = match self.first {
            Some(first) => first,
            // What the product was to do is done already.
            None if self.facts.principal().is_product() => ("", None),
            None => return Err(Problem::Internal("a plan that changes nothing".to_owned())),
        };
        if self.tenant.owners < 0 && i64::from(self.facts.tenant().owners) + self.tenant.owners < 1 {
            return Err(Problem::LastOwner);
        }
        if let Some(most) = self.facts.tenant().settings.seats
            && self.tenant.seats_taken > 0
            && self.facts.tenant().seats_taken + self.tenant.seats_taken > i64::from(most)
        {
            return Err(Problem::LimitReached(SEATS, most as usize));
        }
        match (if_match, version) {
            (Some(_), None) => return Err(Problem::NothingToMatch(kind)),
            (Some(tags), Some(version)) if !tags.matches(version) => return Err(Problem::VersionMismatch(kind)),
            _ => {}
        }
        let answer = with_notices(answer, &self.notices);
        let recorded = idempotency.and_then(|asked| {
            let recorded = Recorded::new(asked, &answer, self.facts.now());
            let key = self.facts.record_key(asked)?;
            Some(([self.facts.keys.answer_listed(&key), key], recorded))
        });
        let mut changed = self.changed;
        if self.is_of_rules {
            let rules = Fact::rules(self.facts.tenant());
            let version = rules.version + u64::from(self.tenant.rules);
            changed.push(Fact { version, ..rules });
        }
        let mut tenant = self.tenant;
        tenant.numbers = Some(self.numbers).filter(|numbers| *numbers != self.facts.tenant().numbers);
        let now = self.facts.now();
        let (written, persons, begins, accepts) = (self.written, self.persons, self.begins, self.accepts);
        let items = self.items;
        Ok(Allowed { written, tenant, changed, persons, begins, accepts, items, recorded, now, answer })
    }
}

impl Facts {
    /// Whether a member's edit would be done, if the caller asked for it now. The code that decides on changes says it,
    /// about the facts that were read anyway; nothing is written.
    pub fn would_do(&self, view: &View, edit: &MemberEdit) -> bool {
        let mut plan = Plan::new(self);
        plan.update(Unseen(view.member), edit);
        plan.decide(None, None, Answer::empty(204)).is_ok()
    }
}

/// A change that was allowed and is not written yet.
pub struct Allowed {
    pub(super) written: Vec<Written>,
    pub(super) tenant: TenantChange,
    /// The facts that other requests rest on, at their new versions.
    pub(super) changed: Vec<Fact>,
    /// The persons who are new in all tenants.
    pub(super) persons: Vec<User>,
    pub(super) begins: Option<Begins>,
    pub(super) accepts: Option<Accepts>,
    pub(super) items: Vec<Item>,
    /// With the key, and its place in the index.
    recorded: Option<([Key; 2], Recorded)>,
    now: Time,
    pub(super) answer: Answer,
}

impl Allowed {
    /// The item that keeps the answer, and its condition, if the request has an `Idempotency-Key`.
    pub(super) fn record(&self) -> Result<Option<(Item, Condition)>, Problem> {
        let Some(([listed, key], recorded)) = &self.recorded else { return Ok(None) };
        let free = Condition::new("attribute_not_exists(PK) OR expires_at <= :now").with(":now", self.now.seconds())?;
        Ok(Some((encode(key, Some(listed), recorded)?, free)))
    }
}

/// The facts of a request that only reads.
pub struct Reading<'f> {
    pub(super) facts: &'f Facts,
    pub(super) notices: Vec<String>,
}

impl<'f> Reading<'f> {
    pub(super) fn new(facts: &'f Facts) -> Self {
        Self { facts, notices: Vec::new() }
    }

    pub fn facts(&self) -> &'f Facts {
        self.facts
    }

    /// A member, if the caller may see them.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub fn see(&mut self, member: Unseen<'f, Member>) -> Result<View<'f>, Problem> {
        let Unseen(member) = member;
        self.notices.extend(self.facts.allow(&Action::Read, &self.facts.entity(member)).map_err(Problem::Forbidden)?);
        Ok(self.facts.view(member))
    }

    pub(super) fn answer(&self, answer: Answer) -> Answer {
        with_notices(answer, &self.notices)
    }
}

/// Adds the notices of the policies that allowed the request, each once.
pub(super) fn with_notices(answer: Answer, notices: &[String]) -> Answer {
    let mut once: Vec<&String> = Vec::new();
    for notice in notices {
        if !once.contains(&notice) {
            once.push(notice);
        }
    }
    if once.is_empty() { answer } else { answer.with_header("policy-notices", structured_list(&once)) }
}

/// A list of strings as a structured header field (RFC 9651): quoted if they are ASCII, else as display strings.
fn structured_list(texts: &[&String]) -> String {
    let item = |text: &&String| {
        if text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        }
        let escaped = text.bytes().map(|byte| match byte {
            b'%' | b'"' => format!("%{byte:02x}"),
            0x20..=0x7e => char::from(byte).to_string(),
            _ => format!("%{byte:02x}"),
        });
        format!("%\"{}\"", escaped.collect::<String>())
    };
    texts.iter().map(item).collect::<Vec<_>>().join(", ")
}
