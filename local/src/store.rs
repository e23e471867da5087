//! Writes whole tenants into a table: the demo data, and tenants of any size.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, ReturnValue, WriteRequest};
use serde_json::json;
use shared::domain::event::Stamp;
use shared::domain::tenant::Counts;
use shared::domain::{
    ApiKey, Author, Group, Issuer, Label, Member, Numbers, OwnPolicy, Role, Tenant, Time, User, Webhook,
};
use shared::gate::NewPicture;
use shared::id::{Id, TenantId, UserId};
use shared::table::key::{self, Key, TenantKeys};
use shared::table::stored::{Stored, person_items};
use shared::table::{Item, decode, encode};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::{Result, dynamodb};

/// The most items that DynamoDB takes in one `BatchWriteItem`.
const BATCH: usize = 25;
/// The number of batches that are under way at once.
const LANES: usize = 8;

/// A table, with the rights of a person.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: Arc<str>,
    secrets: Arc<dynamodb::Client>,
}

impl Store {
    /// Returns the table of that name at a DynamoDB endpoint.
    ///
    /// # Errors
    /// `AWS_CA_BUNDLE` names no file of certificates.
    pub fn new(endpoint: &str, table: &str) -> Result<Self> {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(shared::table::client::http_client()?)
            .endpoint_url(endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local"))
            .build();
        let secrets = Arc::new(dynamodb::Client::new(endpoint));
        Ok(Self { client: Client::from_conf(config), table: table.into(), secrets })
    }

    /// Reads one item with strong consistency.
    pub async fn get(&self, key: &Key) -> Result<Option<Item>> {
        let request = self.client.get_item().table_name(&*self.table).consistent_read(true);
        let request = request.key("PK", text(&key.pk)).key("SK", text(&key.sk));
        Ok(request.send().await.map_err(said)?.item)
    }

    pub async fn put(&self, item: Item) -> Result<()> {
        self.client.put_item().table_name(&*self.table).set_item(Some(item)).send().await.map_err(said)?;
        Ok(())
    }

    /// Reads a secret.
    pub async fn secret(&self, arn: &str) -> Result<Option<String>> {
        match self.secrets.call("secretsmanager.GetSecretValue", &json!({ "SecretId": arn })).await {
            Ok(answer) => Ok(answer["SecretString"].as_str().map(str::to_owned)),
            Err(error) if error.kind == "ResourceNotFoundException" => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn put_secret(&self, arn: &str, text: &str) -> Result<()> {
        let input = json!({ "SecretId": arn, "SecretString": text });
        self.secrets.call("secretsmanager.PutSecretValue", &input).await?;
        Ok(())
    }

    /// Starts a session of a member that lasts until `ends`, in seconds since the epoch.
    pub async fn start_session(&self, tenant: TenantId, user: UserId, id: &str, ends: i64, now: Time) -> Result<()> {
        let key = TenantKeys(tenant).member(user);
        loop {
            let item = self.get(&key).await?.ok_or_else(|| format!("no member {user} in tenant {tenant}"))?;
            let mut member: Member = decode(item).map_err(said)?;
            let before = sessions(&member)?;
            member.start_session(id.to_owned(), ends, now);
            let new = sessions(&member)?.ok_or_else(|| "a member without sessions".to_owned())?;
            let request = self.client.update_item().table_name(&*self.table);
            let request =
                request.key("PK", text(&key.pk)).key("SK", text(&key.sk)).update_expression("SET sessions = :new");
            let request = match before {
                None => request.condition_expression("attribute_not_exists(sessions)"),
                Some(old) => request.condition_expression("sessions = :old").expression_attribute_values(":old", old),
            };
            let request = request.expression_attribute_values(":new", new);
            match request.send().await {
                Ok(_) => return Ok(()),
                // Meanwhile another session was started, or a change of the member is under way.
                Err(why)
                    if matches!(
                        why.code(),
                        Some("ConditionalCheckFailedException" | "TransactionConflictException")
                    ) => {}
                Err(why) => return Err(said(why)),
            }
        }
    }

    /// Reads all items of the partition `key.pk` that have a sort key with the beginning `key.sk`.
    pub async fn query(&self, key: &Key) -> Result<Vec<Item>> {
        let request = self.client.query().table_name(&*self.table).consistent_read(true);
        let request = request.key_condition_expression("PK = :pk AND begins_with(SK, :sk)");
        let request = request.expression_attribute_values(":pk", text(&key.pk));
        let mut pages = request.expression_attribute_values(":sk", text(&key.sk)).into_paginator().items().send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.map_err(said)?);
        }
        Ok(items)
    }

    /// Writes items in batches, several at a time.
    pub async fn put_all(&self, items: Vec<Item>) -> Result<()> {
        let mut lanes = JoinSet::new();
        for batch in items.chunks(BATCH) {
            if lanes.len() == LANES
                && let Some(lane) = lanes.join_next().await
            {
                lane.map_err(said)??;
            }
            lanes.spawn(self.clone().put_batch(batch.to_vec()));
        }
        while let Some(lane) = lanes.join_next().await {
            lane.map_err(said)??;
        }
        Ok(())
    }

    async fn put_batch(self, items: Vec<Item>) -> Result<()> {
        let put = |item| PutRequest::builder().set_item(Some(item)).build().map_err(said);
        let requests = items.into_iter().map(|item| Ok(WriteRequest::builder().put_request(put(item)?).build()));
        let mut left = requests.collect::<Result<Vec<_>>>()?;
        while !left.is_empty() {
            let request = self.client.batch_write_item().request_items(&*self.table, left);
            let mut unprocessed = request.send().await.map_err(said)?.unprocessed_items.unwrap_or_default();
            left = unprocessed.remove(&*self.table).unwrap_or_default();
        }
        Ok(())
    }

    /// Takes `count` numbers from the counter of a kind, and returns the first of them.
    pub async fn allocate(&self, kind: shared::id::Kind, count: u32) -> Result<u32> {
        let key = key::counter(kind);
        let request = self.client.update_item().table_name(&*self.table).return_values(ReturnValue::UpdatedNew);
        let request = request.key("PK", text(&key.pk)).key("SK", text(&key.sk)).update_expression("ADD #n :count");
        let request = request.expression_attribute_names("#n", "last");
        let request = request.expression_attribute_values(":count", AttributeValue::N(count.to_string()));
        let output = request.send().await.map_err(said)?;
        let last = output.attributes.as_ref().and_then(|it| it.get("last")).and_then(|last| last.as_n().ok());
        let last: u32 = last.and_then(|last| last.parse().ok()).ok_or("a counter that is no number".to_owned())?;
        Ok(last - count + 1)
    }
}

/// The things of a new tenant, beside its members.
#[derive(Default)]
pub struct Things {
    pub roles: Vec<Role>,
    pub groups: Vec<Group>,
    pub labels: Vec<Label>,
    pub policies: Vec<OwnPolicy>,
    pub issuers: Vec<Issuer>,
    pub api_keys: Vec<ApiKey>,
    pub webhooks: Vec<Webhook>,
}

/// Makes the items of a new tenant without its members: the tenant itself, its slug, its things.
pub fn tenant_items(mut tenant: Tenant, things: &Things) -> Result<Vec<Item>> {
    let (id, now) = (tenant.id, tenant.meta.created_at);
    let mut items = Vec::new();
    for role in &things.roles {
        items.extend(record_items(id, role, now)?);
    }
    for group in &things.groups {
        items.extend(record_items(id, group, now)?);
    }
    for label in &things.labels {
        items.extend(record_items(id, label, now)?);
    }
    for issuer in &things.issuers {
        items.extend(record_items(id, issuer, now)?);
    }
    for key in &things.api_keys {
        items.extend(record_items(id, key, now)?);
    }
    for webhook in &things.webhooks {
        items.extend(record_items(id, webhook, now)?);
    }
    for policy in &things.policies {
        items.extend(record_items(id, policy, now)?);
    }
    let last = |ids: &mut dyn Iterator<Item = u32>, none: u32| ids.max().unwrap_or(none);
    tenant.numbers = Numbers {
        roles: last(&mut things.roles.iter().map(|it| it.id.number()), tenant.numbers.roles),
        groups: last(&mut things.groups.iter().map(|it| it.id.number()), 0),
        labels: last(&mut things.labels.iter().map(|it| it.id.number()), 0),
        policies: last(&mut things.policies.iter().map(|it| it.id.number()), 0),
        jobs: 0,
        issuers: last(&mut things.issuers.iter().map(|it| it.number), 0),
        keys: last(&mut things.api_keys.iter().map(|it| it.id.number()), 0),
        webhooks: last(&mut things.webhooks.iter().map(|it| it.id.number()), 0),
        domains: 0,
        join_requests: 0,
    };
    let count = |things: usize| u32::try_from(things).unwrap_or(u32::MAX);
    tenant.counts = Counts {
        groups: count(things.groups.len()),
        labels: count(things.labels.len()),
        issuers: count(things.issuers.len()),
        keys: count(things.api_keys.len()),
        webhooks: count(things.webhooks.len()),
        policies: count(things.policies.len()),
        domains: 0,
    };
    items.extend(record_items(id, &tenant, now)?);
    Ok(items)
}

/// Makes the items of a person.
pub fn user_items(user: &User) -> Result<Vec<Item>> {
    person_items(user).map_err(said)
}

/// Makes the items of a new record, as a function would write them. No person is their author.
pub fn record_items<R: Stored>(tenant: TenantId, record: &R, now: Time) -> Result<Vec<Item>> {
    let written = R::stamped(&by_seeding(tenant, now), None, None, Some(&mut record.clone()))
        .map_err(|problem| problem.to_string())?;
    Ok(written.map(|written| written.items()).transpose().map_err(said)?.unwrap_or_default())
}

/// Makes the items of a new member who has a picture.
pub fn pictured_items(member: &Member, picture: &NewPicture, now: Time) -> Result<Vec<Item>> {
    let mut member = Member { picture: Some(picture.about.clone()), ..member.clone() };
    let written = Member::stamped(&by_seeding(member.tenant, now), None, None, Some(&mut member));
    let mut written = written.map_err(|problem| problem.to_string())?.ok_or_else(|| "a new member".to_owned())?;
    written.picture(&TenantKeys(member.tenant).picture(member.user), &picture.data_uri).map_err(said)?;
    written.items().map_err(said)
}

fn by_seeding(tenant: TenantId, now: Time) -> Stamp {
    Stamp {
        tenant,
        at: now,
        author: Author::Product("seed".to_owned()),
        impersonator: None,
        approver: None,
        request: "seed".to_owned(),
        transaction: String::new(),
        secret: Uuid::new_v4().to_string(),
    }
}

/// Returns a member's sessions as the attribute of the member's item, if there are any.
fn sessions(member: &Member) -> Result<Option<AttributeValue>> {
    let mut item = encode(&TenantKeys(member.tenant).member(member.user), None, member).map_err(said)?;
    Ok(item.remove("sessions"))
}

/// Returns the id that an item of a unique name refers to.
pub fn referred<const KIND: u8>(item: &Item) -> Option<Id<KIND>> {
    item.get("number")?.as_n().ok()?.parse::<i64>().ok()?.try_into().ok()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Writes the chain of causes of an error in one line, without the request.
fn said(error: impl std::error::Error) -> crate::Error {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text.into()
}
