//! Tokens for the people of a local table, signed as the functions sign them.

use serde_json::{Value, json};
use shared::NewSecret;
use shared::credential::{Claims, Expected, Kind};
use shared::domain::claimed_domain::{self, Join};
use shared::domain::member::invitation::{Inviter, LASTS};
use shared::domain::{ClaimedDomain, JoinRequest, Member, Meta, Problem, Session, SignIn, Status, Tenant, Time};
use shared::id::{DomainId, JoinRequestId, UserId, sha256};
use shared::signing::SigningKeys;
use shared::signing::rotation::Published;
use shared::table::key::{self, TenantKeys};
use shared::table::stored::{Identity, Reference};
use shared::table::{decode, encode};

use crate::store::{Store, record_items};
use crate::{Result, Template, demo, issuer, secrets};

/// The lifetime of a token if the caller gives none, in seconds.
pub const TTL: i64 = 3600;
/// The longest lifetime of a token, in seconds: a year.
pub const MAX_TTL: i64 = 366 * 24 * 3600;

/// Returns the issuer and the audience of tokens that the functions of a template expect.
///
/// # Errors
/// No function of the template has these settings.
pub fn expected(template: &Template) -> Result<Expected> {
    let setting = |name: &str| template.functions.iter().find_map(|function| function.environment.get(name).cloned());
    match (setting("ISSUER"), setting("AUDIENCE")) {
        (Some(issuer), Some(audience)) => Ok(Expected { issuer, audience }),
        _ => Err("no function of template.yaml has the variables ISSUER and AUDIENCE".to_owned().into()),
    }
}

/// The flaw of a token, or none: events and tests need good and bad tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Its session has ended.
    Ended,
    /// It has expired.
    Expired,
    /// Its signature belongs to another token.
    Forged,
}

/// The resource of the template that holds the signing keys.
pub const SECRET: &str = "SigningSecret";

/// Makes signing keys, if there are none, and publishes them. The key signs from yesterday on, so that a token can be one that has expired.
///
/// # Errors
/// The table or the secret cannot be written.
pub async fn make_keys(store: &Store, now: Time) -> Result<()> {
    let (keys, public) = SigningKeys::new(now.seconds() - 24 * 60 * 60).map_err(|why| why.to_string())?;
    store.put_secret(&secrets::arn(SECRET), &keys.text()).await?;
    let published = Published::default().with(&public);
    store.put(encode(&key::jwks(), None, &published).map_err(|why| why.to_string())?).await
}

/// A session as the local issuer's sign-in begins it, until `ends`, in seconds since the epoch.
pub fn session(user: UserId, id: &str, subject: String, ends: i64, now: Time) -> Session {
    Session {
        id: id.to_owned(),
        user,
        sign_in: SignIn { issuer: issuer::ISS.to_owned(), subject, auth_time: None, acr: None, amr: Vec::new() },
        of_deployment: true,
        since: None,
        client: "local".to_owned(),
        device: None,
        refresh: None,
        impersonator: None,
        reason: None,
        expires_at: ends,
        meta: Meta::new(now),
    }
}

/// Returns a token of a new session of a member. It starts that session, unless the flaw is [`Flaw::Ended`].
///
/// # Errors
/// There is no such tenant or member, or the table was not made here and so has no key to sign with.
pub async fn issue(
    store: &Store,
    expected: &Expected,
    (slug, email): (&str, &str),
    kind: Kind,
    ttl: i64,
    flaw: Flaw,
    now: Time,
) -> Result<String> {
    let (tenant, user) = demo::find(store, slug, email).await?;
    let secret = store.secret(&secrets::arn(SECRET)).await?.ok_or("there is no key to sign with".to_owned())?;
    let keys = SigningKeys::parse(&secret).map_err(|why| why.to_string())?;

    let id = uuid::Uuid::new_v4().to_string();
    let (issued, expires) = match flaw {
        Flaw::Expired => (now.seconds() - 7200, now.seconds() - 3600),
        _ => (now.seconds(), now.seconds() + ttl),
    };
    if flaw != Flaw::Ended {
        let ends = now.seconds() + ttl.max(TTL);
        store.start_session(tenant, user, &id, ends, now).await?;
        let begun = session(user, &id, issuer::subject(email), ends, now);
        let key = TenantKeys(tenant).session(user, &id);
        store.put(encode(&key, None, &begun).map_err(|why| why.to_string())?).await?;
        // As after a sign-in, the tenant knows the issuer's `sub`.
        let (iss, sub) = (&begun.sign_in.issuer, &begun.sign_in.subject);
        let keys = TenantKeys(tenant);
        let (at, listed) = (keys.identity(iss, sub), keys.identity_listed(iss, sub));
        let known = encode(&at, Some(&listed), &Reference { number: user });
        store.put(known.map_err(|why| why.to_string())?).await?;
        let held = Identity { number: user, issuer: iss.clone(), subject: sub.clone() };
        store.put(held.item(tenant).map_err(|why| why.to_string())?).await?;
    }
    let claims = Claims {
        iss: expected.issuer.clone(),
        aud: expected.audience.clone(),
        sub: user.uuid().to_string(),
        tid: tenant.uuid().to_string(),
        slug: slug.to_owned(),
        sid: id,
        exp: expires,
        iat: issued,
        nbf: issued,
        typ: kind,
        started: None,
        act: None,
        approves: None,
    };
    let sign = |claims: &Claims| keys.sign(claims, "local");
    let token = sign(&claims).map_err(|error| error.to_string())?;
    if flaw != Flaw::Forged {
        return Ok(token);
    }
    let other = sign(&Claims { exp: expires + 1, ..claims }).map_err(|error| error.to_string())?;
    Ok(with_signature_of(&token, &other))
}

/// Replaces placeholders such as `{{access acme admin@acme.example}}` in an event by tokens. A placeholder has a kind, a tenant
/// and a user, and then `ended`, `expired` or `forged` if the token must not be good. `{{invitation acme user@acme.example
/// admin@acme.example}}` becomes the secret of an invitation that the second user has sent to the first. `{{join_request acme
/// nina@corp.example}}` becomes the UUID of a request to join, the first one of the tenant; there is a verified domain then, by which
/// people ask to join, or join in the way that the last word says.
pub async fn fill(store: &Store, expected: &Expected, event: Value, now: Time) -> Result<Value> {
    let mut text = event.to_string();
    while let Some((before, rest)) = text.split_once("{{") {
        let (what, after) = rest.split_once("}}").ok_or("`{{` without `}}` in the event".to_owned())?;
        let words: Vec<&str> = what.split_whitespace().collect();
        let (&[kind, slug, email], flaw) = words.split_first_chunk::<3>().ok_or_else(|| unknown(what))?;
        if let ("invitation", [inviter]) = (kind, flaw) {
            text = format!("{before}{}{after}", invite(store, slug, email, inviter, now).await?);
            continue;
        }
        if kind == "join_request" {
            let mode = flaw.first().copied().unwrap_or("on_approval");
            let mode = Join::ALL.into_iter().find(|it| it.as_str() == mode).ok_or_else(|| unknown(what))?;
            text = format!("{before}{}{after}", ask_to_join(store, slug, email, mode, now).await?);
            continue;
        }
        let kind = match kind {
            "access" => Some(Kind::Access),
            "session" => Some(Kind::Session),
            "id_token" => None,
            _ => return Err(unknown(what)),
        };
        let flaw = match flaw {
            [] => Flaw::None,
            ["ended"] => Flaw::Ended,
            ["expired"] => Flaw::Expired,
            ["forged"] => Flaw::Forged,
            _ => return Err(unknown(what)),
        };
        let token = match kind {
            Some(kind) => issue(store, expected, (slug, email), kind, TTL, flaw, now).await?,
            None => id_token(store, email, flaw, now).await?,
        };
        text = format!("{before}{token}{after}");
    }
    serde_json::from_str(&text).map_err(|error| format!("the event: {error}").into())
}

/// Makes a member an invited one, in the name of another. Returns the secret of the invitation.
async fn invite(store: &Store, slug: &str, email: &str, inviter: &str, now: Time) -> Result<String> {
    let (tenant, user) = demo::find(store, slug, email).await?;
    let (_, inviter) = demo::find(store, slug, inviter).await?;
    let said = |why: Problem| why.to_string();
    let item = store.get(&TenantKeys(tenant).member(user)).await?.ok_or_else(|| format!("no member {email}"))?;
    let member: Member = decode(item).map_err(|why| why.to_string())?;
    let new = NewSecret::new(Some(Inviter::Member(inviter)), LASTS).map_err(said)?;
    let (invitation, secret) = new.of(tenant, user, now);
    let hash = Some(sha256(&secret));
    let invited = Member { status: Status::Invited, invitation: Some(invitation), secret: hash, ..member };
    store.put_all(record_items(tenant, &invited, now)?).await?;
    Ok(secret)
}

/// Makes somebody ask to join a tenant whom the demo's identity provider has proved. Returns the UUID of the request.
async fn ask_to_join(store: &Store, slug: &str, email: &str, join: Join, now: Time) -> Result<String> {
    let (tenant, owner) = demo::find(store, slug, &format!("owner@{slug}.example")).await?;
    let (_, name) = email.rsplit_once('@').ok_or_else(|| format!("`{email}` is no address"))?;
    let domain = ClaimedDomain {
        id: DomainId::new(1),
        tenant,
        name: name.to_owned(),
        join,
        roles: [].into(),
        author: Inviter::Member(owner),
        challenge: claimed_domain::challenge(slug),
        asked_at: now,
        verified_at: Some(now),
        meta: Meta::new(now),
    };
    let request = JoinRequest {
        id: JoinRequestId::new(1),
        tenant,
        email: email.to_owned(),
        issuer: issuer::ISS.to_owned(),
        subject: issuer::subject(email),
        domain: domain.id,
        refused_at: None,
        meta: Meta::new(now),
    };
    store.put_all(record_items(tenant, &domain, now)?).await?;
    store.put_all(record_items(tenant, &request, now)?).await?;
    // The next ones get other numbers.
    let key = TenantKeys(tenant).tenant();
    let item = store.get(&key).await?.ok_or_else(|| format!("no tenant {slug}"))?;
    let mut numbered: Tenant = decode(item).map_err(|why| why.to_string())?;
    let numbers = &mut numbered.numbers;
    (numbers.domains, numbers.join_requests) = (numbers.domains.max(1), numbers.join_requests.max(1));
    store.put(encode(&key, None, &numbered).map_err(|why| why.to_string())?).await?;
    Ok(request.id.uuid_in(tenant).to_string())
}

/// An ID token of the demo's identity provider.
async fn id_token(store: &Store, email: &str, flaw: Flaw, now: Time) -> Result<String> {
    let past = now.seconds() - 3600;
    let claims = if flaw == Flaw::Expired { json!({ "exp": past, "iat": past }) } else { json!({}) };
    let token = issuer::id_token(store, email, &claims, now).await?;
    if flaw != Flaw::Forged {
        return Ok(token);
    }
    let other = issuer::id_token(store, email, &json!({ "sub": "another" }), now).await?;
    Ok(with_signature_of(&token, &other))
}

/// The first token with the signature of the second.
fn with_signature_of(token: &str, other: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap_or_default();
    let (_, signature) = other.rsplit_once('.').unwrap_or_default();
    format!("{signed}.{signature}")
}

fn unknown(what: &str) -> crate::Error {
    format!("`{{{{{what}}}}}` in the event: say `access`, `session` or `id_token`, a tenant, a user, and perhaps `ended`, `expired` or `forged`; or `invitation`, a tenant, a user, and who has invited them; or `join_request`, a tenant, an address, and perhaps how its domain lets people join").into()
}
