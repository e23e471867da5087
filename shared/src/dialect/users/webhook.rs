//! Webhooks: what a request says of one, and what an answer shows.

use std::collections::BTreeSet;

use domain::address::{is_public, literal};
use domain::event::Deed;
use domain::meta::MAX_NAME;
use domain::problem::{Fault, Wrong};
use domain::webhook::{KINDS, MAX_OVERLAP, MAX_URL, Status};
use domain::{Record, Time, Webhook};
use lambda_http::http::Uri;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::shown_subject;
use crate::gate::outbox::Undelivered;
use crate::gate::webhooks::WebhookFields;
use crate::http::json::{Faulty, Object, Several, Text, Verbatim, Wire, Within};

/// How long the secret before the last one signs, too, in seconds, if nobody says: a day.
const OVERLAP: i64 = 24 * 60 * 60;

fn wrong<T>(wrong: Wrong) -> Result<T, Vec<Fault>> {
    Err(vec![Fault::here(wrong)])
}

/// The URL of a receiver: `https://`, without a fragment, and without a user. An address in it is a public one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Url(
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = "^https://[!-~]+$"), length(max = MAX_URL)))]
    String,
);

impl Wire for Url {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Verbatim(text) = Verbatim::<MAX_URL>::read(value)?;
        let parsed: Option<Uri> = text.parse().ok().filter(|_| !text.contains('#'));
        let is_good = parsed.is_some_and(|url| {
            let host = url.host().unwrap_or_default();
            let has_user = url.authority().is_none_or(|it| it.as_str().contains('@'));
            let is_local = host.eq_ignore_ascii_case("localhost") || literal(host).is_some_and(|it| it.is_loopback());
            let is_called = match url.scheme_str() {
                Some("https") => !is_local && literal(host).is_none_or(is_public),
                // Only a server on a laptop calls such a receiver.
                Some("http") => is_local,
                _ => false,
            };
            !host.is_empty() && !has_user && is_called
        });
        if is_good { Ok(Self(text)) } else { wrong(Wrong::Syntax("an `https://` URL of a public host")) }
    }
}

/// [`KINDS`], as an error names them. A test compares them.
const ALL_KINDS: &str = "domain, group, issuer, job, join-request, key, label, member, policy, reading, role, session, tenant, thing, webhook";

/// A kind of records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Kind(#[cfg_attr(feature = "openapi", schemars(with = "KindName"))] String);

/// The words of [`KINDS`], for the schema. A test compares them.
#[cfg(feature = "openapi")]
#[derive(schemars::JsonSchema)]
#[schemars(rename = "EventKind", rename_all = "kebab-case")]
#[allow(dead_code, reason = "only its schema is used")]
enum KindName {
    Domain,
    Group,
    Issuer,
    Job,
    JoinRequest,
    Key,
    Label,
    Member,
    Policy,
    Reading,
    Role,
    Session,
    Tenant,
    Thing,
    Webhook,
}

impl Wire for Kind {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Verbatim(text) = Verbatim::<MAX_NAME>::read(value)?;
        if KINDS.contains(&text.as_str()) { Ok(Self(text)) } else { wrong(Wrong::NotOneOf(ALL_KINDS)) }
    }
}

/// What happens to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(transparent, inline))]
struct Change(Deed);

impl Wire for Change {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Verbatim(text) = Verbatim::<MAX_NAME>::read(value)?;
        let deed = serde_json::from_value(text.into()).ok().map(Self);
        deed.map_or_else(|| wrong(Wrong::NotOneOf("created, updated, deleted")), Ok)
    }
}

/// Whether it hears of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookWish"))]
#[cfg_attr(feature = "openapi", schemars(rename_all = "lowercase"))]
enum Wanted {
    Enabled,
    Disabled,
}

impl Wire for Wanted {
    fn read(value: Value) -> Result<Self, Vec<Fault>> {
        let Verbatim(text) = Verbatim::<MAX_NAME>::read(value)?;
        match text.as_str() {
            "enabled" => Ok(Self::Enabled),
            "disabled" => Ok(Self::Disabled),
            _ => wrong(Wrong::NotOneOf("enabled, disabled")),
        }
    }
}

/// The parts of a webhook that it may go without.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WebhookFilters {
    /// The kinds of records of whose changes it hears; all if there is none.
    kinds: Option<Several<Kind>>,
    /// What happens to them; anything if there is nothing.
    changes: Option<Several<Change>>,
    /// Whether it hears of changes. It does, if you do not say.
    status: Option<Wanted>,
}

impl WebhookFilters {
    fn read(object: &mut Object) -> Self {
        Self { kinds: object.optional("kinds"), changes: object.optional("changes"), status: object.optional("status") }
    }

    fn fields(self, name: Option<Text<MAX_NAME>>, url: Option<Url>) -> WebhookFields {
        WebhookFields {
            name: name.map(|it| it.0),
            url: url.map(|it| it.0),
            kinds: self.kinds.map(|Several(kinds)| kinds.into_iter().map(|it| it.0).collect()),
            deeds: self.changes.map(|Several(changes)| changes.into_iter().map(|it| it.0).collect()),
            status: self.status.map(|wanted| match wanted {
                Wanted::Enabled => Status::Enabled,
                Wanted::Disabled => Status::Disabled,
            }),
        }
    }
}

/// A new webhook.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookCreation"))]
pub struct WebhookCreation {
    /// What it is for.
    name: Text<MAX_NAME>,
    /// The receiver. Each delivery is a POST to it.
    url: Url,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    filters: WebhookFilters,
}

impl WebhookCreation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (name, url) = (object.required("name"), object.required("url"));
        let filters = WebhookFilters::read(object);
        Ok(Self { name: name?, url: url?, filters })
    }

    pub fn fields(self) -> WebhookFields {
        self.filters.fields(Some(self.name), Some(self.url))
    }
}

/// The wanted changes of a webhook. What is not there stays.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookUpdate"))]
pub struct WebhookUpdate {
    /// What it is for.
    name: Option<Text<MAX_NAME>>,
    /// The receiver.
    url: Option<Url>,
    #[cfg_attr(feature = "openapi", schemars(flatten))]
    filters: WebhookFilters,
}

impl WebhookUpdate {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        let (name, url) = (object.optional("name"), object.optional("url"));
        Ok(Self { name, url, filters: WebhookFilters::read(object) })
    }

    pub fn fields(self) -> WebhookFields {
        self.filters.fields(self.name, self.url)
    }
}

/// The wish for another secret.
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookRotation"))]
pub struct WebhookRotation {
    /// How long the secret before signs, too, in seconds: a day if you do not say, 7 days at most. With 0 it signs nothing more.
    overlap: Option<Within<0, { MAX_OVERLAP as u32 }>>,
}

impl WebhookRotation {
    /// # Errors
    /// The faults of the object.
    pub fn read(object: &mut Object) -> Result<Self, Faulty> {
        Ok(Self { overlap: object.optional("overlap") })
    }

    /// How long the secret before signs, too.
    pub fn overlap(self) -> i64 {
        self.overlap.map_or(OVERLAP, |Within(seconds)| seconds.into())
    }
}

/// A webhook, without its secret.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "Webhook"))]
pub struct ShownWebhook<'a> {
    pub id: Uuid,
    name: &'a str,
    url: &'a str,
    /// The kinds of records of whose changes it hears; all if there is none.
    #[cfg_attr(feature = "openapi", schemars(with = "Vec<KindName>"))]
    kinds: &'a BTreeSet<String>,
    /// What happens to them; anything if there is nothing.
    changes: &'a BTreeSet<Deed>,
    /// `failed` if nothing could be delivered for 5 days: then it hears of nothing until somebody enables it.
    status: Status,
    /// Since when it has this status.
    status_since: Time,
    created_at: Time,
    updated_at: Time,
    rotated_at: Option<Time>,
    /// Until when the secret before the last one signs, too.
    previous_expires_at: Option<Time>,
    /// Raised by one with every change; the `etag`.
    pub version: u64,
}

impl<'a> ShownWebhook<'a> {
    pub fn new(webhook: &'a Webhook) -> Self {
        let until = webhook.secrets.get(1).and_then(|secret| secret.until);
        Self {
            id: webhook.id.uuid_in(webhook.tenant),
            name: &webhook.name,
            url: &webhook.url,
            kinds: &webhook.kinds,
            changes: &webhook.deeds,
            status: webhook.status,
            status_since: webhook.status_since,
            created_at: webhook.meta.created_at,
            updated_at: webhook.meta.updated_at,
            rotated_at: webhook.rotated_at,
            previous_expires_at: until.map(|seconds| Time::from_millis(seconds.saturating_mul(1_000))),
            version: webhook.shown_version(),
        }
    }
}

/// A webhook with its secret.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WebhookWithSecret<'a> {
    #[serde(flatten)]
    pub webhook: ShownWebhook<'a>,
    /// The key of its signatures, as Standard Webhooks writes it: `whsec_…`. No answer shows it again.
    pub secret: String,
}

/// A page of webhooks, in the order in which they were made.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookList"))]
pub struct Webhooks<'a> {
    pub data: Vec<ShownWebhook<'a>>,
    /// The `cursor` of the next page; null after the last one.
    pub next_cursor: Option<String>,
}

/// A change that could not be delivered to a webhook.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WebhookFailure<'a> {
    /// The id of the event, and of its deliveries.
    event_id: &'a str,
    /// The record that was changed.
    subject: String,
    /// The version of the record that the change made.
    record_version: u64,
    /// When the last attempt failed.
    failed_at: Time,
    /// Why.
    reason: &'a str,
}

/// A page of changes that could not be delivered, the oldest first.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "WebhookFailureList"))]
pub struct WebhookFailures<'a> {
    data: Vec<WebhookFailure<'a>>,
    /// The `cursor` of the next page; null after the last one.
    next_cursor: Option<String>,
}

impl<'a> WebhookFailures<'a> {
    pub fn new(failures: &'a [Undelivered], next_cursor: Option<String>) -> Self {
        let shown = |failure: &'a Undelivered| WebhookFailure {
            event_id: &failure.delivery.id,
            subject: shown_subject(&failure.delivery.subject, failure.delivery.tenant),
            record_version: failure.delivery.version,
            failed_at: failure.at,
            reason: &failure.why,
        };
        Self { data: failures.iter().map(shown).collect(), next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_leads_to_a_public_host() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL));
        for url in ["https://a.example", "https://a.example:8443/hook?key=1", "https://8.8.8.8/", "http://127.0.0.1:9/"]
        {
            assert!(Url::read(json!(url)).is_ok(), "{url}");
        }
        for url in [
            "",
            "a.example",
            "/hook",
            "ftp://a.example",
            "http://a.example",
            "http://8.8.8.8",
            "https://",
            "https://localhost/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[fd00::1]/",
            "https://ann@a.example/",
            "https://a.example/#b",
            "https://a example/",
            &long,
        ] {
            assert!(Url::read(json!(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn filters_are_known_words() {
        assert_eq!(ALL_KINDS, KINDS.join(", "));
        for kind in KINDS {
            assert!(Kind::read(json!(kind)).is_ok());
        }
        assert!(Kind::read(json!("picture")).is_err() && Change::read(json!("erased")).is_err());
        assert!(Change::read(json!("deleted")) == Ok(Change(Deed::Deleted)));
        assert!(Wanted::read(json!("failed")).is_err());
    }

    #[cfg(feature = "openapi")]
    #[test]
    fn the_schema_has_all_kinds() {
        let schema = schemars::schema_for!(KindName);
        assert_eq!(schema.as_value()["enum"], json!(KINDS));
    }
}
