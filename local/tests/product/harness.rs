//! A running product, and the calls of the tests.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use local::log::Entry;
use local::seed::Seed;
use local::store::Store;
use local::token::{self, Flaw};
use local::{Options, Server, Template, demo, functions, routes::Router, template};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::credential::Kind;
use shared::domain::{Event, Member, Policy, Subject, Tenant, verify_chain};
use shared::id::{PolicyId, RoleId, TenantId, UserId};
use shared::table::key::{Key, TenantKeys};
use shared::table::{decode, encode};

use crate::described::Described;

pub const ACME: TenantId = TenantId::new(1);
pub const USER: UserId = UserId::new(3);

pub struct Product {
    pub server: Server,
    pub store: Store,
    pub template: Template,
    pub lines: Arc<Mutex<Vec<String>>>,
    pub client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

impl Reply {
    /// The body; `null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// The body without its content coding.
    pub fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => GzDecoder::new(&*self.bytes).read_to_end(&mut content).unwrap(),
            None => (&*self.bytes).read_to_end(&mut content).unwrap(),
            Some(other) => panic!("{other}"),
        };
        content
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub fn the_template() -> Template {
    Template::load(&template::find_root().unwrap().join("template.yaml")).unwrap()
}

/// The folder of the functions' binaries as they are deployed, built once.
pub fn bin_dir() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let template = the_template();
            let names = template.functions.iter().map(|function| function.name.as_str());
            functions::build(&template::find_root().unwrap(), names, true).unwrap()
        })
        .clone()
}

/// For a test of many writes that needs no stream: the engine reads the whole stream for each write.
pub fn without_stream(options: &mut Options) {
    options.sources = false;
    options.template.table.as_object_mut().unwrap().remove("StreamSpecification").unwrap();
}

pub fn http_client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

impl Product {
    /// The demo tenants, in memory.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let mut options = Options::new(the_template(), bin_dir());
        options.record = true;
        options.log = Arc::new(move |entry| match entry {
            Entry::Answered(_) => {}
            line => sink.lock().unwrap().push(line.to_string()),
        });
        change(&mut options);
        let template = options.template.clone();
        let server = Server::start(options).await.unwrap();
        let store = Store::new(&server.dynamodb_url(), template.table_name()).unwrap();
        demo::fill(&store, shared::now()).await.unwrap();
        server.take_records();
        let client = http_client();
        Self { server, store, template, lines, client }
    }

    pub async fn token(&self, slug: &str, email: &str, kind: Kind, flaw: Flaw) -> String {
        let expected = token::expected(&self.template).unwrap();
        token::issue(&self.store, &expected, (slug, email), kind, token::TTL, flaw, shared::now()).await.unwrap()
    }

    pub async fn access(&self, slug: &str, email: &str) -> String {
        self.token(slug, email, Kind::Access, Flaw::None).await
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let reply = self.try_call(method, path, headers, body).await;
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// # Errors
    /// There was no answer.
    pub async fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(self.server.url() + path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let reply = self.client.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = reply.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let reply = Reply { status: parts.status.as_u16(), headers: parts.headers, bytes };
        self.is_described(method, path, &reply);
        Ok(reply)
    }

    /// Panics if `openapi.json` does not describe an answer.
    fn is_described(&self, method: &str, path: &str, reply: &Reply) {
        static DESCRIBED: OnceLock<Described> = OnceLock::new();
        let path = path.split('?').next().unwrap_or_default();
        let Some(route) = Router::new(&self.template).find(method, path).map(|found| found.route_key) else { return };
        let described = DESCRIBED.get_or_init(Described::committed);
        // The gateway gives each answer a content type, even one without content.
        let content_type = reply.header("content-type").filter(|_| !reply.bytes.is_empty());
        let fits = described.body(&route, reply.status, content_type, &reply.content());
        fits.unwrap_or_else(|why| panic!("{why}: {reply:?}"));
        // The gateway's own answers have no further headers.
        if reply.header("x-request-id").is_some() {
            let headers = described.headers(&route, reply.status, reply.headers.keys().map(|name| name.as_str()));
            headers.unwrap_or_else(|why| panic!("{why}: {reply:?}"));
        }
    }

    /// `PUT /v1/users/{id}` with further headers.
    pub async fn put_user(
        &self,
        token: &str,
        tenant: TenantId,
        user: UserId,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Reply {
        let (authorization, tenant) = (format!("Bearer {token}"), tenant.uuid().to_string());
        let mut all = vec![
            ("authorization", authorization.as_str()),
            ("x-tenant-id", tenant.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend(headers);
        self.call("PUT", &format!("/v1/users/{}", user.uuid()), &all, body.to_string()).await
    }

    /// `PATCH /api/v1/tenant/{tenantId}/user/{userId}`
    pub async fn patch_role(&self, token: &str, tenant: TenantId, user: UserId, role: RoleId) -> Reply {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let path = format!("/api/v1/tenant/{tenant}/user/{user}");
        self.call("PATCH", &path, &headers, json!({ "roleId": role.to_string() }).to_string()).await
    }

    async fn read<T: DeserializeOwned>(&self, key: &Key) -> T {
        let item = self.store.get(key).await.unwrap().unwrap_or_else(|| panic!("no item {key:?}"));
        decode(item).unwrap()
    }

    pub async fn member(&self, tenant: TenantId, user: UserId) -> Member {
        self.read(&TenantKeys(tenant).member(user)).await
    }

    pub async fn tenant(&self, tenant: TenantId) -> Tenant {
        self.read(&TenantKeys(tenant).tenant()).await
    }

    /// All events of a member, after checking that their chain holds.
    pub async fn events(&self, tenant: TenantId, user: UserId) -> Vec<Event> {
        let mut key = TenantKeys(tenant).event(&Subject::new("member", user), 0);
        key.sk = "EVENT#".to_owned();
        let items = self.store.query(&key).await.unwrap();
        let events: Vec<Event> = items.into_iter().map(|item| decode(item).unwrap()).collect();
        verify_chain(tenant, &self.member(tenant, user).await, &events).unwrap();
        events
    }

    /// The end of the table's stream now. The engine has one shard.
    pub async fn stream_end(&self) -> Value {
        let streams = self.streams("ListStreams", json!({ "TableName": self.template.table_name() })).await;
        let arn = &streams["Streams"][0]["StreamArn"];
        let stream = self.streams("DescribeStream", json!({ "StreamArn": arn })).await;
        let shard = &stream["StreamDescription"]["Shards"][0]["ShardId"];
        let from = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "LATEST" });
        self.streams("GetShardIterator", from).await["ShardIterator"].clone()
    }

    /// The records of the stream since then: changes in the order in which they were committed.
    pub async fn stream_since(&self, mut place: Value) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            let page = self.streams("GetRecords", json!({ "ShardIterator": place })).await;
            let more = page["Records"].as_array().unwrap();
            if more.is_empty() {
                return records;
            }
            records.extend(more.iter().cloned());
            place = page["NextShardIterator"].clone();
        }
    }

    async fn streams(&self, operation: &str, input: Value) -> Value {
        let client = local::dynamodb::Client::new(&self.server.dynamodb_url());
        client.call(&format!("DynamoDBStreams_20120810.{operation}"), &input).await.unwrap()
    }

    /// All items of the table, in DynamoDB's JSON.
    pub async fn items(&self) -> Vec<Value> {
        let client = local::dynamodb::Client::new(&self.server.dynamodb_url());
        let (mut items, mut after) = (Vec::new(), Value::Null);
        loop {
            let mut scan = json!({ "TableName": self.template.table_name(), "ConsistentRead": true });
            if !after.is_null() {
                scan["ExclusiveStartKey"] = after;
            }
            let mut page = client.call("Scan", &scan).await.unwrap();
            items.append(page["Items"].as_array_mut().unwrap());
            after = page["LastEvaluatedKey"].take();
            if after.is_null() {
                return items;
            }
        }
    }

    /// A new tenant of `members`, with tokens for its first two, an owner and an admin.
    pub async fn new_tenant(&self, slug: &str, members: u32) -> NewTenant {
        let put = async |items| self.server.import(items);
        let bar = indicatif::ProgressBar::hidden();
        let seed = Seed { slug, members, first: 1, lifelike: false };
        seed.fill(&self.store, shared::now(), &bar, put).await.unwrap();
        let (owner_email, admin_email) = (format!("member1@{slug}.example"), format!("member2@{slug}.example"));
        let (id, owner) = demo::find(&self.store, slug, &owner_email).await.unwrap();
        NewTenant {
            id,
            owner,
            admin: UserId::new(owner.number() + 1),
            owner_token: self.access(slug, &owner_email).await,
            admin_token: self.access(slug, &admin_email).await,
        }
    }
}

pub struct NewTenant {
    pub id: TenantId,
    pub owner: UserId,
    pub admin: UserId,
    pub owner_token: String,
    pub admin_token: String,
}

impl NewTenant {
    /// The member at a place, 0 for the owner.
    pub fn member(&self, place: u32) -> UserId {
        UserId::new(self.owner.number() + place)
    }
}

/// Tests that keep every core busy, and those that need an answer in time, take turns.
pub async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    MACHINE.lock().await
}

/// Waits for a condition that other processes and tasks bring about.
pub async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time");
}

impl Product {
    /// Gives a tenant policies of its own.
    pub async fn put_policies(&self, tenant: TenantId, texts: &[&str]) {
        for (text, number) in texts.iter().zip(1..) {
            let (id, compiled) = (PolicyId::new(number), policy_text::check_text(text).unwrap());
            let policy = shared::domain::Entry::Policy(Policy { id, compiled });
            self.store.put(encode(&TenantKeys(tenant).deciding(id), None, &policy).unwrap()).await.unwrap();
        }
        self.move_catalog(tenant).await;
    }

    /// Raises the catalog version of a tenant, as a change of its catalog does.
    pub async fn move_catalog(&self, tenant: TenantId) {
        let mut moved = self.tenant(tenant).await;
        moved.catalog_version += 1;
        self.store.put(encode(&TenantKeys(tenant).tenant(), None, &moved).unwrap()).await.unwrap();
    }
}
