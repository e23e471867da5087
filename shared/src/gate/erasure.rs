//! The erasure of a member: a job takes away what names the person, in the tenant's items, answers and events.
//!
//! Each piece only takes away, or puts in the place of an item what it would put there again. So a worker that takes over does the same
//! piece once more, and two workers do no harm. The member's own record is the last: until then it says whom to look for.

mod lines;
mod pages;
mod person;

use domain::id::UserId;
use domain::job::{Format, Lines, Place, Progress, Stage, State, Task};
use domain::member::Erasure;
use domain::member::change::Presence;
use domain::policy::{self, Action};
use domain::problem::Denial;
use domain::{
    ApiKey, ApiKeyEdit, Event, Job, JoinRequest, Member, MemberEdit, Problem, Record, Session, Subject, Thing, User,
};

use super::facts::Unseen;
use super::jobs::{Worker, next};
use super::list::{lost, sort_key};
use super::plan::Plan;
use super::{Caller, Deletion, Reads, Recorded};
use crate::table::key::{self, Range, TenantKeys};
use crate::table::stored::{Reference, event_item};
use crate::table::{Condition, Item, decode, key_of};
use pages::Pages;
use person::Person;

/// How many items a piece reads at most.
const PIECE: i32 = 100;

/// Gives the lines of a part with an empty one in the place of each that the function says is somebody's; `None` if it says so of none.
pub type WithoutLines = fn(Format, &str, &dyn Fn(&str) -> bool) -> Option<String>;

/// What a piece has done.
struct Done {
    items: usize,
    /// The sort key of the last item that is done, unless the stage is over.
    after: Option<String>,
    lines: Option<Lines>,
}

impl Done {
    fn new(items: usize, after: Option<String>) -> Self {
        Self { items, after, lines: None }
    }

    /// Ends with the lines of a job, which comes behind the item `before`. A worker of an older release does all of them again.
    fn with_lines(items: usize, before: Option<String>, job: String, last: Option<String>) -> Self {
        match last {
            Some(after) => Self { items, after: before, lines: Some(Lines { job, after }) },
            None => Self::new(items, Some(job)),
        }
    }
}

/// The record stays one that other people can rely on.
fn not_oneself() -> Denial {
    Denial::plain("own-erasure", "member:remove", "Another member must do that.")
}

impl Plan<'_> {
    /// Lets a job erase the member whom [`Reads::erased`] named. If the member is not removed yet, they are from now on.
    ///
    /// # Errors
    /// [`Problem::NotFound`]; [`Problem::LimitReached`]: no number is left for a job.
    pub fn erase_member(&mut self, caller: &Caller, user: Option<UserId>) -> Result<Deletion, Problem> {
        let facts = self.facts;
        let found = facts.member(user).or_else(|_| facts.removed(user)).ok();
        let unseen = found.filter(|Unseen(member)| !member.is_erased()).ok_or(Problem::NotFound("user"))?;
        let Unseen(member) = unseen;
        // Nor does a key that they have made.
        if caller.starter()?.member == Some(member.user) {
            self.denied.get_or_insert_with(|| Problem::Forbidden(not_oneself()));
        }
        let under_way = member.erasure.and_then(|_| facts.job().ok());
        let id = match under_way {
            Some(Unseen(job)) => job.id,
            None => self.number(|numbers| &mut numbers.jobs)?,
        };
        let presence = Some(Presence::Erasing(facts.now(), id));
        self.update(unseen, &MemberEdit { presence, ..MemberEdit::default() });
        if let Some(Unseen(job)) = under_way {
            self.decide_on(Job::KIND, &[Action::ReadEvents], &policy::tenant(facts.tenant().id));
            return Ok(Deletion::Continues(Box::new(job.clone())));
        }
        Ok(self.start(id, Task::EraseMember { user: member.user }))
    }

    /// Leaves nothing in the member's own record. Its event is written as one that is erased: nobody can have read its values.
    fn erase(&mut self) {
        let presence = Some(Presence::Erased(self.facts.now()));
        if let Some(member) = self.facts.members().next() {
            self.update(member, &MemberEdit { presence, ..MemberEdit::default() });
            self.erase_last();
        }
    }

    /// The same for an API key.
    fn erase_key(&mut self) {
        if let Some(key) = self.facts.any_api_key() {
            self.update(key, &ApiKeyEdit::Erase);
            self.erase_last();
        }
    }

    /// A request to join goes as a whole.
    fn erase_join_request(&mut self) {
        if let Ok(request) = self.facts.join_request() {
            self.delete(request);
            self.erase_last();
        }
    }

    fn erase_last(&mut self) {
        if let Some(written) = self.written.last_mut() {
            written.event = written.event.erased();
        }
    }
}

/// Erases a further part. The job is done with the member's own record.
///
/// # Errors
/// The table cannot be read or written, or a job whose lines can have the person is under way.
pub(super) async fn piece(worker: &Worker<'_>, user: UserId, without: WithoutLines) -> Result<(), Problem> {
    let Worker { asked, keys, job } = *worker;
    let member: Option<Member> = asked.table.read(&keys.member(user)).await?;
    let under_way = Some(Erasure { job: job.id, done_at: None });
    let Some(member) = member.filter(|member| member.erasure == under_way) else {
        return worker.end(Reads::job(Some(job.id)), &|_| {}).await;
    };
    let eraser = Eraser { worker, person: &whom(worker, &member).await?, without };
    let Place { stage, after, lines, since } = job.progress.place.clone().unwrap_or_default();
    let done = match (lines, stage) {
        (Some(lines), _) => eraser.further_lines(after, lines).await?,
        (None, Stage::Records) => eraser.records(after.as_deref()).await?,
        (None, Stage::Identities) => eraser.identities(after.as_deref()).await?,
        (None, Stage::Answers) => eraser.answers(after.as_deref()).await?,
        (None, Stage::Events) => eraser.events(after.as_deref()).await?,
        (None, Stage::Exports) => eraser.exports(after.as_deref(), since).await?,
        (None, Stage::Own) => return eraser.own(&member).await,
    };
    let Done { items, after, lines } = done;
    let is_over = after.is_none() && lines.is_none();
    if stage == Stage::Records && is_over {
        // An answer that is made from now on shows nobody who is gone from the records.
        asked.table.renew(keys).await?;
    }
    let now = (asked.clock)();
    let (stage, since) = if is_over { (stage.next(), Some(now)) } else { (stage, since) };
    let done = job.progress.done + items;
    let progress = Progress { done, place: Some(Place { stage, after, lines, since }), ..next(&job.progress, now) };
    asked.table.set_progress(&keys.job(job.id), State::Running, &progress).await.map(drop)
}

/// Whom to look for: the member, by their former names and addresses, too.
async fn whom(worker: &Worker<'_>, member: &Member) -> Result<Person, Problem> {
    let mut person = Person::new(member);
    let mut events = Pages::of(worker, worker.keys.events_of(&member.subject()));
    while let Some(page) = events.following().await? {
        for item in page {
            person.learn(&decode(item)?);
        }
    }
    Ok(person)
}

struct Eraser<'a> {
    worker: &'a Worker<'a>,
    person: &'a Person,
    without: WithoutLines,
}

impl Eraser<'_> {
    /// The next items of a range behind a sort key, and whether there are more.
    async fn page(&self, range: &Range, after: Option<&str>) -> Result<(Vec<Item>, bool), Problem> {
        let after = after.map(|sk| range.at(sk));
        self.worker.asked.table.page(range, after.as_ref().map(|key| (key, None)), PIECE).await
    }

    /// The records of the tenant.
    async fn records(&self, after: Option<&str>) -> Result<Done, Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let (items, more) = self.page(&Range::of(keys.all()), after).await?;
        let (mut done, mut last) = (0, after.map(str::to_owned));
        for item in items {
            let key = key_of(&item)?;
            asked.table.remove_author(&key, &item, self.person.user).await?;
            done += 1;
            let before = last.replace(key.sk.clone());
            if key.sk.starts_with(&keys.api_keys().sk) {
                self.api_key(&decode(item)?).await?;
            } else if key.sk.starts_with(&keys.join_requests().sk) {
                self.join_request(&decode(item)?).await?;
            } else if key::job_at(&key).is_some() {
                let job: Job = decode(item)?;
                let has_lines = job.task.exporter().is_some() || matches!(job.task, Task::ImportUsers { .. });
                if has_lines {
                    if job.meta.created_at <= self.worker.job.meta.created_at {
                        lines::ended(&job)?;
                    }
                    let lines = self.lines(job.id, None).await?;
                    // They can be many: enough for a piece.
                    return Ok(Done::with_lines(done, before, key.sk, lines));
                }
            }
        }
        Ok(Done::new(done, last.filter(|_| more)))
    }

    /// A key that the person has made, unless an owner has taken it over.
    async fn api_key(&self, key: &ApiKey) -> Result<(), Problem> {
        if key.maker != Some(self.person.user) {
            return Ok(());
        }
        let reads = Reads::api_key(Some(key.id));
        self.worker
            .as_product(reads, &|plan| {
                plan.erase_key();
                Ok(())
            })
            .await?;
        self.chain(&key.subject()).await
    }

    /// A request of the person to join: they have come in by another way.
    async fn join_request(&self, request: &JoinRequest) -> Result<(), Problem> {
        if !self.person.has_address(&request.email) {
            return Ok(());
        }
        let reads = Reads::join_request(Some(request.id));
        self.worker
            .as_product(reads, &|plan| {
                plan.erase_join_request();
                Ok(())
            })
            .await?;
        self.chain(&request.subject()).await
    }

    /// As whom an issuer knows the person.
    async fn identities(&self, after: Option<&str>) -> Result<Done, Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let (items, more) = self.page(&Range::of(keys.identities()), after).await?;
        let (done, mut last, mut theirs) = (items.len(), None, Vec::new());
        for item in items {
            let key = key_of(&item)?;
            last = Some(key.sk.clone());
            let identity: Reference<_> = decode(item)?;
            theirs.extend(Some(key).filter(|_| identity.number == self.person.user));
        }
        asked.table.clear(&theirs).await?;
        Ok(Done::new(done, last.filter(|_| more)))
    }

    /// The answers on record. One that shows the person stays without its body: the request is still not done twice. The key of a
    /// client's can have an address in it, and cannot be changed.
    async fn answers(&self, after: Option<&str>) -> Result<Done, Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let range = Range { in_index: true, ..Range::of(keys.answers()) };
        let after = after.map(|sk| (TenantKeys::answer_at(sk), range.at(sk)));
        let after = after.as_ref().map(|(key, listed)| (key, Some(listed)));
        let (items, more) = asked.table.page(&range, after, PIECE).await?;
        let (done, mut last) = (items.len(), None);
        for item in items {
            let key = key_of(&item)?;
            let recorded: Recorded = decode(item)?;
            // A job shows nobody: it names people by their ids.
            let is_of_job = recorded.status == 202;
            if self.person.is_addressed(&key.sk) {
                asked.table.clear(std::slice::from_ref(&key)).await?;
            } else if !is_of_job && self.person.is_shown(&recorded.body) {
                let there = Condition::new("attribute_exists(PK)").with(":none", "")?;
                asked.table.set(&key, "body = :none", there).await?;
            }
            last = Some(key.sk);
        }
        Ok(Done::new(done, last.filter(|_| more)))
    }

    /// The events of the tenant, by the index.
    async fn events(&self, after: Option<&str>) -> Result<Done, Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let range = Range { in_index: true, ..Range::of(keys.record()) };
        let after = after.map(|sk| Ok::<_, Problem>((keys.event_listed(sk).ok_or_else(lost)?, range.at(sk))));
        let after = after.transpose()?;
        let after = after.as_ref().map(|(key, listed)| (key, Some(listed)));
        let (items, more) = asked.table.page(&range, after, PIECE).await?;
        let (done, mut last) = (items.len(), None);
        for item in items {
            last = Some(sort_key(&item, "GSI1SK")?);
            let event: Event = decode(item)?;
            // The member's own are the last: until then they say by which names and addresses to look for them.
            if event.subject.kind == Member::KIND || !self.person.is_in_event(&event) {
                continue;
            }
            match event.subject.kind.as_str() {
                Thing::KIND => self.head(&event.subject).await?,
                Session::KIND => self.session_of_another(&event).await?,
                _ => {}
            }
            self.event(&event).await?;
        }
        Ok(Done::new(done, last.filter(|_| more)))
    }

    /// The end of the chain of a thing, in which an older release has named people.
    async fn head(&self, thing: &Subject) -> Result<(), Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        for (key, item) in asked.table.get([keys.thing(&thing.id)]).await? {
            asked.table.remove_author(&key, &item, self.person.user).await?;
        }
        Ok(())
    }

    /// A session in which the person has acted as another member: it has their device, and their reason.
    async fn session_of_another(&self, event: &Event) -> Result<(), Problem> {
        let Worker { asked, keys, .. } = *self.worker;
        let of = event.changes.get("user").and_then(|change| change.to.as_i64());
        let of = of.and_then(|number| UserId::try_from(number).ok()).filter(|user| *user != self.person.user);
        let theirs = of.map(|user| keys.session(user, &event.subject.id));
        asked.table.clear(&theirs.into_iter().collect::<Vec<_>>()).await
    }

    /// The events of a subject, from the table itself: nothing lags behind.
    async fn chain(&self, subject: &Subject) -> Result<(), Problem> {
        let mut events = Pages::of(self.worker, self.worker.keys.events_of(subject));
        while let Some(page) = events.following().await? {
            for item in page {
                self.event(&decode(item)?).await?;
            }
        }
        Ok(())
    }

    /// The hash of the event stays: it covers commitments.
    async fn event(&self, event: &Event) -> Result<(), Problem> {
        if event.salt.is_none() { Ok(()) } else { self.put(event_item(&event.erased())?).await }
    }

    /// Puts an item in the place of the one that was read, unless that is gone.
    async fn put(&self, item: Item) -> Result<(), Problem> {
        self.worker.asked.table.put_if(item, Condition::new("attribute_exists(PK)")).await.map(drop)
    }

    /// What is theirs alone, and then their own record. The job is done in the same transaction.
    async fn own(&self, member: &Member) -> Result<(), Problem> {
        let Worker { asked, keys, job } = *self.worker;
        let user = self.person.user;
        let mut sessions = Pages::of(self.worker, keys.sessions(user));
        while let Some(page) = sessions.following().await? {
            for item in page {
                let key = key_of(&item)?;
                self.chain(&decode::<Session>(item)?.subject()).await?;
                asked.table.clear(&[key]).await?;
            }
        }
        asked.table.clear(&[keys.picture(user)]).await?;
        self.chain(&member.subject()).await?;
        self.outside().await?;
        let reads = Reads { job: Some(job.id), ..Reads::members(&[user]) };
        self.worker.end(reads, &|plan| plan.erase()).await
    }

    /// The person in all tenants, if they are a member of none.
    async fn outside(&self) -> Result<(), Problem> {
        let (table, user) = (self.worker.asked.table, self.person.user);
        let person: Option<User> = table.read(&key::user(user)).await?;
        let Some(person) = person else { return Ok(()) };
        if table.has_any(&key::tenants_of(user)).await? {
            return Ok(());
        }
        let by_address: Option<Reference<_>> = table.read(&key::person(&person.email)).await?;
        let theirs = by_address.filter(|it| it.number == user).map(|_| key::person(&person.email));
        table.clear(&theirs.into_iter().collect::<Vec<_>>()).await?;
        // A worker that takes over finds the address as long as it is somewhere.
        table.clear(&[key::user(user)]).await
    }
}
