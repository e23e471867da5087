//! The tokens of a session: the answer that has them, the cookie, and their refresh.

use domain::id::{TenantId, UserId};
use domain::problem::Grant;
use domain::session::{Impersonator, Refresh};
use domain::{Problem, Session, Tenant};
use lambda_http::http::header;
use serde_json::json;

use super::{App, Boxed, variable};
use crate::answer::Answer;
use crate::api_key::{self, ShownKey};
use crate::dialect::oauth::{Client, Introspection, Revoked, ShownToken, Tokens};
use crate::gate::sessions::{self, GRACE};
use crate::gate::tokens::{self, Refreshed};
use crate::gate::{Asked, Reads, budget};
use crate::http::call::Call;
use crate::http::credential::{self, Act, Claims, Credential, Holder, Kind};
use crate::http::signing::{ACCESS, RefreshOf, SESSION, SigningKeys, hash};

/// A session with what its tokens say.
pub(super) struct Signed<'a> {
    pub tenant: &'a Tenant,
    pub user: UserId,
    pub session: &'a Session,
}

/// The session that a token ends.
struct Ending {
    who: (TenantId, UserId),
    session: String,
    /// Who acts as the member in it. They alone have its tokens.
    impersonator: Option<Impersonator>,
}

impl App {
    /// A refresh token gives new tokens once. The one before it gives the same again for a while. An older one ends the session,
    /// because two have it: its owner, and a thief.
    pub(super) async fn refresh(&self, call: &Call, token: &str) -> Result<Answer, Problem> {
        let refuse = |why| Problem::Grant(Grant::InvalidRefresh, why);
        let of = RefreshOf::read(token).ok_or(refuse("no refresh token"))?;
        let asked = self.asked_alone(call);
        let session_id = of.session.to_string();
        loop {
            let who = (of.tenant, of.user);
            let Refreshed { session, facts, ours } = tokens::of_refresh(&asked, who, &session_id).await?;
            let _ = call.caller.set((of.tenant, Holder::Member(of.user)));
            let keys = self.signing.keys(ours.as_ref()).await?;
            let current = session.refresh.clone().ok_or(refuse("a session without refresh tokens"))?;
            let now = facts.now().seconds();
            let next = |counter: u32| keys.refresh(&of.replaced(counter));
            let shown = hash(token);
            let signed = Signed { tenant: facts.tenant(), user: of.user, session: &session };
            if of.counter == current.counter && shown == current.hash {
                let successor = next(current.counter + 1);
                let replaced =
                    Refresh { counter: current.counter + 1, hash: hash(&successor), previous: Some(shown), since: now };
                match tokens::replace_refresh(&asked, of.tenant, &session, &replaced).await? {
                    true => return self.answer(call, &keys, &signed, Some(successor), now, false),
                    // Another request was quicker: the token is the one before now.
                    false => continue,
                }
            }
            if current.previous.as_ref() == Some(&shown) && current.since + GRACE >= now {
                let successor = next(current.counter);
                // A secret that was replaced in an emergency cannot make it again.
                return match hash(&successor) == current.hash {
                    true => self.answer(call, &keys, &signed, Some(successor), now, false),
                    false => Err(refuse("made by a secret that was replaced")),
                };
            }
            if of.counter < current.counter && (current.previous == Some(shown) || keys.has_made(&of, token)) {
                sessions::end(&asked, who, &session_id, "a refresh token was used again", None).await?;
                return Err(refuse("a refresh token that was replaced before: its session has ended"));
            }
            return Err(refuse("no refresh token of ours"));
        }
    }

    /// Ends the session of a token (RFC 7009). Whoever shows the token may. The answer is the same for a token that is none.
    ///
    /// # Errors
    /// The faults of the request, [`Problem::TooManyRequests`]; the table cannot be read or written.
    pub fn revoke<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let token = ShownToken::read(call)?.token;
            self.spend(call, &token).await?;
            let asked = self.asked_alone(call);
            if let Some(Ending { who, session, impersonator }) = self.session_of(call, &asked, &token).await? {
                let _ = call.caller.set((who.0, Holder::Member(who.1)));
                let by = impersonator.map(|by| by.member);
                if let Some(by) = by {
                    let _ = call.impersonator.set(by);
                }
                sessions::end(&asked, who, &session, "a token was revoked", by).await?;
            }
            Ok(Answer::json(200, &json!(Revoked {})).uncached())
        })
    }

    /// Says whether a token is good, and what for (RFC 7662). It reads the session: so a token is good no more once its session has
    /// ended, whatever the token says.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn introspect<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let caller = self.bearer(call).await?;
            let token = ShownToken::read(call)?.token;
            let (refresh, shown) = match RefreshOf::read(&token) {
                Some(of) => (Some(of), None),
                None => (None, self.of_either_kind(call, &token).await?),
            };
            let key = ShownKey::read(&token);
            let whose = match (&key, &refresh, &shown) {
                (Some(key), ..) => Some((key.tenant, Holder::Key(key.id, key.maker), String::new())),
                (_, Some(of), _) => Some((of.tenant, Holder::Member(of.user), of.session.to_string())),
                (.., Some(shown)) => Some((shown.tenant, shown.holder, shown.session.clone())),
                _ => None,
            };
            // A token of another tenant is none here.
            let whose = whose.filter(|(tenant, ..)| *tenant == caller.tenant);
            let reads = match &whose {
                Some((_, Holder::Key(id, maker), _)) => Reads::api_key(Some(*id)).and_members(*maker),
                Some((_, Holder::Member(user), session)) => {
                    let by = shown.as_ref().and_then(|shown| shown.impersonator.as_ref());
                    Reads::session(Some((*user, session.clone()))).and_members(by.map(|by| by.member))
                }
                None => Reads::session(None),
            };
            self.read(call, &caller, reads, &|reading| {
                let introspection = match (reading.live_session()?, &shown) {
                    (Some(session), Some(shown)) => Some(Introspection::of_token(shown, session)),
                    (Some(session), None) => {
                        Introspection::of_refresh(session, &hash(&token), caller.tenant, &self.expected)
                    }
                    (None, _) => {
                        let key = reading.live_key(key.as_ref().map(|key| key.hash.as_str()));
                        key.map(|key| Introspection::of_key(key, shown.as_ref(), &self.expected))
                    }
                };
                Ok(Answer::json(200, &json!(introspection.unwrap_or_default())).uncached())
            })
            .await
        })
    }

    /// An access token for an API key (RFC 6749, section 4.4). There is no refresh token: the key gives another one.
    pub(super) async fn of_client(&self, call: &Call, client: &Client) -> Result<Answer, Problem> {
        let refuse = |why| Problem::Grant(Grant::InvalidClient, why);
        let caller = super::by_key(call, &client.secret).ok_or(refuse("no API key, or not the whole of it"))?;
        let (facts, key, ours) = tokens::of_key(&self.asked_alone(call), &caller).await?;
        let id = key.id.uuid_in(caller.tenant).to_string();
        if client.id.as_ref().is_some_and(|shown| *shown != id) {
            return Err(refuse("the id of another key"));
        }
        let keys = self.signing.keys(ours.as_ref()).await?;
        let now = facts.now().seconds();
        let lasts = ACCESS.min(key.valid_until - now);
        let whose = (id.clone(), api_key::name(key.id, key.maker));
        let claims = self.claims(facts.tenant(), whose, Kind::Access, (now, now + lasts));
        Ok(Answer::json(200, &json!(Tokens::new(keys.sign(&claims, &id)?, lasts))))
    }

    /// Spends one call of the client's address, and one of the credential that it shows.
    pub(super) async fn spend(&self, call: &Call, credential: &str) -> Result<(), Problem> {
        let per_address = variable("CALLS_PER_ADDRESS").map_err(Problem::Internal)?;
        let per_address =
            per_address.parse().map_err(|_| Problem::Internal("CALLS_PER_ADDRESS is no number".into()))?;
        budget::spend(&self.asked_alone(call), &call.address, per_address, &hash(credential)).await
    }

    /// The session of a token that is good.
    async fn session_of(&self, call: &Call, asked: &Asked<'_>, token: &str) -> Result<Option<Ending>, Problem> {
        if let Some(of) = RefreshOf::read(token) {
            let (who, session) = ((of.tenant, of.user), of.session.to_string());
            let is_good = tokens::has_refresh(asked, who, &session, &hash(token)).await?;
            return Ok(is_good.then_some(Ending { who, session, impersonator: None }));
        }
        let Some(shown) = self.of_either_kind(call, token).await? else { return Ok(None) };
        let session = shown.session().map(|(who, session)| (who, session.to_owned()));
        Ok(session.map(|(who, session)| Ending { who, session, impersonator: shown.impersonator }))
    }

    /// What an access token or a session token says; `None` if it is none that is good.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub(super) async fn of_either_kind(&self, call: &Call, token: &str) -> Result<Option<Credential>, Problem> {
        let Ok(kid) = credential::kid(token) else { return Ok(None) };
        let keys = self.fresh_keys_with(call, &kid).await?;
        let verify = |kind| credential::verify(token, kind, &keys, &self.expected, (self.clock)());
        Ok(verify(Kind::Session).or_else(|_| verify(Kind::Access)).ok())
    }

    /// The claims of a token that is made now: whose it is (`sub`, `sid`), and until when it is good.
    pub(super) fn claims(
        &self,
        tenant: &Tenant,
        (sub, sid): (String, String),
        typ: Kind,
        (now, exp): (i64, i64),
    ) -> Claims {
        Claims {
            iss: self.expected.issuer.clone(),
            aud: self.expected.audience.clone(),
            sub,
            tid: tenant.id.uuid().to_string(),
            slug: tenant.slug.clone(),
            sid,
            exp,
            iat: now,
            nbf: now,
            typ,
            started: None,
            act: None,
            approves: None,
        }
    }

    /// The answer with the tokens of a session.
    pub(super) fn answer(
        &self,
        call: &Call,
        keys: &SigningKeys,
        Signed { tenant, user, session }: &Signed<'_>,
        refresh: Option<String>,
        now: i64,
        cookie: bool,
    ) -> Result<Answer, Problem> {
        let token = |typ, lasts: i64| {
            let whose = (user.uuid().to_string(), session.id.clone());
            let claims = self.claims(tenant, whose, typ, (now, (now + lasts).min(session.expires_at)));
            let by = session.impersonator.as_ref();
            let act = by.map(|by| Act { sub: by.member.uuid().to_string(), sid: by.session.clone() });
            keys.sign(&Claims { started: Some(session.began()), act, ..claims }, &session.client)
        };
        let left = session.expires_at - now;
        // Nothing prolongs the session of somebody who acts as the member.
        let access = if session.impersonator.is_some() { left } else { ACCESS.min(left) };
        let mut tokens = Tokens::new(token(Kind::Access, access)?, access).exchanged();
        let session_token = token(Kind::Session, SESSION)?;
        tokens.refresh_token = refresh;
        if !cookie {
            tokens.session_token = Some(session_token);
            return Ok(Answer::json(200, &json!(tokens)));
        }
        let lasts = SESSION.min(left);
        Ok(with_cookie(call, Answer::json(200, &json!(tokens)), &session_token, lasts))
    }

    /// The answer to who has ended the session of the request: the cookie goes with it.
    pub fn without_cookie(&self, call: &Call, answer: Answer) -> Answer {
        let has_cookie = ["__Host-session", "session"].iter().any(|name| call.cookie(name).is_some());
        if has_cookie { with_cookie(call, answer, "", 0) } else { answer }
    }
}

/// The answer with the cookie of a session, for so many seconds.
fn with_cookie(call: &Call, answer: Answer, token: &str, lasts: i64) -> Answer {
    // A laptop's server has no TLS. API Gateway always says `https`.
    let is_plain = call.header("x-forwarded-proto") == Some("http");
    let (name, secure) = if is_plain { ("session", "") } else { ("__Host-session", "; Secure") };
    let cookie = format!("{name}={token}; Path=/; HttpOnly{secure}; SameSite=Lax; Max-Age={lasts}");
    answer.with_header(header::SET_COOKIE.as_str(), cookie)
}
