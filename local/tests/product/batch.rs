//! Batches: each change is made once, whoever is killed and whoever repeats; those of one user come in their order; limits hold.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use local::front::Fault;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shared::id::UserId;

use crate::harness::{NewTenant, Product, Reply, eventually, turn};

impl Product {
    async fn batch(&self, tenant: &NewTenant, key: &str, changes: &[Value], is_atomic: bool) -> Reply {
        let headers = [("idempotency-key", key)];
        let body = json!({ "changes": changes, "atomic": is_atomic });
        let route = ("POST", "/v1/users/batch");
        self.users(&tenant.owner_token, tenant.id, route, &headers[..usize::from(!key.is_empty())], Some(body)).await
    }

    /// Kills the processes of a function.
    pub fn kill(&self, function: &str) {
        for pid in self.server.pids(function) {
            let _ = kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL);
        }
    }
}

fn create(place: usize) -> Value {
    json!({ "method": "create", "body": { "email": format!("new{place}@batch.example"), "name": format!("New {place}") } })
}

fn rename(user: UserId, name: &str) -> Value {
    json!({ "method": "update", "id": user.uuid(), "body": { "name": name } })
}

fn answers(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()["data"].as_array().unwrap().clone()
}

fn statuses(reply: &Reply) -> Vec<u64> {
    answers(reply).iter().map(|it| it["status"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_killed_and_repeated_makes_each_change_once() {
    let _turn = turn().await;
    let product = Product::start().await;
    let tenant = product.new_tenant("batch", 52).await;
    let changes: Vec<Value> = (0..50)
        .flat_map(|place| {
            [create(place), rename(tenant.member(u32::try_from(place).unwrap() + 2), &format!("R {place}"))]
        })
        .collect();
    for after in [10, 40] {
        let writes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&writes);
        product.server.set_fault(Some(Arc::new(move |request| {
            if request.function.as_deref() == Some("users-batch") && request.operation == "TransactWriteItems" {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Fault::None
        })));
        let killer = async {
            eventually(|| writes.load(Ordering::Relaxed) >= after).await;
            product.kill("users-batch");
        };
        let (reply, ()) = tokio::join!(product.batch(&tenant, "one", &changes, false), killer);
        assert!(reply.status >= 500, "killed: {}", reply.json());
    }
    product.server.set_fault(None);
    // Two clients repeat it at the same time.
    let again = || product.batch(&tenant, "one", &changes, false);
    let (one, other) = tokio::join!(again(), again());
    assert_eq!((one.json()["failed"].clone(), other.json()["failed"].clone()), (json!(0), json!(0)), "{}", one.json());
    let replayed = |reply: &Reply| answers(reply).iter().filter(|it| it["replayed"] == true).count();
    assert!(replayed(&one) + replayed(&other) > 100, "some were made before the kills");
    let last = again().await;
    assert_eq!(replayed(&last), 100);

    let ids: BTreeSet<UserId> = answers(&last)
        .iter()
        .map(|it| UserId::from_uuid(it["body"]["id"].as_str().unwrap().parse().unwrap()).unwrap())
        .collect();
    assert_eq!(ids.len(), 100);
    for user in &ids {
        let is_old = (tenant.member(2)..=tenant.member(51)).contains(user);
        assert_eq!(product.events(tenant.id, *user).await.len(), if is_old { 2 } else { 1 }, "{user}");
    }

    // Another batch under the key is refused whole, also if some of its changes have no answer yet.
    let mut longer = changes.clone();
    longer[99] = rename(tenant.member(51), "Else");
    let other = product.batch(&tenant, "one", &longer, false).await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_mismatch")));
    let other = product.batch(&tenant, "one", &changes[..3], true).await;
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_mismatch")));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_user_come_in_their_order() {
    let product = Product::start().await;
    let tenant = product.new_tenant("order", 5).await;
    let users = [2, 3, 4].map(|place| tenant.member(place));
    let changes: Vec<Value> = (0..90).map(|step| rename(users[step % 3], &format!("Name {step}"))).collect();
    assert_eq!(statuses(&product.batch(&tenant, "", &changes, false).await), [200; 90]);
    for (user, step) in users.iter().zip(87..) {
        let member = product.member(tenant.id, *user).await;
        assert_eq!(member.name(), format!("Name {step}"));
        assert_eq!(product.events(tenant.id, *user).await.len(), 31);
    }
    let email = "twice@order.example";
    let add = json!({ "method": "create", "body": { "email": email } });
    assert_eq!(statuses(&product.batch(&tenant, "", &[add.clone(), add], false).await), [201, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_refused_again_whatever_was_changed_since() {
    let product = Product::start().await;
    let tenant = product.new_tenant("again", 6).await;
    let on = |method: &str, place: u32| json!({ "method": method, "id": tenant.member(place).uuid() });
    let mut stale = rename(tenant.member(4), "Stale");
    stale["if_match"] = "\"2\"".into();
    let changes =
        [on("restore", 3), stale, on("remove", 3), rename(tenant.member(4), "New"), json!({ "method": "remove" })];
    let first = product.batch(&tenant, "same", &changes, false).await;
    assert_eq!(statuses(&first), [404, 412, 204, 200, 400]);
    let bodies = |reply: &Reply| answers(reply).iter().map(|it| it["body"].clone()).collect::<Vec<_>>();
    for _ in 0..2 {
        let again = product.batch(&tenant, "same", &changes, false).await;
        assert_eq!((statuses(&again), bodies(&again)), (statuses(&first), bodies(&first)));
        let replayed: Vec<bool> = answers(&again).iter().map(|it| it["replayed"] == true).collect();
        assert_eq!(replayed, [true, true, true, true, false], "what is wrong with a change is never on record");
    }
    assert!(!product.member(tenant.id, tenant.member(3)).await.is_present());
    assert_eq!(product.events(tenant.id, tenant.member(4)).await.len(), 2);
    // Without a key, or under another one, it is another batch: the member is there again, and is removed again.
    for key in ["", "other"] {
        let told = statuses(&product.batch(&tenant, key, &changes, false).await);
        assert_eq!([told[0], told[2]], [200, 204], "{told:?}");
    }
}

/// The table refuses the first change of a user for as long as the function waits. The second one does not overtake it.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_has_to_wait_holds_back_the_later_ones_of_its_user() {
    let _turn = turn().await;
    let product = Product::start_with(|options| {
        for function in &mut options.template.functions {
            function.timeout = Duration::from_secs(4);
        }
    })
    .await;
    let tenant = product.new_tenant("wait", 5).await;
    let [one, other] = [2, 3].map(|place| tenant.member(place));
    // The last one shares the lane of the first.
    let mut changes = vec![rename(one, "Held Up"), rename(one, "Later On"), rename(other, "Side By")];
    changes.extend((0..5).map(|place| rename(tenant.member(4), &format!("N {place}"))));
    changes.push(create(1));
    product.server.set_fault(Some(Arc::new(|request| {
        let is_held = request.operation == "TransactWriteItems" && request.body.to_string().contains("\"Held\"");
        if is_held { Fault::throttled() } else { Fault::None }
    })));
    let first = product.batch(&tenant, "wait", &changes, false).await;
    let told = statuses(&first);
    assert!(matches!(told[0], 429 | 503) && told[1] == told[0] && told[2..8] == [200; 6], "{}", first.json());
    assert_eq!(product.events(tenant.id, one).await.len(), 1);
    product.server.set_fault(None);
    let again = product.batch(&tenant, "wait", &changes, false).await;
    assert_eq!(again.json()["failed"], 0, "{}", again.json());
    assert_eq!(product.member(tenant.id, one).await.name(), "Later On");
    assert_eq!(product.events(tenant.id, one).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_none_is_one_transaction() {
    let product = Product::start().await;
    let tenant = product.new_tenant("whole", 45).await;
    let names = |name: &str| (2..42).map(|place| rename(tenant.member(place), name)).collect::<Vec<_>>();
    let all = product.batch(&tenant, "all", &names("All"), true).await;
    assert_eq!(statuses(&all), [200; 40]);
    let again = product.batch(&tenant, "all", &names("All"), true).await;
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), (Some("true"), &all.bytes));

    let mut stale = names("None");
    stale[33]["if_match"] = "\"1\"".into();
    let none = product.batch(&tenant, "", &stale, true).await;
    assert_eq!((none.status, &none.json()["details"]["change"]), (412, &json!(33)), "{}", none.json());
    for place in 2..42 {
        assert_eq!(product.member(tenant.id, tenant.member(place)).await.name(), "All");
        assert_eq!(product.events(tenant.id, tenant.member(place)).await.len(), 2);
    }
    let mut events = BTreeSet::new();
    for place in 2..42 {
        events.insert(product.events(tenant.id, tenant.member(place)).await[1].transaction.clone());
    }
    assert_eq!(events.len(), 1, "one transaction");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_takes_no_seat_too_many() {
    let product = Product::start().await;
    let tenant = product.new_tenant("seats", 2).await;
    let path = ("PATCH", "/v1/tenant");
    let seats = json!({ "settings": { "seats": 4 } });
    let set = product.users(&tenant.owner_token, tenant.id, path, &[], Some(seats)).await;
    assert_eq!(set.status, 200, "{}", set.json());
    while product.tenant(tenant.id).await.seats_counted().is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let changes: Vec<Value> = (0..9).map(create).collect();
    let whole = product.batch(&tenant, "", &changes[..3], true).await;
    assert_eq!((whole.status, &whole.json()["code"]), (422, &json!("limit_reached")), "{}", whole.json());
    let each = statuses(&product.batch(&tenant, "", &changes, false).await);
    assert_eq!([201, 422].map(|wanted| each.iter().filter(|it| **it == wanted).count()), [2, 7], "{each:?}");
    assert_eq!(product.tenant(tenant.id).await.seats_counted(), Some(4));
}
