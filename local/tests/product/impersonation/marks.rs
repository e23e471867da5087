//! What is on record of somebody who has acted as a member, once the session is over.

use serde_json::{Value, json};
use shared::domain::{Author, role};

use super::{Acted, code, refused, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_session_names_who_has_acted() {
    let acted = Acted::start("marks").await;
    let (tenant, user, admin) = (&acted.tenant, acted.user(), acted.tenant.admin);
    let revoke = async |token: String| {
        let headers = [("content-type", "application/json")];
        let body = json!({ "token": token }).to_string();
        assert_eq!(acted.product.call("POST", "/oauth/revoke", &headers, body).await.status, 200);
        acted.product.events(tenant.id, user).await.pop().unwrap()
    };
    let why = "a token was revoked";
    let event = revoke(acted.by_admin().await).await;
    assert_eq!((event.author, event.impersonator), (Author::Product(why.to_owned()), Some(admin)));
    let path = format!("/v1/users/{}/events?actor=member:{}", user.uuid(), admin.uuid());
    let found = acted.call(&tenant.owner_token, "GET", &path, None).await.json();
    let actor = json!({ "kind": "product", "id": null, "reason": why, "impersonator_id": admin.uuid() });
    assert_eq!(found["data"][0]["actor"], actor, "{found}");
    // The member's own session.
    let event = revoke(acted.access(2).await).await;
    assert_eq!((event.author, event.impersonator), (Author::Product(why.to_owned()), None));
}

/// A job would go on, and its events name the job alone.
#[tokio::test(flavor = "multi_thread")]
async fn who_acts_as_a_member_begins_no_job() {
    let acted = Acted::start("outlasts").await;
    let tenant = &acted.tenant;
    // As another admin, who may delete both.
    let promoted = acted.product.patch_role(&tenant.owner_token, tenant.id, acted.user(), role::ADMIN).await;
    assert_eq!(promoted.status, 200);
    let access = acted.by_admin().await;
    let made = async |kind: &str, body: Value| {
        let made = acted.by_owner("POST", &format!("/v1/{kind}"), body).await;
        assert_eq!(made.status, 201, "{made:?}");
        format!("/v1/{kind}/{}", text(&made.json(), "id"))
    };
    let door = made("roles", json!({ "name": "door" })).await;
    let shift = made("groups", json!({ "name": "Night shift" })).await;
    for path in [&door, &shift] {
        let denied = acted.call(&access, "DELETE", path, None).await;
        assert_eq!(code(&denied), refused("impersonated"), "{path}");
        assert_eq!(acted.call(&tenant.admin_token, "DELETE", path, None).await.status, 204, "{path}");
    }
}
