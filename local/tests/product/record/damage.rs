//! Whatever somebody does to stored events is found: by `verify`, or by the last checkpoint. `SEED` and `ROUNDS` try other damage.

use fastrand::Rng;
use local::dynamodb::Client;
use serde_json::json;
use shared::domain::event::Deed;
use shared::domain::{Author, Event, Subject, Time};
use shared::id::{LabelId, UserId};
use shared::table::key::{Key, TenantKeys};
use shared::table::{decode, encode};

use super::checkpoints::{checked, export, sign};
use super::{Product, quiet_tenant};

/// How many labels there are of long ago, each with one event, and how many changes of each of two members there are of today.
const LABELS: u32 = 12;
const CHANGES: usize = 5;

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

    /// Puts an event in the place of a version.
    async fn put(&self, version: u64, event: &Event) {
        let listed = self.keys.happened(event.at, &event.subject, version);
        let item = encode(&self.keys.event(&event.subject, version), Some(&listed), event).unwrap();
        self.product.store.put(item).await.unwrap();
    }

    async fn delete(&self, key: &Key) {
        let key = json!({ "PK": { "S": key.pk }, "SK": { "S": key.sk } });
        let input = json!({ "TableName": self.product.template.table_name(), "Key": key });
        self.client.call("DeleteItem", &input).await.unwrap();
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
    sign(&product).await;
    let (_, owner) = local::demo::find(&product.store, "damage", "member1@damage.example").await.unwrap();
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
    let subjects: Vec<_> = labels.chain(of_members).collect();
    for (_, shown) in &subjects {
        assert!(is_whole(shown).await, "{shown}");
    }

    let seed = number("SEED", 7);
    let mut rng = Rng::with_seed(seed);
    for round in 0..number("ROUNDS", 60) {
        // A long chain as often as a short one.
        let at = if rng.bool() { rng.usize(..subjects.len()) } else { subjects.len() - 1 - rng.usize(..2) };
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
                Some(event) => table.put(before.version, event).await,
                None => table.delete(&table.keys.event(subject, before.version)).await,
            }
        }
        assert!(!is_whole(shown).await, "SEED={seed}, round {round}: {shown}: {after:#?}");
        for event in &chain {
            table.put(event.version, event).await;
        }
        // A short chain can be gone with its record: then only the checkpoint shows it.
        if at < LABELS as usize && rng.bool() {
            let record = table.keys.label(LabelId::new(at as u32 + 1));
            let item = product.store.get(&record).await.unwrap().unwrap();
            table.delete(&table.keys.event(subject, 1)).await;
            table.delete(&record).await;
            let (events, checkpoints) = export(&product, who).await;
            let why = checked(&events, &checkpoints, &keys).unwrap_err();
            assert!(why.contains("covers"), "SEED={seed}, round {round}: {why}");
            product.store.put(item).await.unwrap();
            table.put(1, &chain[0]).await;
        }
        assert!(is_whole(shown).await, "SEED={seed}, round {round}: as before");
    }
}
