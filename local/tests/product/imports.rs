//! Imports and exports: each line once, whoever is killed; in the name of a caller who may do it at that moment; for that caller only.

mod exports;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use local::front::Fault;
use serde_json::{Value, json};
use shared::domain::job::State;
use shared::domain::{Author, Job, Member, role};
use shared::id::{JobId, TenantId, UserId};
use shared::table::decode;
use shared::table::key::TenantKeys;

use crate::harness::{NewTenant, Product, Reply, eventually, turn};

/// How many members the import adds. `IMPORT=10000` is what BENCHMARKS.md reports.
fn many() -> usize {
    std::env::var("IMPORT").map_or(500, |text| text.parse().expect("a number"))
}

const CSV: (&str, &str) = ("content-type", "text/csv");
const JSONL: (&str, &str) = ("content-type", "application/x-ndjson");

/// A caller in a tenant.
struct Caller<'a> {
    product: &'a Product,
    tenant: TenantId,
    token: &'a str,
}

impl Caller<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.product.users(self.token, self.tenant, (method, path), &[], body).await
    }

    async fn send(&self, import: &str, part: usize, content_type: (&str, &str), lines: &str) -> Reply {
        let (bearer, tenant) = (format!("Bearer {}", self.token), self.tenant.uuid().to_string());
        let headers = [("authorization", bearer.as_str()), ("x-tenant-id", &tenant), content_type];
        let path = format!("/v1/users/import/{import}/parts/{part}");
        self.product.call("PUT", &path, &headers, lines.to_owned()).await
    }

    /// Makes an import of these parts and starts it. Returns its id.
    async fn import(&self, options: Value, content_type: (&str, &str), parts: &[String]) -> String {
        let made = self.call("POST", "/v1/users/import", Some(options)).await;
        assert_eq!((made.status, &made.json()["state"]), (201, &json!("open")), "{}", made.json());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for (part, number) in parts.iter().zip(1..) {
            let sent = self.send(&id, number, content_type, part).await;
            assert_eq!(sent.status, 200, "{}", sent.json());
        }
        let started = self.call("POST", &format!("/v1/users/import/{id}/start"), None).await;
        assert_eq!((started.status, &started.json()["state"]), (202, &json!("running")), "{}", started.json());
        id
    }

    /// What became of each line.
    async fn lines(&self, id: &str) -> Vec<Value> {
        let shown = self.call("GET", &format!("/v1/jobs/{id}"), None).await.json();
        let mut lines = Vec::new();
        for part in 1..=shown["parts"].as_u64().unwrap() {
            let part = self.call("GET", &format!("/v1/jobs/{id}/parts/{part}"), None).await;
            assert_eq!(part.status, 200, "{}", part.json());
            lines.append(part.json()["data"].as_array_mut().unwrap());
        }
        lines
    }
}

impl Product {
    fn caller<'a>(&'a self, tenant: &NewTenant, token: &'a str) -> Caller<'a> {
        Caller { product: self, tenant: tenant.id, token }
    }

    async fn job(&self, tenant: TenantId, number: u32) -> Job {
        let item = self.store.get(&TenantKeys(tenant).job(JobId::new(number))).await.unwrap();
        decode(item.expect("a job")).unwrap()
    }

    async fn job_until(&self, tenant: TenantId, number: u32, wanted: impl Fn(&Job) -> bool) -> Job {
        let wait = async {
            loop {
                let job = self.job(tenant, number).await;
                if wanted(&job) {
                    return job;
                }
                // A look takes time of the cores that the import needs.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let most = Duration::from_secs(120 + many() as u64 / 20);
        tokio::time::timeout(most, wait).await.expect("the job comes to that")
    }

    /// Runs the job with a number, without the stream.
    async fn run_job(&self, tenant: TenantId, number: u32) {
        let keys = json!({ "PK": { "S": format!("TENANT#{tenant}") }, "SK": { "S": format!("JOB#{number:010}") } });
        let event = json!({ "Records": [{ "dynamodb": { "Keys": keys } }] });
        self.server
            .invoke("jobs-run", &event)
            .await
            .unwrap_or_else(|why| panic!("{why}: {:#?}", self.lines.lock().unwrap()));
    }

    /// All members of a tenant.
    async fn everybody(&self, tenant: TenantId) -> Vec<Member> {
        let items = self.store.query(&TenantKeys(tenant).members()).await.unwrap();
        items.into_iter().map(|item| decode(item).unwrap()).collect()
    }
}

fn outcomes(job: &Job) -> [usize; 4] {
    let outcomes = job.progress.outcomes.unwrap();
    [outcomes.created, outcomes.updated, outcomes.skipped, outcomes.failed]
}

/// With the time that DynamoDB takes. In each part, some lines are wrong and one is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_whose_workers_are_killed_makes_each_line_once() {
    let _turn = turn().await;
    let product = Product::start_with(|options| options.latency = "5,10".parse().unwrap()).await;
    let tenant = product.new_tenant("import", 2).await;
    let owner = product.caller(&tenant, &tenant.owner_token);
    let (mut parts, mut lines) = (Vec::new(), 0);
    for places in (0..many()).collect::<Vec<_>>().chunks(1000) {
        let mut text = "email,name,roles,metadata.number\r\n".to_owned();
        for place in places {
            write!(text, "new{place}@import.example,New {place},user,{place}\r\n").unwrap();
        }
        text += "none,No Address,user,1\nx@import.example,No Role,none,1\nmember2@import.example,Known,user,1\n";
        writeln!(text, "NEW{0}@import.example,Twice,user,{0}", places[0]).unwrap();
        lines += places.len() + 4;
        parts.push(text);
    }
    let started = std::time::Instant::now();
    let id = owner.import(json!({ "on_existing": "skip" }), CSV, &parts).await;
    for kill in 1..=2 {
        product.job_until(tenant.id, 1, |job| job.progress.done >= lines * kill / 3).await;
        eventually(|| !product.server.pids("jobs-run").is_empty()).await;
        tokio::time::sleep(Duration::from_millis(30)).await;
        product.kill("jobs-run");
    }
    let done = product.job_until(tenant.id, 1, |job| job.state == State::Done).await;
    println!("{lines} lines in {:.1} s, with two kills", started.elapsed().as_secs_f64());
    let of_each = parts.len();
    assert_eq!((done.progress.done, done.progress.total), (lines, Some(lines)));
    assert_eq!(outcomes(&done), [many(), 0, 2 * of_each, 2 * of_each]);

    let told = owner.lines(&id).await;
    let places: Vec<_> = told.iter().map(|it| (it["part"].as_u64().unwrap(), it["line"].as_u64().unwrap())).collect();
    assert!(places.is_sorted() && places.iter().collect::<BTreeSet<_>>().len() == lines);
    let failed: BTreeSet<_> = told.iter().filter_map(|it| it["code"].as_str()).collect();
    assert_eq!(failed, ["invalid_input", "invalid_roles"].into());

    let members = product.everybody(tenant.id).await;
    assert_eq!(members.len(), many() + 2, "none lost, none double");
    let numbers: BTreeSet<_> = members.iter().filter_map(|member| member.metadata.get("number")).collect();
    assert_eq!(numbers.len(), many());
    assert_eq!(members.iter().map(|member| member.id).collect::<BTreeSet<_>>().len(), many() + 2);
    let told: BTreeSet<_> = told.iter().filter_map(|it| it["id"].as_str()).map(str::to_owned).collect();
    for member in members.iter().filter(|member| member.metadata.contains_key("number")) {
        assert!(told.contains(&member.user.uuid().to_string()));
        let events = product.events(tenant.id, member.user).await;
        assert_eq!((events.len(), &events[0].author), (1, &Author::Member(tenant.owner)));
        assert_eq!(events[0].request, "job 1");
    }
    let mut part = TenantKeys(tenant.id).part(JobId::new(1), 1);
    part.sk = "PART#".to_owned();
    assert!(product.store.query(&part).await.unwrap().is_empty(), "the lines are gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_on_one_import_make_each_line_once() {
    let _turn = turn().await;
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("both", 2).await;
    let owner = product.caller(&tenant, &tenant.owner_token);
    let lines: String = (0..250).map(|place| format!("{{\"email\":\"n{place}@both.example\"}}\n")).collect();
    owner.import(json!({}), JSONL, &[lines]).await;
    let keys = json!({ "PK": { "S": format!("TENANT#{}", tenant.id) }, "SK": { "S": "JOB#0000000001" } });
    let event = json!({ "Records": [{ "dynamodb": { "Keys": keys } }] });
    let (one, other) =
        tokio::join!(product.server.invoke("jobs-run", &event), product.server.invoke("jobs-run", &event));
    assert!(one.is_ok() || other.is_ok());
    let done = product.job(tenant.id, 1).await;
    assert_eq!((done.state, outcomes(&done)), (State::Done, [250, 0, 0, 0]));
    assert_eq!(product.everybody(tenant.id).await.len(), 252);
}

/// An admin imports, and the owner demotes them meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_right_imports_no_further() {
    let _turn = turn().await;
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("fall", 2).await;
    let admin = product.caller(&tenant, &tenant.admin_token);
    let lines: String = (0..600).map(|place| format!("{{\"email\":\"n{place}@fall.example\"}}\n")).collect();
    let id = admin.import(json!({}), JSONL, &[lines]).await;
    let writes = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&writes);
    product.server.set_fault(Some(Arc::new(move |request| {
        if request.function.as_deref() == Some("jobs-run") && request.operation == "TransactWriteItems" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Fault::None
    })));
    let demote = async {
        eventually(|| writes.load(Ordering::Relaxed) >= 250).await;
        let path = format!("/v1/users/{}", tenant.admin.uuid());
        let owner = product.caller(&tenant, &tenant.owner_token);
        assert_eq!(owner.call("PATCH", &path, Some(json!({ "roles": ["user"] }))).await.status, 200);
        shared::now()
    };
    let (demoted, ()) = tokio::join!(demote, product.run_job(tenant.id, 1));
    let done = product.job(tenant.id, 1).await;
    let [created, updated, skipped, failed] = outcomes(&done);
    assert_eq!((done.state, created + failed, updated + skipped), (State::Done, 600, 0));
    // Fewer than 250 are created: a write that meets a conflict is counted each time it is sent.
    assert!(created >= 100 && failed >= 100, "{created} created, {failed} failed");
    let owner = product.caller(&tenant, &tenant.owner_token);
    assert_eq!(owner.call("GET", &format!("/v1/jobs/{id}/parts/1"), None).await.status, 403, "another caller");
    let told = admin.lines(&id).await;
    assert!(told.iter().all(|it| it["outcome"] == "created" || it["code"] == "forbidden"));
    let members = product.everybody(tenant.id).await;
    assert_eq!(members.len(), 2 + created);
    assert!(members.iter().all(|member| member.meta.created_at <= demoted), "nobody is added after the demotion");
    for member in &members {
        product.events(tenant.id, member.user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_happen_and_does_nothing() {
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("dry", 3).await;
    let admin = product.caller(&tenant, &tenant.admin_token);
    let lines = "{\"email\":\"new@dry.example\"}\n{\"email\":\"boss@dry.example\",\"roles\":[\"owner\"]}\n\
                 {\"email\":\"MEMBER3@dry.example\",\"first_name\":\"Ann\"}\n{\"email\":\"member1@dry.example\",\"roles\":[\"user\"]}\n\
                 {\"email\":\"new@dry.example\",\"name\":7}\nno line\n"
        .to_owned();
    let wanted = |is_dry: bool, on_existing: &str| -> Vec<(String, Option<&'static str>)> {
        let third = match on_existing {
            "update" => ("updated", None),
            "skip" => ("skipped", None),
            _ => ("failed", Some("already_exists")),
        };
        // Nobody takes the role of an owner away but an owner.
        let fourth = if on_existing == "update" { ("failed", Some("forbidden")) } else { third };
        // The first import that is none for show adds them.
        let first = if is_dry || on_existing == "fail" { ("created", None) } else { third };
        let (refused, wrong) = (("failed", Some("forbidden")), ("failed", Some("invalid_input")));
        [first, refused, third, fourth, wrong, wrong].map(|(outcome, code)| (outcome.to_owned(), code)).into()
    };
    let told = async |id: &str| -> Vec<(String, Option<String>)> {
        let text = |it: &Value| it.as_str().map(str::to_owned);
        admin.lines(id).await.iter().map(|it| (text(&it["outcome"]).unwrap(), text(&it["code"]))).collect()
    };
    let mut number = 0;
    for is_dry in [true, false] {
        for on_existing in ["fail", "skip", "update"] {
            number += 1;
            let options = json!({ "dry_run": is_dry, "on_existing": on_existing });
            let id = admin.import(options, JSONL, std::slice::from_ref(&lines)).await;
            let before = product.items().await.len();
            product.run_job(tenant.id, number).await;
            let wanted: Vec<_> =
                wanted(is_dry, on_existing).into_iter().map(|(it, code)| (it, code.map(str::to_owned))).collect();
            assert_eq!(told(&id).await, wanted, "{is_dry} {on_existing}");
            if is_dry {
                // A part of results and an event in place of the part of lines.
                assert_eq!(product.items().await.len(), before + 1);
                assert!(admin.lines(&id).await.iter().all(|it| it["id"].is_null()));
            }
        }
    }
    let members = product.everybody(tenant.id).await;
    assert_eq!(members.len(), 4);
    let third = members.iter().find(|member| member.email == "member3@dry.example").unwrap();
    assert_eq!((third.first_name.as_deref(), third.roles.contains(&role::USER)), (Some("Ann"), true));
    assert_eq!(product.member(tenant.id, tenant.owner).await.roles, [role::OWNER].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_is_its_makers_and_is_started_once() {
    let product = Product::start_with(|options| options.sources = false).await;
    let tenant = product.new_tenant("maker", 3).await;
    let (owner, admin) = (product.caller(&tenant, &tenant.owner_token), product.caller(&tenant, &tenant.admin_token));
    let user_token = product.access("maker", "member3@maker.example").await;
    let user = product.caller(&tenant, &user_token);
    assert_eq!(user.call("POST", "/v1/users/import", None).await.status, 403);
    let made = owner.call("POST", "/v1/users/import", None).await;
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let line = "email\nn@maker.example\n";
    // What an admin adds would be done in the name of the owner.
    let foreign = admin.send(&id, 1, CSV, line).await;
    assert_eq!((foreign.status, &foreign.json()["details"]["rule"]), (403, &json!("own-job")));
    let start = format!("/v1/users/import/{id}/start");
    assert_eq!(owner.call("POST", &start, None).await.status, 404, "it has no lines");
    assert_eq!(owner.send(&id, 1, CSV, "email\nwrong@maker.example\nn@maker.example\n").await.status, 200);
    assert_eq!(owner.send(&id, 1, CSV, line).await.status, 200, "a part takes the place of the one before");
    assert_eq!(admin.call("POST", &start, None).await.status, 403);
    product.run_job(tenant.id, 1).await;
    assert_eq!(product.job(tenant.id, 1).await.state, State::Open, "nothing is done before it is started");
    assert_eq!(owner.call("POST", &start, None).await.status, 202);
    assert_eq!(owner.send(&id, 2, CSV, line).await.status, 404);
    assert_eq!(owner.call("POST", &start, None).await.status, 404);
    product.run_job(tenant.id, 1).await;
    assert_eq!(outcomes(&product.job(tenant.id, 1).await), [1, 0, 0, 0]);
    for (content, status) in [("", 400), ("email\n", 400), ("phone\n1\n", 400), ("email\na@b.example,x\n", 400)] {
        assert_eq!(owner.send(&id, 2, CSV, content).await.status, status, "{content}");
    }
    let long: String = "email\n".to_owned() + &"a@b.example\n".repeat(2_001);
    assert_eq!(owner.send(&id, 2, CSV, &long).await.status, 422);
    assert_eq!(owner.send(&id, 2, CSV, &"x".repeat(256 * 1024 + 1)).await.status, 413);
    assert_eq!(owner.send(&id, 2, ("content-type", "application/json"), "{}").await.status, 415);
}
