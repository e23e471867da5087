//! The settings of a tenant: who may invite, how many seats there are, how old a token may be.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures_util::future::join_all;
use local::token::{self, Flaw};
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::Time;
use shared::id::{JobId, TenantId};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::harness::{NewTenant, Product};

async fn call(product: &Product, token: &str, tenant: TenantId, at: (&str, &str), body: Option<Value>) -> (u16, Value) {
    let reply = product.users(token, tenant, at, &[], body).await;
    let answer = if reply.content().is_empty() { Value::Null } else { reply.json() };
    (reply.status, answer)
}

async fn by_owner(
    product: &Product,
    tenant: &NewTenant,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    call(product, &tenant.owner_token, tenant.id, (method, path), body).await
}

async fn set(product: &Product, tenant: &NewTenant, settings: Value) {
    let set = by_owner(product, tenant, "PATCH", "/v1/tenant", Some(json!({ "settings": settings }))).await;
    assert_eq!(set.0, 200, "{}", set.1);
}

/// Waits until the job has counted all seats.
async fn counted(product: &Product, tenant: &NewTenant) -> i64 {
    let wait = async {
        loop {
            if let Some(taken) = product.tenant(tenant.id).await.seats_counted() {
                return taken;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.expect("the seats are counted")
}

/// The members who take a seat, counted one by one.
async fn takers(product: &Product, tenant: TenantId) -> i64 {
    let members = product.store.query(&TenantKeys(tenant).members()).await.unwrap();
    let members = members.into_iter().map(|item| decode::<shared::domain::Member>(item).unwrap());
    members.filter(|member| member.takes_seat()).count() as i64
}

fn path(tenant: &NewTenant, place: u32, rest: &str) -> String {
    format!("/v1/users/{}{rest}", tenant.member(place).uuid())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_a_seat_that_is_not_there() {
    let product = Product::start().await;
    let tenant = product.new_tenant("seats", 4).await;
    let own = async |method, path: &str, body| by_owner(&product, &tenant, method, path, body).await;
    let invite = |name: &str| Some(json!({ "email": format!("{name}@seats.example") }));
    let shown = async || own("GET", "/v1/tenant", None).await.1["seats_taken"].clone();
    assert_eq!(shown().await, Value::Null, "without a limit nobody counts");

    set(&product, &tenant, json!({ "seats": 5 })).await;
    assert_eq!(counted(&product, &tenant).await, 4);
    assert_eq!(own("POST", "/v1/users", invite("ann")).await.0, 201);
    assert_eq!(shown().await, 5);
    let full = own("POST", "/v1/users", invite("bo")).await;
    let told = json!("there can be at most 5 members who take a seat");
    assert_eq!((full.0, &full.1["code"], &full.1["message"]), (422, &json!("limit_reached"), &told));

    // A deactivated member takes none, and needs one to come back.
    let status = |status: &str| Some(json!({ "status": status }));
    assert_eq!(own("PATCH", &path(&tenant, 3, ""), status("deactivated")).await.0, 200);
    assert_eq!(shown().await, 4);
    assert_eq!(own("POST", "/v1/users", invite("bo")).await.0, 201);
    assert_eq!(own("PATCH", &path(&tenant, 3, ""), status("active")).await.0, 422);
    // A member who is removed takes none, either.
    assert_eq!(own("DELETE", &path(&tenant, 2, ""), None).await.0, 204);
    assert_eq!(own("PATCH", &path(&tenant, 3, ""), status("active")).await.0, 200);
    assert_eq!(own("POST", &path(&tenant, 2, "/restore"), None).await.0, 422);
    // Of several in one request, all need one.
    let several = json!([{ "email": "cia@seats.example" }, { "email": "dag@seats.example" }]);
    let organization = format!("/api/v1/organizations/{}/users", tenant.id.uuid());
    set(&product, &tenant, json!({ "seats": 6 })).await;
    assert_eq!(own("PUT", &organization, Some(several.clone())).await.0, 422);
    set(&product, &tenant, json!({ "seats": 7 })).await;
    assert_eq!(own("PUT", &organization, Some(several)).await.0, 200);
    assert_eq!((shown().await, takers(&product, tenant.id).await), (json!(7), 7));

    // A lower limit takes nobody's seat.
    set(&product, &tenant, json!({ "seats": 2 })).await;
    assert_eq!(own("PATCH", &path(&tenant, 3, ""), Some(json!({ "name": "Still Here" }))).await.0, 200);
    assert_eq!(own("POST", "/v1/users", invite("eva")).await.0, 422);
    assert_eq!(product.tenant(tenant.id).await.numbers.jobs, 1, "one count serves all limits");
    set(&product, &tenant, json!({ "seats": null })).await;
    assert_eq!(shown().await, Value::Null);
    assert_eq!(own("POST", "/v1/users", invite("eva")).await.0, 201);
    let body = Some(json!({ "settings": { "seats": 100 } }));
    let limited = product.users(&tenant.owner_token, tenant.id, ("PATCH", "/v1/tenant"), &[], body).await;
    let path = format!("/v1/jobs/{}", JobId::new(2).uuid_in(tenant.id));
    assert_eq!((limited.status, limited.header("location")), (200, Some(path.as_str())));
    assert_eq!(counted(&product, &tenant).await, 8, "a second count");
    let end = async {
        loop {
            let (_, job) = own("GET", &path, None).await;
            if job["state"] == "done" {
                return job;
            }
        }
    };
    let job = tokio::time::timeout(std::time::Duration::from_secs(60), end).await.expect("the job ends");
    assert_eq!((&job["kind"], &job["done"], &job["total"]), (&json!("count_seats"), &json!(9), &json!(9)));
}

/// Members come and go while two workers count them.
#[tokio::test(flavor = "multi_thread")]
async fn seats_are_counted_while_members_come_and_go() {
    const MEMBERS: u32 = 2_200;
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("rush", MEMBERS).await;
    let (is_over, changes) = (AtomicBool::new(false), AtomicU32::new(0));
    let caller = async |place: u32| {
        for step in (0..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
            // Each caller has members of its own: at the beginning, in the middle and at the end of the count.
            let member = path(&tenant, 2 + place + (step / 2 % 50) * 40, "");
            let status = ["deactivated", "active"][step as usize % 2];
            let (code, answer) = by_owner(&product, &tenant, "PATCH", &member, Some(json!({ "status": status }))).await;
            assert!(matches!(code, 200 | 429 | 503), "{code} {answer}");
            changes.fetch_add(u32::from(code == 200), Ordering::Relaxed);
        }
    };
    let count = async {
        set(&product, &tenant, json!({ "seats": 10_000 })).await;
        let keys = json!({ "PK": { "S": format!("TENANT#{}", tenant.id) }, "SK": { "S": "JOB#0000000001" } });
        let record = json!({ "Records": [{ "dynamodb": { "Keys": keys } }] });
        // A worker may give up under this load, as on AWS; the record of its progress, or the sweep, starts the next one.
        while product.tenant(tenant.id).await.seats_counted().is_none() {
            let workers = join_all((0..2).map(|_| product.server.invoke("jobs-run", &record))).await;
            workers.into_iter().for_each(|outcome| drop(outcome.unwrap()));
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(count, join_all((0..8).map(caller)));
    let taken = product.tenant(tenant.id).await.seats_counted();
    assert_eq!(taken, Some(takers(&product, tenant.id).await), "after {} changes", changes.load(Ordering::Relaxed));
    assert!(changes.load(Ordering::Relaxed) > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_says_who_may_invite() {
    let product = Product::start().await;
    let tenant = product.new_tenant("inviters", 4).await;
    // A role of rank 1 with all that an invitation needs.
    let names = ["member:invite", "member:assign-role", "member:read"].map(|name| json!({ "name": name }));
    let role = json!({ "name": "host", "permissions": names });
    assert_eq!(by_owner(&product, &tenant, "POST", "/v1/roles", Some(role)).await.0, 201);
    let hosts = json!({ "roles": ["user", "host"] });
    assert_eq!(by_owner(&product, &tenant, "PATCH", &path(&tenant, 2, ""), Some(hosts)).await.0, 200);
    let host = product.access("inviters", "member3@inviters.example").await;
    let mut place = 0;
    let mut tries = async |inviters: &str| {
        set(&product, &tenant, json!({ "inviters": inviters })).await;
        let mut statuses = Vec::new();
        for token in [&tenant.owner_token, &tenant.admin_token, &host] {
            place += 1;
            let body = json!({ "email": format!("new{place}@inviters.example") });
            let (status, answer) = call(&product, token, tenant.id, ("POST", "/v1/users"), Some(body)).await;
            if status == 403 {
                assert_eq!(answer["details"]["rule"], "inviters");
            }
            statuses.push(status);
        }
        statuses
    };
    assert_eq!(tries("permitted").await, [201, 201, 201]);
    assert_eq!(tries("admins").await, [201, 201, 403]);
    assert_eq!(tries("owners").await, [201, 403, 403]);
    // An admin cannot lift what an owner has set.
    let lift = Some(json!({ "settings": { "inviters": "permitted" } }));
    let (status, answer) = call(&product, &tenant.admin_token, tenant.id, ("PATCH", "/v1/tenant"), lift).await;
    assert_eq!((status, &answer["details"]["rule"]), (403, &json!("owners-settings")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_token_is_refused_from_the_next_request_on() {
    let product = Product::start().await;
    let tenant = product.new_tenant("ages", 2).await;
    let expected = token::expected(&product.template).unwrap();
    let old = Time::from_millis(shared::now().millis() - 400_000);
    let who = ("ages", "member2@ages.example");
    let issue =
        async |at| token::issue(&product.store, &expected, who, Kind::Access, 3600, Flaw::None, at).await.unwrap();
    let (old, new) = (issue(old).await, issue(shared::now()).await);
    let me = async |token: &str| call(&product, token, tenant.id, ("GET", "/v1/users/me"), None).await.0;
    assert_eq!((me(&old).await, me(&new).await), (200, 200));
    set(&product, &tenant, json!({ "session_seconds": 300 })).await;
    assert_eq!((me(&old).await, me(&new).await), (401, 200));
    set(&product, &tenant, json!({ "session_seconds": null })).await;
    assert_eq!((me(&old).await, me(&new).await), (200, 200));
}
