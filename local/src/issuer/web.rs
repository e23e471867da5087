//! What the demo's identity provider answers over HTTP: who can sign in, an ID token for whoever was chosen, and the script with which
//! the page of the API reference asks for both. It wants no password. So it is in the gateway of this machine, and neither a function
//! nor the template has any of it.

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::domain::{Catalog, Entry, Member, Tenant};
use shared::id::TenantId;
use shared::table::key::{self, Key, TenantKeys};
use shared::table::{Malformed, decode};

use crate::http::{self, Reply};
use crate::store::{Store, referred};
use crate::{Error, demo};

/// Its methods and paths. The page gets the path of the script with its credentials.
pub(crate) const SCRIPT: (&str, &str) = ("GET", "/demo-issuer/sign-in.js");
const MEMBERS: (&str, &str) = ("GET", "/demo-issuer/members");
const TOKEN: (&str, &str) = ("POST", "/demo-issuer/token");

/// The longest body, in bytes: a slug and an address.
const BODY: usize = 4 * 1024;

/// The status of a refusal, and its reason.
type Refusal = (StatusCode, String);

/// Answers a request that is one of its own, if the table was made here: any other table has no key that signs for the demo's people.
pub(crate) async fn answer(store: &Store, parts: &Parts, body: Incoming) -> Result<Option<Reply>, Refusal> {
    let asked = (parts.method.as_str(), parts.uri.path());
    if ![SCRIPT, MEMBERS, TOKEN].contains(&asked) || !super::has_key(store).await.map_err(failed)? {
        return Ok(None);
    }
    if !is_from_here(&parts.headers) {
        return Err((StatusCode::FORBIDDEN, "only pages of this server may ask".to_owned()));
    }
    let mut reply = match asked {
        SCRIPT => script(),
        MEMBERS => http::json(StatusCode::OK, &json!({ "tenants": tenants(store).await.map_err(failed)? })),
        _ => http::json(StatusCode::OK, &json!({ "id_token": id_token(store, &parts.headers, body).await? })),
    };
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Some(reply))
}

/// Whether no page asks, or one of this server: the `Host` is one of its own names, as [`http`] has checked.
fn is_from_here(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = |origin: &str| origin.strip_prefix("http://").or(origin.strip_prefix("https://")) == Some(host);
    headers.get_all(ORIGIN).iter().all(|origin| origin.to_str().is_ok_and(is_own))
}

fn script() -> Reply {
    let mut reply = Response::new(Full::from(include_str!("sign-in.js")));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    reply
}

/// The demo tenants that are there, with their members.
async fn tenants(store: &Store) -> crate::Result<Vec<Value>> {
    let mut tenants = Vec::new();
    for slug in demo::SLUGS {
        let item = store.get(&key::slug(slug)).await?;
        let id: Option<TenantId> = item.as_ref().and_then(referred);
        let Some(keys) = id.map(TenantKeys) else { continue };
        let found = read::<Tenant>(store, &keys.tenant()).await?;
        let Some(tenant) = found.into_iter().find(|tenant| tenant.deleted_at.is_none()) else { continue };
        let catalog = Catalog::new(tenant.catalog_version, read::<Entry>(store, &keys.catalog()).await?);
        let members = read::<Member>(store, &keys.members()).await?;
        tenants.push(shown(&tenant, &catalog, &members));
    }
    Ok(tenants)
}

/// A tenant and its members, as the page shows them.
fn shown(tenant: &Tenant, catalog: &Catalog, members: &[Member]) -> Value {
    let members = members.iter().filter(|member| member.is_present()).map(|member| {
        let roles = member.roles.iter().filter_map(|role| catalog.role(*role));
        json!({
            "email": member.email,
            "name": member.label(),
            "roles": roles.map(|role| role.name.as_str()).collect::<Vec<_>>(),
            "status": member.status.as_str(),
        })
    });
    let members: Vec<Value> = members.collect();
    json!({ "id": tenant.id.uuid(), "slug": tenant.slug, "name": tenant.name, "members": members })
}

/// The values of all items from a key on, in the order of their sort keys.
async fn read<T: DeserializeOwned>(store: &Store, from: &Key) -> crate::Result<Vec<T>> {
    let items = store.query(from).await?.into_iter();
    items.map(|item| decode(item).map_err(|why: Malformed| Error::from(why.to_string()))).collect()
}

/// An ID token of the member whom the body names by the tenant's slug and the member's address.
async fn id_token(store: &Store, headers: &HeaderMap, body: Incoming) -> Result<String, Refusal> {
    // No form of a page can send this type.
    if headers.get(CONTENT_TYPE).is_none_or(|it| it != "application/json") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`".to_owned()));
    }
    let unread = |_| (StatusCode::BAD_REQUEST, format!("the body has not come whole, or has more than {BODY} bytes"));
    let body = http::read(body, BODY).await.map_err(unread)?;
    let chosen: Value = serde_json::from_slice(&body).unwrap_or_default();
    let tenants = tenants(store).await.map_err(failed)?;
    let email = address(&tenants, &chosen);
    let email = email.ok_or_else(|| (StatusCode::NOT_FOUND, "no demo tenant has this member".to_owned()))?;
    super::id_token(store, email, &json!({}), shared::now()).await.map_err(failed)
}

/// The address of the member who was chosen.
fn address<'a>(tenants: &'a [Value], chosen: &Value) -> Option<&'a str> {
    let tenant = tenants.iter().find(|tenant| tenant["slug"] == chosen["tenant"])?;
    let member = tenant["members"].as_array()?.iter().find(|member| member["email"] == chosen["email"])?;
    member["email"].as_str()
}

fn failed(error: Error) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
