//! Whatever somebody does to stored events is found: by `verify`, or by the last checkpoint. `SEED` and `ROUNDS` try other damage.

use fastrand::Rng;
use local::dynamodb::Client;
use local::{store, token};
use serde_json::json;
use shared::domain::event::{Deed, Stamp};
use shared::domain::job::{EventFilters, Job, State, Task};
use shared::domain::{Author, Event, Subject, Thing, Time};
use shared::id::{JobId, LabelId, TenantId, UserId};
use shared::table::key::{Key, TenantKeys};
use shared::table::stored::Stored;
use shared::table::{decode, encode};

use super::checkpoints::{checked, export, sign};
use super::{DAY, Product, quiet_tenant};

/// How many labels there are of long ago, each with one event, and how many changes of each of two members there are of today.
const LABELS: u32 = 12;
const CHANGES: usize = 5;

/// How many things, sessions, jobs and readings there are of some days ago. A thing has several events, and each of the others has
/// one. Only a checkpoint holds those of a session and of a reading.
const THINGS: u32 = 4;
const STEPS: i64 = 3;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What stands in the table.
struct Table<'a> {
    product: &'a Product,
    keys: TenantKeys,
    client: Client,
}

impl Table<'_> {
    async fn chain(&self, subject: &Subject) -> Vec<Event> {
        let range = Key { sk: "EVENT#".to_owned(), ..self.keys.event(subject, 0) };
        let items = self.product.store.query(&range).await.unwrap();
        items.into_iter().map(|item| decode(item).unwrap()).collect()
    }

    /// Puts an event in the place of a version of a subject.
    async fn put(&self, subject: &Subject, version: u64, event: &Event) {
        let listed = self.keys.happened(event.at, subject, version);
        let item = encode(&self.keys.event(subject, version), Some(&listed), event).unwrap();
        self.product.store.put(item).await.unwrap();
    }

    /// Puts events where they belong.
    async fn put_back(&self, events: &[Event]) {
        for event in events {
            self.put(&event.subject, event.version, event).await;
        }
    }

    async fn delete(&self, key: &Key) {
        let key = json!({ "PK": { "S": key.pk }, "SK": { "S": key.sk } });
        let input = json!({ "TableName": self.product.template.table_name(), "Key": key });
        self.client.call("DeleteItem", &input).await.unwrap();
    }
}

fn by_seeding(tenant: TenantId, at: Time, transaction: &str) -> Stamp {
    Stamp {
        tenant,
        at,
        author: Author::Product("seed".to_owned()),
        impersonator: None,
        approver: None,
        request: "seed".to_owned(),
        transaction: transaction.to_owned(),
        secret: transaction.to_owned(),
    }
}

/// Puts a thing of some days ago into the table. Something happened to it each hour.
fn put_thing(product: &Product, tenant: TenantId, name: &str, began: Time) {
    let mut before: Option<Thing> = None;
    for step in 0..STEPS {
        let at = Time::from_millis(began.millis() + step * 60 * 60 * 1_000);
        let mut after = before.clone().unwrap_or_else(|| Thing::new(name, at));
        after.action = Some(format!("step-{step}"));
        let written =
            Thing::stamped(&by_seeding(tenant, at, name), None, before.as_ref(), Some(&mut after)).unwrap().unwrap();
        product.server.import(written.items().unwrap()).unwrap();
        before = Some(after);
    }
}

/// Puts a session of some days ago into the table.
fn put_session(product: &Product, tenant: TenantId, (user, id): (UserId, &str), at: Time) {
    let ends = shared::now().seconds() + 30 * 24 * 60 * 60;
    let session = token::session(user, id, format!("of {id}"), ends, at);
    product.server.import(store::record_items(tenant, &session, at).unwrap()).unwrap();
}

/// Puts a job of some days ago into the table, which is done.
fn put_job(product: &Product, tenant: TenantId, id: JobId, at: Time) {
    let mut job = Job::new(id, Task::CountSeats, at);
    (job.state, job.expires_at) = (State::Done, Some(shared::now().seconds() + 30 * 24 * 60 * 60));
    product.server.import(store::record_items(tenant, &job, at).unwrap()).unwrap();
}

/// Puts a look at the record of some days ago into the table.
fn put_reading(product: &Product, tenant: TenantId, id: &str, at: Time) {
    let event = by_seeding(tenant, at, id).reading("events", &EventFilters::default()).unwrap();
    let (keys, Event { subject, version, .. }) = (TenantKeys(tenant), &event);
    let item = encode(&keys.event(subject, *version), Some(&keys.happened(at, subject, *version)), &event).unwrap();
    product.server.import(vec![item]).unwrap();
}

/// Puts things, sessions, jobs and readings into the table. Returns them, and as filters name them.
fn put_past(product: &Product, tenant: TenantId, user: UserId) -> Vec<(Subject, String)> {
    let now = shared::now().millis();
    let mut subjects = Vec::new();
    for number in 0..THINGS {
        let began = Time::from_millis(now - i64::from(number + 2) * DAY);
        let (name, id) = (format!("order:{number}"), format!("0b3e0f5e-33a4-4b0f-9d3c-{number:012}"));
        let (job, look) = (JobId::new(number + 1), format!("1b3e0f5e-33a4-4b0f-9d3c-{number:012}"));
        put_thing(product, tenant, &name, began);
        put_session(product, tenant, (user, &id), began);
        put_job(product, tenant, job, began);
        put_reading(product, tenant, &look, began);
        subjects.extend([("thing", name), ("session", id), ("reading", look)].map(|(kind, id)| {
            let shown = format!("{kind}:{id}");
            (Subject::new(kind, id), shown)
        }));
        subjects.push((Subject::new("job", job), format!("job:{}", job.uuid_in(tenant))));
    }
    subjects
}

/// Puts two events of different subjects each in the other's place; or, under false names, each as if it were of the other's
/// subject.
async fn swap(table: &Table<'_>, [one, other]: [&Event; 2], are_renamed: bool) {
    for (event, place) in [(one, other), (other, one)] {
        let mut event = event.clone();
        if are_renamed {
            (event.subject, event.version) = (place.subject.clone(), place.version);
        }
        table.put(&place.subject, place.version, &event).await;
    }
}

/// Another event in its place: any part of it is another one.
fn edited(event: &Event, rng: &mut Rng) -> Event {
    let mut event = event.clone();
    match rng.u8(0..8) {
        0 => event.at = Time::from_millis(event.at.millis() + 1),
        1 => event.author = Author::User(UserId::new(99)),
        2 => event.approver = Some(UserId::new(99)),
        3 => event.request.push('x'),
        4 => event.previous = "0".repeat(64),
        5 => event.deed = if event.deed == Deed::Updated { Deed::Created } else { Deed::Updated },
        6 => event.version += 1,
        _ => {
            let place = rng.usize(0..event.changes.len());
            let change = event.changes.values_mut().nth(place).unwrap();
            (change.from, change.to) = (json!("before"), json!("after"));
        }
    }
    event
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_to_stored_events_is_found() {
    let product = Product::start().await;
    let days: Vec<i64> = (1..=i64::from(LABELS)).rev().collect();
    let (tenant, token) = quiet_tenant(&product, "damage", &days).await;
    let who = (token.as_str(), tenant);
    let (_, owner) = local::demo::find(&product.store, "damage", "member1@damage.example").await.unwrap();
    let past = put_past(&product, tenant, owner);
    sign(&product).await;
    let members = [1, 2].map(|place| UserId::new(owner.number() + place));
    for change in 0..CHANGES {
        for member in members {
            let body = json!({ "first_name": format!("Name {change}"), "metadata": { "change": change.to_string() } });
            let path = format!("/v1/users/{}", member.uuid());
            let changed = product.users(&token, tenant, ("PATCH", &path), &[], Some(body)).await;
            assert_eq!(changed.status, 200, "{changed:?}");
        }
    }
    let keys = product.call("GET", "/.well-known/jwks.json", &[], "").await.json().to_string();
    let client = Client::new(&product.server.dynamodb_url());
    let table = Table { product: &product, keys: TenantKeys(tenant), client };
    // Whether all is as it was, as far as anybody can see.
    let is_whole = async |subject: &str| {
        let path = format!("/v1/events/verify?subject={subject}");
        let verified = product.users(&token, tenant, ("GET", &path), &[], None).await;
        if verified.status != 200 || verified.json()["is_intact"] != true {
            return false;
        }
        let (events, checkpoints) = export(&product, who).await;
        checked(&events, &checkpoints, &keys).is_ok()
    };
    let labels = (1..=LABELS).map(|number| {
        let id = LabelId::new(number);
        (Subject::new("label", id), format!("label:{}", id.uuid_in(tenant)))
    });
    let of_members = members.map(|user| (Subject::new("member", user), format!("member:{}", user.uuid())));
    let others = LABELS as usize..LABELS as usize + past.len();
    let subjects: Vec<_> = labels.chain(past).chain(of_members).collect();
    for (_, shown) in &subjects {
        assert!(is_whole(shown).await, "{shown}");
    }

    let seed = number("SEED", 7);
    let mut rng = Rng::with_seed(seed);
    for round in 0..number("ROUNDS", 60) {
        // A long chain as often as a short one.
        let at = match rng.u8(0..3) {
            0 => rng.usize(..subjects.len()),
            1 => rng.usize(others.clone()),
            _ => subjects.len() - 1 - rng.usize(..2),
        };
        let (subject, shown) = &subjects[at];
        let chain = table.chain(subject).await;
        let mut after: Vec<Option<Event>> = chain.iter().cloned().map(Some).collect();
        let place = rng.usize(..chain.len());
        let other = rng.usize(..chain.len());
        match rng.u8(0..4) {
            0 => after[place] = Some(edited(&chain[place], &mut rng)),
            1 => after[place] = None,
            2 if place != other => after.swap(place, other),
            _ => after[place..].fill(None),
        }
        for (before, after) in chain.iter().zip(&after) {
            match after {
                Some(event) => table.put(subject, before.version, event).await,
                None => table.delete(&table.keys.event(subject, before.version)).await,
            }
        }
        assert!(!is_whole(shown).await, "SEED={seed}, round {round}: {shown}: {after:#?}");
        table.put_back(&chain).await;
        // A chain can be gone with its record: then only the checkpoint shows it.
        let record = match subject.kind.as_str() {
            "label" => Some(table.keys.label(LabelId::new(at as u32 + 1))),
            "job" => Some(table.keys.job(JobId::new(subject.id.parse().unwrap()))),
            "thing" => Some(table.keys.thing(&subject.id)),
            _ => None,
        };
        if let Some(record) = record.filter(|_| rng.bool()) {
            let item = product.store.get(&record).await.unwrap().unwrap();
            for event in &chain {
                table.delete(&table.keys.event(subject, event.version)).await;
            }
            table.delete(&record).await;
            let (events, checkpoints) = export(&product, who).await;
            let why = checked(&events, &checkpoints, &keys).unwrap_err();
            assert!(why.contains("covers"), "SEED={seed}, round {round}: {why}");
            product.store.put(item).await.unwrap();
            table.put_back(&chain).await;
        }
        // Two subjects can have each other's events.
        if rng.bool() {
            let elsewhere = (at + 1 + rng.usize(..subjects.len() - 1)) % subjects.len();
            let (foreign, foreign_shown) = &subjects[elsewhere];
            let foreign = table.chain(foreign).await;
            let events = [&chain[place], &foreign[rng.usize(..foreign.len())]];
            let are_renamed = rng.bool();
            swap(&table, events, are_renamed).await;
            for shown in [shown, foreign_shown] {
                let is_found = !is_whole(shown).await;
                assert!(is_found, "SEED={seed}, round {round}: {shown}, renamed {are_renamed}: {events:#?}");
            }
            table.put_back(&chain).await;
            table.put_back(&foreign).await;
            assert!(is_whole(foreign_shown).await, "SEED={seed}, round {round}: {foreign_shown} as before");
        }
        assert!(is_whole(shown).await, "SEED={seed}, round {round}: as before");
    }
}
