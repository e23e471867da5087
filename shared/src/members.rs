//! Changing a member: one read, one decision, one write.
//!
//! Everything that the decision was based on is a condition of the transaction that writes. Where one no longer holds, the
//! request starts again from the read, so that what is committed was allowed by facts that were true at that moment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::app::{App, Caller};
use crate::call::{Answer, Call, Write};
use crate::dialect::Dialect;
use crate::fence::Fact;
use crate::id::{GroupId, LabelId, RoleId, UserId, Uuid};
use crate::json::{self, Patch};
use crate::key::{Key, TenantKeys};
use crate::model::{Catalog, Change, Event, Member, Recorded, Status, Tenant, role};
use crate::policy::{Action, Denial, Facts};
use crate::problem::{Problem, Reference};
use crate::serve::Boxed;
use crate::table::{self, CONTENDED, Committed, Condition, MAX_EDGES, Pause, Table, Transaction};
use crate::time::Time;

/// How long an answer under an `Idempotency-Key` is kept: 24 hours.
const REMEMBER_SECONDS: i64 = 24 * 60 * 60;

/// The attributes of a member that belong to the record itself: no event lists them as changed.
const BOOKKEEPING: [&str; 7] = ["version", "authority", "fences", "head", "sessions", "updated_at", "updated_by"];

/// What a request wants to become of a member. What it does not mention stays.
#[derive(Debug, Default)]
pub struct Update {
    pub first_name: Patch<String>,
    pub last_name: Patch<String>,
    /// The number of a label.
    pub profession: Patch<i64>,
    pub roles: Option<Roles>,
    pub status: Option<Status>,
    pub groups: Option<Groups>,
    /// What the dialect calls the fields that can refer to something, for its errors.
    pub fields: Fields,
}

impl Update {
    /// Takes a full name apart at its last space: what stands before it is the first name, with any further spaces at its end,
    /// and what stands behind the last. Each has something visible, or all is the first name.
    pub fn set_name(&mut self, name: &str) {
        let split = name.rsplit_once(' ').filter(|(first, last)| !json::is_blank(first) && !json::is_blank(last));
        let (first, last) = split.map_or((name, None), |(first, last)| (first, Some(last)));
        self.first_name = Patch::Set(first.to_owned());
        self.last_name = last.map_or(Patch::Clear, |last| Patch::Set(last.to_owned()));
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    pub roles: &'static str,
    pub groups: &'static str,
    pub profession: &'static str,
}

#[derive(Debug)]
pub enum Roles {
    /// These and no others, each a UUID, a number or a name.
    Exactly(Vec<String>),
    /// This built-in role in place of the one held, beside the tenant's own roles.
    BuiltIn(RoleId),
    /// Whether the member holds `admin` or `owner`: who does not and shall becomes `admin`, who does and shall not, `user`.
    Manager(bool),
}

/// Groups by their numbers.
#[derive(Debug)]
pub enum Groups {
    /// In these and no others; who manages one that stays goes on managing it.
    Exactly(Vec<i64>),
    /// Each part as far as it is mentioned. The primary group and the managed ones are always among those read.
    Parts { primary: Patch<i64>, read: Option<Vec<i64>>, manage: Option<Vec<i64>> },
}

/// What a dialect renders a member from.
pub struct View<'a> {
    pub tenant: &'a Tenant,
    pub member: &'a Member,
    pub catalog: &'a Catalog,
    /// A data URI, where the dialect shows pictures.
    pub picture: Option<&'a str>,
}

/// Whose member a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// `None` for an id that cannot be anybody's.
    User(Option<UserId>),
    Me,
}

impl App {
    /// Changes a member as `update` says if the caller may, and answers with what `render` makes of the result.
    ///
    /// # Errors
    /// In this order, the first that applies: [`Problem::Unauthenticated`] (the session has ended), [`Problem::Forbidden`]
    /// (the caller is no active member), [`Problem::IdempotencyMismatch`], [`Problem::NotFound`], [`Problem::Forbidden`],
    /// [`Problem::InvalidReference`], [`Problem::TooManyChanges`], [`Problem::LastOwner`], [`Problem::VersionMismatch`].
    pub fn update_member<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        target: Target,
        update: &'a Update,
        write: &'a Write,
        render: fn(&View) -> Value,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let mut pause = Pause::default();
            loop {
                let round = Round::read(self, call, caller, target, write).await?;
                if let Some(answer) = round.replay()? {
                    // Whoever made the change may have died before it was in force.
                    round.put_in_force(round.target.as_ref()).await?;
                    return Ok(answer);
                }
                let authorized = round.authorize(update)?;
                if let Some(answer) = authorized.commit(render).await? {
                    return Ok(answer);
                }
                call.meter.restarted();
                if !pause.wait(CONTENDED, &call.meter, call.deadline).await {
                    let why = "the member, the caller or the tenant changed during each of our tries";
                    return Err(Problem::Unavailable(why.to_owned()));
                }
            }
        })
    }
}

/// One try: what was read for it.
struct Round<'a> {
    app: &'a App,
    call: &'a Call,
    caller_keys: &'a Caller,
    write: &'a Write,
    now: Time,
    tenant: Tenant,
    catalog: Arc<Catalog>,
    caller: Member,
    principal: Facts,
    target: Option<Member>,
    picture: Option<String>,
    recorded: Option<Recorded>,
}

impl<'a> Round<'a> {
    /// One strongly consistent read of all that the decision needs, and the catalog if its version has moved.
    async fn read(
        app: &'a App,
        call: &'a Call,
        caller: &'a Caller,
        target: Target,
        write: &'a Write,
    ) -> Result<Self, Problem> {
        let keys = caller.keys();
        let user = match target {
            Target::User(user) => user,
            Target::Me => Some(caller.user),
        };
        let caller_key = keys.member(caller.user);
        let target_key = user.map(|user| keys.member(user));
        let picture_key = user.filter(|_| call.dialect.shows_pictures()).map(|user| keys.picture(user));
        let record_key = write.idempotency.as_ref().map(|it| keys.idempotency(caller.user, &it.key));

        let mut wanted = vec![keys.tenant(), caller_key.clone()];
        wanted.extend(target_key.clone().filter(|key| *key != caller_key));
        wanted.extend(picture_key.clone());
        wanted.extend(record_key.clone());
        let table = app.table(call);
        let mut found = table.get(wanted).await?;
        let now = (app.clock)();

        let ended = Problem::Unauthenticated("the session has ended");
        let Some(item) = found.get(&caller_key).cloned() else { return Err(ended) };
        let me: Member = table::decode(item)?;
        if !caller.sessions.iter().all(|session| me.has_session(session, now)) {
            return Err(ended);
        }
        let stranger = || {
            let notices = vec!["Only an active member of the tenant may act in it.".to_owned()];
            Problem::Forbidden(Denial { rule: "active-member".to_owned(), action: "tenant:enter", notices })
        };
        let tenant: Tenant = table::decode(found.remove(&keys.tenant()).ok_or_else(stranger)?)?;
        let catalog = app.catalog(call, &tenant).await?;
        if !me.is_present() {
            return Err(stranger());
        }
        let principal = Facts::of(&me, &catalog);
        catalog.policies.enter(&principal).map_err(Problem::Forbidden)?;

        let target: Option<Member> = target_key.and_then(|key| found.remove(&key)).map(table::decode).transpose()?;
        let target = target.filter(Member::is_present);
        let picture = picture_key.and_then(|key| found.remove(&key)).and_then(|mut item| item.remove("data_uri"));
        let picture = picture.and_then(|picture| picture.as_s().ok().cloned());
        let recorded: Option<Recorded> =
            record_key.and_then(|key| found.remove(&key)).map(table::decode).transpose()?;
        let recorded = recorded.filter(|recorded| recorded.expires_at > now.seconds());
        Ok(Self {
            app,
            call,
            caller_keys: caller,
            write,
            now,
            tenant,
            catalog,
            caller: me,
            principal,
            target,
            picture,
            recorded,
        })
    }

    /// The first answer to this request, if it was made before.
    fn replay(&self) -> Result<Option<Answer>, Problem> {
        let (Some(asked), Some(recorded)) = (&self.write.idempotency, &self.recorded) else { return Ok(None) };
        if asked.fingerprint != recorded.fingerprint {
            return Err(Problem::IdempotencyMismatch);
        }
        let answer =
            Answer { status: recorded.status, headers: recorded.headers.clone(), body: recorded.body.as_str().into() };
        Ok(Some(answer.with_header("idempotent-replayed", "true")))
    }

    /// Waits until nothing can commit any more on what the member might do before. See [`fence`](crate::fence).
    async fn put_in_force(&self, member: Option<&Member>) -> Result<(), Problem> {
        match member.map(Fact::authority).filter(|fact| fact.fences > 0) {
            Some(fact) => self.app.table(self.call).raise_fences(&fact).await,
            None => Ok(()),
        }
    }

    /// Decides. The result is the only thing that can write, and exists only if every action was allowed.
    fn authorize(mut self, update: &Update) -> Result<Authorized<'a>, Problem> {
        let before = self.target.take().ok_or(Problem::NotFound("user"))?;
        let Planned { mut after, unknown } = plan(&before, update, &self.catalog);
        let actions = actions(&before, &after, update, &self.catalog);
        let resource = Facts::of(&before, &self.catalog);
        let mut notices: Vec<String> = Vec::new();
        for action in &actions {
            let allowed = self.catalog.policies.allow(self.call.dialect, &self.principal, action, &resource);
            for notice in allowed.map_err(Problem::Forbidden)? {
                if !notices.contains(&notice) {
                    notices.push(notice);
                }
            }
        }
        if let Some(unknown) = unknown {
            return Err(unknown);
        }
        if edges(&before, &after).len() > MAX_EDGES {
            return Err(Problem::TooManyChanges);
        }
        let loses_owner = before.is_acting_owner() && !after.is_acting_owner();
        if loses_owner && self.tenant.owners <= 1 {
            return Err(Problem::LastOwner);
        }
        if self.write.if_match.as_ref().is_some_and(|tags| !tags.matches(before.version)) {
            return Err(Problem::VersionMismatch);
        }

        let event = if after == before {
            None
        } else {
            after.version += 1;
            after.updated_at = self.now;
            after.updated_by = Some(self.caller.as_actor());
            if (&before.roles, before.status, &before.groups, &before.manages)
                != (&after.roles, after.status, &after.groups, &after.manages)
            {
                after.authority = after.version;
            }
            let event = Event {
                tenant: self.tenant.id,
                user: after.user,
                version: after.version,
                at: self.now,
                actor: Some(self.caller.user),
                request: self.call.request_id.clone(),
                transaction: Uuid::new_v4().to_string(),
                changes: changes(&before, &after)?,
                previous: before.head.clone(),
            };
            after.head = event.hash();
            Some(event)
        };
        let of_authority = update.roles.is_some() || update.status.is_some() || update.groups.is_some();
        Ok(Authorized { round: self, before, after, event, of_authority, notices })
    }
}

/// A change that was decided and not yet written.
struct Authorized<'a> {
    round: Round<'a>,
    before: Member,
    after: Member,
    /// `None` where nothing changes.
    event: Option<Event>,
    /// Whether the request is about what the member may do, even if that is as asked already.
    of_authority: bool,
    notices: Vec<String>,
}

impl Authorized<'_> {
    /// Writes the change, its event, and the answer if it has an `Idempotency-Key`: all or nothing, and only while
    /// everything that was read still holds. `None` if it does not.
    async fn commit(self, render: fn(&View) -> Value) -> Result<Option<Answer>, Problem> {
        let Self { round, before, after, event, of_authority, notices } = self;
        let view =
            View { tenant: &round.tenant, member: &after, catalog: &round.catalog, picture: round.picture.as_deref() };
        let body = render(&view).to_string();
        let mut answer = Answer::new(200, "application/json", body.as_str().into())
            .with_header("etag", format!("\"{}\"", after.version));
        if !notices.is_empty() {
            answer = answer.with_header("policy-notices", structured_list(&notices));
        }

        let table = round.app.table(round.call);
        let keys = round.caller_keys.keys();
        let mut transaction = Transaction::new(table);
        if let Some(event) = &event {
            change(&mut transaction, &round, keys, &before, &after, event)?;
        }
        if let Some(asked) = &round.write.idempotency {
            let recorded = Recorded {
                fingerprint: asked.fingerprint.clone(),
                status: answer.status,
                headers: answer.headers.clone(),
                body,
                expires_at: round.now.seconds() + REMEMBER_SECONDS,
            };
            let item = table::encode(&keys.idempotency(round.caller.user, &asked.key), None, &recorded)?;
            let free = Condition::new("attribute_not_exists(PK) OR expires_at <= :now");
            transaction.put(item, Some(free.with(":now", round.now.seconds())?))?;
        }
        let committed = match transaction.is_empty() {
            true => true,
            false => match (table.write(transaction).await?, &event) {
                (Committed::Yes, _) => true,
                (Committed::Moved { in_doubt: true }, Some(event)) => is_on_record(table, keys, event).await?,
                (Committed::Moved { .. }, _) => false,
            },
        };
        if committed && of_authority {
            round.put_in_force(Some(&after)).await?;
        }
        Ok(committed.then_some(answer))
    }
}

/// Whether an event was written, by the very transaction that it names.
async fn is_on_record(table: Table<'_>, keys: TenantKeys, event: &Event) -> Result<bool, Problem> {
    let key = keys.event(event.user, event.version);
    let item = table.get([key.clone()]).await?.remove(&key);
    let found: Option<Event> = item.map(table::decode).transpose()?;
    Ok(found.is_some_and(|found| found.transaction == event.transaction))
}

/// The items that change a member, and the conditions under which the decision to do so stands.
fn change(
    transaction: &mut Transaction,
    round: &Round,
    keys: TenantKeys,
    before: &Member,
    after: &Member,
    event: &Event,
) -> Result<(), Problem> {
    let member_key = keys.member(after.user);
    // Both are made from what this code knows of members: attributes that a later version of it added stay as they are.
    let [old, new] = [before, after]
        .map(|member| table::encode(&member_key, Some(&keys.listed(&member.label(), member.user)), member));
    let (old, new) = (old?, new?);
    let same = match before.fences {
        0 => Condition::new("version = :version AND (attribute_not_exists(fences) OR fences = :fences)"),
        _ => Condition::new("version = :version AND fences = :fences"),
    };
    let same = same.with(":version", before.version)?.with(":fences", before.fences)?;
    transaction.change(&member_key, &old, &new, same)?;

    if round.caller.user != after.user {
        transaction.rest_on(Fact::authority(&round.caller))?;
    }
    let owners = i64::from(after.is_acting_owner()) - i64::from(before.is_acting_owner());
    if owners == 0 {
        transaction.rest_on(Fact::rules(&round.tenant))?;
    } else {
        let same = match owners {
            -1 => Condition::new("catalog_version = :catalog AND owners > :one").with(":one", 1)?,
            _ => Condition::new("catalog_version = :catalog"),
        };
        transaction.add(&keys.tenant(), "owners", owners, same.with(":catalog", round.catalog.version)?)?;
    }
    for edge in edges(before, after) {
        let key = edge.key(keys, after.user);
        match edge.added {
            true => transaction.put(table::encode(&key, None, &HashMap::<String, String>::new())?, None)?,
            false => transaction.delete(&key)?,
        }
    }
    let listed = keys.happened(event.at, event.user, event.version);
    let item = table::encode(&keys.event(event.user, event.version), Some(&listed), event)?;
    transaction.put(item, Some(Condition::new("attribute_not_exists(PK)")))
}

/// A role or a group that a change adds or removes.
struct Edge {
    added: bool,
    end: End,
}

enum End {
    Role(RoleId),
    Group(GroupId),
}

impl Edge {
    fn key(&self, keys: TenantKeys, user: UserId) -> Key {
        match self.end {
            End::Role(role) => keys.holder(role, user),
            End::Group(group) => keys.in_group(group, user),
        }
    }
}

fn edges(before: &Member, after: &Member) -> Vec<Edge> {
    let roles = before.roles.symmetric_difference(&after.roles);
    let roles = roles.map(|role| Edge { added: after.roles.contains(role), end: End::Role(*role) });
    let groups = before.groups.symmetric_difference(&after.groups);
    let groups = groups.map(|group| Edge { added: after.groups.contains(group), end: End::Group(*group) });
    roles.chain(groups).collect()
}

/// The member as it would be, as far as what the request refers to exists.
struct Planned {
    after: Member,
    unknown: Option<Problem>,
}

fn plan(before: &Member, update: &Update, catalog: &Catalog) -> Planned {
    let mut after = before.clone();
    let mut unknown = None;
    let mut refuse = |kind, field: &'static str, values: Vec<String>| {
        let place = vec!["body".into(), field.into()];
        unknown.get_or_insert(Problem::InvalidReference { kind, place, values });
    };
    patch(&mut after.first_name, &update.first_name);
    patch(&mut after.last_name, &update.last_name);

    match &update.roles {
        None => {}
        Some(Roles::Exactly(spellings)) => {
            let (mut roles, mut bad) = (BTreeSet::new(), Vec::new());
            for spelling in spellings {
                match find_role(catalog, spelling).map(|role| roles.insert(role)) {
                    Some(true) => {}
                    Some(false) | None => bad.push(spelling.clone()),
                }
            }
            if spellings.is_empty() || !bad.is_empty() {
                refuse(Reference::Role, update.fields.roles, bad);
            }
            after.roles = roles;
        }
        Some(Roles::BuiltIn(role)) => set_built_in(&mut after, *role),
        Some(Roles::Manager(true)) if after.built_in_role() == role::OWNER => {}
        Some(Roles::Manager(true)) => set_built_in(&mut after, role::ADMIN),
        Some(Roles::Manager(false)) => set_built_in(&mut after, role::USER),
    }
    if let Some(status) = update.status {
        after.status = status;
    }

    let label = |number: &i64| LabelId::try_from(*number).ok().filter(|id| catalog.label(*id).is_some());
    match &update.profession {
        Patch::Keep => {}
        Patch::Clear => after.profession = None,
        Patch::Set(number) => match label(number) {
            Some(id) => after.profession = Some(id),
            None => refuse(Reference::Label, update.fields.profession, vec![number.to_string()]),
        },
    }

    let mut unknown_groups = Vec::new();
    let mut known = |numbers: &[i64]| -> BTreeSet<GroupId> {
        let group = |number: &i64| GroupId::try_from(*number).ok().filter(|id| catalog.group(*id).is_some());
        unknown_groups.extend(numbers.iter().filter(|number| group(number).is_none()).map(ToString::to_string));
        numbers.iter().filter_map(group).collect()
    };
    match &update.groups {
        None => {}
        Some(Groups::Exactly(numbers)) => {
            after.groups = known(numbers);
            after.manages = &after.manages & &after.groups;
            after.primary_group = after.primary_group.filter(|group| after.groups.contains(group));
        }
        Some(Groups::Parts { primary, read, manage }) => {
            if let Some(manage) = manage {
                after.manages = known(manage);
            }
            if let Some(read) = read {
                after.groups = known(read);
            }
            match primary {
                Patch::Keep => {}
                Patch::Clear => after.primary_group = None,
                Patch::Set(number) => after.primary_group = known(&[*number]).first().copied(),
            }
            after.groups.extend(after.manages.iter().chain(&after.primary_group));
        }
    }
    if !unknown_groups.is_empty() {
        refuse(Reference::Group, update.fields.groups, unknown_groups);
    }
    Planned { after, unknown }
}

fn patch<T: Clone>(value: &mut Option<T>, patch: &Patch<T>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *value = None,
        Patch::Set(new) => *value = Some(new.clone()),
    }
}

/// Puts a built-in role in the place of the one held; who already reads as having it keeps all as it is.
fn set_built_in(member: &mut Member, role: RoleId) {
    if member.built_in_role() != role {
        member.roles.retain(|held| !role::BUILT_IN.contains(held));
        member.roles.insert(role);
    }
}

/// A role by UUID, number or name, in this order.
fn find_role(catalog: &Catalog, spelling: &str) -> Option<RoleId> {
    let by_id = RoleId::parse(spelling).and_then(|id| catalog.role(id));
    by_id.or_else(|| catalog.role_named(spelling)).map(|role| role.id)
}

/// What an update amounts to: reading the member, and one action for each part it mentions, changed or not, so that
/// nobody learns what they may not change.
fn actions<'a>(before: &'a Member, after: &'a Member, update: &Update, catalog: &'a Catalog) -> Vec<Action<'a>> {
    let mut actions = vec![Action::Read];
    if !(update.first_name.is_keep() && update.last_name.is_keep() && update.profession.is_keep()) {
        actions.push(Action::UpdateProfile);
    }
    if update.roles.is_some() {
        let names = |roles: BTreeSet<RoleId>| -> BTreeSet<&'a str> {
            roles.iter().filter_map(|id| catalog.role(*id)).map(|role| role.name.as_str()).collect()
        };
        actions.push(Action::AssignRole {
            adds: names(&after.roles - &before.roles),
            removes: names(&before.roles - &after.roles),
            rank: catalog.rank(&after.roles),
            gains: catalog.gains(before, after),
        });
    }
    if update.status.is_some() {
        actions.push(Action::SetStatus(after.status));
    }
    if update.groups.is_some() {
        actions.push(Action::SetGroups {
            joins: &after.groups - &before.groups,
            leaves: &before.groups - &after.groups,
            manages: &after.manages - &before.manages,
        });
    }
    actions
}

/// The attributes that differ, as JSON.
fn changes(before: &Member, after: &Member) -> Result<BTreeMap<String, Change>, Problem> {
    let attributes = |member: &Member| match serde_json::to_value(member) {
        Ok(Value::Object(attributes)) => Ok(attributes),
        _ => Err(Problem::Internal("a member is no JSON object".to_owned())),
    };
    let (before, after) = (attributes(before)?, attributes(after)?);
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let names = names.into_iter().filter(|name| !BOOKKEEPING.contains(&name.as_str()));
    let changes = names.map(|name| (name, [&before, &after].map(|of| of.get(name).unwrap_or(&Value::Null))));
    let changes = changes.filter(|(_, [from, to])| from != to);
    Ok(changes.map(|(name, [from, to])| (name.clone(), Change { from: from.clone(), to: to.clone() })).collect())
}

/// A list of strings as a structured header field (RFC 9651): quoted where they are ASCII, else as display strings.
fn structured_list(texts: &[String]) -> String {
    let item = |text: &String| {
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

impl Dialect {
    /// Whether answers show the member's picture, which is then read along.
    fn shows_pictures(self) -> bool {
        matches!(self, Dialect::Users | Dialect::Directory)
    }
}
