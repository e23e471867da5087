//! The bed of all measurements: one DynamoDB behind TLS, tenants in it with tokens, and the same event for all subjects.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use local::cases::{Cases, SUCCESS};
use local::front::Latency;
use local::front::Record;
use local::functions::{Process, Processes};
use local::seed::Seed;
use local::store::Store;
use local::token::{self, Flaw};
use local::{LogSink, Options, Result, Server, demo, log::Entry, template};
use serde_json::{Value, json};
use shared::credential::{self, Expected};
use shared::id::{Kind, TenantId, UserId};
use shared::lock;
use tempfile::TempDir;

use crate::gauge::Apart;
use crate::subjects::{Ours, Subject};
use crate::tls::{self, Front};

/// The lifetime of tokens in seconds: longer than any run.
const TTL: i64 = 7 * 24 * 3600;
/// The longest time of a call. A longer call is an error.
const LIMIT: Duration = Duration::from_secs(10);

pub struct Bed {
    pub server: Server,
    pub tls: Front,
    store: Store,
    expected: Expected,
    /// Our public key, which verifies all tokens.
    pub jwk: String,
    /// A recorded event of the function.
    pub event: Value,
    processes: Processes,
    pub apart: Option<Apart>,
    pub folder: TempDir,
}

/// A tenant, and a token of an admin of it.
pub struct Tenant {
    id: TenantId,
    owner: UserId,
    slug: String,
    /// The address of the admin who calls.
    admin: String,
    token: Arc<str>,
}

/// A member who has the roles `user` and `admin` in turn.
pub struct Member {
    tenant: TenantId,
    user: UserId,
    token: Arc<str>,
    is_admin: bool,
}

/// The cost of calls at DynamoDB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cost {
    /// The number of requests of each operation.
    pub requests: BTreeMap<String, u32>,
    pub read_units: f64,
    pub write_units: f64,
}

impl Bed {
    /// Starts the bed with the demo tenants, in memory. With `record` it records the cost of requests, and the subject has its
    /// own core. Without `record` it saves that time, and all share all cores.
    pub async fn start(ours: &Ours, record: bool, latency: Latency, log: &Tail) -> Result<Self> {
        let options = Options::new(ours.template.clone(), ours.bin_dir.clone());
        let (listener, host) = tls::listen().await?;
        let server =
            Server::start(Options { record, latency, log: log.sink(), hosts: vec![host.clone()], ..options }).await?;
        let address: Option<SocketAddr> = server.dynamodb_url().strip_prefix("http://").and_then(|it| it.parse().ok());
        let address = address.ok_or_else(|| format!("{} has no address", server.dynamodb_url()))?;
        let store = Store::new(&server.dynamodb_url(), ours.template.table_name())?;
        demo::fill(&store, shared::now()).await?;
        let keys = store.get(&shared::table::key::jwks()).await?;
        let keys = keys.as_ref().and_then(|item| item.get("document")?.as_s().ok());
        let keys: Value = keys.and_then(|keys| serde_json::from_str(keys).ok()).unwrap_or_default();
        let event = Cases::load(&template::find_root()?, &ours.function.name)?.get(SUCCESS)?.event;
        Ok(Self {
            tls: Front::start(listener, &host, address)?,
            expected: token::expected(&ours.template)?,
            jwk: keys["keys"][0].to_string(),
            event,
            processes: Processes::new(log.sink()),
            apart: record.then(Apart::new).transpose()?,
            folder: TempDir::new().map_err(|error| format!("no folder for temporary files: {error}"))?,
            server,
            store,
        })
    }

    /// Makes a new tenant. Its second member is the admin who calls.
    pub async fn tenant(&self, slug: &str, members: u32, progress: &ProgressBar) -> Result<Tenant> {
        self.tenant_from(1, slug, members, progress).await
    }

    /// The same, with numbers from `first` on in the addresses and names of its members. Their own numbers are higher still.
    pub async fn tenant_from(&self, first: u32, slug: &str, members: u32, progress: &ProgressBar) -> Result<Tenant> {
        for kind in [Kind::User, Kind::Membership] {
            self.store.allocate(kind, first).await?;
        }
        let put = async |items| self.server.import(items);
        let seed = Seed { slug, members, first, lifelike: false };
        seed.fill(&self.store, shared::now(), progress, put).await?;
        let (id, owner) = demo::find(&self.store, slug, &format!("member{first}@{slug}.example")).await?;
        let admin = format!("member{}@{slug}.example", first + 1);
        let token = self.token(slug, &admin, Flaw::None).await?;
        Ok(Tenant { id, owner, slug: slug.to_owned(), admin, token })
    }

    async fn token(&self, slug: &str, admin: &str, flaw: Flaw) -> Result<Arc<str>> {
        let now = shared::now();
        Ok(token::issue(&self.store, &self.expected, (slug, admin), credential::Kind::Access, TTL, flaw, now)
            .await?
            .into())
    }

    /// # Errors
    /// The process accepts a token with the signature of another token.
    pub async fn refuses_forgery(&self, subject: &Subject, process: &mut Process, tenant: &Tenant) -> Result<()> {
        let member = Member { token: self.token(&tenant.slug, &tenant.admin, Flaw::Forged).await?, ..tenant.user(0) };
        let (answer, _) = self.ask(subject, process, &member).await?;
        match answer["statusCode"] == 401 {
            true => Ok(()),
            false => Err(format!("{}: {answer} to a forged token", subject.name).into()),
        }
    }

    /// Starts a process and waits until it asks for work.
    pub async fn process(&self, ours: &Ours, subject: &Subject) -> Result<(Process, Duration)> {
        let command = subject.command(ours, self)?;
        let started = Instant::now();
        let failed = |error| format!("{}: {error}", subject.name);
        let mut process = self.processes.start(&ours.function.name, command).await.map_err(failed)?;
        if let Some(apart) = &self.apart {
            apart.put(process.pid)?;
        }
        process.ready().await.map_err(failed)?;
        Ok((process, started.elapsed()))
    }

    /// Lets a process give a member the other role. Returns the time until the answer.
    pub async fn call(&self, subject: &Subject, process: &mut Process, member: &mut Member) -> Result<Duration> {
        let (answer, took) = self.ask(subject, process, member).await?;
        let body = answer["body"].as_str().and_then(|body| serde_json::from_str(body).ok());
        let given = member.given(&answer["statusCode"], &body.unwrap_or_default());
        given.map_err(|error| format!("{}: {error}", subject.name))?;
        Ok(took)
    }

    async fn ask(&self, subject: &Subject, process: &mut Process, member: &Member) -> Result<(Value, Duration)> {
        self.send(subject, process, event(&self.event, member)).await
    }

    /// Has a process answer an event. Returns the answer, and the time until it came.
    pub async fn send(&self, subject: &Subject, process: &mut Process, event: Value) -> Result<(Value, Duration)> {
        let failed = |error: &dyn fmt::Display| format!("{}: {error}", subject.name);
        let event = event.to_string().into();
        let started = Instant::now();
        let answer = process.invoke(event, None, LIMIT).await.map_err(|error| failed(&error))?;
        let took = started.elapsed();
        // The process asks for work again when it has finished everything for the call.
        process.ready().await.map_err(|error| failed(&error))?;
        Ok((serde_json::from_slice(&answer).map_err(|error| failed(&error))?, took))
    }

    /// Returns the cost of all calls since the last time that this was called.
    pub fn take_cost(&self) -> Cost {
        let mut cost = Cost::default();
        // The function that publishes changes works beside the calls.
        let of_calls = |record: &Record| record.function.as_deref() != Some("events-publish");
        for record in self.server.take_records().into_iter().filter(of_calls) {
            *cost.requests.entry(record.operation).or_default() += 1;
            cost.read_units += record.read_units;
            cost.write_units += record.write_units;
        }
        cost
    }

    /// Ends all processes and the engine.
    pub async fn shutdown(self) {
        self.processes.shutdown().await;
        self.server.shutdown().await;
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let times = |(operation, count): (&String, &u32)| match count {
            1 => operation.clone(),
            count => format!("{count} {operation}"),
        };
        f.write_str(&self.requests.iter().map(times).collect::<Vec<_>>().join(", "))
    }
}

impl Tenant {
    /// Returns one of its users. Places begin with 0.
    pub fn user(&self, place: u32) -> Member {
        Member { tenant: self.id, user: self.user_id(place), token: Arc::clone(&self.token), is_admin: false }
    }

    /// The first two members are the owner and the admin.
    pub fn user_id(&self, place: u32) -> UserId {
        UserId::new(self.owner.number() + 2 + place)
    }

    /// The admin who calls.
    pub fn caller(&self) -> UserId {
        UserId::new(self.owner.number() + 1)
    }

    pub fn id(&self) -> TenantId {
        self.id
    }

    pub fn slug(&self) -> &str {
        &self.slug
    }

    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

impl Member {
    fn next_role(&self) -> &'static str {
        if self.is_admin { "user" } else { "admin" }
    }

    pub fn path(&self) -> String {
        format!("/api/v1/tenant/{}/user/{}", self.tenant.uuid(), self.user.uuid())
    }

    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Returns the body that gives the member the other role.
    pub fn body(&self) -> String {
        json!({ "roleId": self.next_role() }).to_string()
    }

    /// Checks an answer, and notes the new role.
    ///
    /// # Errors
    /// The answer does not show the other role.
    pub fn given(&mut self, status: &Value, body: &Value) -> Result<()> {
        if *status != 200 || body["data"]["role"]["name"] != self.next_role() {
            return Err(format!("{status} {body} instead of 200 and the role `{}`", self.next_role()).into());
        }
        self.is_admin = !self.is_admin;
        Ok(())
    }
}

/// Makes the event of the call that gives a member the other role.
fn event(base: &Value, member: &Member) -> Value {
    let mut event = base.clone();
    let path = format!("/main{}", member.path());
    event["requestContext"]["http"]["path"] = json!(path);
    event["rawPath"] = json!(path);
    event["pathParameters"] = json!({ "tenantId": member.tenant.uuid(), "userId": member.user.uuid() });
    event["headers"]["authorization"] = json!(member.authorization());
    event["headers"]["content-length"] = json!(member.body().len().to_string());
    event["body"] = json!(member.body());
    event
}

/// The last lines of the log. They are shown after an error.
#[derive(Clone, Default)]
pub struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    const LINES: usize = 20;

    pub fn sink(&self) -> LogSink {
        let lines = Arc::clone(&self.0);
        Arc::new(move |entry| {
            if matches!(entry, Entry::Answered(_)) {
                return;
            }
            let mut lines = lock(&lines);
            lines.push_back(entry.to_string());
            if lines.len() > Self::LINES {
                lines.pop_front();
            }
        })
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        lock(&self.0).iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
