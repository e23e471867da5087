//! The state that a function keeps while it is warm: the connection, the keys, the catalogs.

mod approval;
mod entry;
mod events;
mod impersonation;
mod keys;
mod lists;
mod personal;
mod sign_in;
mod tokens;
mod webhooks;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use domain::id::UserId;
use domain::problem::Denial;
use domain::{Problem, Time};
use lambda_http::http::header;

use crate::answer::Answer;
use crate::api_key::ShownKey;
use crate::gate::{
    self, Asked, Caller, Conditions, FreshNumbers, KeyProof, KnownNames, KnownRules, MemberList, Page, PageFn, PartFn,
    PlanFn, Proof, Question, ReadFn, Reads, TenantPageFn, VerifyAgain, Who,
};
use crate::http::call::Call;
use crate::http::credential::{self, Credential, Expected, Holder, Keys, Kind};
use crate::lock;
use crate::table::meter::Meter;
use crate::table::{ATTEMPT, Item, Table, client, key};

/// How often an unknown `kid` may make a function read the keys again.
const KEYS_AGAIN: Duration = Duration::from_secs(10);

/// How long a function trusts keys that it has read. Then it reads them again together with the facts of a request. If every
/// request read them, they would be one hot item.
const KEYS_ARE_OLD: Duration = Duration::from_secs(30);

/// A boxed future. Boxing keeps shared async code from being compiled again into every function.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// The state of a function.
pub struct App {
    client: Client,
    table: String,
    expected: Expected,
    /// Origins whose pages may call with a session cookie.
    allowed_origins: Vec<String>,
    /// Whether everybody who is signed in may make a tenant.
    anyone_makes_tenants: bool,
    /// The current time.
    pub clock: fn() -> Time,
    keys: Mutex<Option<KnownKeys>>,
    rules: KnownRules,
    names: KnownNames,
    numbers: FreshNumbers,
    signing: keys::Signing,
}

#[derive(Clone)]
struct KnownKeys {
    keys: Arc<Keys>,
    /// The JWK Set that they were read from.
    document: String,
    read_at: Instant,
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
            anyone_makes_tenants: variable("TENANT_CREATION")? == "anyone",
            clock: crate::now,
            keys: Mutex::default(),
            rules: KnownRules::default(),
            names: KnownNames::default(),
            numbers: FreshNumbers::default(),
            signing: keys::Signing::default(),
        })
    }

    fn table<'a>(&'a self, call: &'a Call) -> Table<'a> {
        self.table_until(&call.meter, call.deadline)
    }

    fn table_until<'a>(&'a self, meter: &'a Meter, deadline: Instant) -> Table<'a> {
        Table { client: &self.client, name: &self.table, meter, deadline }
    }

    /// Reads the keys, which also opens the connection for the first request.
    pub async fn warm_up(&self) -> Result<(), Problem> {
        let meter = Meter::of("init");
        self.read_keys(self.table_until(&meter, Instant::now() + ATTEMPT)).await.map(drop)
    }

    fn read_keys<'a>(&'a self, table: Table<'a>) -> Boxed<'a, Arc<Keys>> {
        Box::pin(async move {
            let item = table.get([key::jwks()]).await?.remove(&key::jwks());
            self.take_keys(item.as_ref())
        })
    }

    /// Takes the keys of an item that was just read. If the item has not changed, the known keys stay, with the tokens that they
    /// have verified.
    fn take_keys(&self, item: Option<&Item>) -> Result<Arc<Keys>, Problem> {
        let document = item.and_then(|item| item.get("document")).and_then(|document| document.as_s().ok());
        let document = document.map_or(r#"{"keys":[]}"#, String::as_str);
        let mut known = lock(&self.keys);
        let keys = match known.take().filter(|known| known.document == document) {
            Some(known) => known.keys,
            None => Arc::new(Keys::parse(document).map_err(Problem::Internal)?),
        };
        *known = Some(KnownKeys { keys: keys.clone(), document: document.to_owned(), read_at: Instant::now() });
        Ok(keys)
    }

    /// The keys. Reads them again if they lack `kid` and the last read is [`KEYS_AGAIN`] old.
    async fn keys_with(&self, call: &Call, kid: &str) -> Result<Arc<Keys>, Problem> {
        let known = lock(&self.keys).clone();
        match known {
            Some(known) if known.keys.has(kid) || known.read_at.elapsed() < KEYS_AGAIN => Ok(known.keys),
            _ => self.read_keys(self.table(call)).await,
        }
    }

    /// The keys, for a request that does not read them beside its facts. Reads them again if the last read is [`KEYS_ARE_OLD`].
    async fn fresh_keys_with(&self, call: &Call, kid: &str) -> Result<Arc<Keys>, Problem> {
        match self.has_old_keys() {
            true => self.read_keys(self.table(call)).await,
            false => self.keys_with(call, kid).await,
        }
    }

    async fn verify(&self, call: &Call, token: Option<&str>, kind: Kind) -> Result<Caller, Problem> {
        let token = token.ok_or(Problem::Unauthenticated("no token"))?;
        let keys = self.keys_with(call, &credential::kid(token)?).await?;
        let credential = credential::verify(token, kind, &keys, &self.expected, (self.clock)())?;
        let _ = call.caller.set((credential.tenant, credential.holder)); // The first credential names the caller.
        let Credential { holder, tenant, slug, session, issued, impersonator, .. } = credential;
        if let Some(by) = &impersonator {
            let _ = call.impersonator.set(by.member);
        }
        let proof = Proof { token: token.to_owned(), session, issued };
        Ok(match holder {
            Holder::Member(user) => Caller::new(user, tenant, slug, proof).impersonated(impersonator),
            Holder::Key(id, maker) => {
                let key = KeyProof { id, maker, hash: None, address: call.address.clone() };
                Caller::of_key(key, tenant, slug, proof)
            }
        })
    }

    /// The caller by `Authorization: Bearer` with an access token, or with an API key.
    pub async fn bearer(&self, call: &Call) -> Result<Caller, Problem> {
        let token = call.header(header::AUTHORIZATION).and_then(credential::bearer);
        let caller = match token.filter(|token| ShownKey::is_meant(token)) {
            Some(key) => by_key(call, key).ok_or(Problem::Unauthenticated("no API key, or not the whole of it"))?,
            None => self.verify(call, token, Kind::Access).await?,
        };
        self.with_approval(call, caller).await
    }

    /// The caller by a bearer and an `x-session-token` of the same user in the same tenant.
    pub async fn bearer_and_session(&self, call: &Call) -> Result<Caller, Problem> {
        let mut caller = self.bearer(call).await?;
        let session = self.verify(call, call.header("x-session-token"), Kind::Session).await?;
        let whose = |it: &Caller| (it.member(), it.tenant, it.impersonator().cloned());
        if caller.member().is_none() || whose(&session) != whose(&caller) {
            return Err(Problem::Unauthenticated("a session token of another user or tenant"));
        }
        caller.also(session);
        Ok(caller)
    }

    /// The caller by a bearer or, without one, by the cookie `session`.
    ///
    /// A browser sends the cookie with calls of any page. So the cookie counts only if the page's origin is allowed, and if no
    /// plain form could have made the request. A browser names no origin if a page only includes the answer, as an image or a
    /// script; then it says that the page is of another site (Fetch Metadata).
    pub async fn bearer_or_cookie(&self, call: &Call) -> Result<Caller, Problem> {
        if call.header(header::AUTHORIZATION).is_some() {
            return self.bearer(call).await;
        }
        if !self.takes_cookies(call) {
            return Err(Problem::Unauthenticated("a cookie from a foreign page"));
        }
        // The first name is one that no other site of the same domain can set.
        let cookie = call.cookie("__Host-session").or(call.cookie("session"));
        let caller = self.verify(call, cookie, Kind::Session).await?;
        self.with_approval(call, caller).await
    }

    /// Whether a cookie counts in this request.
    fn takes_cookies(&self, call: &Call) -> bool {
        let is_from_here = match call.header(header::ORIGIN) {
            Some(origin) => self.allowed_origins.iter().any(|allowed| allowed == origin),
            None => call.header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none")),
        };
        is_from_here && !call.can_be_a_form()
    }

    /// Whether the deployment lets people make tenants. What the policies say comes after that.
    ///
    /// # Errors
    /// [`Problem::Forbidden`]
    pub fn may_make_tenants(&self) -> Result<(), Problem> {
        if self.anyone_makes_tenants {
            return Ok(());
        }
        let notice = "Only the operator of this deployment makes tenants.";
        Err(Problem::Forbidden(Denial::plain("tenant-creation", "tenant:create", notice)))
    }

    /// The name of the environment, which API keys show: the parameter `KeyEnvironment` of the stack.
    ///
    /// # Errors
    /// It is not set.
    pub fn key_environment(&self) -> Result<String, Problem> {
        variable("KEY_ENVIRONMENT").map_err(Problem::Internal)
    }

    /// Makes a change, if the caller may. [`gate::change`] lists the errors.
    pub fn change<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        reads: Reads,
        conditions: &'a Conditions,
        plan: &'a PlanFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::change(&self.asked(call, &check), &Who::Caller(caller), &reads, conditions, plan).await
        })
    }

    /// Answers a read, if the caller may see the result. [`gate::read`] lists the errors.
    pub fn read<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        reads: Reads,
        answer: &'a ReadFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::read(&self.asked(call, &check), caller, &reads, answer).await
        })
    }

    /// Answers with a page of the tenant's members. [`gate::list::members`] lists the errors.
    pub fn list<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        wanted: &'a MemberList,
        page: &'a Page,
        answer: &'a PageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::list::members(&self.asked(call, &check), caller, wanted, page, answer).await
        })
    }

    /// Answers with a part of the results of a job. [`gate::exports::part`] lists the errors.
    pub fn part<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        reads: Reads,
        number: usize,
        answer: &'a PartFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::exports::part(&self.asked(call, &check), caller, &reads, number, answer).await
        })
    }

    /// Answers with a page of the members who may do something. [`gate::search::subjects`] lists the errors.
    pub fn subjects<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        question: Option<&'a Question>,
        page: &'a Page,
        answer: &'a (dyn Fn(&[UserId], Option<String>) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            let (found, next) = gate::search::subjects(&self.asked(call, &check), caller, question, page).await?;
            Ok(answer(&found, next))
        })
    }

    /// Answers with a page of the caller's tenants. [`gate::list::tenants`] lists the errors.
    pub fn tenants<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        page: &'a Page,
        answer: &'a TenantPageFn<'a>,
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            gate::list::tenants(&self.asked(call, &check), caller, page, answer).await
        })
    }

    /// Whether the caller's tokens are still good with the keys that were just read.
    fn verify_again(&self, caller: &Caller, keys: Option<&Item>) -> Result<(), Problem> {
        let keys = self.take_keys(keys)?;
        let mut tokens = caller.proofs.iter().map(|proof| &proof.token);
        tokens.try_for_each(|token| credential::verify_signature(token, &keys, &self.expected).map(drop))?;
        self.verify_approval_again(caller, &keys)
    }

    fn has_old_keys(&self) -> bool {
        lock(&self.keys).as_ref().is_none_or(|known| known.read_at.elapsed() >= KEYS_ARE_OLD)
    }

    fn asked<'a>(&'a self, call: &'a Call, verify_again: &'a VerifyAgain<'a>) -> Asked<'a> {
        Asked {
            pictures: call.dialect.pictures,
            names: call.dialect.names,
            verify_again: self.has_old_keys().then_some(verify_again),
            ..self.asked_alone(call)
        }
    }

    /// By a request without a caller.
    fn asked_alone<'a>(&'a self, call: &'a Call) -> Asked<'a> {
        self.asked_as(&call.request_id, call.dialect.name, &call.meter, call.deadline)
    }

    /// Without a caller, and for an answer that shows no member.
    pub(crate) fn asked_as<'a>(
        &'a self,
        request: &'a str,
        dialect: &'static str,
        meter: &'a Meter,
        deadline: Instant,
    ) -> Asked<'a> {
        Asked {
            request,
            dialect,
            pictures: false,
            names: false,
            clock: self.clock,
            meter,
            deadline,
            table: self.table_until(meter, deadline),
            rules: &self.rules,
            known_names: &self.names,
            numbers: &self.numbers,
            verify_again: None,
        }
    }
}

/// The caller by an API key, if the text is one. Whether it is good, the gate finds out.
fn by_key(call: &Call, text: &str) -> Option<Caller> {
    let shown = ShownKey::read(text)?;
    let _ = call.caller.set((shown.tenant, Holder::Key(shown.id, shown.maker)));
    Some(Caller::key(shown, &call.address))
}

/// A setting that `template.yaml` gives.
///
/// # Errors
/// It is missing.
pub fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment variable {name} is missing"))
}
