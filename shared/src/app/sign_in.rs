//! Signing in: a token of an identity provider becomes a session in one tenant, with tokens of ours.

use domain::id::{TenantId, UserId, Uuid};
use domain::problem::Grant;
use domain::session::{IDLE, LASTS, LASTS_REFRESHED, Refresh};
use domain::{Issuer, Member, Problem, Session, SignIn};
use lambda_http::http::header;

use super::entry::{accept, is_of, person, refused};
use super::tokens::Signed;
use super::{App, Boxed};
use crate::answer::Answer;
use crate::dialect::oauth::{Client, Exchange, TokenRequest};
use crate::gate::api_keys::{self, ShownApiKey};
use crate::gate::invitations::ShownSecret;
use crate::gate::issuers::{self, IssuerKeys, Trusted};
use crate::gate::sessions::{self, EXCHANGED, Exchanged, GRACE, Live, Target, Trust};
use crate::gate::tokens::{self, Refreshed};
use crate::gate::{self, Asked, Caller, Conditions, Reads, Who};
use crate::http::assertion::{Proved, UNKNOWN_KEY, Unverified};
use crate::http::call::Call;
use crate::http::credential::Holder;
use crate::http::signing::{RefreshOf, hash};
use crate::table::Item;

/// Why somebody gets no session, for the log.
pub(super) const NOT_ACTIVE: &str = "no active member";

/// The longest `User-Agent` that a session keeps, in bytes.
const MAX_DEVICE: usize = 250;

impl App {
    /// Answers a request for tokens.
    ///
    /// # Errors
    /// The faults of the request, [`Problem::TooManyRequests`], and [`Problem::Grant`].
    pub fn tokens<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let request = TokenRequest::read(call)?;
            let (TokenRequest::Exchange(Exchange { token: shown, .. })
            | TokenRequest::Refresh(shown)
            | TokenRequest::Client(Client { secret: shown, .. })) = &request;
            self.spend(call, shown).await?;
            let answer = match &request {
                TokenRequest::Exchange(exchange) => self.exchange(call, exchange).await?,
                TokenRequest::Refresh(token) => self.refresh(call, token).await?,
                TokenRequest::Client(client) => self.of_client(call, client).await?,
            };
            // RFC 6749, section 5.1.
            Ok(answer.uncached().with_header(header::PRAGMA.as_str(), "no-cache"))
        })
    }

    /// Answers somebody who accepts an invitation: they are signed in from now on.
    ///
    /// # Errors
    /// As those of [`App::tokens`].
    pub fn accept_invitation<'a>(&'a self, call: &'a Call) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let exchange = Exchange::of_invitation(call)?;
            self.spend(call, &exchange.token).await?;
            let answer = self.exchange(call, &exchange).await?;
            Ok(answer.uncached().with_header(header::PRAGMA.as_str(), "no-cache"))
        })
    }

    async fn exchange(&self, call: &Call, exchange: &Exchange) -> Result<Answer, Problem> {
        if exchange.cookie && !self.takes_cookies(call) {
            return Err(Problem::Grant(Grant::InvalidToken, "a cookie for a foreign page"));
        }
        let asked = self.asked_alone(call);
        let token = Unverified::read(&exchange.token, exchange.shown)?;
        if token.issuer()? == self.expected.issuer {
            return self.switch(call, &asked, exchange).await;
        }
        let (mut trust, proved) = self.prove(&asked, exchange, &token).await?;
        let user = match &exchange.invitation {
            Some(secret) => {
                let identity = (trust.issuer.iss.as_str(), proved.sign_in.subject.as_str());
                // An issuer without domains may verify any address.
                let counts = |email: &&str| trust.issuer.domains.is_empty() || is_of(&trust.issuer, email);
                let email = proved.email.as_deref().filter(counts);
                let user = accept(&asked, &trust, secret, identity, email).await?;
                trust.known = Some(user);
                user
            }
            None => person(&asked, &mut trust, &proved).await?,
        };
        let once = Some((proved.hash.clone(), proved.expires));
        let address = proved.email.as_deref().filter(|_| trust.known.is_none());
        let proof = Proof { sign_in: &proved.sign_in, client: &proved.client, address, session: None };
        let begun = self.begin(call, &asked, (&trust, user), &proof, once, exchange.cookie);
        match begun.await {
            Err(Problem::Exists(EXCHANGED)) => self.again(call, &asked, &trust, &proved.hash, exchange.cookie).await,
            Err(Problem::Grant(Grant::Denied, NOT_ACTIVE)) => Err(refused(&asked, &trust, &proved).await),
            answer => answer,
        }
    }

    /// What the token of an identity provider proves, and whether the tenant trusts in that.
    pub(super) async fn prove(
        &self,
        asked: &Asked<'_>,
        exchange: &Exchange,
        token: &Unverified<'_>,
    ) -> Result<(Trust, Proved), Problem> {
        let trust = sessions::trust(asked, &target(exchange), token.issuer()?, token.subject()?).await?;
        let keys = trust.keys.as_deref().ok_or(Problem::Grant(Grant::InvalidToken, UNKNOWN_KEY));
        let now = (self.clock)().seconds();
        let proved = keys.and_then(|keys| token.verify(&trust.issuer, keys, exchange.nonce.as_deref(), now));
        if matches!(&proved, Err(Problem::Grant(_, UNKNOWN_KEY))) {
            issuers::ask_for_keys(asked, &trust.issuer.iss).await?;
        }
        let proved = proved?;
        Ok((trust, proved))
    }

    /// Begins a session. `once` is the hash and the end of a token that gives no second one. A session that goes on from another one is
    /// as old as that, and ends when that one would, at the latest.
    async fn begin(
        &self,
        call: &Call,
        asked: &Asked<'_>,
        (trust, user): (&Trust, UserId),
        &Proof { sign_in, client, address, session: other }: &Proof<'_>,
        once: Option<(String, i64)>,
        cookie: bool,
    ) -> Result<Answer, Problem> {
        let keys = self.signing.keys(trust.ours.as_ref()).await?;
        let tenant_id = trust.tenant()?;
        let caller = Caller::signing_in(user, tenant_id);
        let _ = call.caller.set((tenant_id, Holder::Member(user)));
        let id = Uuid::new_v4();
        let device = call.header(header::USER_AGENT).map(|device| shortened(device).to_owned());
        let plan = |plan: &mut gate::Plan| {
            plan.facts().may_sign_in()?;
            let (tenant, now) = (plan.facts().tenant(), plan.facts().now());
            let most = if trust.issuer.refresh_tokens { LASTS_REFRESHED } else { LASTS };
            let lasts = tenant.settings.session_seconds.map_or(most, |set| most.min(i64::from(set)));
            let began = other.map_or(now.seconds(), Session::began);
            let expires_at = other.map_or(i64::MAX, |other| other.expires_at).min(began + lasts);
            if expires_at <= now.seconds() {
                return Err(Problem::Grant(Grant::InvalidToken, "a session that is too old for the tenant"));
            }
            let of = RefreshOf { tenant: tenant_id, user, session: id, counter: 0 };
            let token = trust.issuer.refresh_tokens.then(|| keys.refresh(&of));
            let refresh = token.as_ref().map(|token| Refresh {
                counter: 0,
                hash: hash(token),
                previous: None,
                since: now.seconds(),
            });
            let session = Session {
                id: id.to_string(),
                user,
                sign_in: sign_in.clone(),
                of_deployment: trust.issuer.of_deployment,
                since: other.map(Session::began),
                client: client.to_owned(),
                device: device.clone(),
                refresh,
                impersonator: None,
                reason: None,
                expires_at,
                meta: domain::Meta::new(now),
            };
            let ends = lives_until(&session, now.seconds());
            let exchanged = once.as_ref().map(|(hash, until)| {
                let (tenant, session) = (tenant_id, session.id.clone());
                let until = until + 2 * GRACE;
                (hash.clone(), Exchanged { tenant, user, session, at: now.seconds(), expires_at: until })
            });
            plan.begin_session(&session, ends, exchanged, trust.known.is_none(), address)?;
            let signed = Signed { tenant, user, session: &session };
            Ok(self.answer(call, &keys, &signed, token, now.seconds(), cookie)?.into())
        };
        let reads = Reads::member(Some(user)).unshown().once(once.as_ref().map(|(hash, _)| hash.clone()));
        let identity = trust.known.is_none().then(|| (sign_in.issuer.clone(), sign_in.subject.clone()));
        let reads = reads.identity(identity).also_if_deleted();
        let begun = gate::change(asked, &Who::Caller(&caller), &reads, &Conditions::default(), &plan).await;
        begun.map_err(|why| match why {
            Problem::Unauthenticated(_) => Problem::Grant(Grant::Denied, "no member"),
            // A tenant's own policy says what is missing. Otherwise it is the same for all who cannot sign in.
            Problem::Forbidden(denial) if !denial.rule.starts_with("tenant-policy-") => {
                Problem::Grant(Grant::Denied, NOT_ACTIVE)
            }
            other => other,
        })
    }

    /// The answer to a token that has just given a session: the first answer can have been lost.
    async fn again(
        &self,
        call: &Call,
        asked: &Asked<'_>,
        trust: &Trust,
        hash: &str,
        cookie: bool,
    ) -> Result<Answer, Problem> {
        let used = Problem::Grant(Grant::InvalidToken, "a token that has given a session before");
        let tenant = trust.tenant()?;
        let first = sessions::exchanged(asked, hash).await?.filter(|first| first.tenant == tenant);
        let now = (self.clock)().seconds();
        let first = first.filter(|first| first.at + GRACE >= now).ok_or(used)?;
        let Refreshed { session, facts, .. } =
            tokens::of_refresh(asked, (first.tenant, first.user), &first.session).await?;
        let keys = self.signing.keys(trust.ours.as_ref()).await?;
        let token = refresh_of(first.tenant, &session).map(|of| keys.refresh(&of));
        let signed = Signed { tenant: facts.tenant(), user: first.user, session: &session };
        self.answer(call, &keys, &signed, token, now, cookie)
    }

    /// A session token of ours gives a session in another tenant of the same person, if both tenants trust the issuer as all do, and the
    /// other one knows the same `sub`; in the same tenant it prolongs the session.
    async fn switch(&self, call: &Call, asked: &Asked<'_>, exchange: &Exchange) -> Result<Answer, Problem> {
        let shown = self.of_either_kind(call, &exchange.token).await?;
        let shown = shown.ok_or(Problem::Grant(Grant::InvalidToken, "a token of ours that is not good"))?;
        let of_key = Problem::Grant(Grant::InvalidToken, "a token of an API key");
        let (who, session) = shown.session().ok_or(of_key)?;
        let (session, member) = tokens::of_session(asked, who, session).await?;
        let target = match &target(exchange) {
            Target::Only => Target::Tenant(shown.tenant),
            Target::Slug(slug) if *slug == shown.slug => Target::Tenant(shown.tenant),
            target => target.clone(),
        };
        let identity = (session.sign_in.issuer.as_str(), session.sign_in.subject.as_str());
        let mut trust = sessions::trust(asked, &target, identity.0, identity.1).await?;
        if trust.tenant()? == shown.tenant {
            if let Some(secret) = &exchange.invitation {
                accept(asked, &trust, secret, identity, None).await?;
            }
            return self.prolong(call, asked, (&trust, &session, &member), exchange.cookie).await;
        }
        // The other tenant would not have trusted a token that was good only by an entry of this tenant's own.
        if !(session.of_deployment && trust.issuer.of_deployment) {
            return Err(Problem::Grant(Grant::InvalidToken, "the tenants do not trust the issuer by the same entry"));
        }
        let user = match &exchange.invitation {
            // A session does not say which address its issuer has verified.
            Some(secret) => accept(asked, &trust, secret, identity, None).await?,
            None => {
                let same = trust.known.filter(|user| *user == member.user);
                same.ok_or(Problem::Grant(Grant::Denied, "the tenant does not know this `sub`"))?
            }
        };
        trust.known = Some(user);
        let (sign_in, client) = (&session.sign_in, session.client.as_str());
        let proof = Proof { sign_in, client, address: None, session: Some(&session) };
        self.begin(call, asked, (&trust, user), &proof, None, exchange.cookie).await
    }

    async fn prolong(
        &self,
        call: &Call,
        asked: &Asked<'_>,
        (trust, session, member): (&Trust, &Session, &Member),
        cookie: bool,
    ) -> Result<Answer, Problem> {
        let keys = self.signing.keys(trust.ours.as_ref()).await?;
        let now = (self.clock)().seconds();
        let Refreshed { facts, .. } = tokens::of_refresh(asked, (member.tenant, member.user), &session.id).await?;
        if !sessions::prolong(asked, member, &session.id, lives_until(session, now)).await? {
            // Somebody else has changed the sessions meanwhile: it may have ended.
            return Err(Problem::TooManyRequests(1));
        }
        let signed = Signed { tenant: facts.tenant(), user: member.user, session };
        self.answer(call, &keys, &signed, None, now, cookie)
    }

    /// Answers with the sessions of a member that live.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn sessions<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        user: Option<UserId>,
        answer: &'a (dyn Fn(&[Live]) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            Ok(answer(&sessions::list(&self.asked(call, &check), caller, user).await?))
        })
    }

    /// Answers with the API keys of the tenant that the caller may see.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn api_keys<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        answer: &'a (dyn Fn(&[ShownApiKey]) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            api_keys::list(&self.asked(call, &check), caller, answer).await
        })
    }

    /// Answers with the issuers that the caller's tenant trusts.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn issuers<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        answer: &'a (dyn Fn(&Trusted) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            Ok(answer(&issuers::list(&self.asked(call, &check), caller).await?))
        })
    }

    /// Answers with an issuer that the caller's tenant has an entry for, and the keys that were fetched from it.
    ///
    /// # Errors
    /// As [`App::read`].
    pub fn issuer<'a>(
        &'a self,
        call: &'a Call,
        caller: &'a Caller,
        id: Uuid,
        answer: &'a (dyn Fn(&Issuer, Option<&IssuerKeys>) -> Answer + Send + Sync),
    ) -> Boxed<'a, Answer> {
        Box::pin(async move {
            let check = |item: Option<&Item>| self.verify_again(caller, item);
            let (issuer, keys) = issuers::show(&self.asked(call, &check), caller, id).await?;
            Ok(answer(&issuer, keys.as_ref()))
        })
    }
}

/// How a person has proved who they are.
struct Proof<'a> {
    sign_in: &'a SignIn,
    client: &'a str,
    /// The address by which the member was found, if their `sub` was unknown.
    address: Option<&'a str>,
    /// The session in another tenant, if that is the proof.
    session: Option<&'a Session>,
}

/// The tenant of a sign-in. An invitation says of which tenant it is.
fn target(exchange: &Exchange) -> Target {
    match (&exchange.target, exchange.invitation.as_deref().and_then(ShownSecret::read)) {
        (Target::Only, Some(shown)) => Target::Tenant(shown.tenant),
        (target, _) => target.clone(),
    }
}

/// When a session ends that is used now, in seconds since the epoch.
fn lives_until(session: &Session, now: i64) -> i64 {
    if session.refresh.is_some() { session.expires_at } else { session.expires_at.min(now + IDLE) }
}

/// Which refresh token a session has.
fn refresh_of(tenant: TenantId, session: &Session) -> Option<RefreshOf> {
    let counter = session.refresh.as_ref()?.counter;
    Some(RefreshOf { tenant, user: session.user, session: Uuid::parse_str(&session.id).ok()?, counter })
}

pub(super) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_DEVICE)]
}
