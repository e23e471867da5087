//! The exact cost of a call: requests to the table, and capacity units.

use local::front::Record;
use local::store;
use serde_json::{Value, json};
use shared::domain::{Group, Member, role};
use shared::id::{GroupId, MembershipId, RoleId, UserId};
use shared::table::Item;

use crate::dialects::{Dialects, FUNCTIONS};
use crate::harness::{ACME, Product, USER, turn};

/// The requests of one call, and its read and write units.
type Cost = (Vec<String>, f64, f64);

const TWO: [&str; 2] = ["BatchGetItem", "TransactWriteItems"];
const FOUR: [&str; 4] = ["BatchGetItem", "Query", "BatchGetItem", "TransactWriteItems"];
const THREE: [&str; 3] = ["BatchGetItem", "Query", "TransactWriteItems"];

impl Product {
    /// What functions have asked of the table since the last look. The one that publishes changes works beside those that are called.
    pub fn records(&self) -> Vec<Record> {
        let mut records = self.server.take_records();
        records.retain(|record| record.function.as_deref() != Some("events-publish"));
        records
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_round_trips_whatever_the_size_of_the_tenant() {
    let _turn = turn().await;
    let mut costs = Vec::new();
    for (members, groups) in [(10, 10), (20_000, 10_000)] {
        let product = Product::start().await;
        fill(&product, members).await;
        fill_groups(&product, groups);
        costs.push(measure(&product).await);
        product.server.shutdown().await;
    }
    assert_eq!(costs[0], costs[1], "a tenant of 10 members and groups, and one of 20,000 and 10,000");
    assert_units(&costs[0]);
}

/// Cold, then warm, then after the catalog has moved, for each of the five.
async fn measure(product: &Product) -> Vec<(&'static str, Vec<Cost>)> {
    let calls = Dialects::new(product).await;
    let mut all = Vec::new();
    for function in FUNCTIONS {
        let mut costs = Vec::new();
        for (attempt, role) in [role::ADMIN, role::USER, role::ADMIN, role::USER].into_iter().enumerate() {
            if attempt == 2 {
                product.move_catalog(ACME).await;
            }
            product.records();
            let reply = calls.set_role(function, role).await;
            assert_eq!(reply.status, 200, "{}: {reply:?}", function);
            let records = product.records();
            let mine = records.iter().filter(|record| record.function.as_deref() == Some(function));
            let mut operations: Vec<_> = mine.clone().map(|record| record.operation.clone()).collect();
            let read = mine.clone().map(|record| record.read_units).sum();
            let write = mine.map(|record| record.write_units).sum();
            if attempt == 0 {
                // The keys, which the process read when it started.
                assert_eq!(operations.remove(0), "BatchGetItem");
            }
            // The member's group and label: these dialects show names.
            let shows_names = matches!(function, "users-update" | "directory-update-user");
            let expected = match attempt {
                0 if shows_names => &FOUR[..],
                0 | 2 => &THREE,
                _ => &TWO,
            };
            assert_eq!(operations, expected, "{} call {attempt}", function);
            costs.push((operations, read, write));
        }
        all.push((function, costs));
    }
    all
}

/// Read and write units of a warm call that changes a role of a member: reading is one unit an item of at most 4 KB;
/// writing in a transaction two units an item, conditions included, and one an entry of the index.
fn assert_units(costs: &[(&str, Vec<Cost>)]) {
    let warm: Vec<(&str, f64, f64)> = costs.iter().map(|(name, costs)| (*name, costs[1].1, costs[1].2)).collect();
    let expected = [
        ("tenant-update-user-role", 3.0, 14.0),
        ("users-update", 4.0, 14.0),
        ("directory-update-user", 4.0, 14.0),
        ("membership-update-user", 3.0, 14.0),
        ("organization-assign-role", 3.0, 14.0),
    ];
    assert_eq!(warm, expected);
}

/// The product's own API, by functions that are warm and know the rules.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_shown_in_one_round_trip_and_a_role_made_in_two() {
    let _turn = turn().await;
    let product = Product::start().await;
    let token = product.access("acme", "admin@acme.example").await;
    let role = |number| format!("/v1/roles/{}", RoleId::new(number).uuid_in(ACME));
    let (user, me) = (format!("/v1/users/{}", USER.uuid()), "/v1/users/me".to_owned());
    let named = |name: &str| Some(json!({ "name": name }));
    let call = async |method, path: &str, body: Option<Value>, status| {
        product.records();
        let reply = product.users(&token, ACME, (method, path), &[], body).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        let records = product.records();
        let operations: Vec<_> = records.iter().map(|record| record.operation.clone()).collect();
        let read: f64 = records.iter().map(|record| record.read_units).sum();
        (operations.join(" "), read, records.iter().map(|record| record.write_units).sum::<f64>())
    };
    // A second one for the names of the groups, until the function knows them.
    for path in [&user, &me] {
        let (operations, ..) = call("GET", path, None, 200).await;
        assert!(
            operations.ends_with("BatchGetItem BatchGetItem") || operations.ends_with("Query BatchGetItem"),
            "{operations}"
        );
    }
    // The tenant, the caller, the member and a picture.
    assert_eq!(call("GET", &user, None, 200).await, ("BatchGetItem".to_owned(), 4.0, 0.0));
    assert_eq!(call("GET", &me, None, 200).await, ("BatchGetItem".to_owned(), 3.0, 0.0));

    // A call that is refused reads the rules, too.
    call("POST", "/v1/roles", named("owner"), 409).await;
    let made = call("POST", "/v1/roles", named("clerk"), 201).await;
    assert_eq!(made, (TWO.join(" "), 2.0, 9.0));

    // First to give the role to nobody any more, then, with the rules of now, to delete it. The last Query of each half is for
    // a holder of the role.
    call("DELETE", &role(4), None, 409).await;
    let deleted = call("DELETE", &role(5), None, 204).await;
    let halves = ["BatchGetItem Query TransactWriteItems", "BatchGetItem Query Query TransactWriteItems"];
    assert_eq!(deleted, (halves.join(" "), 7.0, 20.0));
}

/// Further users of acme, beside the five of the demo data, until it has `members`.
pub async fn fill(product: &Product, members: u32) {
    let model = product.member(ACME, USER).await;
    let more: Vec<u32> = (1000..1000 + members - 5).collect();
    for numbers in more.chunks(5_000) {
        product.server.import(numbers.iter().flat_map(|number| member_items(&model, *number)).collect()).unwrap();
    }
}

/// Further groups of acme, beside the two of the demo data, until it has `groups`.
fn fill_groups(product: &Product, groups: u32) {
    let group = |number| Group::new(GroupId::new(number), &format!("Group {number}"), shared::now());
    for numbers in (1000..1000 + groups - 2).collect::<Vec<u32>>().chunks(5_000) {
        let items = numbers.iter().flat_map(|it| store::record_items(ACME, &group(*it), shared::now()).unwrap());
        product.server.import(items.collect()).unwrap();
    }
}

fn member_items(model: &Member, number: u32) -> Vec<Item> {
    let member = Member {
        id: MembershipId::new(number),
        user: UserId::new(number),
        email: format!("member{number}@acme.example"),
        ..model.clone()
    };
    store::record_items(member.tenant, &member, member.meta.created_at).unwrap()
}
