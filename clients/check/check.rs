//! Asks Rolecall whether members may do something: AuthZEN, `POST /access/v1/evaluations`.
//!
//! Questions that are asked together go together, up to 100 in a request. No answer is kept: it was true when it was given, and the
//! next change can make it false.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// The most questions of a request, and the most bytes of all of them: a body may have 64 KiB.
const MAX_QUESTIONS: usize = 100;
const MAX_BYTES: usize = 60_000;

/// The most bytes of an answer.
const MAX_ANSWER: usize = 4 << 20;

/// A member, by their UUID, or a thing. The properties are for the tenant's policies.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Entity {
    /// `user` for a member.
    pub r#type: String,
    pub id: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

impl Entity {
    pub fn new(kind: &str, id: &str) -> Self {
        Self { r#type: kind.to_owned(), id: id.to_owned(), properties: Map::new() }
    }
}

/// What a subject would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Action {
    /// A permission, such as `invoice:read`, or the part behind the type of the resource.
    pub name: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
}

/// May this member do that?
#[derive(Clone, Debug, Default, Serialize)]
pub struct Question {
    pub subject: Entity,
    pub action: Action,
    pub resource: Entity,
    /// What you know beside the question, for the tenant's policies. `explain: true` asks for the roles that decided.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
}

impl Question {
    /// Whether a member, by their UUID, may do something with a thing.
    pub fn new(member: &str, action: &str, resource: Entity) -> Self {
        let action = Action { name: action.to_owned(), properties: Map::new() };
        Self { subject: Entity::new("user", member), action, resource, context: Map::new() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    pub allowed: bool,
    /// The rule that denies.
    pub rule: Option<String>,
    /// What the policies say that decided.
    pub notices: Vec<String>,
    /// The roles that grant or deny the permission, if the question asks for them.
    pub explanation: Option<Value>,
    /// Why Rolecall could not be asked. Then `allowed` is what [`OnFailure`] says.
    pub failure: Option<String>,
}

/// What counts if Rolecall cannot be asked: no answer in time, 429, 5xx. An answer that says that the request is wrong is always an
/// error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// It denies.
    #[default]
    Closed,
    /// It allows.
    Open,
    /// It is an [`Error::Failed`].
    Error,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Rolecall has refused the request, or one question of it: 400, 401, 403. Asking again changes nothing.
    Refused { status: u16, message: String },
    /// There is no token to ask with.
    NoToken(String),
    /// Rolecall could not be asked.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Refused { status, message } => write!(f, "Rolecall has refused the question: {status}, {message}"),
            Error::NoToken(why) => write!(f, "there is no token to ask Rolecall with: {why}"),
            Error::Failed(why) => write!(f, "Rolecall could not be asked: {why}"),
        }
    }
}

impl StdError for Error {}

type Sent = Pin<Box<dyn Future<Output = Result<String, Box<dyn StdError + Send + Sync>>> + Send>>;

/// Asks a server. Clones ask together.
#[derive(Clone)]
pub struct Checker(Arc<Inner>);

struct Inner {
    endpoint: String,
    token: Box<dyn Fn() -> Sent + Send + Sync>,
    options: Options,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    waiting: Mutex<Vec<Waiting>>,
}

/// A question that nobody has sent yet.
struct Waiting {
    /// The question as JSON.
    question: String,
    answer: oneshot::Sender<Result<Answer, Error>>,
}

#[derive(Deserialize)]
struct Evaluations {
    evaluations: Vec<Evaluation>,
}

#[derive(Deserialize)]
struct Evaluation {
    decision: bool,
    #[serde(default)]
    context: Context,
}

#[derive(Default, Deserialize)]
struct Context {
    rule: Option<String>,
    #[serde(default)]
    notices: Vec<String>,
    explanation: Option<Value>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    status: u16,
    message: String,
}

/// Where and how to ask.
#[derive(Clone, Debug)]
pub struct Options {
    /// The URL of the API.
    pub url: String,
    pub on_failure: OnFailure,
    /// How long a request may take.
    pub timeout: Duration,
}

impl Options {
    /// A request may take 2 s, and a failure denies.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), on_failure: OnFailure::default(), timeout: Duration::from_secs(2) }
    }
}

impl Checker {
    /// `token` gives an access token of a caller with the permission `decision:check`; it is asked before each request.
    pub fn new<F, T, E>(options: Options, token: T) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        T: Fn() -> F + Send + Sync + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.expect("ring has TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self(Arc::new(Inner {
            endpoint: format!("{}/access/v1/evaluations", options.url.trim_end_matches('/')),
            token: Box::new(move || {
                let token = token();
                Box::pin(async move { token.await.map_err(Into::into) })
            }),
            options,
            client: Client::builder(TokioExecutor::new()).build(https),
            waiting: Mutex::default(),
        }))
    }

    /// Whether a member may do something now.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn allowed(&self, question: &Question) -> Result<bool, Error> {
        self.ask(question).await.map(|answer| answer.allowed)
    }

    /// The same with the reasons.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        let question = serde_json::to_string(question).map_err(|why| Error::Failed(why.to_string()))?;
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(Waiting { question, answer: sender });
            waiting.len() == 1
        };
        if is_first {
            // The first question lets those ask that are asked together with it. If it is dropped meanwhile, they are sent as well.
            let all = Flush(&self.0);
            tokio::task::yield_now().await;
            drop(all);
        }
        answer.await.unwrap_or_else(|_| Err(Error::Failed("the runtime has ended".to_owned())))
    }
}

/// Sends what waits when it is dropped.
struct Flush<'a>(&'a Arc<Inner>);

impl Drop for Flush<'_> {
    fn drop(&mut self) {
        let mut waiting = std::mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        while !waiting.is_empty() {
            let mut bytes = 0;
            let fits = waiting.iter().take(MAX_QUESTIONS).take_while(|it| {
                bytes += it.question.len() + 1;
                bytes <= MAX_BYTES
            });
            // One that is too long by itself is refused alone.
            let rest = waiting.split_off(fits.count().max(1));
            let batch = std::mem::replace(&mut waiting, rest);
            let inner = Arc::clone(self.0);
            tokio::spawn(async move { inner.send(batch).await });
        }
    }
}

impl Inner {
    async fn send(&self, batch: Vec<Waiting>) {
        let (questions, senders): (Vec<_>, Vec<_>) = batch.into_iter().map(|it| (it.question, it.answer)).unzip();
        let timeout = self.options.timeout;
        let evaluations = tokio::time::timeout(timeout, self.evaluate(&questions)).await;
        let evaluations = evaluations.unwrap_or_else(|_| Err(Error::Failed(format!("no answer within {timeout:?}"))));
        let answers: Vec<_> = match evaluations {
            Ok(evaluations) => evaluations.into_iter().map(answer).collect(),
            Err(why) => vec![self.failed(why); questions.len()],
        };
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Somebody who waits no more does not want it.
            let _ = sender.send(answer);
        }
    }

    fn failed(&self, why: Error) -> Result<Answer, Error> {
        let on_failure = self.options.on_failure;
        match why {
            Error::Failed(why) if on_failure != OnFailure::Error => {
                let allowed = on_failure == OnFailure::Open;
                Ok(Answer { allowed, failure: Some(why), ..Answer::default() })
            }
            why => Err(why),
        }
    }

    async fn evaluate(&self, questions: &[String]) -> Result<Vec<Evaluation>, Error> {
        let failed = |why: &dyn fmt::Display| Error::Failed(why.to_string());
        // Without a token nothing can be asked: that is no failure of Rolecall.
        let token = (self.token)().await.map_err(|why| Error::NoToken(why.to_string()))?;
        let request = Request::post(&self.endpoint)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(format!("{{\"evaluations\":[{}]}}", questions.join(","))));
        let response = self.client.request(request.map_err(|why| failed(&why))?).await.map_err(|why| failed(&why))?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|why| failed(&why))?.to_bytes();
        if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            // The message of a refusal is a JSON text.
            let message = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned());
            return Err(Error::Refused { status: status.as_u16(), message });
        }
        if !status.is_success() {
            return Err(failed(&format_args!("it answered {status}")));
        }
        let read: Evaluations = serde_json::from_slice(&body).map_err(|_| failed(&"its answer is none"))?;
        match read.evaluations.len() == questions.len() {
            true => Ok(read.evaluations),
            false => Err(failed(&"its answer is none")),
        }
    }
}

fn answer(Evaluation { decision, context }: Evaluation) -> Result<Answer, Error> {
    let Context { rule, notices, explanation, error } = context;
    match error {
        Some(Refusal { status, message }) => Err(Error::Refused { status, message }),
        None => Ok(Answer { allowed: decision, rule, notices, explanation, failure: None }),
    }
}
