//! What a function keeps while it is warm: the connection, the keys, the catalogs.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use domain::{Problem, Time};
use lambda_http::http::header;

use crate::answer::Answer;
use crate::gate::{self, Asked, Caller, Conditions, KnownRules, PlanFn, ReadFn, Reads};
use crate::http::call::Call;
use crate::http::credential::{self, Credential, Expected, Keys, Kind};
use crate::lock;
use crate::table::meter::Meter;
use crate::table::{ATTEMPT, Table, client, key};

/// How often an unknown `kid` may make a function read the keys again.
const KEYS_AGAIN: Duration = Duration::from_secs(10);

/// A boxed future. Boxing keeps shared async code from being compiled again into every function.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

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
    rules: KnownRules,
}

#[derive(Clone)]
struct KnownKeys {
    keys: Arc<Keys>,
    read_at: Instant,
}

impl From<Credential> for Caller {
    fn from(it: Credential) -> Self {
        Caller::new(it.user, it.tenant, it.slug, it.session)
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
            client: client::client().await?,
            table: variable("TABLE")?,
            expected: Expected { issuer: variable("ISSUER")?, audience: variable("AUDIENCE")? },
            allowed_origins: origins
                .split(',')
                .map(|origin| origin.trim().to_owned())
                .filter(|it| !it.is_empty())
                .collect(),
            clock: crate::now,
            keys: Mutex::default(),
            rules: KnownRules::default(),
        })
    }

    fn table<'a>(&'a self, call: &'a Call) -> Table<'a> {
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

    /// Makes a change, if the caller may. See [`gate::change`] for what can stop it.
    pub fn change<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        reads: Reads,
        conditions: &'a Conditions,
        plan: &'a PlanFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move { gate::change(&self.asked(call), caller, &reads, conditions, plan).await })
    }

    /// Answers with what the caller may see. See [`gate::read`] for what can stop it.
    pub fn read<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        reads: Reads,
        answer: &'a ReadFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move { gate::read(&self.asked(call), caller, &reads, answer).await })
    }

    fn asked<'a>(&'a self, call: &'a Call) -> Asked<'a> {
        Asked {
            request: &call.request_id,
            dialect: call.dialect.name,
            pictures: call.dialect.pictures,
            clock: self.clock,
            meter: &call.meter,
            deadline: call.deadline,
            table: self.table(call),
            rules: &self.rules,
        }
    }
}

/// A setting that `template.yaml` gives.
///
/// # Errors
/// It is missing.
pub fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}
