//! What a function keeps while it is warm: the connection, the keys, the catalogs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use lambda_http::http::header;
use serde_json::json;

use crate::call::Call;
use crate::connection;
use crate::credential::{self, Credential, Expected, Keys, Kind};
use crate::id::{TenantId, UserId};
use crate::key::{self, TenantKeys};
use crate::lock;
use crate::log::{self, Level};
use crate::model::{Catalog, Tenant};
use crate::problem::Problem;
use crate::serve::Boxed;
use crate::table::{ATTEMPT, Meter, Table};
use crate::time::Time;

/// How often an unknown `kid` may make a function read the keys again.
const KEYS_AGAIN: Duration = Duration::from_secs(10);

/// How many tenants' catalogs are kept; past that, all are dropped and read again when needed.
const MAX_CATALOGS: usize = 256;

/// The state of a function.
pub struct App {
    client: Client,
    table: String,
    expected: Expected,
    /// Origins whose pages may call with a session cookie.
    allowed_origins: Vec<String>,
    /// Says what time it is.
    pub clock: fn() -> Time,
    keys: Mutex<Option<KnownKeys>>,
    catalogs: Mutex<HashMap<TenantId, Arc<Catalog>>>,
}

#[derive(Clone)]
struct KnownKeys {
    keys: Arc<Keys>,
    read_at: Instant,
}

/// Who calls: proven by one or two tokens, of sessions that are yet to be looked up.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: UserId,
    pub tenant: TenantId,
    slug: String,
    pub sessions: Vec<String>,
}

impl Caller {
    /// The tenant by its UUID, its number or, if it is the caller's, its slug. Nothing is read for that.
    pub fn tenant_spelled(&self, spelling: &str) -> Option<TenantId> {
        if spelling == self.slug { Some(self.tenant) } else { TenantId::parse(spelling) }
    }

    /// 403 unless that is the credential's tenant.
    pub fn same_tenant(&self, tenant: Option<TenantId>) -> Result<(), Problem> {
        if tenant == Some(self.tenant) { Ok(()) } else { Err(Problem::TenantMismatch) }
    }

    /// 403 unless that is the slug of the credential's tenant.
    pub fn same_slug(&self, slug: &str) -> Result<(), Problem> {
        if slug == self.slug { Ok(()) } else { Err(Problem::TenantMismatch) }
    }

    pub fn keys(&self) -> TenantKeys {
        TenantKeys(self.tenant)
    }
}

impl From<Credential> for Caller {
    fn from(it: Credential) -> Self {
        Self { user: it.user, tenant: it.tenant, slug: it.slug, sessions: vec![it.session] }
    }
}

impl App {
    /// Takes the settings from the environment that `template.yaml` gives.
    ///
    /// # Errors
    /// The name of a variable that is missing.
    pub async fn from_env() -> Result<Self, String> {
        let origins = variable("ALLOWED_ORIGINS")?;
        Ok(Self {
            client: connection::client().await?,
            table: variable("TABLE")?,
            expected: Expected { issuer: variable("ISSUER")?, audience: variable("AUDIENCE")? },
            allowed_origins: origins
                .split(',')
                .map(|origin| origin.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect(),
            clock: Time::now,
            keys: Mutex::default(),
            catalogs: Mutex::default(),
        })
    }

    pub fn table<'a>(&'a self, call: &'a Call) -> Table<'a> {
        self.table_until(&call.meter, call.deadline)
    }

    fn table_until<'a>(&'a self, meter: &'a Meter, deadline: Instant) -> Table<'a> {
        Table { client: &self.client, name: &self.table, meter, deadline }
    }

    /// Reads the keys and so opens the connection that the first request then finds.
    pub async fn warm_up(&self) -> Result<(), Problem> {
        let meter = Meter::of("init");
        self.read_keys(self.table_until(&meter, Instant::now() + ATTEMPT)).await.map(drop)
    }

    fn read_keys<'a>(&'a self, table: Table<'a>) -> Boxed<'a, Arc<Keys>> {
        Box::pin(async move {
            let item = table.get([key::jwks()]).await?.remove(&key::jwks());
            let document = item.as_ref().and_then(|item| item.get("document"));
            let document = document.and_then(|document| document.as_s().ok()).map_or(r#"{"keys":[]}"#, String::as_str);
            let keys = Arc::new(Keys::parse(document).map_err(Problem::Internal)?);
            let known = KnownKeys { keys: keys.clone(), read_at: Instant::now() };
            *lock(&self.keys) = Some(known);
            Ok(keys)
        })
    }

    /// The keys, read again if they lack `kid` and were not read just now.
    async fn keys_with(&self, call: &Call, kid: &str) -> Result<Arc<Keys>, Problem> {
        let known = lock(&self.keys).clone();
        match known {
            Some(known) if known.keys.has(kid) || known.read_at.elapsed() < KEYS_AGAIN => Ok(known.keys),
            _ => self.read_keys(self.table(call)).await,
        }
    }

    async fn verify(&self, call: &Call, token: Option<&str>, kind: Kind) -> Result<Credential, Problem> {
        let token = token.ok_or(Problem::Unauthenticated("no token"))?;
        let keys = self.keys_with(call, &credential::kid(token)?).await?;
        let credential = credential::verify(token, kind, &keys, &self.expected, (self.clock)())?;
        let _ = call.caller.set((credential.tenant, credential.user)); // The first credential names the caller.
        Ok(credential)
    }

    /// The caller by `Authorization: Bearer` with an access token.
    pub async fn bearer(&self, call: &Call) -> Result<Caller, Problem> {
        let token = call.header(header::AUTHORIZATION).and_then(credential::bearer);
        self.verify(call, token, Kind::Access).await.map(Caller::from)
    }

    /// The caller by a bearer and an `x-session-token` of the same user in the same tenant.
    pub async fn bearer_and_session(&self, call: &Call) -> Result<Caller, Problem> {
        let mut caller = self.bearer(call).await?;
        let session = self.verify(call, call.header("x-session-token"), Kind::Session).await?;
        if (session.user, session.tenant) != (caller.user, caller.tenant) {
            return Err(Problem::Unauthenticated("a session token of another user or tenant"));
        }
        if !caller.sessions.contains(&session.session) {
            caller.sessions.push(session.session);
        }
        Ok(caller)
    }

    /// The caller by a bearer or, without one, by the cookie `session`.
    ///
    /// A browser sends a cookie whoever made the page that calls; so it only counts where the page is known, and where no
    /// mere form could have made the request.
    pub async fn bearer_or_cookie(&self, call: &Call) -> Result<Caller, Problem> {
        if call.header(header::AUTHORIZATION).is_some() {
            return self.bearer(call).await;
        }
        let origin = call.header(header::ORIGIN);
        if origin.is_some_and(|origin| !self.allowed_origins.iter().any(|allowed| allowed == origin)) || !call.is_json()
        {
            return Err(Problem::Unauthenticated("a cookie from a foreign page"));
        }
        self.verify(call, call.cookie("session"), Kind::Session).await.map(Caller::from)
    }

    /// The catalog of a tenant at its current version, from memory if it is the same.
    pub async fn catalog(&self, call: &Call, tenant: &Tenant) -> Result<Arc<Catalog>, Problem> {
        let known = lock(&self.catalogs).get(&tenant.id).cloned();
        if let Some(catalog) = known.filter(|catalog| catalog.version == tenant.catalog_version) {
            return Ok(catalog);
        }
        let catalog = Arc::new(self.table(call).catalog(TenantKeys(tenant.id), tenant.catalog_version).await?);
        for (policy, why) in catalog.policies.broken() {
            log::line(
                Level::Error,
                "a tenant's policy cannot be used; nothing is allowed there until it is mended",
                &|| json!({ "request_id": call.request_id, "tenant": tenant.id.number(), "policy": policy, "cause": why }),
            );
        }
        let mut catalogs = lock(&self.catalogs);
        if catalogs.len() >= MAX_CATALOGS {
            catalogs.clear();
        }
        catalogs.insert(tenant.id, catalog.clone());
        Ok(catalog)
    }
}

/// A setting that `template.yaml` gives.
///
/// # Errors
/// It is missing.
pub fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}
