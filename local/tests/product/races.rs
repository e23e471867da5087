//! Promises that hold in every race of requests. Each race is run 50 times, with 32 callers, against function processes that run
//! at the same time, and an engine that cancels overlapping transactions, as DynamoDB does.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use local::front::Latency;
use serde_json::{Value, json};
use shared::domain::role;
use shared::id::{TenantId, UserId};
use shared::table::fence::FENCES;
use shared::table::key::TenantKeys;

use crate::harness::{NewTenant, Product, Reply, turn, without_stream};

const ROUNDS: usize = 50;
const CALLERS: usize = 32;

/// Any other answer would be a defect. These two tell the caller to try again.
fn is_done_or_busy(reply: &Reply) -> bool {
    let retry = reply.header("retry-after").is_some();
    matches!(reply.status, 200) || (matches!(reply.status, 429 | 503) && retry)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_demote_each_other_leave_one() {
    // The second caller is no owner any more.
    one_of_two_owners_stays("each-other", |tenant| [tenant.admin, tenant.owner], 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_owners_who_step_down_at_once_leave_one() {
    // Neither changes the other's authority: only the count of owners keeps the tenant from losing both.
    one_of_two_owners_stays("themselves", |tenant| [tenant.owner, tenant.admin], 409).await;
}

/// Has the two owners of a tenant, `owner` and `admin`, each make one of `targets` a user.
async fn one_of_two_owners_stays(slug: &str, targets: fn(&NewTenant) -> [UserId; 2], refused: u16) {
    let _turn = turn().await;
    let product = Product::start_with(without_stream).await;
    let mut met = 0;
    for round in 0..ROUNDS {
        let tenant = product.new_tenant(&format!("{slug}-{round}"), 2).await;
        let promoted = product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role::OWNER).await;
        assert_eq!(promoted.status, 200, "{promoted:?}");
        assert_eq!(product.tenant(tenant.id).await.owners, 2);

        let tokens = [&tenant.owner_token, &tenant.admin_token];
        let attempts = (0..CALLERS)
            .map(|caller| product.patch_role(tokens[caller % 2], tenant.id, targets(&tenant)[caller % 2], role::USER));
        let replies = join_all(attempts).await;
        for reply in &replies {
            assert!(is_done_or_busy(reply) || reply.status == refused, "{reply:?}");
        }
        met += usize::from(replies.iter().any(|reply| reply.status == refused));

        let members = [product.member(tenant.id, tenant.owner).await, product.member(tenant.id, tenant.admin).await];
        let owners = members.iter().filter(|member| member.is_acting_owner()).count();
        assert_eq!(owners, 1, "round {round}");
        assert_eq!(product.tenant(tenant.id).await.owners, 1, "round {round}");
    }
    assert!(met > 0, "no round in which a second owner was refused: the callers did not meet");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_demoted_admin_commits_after_the_demotion() {
    // Each demotion raises the admin's fences, which the embedded engine takes long for.
    const ROUNDS: usize = 25;
    let _turn = turn().await;
    let product = Product::start().await;
    let mut met = 0;
    for round in 0..ROUNDS {
        let tenant = product.new_tenant(&format!("demoted-{round}"), 2 + CALLERS as u32).await;
        let seen = product.stream_end().await;
        let in_flight = (0..CALLERS as u32 - 1).map(async |place| {
            let user = tenant.member(2 + place);
            product.put_user(&tenant.admin_token, tenant.id, user, &[], json!({ "roles": ["admin"] })).await
        });
        let demotion = async {
            loop {
                let reply = product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role::USER).await;
                if reply.status == 200 {
                    return product.stream_end().await;
                }
                assert!(is_done_or_busy(&reply), "{reply:?}");
            }
        };
        let (replies, acknowledged) = tokio::join!(join_all(in_flight), demotion);
        for reply in &replies {
            assert!(is_done_or_busy(reply) || reply.status == 403, "{reply:?}");
        }
        // The engine's stream has the order in which changes were committed.
        let after = product.changed_members(tenant.id, acknowledged).await;
        assert_eq!(after, [], "round {round}: changes after the demotion");
        let order = product.changed_members(tenant.id, seen).await;
        let done = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(done + 1, order.len(), "round {round}: what was acknowledged is what was committed");
        met += usize::from(replies.iter().any(|reply| reply.status == 403));
    }
    assert!(met > 0, "no round in which the demoted admin was refused: the callers did not meet");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_idempotency_key_at_once_has_one_effect_and_equal_answers() {
    let _turn = turn().await;
    let product = Product::start_with(without_stream).await;
    for round in 0..ROUNDS {
        let tenant = product.new_tenant(&format!("same-{round}"), 3).await;
        let target = tenant.member(2);
        let key = [("idempotency-key", "the-same-for-all")];
        let replies =
            join_all((0..CALLERS).map(|_| {
                product.put_user(&tenant.owner_token, tenant.id, target, &key, json!({ "name": "Once Only" }))
            }))
            .await;
        let answered: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 200).collect();
        assert!(replies.iter().all(is_done_or_busy), "{replies:?}");
        let first = answered.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count();
        assert_eq!(first, 1, "round {round}");
        let bodies: BTreeSet<_> = answered.iter().map(|reply| (&reply.bytes, reply.header("etag"))).collect();
        assert_eq!(bodies.len(), 1, "round {round}");
        assert_eq!(product.events(tenant.id, target).await.len(), 2, "round {round}");
    }
}

/// While there is time, no caller is told to try again: each request starts again as often as it must.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_callers_at_once_change_one_member() {
    const CALLERS: usize = 60;
    let _turn = turn().await;
    let product = Product::start_with(|options| {
        without_stream(options);
        options.latency = Latency { read: Duration::from_millis(5), write: Duration::from_millis(10) };
    })
    .await;
    let tenant = product.new_tenant("sixty", 3).await;
    let (token, target) = (&tenant.owner_token, tenant.member(2));
    let call =
        |number| product.put_user(token, tenant.id, target, &[], json!({ "name": format!("Name Number{number}") }));
    let replies = join_all((0..CALLERS).map(async |number| call(number).await)).await;
    let versions: BTreeSet<_> = replies.iter().filter_map(|reply| reply.header("etag")).collect();
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(versions.len(), CALLERS);
    assert_eq!(product.events(tenant.id, target).await.len(), CALLERS + 1);
}

/// Many callers with one credential, each with a member of their own: they all rest on the same two facts, which get fences.
#[tokio::test(flavor = "multi_thread")]
async fn callers_who_rest_on_the_same_facts_do_not_turn_each_other_away() {
    let _turn = turn().await;
    let product = Product::start_with(|options| {
        without_stream(options);
        options.latency = Latency { read: Duration::from_millis(5), write: Duration::from_millis(10) };
    })
    .await;
    let tenant = product.new_tenant("same-facts", 2 + CALLERS as u32).await;
    for role in ["admin", "user", "admin"] {
        let change = async |place| {
            let user = tenant.member(2 + place);
            product.put_user(&tenant.admin_token, tenant.id, user, &[], json!({ "roles": [role] })).await.status
        };
        let statuses = join_all((0..CALLERS as u32).map(change)).await;
        assert_eq!(statuses, [200; CALLERS], "{role}");
    }
    assert_eq!(product.member(tenant.id, tenant.admin).await.fences, FENCES);
    assert_eq!(product.tenant(tenant.id).await.fences, FENCES);

    // Without contention a fence costs what the check of the item costs: one item of the transaction.
    product.records();
    let token = &tenant.admin_token;
    let reply = product.put_user(token, tenant.id, tenant.member(2), &[], json!({ "roles": ["user"] })).await;
    assert_eq!(reply.status, 200);
    let records = product.records();
    let operations: Vec<_> = records.iter().map(|record| record.operation.as_str()).collect();
    assert_eq!(operations, ["BatchGetItem", "TransactWriteItems"]);
    assert_eq!(records[1].write_units, 14.0);

    // A request that changes the fact raises all fences before its answer. It raises them all at once, in one further round trip.
    let demoted = product.patch_role(&tenant.owner_token, tenant.id, tenant.admin, role::USER).await;
    assert_eq!(demoted.status, 200);
    let records = product.records();
    let written: Vec<_> = records.iter().map(|record| record.operation.as_str()).collect();
    let raised = written.iter().filter(|operation| **operation == "UpdateItem").count();
    assert_eq!(raised, FENCES as usize, "{written:?}");
    let admin = product.member(tenant.id, tenant.admin).await;
    let item = TenantKeys(tenant.id).member(tenant.admin);
    for number in 0..FENCES {
        let fence = product.store.get(&item.fence(number)).await.unwrap().unwrap();
        assert_eq!(fence["version"].as_n(), Ok(&admin.authority.to_string()), "fence {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_updates_of_one_member_are_all_kept_in_one_chain() {
    const UPDATES: usize = 100;
    let _turn = turn().await;
    let product = Product::start_with(without_stream).await;
    for round in 0..ROUNDS {
        let tenant = product.new_tenant(&format!("hundred-{round}"), 3).await;
        let target = tenant.member(2);
        let next = std::sync::atomic::AtomicUsize::new(0);
        let caller = async || {
            let mut etags = Vec::new();
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= UPDATES {
                    return etags;
                }
                etags.push(update_until_done(&product, &tenant, number).await);
            }
        };
        let etags = join_all((0..CALLERS).map(|_| caller())).await.concat();
        let versions: BTreeSet<String> = (2..UPDATES + 2).map(|version| format!("\"{version}\"")).collect();
        assert_eq!(etags.len(), UPDATES);
        assert_eq!(BTreeSet::from_iter(etags), versions, "round {round}: one version each");

        let events = product.events(tenant.id, target).await;
        let names = events.iter().skip(1).filter_map(|event| event.changes.get("last_name"));
        let names: BTreeSet<String> = names.map(|change| change.to.to_string()).collect();
        assert_eq!(names.len(), UPDATES, "round {round}: every update is on record");
    }
}

/// The etag of the answer.
async fn update_until_done(product: &Product, tenant: &NewTenant, number: usize) -> String {
    loop {
        let name = json!({ "name": format!("Update Number{number}") });
        // The outcome of a 503 is unknown. Without a key, the next request could make the change a second time.
        let key = [("idempotency-key", &*format!("update-{number}"))];
        let reply = product.put_user(&tenant.owner_token, tenant.id, tenant.member(2), &key, name).await;
        if reply.status == 200 {
            return reply.header("etag").unwrap().to_owned();
        }
        assert!(is_done_or_busy(&reply), "{reply:?}");
    }
}

impl Product {
    /// The members of a tenant that were changed since a place in the stream, in the order of the commits.
    pub async fn changed_members(&self, tenant: TenantId, since: Value) -> Vec<UserId> {
        let partition = TenantKeys(tenant).tenant().pk;
        let records = self.stream_since(since).await;
        // The version has changed. A new session or a fence is no change of the member.
        let is_change = |images: &Value| images["OldImage"]["version"] != images["NewImage"]["version"];
        let changes = records.iter().filter(|record| record["eventName"] == "MODIFY" && is_change(&record["dynamodb"]));
        let keys =
            changes.map(|record| &record["dynamodb"]["Keys"]).filter(|keys| keys["PK"]["S"] == partition.as_str());
        let members = keys.filter_map(|keys| keys["SK"]["S"].as_str()?.strip_prefix("MEMBER#")?.parse().ok());
        members.map(UserId::new).collect()
    }
}
